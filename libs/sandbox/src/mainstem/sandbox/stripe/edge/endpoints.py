"""Table of every API call that the account answers."""

from collections.abc import Callable
from typing import Any

from mainstem.sandbox.stripe.delivery import events, webhook_endpoints
from mainstem.sandbox.stripe.edge.answering import ApiCall, Handler
from mainstem.sandbox.stripe.goods import catalog, payment_methods
from mainstem.sandbox.stripe.hosted import checkout, portal, portal_configurations
from mainstem.sandbox.stripe.invoicing import invoice_calls
from mainstem.sandbox.stripe.state import listing
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.subscribers import (
    customers,
    schedules,
    subscribing,
    subscription_items,
    subscriptions,
)
from mainstem.sandbox.stripe.wire.errors import no_such
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.params import read

Endpoint = tuple[str, str, Handler]
"""HTTP method, path, handler."""


def _make(act: Callable[[StripeAccount, Tree], Any]) -> Handler:
    return lambda call: act(call.account, call.params)


def _one(act: Callable[[StripeAccount, str, Tree], Any]) -> Handler:
    return lambda call: act(call.account, call.id, call.params)


def _hosted(act: Callable[[StripeAccount, Tree, str], Any]) -> Handler:
    return lambda call: act(call.account, call.params, call.base_url)


def _get(find: Callable[[StripeAccount, str], Any]) -> Handler:
    def handle(call: ApiCall) -> Any:
        read(call.params, {})
        return find(call.account, call.id)

    return handle


def _account(call: ApiCall) -> Any:
    read(call.params, {})
    return call.account.itself()


def _held(kind: str) -> Handler:
    return _get(lambda account, given: account.store.get(kind, given))


def _list(kind: str) -> Handler:
    return lambda call: listing.list_all(call.account, kind, call.params)


def _methods_of_customer(call: ApiCall) -> Any:
    if call.account.store.find("customer", call.id) is None:
        raise no_such("customer", call.id)
    return listing.list_all(call.account, "payment_method", {**call.params, "customer": call.id})


