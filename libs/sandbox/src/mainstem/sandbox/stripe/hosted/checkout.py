"""Checkout sessions: an offer to one person, until it expires.

https://docs.stripe.com/api/checkout/sessions
"""

from http import HTTPStatus
from typing import Any

from mainstem.sandbox.stripe.goods.pricing import amount_of, is_metered
from mainstem.sandbox.stripe.state import listing
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import parts_of
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.subscribers import items, terms
from mainstem.sandbox.stripe.wire import params, urls
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.paging import ListPage
from mainstem.sandbox.stripe.wire.params import Fields

LONGEST_SECONDS = 24 * 3_600
"""Longest time for which a session stays open, and the default."""

_SHORTEST_SECONDS = 30 * 60
_SHORTEST_TRIAL_SECONDS = 48 * 3_600
_MOST_ITEMS = 20

_LINE = params.record(
    {"metadata": params.metadata, "price": params.identifier, "quantity": params.count},
    required=("price",),
)
_SUBSCRIPTION_DATA = params.record(
    {
        name: terms.CREATE[name]
        for name in ("billing_mode", "description", "metadata", "trial_period_days", "trial_settings")
    }
    | {"trial_end": params.count}
)
_CREATE: Fields = {
    "allow_promotion_codes": params.boolean,
    "billing_address_collection": params.one_of("auto", "required"),
    "cancel_url": urls.web,
    "client_reference_id": params.identifier,
    "customer": params.identifier,
    "customer_creation": params.one_of("always", "if_required"),
    "customer_email": params.identifier,
    "customer_update": params.record(
        dict.fromkeys(("address", "name", "shipping"), params.one_of("auto", "never"))
    ),
    "expires_at": params.count,
    "line_items": params.array(_LINE, most=_MOST_ITEMS),
    "locale": params.text,
    "metadata": params.metadata,
    "mode": params.one_of("payment", "setup", "subscription"),
    "payment_method_collection": params.one_of("always", "if_required"),
    "payment_method_types": params.array(params.one_of("card")),
    "subscription_data": _SUBSCRIPTION_DATA,
    "success_url": urls.web,
    "tax_id_collection": params.record({"enabled": params.boolean}, required=("enabled",)),
    "ui_mode": params.one_of("hosted", "hosted_page"),
}
_SHOWN = (
    "allow_promotion_codes",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "customer_email",
    "locale",
    "success_url",
)
"""The parameters that a session shows as they were given."""


def create(account: StripeAccount, given: Tree, base_url: str) -> Json:
    """Open a session, whose page is below this address; nothing is told, as at Stripe."""
    wanted = params.read(given, _CREATE, required=("mode", "success_url"))
    _check(account, wanted)
    lines = _priced(account, wanted.get("line_items", []))
    customer = _customer(account, wanted)
    if customer is not None:
        items.check_currency(account, customer, lines[0][0]["currency"])
    session = account.new("checkout.session", **_facts(account, wanted, customer, lines))
    # As sent, since the subscription is made of it by the call that any caller uses.
    session["_subscription_data"] = given.get("subscription_data") or {}
    session["_line_items"] = [_new_item(account, price, line)["id"] for price, line in lines]
    session["url"] = f"{base_url}/_pages/checkout/{session['id']}"
    account.schedule(session)
    return session


def _check(account: StripeAccount, wanted: dict[str, Any]) -> None:
    if wanted["mode"] != "subscription":
        raise StripeError("The sandbox has Checkout in `subscription` mode only.", param="mode")
    if "customer" in wanted and "customer_email" in wanted:
        raise StripeError("You may only specify one of these parameters: customer, customer_email.")
    if "customer_creation" in wanted:
        raise StripeError(
            "`customer_creation` can only be used in `payment` mode.", param="customer_creation"
        )
    if "customer_update" in wanted and "customer" not in wanted:
        raise StripeError("`customer_update` can only be used with `customer`.", param="customer_update")
    if not wanted.get("line_items"):
        raise StripeError("Missing required param: line_items.", code="parameter_missing", param="line_items")
    _check_moments(account.now, wanted)


