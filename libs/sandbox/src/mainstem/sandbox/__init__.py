"""The outside world, offline, on one machine. Owns the stand-ins for providers and platforms, the movable
clock, the servers, the stack of all services, and the demo. Writes the files of a run folder; of the
services' tables it only empties those that a reset clears. Imported by no service: tests and benches import
it, and it starts the services as child processes.
"""
