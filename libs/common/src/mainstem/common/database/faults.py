"""Errors of the database, by whose fault they are: its own, a value's, or another transaction's."""

import asyncpg

AWAY_ERRORS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""Errors that any statement would meet now: Postgres does not answer, stops, is full or is read-only."""

CONTENTION_ERRORS = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)
"""Errors of a transaction that gave way to another one: a deadlock, a serialization failure."""

DATA_ERRORS = (
    # asyncpg's own errors of a value, and of its encoding.
    ValueError,
    OverflowError,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.CardinalityViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""Errors of a value: too long, out of range, not storable, or contradicting what is stored."""


def is_data_error(error: Exception) -> bool:
    """Return whether a value is at fault: the same statement with other values would pass."""
    return isinstance(error, DATA_ERRORS)


def is_away(error: Exception) -> bool:
    """Return whether the database is at fault: every statement would fail now, whatever its values."""
    # asyncpg's own errors of a value are InterfaceErrors, too.
    return isinstance(error, AWAY_ERRORS) and not is_data_error(error)


def is_temporary(error: Exception) -> bool:
    """Return whether the same statement with the same values may pass later."""
    return is_away(error) or isinstance(error, CONTENTION_ERRORS)
