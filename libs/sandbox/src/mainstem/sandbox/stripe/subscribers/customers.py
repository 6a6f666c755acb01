"""Customers."""

import random
import string
from typing import Any

from mainstem.sandbox.stripe.goods import payment_methods
from mainstem.sandbox.stripe.invoicing import ending
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import no_such
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.params import Fields

_INVOICE_SETTINGS = params.record(
    {
        "custom_fields": params.array(params.record({"name": params.text, "value": params.text})),
        "default_payment_method": params.text,
        "footer": params.text,
        "rendering_options": params.record({"amount_tax_display": params.text, "template": params.text}),
    }
)
_UPDATE: Fields = {
    "address": params.address,
    "balance": params.integer,
    "description": params.text,
    "email": params.text,
    "invoice_prefix": params.identifier,
    "invoice_settings": _INVOICE_SETTINGS,
    "metadata": params.metadata,
    "name": params.text,
    "phone": params.text,
    "preferred_locales": params.array(params.identifier),
    "shipping": params.record({"address": params.address, "name": params.text, "phone": params.text}),
    "tax_exempt": params.text,
}
_CREATE: Fields = {**_UPDATE, "payment_method": params.identifier}


def create(account: StripeAccount, given: Tree) -> Json:
    """Make a customer; a payment method that is given is attached to it.

    Raises:
        StripeError: a parameter cannot be read, or the card is refused; then nothing was made.
    """
    wanted = params.read(given, _CREATE)
    method = wanted.pop("payment_method", None)
    prefix = "".join(random.choices(string.ascii_uppercase + string.digits, k=8))
    customer = account.new("customer", invoice_prefix=prefix, next_invoice_sequence=1, tax_exempt="none")
    try:
        attached = (
            payment_methods.owned(account, customer, method, param="payment_method") if method else None
        )
        settings = wanted.get("invoice_settings") or {}
        if attached is not None and settings.get("default_payment_method") == method:
            # `pm_card_visa` names the card; the payment method made of it has an id of its own.
            settings["default_payment_method"] = attached["id"]
        _apply(account, customer, wanted)
    except Exception:
        account.store.remove(customer)
        raise
    account.record("customer.created", customer)
    return customer


def retrieve(account: StripeAccount, given: str) -> Json:
    """Return a customer, or the stub of a deleted one.

    Raises:
        StripeError: there never was one with this id.
    """
    found = account.store.find("customer", given) or account.store.stub("customer", given)
    if found is None:
        raise no_such("customer", given)
    return found


def update(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Change a customer."""
    customer = account.store.get("customer", given)
    wanted = params.read(tree, _UPDATE)
    with account.changing(customer, "customer.updated"):
        _apply(account, customer, wanted)
    return customer


def delete(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Delete a customer for ever, and end its subscriptions at once."""
    params.read(tree, {})
    customer = account.store.get("customer", given)
    for subscription in account.store.select("subscription", lambda held: bool(held["customer"] == given)):
        if ending.is_live(subscription):
            ending.end(account, subscription, reason="cancellation_requested")
    for method in account.store.select("payment_method", lambda held: bool(held["customer"] == given)):
        method["customer"] = None
    account.record("customer.deleted", customer)
    return account.store.remove(customer)


def list_payment_methods(given: str, tree: Tree) -> Tree:
    """Return the parameters of the list of one customer's payment methods."""
    return {**tree, "customer": given}


def _apply(account: StripeAccount, customer: Json, wanted: dict[str, Any]) -> None:
    settings = wanted.pop("invoice_settings", None) or {}
    default = settings.get("default_payment_method")
    if default is not None:
        name = "invoice_settings[default_payment_method]"
        settings["default_payment_method"] = payment_methods.of_customer(
            account, customer, default, param=name
        )["id"]
    if "metadata" in wanted:
        customer["metadata"] = params.merged(customer["metadata"], wanted.pop("metadata"))
    customer["invoice_settings"] |= settings
    customer |= wanted
