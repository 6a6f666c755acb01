"""The calls of Acoustic's XML API, carried out on the tables."""

from collections.abc import Callable

from mainstem.sandbox.acoustic.account import AcousticAccount
from mainstem.sandbox.acoustic.envelope import (
    Done,
    Failure,
    FaultAnswer,
    Operation,
    OperationResult,
    invalid_request,
)
from mainstem.sandbox.acoustic.tables import (
    MAIN_SCHEMA,
    NEWSLETTER_SCHEMA,
    PRODUCT_SCHEMA,
    Key,
    Row,
    Table,
    read_key,
    write_key,
)
from mainstem.sandbox.stand_ins.archive import Archive

MOST_ROWS = 100
"""Maximum number of rows in one relational call."""

_RECIPIENT = "_recipient"


class Holdings:
    """Every table of the account, by its id."""

    def __init__(self, account: AcousticAccount, archive: Archive | None = None) -> None:
        self._archive = archive or Archive()
        self.main_id = account.main_table_id
        self.main = Table(MAIN_SCHEMA, self._archive)
        self.relational = {
            account.newsletter_table_id: Table(NEWSLETTER_SCHEMA, self._archive),
            account.product_table_id: Table(PRODUCT_SCHEMA, self._archive),
        }
        self._recipient_ids = {read_key(row.id): row.seq for row in self._archive.rows(_RECIPIENT)}

    def tables(self) -> list[Table]:
        """Return every table, the main one first."""
        return [self.main, *self.relational.values()]

    def find_name(self, target: str) -> str | None:
        """Return the people's name of a table, or None where the id is unknown."""
        table = self.main if target == self.main_id else self.relational.get(target)
        return None if table is None else table.schema.name

    def recipient_id(self, key: Key) -> int:
        """Return the number of a recipient: counted up, the same every time."""
        if key not in self._recipient_ids:
            number = self._recipient_ids[key] = len(self._recipient_ids) + 1
            self._archive.put(_RECIPIENT, write_key(key), None, seq=number)
        return self._recipient_ids[key]


def carry_out(holdings: Holdings, operation: Operation) -> OperationResult:
    """Change the tables as the call says, and return what Acoustic answers. Safe to repeat."""
    try:
        return _OPERATIONS.get(operation.name, _unknown)(holdings, operation)
    except FaultAnswer as fault:
        return fault


def _unknown(_: Holdings, __: Operation) -> OperationResult:
    return invalid_request()


def _add_recipient(holdings: Holdings, operation: Operation) -> OperationResult:
    if operation.target != holdings.main_id:
        raise FaultAnswer("List ID is not valid.")
    table = holdings.main
    # The database has a key, so the sync fields only name the contact; a column of that name wins.
    row = {**operation.sync_fields, **operation.rows[0]}
    unknown = table.unknown_column(row)
    if unknown is not None:
        raise FaultAnswer(f"There is no column {unknown}")
    key = table.find_key(row)
    if key is None:
        raise FaultAnswer("All key columns are not present")
    if key in table and operation.update_if_found.lower() != "true":
        raise FaultAnswer("Unable to add recipient. Recipient already exists.")
    table.upsert(key, row)
    return Done(recipient_id=holdings.recipient_id(key))


def _insert_update(holdings: Holdings, operation: Operation) -> OperationResult:
    return _each_row(holdings, operation, lambda table, key, row: table.upsert(key, row))


def _delete(holdings: Holdings, operation: Operation) -> OperationResult:
    return _each_row(holdings, operation, lambda table, key, _: table.delete(key))


def _each_row(
    holdings: Holdings, operation: Operation, act: Callable[[Table, Key, Row], None]
) -> OperationResult:
    table = holdings.relational.get(operation.target)
    if table is None:
        raise FaultAnswer("Table ID is not valid.")
    if not operation.rows:
        raise invalid_request()
    if len(operation.rows) > MOST_ROWS:
        raise FaultAnswer(f"A call carries at most {MOST_ROWS} rows.")
    failures = [failure for row in operation.rows if (failure := _try_row(table, row, act)) is not None]
    return Done(failures=tuple(failures))


def _try_row(table: Table, row: Row, act: Callable[[Table, Key, Row], None]) -> Failure | None:
    unknown = table.unknown_column(row)
    if unknown is not None:
        return Failure(f"There is no column {unknown}", row)
    key = table.find_key(row)
    if key is None:
        return Failure("All key columns are not present", row)
    act(table, key, row)
    return None


_OPERATIONS: dict[str, Callable[[Holdings, Operation], OperationResult]] = {
    "AddRecipient": _add_recipient,
    "InsertUpdateRelationalTable": _insert_update,
    "DeleteRelationalTableData": _delete,
}
