"""Running one case: each row's state is brought about, its request sent, and the answer compared."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from tests.conformance.case import CaseError
from tests.conformance.comparison import differs
from tests.conformance.stage import Stage
from tests.conformance.zed import calls, deviations
from tests.conformance.zed.case import (
    ABOUT_A_USER,
    Row,
    User,
    ZedCase,
    authorization_of,
    github_id,
    subscriptions_of,
)
from tests.conformance.zed.shop import KIND, Shop

Json = Any

NOT_IN_THE_BODY = frozenset({"stripe_calls", "response_keys", "response", "local"})
READING = "GET"
HTTP_METHODS_WITH_QUERY = (READING, "DELETE")

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""No case of this format speaks of the present."""

SOMEBODY = User("a@example.com", "octo")


class Runner:
    """Runs one case in a shop, and what needs a shop without Stripe at a stage without one."""

    def __init__(self, shop: Shop, unconfigured: Callable[[], Awaitable[Stage]], case: ZedCase) -> None:
        self._shop = shop
        self._unconfigured = unconfigured
        self._case = case
        self._names: dict[str, str] = {}
        """What the case's ids are called here."""
        self.deviations: list[str] = []
        """How answers deviated, as is documented."""

    async def run(self) -> str | None:
        """Run the case and return the first difference, None if there is none."""
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
        if isinstance(content.get("billing_customer"), str):
            self._names[content["billing_customer"]] = customer
        if content.get("overdue"):
            self._shop.owe(customer)
        for told in subscriptions_of(content):
            owner = told.get("customer") or told.get("stripe_customer_id")
            if owner in (None, content.get("billing_customer")):
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
        is_configured = row.content.get("stripe_configured") is not False
        stage = self._shop.stage if is_configured else await self._unconfigured()
        before = len(self._shop.acts)
        answer = await stage.request(row.method, row.path, **await self._spoken(stage, row))
        difference = self._compare_answer(row.content, answer)
        expected = row.content.get("expect") or {}
        if difference is None and "stripe_calls" in expected:
            wanted = [call for call in map(calls.read, expected["stripe_calls"]) if call.method != READING]
            difference = calls.differ(wanted, self._shop.acts[before:], self._names)
        if difference is None and "local" in expected:
            difference = await self._compare_tie(row)
        return difference

    async def _spoken(self, stage: Stage, row: Row) -> dict[str, Json]:
        """Return what a request says, with Stripe's ids for subscriptions."""
        authorization = authorization_of(row.content, await stage.token())
        headers = {} if authorization is None else {"Authorization": authorization}
        said = {**(row.content.get("query") or {})}
        body = row.content.get("body")
        if row.method in HTTP_METHODS_WITH_QUERY:
            return {"headers": headers, "params": {**said, **(body or {})}}
        if isinstance(body, Mapping) and body.get("subscription_id") is not None:
            name = str(body["subscription_id"])
            body = {**body, "subscription_id": self._names.get(name, f"sub_unknown{name}")}
        return {"headers": headers, "params": said, "json": body}

    def _compare_answer(self, row: Mapping[str, Json], answer: httpx.Response) -> str | None:
        found = _json(answer)
        detail = found.get("detail") if isinstance(found, Mapping) else None
        status, text = row.get("status", answer.status_code), row.get("msg")
        if status != answer.status_code or (text is not None and text != detail):
            deviation = deviations.allowed(status, text, answer.status_code, detail)
            if deviation is None:
                wanted = f"{status} {text}" if text else str(status)
                return f"{wanted} expected, {answer.status_code} {str(found)[:200]} found"
            self.deviations.append(deviation)
            return None
        expected = row.get("expect") or {}
        missing = sorted({*expected.get("response_keys", [])} - {*(found or {})})
        if missing:
            return f"{missing[0]} is absent"
        body = {name: value for name, value in expected.items() if name not in NOT_IN_THE_BODY}
        return differs(self._ours({**body, **expected.get("response", {})}), found, _NEVER, "body")

    def _ours(self, value: Json, name: str = "") -> Json:
        """Return a value with our ids in place of the case's."""
        if isinstance(value, Mapping):
            return {key: self._ours(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [self._ours(one, name) for one in value]
        return self._names.get(str(value), value) if name == "id" else value

    async def _compare_tie(self, row: Row) -> str | None:
        """Compare what a case says in words: the customer that was sent to checkout is the account's."""
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
        wanted = {"status": row["local"], "is_cancelable": row["cancelable"]}
        difference = differs({"subscriptions": [wanted]}, listed.json(), _NEVER, "body")
        if difference is not None:
            return difference
        bought = await self._shop.stage.request(
            "POST", "/billing/subscriptions", json={"github_user_id": number}, **asked
        )
        # Both of the columns are allowed; ours is the shipped one.
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
