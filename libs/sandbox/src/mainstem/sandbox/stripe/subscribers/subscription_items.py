"""API calls for single items of a subscription."""

from mainstem.sandbox.stripe.invoicing import ending
from mainstem.sandbox.stripe.state import listing
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.subscribers import subscriptions
from mainstem.sandbox.stripe.subscribers.terms import UPDATE
from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.paging import ListPage
from mainstem.sandbox.stripe.wire.params import Fields

_PRORATION: Fields = {"proration_behavior": UPDATE["proration_behavior"]}
_CHANGE: Fields = {
    **_PRORATION,
    "metadata": params.metadata,
    "price": params.identifier,
    "quantity": params.count,
}


def create(account: StripeAccount, given: Tree) -> Json:
    """Add an item to a subscription."""
    fields = {**_CHANGE, "subscription": params.identifier}
    wanted = params.read(given, fields, required=("subscription", "price"))
    subscription = account.store.get("subscription", wanted.pop("subscription"), param="subscription")
    _change(account, subscription, wanted)
    return account.store.get("subscription_item", subscription["items"][-1])


def retrieve(account: StripeAccount, given: str) -> Json:
    """Return an item."""
    return account.store.get("subscription_item", given)


def update(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Change an item."""
    item = retrieve(account, given)
    wanted = params.read(tree, _CHANGE)
    _change(account, _parent(account, item), {**wanted, "id": given})
    return item


def delete(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Remove an item; the last one stays."""
    item = retrieve(account, given)
    wanted = params.read(tree, _PRORATION)
    _change(account, _parent(account, item), {**wanted, "id": given, "deleted": True})
    return account.store.stub("subscription_item", given) or {}


def list_all(account: StripeAccount, given: Tree) -> ListPage[Json]:
    """Return a page of the items of one subscription, in its order."""
    rest = dict(given)
    name = params.read({"subscription": rest.pop("subscription", "")}, {"subscription": params.identifier})
    subscription = account.store.get("subscription", name["subscription"], param="subscription")
    parts = items_of(account.store, subscription)
    # The SDK reads the parameters of the next page from the URL of this one.
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    return listing.list_parts(url, parts, rest, "subscription_item")


def _parent(account: StripeAccount, item: Json) -> Json:
    return account.store.get("subscription", item["subscription"])


def _change(account: StripeAccount, subscription: Json, wanted: Json) -> None:
    if not ending.is_live(subscription):
        raise StripeError("A canceled subscription can only update its cancellation_details and metadata.")
    behavior = {name: wanted.pop(name) for name in ("proration_behavior",) if name in wanted}
    subscriptions.change(account, subscription, {**behavior, "items": [wanted]})
