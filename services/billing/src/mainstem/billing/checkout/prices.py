"""Prices that are sold: the configured ones, looked up at Stripe and cached for five minutes."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from mainstem.billing.stripe.client import MISSING, Object, Stripe
from mainstem.billing.stripe.refusals import StripeRefusedError
from mainstem.common.errors import FieldError, InvalidError, NotSupportedError, UnavailableError

REMEMBERED_SECONDS = 300.0
"""A lookup key can be given to another price at any time."""

LOOK_SECONDS = 4.0
METERED = "metered"
OR_ANOTHER = "or name another one in STRIPE_PRICE_ID"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CheckoutPrice:
    """Price at Stripe by its id, its product, and whether usage instead of a quantity is charged for."""

    id: str
    product: str
    is_metered: bool = False

    @property
    def line_item(self) -> Mapping[str, Any]:
        """Line of a Checkout session; a metered price takes no quantity.

        Source: https://docs.stripe.com/api/checkout/sessions/create, `line_items.quantity`.
        """
        return {"price": self.id} if self.is_metered else {"price": self.id, "quantity": 1}


class Prices:
    """The configured prices, by id or lookup key."""

    def __init__(self, stripe: Stripe, configured: Sequence[str]) -> None:
        self._stripe = stripe
        self._configured = tuple(configured)
        self._remembered: dict[str, tuple[float, CheckoutPrice]] = {}

    async def get(self, wanted: str | None) -> CheckoutPrice:
        """Return the price of this id or lookup key; by default the first one configured.

        Raises:
            InvalidError: the price is not configured.
            NotSupportedError: no price is configured, Stripe has no such price, or it is not recurring.
            UnavailableError: Stripe did not answer in time.
        """
        if not self._configured:
            raise NotSupportedError("not supported")
        name = wanted or self._configured[0]
        if name not in self._configured:
            problem = FieldError(
                loc=["body", "price"], msg="Not one of the prices that are sold", type="price"
            )
            raise InvalidError("body.price: Not one of the prices that are sold", [problem])
        known = self._remembered.get(name)
        if known is None or known[0] < time.monotonic():
            # Only what was found is remembered: a price that is made later is found then.
            known = (time.monotonic() + REMEMBERED_SECONDS, await self._look_up_in_time(name))
            self._remembered[name] = known
        return known[1]

    def forget(self, wanted: str | None) -> None:
        """Drop a price from the cache."""
        self._remembered.pop(wanted or self._configured[0], None)

    async def _look_up_in_time(self, name: str) -> CheckoutPrice:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await self._look_up(name)
        except TimeoutError:
            raise UnavailableError("Stripe did not answer", headers={"Retry-After": "2"}) from None

    async def _look_up(self, name: str) -> CheckoutPrice:
        found = await self._by_id(name) if name.startswith("price_") else await self._by_key(name)
        if found is None:
            log.warning("price.missed", price=name)
            raise NotSupportedError(f'no price found for "{name}"')
        try:
            return _sold(found)
        except NotSupportedError as error:
            log.warning("price.refused", price=name, reason=error.detail)
            raise

    async def _by_id(self, price: str) -> Object | None:
        try:
            return await self._stripe.get_price(price)
        except StripeRefusedError as error:
            if error.code != MISSING:
                raise
            return None

    async def _by_key(self, lookup_key: str) -> Object | None:
        """Return the active price that has the lookup key, else an archived one, which explains more."""
        for is_active in (True, False):
            for found in await self._stripe.list_prices([lookup_key], is_active=is_active):
                return found
        return None


def _sold(price: Object) -> CheckoutPrice:
    """Return a price that a subscription can be bought at.

    Raises:
        NotSupportedError: it is archived, its product is, or it is charged once.
    """
    given, product, recurring = price["id"], price["product"], price.get("recurring")
    if isinstance(product, str):
        product = {"id": product, "active": True}
    if not price["active"]:
        raise NotSupportedError(f"the price {given} is archived at Stripe; activate it there, {OR_ANOTHER}")
    if not product.get("active"):
        raise NotSupportedError(
            f"the product {product['id']} of the price {given} is archived at Stripe; activate it there,"
            f" {OR_ANOTHER}"
        )
    if recurring is None:
        raise NotSupportedError(
            f"the price {given} is charged once; make a recurring price at Stripe, {OR_ANOTHER}"
        )
    return CheckoutPrice(given, product["id"], recurring.get("usage_type") == METERED)
