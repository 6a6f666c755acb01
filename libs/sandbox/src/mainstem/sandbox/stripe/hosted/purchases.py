"""Purchases in a checkout session, with a payment that is made now or comes later.

Nothing is made before the payment is known to be good, as at Stripe since 2025-03-31.basil.
"""

from dataclasses import dataclass
from http import HTTPStatus

from mainstem.sandbox.stripe.goods.cards import Card
from mainstem.sandbox.stripe.hosted import card_input
from mainstem.sandbox.stripe.hosted.checkout import details
from mainstem.sandbox.stripe.invoicing import collection, invoices, payments
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import parts_of
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.subscribers import customers, items, subscribing
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree


@dataclass(frozen=True)
class Payer:
    """A payer's input: an empty text for each field that the form does not have."""

    number: str = ""
    email: str = ""
    name: str = ""


def needs_card(session: Json) -> bool:
    """Return whether a session cannot be completed without a card."""
    return bool(session["payment_method_collection"] == "always" or session["amount_total"] > 0)


def pay(account: StripeAccount, session: Json, payer: Payer) -> None:
    """Complete an open session, and collect what is due at once.

    Raises:
        StripeError: it is not open, something is missing, or the card is refused; then nothing has changed.
    """
    _complete(account, session, payer, "allow_incomplete")


def pay_later(account: StripeAccount, session: Json, payer: Payer) -> None:
    """Complete an open session with a payment that is under way until `succeed` or `fail`.

    Raises:
        StripeError: as for `pay`.
    """
    _complete(account, session, payer, "default_incomplete")
    payments.process(account, account.store.get("invoice", session["invoice"]))


def _complete(account: StripeAccount, session: Json, payer: Payer, behavior: str) -> None:
    _require_open(session)
    card = None
    if needs_card(session):
        card = card_input.accept(payer.number, is_charged=session["amount_total"] > 0)
    lines = _lines(account, session)
    customer = _customer(account, session, payer)
    tree = {**session["_subscription_data"], "items": lines, "payment_behavior": behavior}
    subscription = _subscribe(account, customer, card, tree, payer)
    session |= {
        "customer": customer["id"],
        "customer_details": details(customer["email"], payer.name or customer["name"]),
        "invoice": subscription["latest_invoice"],
        "payment_status": _payment_status(account, subscription),
        "status": "complete",
        "subscription": subscription["id"],
        "url": None,
    }
    account.record("checkout.session.completed", session)


def _require_open(session: Json) -> None:
    if session["status"] != "open":
        raise StripeError(f"This Checkout Session is {session['status']}.", status=HTTPStatus.CONFLICT)


def _lines(account: StripeAccount, session: Json) -> list[Tree]:
    lines: list[Tree] = [
        {"price": part["price"], **({} if part["quantity"] is None else {"quantity": str(part["quantity"])})}
        for part in parts_of(account.store, session)
    ]
    for index, line in enumerate(lines):
        # The price may have been archived since the session was opened.
        items.price_of(account, line, f"line_items[{index}]")
    return lines


def _customer(account: StripeAccount, session: Json, payer: Payer) -> Json:
    given = session["customer"]
    known = None if given is None else account.store.get("customer", given, param="customer")
    email = (known and known["email"]) or session["customer_email"] or payer.email.strip()
    if "@" not in email:
        raise StripeError("Your email address is missing.", param="email")
    if known is None:
        return customers.create(account, {"email": email, "name": payer.name})
    return customers.update(account, known["id"], {} if known["email"] else {"email": email})


def _subscribe(account: StripeAccount, customer: Json, card: Card | None, tree: Tree, payer: Payer) -> Json:
    tree["customer"] = customer["id"]
    if card is not None:
        method = card_input.attach(account, customer, card, name=payer.name)
        tree["default_payment_method"] = method["id"]
    return subscribing.create(account, tree)


def _payment_status(account: StripeAccount, subscription: Json) -> str:
    invoice = account.store.get("invoice", subscription["latest_invoice"])
    if invoice["total"] == 0:
        return "no_payment_required"
    return "paid" if invoice["status"] == "paid" else "unpaid"


def is_under_way(account: StripeAccount, session: Json) -> bool:
    """Return whether the session's payment has yet to succeed or fail."""
    invoice = account.store.find("invoice", session["invoice"])
    is_unpaid = session["status"] == "complete" and session["payment_status"] == "unpaid"
    is_payable = invoice is not None and invoice["status"] in ("open", "paid")
    return is_unpaid and is_payable and not session["_has_failed"]


def succeed(account: StripeAccount, session: Json) -> None:
    """Have the payment that is under way arrive; a card that is charged in vain makes it fail."""
    invoice = account.store.get("invoice", session["invoice"])
    if invoice["status"] == "open" and collection.attempt(account, invoice, scheduled=False) is not None:
        _fail(account, session)
        return
    session["payment_status"] = "paid"
    account.record("checkout.session.async_payment_succeeded", session)


def fail(account: StripeAccount, session: Json) -> None:
    """Have the payment that is under way come to nothing; what it was to pay stays open.

    Raises:
        StripeError: the invoice was paid in another way.
    """
    invoice = account.store.get("invoice", session["invoice"])
    invoices.require_payable(invoice)
    collection.fail(account, invoice)
    _fail(account, session)


def _fail(account: StripeAccount, session: Json) -> None:
    session["_has_failed"] = True
    account.record("checkout.session.async_payment_failed", session)
