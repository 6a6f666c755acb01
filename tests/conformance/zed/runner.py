"""Running one case: each row's state is brought about, its request sent, and the answer compared."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from tests.conformance.case import CaseError
from tests.conformance.comparison import differs
from tests.conformance.ctms.answers import Answer, problem_differs
from tests.conformance.ctms.parts import is_served
from tests.conformance.deviations import answered_instead
from tests.conformance.stage import Stage
from tests.conformance.verdict import Notes
from tests.conformance.zed import calls
from tests.conformance.zed.case import (
    ABOUT_A_USER,
    SCHEME,
    Row,
    User,
    ZedCase,
    authorization_of,
    customer_of,
    github_id,
    subscriptions_of,
)
from tests.conformance.zed.shop import KIND, Shop

Json = Any

NOT_IN_THE_BODY = frozenset({"stripe_calls", "response_keys", "response", "local"})
READING = "GET"
LISTED, TRIAL = "subscriptions", "trial_end_at"
STATUS = {"local": "status", "cancelable": "is_cancelable"}
HTTP_METHODS_WITH_QUERY = (READING, "DELETE")

PROBLEM_MEMBERS: Mapping[int, list[str]] = {
    httpx.codes.PAYMENT_REQUIRED: ["debts"],
    httpx.codes.UNPROCESSABLE_ENTITY: ["errors"],
}
"""Members of a problem by its status, besides those that each problem has."""

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""No case of this format speaks of the present."""

SOMEBODY = User("a@example.com", "octo")