def _check_moments(now: int, wanted: dict[str, Any]) -> None:
    at = wanted.get("expires_at")
    if at is not None and at < now + _SHORTEST_SECONDS:
        raise StripeError(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
            param="expires_at",
        )
    if at is not None and at > now + LONGEST_SECONDS:
        raise StripeError(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    data = wanted.get("subscription_data") or {}
    if "trial_end" in data and "trial_period_days" in data:
        raise StripeError("You may only specify one of these parameters: trial_end, trial_period_days.")
    if "trial_end" in data and data["trial_end"] < now + _SHORTEST_TRIAL_SECONDS:
        raise StripeError(
            "The `trial_end` date has to be at least 2 days in the future.",
            param="subscription_data[trial_end]",
        )


def _priced(account: StripeAccount, lines: list[dict[str, Any]]) -> list[tuple[Json, dict[str, Any]]]:
    for index, line in enumerate(lines):
        _check_line(account, line, f"line_items[{index}]")
    prices = [items.price_of(account, line, f"line_items[{index}]") for index, line in enumerate(lines)]
    items.check_alike(prices)
    return list(zip(prices, lines, strict=True))


def _check_line(account: StripeAccount, line: dict[str, Any], name: str) -> None:
    """Check what a session refuses in other words than a subscription.

    Sources: https://github.com/better-auth/better-auth/issues/8920,
    https://github.com/stripe/stripe-java/issues/1584,
    https://github.com/invertase/stripe-firebase-extensions/issues/98,
    https://github.com/stripe/stripe-node/issues/2131.

    Raises:
        StripeError: the price is charged once, the quantity does not fit it, or its product is archived.
    """
    price = account.store.get("price", line["price"], param=f"{name}[price]")
    product = account.store.find("product", price["product"])
    if price["recurring"] is None:
        raise StripeError(
            "You must provide at least one recurring price in `subscription` mode when using prices."
        )
    if is_metered(price) and "quantity" in line:
        raise StripeError(
            f"Quantity should not be specified where usage_type is `metered`. Remove quantity from `{name}`",
            param=f"{name}[quantity]",
        )
    if not is_metered(price) and "quantity" not in line:
        raise StripeError(f"Quantity is required. Add `quantity` to `{name}`", param=f"{name}[quantity]")
    if price["active"] and product is not None and not product["active"]:
        raise StripeError(
            f"Price `{price['id']}` is not available to be purchased because its product is not active.",
            param=f"{name}[price]",
        )


def _customer(account: StripeAccount, wanted: dict[str, Any]) -> Json | None:
    given = wanted.get("customer")
    return None if given is None else account.store.get("customer", given, param="customer")


def _facts(
    account: StripeAccount,
    wanted: dict[str, Any],
    customer: Json | None,
    lines: list[tuple[Json, dict[str, Any]]],
) -> Json:
    data = wanted.get("subscription_data") or {}
    is_trial = bool(data.get("trial_end") or data.get("trial_period_days"))
    total = 0 if is_trial else sum(amount_of(price, line.get("quantity")) for price, line in lines)
    email = wanted.get("customer_email") if customer is None else customer["email"]
    return {
        **{name: wanted[name] for name in _SHOWN if name in wanted},
        "amount_subtotal": total,
        "amount_total": total,
        "currency": lines[0][0]["currency"],
        "customer": None if customer is None else customer["id"],
        "customer_creation": "always" if customer is None else None,
        "customer_details": None if email is None else details(email),
        "expires_at": wanted.get("expires_at", account.now + LONGEST_SECONDS),
        "metadata": params.merged({}, wanted.get("metadata", {})),
        "mode": "subscription",
        "payment_method_collection": wanted.get("payment_method_collection", "always"),
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "status": "open",
        "ui_mode": "hosted_page",
        "_has_failed": False,
    }


def details(email: str, name: str | None = None) -> Json:
    """Return the `customer_details` of a session."""
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _new_item(account: StripeAccount, price: Json, line: dict[str, Any]) -> Json:
    product = account.store.find("product", price["product"])
    amount = amount_of(price, line.get("quantity"))
    return account.new(
        "item",
        amount_subtotal=amount,
        amount_total=amount,
        currency=price["currency"],
        description=product["name"] if product else price["id"],
        metadata=params.merged({}, line.get("metadata", {})),
        price=price["id"],
        quantity=line.get("quantity"),
    )


def expire(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Close an open session, so that nobody can pay in it.

    Raises:
        StripeError: it is not open.
    """
    params.read(tree, {})
    session = account.store.get("checkout.session", given)
    if session["status"] != "open":
        raise StripeError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a '
            f"status of {session['status']}.",
            status=HTTPStatus.BAD_REQUEST,
        )
    close(account, session)
    return session


def close(account: StripeAccount, session: Json) -> None:
    """Have an open session be expired."""
    session |= {"status": "expired", "url": None}
    account.record("checkout.session.expired", session)


def list_line_items(account: StripeAccount, given: str, tree: Tree) -> ListPage[Json]:
    """Return a page of what a session sells, in its order."""
    parts = parts_of(account.store, account.store.get("checkout.session", given))
    return listing.list_parts(f"/v1/checkout/sessions/{given}/line_items", parts, tree, "item")
