"""Running one case: setup, steps, and what must hold at the end."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from tests.conformance import mirror, requests, statements
from tests.conformance.case import Case, CaseError, Step
from tests.conformance.comparison import answer_differs, rows_differ
from tests.conformance.stage import BEFORE_DELIVERY, DELIVERING, Stage

Json = Any

_PASSED_ON = {"json", "form", "raw_body"}
_LATE_SECONDS = 0.001


class Runner:
    """Runs one case on an emptied stage."""

    def __init__(self, stage: Stage, case: Case) -> None:
        self._stage = stage
        self._case = case
        self._tokens: dict[str, str] = {}
        self._answer: Json = None

    async def run(self) -> str | None:
        """Run the case and return the first difference, None if there is none."""
        await self._set_up()
        for step in self._case.steps:
            difference = await self._run_step(step)
            if difference is not None:
                return f"step {step.number}: {difference}"
        await self._stage.wait_until_none(*BEFORE_DELIVERY)
        return await self._compare_final()

    async def _set_up(self) -> None:
        """Make the contacts, have them delivered, and deliver nothing more."""
        await self._stage.add_clients(self._case.api_clients)
        headers = {"Authorization": f"Bearer {await self._stage.token()}"}
        created = []
        for contact in self._case.contacts:
            answer = await self._stage.request("POST", "/ctms", json=contact, headers=headers)
            if answer.status_code != httpx.codes.CREATED:
                raise CaseError(f"a contact of the setup was answered with {answer.status_code}")
            created.append(answer.json()["email"]["email_id"])
        await self._stage.wait_until_none(*BEFORE_DELIVERY, *DELIVERING)
        await self._stage.control("POST", "/deliveries/pause")
        pending = [one for one in self._case.sql_after_contacts if statements.makes_pending(one)]
        others = [one for one in self._case.sql_after_contacts if one not in pending]
        for statement in others:
            await self._run_sql(statement)
        if others:
            # Acoustic has to know what the statements changed, so that only the steps make a difference.
            await self._stage.want(created)
            await self._stage.deliver()
        for statement in pending:
            await self._run_sql(statement)

    async def _run_step(self, step: Step) -> str | None:
        if step.kind == "sql":
            await self._run_sql(step.action)
            return None
        if step.kind == "acoustic_sync_cycle":
            return await self._run_cycle(step)
        difference = await self._run_http(step)
        await self._stage.wait_until_none(*BEFORE_DELIVERY)
        return difference

    async def _run_sql(self, statement: str) -> None:
        if statements.forgets_all(statement):
            # What is forgotten is no difference that a later step makes.
            await self._stage.deliver()
        await statements.run(statement, self._stage.tables, await self._stage.now())

    async def _run_http(self, step: Step) -> str | None:
        action = step.action
        after = self._answer.get("after") if isinstance(self._answer, Mapping) else None
        path = action["path"].replace("<AFTER_FROM_PREVIOUS>", str(after))
        answer = await self._stage.request(action["method"], path, **await self._spoken(action))
        try:
            self._answer = answer.json()
        except ValueError:
            self._answer = answer.text
        if "save_as" in action and answer.is_success:
            self._tokens[action["save_as"]] = self._answer["access_token"]
        now = await self._stage.now()
        return answer_differs(step.expected, answer.status_code, self._answer, answer.headers, now)

    async def _spoken(self, action: Mapping[str, Json]) -> dict[str, Json]:
        """Return what a request says: its body, its credentials, its headers."""
        headers = dict(action.get("headers", {}))
        if "bearer_of" in action:
            headers["Authorization"] = f"Bearer {self._tokens[action['bearer_of']]}"
        elif action.get("auth") == "client":
            headers.setdefault("Authorization", f"Bearer {await self._stage.token()}")
        spoken: dict[str, Json] = {"headers": headers}
        names = {"json": "json", "form": "data", "raw_body": "content"}
        spoken |= {names[name]: action[name] for name in _PASSED_ON if name in action}
        if "json" in action and action["json"] is None:
            # httpx takes None for no body at all.
            spoken |= {"content": "null", "headers": {"Content-Type": "application/json", **headers}}
        if "basic" in action:
            spoken["auth"] = tuple(action["basic"])
        return spoken

    async def _run_cycle(self, step: Step) -> str | None:
        """Deliver what is due, with everything sent whole, and compare the calls of that window."""
        await self._stage.forget_bases()
        await self._stage.make_retries_due()
        for response in step.action.get("mock_responses", []):
            await self._stage.control("POST", "/faults", json=_fault(response))
        received = await self._stage.deliver()
        await self._stage.control("DELETE", "/faults")
        now = await self._stage.now()
        difference = None
        if "acoustic_requests" in step.expected:
            difference = requests.of_contacts(step.expected["acoustic_requests"], received, now)
        if difference is None and "product_rows" in step.expected:
            difference = requests.of_products(step.expected["product_rows"], received, now)
        return difference

    async def _compare_final(self) -> str | None:
        final, now = self._case.final, await self._stage.now()
        difference = None
        if "pending_acoustic" in final:
            difference = await self._compare_pending([_pending(one) for one in final["pending_acoustic"]])
            difference = difference and f"pending_acoustic: {difference}"
        if difference is None and "stripe_rows" in final:
            whole = _whole_again(self._case.steps)
            difference = await mirror.differs(self._stage.tables, final["stripe_rows"], whole, now)
        if difference is None and final.get("products"):
            difference = await self._compare_products(final["products"])
        return difference

    async def _compare_pending(self, expected: Sequence[Mapping[str, Json]]) -> str | None:
        """Compare who is to be delivered.

        CTMS wants a contact at every word of Stripe's; here one of whom nothing changed is not wanted. That
        nothing changed is shown by delivering what differs from what was sent last: nothing is sent.
        """
        pending = await self._stage.pending()
        ours = {one["email_id"] for one in pending}
        unchanged = [one["email_id"] for one in expected if one["email_id"] not in ours and not one["retry"]]
        wanted = [one for one in expected if one["email_id"] not in unchanged]
        difference = rows_differ(wanted, pending, "email_id", await self._stage.now())
        if difference is None and unchanged:
            await self._stage.want(unchanged)
            received = await self._stage.deliver()
            sent = {one["rows"][0].get("email_id") for one in received} & {*unchanged}
            difference = f"email_id {min(sent)} is absent, though something of it changed" if sent else None
        return difference

    async def _compare_products(self, products: Mapping[str, Sequence[Mapping[str, Json]]]) -> str | None:
        """Compare what each contact has, read from sending all of it once more."""
        await self._stage.want_in_full([*products])
        received = await self._stage.deliver()
        sent = {one["rows"][0].get("email_id") for one in received if one["operation"] == "AddRecipient"}
        if missing := sorted(products.keys() - sent):
            return f"products: {missing[0]} was not sent at all"
        rows = [requests.wire(email_id, row) for email_id, some in products.items() for row in some]
        difference = requests.of_products(rows, received, await self._stage.now())
        return difference and f"products: {difference}"


def _fault(response: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fault that makes Acoustic answer so, once."""
    fault = {"target": "acoustic", "path": "XMLAPI", "remaining": 1}
    if "raise" in response:
        return {**fault, "kind": "lose_answer"}
    if "body" in response or "status" in response:
        status, body = response.get("status", 200), response.get("body", "")
        return {**fault, "kind": "replace_answer", "status": status, "body": body}
    # As usual, but it has its turn.
    return {**fault, "kind": "delay", "delay_seconds": _LATE_SECONDS}


def _pending(one: Mapping[str, Json]) -> dict[str, Json]:
    return {"email_id": one["email_id"], "retry": one.get("retry", 0)}


def _whole_again(steps: Sequence[Step]) -> set[str]:
    """Return the customers that came whole after they had come as deleted."""
    deleted: set[str] = set()
    whole: set[str] = set()
    for step in steps:
        about = step.action.get("json") if step.kind == "http" else None
        if not isinstance(about, Mapping) or about.get("object") != "customer":
            continue
        if about.get("deleted") is True:
            deleted.add(about["id"])
            whole.discard(about["id"])
        elif about.get("id") in deleted:
            whole.add(about["id"])
    return whole
