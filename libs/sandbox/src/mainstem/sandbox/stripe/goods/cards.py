"""Stripe's test cards, each with its outcome.

https://docs.stripe.com/testing
"""

from dataclasses import dataclass

from mainstem.sandbox.stripe.wire.errors import DeclinedError, StripeError

_DECLINED = "Your card was declined."


@dataclass(frozen=True)
class CardRefusal:
    """Why a card is refused."""

    code: str
    decline_code: str
    message: str = _DECLINED

    def error(self) -> DeclinedError:
        """Return what Stripe answers."""
        return DeclinedError(self.code, self.decline_code, self.message)


@dataclass(frozen=True)
class Card:
    """One test card: `name` as in `pm_card_visa` and `tok_visa`."""

    name: str
    number: str
    brand: str = "visa"
    on_attach: CardRefusal | None = None
    on_charge: CardRefusal | None = None


_GENERIC = CardRefusal("card_declined", "generic_decline")
_NO_FUNDS = CardRefusal("card_declined", "insufficient_funds", "Your card has insufficient funds.")
_EXPIRED = CardRefusal("expired_card", "expired_card", "Your card has expired.")
_WRONG_CVC = CardRefusal("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.")

CARDS = (
    Card("visa", "4242424242424242"),
    Card("visa_debit", "4000056655665556"),
    Card("mastercard", "5555555555554444", "mastercard"),
    Card("amex", "378282246310005", "amex"),
    Card("chargeDeclined", "4000000000000002", on_attach=_GENERIC, on_charge=_GENERIC),
    Card("chargeDeclinedInsufficientFunds", "4000000000009995", on_attach=_NO_FUNDS, on_charge=_NO_FUNDS),
    Card("chargeDeclinedExpiredCard", "4000000000000069", on_attach=_EXPIRED, on_charge=_EXPIRED),
    Card("chargeDeclinedIncorrectCvc", "4000000000000127", on_attach=_WRONG_CVC, on_charge=_WRONG_CVC),
    Card("chargeCustomerFail", "4000000000000341", on_charge=_GENERIC),
)

_BY_NAME = {card.name: card for card in CARDS}
_BY_NUMBER = {card.number: card for card in CARDS}


def by_name(name: str) -> Card:
    """Return the card of this name, which there is."""
    return _BY_NAME[name]


def by_method(given: str) -> Card | None:
    """Return the card that a test payment method such as `pm_card_visa` stands for, None if it is none."""
    return _BY_NAME.get(given.removeprefix("pm_card_")) if given.startswith("pm_card_") else None


def by_token(given: str, param: str) -> Card:
    """Return the card that a test token such as `tok_visa` stands for.

    Raises:
        StripeError: there is no such token.
    """
    card = _BY_NAME.get(given.removeprefix("tok_")) if given.startswith("tok_") else None
    if card is None:
        raise StripeError(f"No such token: '{given}'", code="resource_missing", param=param)
    return card


def by_number(given: str, param: str) -> Card:
    """Return the card with this number.

    Raises:
        StripeError: it is no test card of ours.
    """
    card = _BY_NUMBER.get(given.replace(" ", ""))
    if card is None:
        raise StripeError(
            "Your card was declined. Your request was in test mode, but used a non test card. "
            "For a list of valid test cards, visit: https://stripe.com/docs/testing.",
            code="card_declined",
            param=param,
        )
    return card
