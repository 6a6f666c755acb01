"""Schema history, inside the package so that every image can run it. Owns the linear migrations, the grants,
the upgrade command and the check of the schema version. Writes every schema's tables and privileges as the
database's owner, and `mainstem.state`. Imported by `common.http.health` and by the gateway's commands.
"""
