"""State of one account. Owns its objects, events, pending deliveries and due times, their templates, and
their shape in each API version. Writes rows to the sandbox's archive. Imported by every other room of this
stand-in but `wire`.
"""
