"""What is sold during the load."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.callers import Seller


@dataclass(frozen=True)
class Catalogue:
    """What is sold: prices by week, several of a product, and some by day, which renew soon."""

    products: Sequence[str]
    weekly: Sequence[str]
    daily: Sequence[str]


async def open_shop(seller: Seller) -> Catalogue:
    """Make the products and their prices."""
    products, weekly, daily = [], [], []
    for number in range(4):
        product = (await seller.post("/v1/products", {"name": f"Product {number}"}))["id"]
        products.append(product)
        weekly += [await _price(seller, product, amount, "week") for amount in (499, 999)]
        daily.append(await _price(seller, product, 99, "day"))
    return Catalogue(products, weekly, daily)


async def _price(seller: Seller, product: str, amount: int, interval: str) -> str:
    price = {
        "product": product,
        "currency": "usd",
        "unit_amount": amount,
        "recurring": {"interval": interval},
    }
    return str((await seller.post("/v1/prices", price))["id"])
