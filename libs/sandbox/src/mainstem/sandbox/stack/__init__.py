"""The whole system on one machine. Owns the run folder, the list of programs, their start in order, their
restarts, and the terminal view of `up`. Writes `lock`, `secrets.json`, `stack.json` and logs in the run
folder. Imported by `sandbox.demo` and `sandbox.commands`.
"""
