"""The outside world as one application. Owns the movable clock, the control API under `/_sandbox/`, the
timeline of what falls due, and the check whether the pipeline is settled. Writes the clock file and the lock
file that pauses deliveries; a reset truncates the services' tables. Imported by `sandbox.stack` and
`sandbox.commands`.
"""
