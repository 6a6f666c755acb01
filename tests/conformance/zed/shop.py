"""The stack on which Zed's cases run: billing sells there, and its Stripe says what a case has it say."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from tests.conformance.case import CaseError
from tests.conformance.stage import BEFORE_DELIVERY, Stage, open_stage
from tests.conformance.zed.calls import Call
from tests.conformance.zed.case import User
from tests.conformance.zed.recorder import Recorder, open_recorder

from mainstem.sandbox.stack.assembly import Options
from mainstem.sandbox.stack.launcher import Launcher
from mainstem.sandbox.stack.programs import DEMO_PRICE
from mainstem.sandbox.stack.up import Progress

Json = Any

KIND = "github_user_id"
MARK = "conformance"
"""The metadata by which a subscription of a case is known in every answer."""

OVERDUE = {
    "status": "open",
    "amount_due": 999,
    "amount_paid": 0,
    "amount_remaining": 999,
    "attempted": True,
    "attempt_count": 1,
    "billing_reason": "subscription_cycle",
    "collection_method": "charge_automatically",
}
TIE = "UPDATE billing.account SET stripe_customer_id = $1 WHERE owner_kind = $2 AND owner_value = $3"
FORGET = "DELETE FROM billing.operation; DELETE FROM billing.reservation; DELETE FROM billing.account"


class Shop:
    """A stack that sells at one price; used by one row or one story at a time."""

    def __init__(self, stage: Stage, recorder: Recorder, http: httpx.AsyncClient) -> None:
        self.stage = stage
        self._recorder = recorder
        self._http = http
        self._marks = 0
        self._is_fresh = True
        self._has_price = False

    @property
    def acts(self) -> list[Call]:
        """What our services asked Stripe to do since `forget`."""
        return self._recorder.acts

    async def empty(self) -> None:
        """Remove everything that happened on the stack since its start; the clock stays as it is."""
        if self._is_fresh:
            self._is_fresh = False
            return
        self._recorder.forget()
        await self.stage.control("POST", "/stripe/reset")
        await self.stage.empty()
        # Billing remembers a price for five minutes.
        await self.stage.restart("billing")
        self._has_price = False

    async def _open(self) -> None:
        """Make the price that is sold, on an empty stack."""
        await self.empty()
        await self._stripe(
            "/v1/prices",
            {
                "currency": "usd",
                "unit_amount": "999",
                "recurring[interval]": "month",
                "lookup_key": DEMO_PRICE,
                "product_data[name]": "Zed Pro",
            },
        )
        self._has_price = True

    async def forget(self) -> None:
        """Have nobody registered, and Stripe say what is so."""
        if not self._has_price:
            await self._open()
        self._recorder.forget()
        await self.stage.tables.execute(FORGET)

    async def add_customer(self, number: int, user: User) -> str:
        """Make the user's customer at Stripe, who pays by card, and tie it; return its id."""
        customer = await self._new_customer(user.email)
        await self.stage.tables.execute(TIE, customer, KIND, str(number))
        return customer

    async def add_stranger(self) -> str:
        """Make a customer at Stripe that is nobody's here; return its id."""
        return await self._new_customer("stranger@example.com")

    async def _new_customer(self, email: str) -> str:
        customer = await self._stripe(
            "/v1/customers",
            {
                "email": email,
                "payment_method": "pm_card_visa",
                "invoice_settings[default_payment_method]": "pm_card_visa",
            },
        )
        found: str = customer["id"]
        return found

    async def add_subscription(self, customer: str, told: Mapping[str, Json]) -> str:
        """Make a subscription of which Stripe says what is told; return its id once it is mirrored."""
        self._marks += 1
        mark = str(self._marks)
        changes = {"status": told.get("status", "active")}
        if told.get("cancel_at") is not None:
            # In the reference's days an end at the period's had both signals.
            changes |= {"cancel_at": _seconds(told["cancel_at"]), "cancel_at_period_end": True}
        self._recorder.say(
            lambda one: one.get("object") == "subscription" and (one.get("metadata") or {}).get(MARK) == mark,
            changes,
        )
        prices = await self._stripe("/v1/prices?lookup_keys[]=" + DEMO_PRICE)
        subscription = await self._stripe(
            "/v1/subscriptions",
            {
                "customer": customer,
                "items[0][price]": prices["data"][0]["id"],
                f"metadata[{MARK}]": mark,
            },
        )
        # The next one is younger: within a second only their ids would tell them apart.
        await self.stage.control("POST", "/clock", json={"advance_seconds": 1})
        found: str = subscription["id"]
        return found

    def owe(self, customer: str) -> None:
        """Have Stripe say of the customer's invoices that they were to be paid by now, and are not."""
        self._recorder.say(
            lambda one: one.get("object") == "invoice" and one.get("customer") == customer, OVERDUE
        )

    async def settle(self) -> None:
        """Return once the mirror knows what Stripe says."""
        await self.stage.wait_until_none("webhooks_pending", *BEFORE_DELIVERY)

    async def _stripe(self, path: str, form: Mapping[str, str] | None = None) -> Json:
        """Ask Stripe itself, as whoever runs the shop; none of it is recorded."""
        answer = await self._http.request(
            "GET" if form is None else "POST",
            f"{self.stage.stack.stripe.api_base}{path}",
            data=form,
            headers={"Authorization": f"Bearer {self.stage.stack.stripe.api_key}"},
        )
        if not answer.is_success:
            raise CaseError(f"Stripe did not do what the case needs: {answer.text[:200]}")
        return answer.json()


@asynccontextmanager
async def open_shop(report: Progress) -> AsyncIterator[Shop]:
    """Start a stack of its own whose services reach Stripe through a recorder."""
    async with open_recorder() as (recorder, base), httpx.AsyncClient(timeout=30) as http:
        settings = {"MAINSTEM_STRIPE_API_BASE": base}
        launcher = Launcher(Options(durable=False, settings=settings), report=report)
        async with open_stage(launcher, settings) as stage:
            recorder.upstream = stage.stack.sandbox
            yield Shop(stage, recorder, http)


def _seconds(time: Json) -> int:
    """Return a time of a case as Stripe tells it."""
    if isinstance(time, int):
        return time
    return int(datetime.fromisoformat(time).astimezone(UTC).timestamp())
