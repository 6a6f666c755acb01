"""API calls for invoices and invoice items."""

from typing import Any

from mainstem.sandbox.stripe.goods import payment_methods
from mainstem.sandbox.stripe.goods.pricing import amount_of, price_details
from mainstem.sandbox.stripe.invoicing import billing, collection, invoices
from mainstem.sandbox.stripe.state import listing
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import lines_of
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.paging import ListPage
from mainstem.sandbox.stripe.wire.params import Fields

_UPDATE: Fields = {
    "auto_advance": params.boolean,
    "default_payment_method": params.text,
    "description": params.text,
    "footer": params.text,
    "metadata": params.metadata,
}
_CREATE: Fields = {
    **_UPDATE,
    "collection_method": params.one_of("charge_automatically", invoices.SENT),
    "currency": params.identifier,
    "customer": params.identifier,
    "days_until_due": params.count,
    "due_date": params.count,
    "pending_invoice_items_behavior": params.one_of("exclude", "include"),
}
_ITEM: Fields = {
    "amount": params.integer,
    "currency": params.identifier,
    "customer": params.identifier,
    "description": params.text,
    "invoice": params.identifier,
    "metadata": params.metadata,
    "pricing": params.record({"price": params.identifier}, required=("price",)),
    "quantity": params.count,
}


def create(account: StripeAccount, given: Tree) -> Json:
    """Draft an invoice outside any subscription."""
    wanted = params.read(given, _CREATE, required=("customer",))
    customer = account.store.get("customer", wanted.pop("customer"), param="customer")
    currency = wanted.pop("currency", None) or customer["currency"] or "usd"
    invoice = invoices.draft(account, customer, currency, "manual")
    _fall_due(invoice, wanted)
    if wanted.pop("pending_invoice_items_behavior", "exclude") == "include":
        billing.take_pending(account, invoice, None)
    _apply(account, invoice, wanted)
    account.record("invoice.created", invoice)
    return invoice


def _fall_due(invoice: Json, wanted: dict[str, Any]) -> None:
    days = invoices.days_until_due(wanted, or_else="due_date")
    if days is not None:
        invoices.fall_due(invoice, days)
    elif wanted.get("collection_method") == invoices.SENT:
        invoice |= {"collection_method": invoices.SENT, "due_date": wanted["due_date"]}
    for name in ("collection_method", "days_until_due", "due_date"):
        wanted.pop(name, None)


