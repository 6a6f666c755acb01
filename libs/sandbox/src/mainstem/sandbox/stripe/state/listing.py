"""Lists of held objects: each kind's filters, as data."""

from collections.abc import Callable
from typing import Any

from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import items_of, part_page
from mainstem.sandbox.stripe.state.store import Json, Store
from mainstem.sandbox.stripe.wire import paging, params
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.paging import ListPage
from mainstem.sandbox.stripe.wire.params import Fields, Reader

Test = Callable[[Json], bool]
Filter = tuple[Reader, Callable[[Store, Any], Test]]
"""Reader of a parameter, and the test that the parameter's value makes."""


def _equal(field: str) -> Callable[[Store, Any], Test]:
    return lambda _, value: lambda held: bool(held[field] == value)


def _within(field: str) -> Callable[[Store, Any], Test]:
    return lambda _, values: lambda held: held[field] in values


def _moment(field: str) -> Callable[[Store, Any], Test]:
    return lambda _, test: lambda held: held[field] is not None and test(held[field])


def _has_price(store: Store, price: str) -> Test:
    return lambda held: any(item["price"] == price for item in items_of(store, held))


_ENDED = frozenset({"canceled", "incomplete_expired"})


def _has_status(_: Store, status: str) -> Test:
    if status == "all":
        return lambda _: True
    if status == "ended":
        return lambda held: held["status"] in _ENDED
    return lambda held: bool(held["status"] == status)


_CREATED: Filter = (paging.moments, _moment("created"))
_CUSTOMER: Filter = (params.identifier, _equal("customer"))
_ACTIVE: Filter = (params.boolean, _equal("active"))
_TYPE: Filter = (params.identifier, _equal("type"))
_IDS = params.array(params.identifier)


def _has_email(_: Store, wanted: dict[str, str]) -> Test:
    return lambda held: (held["customer_details"] or {}).get("email") == wanted["email"]


FILTERS: dict[str, dict[str, Filter]] = {
    "billing_portal.configuration": {
        "active": _ACTIVE,
        "is_default": (params.boolean, _equal("is_default")),
    },
    "checkout.session": {
        "created": _CREATED,
        "customer": _CUSTOMER,
        "customer_details": (params.record({"email": params.identifier}, required=("email",)), _has_email),
        "payment_intent": (params.identifier, _equal("payment_intent")),
        "payment_link": (params.identifier, _equal("payment_link")),
        "status": (params.one_of("complete", "expired", "open"), _equal("status")),
        "subscription": (params.identifier, _equal("subscription")),
    },
    "customer": {"created": _CREATED, "email": (params.identifier, _equal("email"))},
    "invoice": {
        "created": _CREATED,
        "customer": _CUSTOMER,
        "status": (params.one_of("draft", "open", "paid", "uncollectible", "void"), _equal("status")),
        "subscription": (params.identifier, _equal("subscription")),
    },
    "invoice_payment": {
        "invoice": (params.identifier, _equal("invoice")),
        "status": (params.one_of("canceled", "open", "paid"), _equal("status")),
    },
    "invoiceitem": {
        "created": (paging.moments, _moment("date")),
        "customer": _CUSTOMER,
        "invoice": (params.identifier, _equal("invoice")),
        "pending": (params.boolean, lambda _, pending: lambda held: (held["invoice"] is None) == pending),
    },
    "payment_intent": {"created": _CREATED, "customer": _CUSTOMER},
    "payment_method": {"customer": _CUSTOMER, "type": _TYPE},
    "price": {
        "active": _ACTIVE,
        "created": _CREATED,
        "currency": (params.identifier, _equal("currency")),
        "lookup_keys": (_IDS, _within("lookup_key")),
        "product": (params.identifier, _equal("product")),
        "type": _TYPE,
    },
    "product": {"active": _ACTIVE, "created": _CREATED, "ids": (_IDS, _within("id"))},
    "subscription": {
        "created": _CREATED,
        "customer": _CUSTOMER,
        "current_period_end": (paging.moments, _moment("current_period_end")),
        "current_period_start": (paging.moments, _moment("current_period_start")),
        "price": (params.identifier, _has_price),
        "status": (params.identifier, _has_status),
    },
    "webhook_endpoint": {},
}

URLS = {kind: f"/v1/{kind.replace('.', '/')}s" for kind in FILTERS}


def list_all(account: StripeAccount, kind: str, given: Tree) -> ListPage[Json]:
    """Return a page of the objects of one kind, newest first."""
    known = FILTERS[kind]
    fields: Fields = {name: reader for name, (reader, _) in known.items()}
    window, filters = paging.split(given, fields)
    tests = [known[name][1](account.store, value) for name, value in filters.items()]
    if kind == "subscription" and "status" not in filters:
        tests.append(lambda held: held["status"] != "canceled")
    return paging.page(
        URLS[kind],
        account.store.shelf(kind),
        window,
        wanted=lambda held: all(test(held) for test in tests),
        noun=kind,
    )


def list_parts(url: str, parts: list[Json], given: Tree, noun: str) -> ListPage[Json]:
    """Return a page of the parts of one object, in its order."""
    window, _ = paging.split(given, {})
    return part_page(url, parts, window, noun)
