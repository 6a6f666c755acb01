"""Body of a purchase. Pure."""

from mainstem.billing.accounts.bodies import OwnedBody
from mainstem.common.http.values import Name


class Purchase(OwnedBody):
    """Body of a purchase: its buyer, and the id or lookup key of the price; by default the first one sold."""

    price: Name | None = None
