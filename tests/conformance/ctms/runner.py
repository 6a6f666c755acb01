"""Running one case: setup, then its steps; `final` compares the state at the end."""

from collections.abc import Mapping
from typing import Any

import httpx
from tests.conformance.case import CaseError
from tests.conformance.ctms import answers, payloads, pushes, statements
from tests.conformance.ctms.answers import Answer
from tests.conformance.ctms.case import Case, Step
from tests.conformance.ctms.final import compare_final
from tests.conformance.ctms.parts import PUSH, Plan
from tests.conformance.ctms.payloads import Payloads
from tests.conformance.ctms.records import log_differs
from tests.conformance.ctms.windows import run_cycle
from tests.conformance.stage import BEFORE_DELIVERY, DELIVERING, Stage
from tests.conformance.verdict import Notes

Json = Any

BODIES = {"json": "json", "form": "data", "raw_body": "content"}
GRANT = {"grant_type": "client_credentials"}
TOKEN = "t"  # the name of a token that a case saves under none
LATER_LOG = "log of releases since v1.1.2"


class Runner:
    """Runs one case on an emptied stage."""

    def __init__(self, stage: Stage, case: Case, plan: Plan, notes: Notes) -> None:
        self._stage = stage
        self._case = case
        self._plan = plan
        self._notes = notes
        self._payloads = Payloads()
        self._tokens: dict[str, str] = {}
        self._last: Json = None

    async def run(self) -> str | None:
        """Run the case and return the first difference, None if there is none."""
        self._notes.not_run += self._plan.not_run
        await self._set_up()
        for step in self._plan.steps:
            if difference := await self._run_step(step):
                return f"step {step.number}: {difference}"
        if not self._plan.whole:
            self._notes.not_run.append("final")
            return None
        await self._stage.wait_until_none(*BEFORE_DELIVERY)
        return await compare_final(self._stage, self._case.final, self._payloads, self._notes)

    async def _set_up(self) -> None:
        """Create the contacts, deliver them, and pause deliveries."""
        await self._stage.add_clients(self._case.api_clients)
        created = [await self._create(contact) for contact in self._case.contacts]
        await self._stage.wait_until_none(*BEFORE_DELIVERY, *DELIVERING)
        await self._stage.control("POST", "/deliveries/pause")
        pending = [one for one in self._case.sql_after_contacts if statements.makes_pending(one)]
        others = [one for one in self._case.sql_after_contacts if one not in pending]
        for statement in others:
            await self._run_sql(statement)
        if others:
            # Acoustic has to know what the statements changed, so that only the steps make a difference.
            await self._stage.deliveries.want(created)
            await self._stage.deliver()
        for statement in pending:
            await self._run_sql(statement)

    async def _create(self, contact: Json) -> str:
        headers = {"Authorization": f"Bearer {await self._stage.token()}"}
        answer = await self._stage.request("POST", "/ctms", json=contact, headers=headers)
        if answer.status_code != httpx.codes.CREATED:
            raise CaseError(f"a contact of the setup was answered with {answer.status_code}: {answer.text}")
        found: str = answer.json()["email"]["email_id"]
        return found

    async def _run_step(self, step: Step) -> str | None:
        if step.has_later_log:
            self._notes.not_compared.append(LATER_LOG)
        if step.kind == "sql":
            await self._run_sql(step.action)
            return None
        if step.kind == "acoustic_sync_cycle":
            return await run_cycle(self._stage, step, self._payloads, self._notes)
        if not step.expected:
            self._notes.not_compared.append(f"step {step.number} (nothing is expected)")
        run = self._run_push if step.kind == "pubsub_payload" else self._run_http
        difference = await run(step)
        self._payloads.add(payloads.objects_of(step))
        await self._stage.wait_until_none(*BEFORE_DELIVERY)
        return difference

    async def _run_sql(self, statement: str) -> None:
        if statements.forgets_all(statement):
            # What is forgotten is no difference that a later step makes.
            await self._stage.deliver()
        await self._stage.run_sql(statement)

    async def _run_push(self, step: Step) -> str | None:
        """Send the objects of a push to `/stripe` one by one; compare what CTMS answers to that."""
        self._notes.not_run.append(f"POST {PUSH} (does not exist; its objects go to {payloads.ENDPOINT})")
        self._notes.not_compared += [f"log.{name}" for name in step.expected.get("log", {})]
        headers = {"Authorization": f"Bearer {await self._stage.token()}"}
        refused, count = [], 0
        for one in payloads.pushed(step.action):
            answer = await self._stage.request("POST", payloads.ENDPOINT, json=one, headers=headers)
            if answer.is_success:
                count += 1
            elif answer.status_code == httpx.codes.BAD_REQUEST:
                refused.append(one)
            else:
                return f"{payloads.ENDPOINT} answered {answer.status_code}"
        said = pushes.answer_to(step.action, count, refused)
        return pushes.answer_differs(step.expected, said, await self._stage.now(), self._notes)

    async def _run_http(self, step: Step) -> str | None:
        action = step.action
        if action["path"] == answers.TOKEN_PATH and "grant_type" not in action.get("form", {}):
            if difference := await self._refuse_grant(action):
                return difference
            action = {**action, "form": {**action.get("form", {}), **GRANT}}
        answer = await self._send(action)
        found = _answer(action["path"], answer)
        self._last = found.body
        if found.path == answers.TOKEN_PATH and answer.is_success:
            self._save(action.get("save_as"), found.body["access_token"])
        lines = await self._stage.lines_of(answer) if "log" in step.expected else []
        difference = answers.answer_differs(step.expected, found, await self._stage.now(), self._notes)
        return difference or log_differs(step.expected.get("log", {}), lines, self._notes)

    async def _refuse_grant(self, action: Mapping[str, Json]) -> str | None:
        """Send a token request without a grant as it is: it is refused, which is documented."""
        self._notes.deviate("token_without_grant")
        found = _answer(action["path"], await self._send(action))
        error = found.body.get("error") if isinstance(found.body, Mapping) else None
        if (found.status, error) != (httpx.codes.BAD_REQUEST, "invalid_request"):
            return f"without grant_type: 400 invalid_request expected, {found.status} {error} found"
        return answers.problem_differs(found, ["error"])

    async def _send(self, action: Mapping[str, Json]) -> httpx.Response:
        after = self._last.get("after") if isinstance(self._last, Mapping) else None
        path = action["path"].replace("<AFTER_FROM_PREVIOUS>", str(after))
        return await self._stage.request(action["method"], path, **await self._content(action))

    async def _content(self, action: Mapping[str, Json]) -> dict[str, Json]:
        """Return body, credentials and headers of a request, the headers as the case spells them."""
        headers = httpx.Headers(action.get("headers", {}))
        if "bearer_of" in action:
            headers["Authorization"] = f"Bearer {self._token(action['bearer_of'])}"
        elif action.get("auth") == "client":
            headers.setdefault("Authorization", f"Bearer {await self._stage.token()}")
        content: dict[str, Json] = {BODIES[name]: action[name] for name in BODIES if name in action}
        if "json" in action and action["json"] is None:
            # httpx takes None for no body at all.
            headers.setdefault("Content-Type", "application/json")
            content |= {"content": "null"}
        if "basic" in action:
            content["auth"] = tuple(action["basic"])
        return {**content, "headers": headers}

    def _save(self, name: str | None, token: str) -> None:
        if name is None:
            self._tokens.setdefault(TOKEN, token)
        else:
            self._tokens[name] = token

    def _token(self, name: str) -> str:
        if name not in self._tokens:
            raise CaseError(f"no step saved the token {name}")
        return self._tokens[name]


def _answer(path: str, answer: httpx.Response) -> Answer:
    try:
        body = answer.json()
    except ValueError:
        body = answer.text
    return Answer(path.partition("?")[0], answer.status_code, body, answer.headers)
