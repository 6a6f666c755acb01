"""What is at hand on every page of an open portal session."""

from dataclasses import dataclass

from mainstem.sandbox.stripe.invoicing.collection import method_for
from mainstem.sandbox.stripe.invoicing.ending import is_live
from mainstem.sandbox.stripe.pages.markup import Markup, link, tag
from mainstem.sandbox.stripe.pages.words import product_name
from mainstem.sandbox.stripe.state.account import Account
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json


@dataclass(frozen=True)
class Room:
    """An open session, and what is allowed in it."""

    account: Account
    session: Json
    configuration: Json
    path: str
    """Where its pages are."""

    def allows(self, feature: str) -> bool:
        """Return whether the configuration has a feature."""
        return bool(self.configuration["features"][feature]["enabled"])

    def lines(self, subscription: Json) -> list[tuple[Json, int | None]]:
        """Return each price of a subscription with its quantity, None of a metered one."""
        store = self.account.store
        return [
            (store.get("price", item["price"]), item["quantity"]) for item in items_of(store, subscription)
        ]

    def name(self, subscription: Json) -> str:
        """Return what a subscription is for."""
        return product_name(self.account, self.lines(subscription)[0][0])


def card_of(room: Room) -> str:
    """Return the card that would be charged, a subscription's own before the customer's."""
    mine = room.session["customer"]
    held = room.account.store.select(
        "subscription", lambda one: is_live(one) and one["customer"] == mine and one["default_payment_method"]
    )
    own = held[-1]["default_payment_method"] if held else None
    method = method_for(room.account, room.account.store.get("customer", mine), own)
    return "None" if method is None else f"{method['card']['brand']} ending in {method['card']['last4']}"


def back(room: Room) -> Markup | None:
    """Return the link to where the customer came from, None if that is not known."""
    url = room.session["return_url"]
    return None if url is None else tag("p", link("Return", "return", url))