class Runner:
    """Runs one case in a shop, and what needs a shop without Stripe at a stage without one."""

    def __init__(
        self, shop: Shop, unconfigured: Callable[[], Awaitable[Stage]], case: ZedCase, notes: Notes
    ) -> None:
        self._shop = shop
        self._unconfigured = unconfigured
        self._case = case
        self._notes = notes
        self._names: dict[str, str] = {}
        """Our ids by the case's."""
        self._not_given: dict[str, list[int]] = {}
        """Rows by what they do not give."""

    async def run(self) -> str | None:
        """Run the case and return the first difference, None if there is none."""
        difference = await self._first_difference()
        for name, rows in self._not_given.items():
            self._notes.not_compared.append(f"{name} (not given in rows {', '.join(map(str, rows))})")
        return difference

    async def _first_difference(self) -> str | None:
        for number, status in enumerate(self._case.statuses, start=1):
            if difference := await self._compare_status(number, status):
                return f"row {number}: {difference}"
        for row in self._case.rows:
            if not self._case.is_story or row.number == 1:
                await self._begin()
            await self._bring_about(row)
            if difference := await self._play(row):
                return f"row {row.number}: {difference}"
        return None

    async def _begin(self) -> None:
        """Have the case's users registered, and nothing else."""
        self._names = {}
        await self._shop.forget()
        for number, user in self._case.users.items():
            await _register(self._shop.stage, number, user)

    async def _bring_about(self, row: Row) -> None:
        content, number = row.content, github_id(row.content)
        if content.get("stripe_configured") is False:
            await self._register_unconfigured()
        is_known = number in self._case.users
        if number is None or not is_known or not any(content.get(name) for name in ABOUT_A_USER):
            return
        customer = await self._shop.add_customer(number, self._case.users[number])
        named = customer_of(content)
        if named is not None:
            self._names[named] = customer
        if content.get("overdue"):
            self._shop.owe(customer)
        for told in subscriptions_of(content):
            owner = told.get("customer") or told.get("stripe_customer_id")
            if owner in (None, named):
                await self._add_subscription(customer, told)
            else:
                await self._add_subscription(await self._shop.add_stranger(), told)
        await self._shop.settle()

    async def _register_unconfigured(self) -> None:
        stage = await self._unconfigured()
        await stage.tables.execute("DELETE FROM billing.account")
        for number, user in self._case.users.items():
            await _register(stage, number, user)

    async def _add_subscription(self, customer: str, told: Mapping[str, Json]) -> str:
        found = await self._shop.add_subscription(customer, told)
        for name in ("id", "stripe_subscription_id", "stripe_id"):
            if name in told:
                self._names[str(told[name])] = found
        return found

    async def _play(self, row: Row) -> str | None:
        if not is_served(row.method, row.path):
            self._notes.not_run.append(f"row {row.number} ({row.method} {row.path} does not exist)")
            return None
        is_configured = row.content.get("stripe_configured") is not False
        stage = self._shop.stage if is_configured else await self._unconfigured()
        before = len(self._shop.acts)
        answer = await self._send(stage, row)
        difference = answer if isinstance(answer, str) else self._compare_answer(row, answer)
        expected = row.content.get("expect") or {}
        if "stripe_calls" not in expected and row.method != READING:
            self._not_given.setdefault("calls to Stripe", []).append(row.number)
        if difference is None and "stripe_calls" in expected:
            difference = self._compare_calls(expected["stripe_calls"], before)
        if difference is None and "local" in expected:
            difference = await self._compare_tie(row)
        return difference

    async def _send(self, stage: Stage, row: Row) -> Answer | str:
        """Send a request as the case has it; one with another scheme than OAuth's is refused, then resent."""
        authorization = authorization_of(row.content, await stage.token())
        answer = await self._send_as(stage, row, authorization)
        if authorization is None or not authorization.startswith(SCHEME):
            return answer
        self._notes.deviate("token_scheme")
        detail = answer.body.get("detail") if isinstance(answer.body, Mapping) else None
        if (answer.status, detail) != (httpx.codes.UNAUTHORIZED, "Not authenticated"):
            return f"by `token`: 401 Not authenticated expected, {answer.status} {detail} found"
        return await self._send_as(stage, row, f"Bearer {authorization.removeprefix(SCHEME)}")

    async def _send_as(self, stage: Stage, row: Row, authorization: str | None) -> Answer:
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = await stage.request(row.method, row.path, headers=headers, **self._content(row))
        return Answer(row.path, answer.status_code, _json(answer), answer.headers)

    def _content(self, row: Row) -> dict[str, Json]:
        """Return query and body of a request, with Stripe's ids for subscriptions."""
        query = {**(row.content.get("query") or {})}
        body = row.content.get("body")
        if row.method in HTTP_METHODS_WITH_QUERY:
            return {"params": {**query, **(body or {})}}
        if isinstance(body, Mapping) and body.get("subscription_id") is not None:
            name = str(body["subscription_id"])
            body = {**body, "subscription_id": self._names.get(name, f"sub_unknown{name}")}
        return {"params": query, "json": body}

    def _compare_calls(self, lines: Sequence[str], before: int) -> str | None:
        wanted = [*map(calls.read, lines)]
        if any(call.method == READING for call in wanted):
            self._notes.not_compared.append("reading calls to Stripe")
        acting = [call for call in wanted if call.method != READING]
        return calls.differ(acting, self._shop.acts[before:], self._names, self._notes)

    def _compare_answer(self, row: Row, answer: Answer) -> str | None:
        detail = answer.body.get("detail") if isinstance(answer.body, Mapping) else None
        status, text = row.content.get("status", answer.status), row.content.get("msg")
        if status != answer.status or (text is not None and text != detail):
            deviation = answered_instead(status, text, answer.status, detail)
            if deviation is None:
                wanted = f"{status} {text}" if text else str(status)
                return f"{wanted} expected, {answer.status} {str(answer.body)[:200]} found"
            self._notes.documented.append(deviation)
        if answer.status >= httpx.codes.BAD_REQUEST:
            self._notes.deviate("problem")
            if answer.status == httpx.codes.PAYMENT_REQUIRED:
                self._notes.deviate("named_debts")
            return problem_differs(answer, PROBLEM_MEMBERS.get(answer.status, []))
        return self._compare_body(row, row.content.get("expect") or {}, answer.body)

    def _compare_body(self, row: Row, expected: Mapping[str, Json], found: Json) -> str | None:
        """Compare the members that a case gives, or the names alone, and that there are no others."""
        members = {name: value for name, value in expected.items() if name not in NOT_IN_THE_BODY}
        members |= expected.get("response", {})
        named = dict.fromkeys(expected.get("response_keys", []), "<any>")
        if len(named) < len(expected.get("response_keys", [])):
            return "response_keys: one comes twice"
        if not members and not named:
            self._not_given.setdefault("the body", []).append(row.number)
            return None
        wanted = self._ours({**named, **members})
        return differs(wanted, self._without_trials(wanted, found), _NEVER, "body")

    def _without_trials(self, wanted: Json, found: Json) -> Json:
        """Return a list of subscriptions without the ends of trials that the case does not give."""
        if not isinstance(found, Mapping) or not isinstance(found.get(LISTED), list):
            return found
        has_trials = any(TRIAL in one for one in wanted.get(LISTED) or [])
        are_ends = all(isinstance(one.get(TRIAL, 0), str | None) for one in found[LISTED])
        if has_trials or not are_ends or not found[LISTED]:
            return found
        self._notes.deviate("trial_end")
        shown = [{name: value for name, value in one.items() if name != TRIAL} for one in found[LISTED]]
        return {**found, LISTED: shown}

    def _ours(self, value: Json, name: str = "") -> Json:
        """Return a value with our ids in place of the case's."""
        if isinstance(value, Mapping):
            return {key: self._ours(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [self._ours(one, name) for one in value]
        return self._names.get(str(value), value) if name == "id" else value

    async def _compare_tie(self, row: Row) -> str | None:
        """Compare what a case says in words: the customer that was sent to checkout is the account's."""
        self._notes.not_compared.append("expect.local (it is in words; the account's customer is compared)")
        sent = [call.params.get("customer") for call in self._shop.acts if call.path.endswith("/sessions")]
        path = f"/billing/accounts/{KIND}/{github_id(row.content)}"
        headers = {"Authorization": f"Bearer {await self._shop.stage.token()}"}
        account = (await self._shop.stage.request("GET", path, headers=headers)).json()
        is_tied = bool(sent) and sent[-1] == account.get("stripe_customer_id")
        return None if is_tied else f"the account has {account.get('stripe_customer_id')}, not {sent}"

    async def _compare_status(self, number: int, row: Mapping[str, Json]) -> str | None:
        """Compare what one status means: as it is listed, and whether its user may buy another one."""
        await self._begin()
        await _register(self._shop.stage, number, SOMEBODY)
        customer = await self._shop.add_customer(number, SOMEBODY)
        await self._shop.add_subscription(customer, {"status": row["stripe"]})
        await self._shop.settle()
        asked = {"headers": {"Authorization": f"Bearer {await self._shop.stage.token()}"}}
        listed = await self._shop.stage.request(
            "GET", "/billing/subscriptions", params={"github_user_id": number}, **asked
        )
        told = {ours: row[theirs] for theirs, ours in STATUS.items() if theirs in row}
        found = listed.json()["subscriptions"]
        shown = [{name: one.get(name) for name in told} for one in found]
        difference = differs([told], shown, _NEVER, "subscriptions")
        if difference is not None:
            return difference
        bought = await self._shop.stage.request(
            "POST", "/billing/subscriptions", json={"github_user_id": number}, **asked
        )
        # Both columns are allowed; ours is the shipped one.
        if "active_shipped" in row and "active_seed" in row:
            self._notes.not_compared.append("active_seed (active_shipped holds)")
        is_active = row.get("active_shipped", row.get("active_seed"))
        expected = httpx.codes.CONFLICT if is_active else httpx.codes.OK
        if bought.status_code != expected:
            return f"{row['stripe']}: buying answered {bought.status_code}, {int(expected)} expected"
        return None


async def _register(stage: Stage, number: int, user: User) -> None:
    answer = await stage.request(
        "PUT",
        f"/billing/accounts/{KIND}/{number}",
        json={"email": user.email, "login": user.login},
        headers={"Authorization": f"Bearer {await stage.token()}"},
    )
    if not answer.is_success:
        raise CaseError(f"a user could not be registered: {answer.status_code}")


def _json(answer: httpx.Response) -> Json:
    try:
        return answer.json()
    except ValueError:
        return {}
