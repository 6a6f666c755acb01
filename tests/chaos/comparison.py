"""The comparison: what there is beside what there must be; differences name ids and columns, no values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos import oracle
from tests.chaos.callers import Application
from tests.chaos.control import Control
from tests.chaos.oracle import Holdings, Rows
from tests.chaos.people import Person
from tests.chaos.tables import Tables

STATUSES = ("done", "ignored")


@dataclass
class Comparison:
    """What was compared, and where it differed."""

    compared: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def rows(self, what: str, found: Rows, wanted: Rows) -> None:
        """Compare two sets of rows by id; of a row only the columns that are wanted."""
        self.compared[what] = len(wanted)
        for given in sorted(found.keys() | wanted.keys()):
            if given not in found:
                self.differences.append(f"{what} {given}: is missing")
            elif given not in wanted:
                self.differences.append(f"{what} {given}: should not be there")
            elif columns := _differing(found[given], wanted[given]):
                self.differences.append(f"{what} {given}: {', '.join(columns)}")

    def none(self, what: str, found: list[str]) -> None:
        """Compare with nothing."""
        self.compared.setdefault(what, 0)
        self.differences += [f"{what}: {one}" for one in found]


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted(wanted) if found.get(name) != wanted[name]]


async def compare(
    control: Control, tables: Tables, application: Application, people: list[Person]
) -> tuple[Comparison, Holdings]:
    """Compare everything with the oracle, once all is quiet."""
    holdings = Holdings.of(await control.holdings("stripe"))
    comparison = Comparison()
    await _compare_events(comparison, tables, holdings)
    for table, wanted in oracle.mirror(holdings).items():
        comparison.rows(f"stripe.{table}", await tables.mirror(table), wanted)
    comparison.none("revisions stored twice", await tables.revisions_stored_twice())
    derived = oracle.products(holdings)
    comparison.rows("product subscriptions", await tables.products(), derived)
    await _compare_contacts(comparison, application, people)
    await _compare_acoustic(comparison, control, people, derived)
    return comparison, holdings


async def _compare_events(comparison: Comparison, tables: Tables, holdings: Holdings) -> None:
    found = await tables.events()
    wanted = {one["id"]: {"is_done": True} for one in holdings.events}
    rows = {given: {"is_done": status in STATUSES} for given, status in found.items()}
    comparison.rows("inbox.event", rows, wanted)


async def _compare_contacts(comparison: Comparison, application: Application, people: list[Person]) -> None:
    wanted = oracle.contacts(people)
    found = {}
    for given in wanted:
        contact = await application.read(given)
        letters = [one["name"] for one in contact["newsletters"] if one["subscribed"]]
        found[given] = {
            **contact["email"],
            "fxa_id": contact["fxa"]["fxa_id"],
            "newsletters": sorted(letters),
        }
    comparison.rows("contacts", found, wanted)
    comparison.none("refusals of the contact API", application.refusals)


async def _compare_acoustic(
    comparison: Comparison, control: Control, people: list[Person], derived: Rows
) -> None:
    held = await control.holdings("acoustic")
    products = {
        f"{contact} {product}": row
        for contact, rows in held["product"].items()
        for product, row in rows.items()
    }
    comparison.rows("acoustic main", held["main"], oracle.acoustic_main(people))
    comparison.rows("acoustic product", products, oracle.acoustic_products(people, derived))
