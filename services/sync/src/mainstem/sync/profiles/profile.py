"""Profile: a contact and its products, in one order. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from mainstem.sync.profiles.groups import Contact, Group, Newsletter, Span

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Product:
    """A contact's holding of one product. Amounts are in the currency's minor unit."""

    payment_service: str
    account: str
    product_id: str
    segment: str
    changed: datetime
    sub_count: int
    price_id: str | None
    currency: str | None
    amount: int | None
    interval: str | None
    interval_count: int | None
    status: str | None
    created: datetime | None
    start: datetime | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    canceled_at: datetime | None
    cancel_at_period_end: bool | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Profile:
    """A contact as it stands at one moment. Products are in order of their id, each id once."""

    contact_id: UUID
    groups: Mapping[str, Group]
    newsletters: Mapping[str, Newsletter]
    spans: Mapping[str, Span]
    products: tuple[Product, ...]


def build(contact: Contact, products: Iterable[Product]) -> Profile:
    """Return the profile of a contact.

    Platforms know a product by its id alone: of two accounts that sell under one id, the one whose
    period ends last speaks for it.
    """
    by_id = {one.product_id: one for one in sorted(products, key=_rank)}
    return Profile(
        contact_id=contact.contact_id,
        groups=contact.groups,
        newsletters=contact.newsletters,
        spans=contact.spans,
        products=tuple(by_id[product_id] for product_id in sorted(by_id)),
    )


def _rank(product: Product) -> tuple[datetime, str, str]:
    return (product.current_period_end or _NEVER, product.payment_service, product.account)
