"""Display formats of prices, money and days."""

from datetime import UTC, datetime
from decimal import Decimal

from mainstem.sandbox.stripe.goods.pricing import amount_of
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json

# https://docs.stripe.com/currencies#zero-decimal; amounts of UGX still have two digits.
_WITHOUT_CENTS = frozenset(("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga")) | frozenset(
    ("pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
_WITH_THOUSANDTHS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))


def money(amount_minor: int, currency: str) -> str:
    """Return an amount of the currency's smallest unit, such as `9.99 USD`."""
    digits = 0 if currency in _WITHOUT_CENTS else 3 if currency in _WITH_THOUSANDTHS else 2
    return f"{Decimal(amount_minor).scaleb(-digits):.{digits}f} {currency.upper()}"


def cost(price: Json, quantity: int | None = 1) -> str:
    """Return what a quantity costs and how often, such as `9.99 USD every month`; None: by usage."""
    unit, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    often = unit if count == 1 else f"{count} {unit}s"
    if quantity is None:
        return f"{money(amount_of(price, 1), price['currency'])} a unit used, every {often}"
    return f"{money(amount_of(price, quantity), price['currency'])} every {often}"


def product_name(account: StripeAccount, price: Json) -> str:
    """Return the name of what a price is for."""
    product = account.store.find("product", price["product"])
    return str(product["name"] if product else price["id"])


def day(at: int) -> str:
    """Return the day of an instant, in UTC, such as `31 January 2027`."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%B %Y}"
