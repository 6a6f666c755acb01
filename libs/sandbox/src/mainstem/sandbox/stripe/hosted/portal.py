"""Sessions of the billing portal: access of one customer, until it expires.

https://docs.stripe.com/api/customer_portal/sessions
"""

from typing import Any

from mainstem.sandbox.stripe.hosted import portal_configurations
from mainstem.sandbox.stripe.invoicing.ending import is_live
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import params, urls
from mainstem.sandbox.stripe.wire.errors import StripeError, no_such
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.params import Fields

UNVISITED_SECONDS = 5 * 60
"""Time for which a session waits for its customer, in world time."""

VISITED_SECONDS = 3_600
"""Time for which a session stays open after each visit."""

_FEATURE = {
    "payment_method_update": "payment_method_update",
    "subscription_cancel": "subscription_cancel",
    "subscription_update": "subscription_update",
    "subscription_update_confirm": "subscription_update",
}
"""Feature of a configuration that each flow needs."""

_AFTER = params.record(
    {
        "hosted_confirmation": params.record({"custom_message": params.text}),
        "redirect": params.record({"return_url": urls.web}, required=("return_url",)),
        "type": params.one_of("hosted_confirmation", "portal_homepage", "redirect"),
    },
    required=("type",),
)
_SUBSCRIPTION: Fields = {"subscription": params.identifier}
_ITEM = params.record(
    {"id": params.identifier, "price": params.identifier, "quantity": params.count}, required=("id",)
)
_FLOW = params.record(
    {
        "after_completion": _AFTER,
        "subscription_cancel": params.record(_SUBSCRIPTION, required=("subscription",)),
        "subscription_update": params.record(_SUBSCRIPTION, required=("subscription",)),
        "subscription_update_confirm": params.record(
            {**_SUBSCRIPTION, "items": params.array(_ITEM, most=1)}, required=("subscription", "items")
        ),
        "type": params.one_of(*_FEATURE),
    },
    required=("type",),
)
_CREATE: Fields = {
    "configuration": params.identifier,
    "customer": params.identifier,
    "flow_data": _FLOW,
    "locale": params.text,
    "return_url": urls.web,
}


def create(account: StripeAccount, given: Tree, base_url: str) -> Json:
    """Open a session, whose page is below this address."""
    wanted = params.read(given, _CREATE, required=("customer",))
    customer = account.store.get("customer", wanted["customer"], param="customer")
    configuration = portal_configurations.find_active(account, wanted.get("configuration"))
    flow = wanted.get("flow_data")
    if flow is not None:
        _check_flow(account, customer, configuration, flow)
    session = account.new(
        "billing_portal.session",
        configuration=configuration["id"],
        customer=customer["id"],
        flow=None if flow is None else _flow(flow),
        locale=wanted.get("locale"),
        return_url=wanted.get("return_url") or configuration["default_return_url"],
        _until=account.now + UNVISITED_SECONDS,
    )
    session["url"] = f"{base_url}/_pages/portal/{session['id']}"
    account.record("billing_portal.session.created", session)
    return session


def _check_flow(account: StripeAccount, customer: Json, configuration: Json, flow: dict[str, Any]) -> None:
    kind = flow["type"]
    feature = _FEATURE[kind]
    if not configuration["features"][feature]["enabled"]:
        raise StripeError(
            f"This flow is not available: the `{feature}` feature in the portal configuration is disabled.",
            param="flow_data[type]",
        )
    _check_end(flow.get("after_completion") or {})
    if kind == "payment_method_update":
        return
    if flow.get(kind) is None:
        name = f"flow_data[{kind}]"
        raise StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)
    _check_subscription(account, customer, flow, f"flow_data[{kind}][subscription]")
    if kind == "subscription_update_confirm":
        _check_items(account, configuration, flow[kind])


def _check_end(after: dict[str, Any]) -> None:
    if after.get("type") == "redirect" and after.get("redirect") is None:
        name = "flow_data[after_completion][redirect]"
        raise StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)


def _check_subscription(account: StripeAccount, customer: Json, flow: dict[str, Any], param: str) -> None:
    given = flow[flow["type"]]["subscription"]
    subscription = account.store.get("subscription", given, param=param)
    if subscription["customer"] != customer["id"]:
        raise no_such("subscription", given, param=param)
    if not is_live(subscription):
        raise StripeError(
            f"The subscription {given} cannot be changed: its status is {subscription['status']}.",
            param=param,
        )
    if flow["type"] == "subscription_cancel" and subscription["cancel_at"] is not None:
        raise StripeError(
            f"The subscription {given} is already set to be canceled at the end of its period.", param=param
        )


def _check_items(account: StripeAccount, configuration: Json, wanted: dict[str, Any]) -> None:
    subscription = account.store.get("subscription", wanted["subscription"])
    own = [item["id"] for item in items_of(account.store, subscription)]
    name = "flow_data[subscription_update_confirm][items]"
    if not wanted["items"]:
        raise StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)
    item = wanted["items"][0]
    if own != [item["id"]]:
        raise StripeError("Only the one item of a subscription with one item can be updated.", param=name)
    price = item.get("price")
    if price is not None and price not in {
        one["id"] for one in offered(account, configuration, subscription)
    }:
        raise StripeError(
            f"The price {price} is not among those of the portal configuration.", param=f"{name}[0][price]"
        )


def offered(account: StripeAccount, configuration: Json, subscription: Json) -> list[Json]:
    """Return the prices to which a subscription may change; a configuration without products allows all."""
    products = configuration["features"]["subscription_update"]["products"]
    named = None if products is None else {price for product in products for price in product["prices"]}
    return account.store.select(
        "price",
        lambda price: (
            price["active"]
            and price["recurring"] is not None
            and price["currency"] == subscription["currency"]
            and (named is None or price["id"] in named)
        ),
    )


def _flow(given: dict[str, Any]) -> Json:
    """Return a flow as a session shows it."""
    after = {"hosted_confirmation": None, "redirect": None, "type": "portal_homepage"}
    shown: Json = {
        "after_completion": {**after, **(given.get("after_completion") or {})},
        "subscription_cancel": None,
        "subscription_update": None,
        "subscription_update_confirm": None,
        "type": given["type"],
    }
    kind = given["type"]
    if kind == "subscription_cancel":
        shown[kind] = {"retention": None, **given[kind]}
    elif kind == "subscription_update_confirm":
        shown[kind] = {"discounts": None, **given[kind]}
    elif kind == "subscription_update":
        shown[kind] = given[kind]
    return shown


def visit(account: StripeAccount, session: Json) -> bool:
    """Return whether a session is still open; a visit keeps it so for longer."""
    if session["_until"] <= account.now:
        return False
    session["_until"] = account.now + VISITED_SECONDS
    return True
