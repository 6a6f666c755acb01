"""Tables of examples, run through real contacts, Stripe's objects and the heartbeat; the rest is named."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx
from tests.conformance.case import CaseError
from tests.conformance.comparison import differs
from tests.conformance.ctms import statements
from tests.conformance.ctms.case import Table
from tests.conformance.ctms.parts import has_setting
from tests.conformance.stage import BEFORE_DELIVERY, Stage
from tests.conformance.verdict import Notes

Json = Any
Row = Mapping[str, str]

CONTACT = "332de237-cab7-4461-bcc3-48e68f42bd5c"
OWNER = "6eb6ed6ac3b64259968aa490c6c0b9df"
TOKEN = "C4A7D759-BB52-457B-896B-90F1D3EF8433"
COST = {"recurring": {"interval": "month", "interval_count": 1}, "unit_amount": 1}
CUSTOMER = {
    "id": "cus_1",
    "object": "customer",
    "created": 1635176040,
    "description": OWNER,
    "default_source": None,
    "invoice_settings": {"default_payment_method": None},
}
SETTINGS = {
    "d13": "CTMS_ACOUSTIC_LOOP_MIN_SECS",
    "d14": "CTMS_BACKGROUND_HEALTHCHECK_PATH",
    "e08": "CTMS_ACOUSTIC_MAX_BACKLOG",
}
"""Settings without which a table, or its rows about limits, cannot run."""

NULL_TEXTS = ("product_name", "payment_type", "card_brand", "card_last4", "billing_country")
MAIN = {
    "bool": ("amo", "email_opt_in", "amo_email_opt_in"),
    "datetime": ("pinned", "email", "create_timestamp"),
    "date": ("amo", "last_login", "amo_last_login"),
}
"""By a type of the main table: a group's field that has it, and its column."""

CREATED = ("fxa", "created_date")
NONE = "no example of the table ran"
OTHER_RELEASE = "main_table_v3_3_0"


def why_not(table: Table) -> str | None:
    """Return why nothing of a table runs, None if a part does."""
    if table.kind not in ("d13", "d14"):
        return None
    setting = SETTINGS[table.kind]
    return f"no part can run: sync has no {setting}" if not has_setting(setting) else None


async def run(stage: Stage, table: Table, notes: Notes) -> str | None:
    """Run the examples that can run, and return the first difference.

    Raises:
        CaseError: the table's kind has no examples that run.
    """
    if table.kind not in _KINDS:
        raise CaseError(f"the runner lacks the examples of {table.kind}")
    return await _KINDS[table.kind](stage, table.content, notes)


async def _heartbeat(stage: Stage, content: Mapping[str, Json], notes: Notes) -> str | None:
    """Compare sync's heartbeat, in which the backlog has no part."""
    notes.not_compared.append("database.acoustic (sync's heartbeat has none)")
    notes.not_compared.append("members of the heartbeat but database (checks have other names)")
    rows = list(enumerate(content["cases"], start=1))
    left_out = {number: reason for number, row in rows if (reason := _why_no_heartbeat(row))}
    for reason in dict.fromkeys(left_out.values()):
        numbers = [str(number) for number, one in left_out.items() if one == reason]
        notes.not_run.append(f"rows {', '.join(numbers)}: {reason}")
    for number, row in rows:
        if number in left_out:
            continue
        if row.get("database") == "down":
            answer = await stage.heartbeat_without_database()
        else:
            await stage.control("POST", "/deliveries/pause")
            await stage.deliveries.seed_backlog(row["backlog"], row["retry_backlog"])
            answer = await stage.heartbeat()
        told = row.get("json") or ({} if "database" in row else content.get("json_shape", {}))
        if answer.status_code != row["expect"]:
            return f"row {number}: {row['expect']} expected, {answer.status_code} found"
        if "database" not in told:
            notes.not_compared.append(f"the heartbeat of row {number} (not in the case)")
            continue
        wanted = {name: value for name, value in told["database"].items() if name != "acoustic"}
        if difference := differs(wanted, answer.json()["database"], await stage.now(), "database"):
            return f"row {number}: {difference}"
    return None if len(left_out) < len(rows) else NONE


def _why_no_heartbeat(row: Mapping[str, Json]) -> str | None:
    if "backlog_query" in row:
        return "the heartbeat counts no backlog"
    if row.get("max_backlog") is None and row.get("max_retry_backlog") is None:
        return None
    setting = SETTINGS["e08"]
    return "the runner sets no limit" if has_setting(setting) else f"sync has no {setting}"


async def _conversions(stage: Stage, content: Mapping[str, Json], notes: Notes) -> str | None:
    """Compare values in Acoustic's columns, each sent by a contact or a subscription that has it."""
    if OTHER_RELEASE in content:
        notes.not_run.append(f"{OTHER_RELEASE}: another release's")
    ran = 0
    for where, value, wanted, made in _examples(content, notes):
        ran += 1
        found = await _shown(stage, made(value))
        if difference := differs(wanted, found, await stage.now(), f"{where} {value!r}"):
            return difference
    return None if ran else NONE


Made = tuple[Mapping[str, Json], Mapping[str, Json], str, str]
"""Fields of the contact's groups, fields of the subscription, and the table and column that show them."""


Example = tuple[str, Json, Json, Callable[[Json], Made]]
"""Its place in the table, the value, what is expected, and how a contact or a subscription gets it."""


