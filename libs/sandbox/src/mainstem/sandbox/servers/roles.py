"""The sandbox's roles in Postgres: the owner, one login a service, and the sandbox's own login."""

import asyncpg

SERVICES = ("ingest", "sync", "billing", "gateway")
SANDBOX_LOGIN = "mainstem_sandbox"
_KEPT = frozenset({"gateway", "mainstem", "public", "information_schema"})
"""Schemas that `POST /_sandbox/empty` leaves as they are."""


def group_of(service: str) -> str:
    """Return the NOLOGIN role that holds a service's grants."""
    return f"mainstem_{service}"


def login_of(service: str) -> str:
    """Return the role a service logs in as in the sandbox."""
    return f"mainstem_{service}_login"


async def ensure_owner(superuser_url: str, owner: str, password: str) -> None:
    """Make the owner, without a superuser's rights, and its database of the same name. Safe to repeat."""
    connection = await asyncpg.connect(superuser_url)
    try:
        if not await connection.fetchval("select 1 from pg_roles where rolname = $1", owner):
            await _execute(connection, "create role %I login createdb createrole", owner)
        await _execute(connection, "alter role %I password %L", owner, password)
        if not await connection.fetchval("select 1 from pg_database where datname = $1", owner):
            await _execute(connection, "create database %I owner %I", owner, owner)
        # The detail of a violated constraint quotes the row, and so a person's address.
        await _execute(connection, "alter database %I set log_error_verbosity = terse", owner)
    finally:
        await connection.close()


async def ensure_logins(superuser_url: str, passwords: dict[str, str]) -> None:
    """Make one login a service, member of the service's group, with the password given by service.

    The groups have to be there, so this comes after the migrations. Safe to repeat.
    """
    connection = await asyncpg.connect(superuser_url)
    try:
        for service, password in passwords.items():
            login = login_of(service)
            await _ensure_login(connection, login, password)
            await _execute(connection, "grant %I to %I", group_of(service), login)
    finally:
        await connection.close()


async def ensure_sandbox_login(superuser_url: str, password: str) -> None:
    """Make the sandbox's login, which reads every table and may empty the pipeline's. Safe to repeat.

    Only the sandbox profile does this: no such role exists elsewhere.
    """
    connection = await asyncpg.connect(superuser_url)
    try:
        await _ensure_login(connection, SANDBOX_LOGIN, password)
        await _execute(connection, "grant pg_read_all_data to %I", SANDBOX_LOGIN)
        schemas = await connection.fetch(
            "select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> all($1::text[])",
            sorted(_KEPT),
        )
        for (schema,) in schemas:
            await _execute(
                connection, "grant truncate on all tables in schema %I to %I", schema, SANDBOX_LOGIN
            )
    finally:
        await connection.close()


async def _ensure_login(connection: "asyncpg.Connection[asyncpg.Record]", login: str, password: str) -> None:
    if not await connection.fetchval("select 1 from pg_roles where rolname = $1", login):
        await _execute(connection, "create role %I login", login)
    await _execute(connection, "alter role %I password %L", login, password)


async def _execute(connection: "asyncpg.Connection[asyncpg.Record]", template: str, *arguments: str) -> None:
    """Run a statement that takes no parameters, its names and texts quoted by Postgres itself."""
    await connection.execute(
        await connection.fetchval("select format($1, variadic $2::text[])", template, list(arguments))
    )
