"""Servers as child processes that end with their parent. Owns Postgres, Valkey and our HTTP processes as such
children, their loopback ports, programs and database logins. Writes data directories and logs in the run
folder, a copy of the Postgres programs where another user runs them, and roles in Postgres. Imported by
`sandbox.stack` and `sandbox.commands`.
"""