def _examples(content: Mapping[str, Json], notes: Notes) -> Iterator[Example]:
    """Yield each example that can run."""
    yield from _of_products(content.get("product_table", {}), notes)
    yield from _of_main(content.get("main_table_v1_1_0", {}), notes)
    yield from _created_dates(content.get("fxa_created_date", []), notes)


def _of_products(table: Mapping[str, Json], notes: Notes) -> Iterator[Example]:
    for value, wanted in table.get("bool", []):
        if isinstance(value, bool):
            yield "product_table.bool", value, wanted, _of_subscription("cancel_at_period_end")
        else:
            notes.not_run.append(f"product_table.bool {value!r}: ingest refuses it")
    for value, wanted in table.get("timestamp", []):
        yield "product_table.timestamp", value, wanted, _of_subscription("canceled_at")
    for column, value, wanted in table.get("null_int", []):
        yield f"product_table.null_int {column}", value, wanted, _of_price(column)
    for column in NULL_TEXTS if "null_text" in table else ():
        yield "product_table.null_text", None, table["null_text"], _of_price(column)


def _of_main(table: Mapping[str, Json], notes: Notes) -> Iterator[Example]:
    words = [name for name in ("uuid", "none") if name in table]
    notes.not_compared += [f"main_table_v1_1_0.{name} (it is in words)" for name in words]
    for name, made in MAIN.items():
        for value, wanted in table.get(name, []):
            yield f"main_table.{name}", value, wanted, _of_contact(*made)
    if "uuid" in table:
        yield "main_table.uuid", TOKEN, TOKEN.lower(), _of_contact("email", "basket_token", "basket_token")
    if "none" in table:
        yield "main_table.none", None, "", _of_contact("email", "first_name", "first_name")


def _created_dates(examples: Sequence[Mapping[str, Json]], notes: Notes) -> Iterator[Example]:
    for one in examples:
        value = one["in"]
        if isinstance(value, int):
            notes.not_run.append(f"fxa_created_date {value!r}: contacts refuse it")
            continue
        if "sent" in one:
            yield "fxa_created_date.sent", value, one["sent"], _of_contact(*CREATED, "fxa_created_date")
        for name, wanted in one.get("log", {}).items():
            yield f"fxa_created_date.log.{name}", value, wanted, _of_contact(*CREATED, name, "log")


def _of_subscription(name: str) -> Callable[[Json], Made]:
    def make(value: Json) -> Made:
        at = value if not isinstance(value, str) else statements.seconds(value)
        return {}, {name: at}, "product", name

    return make


def _of_price(column: str) -> Callable[[Json], Made]:
    return lambda _: ({}, {"price": None}, "product", column)


def _of_contact(group: str, name: str, column: str, where: str = "main") -> Callable[[Json], Made]:
    return lambda value: ({group: {name: value}}, {}, where, column)


async def _shown(stage: Stage, made: Made) -> Json:
    """Store a contact, with a subscription where the value is one's; return the value as it was sent."""
    groups, subscription, where, column = made
    await stage.empty()
    await stage.control("POST", "/deliveries/pause")
    await _store(stage, "/ctms", _contact(groups))
    if subscription:
        await _store(stage, "/stripe", CUSTOMER)
        await _store(stage, "/stripe", _subscription(subscription))
    await stage.wait_until_none(*BEFORE_DELIVERY)
    for value in groups.get("pinned", {}).values():
        await stage.run_sql(f"update emails set create_timestamp='{value}'")
    window = await stage.deliver()
    if where == "log":
        return next((line[column] for line in window.lines if column in line), None)
    rows = [row for call in window.calls if call["table"] == where for row in call["rows"]]
    if len(rows) != 1:
        raise CaseError(f"{len(rows)} rows of the {where} table were sent")
    return rows[0].get(column)


async def _store(stage: Stage, path: str, body: Json) -> None:
    headers = {"Authorization": f"Bearer {await stage.token()}"}
    answer = await stage.request("POST", path, json=body, headers=headers)
    if answer.status_code not in (httpx.codes.OK, httpx.codes.CREATED):
        raise CaseError(f"{path} answered an example with {answer.status_code}: {answer.text[:200]}")


def _contact(groups: Mapping[str, Json]) -> Json:
    email = {"email_id": CONTACT, "primary_email": "contact@example.com", **groups.get("email", {})}
    fxa = {"fxa_id": OWNER, **groups.get("fxa", {})}
    return {"email": email, "fxa": fxa, "amo": {"user_id": "98765", **groups.get("amo", {})}}


def _subscription(given: Mapping[str, Json]) -> Json:
    price = {
        "id": "price_1",
        "object": "price",
        "created": 1603795500,
        "product": "prod_1",
        "active": True,
        "currency": "usd",
        **({} if "price" in given else COST),
    }
    item = {
        "id": "si_1",
        "object": "subscription_item",
        "created": 1632700800,
        "subscription": "sub_1",
        "price": price,
    }
    return {
        "id": "sub_1",
        "object": "subscription",
        "created": 1632700800,
        "customer": CUSTOMER["id"],
        "cancel_at_period_end": False,
        "canceled_at": None,
        "current_period_start": 1635292800,
        "current_period_end": 1637971200,
        "ended_at": None,
        "start_date": 1632700800,
        "status": "active",
        "default_source": None,
        "default_payment_method": None,
        "items": {"object": "list", "has_more": False, "data": [item]},
        **{name: value for name, value in given.items() if name != "price"},
    }


_KINDS: Mapping[str, Callable[[Stage, Mapping[str, Json], Notes], Awaitable[str | None]]] = {
    "d15": _conversions,
    "e08": _heartbeat,
}
