"""Context of every page of an open portal session: account, session, configuration, path."""

from dataclasses import dataclass

from mainstem.sandbox.stripe.invoicing.collection import method_for
from mainstem.sandbox.stripe.invoicing.ending import is_live
from mainstem.sandbox.stripe.pages.formats import product_name
from mainstem.sandbox.stripe.pages.markup import Markup, link, tag
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json


@dataclass(frozen=True)
class PortalContext:
    """An open portal session with its account, its configuration and the path of its pages."""

    account: StripeAccount
    session: Json
    configuration: Json
    path: str
    """Path under which the session's pages are served."""

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


def card_of(context: PortalContext) -> str:
    """Return the card that would be charged, a subscription's own before the customer's."""
    mine = context.session["customer"]
    held = context.account.store.select(
        "subscription", lambda one: is_live(one) and one["customer"] == mine and one["default_payment_method"]
    )
    own = held[-1]["default_payment_method"] if held else None
    method = method_for(context.account, context.account.store.get("customer", mine), own)
    return "None" if method is None else f"{method['card']['brand']} ending in {method['card']['last4']}"


def back(context: PortalContext) -> Markup | None:
    """Return the link to where the customer came from, None if that is not known."""
    url = context.session["return_url"]
    return None if url is None else tag("p", link("Return", "return", url))
