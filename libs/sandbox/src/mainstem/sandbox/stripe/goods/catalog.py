"""Products and prices."""

from decimal import Decimal, InvalidOperation
from typing import Any

from mainstem.sandbox.stripe.state.account import StripeAccount, new_id
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.params import Fields


def _decimal(value: Any, name: str) -> Decimal:
    try:
        number = Decimal(params.identifier(value, name))
    except InvalidOperation as error:
        raise StripeError(f"Invalid decimal: {value}", code="parameter_invalid", param=name) from error
    if not number.is_finite() or number < 0:
        raise StripeError(f"Invalid decimal: {value}", code="parameter_invalid", param=name)
    return number


def _currency(value: Any, name: str) -> str:
    code = params.identifier(value, name).lower()
    if not (len(code) == 3 and code.isascii() and code.isalpha()):  # noqa: PLR2004 -- ISO 4217
        raise StripeError(f"Invalid currency: {code}.", code="parameter_invalid", param=name)
    return code


_RECURRING = params.record(
    {
        "interval": params.one_of("day", "week", "month", "year"),
        "interval_count": params.count,
        "meter": params.identifier,
        "trial_period_days": params.count,
        "usage_type": params.one_of("licensed", "metered"),
    },
    required=("interval",),
)
_AMOUNT: Fields = {"currency": _currency, "unit_amount": params.count, "unit_amount_decimal": _decimal}
_DEFAULT_PRICE: Fields = {
    **_AMOUNT,
    "active": params.boolean,
    "billing_scheme": params.one_of("per_unit"),
    "lookup_key": params.text,
    "metadata": params.metadata,
    "nickname": params.text,
    "recurring": _RECURRING,
    "tax_behavior": params.text,
    "transfer_lookup_key": params.boolean,
}
_PRICE: Fields = {**_DEFAULT_PRICE, "product": params.identifier}
PRICE_DATA = params.record(
    {**_AMOUNT, "product": params.identifier, "recurring": _RECURRING, "tax_behavior": params.text},
    required=("currency", "product"),
)
"""A price written inside another object, such as a subscription's item."""

_PRODUCT_UPDATE: Fields = {
    "active": params.boolean,
    "default_price": params.text,
    "description": params.text,
    "images": params.array(params.identifier),
    "marketing_features": params.array(params.record({"name": params.text})),
    "metadata": params.metadata,
    "name": params.identifier,
    "shippable": params.boolean,
    "statement_descriptor": params.text,
    "tax_code": params.text,
    "unit_label": params.text,
    "url": params.text,
}
_PRODUCT_CREATE: Fields = {
    **_PRODUCT_UPDATE,
    "id": params.identifier,
    "type": params.one_of("good", "service"),
    "default_price_data": params.record(_DEFAULT_PRICE, required=("currency",)),
}
_PRODUCT_DATA = params.record(
    {name: _PRODUCT_CREATE[name] for name in ("id", "active", "metadata", "name", "tax_code", "unit_label")}
    | {"statement_descriptor": params.text},
    required=("name",),
)


def create_product(account: StripeAccount, given: Tree) -> Json:
    """Make a product, and its default price where one is described."""
    wanted = params.read(given, _PRODUCT_CREATE, required=("name",))
    price_data = wanted.pop("default_price_data", None)
    product = _new_product(account, wanted)
    account.record("product.created", product)
    if price_data is not None:
        price = _new_price(account, product, price_data)
        with account.changing(product, "product.updated"):
            product["default_price"] = price["id"]
    return product


def _new_product(account: StripeAccount, wanted: dict[str, Any]) -> Json:
    given = wanted.pop("id", None) or new_id("prod", length=14)
    if account.store.find("product", given) is not None:
        raise StripeError(f"Product already exists: {given}", code="resource_already_exists", param="id")
    wanted["metadata"] = params.merged({}, wanted.get("metadata", {}))
    facts = {"active": True, "type": "service", "updated": account.now, **wanted}
    return account.new("product", id=given, **facts)


