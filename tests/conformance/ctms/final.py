"""State at the end of a case: Stripe's rows, contacts to be delivered, and products."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.comparison import rows_differ
from tests.conformance.ctms import mirror, requests
from tests.conformance.ctms.payloads import Payloads
from tests.conformance.ctms.windows import ties_of
from tests.conformance.stage import Stage
from tests.conformance.verdict import Notes

Json = Any
Products = Mapping[str, Sequence[Mapping[str, Json]]]

CONTACTS = "SELECT contact_id FROM contact.contact"


async def compare_final(
    stage: Stage, final: Mapping[str, Json], payloads: Payloads, notes: Notes
) -> str | None:
    """Compare what a case says of the state at its end, and return the first difference."""
    difference = None
    if "pending_acoustic" in final:
        difference = await _compare_pending(stage, final["pending_acoustic"], notes)
    if difference is None and "stripe_rows" in final:
        compared = mirror.Mirror(payloads, notes, await stage.now())
        difference = await compared.differs(stage.tables, final["stripe_rows"] or {})
    if difference is None and "products" in final:
        difference = await _compare_products(stage, final["products"] or {}, payloads, notes)
    return difference


async def _compare_pending(stage: Stage, pending: Sequence[Mapping[str, Json]], notes: Notes) -> str | None:
    """Compare the contacts that are to be delivered.

    CTMS queues a contact at every object of Stripe's. Here a contact of which nothing changed is not queued:
    delivering it compares it with what was sent last, and nothing may be sent.
    """
    if any("last_error" in one for one in pending):
        notes.not_compared.append("pending_acoustic.last_error")
    if any("retry" not in one for one in pending):
        notes.not_compared.append("pending_acoustic.retry (not in the case)")
    expected = [{"email_id": one["email_id"], "retry": one.get("retry", 0)} for one in pending]
    found = await stage.deliveries.pending()
    ours = {one["email_id"] for one in found}
    unchanged = [one["email_id"] for one in expected if one["email_id"] not in ours and not one["retry"]]
    wanted = [one for one in expected if one["email_id"] not in unchanged]
    difference = rows_differ(wanted, found, "email_id", await stage.now())
    if len({*unchanged}) < len(unchanged):
        difference = "email_id is expected more than once"
    if difference is not None or not unchanged:
        return difference and f"pending_acoustic: {difference}"
    if unknown := sorted({*unchanged} - await _contacts(stage)):
        return f"pending_acoustic: there is no contact {unknown[0]}"
    notes.deviate("unchanged_contact")
    await stage.deliveries.want(unchanged)
    window = await stage.deliver()
    sent = {call["rows"][0].get("email_id") for call in window.calls} & {*unchanged}
    if not sent:
        return None
    return f"pending_acoustic: email_id {min(sent)} is absent, though something of it changed"


async def _compare_products(stage: Stage, products: Products, payloads: Payloads, notes: Notes) -> str | None:
    """Compare the products of every contact there is, read from sending everything once more."""
    there = await _contacts(stage)
    for contact in sorted(there ^ products.keys()):
        return f"products: contact {contact} is {'too much' if contact in there else 'absent'}"
    if not stage.is_sending:
        notes.not_compared.append("final.products (nothing is sent)")
        return None
    await stage.deliveries.want_in_full([*products])
    window = await stage.deliver()
    received = requests.as_calls(window.calls, stage.acoustic_timeout)
    called = sorted((call["rows"][0].get("email_id", ""), call["table"], call["call"]) for call in received)
    wanted = [(contact, "main", requests.RECIPIENT) for contact in products]
    wanted += [(contact, "product", requests.UPSERT) for contact, rows in products.items() if rows]
    if called != sorted(wanted):
        return f"products: calls {sorted(wanted)} expected, {called} found"
    rows = [requests.wire(contact, row) for contact, some in products.items() for row in some]
    ties = await ties_of(stage, received, payloads)
    difference = requests.of_products(rows, received, ties, notes, await stage.now())
    return difference and f"products: {difference}"


async def _contacts(stage: Stage) -> set[str]:
    return {str(row["contact_id"]) for row in await stage.tables.fetch(CONTACTS)}
