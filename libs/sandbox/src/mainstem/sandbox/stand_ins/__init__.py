"""Basis of every stand-in. Owns the protocol that the control API sees, the archive of held rows, and
scripted faults. Writes one SQLite file a stand-in, in the sandbox's folder. Imported by `sandbox.stripe`,
`sandbox.acoustic` and `sandbox.world`.
"""