def update(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Change what may change of an invoice."""
    invoice = account.store.get("invoice", given)
    wanted = params.read(tree, _UPDATE)
    with account.changing(invoice, "invoice.updated"):
        _apply(account, invoice, wanted)
    return invoice


def _apply(account: StripeAccount, invoice: Json, wanted: dict[str, Any]) -> None:
    method = wanted.get("default_payment_method")
    if method is not None:
        customer = account.store.get("customer", invoice["customer"])
        payment_methods.of_customer(account, customer, method, param="default_payment_method")
    if "metadata" in wanted:
        invoice["metadata"] = params.merged(invoice["metadata"], wanted.pop("metadata"))
    invoice |= wanted


def delete(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Delete a draft that is no subscription's."""
    params.read(tree, {})
    invoice = account.store.get("invoice", given)
    if invoice["status"] != "draft" or invoice["subscription"] is not None:
        raise StripeError("You can only delete draft invoices that are not part of a subscription.")
    for item in account.store.select("invoiceitem", lambda held: bool(held["invoice"] == given)):
        item["invoice"] = None
    account.record("invoice.deleted", invoice)
    return account.store.remove(invoice)


def list_lines(account: StripeAccount, given: str, tree: Tree) -> ListPage[Json]:
    """Return a page of the lines of an invoice, in its order."""
    parts = lines_of(account.store, account.store.get("invoice", given))
    return listing.list_parts(f"/v1/invoices/{given}/lines", parts, tree, "line_item")


def finalize(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Make a draft an open invoice; one that asks for nothing is paid by that."""
    wanted = params.read(tree, {"auto_advance": params.boolean})
    invoice = account.store.get("invoice", given)
    invoice |= wanted
    invoices.finalize(account, invoice)
    if invoice["amount_remaining"] == 0:
        collection.settle(account, invoice)
    return invoice


def send(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Send an invoice to its customer; a draft is finalized first."""
    params.read(tree, {})
    invoice = account.store.get("invoice", given)
    if invoice["collection_method"] != invoices.SENT:
        raise StripeError("You can only manually send an invoice if its collection method is 'send_invoice'.")
    if invoice["status"] == "draft":
        invoices.finalize(account, invoice)
    account.record("invoice.sent", invoice)
    return invoice


def pay(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Collect an invoice now; a draft is finalized first.

    Raises:
        StripeError: it cannot be paid, or the card is declined, which is on record then.
    """
    fields: Fields = {
        "off_session": params.boolean,
        "paid_out_of_band": params.boolean,
        "payment_method": params.identifier,
    }
    wanted = params.read(tree, fields)
    invoice = account.store.get("invoice", given)
    method = wanted.get("payment_method")
    if method is not None:
        customer = account.store.get("customer", invoice["customer"])
        payment_methods.of_customer(account, customer, method, param="payment_method")
    if invoice["status"] == "draft":
        invoices.finalize(account, invoice)
    invoices.require_payable(invoice)
    if wanted.get("paid_out_of_band"):
        collection.settle(account, invoice, out_of_band=True)
        return invoice
    refusal = collection.attempt(account, invoice, preferred=method, scheduled=False)
    if refusal is not None:
        raise refusal.error()
    return invoice


def void(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Void an invoice."""
    params.read(tree, {})
    invoice = account.store.get("invoice", given)
    invoices.void(account, invoice)
    return invoice


def mark_uncollectible(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Give an invoice up."""
    params.read(tree, {})
    invoice = account.store.get("invoice", given)
    invoices.give_up(account, invoice, "user_forgiven")
    return invoice


def create_item(account: StripeAccount, given: Tree) -> Json:
    """Make an invoice item: a line of the draft that it names, else of the customer's next invoice."""
    wanted = params.read(given, _ITEM, required=("customer",))
    customer = account.store.get("customer", wanted["customer"], param="customer")
    invoice = _draft_named(account, wanted)
    item = _new_item(account, customer, wanted)
    account.record("invoiceitem.created", item)
    if invoice is not None:
        with account.changing(invoice, "invoice.updated"):
            billing.take_item(account, invoice, item)
    return item


def _draft_named(account: StripeAccount, wanted: dict[str, Any]) -> Json | None:
    if "invoice" not in wanted:
        return None
    invoice = account.store.get("invoice", wanted["invoice"], param="invoice")
    if invoice["status"] != "draft" or invoice["customer"] != wanted["customer"]:
        raise StripeError("Invoice items can only be added to a draft of the same customer.", param="invoice")
    return invoice


def _new_item(account: StripeAccount, customer: Json, wanted: dict[str, Any]) -> Json:
    pricing = wanted.get("pricing")
    price = pricing and account.store.get("price", pricing["price"], param="pricing[price]")
    quantity = wanted.get("quantity", 1)
    if price is None and "amount" not in wanted:
        raise StripeError("Missing required param: amount.", code="parameter_missing", param="amount")
    amount = wanted["amount"] if price is None else amount_of(price, quantity)
    currency = wanted.get("currency") or customer["currency"] or "usd"
    return account.new(
        "invoiceitem",
        amount=amount,
        currency=currency if price is None else price["currency"],
        customer=customer["id"],
        date=account.now,
        description=wanted.get("description"),
        discountable=True,
        metadata=params.merged({}, wanted.get("metadata", {})),
        net_amount=amount,
        parent=None,
        period={"end": account.now, "start": account.now},
        price=None if price is None else price["id"],
        pricing=price_details(price),
        quantity=quantity,
        quantity_decimal=str(quantity),
        unit_amount=amount if price is None else price["unit_amount"],
        unit_amount_decimal=str(amount) if price is None else price["unit_amount_decimal"],
    )
