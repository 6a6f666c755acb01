"""What is sold: the configured prices, looked up at Stripe and remembered for a while."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from mainstem.billing.stripe import MISSING, Object, RefusedError, Stripe
from mainstem.common.errors import FieldError, InvalidError, NotSupportedError, UnavailableError

REMEMBERED_SECONDS = 300.0
"""A lookup key can be given to another price at any time."""

LOOK_SECONDS = 4.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Price:
    """A price by its id, and of which product it is."""

    id: str
    product: str


class Prices:
    """The configured prices, by id or lookup key."""

    def __init__(self, stripe: Stripe, configured: Sequence[str]) -> None:
        self._stripe = stripe
        self._configured = tuple(configured)
        self._remembered: dict[str, tuple[float, Price]] = {}

    async def get(self, wanted: str | None) -> Price:
        """Return the price that a caller wants, the first one if it names none.

        Raises:
            InvalidError: it is none of those that are sold.
            NotSupportedError: nothing is sold, or Stripe has no such price.
            UnavailableError: Stripe did not tell in time.
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

    async def _look_up_in_time(self, name: str) -> Price:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await self._look_up(name)
        except TimeoutError:
            raise UnavailableError("Stripe did not answer", headers={"Retry-After": "2"}) from None

    async def _look_up(self, name: str) -> Price:
        found = await self._by_id(name) if name.startswith("price_") else await self._by_key(name)
        if found is None:
            log.warning("price.missed", price=name)
            raise NotSupportedError(f'no price found for "{name}"')
        return Price(found["id"], found["product"])

    async def _by_id(self, price: str) -> Object | None:
        try:
            return await self._stripe.get_price(price)
        except RefusedError as error:
            if error.code != MISSING:
                raise
            return None

    async def _by_key(self, lookup_key: str) -> Object | None:
        return next(iter(await self._stripe.list_prices([lookup_key])), None)