def update_product(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Change a product."""
    product = account.store.get("product", given)
    wanted = params.read(tree, _PRODUCT_UPDATE)
    default = wanted.get("default_price")
    if default is not None and account.store.get("price", default, param="default_price")["product"] != given:
        raise StripeError(f"The price {default} belongs to another product.", param="default_price")
    with account.changing(product, "product.updated"):
        _merge(product, wanted)
        product["updated"] = account.now
    return product


def delete_product(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Delete a product for ever.

    Raises:
        StripeError: it has prices.
    """
    params.read(tree, {})
    product = account.store.get("product", given)
    if any(price["product"] == given for price in account.store.shelf("price")):
        raise StripeError("This product cannot be deleted because it has one or more user-created prices.")
    account.record("product.deleted", product)
    return account.store.remove(product)


def create_price(account: StripeAccount, given: Tree) -> Json:
    """Make a price, and its product where one is described."""
    wanted = params.read(given, {**_PRICE, "product_data": _PRODUCT_DATA}, required=("currency",))
    product_data = wanted.pop("product_data", None)
    if (product_data is None) == ("product" not in wanted):
        raise StripeError("You must specify either `product` or `product_data` when creating a price.")
    if product_data is not None:
        _check_amount(wanted)
        product = _new_product(account, product_data)
        account.record("product.created", product)
    else:
        product = account.store.get("product", wanted["product"], param="product")
    return _new_price(account, product, wanted)


def price_of_data(account: StripeAccount, data: dict[str, Any]) -> Json:
    """Return a price made of what `PRICE_DATA` read."""
    product = account.store.get("product", data["product"], param="price_data[product]")
    return _new_price(account, product, {**data, "active": False})


def _new_price(account: StripeAccount, product: Json, wanted: dict[str, Any]) -> Json:
    amount = _check_amount(wanted)
    _claim_lookup_key(account, wanted)
    recurring = wanted.get("recurring")
    facts = {
        "active": wanted.get("active", True),
        "billing_scheme": "per_unit",
        "currency": wanted["currency"],
        "lookup_key": wanted.get("lookup_key"),
        "metadata": params.merged({}, wanted.get("metadata", {})),
        "nickname": wanted.get("nickname"),
        "product": product["id"],
        "recurring": None if recurring is None else _recurring(recurring),
        "tax_behavior": wanted.get("tax_behavior") or "unspecified",
        "type": "one_time" if recurring is None else "recurring",
        "unit_amount": int(amount) if amount == int(amount) else None,
        "unit_amount_decimal": format(amount.normalize(), "f"),
    }
    price = account.new("price", **facts)
    account.record("price.created", price)
    return price


def _recurring(given: dict[str, Any]) -> Json:
    shape = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
    return {**shape, **given}


def _check_amount(wanted: dict[str, Any]) -> Decimal:
    given = [wanted[name] for name in ("unit_amount", "unit_amount_decimal") if name in wanted]
    if len(given) != 1:
        raise StripeError(
            "Prices require exactly one of `unit_amount` and `unit_amount_decimal` to be set.",
            code="parameter_missing",
            param="unit_amount",
        )
    return Decimal(given[0])


def _claim_lookup_key(account: StripeAccount, wanted: dict[str, Any], holder: str | None = None) -> None:
    key = wanted.get("lookup_key")
    transfer = wanted.pop("transfer_lookup_key", False)
    if key is None:
        return
    for price in account.store.select(
        "price", lambda price: price["lookup_key"] == key and price["id"] != holder
    ):
        if not transfer:
            raise StripeError(f"A price (`{price['id']}`) already uses that lookup key.", param="lookup_key")
        with account.changing(price, "price.updated"):
            price["lookup_key"] = None


def update_price(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Change what may change of a price; its amount and period may not."""
    price = account.store.get("price", given)
    fields = {
        name: _PRICE[name]
        for name in ("active", "lookup_key", "metadata", "nickname", "tax_behavior", "transfer_lookup_key")
    }
    wanted = params.read(tree, fields)
    _claim_lookup_key(account, wanted, given)
    with account.changing(price, "price.updated"):
        _merge(price, wanted)
    return price


def _merge(held: Json, wanted: dict[str, Any]) -> None:
    if "metadata" in wanted:
        held["metadata"] = params.merged(held["metadata"], wanted.pop("metadata"))
    held |= wanted
