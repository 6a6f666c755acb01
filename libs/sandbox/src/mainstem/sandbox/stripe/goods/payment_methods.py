"""Payment methods: test cards, kept by customers."""

from typing import Any

from mainstem.sandbox.stripe.goods import cards
from mainstem.sandbox.stripe.goods.cards import Card
from mainstem.sandbox.stripe.state.account import StripeAccount, new_id
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError, no_such
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.params import Fields

_DEFAULT_EXPIRY_YEARS = 4
_SECONDS_A_YEAR = 31_556_952

_BILLING_DETAILS = params.record(
    {
        "address": params.address,
        "email": params.text,
        "name": params.text,
        "phone": params.text,
        "tax_id": params.text,
    }
)
_CARD = params.record(
    {
        "number": params.identifier,
        "exp_month": params.count,
        "exp_year": params.count,
        "cvc": params.text,
        "token": params.identifier,
    }
)
_UPDATE: Fields = {
    "allow_redisplay": params.text,
    "billing_details": _BILLING_DETAILS,
    "metadata": params.metadata,
    "card": params.record({"exp_month": params.count, "exp_year": params.count}),
}
_CREATE: Fields = {**_UPDATE, "type": params.one_of("card"), "card": _CARD}


def create(account: StripeAccount, given: Tree) -> Json:
    """Make a payment method of a test card."""
    wanted = params.read(given, _CREATE, required=("type",))
    found = wanted.pop("card", None) or {}
    if "token" in found:
        card = cards.by_token(found["token"], "card[token]")
    elif "number" in found:
        card = cards.by_number(found["number"], "card[number]")
    else:
        raise StripeError(
            "Missing required param: card[number].", code="parameter_missing", param="card[number]"
        )
    method = _of_card(
        account, card, {name: found[name] for name in ("exp_month", "exp_year") if name in found}
    )
    _apply(method, wanted)
    return method


def retrieve(account: StripeAccount, given: str) -> Json:
    """Return a payment method."""
    return account.store.get("payment_method", given)


def update(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Change a payment method."""
    method = retrieve(account, given)
    wanted = params.read(tree, _UPDATE)
    with account.changing(method, "payment_method.updated"):
        method["card"] |= wanted.pop("card", None) or {}
        _apply(method, wanted)
    return method


def attach(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Give a payment method to a customer; `pm_card_visa` and its like make a new one each time.

    Raises:
        StripeError: the card is one that is refused here, or belongs to another customer.
    """
    wanted = params.read(tree, {"customer": params.identifier}, required=("customer",))
    customer = account.store.get("customer", wanted["customer"], param="customer")
    return owned(account, customer, given, param="id")


def owned(account: StripeAccount, customer: Json, given: str, *, param: str) -> Json:
    """Return the payment method as the customer's own, attached if it is nobody's yet.

    Raises:
        StripeError: there is none, it is refused, or it is another customer's.
    """
    card = cards.by_method(given)
    method = account.store.find("payment_method", given)
    if card is None and method is None:
        raise no_such("payment_method", given, param=param)
    if method is not None and method["customer"] == customer["id"]:
        return method
    if method is not None and method["customer"] is not None:
        raise StripeError(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
            param=param,
        )
    refusal = (card or method_card(method)).on_attach
    if refusal is not None:
        raise refusal.error()
    method = method or _of_card(account, card or cards.CARDS[0], {})
    method["customer"] = customer["id"]
    account.record("payment_method.attached", method)
    return method


def of_customer(account: StripeAccount, customer: Json, given: str, *, param: str) -> Json:
    """Return a payment method that is attached to the customer.

    Raises:
        StripeError: there is none with this id, or it is not the customer's.
    """
    method = account.store.get("payment_method", given, param=param)
    if method["customer"] != customer["id"]:
        raise StripeError(
            f"The customer does not have a payment method with the ID {given}. The payment method must be "
            "attached to the customer.",
            code="resource_missing",
            param=param,
        )
    return method


def detach(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Take a payment method from its customer; nothing that used it by default does so any more."""
    params.read(tree, {})
    method = retrieve(account, given)
    if method["customer"] is None:
        raise StripeError(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            code="payment_method_unexpected_state",
        )
    _forget(account, method)
    with account.changing(method, "payment_method.detached"):
        method["customer"] = None
    return method


def method_card(method: Json | None) -> Card:
    """Return the test card behind a payment method that is held."""
    return cards.CARDS[0] if method is None else cards.by_name(method["_card"])


def _forget(account: StripeAccount, method: Json) -> None:
    customer = account.store.find("customer", method["customer"])
    if customer is not None and customer["invoice_settings"]["default_payment_method"] == method["id"]:
        with account.changing(customer, "customer.updated"):
            customer["invoice_settings"]["default_payment_method"] = None
    for subscription in account.store.select(
        "subscription", lambda held: bool(held["default_payment_method"] == method["id"])
    ):
        with account.changing(subscription, "customer.subscription.updated"):
            subscription["default_payment_method"] = None


def _of_card(account: StripeAccount, card: Card, expiry: dict[str, int]) -> Json:
    method = account.new("payment_method", type="card", allow_redisplay="unspecified", _card=card.name)
    this_year = 1970 + account.now // _SECONDS_A_YEAR
    method["card"] |= {
        "brand": card.brand,
        "country": "US",
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": this_year + _DEFAULT_EXPIRY_YEARS,
        "fingerprint": new_id("fp", length=16).removeprefix("fp_"),
        "funding": "debit" if card.name.endswith("_debit") else "credit",
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        **expiry,
    }
    method["card"]["checks"]["cvc_check"] = "pass"
    method["card"]["three_d_secure_usage"] = {"supported": True}
    return method


def _apply(method: Json, wanted: dict[str, Any]) -> None:
    details = wanted.pop("billing_details", None) or {}
    method["billing_details"] |= details
    if "metadata" in wanted:
        method["metadata"] = params.merged(method["metadata"], wanted.pop("metadata"))
    method |= wanted
