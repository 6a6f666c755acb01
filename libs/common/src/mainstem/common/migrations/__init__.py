"""The database's one linear history, inside the package so that every image can run it."""