ENDPOINTS: tuple[Endpoint, ...] = (
    ("GET", "/v1/account", _account),
    ("POST", "/v1/customers", _make(customers.create)),
    ("GET", "/v1/customers", _list("customer")),
    ("GET", "/v1/customers/{id}", _get(customers.retrieve)),
    ("POST", "/v1/customers/{id}", _one(customers.update)),
    ("DELETE", "/v1/customers/{id}", _one(customers.delete)),
    ("GET", "/v1/customers/{id}/payment_methods", _methods_of_customer),
    ("POST", "/v1/products", _make(catalog.create_product)),
    ("GET", "/v1/products", _list("product")),
    ("GET", "/v1/products/{id}", _held("product")),
    ("POST", "/v1/products/{id}", _one(catalog.update_product)),
    ("DELETE", "/v1/products/{id}", _one(catalog.delete_product)),
    ("POST", "/v1/prices", _make(catalog.create_price)),
    ("GET", "/v1/prices", _list("price")),
    ("GET", "/v1/prices/{id}", _held("price")),
    ("POST", "/v1/prices/{id}", _one(catalog.update_price)),
    ("POST", "/v1/payment_methods", _make(payment_methods.create)),
    ("GET", "/v1/payment_methods", _list("payment_method")),
    ("GET", "/v1/payment_methods/{id}", _get(payment_methods.retrieve)),
    ("POST", "/v1/payment_methods/{id}", _one(payment_methods.update)),
    ("POST", "/v1/payment_methods/{id}/attach", _one(payment_methods.attach)),
    ("POST", "/v1/payment_methods/{id}/detach", _one(payment_methods.detach)),
    ("POST", "/v1/subscriptions", _make(subscribing.create)),
    ("GET", "/v1/subscriptions", _list("subscription")),
    ("GET", "/v1/subscriptions/{id}", _held("subscription")),
    ("POST", "/v1/subscriptions/{id}", _one(subscriptions.update)),
    ("DELETE", "/v1/subscriptions/{id}", _one(subscriptions.cancel)),
    ("POST", "/v1/subscription_schedules", _make(schedules.create)),
    ("GET", "/v1/subscription_schedules/{id}", _held("subscription_schedule")),
    ("POST", "/v1/subscription_schedules/{id}", _one(schedules.update)),
    ("POST", "/v1/subscription_schedules/{id}/release", _one(schedules.release)),
    ("POST", "/v1/subscription_items", _make(subscription_items.create)),
    ("GET", "/v1/subscription_items", _make(subscription_items.list_all)),
    ("GET", "/v1/subscription_items/{id}", _held("subscription_item")),
    ("POST", "/v1/subscription_items/{id}", _one(subscription_items.update)),
    ("DELETE", "/v1/subscription_items/{id}", _one(subscription_items.delete)),
    ("POST", "/v1/invoices", _make(invoice_calls.create)),
    ("GET", "/v1/invoices", _list("invoice")),
    ("GET", "/v1/invoices/{id}", _held("invoice")),
    ("POST", "/v1/invoices/{id}", _one(invoice_calls.update)),
    ("DELETE", "/v1/invoices/{id}", _one(invoice_calls.delete)),
    ("GET", "/v1/invoices/{id}/lines", _one(invoice_calls.list_lines)),
    ("POST", "/v1/invoices/{id}/finalize", _one(invoice_calls.finalize)),
    ("POST", "/v1/invoices/{id}/pay", _one(invoice_calls.pay)),
    ("POST", "/v1/invoices/{id}/void", _one(invoice_calls.void)),
    ("POST", "/v1/invoices/{id}/mark_uncollectible", _one(invoice_calls.mark_uncollectible)),
    ("POST", "/v1/invoices/{id}/send", _one(invoice_calls.send)),
    ("GET", "/v1/invoice_payments", _list("invoice_payment")),
    ("GET", "/v1/invoice_payments/{id}", _held("invoice_payment")),
    ("GET", "/v1/payment_intents", _list("payment_intent")),
    ("GET", "/v1/payment_intents/{id}", _held("payment_intent")),
    ("POST", "/v1/invoiceitems", _make(invoice_calls.create_item)),
    ("GET", "/v1/invoiceitems", _list("invoiceitem")),
    ("GET", "/v1/invoiceitems/{id}", _held("invoiceitem")),
    ("POST", "/v1/checkout/sessions", _hosted(checkout.create)),
    ("GET", "/v1/checkout/sessions", _list("checkout.session")),
    ("GET", "/v1/checkout/sessions/{id}", _held("checkout.session")),
    ("POST", "/v1/checkout/sessions/{id}/expire", _one(checkout.expire)),
    ("GET", "/v1/checkout/sessions/{id}/line_items", _one(checkout.list_line_items)),
    ("POST", "/v1/billing_portal/configurations", _make(portal_configurations.create)),
    ("GET", "/v1/billing_portal/configurations", _make(portal_configurations.list_all)),
    ("GET", "/v1/billing_portal/configurations/{id}", _held("billing_portal.configuration")),
    ("POST", "/v1/billing_portal/configurations/{id}", _one(portal_configurations.update)),
    ("POST", "/v1/billing_portal/sessions", _hosted(portal.create)),
    ("GET", "/v1/events", _make(events.list_all)),
    ("GET", "/v1/events/{id}", _get(events.retrieve)),
    ("POST", "/v1/webhook_endpoints", _make(webhook_endpoints.create)),
    ("GET", "/v1/webhook_endpoints", _list("webhook_endpoint")),
    ("GET", "/v1/webhook_endpoints/{id}", _held("webhook_endpoint")),
    ("POST", "/v1/webhook_endpoints/{id}", _one(webhook_endpoints.update)),
    ("DELETE", "/v1/webhook_endpoints/{id}", _one(webhook_endpoints.delete)),
)
