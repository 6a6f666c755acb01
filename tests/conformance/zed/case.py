"""Case files of the format of `zed-fabric-zulip`: what one holds, as far as it is about Zed; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conformance.case import CaseError

Json = Any

CONDITIONS = frozenset(
    {
        "user",
        "billing_customer",
        "active_subscription",
        "active_subscriptions",
        "subscriptions",
        "billing_subscriptions",
        "overdue",
        "stripe_configured",
    }
)
"""What a row may say of the state before it, and what is given for every row that does not."""

OF_A_SUBSCRIPTION = frozenset(
    {"id", "stripe_subscription_id", "stripe_id", "status", "cancel_at", "customer", "stripe_customer_id"}
)
CREDENTIALS = ("authorization", "header", "auth")
NO_CREDENTIALS = (None, "", "none", "absent", "missing")
SCHEME = "token "
OUR_TOKEN = ("<api_token>", "<ADMIN_TOKEN>", "admin token")

SAID = frozenset({"op", "endpoint", "request", "method", "path", "query", "body", *CREDENTIALS})
EXPECTED = frozenset({"status", "msg", "expect"})
TOLD = frozenset({"profile", "note", "notes"})
GIVEN = frozenset({"endpoint", "request", "auth", "users", "now", *CONDITIONS})

MEMBERS = frozenset(
    {"id", "area", "kind", "profile", "title", "source", "given", "steps", "table", "expect", "notes", "note"}
)
OF_A_USER = frozenset({"email", "github_login", "login", "github_user_id"})
EXPECTED_OF_A_ROW = frozenset(
    {
        *("stripe_calls", "response_keys", "response", "local", "subscriptions"),
        *("checkout_session_url", "billing_portal_session_url"),
    }
)
STATUS_COLUMNS = frozenset({"stripe", "local", "active_seed", "active_shipped", "cancelable"})

ABOUT_A_USER = CONDITIONS - {"user", "stripe_configured"}
"""Conditions that hold of a user only, who is there even where nothing else says so."""


@dataclass(frozen=True)
class User:
    """Somebody of the application's, as it registers them."""

    email: str
    login: str


@dataclass(frozen=True)
class Row:
    """One request, with the state before it and what is expected."""

    number: int
    method: str
    path: str
    content: Mapping[str, Json]


@dataclass(frozen=True)
class ZedCase:
    """One case: rows that are independent of each other, steps of one story, or a table of statuses."""

    name: str
    users: Mapping[int, User]
    rows: Sequence[Row]
    is_story: bool
    statuses: Sequence[Mapping[str, Json]]


def is_one(content: Json) -> bool:
    """Whether a file's content is of this format."""
    return isinstance(content, Mapping) and {"area", "kind"} <= content.keys()


def is_status_table(content: Mapping[str, Json]) -> bool:
    """Whether it is the table that says what each status of Stripe's means."""
    rows = content.get("table") or [{}]
    return all({"stripe", "local"} <= row.keys() <= STATUS_COLUMNS | TOLD for row in rows)


def requests_of(content: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield the method and the path of each row or step.

    Raises:
        CaseError: one has none.
    """
    for row in _rows_of(content):
        given = content.get("given", {})
        lines = (said.get(name) for said in (row, given) for name in ("request", "endpoint"))
        line = next(filter(None, lines), "")
        if "path" in row:
            line = f"{row.get('method', 'GET')} {row['path']}"
        method, blank, path = line.partition(" ")
        if not blank:
            raise CaseError("a row without a request")
        yield method, path


def read(name: str, content: Mapping[str, Json]) -> ZedCase:
    """Return the case that a file's content is.

    Raises:
        CaseError: it is none.
    """
    if is_status_table(content):
        return ZedCase(name, {}, [], is_story=False, statuses=content["table"])
    requests, contents = [*requests_of(content)], _rows_of(content)
    rows = [
        Row(number, method, path, row)
        for number, ((method, path), row) in enumerate(zip(requests, contents, strict=True), start=1)
    ]
    return ZedCase(name, _users(content), rows, is_story="steps" in content, statuses=[])


def github_id(row: Mapping[str, Json]) -> int | None:
    """Return whom a row's request is about, None where it does not say."""
    asked = {**(row.get("query") or {}), **(row.get("body") or {})}.get("github_user_id")
    return asked if isinstance(asked, int) else None


def customer_of(row: Mapping[str, Json]) -> str | None:
    """Return the case's id of a user's customer, None where the row has none."""
    found = row.get("billing_customer")
    if isinstance(found, Mapping):
        found = found.get("stripe_customer_id")
    return found if isinstance(found, str) else None


def subscriptions_of(row: Mapping[str, Json]) -> Sequence[Mapping[str, Json]]:
    """Return what a row says of subscriptions; each whose customer is another one is a stranger's."""
    names = ("subscriptions", "billing_subscriptions", "active_subscriptions", "active_subscription")
    found = next((row[name] for name in names if isinstance(row.get(name), list | Mapping)), None)
    if found:
        found = [found] if isinstance(found, Mapping) else found
        return [one if isinstance(one, Mapping) else {"stripe_subscription_id": one} for one in found]
    count = int(row.get("active_subscriptions") or row.get("active_subscription") or 0)
    if not count and row.get("overdue"):
        return [{"status": "past_due"}]
    return [{"status": "active"}] * count


def authorization_of(row: Mapping[str, Json], token: str) -> str | None:
    """Return the header `Authorization` of a row's request as the case has it, None if it has none.

    An administrator's token is sent by the references' scheme, `token X`.
    """
    name = next((name for name in CREDENTIALS if name in row), None)
    if name is None or row[name] == "admin token":
        return f"{SCHEME}{token}"
    if row[name] in NO_CREDENTIALS:
        return None
    given: str = row[name]
    for ours in OUR_TOKEN:
        given = given.replace(ours, token)
    return given


def _rows_of(content: Mapping[str, Json]) -> Sequence[Mapping[str, Json]]:
    given = {name: value for name, value in content.get("given", {}).items() if name in {*CONDITIONS, "auth"}}
    return [{**given, **row} for row in (*content.get("table", []), *content.get("steps", []))]


def _users(content: Mapping[str, Json]) -> dict[int, User]:
    """Return who is there: those that are named, and those of whom a state is told."""
    named = content.get("given", {}).get("users", [])
    found = {user["github_user_id"]: _user(user["github_user_id"], user) for user in named}
    # What is given for every row is told of the first row's user.
    for row in (*_rows_of(content)[:1], *content.get("table", []), *content.get("steps", [])):
        number = github_id(row)
        if number is None or number in found:
            continue
        if row.get("user") or any(row.get(name) for name in ABOUT_A_USER):
            found[number] = _user(number, row.get("user") or {})
    return found


def _user(number: int, told: Mapping[str, Json]) -> User:
    login = told.get("github_login") or told.get("login") or f"user-{number}"
    return User(told.get("email") or f"user-{number}@example.com", login)
