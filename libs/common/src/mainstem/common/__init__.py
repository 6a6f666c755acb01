"""Foundation of every distribution. Owns the vocabulary that all of them share: world time, errors, settings,
owners, the command line, and the rooms for HTTP, queue, database, telemetry, models and migrations. Writes
tables only through `queue` and `migrations`. Imported by every service and by the sandbox; imports none of
them.
"""
