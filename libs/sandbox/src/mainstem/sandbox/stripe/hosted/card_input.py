"""Card numbers typed on a page: accepted or refused before anything is changed."""

from mainstem.sandbox.stripe.goods import cards, payment_methods
from mainstem.sandbox.stripe.goods.cards import Card
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json

GOOD = cards.by_name("visa")
DECLINED = cards.by_name("chargeDeclined")


def accept(number: str, *, is_charged: bool) -> Card:
    """Return the card with this number.

    Raises:
        StripeError: it is no test card, or one that is refused here.
    """
    card = cards.by_number(number, "number")
    refusal = card.on_attach or (card.on_charge if is_charged else None)
    if refusal is not None:
        raise refusal.error()
    return card


def attach(account: StripeAccount, customer: Json, card: Card, *, name: str | None = None) -> Json:
    """Return a new payment method of the customer, made of an accepted card."""
    details = {"email": customer["email"] or "", "name": name or customer["name"] or ""}
    method = payment_methods.create(
        account, {"type": "card", "card": {"number": card.number}, "billing_details": details}
    )
    return payment_methods.owned(account, customer, method["id"], param="payment_method")
