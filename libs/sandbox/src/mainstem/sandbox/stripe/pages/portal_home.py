"""First page of the portal: the customer's subscriptions, payment method and invoices."""

from starlette.responses import Response

from mainstem.sandbox.stripe.invoicing.ending import is_live
from mainstem.sandbox.stripe.pages.formats import cost, day, money
from mainstem.sandbox.stripe.pages.layout import page
from mainstem.sandbox.stripe.pages.markup import Markup, button, form, link, tag
from mainstem.sandbox.stripe.pages.portal_context import PortalContext, back, card_of
from mainstem.sandbox.stripe.state.store import Json


def show(context: PortalContext) -> Response:
    """Return the page of everything that the customer has."""
    mine = context.session["customer"]
    held = context.account.store.select("subscription", lambda one: bool(one["customer"] == mine))
    live = [one for one in held if is_live(one)]
    return page(
        "Your subscriptions",
        *[_subscription(context, one) for one in live],
        None if live else tag("p", "There is none.", id="no-subscriptions"),
        _payment(context),
        _invoices(context) if context.allows("invoice_history") else None,
        back(context),
    )


def _subscription(context: PortalContext, held: Json) -> Markup:
    given, name = held["id"], context.name(held)
    costs = ", ".join(cost(price, quantity) for price, quantity in context.lines(held))
    facts = (
        tag("dt", "Price"),
        tag("dd", costs),
        tag("dt", "Status"),
        tag("dd", held["status"], id=f"status-{given}"),
        tag("dt", "Ends on" if held["cancel_at"] else "Renews on"),
        tag("dd", day(held["cancel_at"] or held["current_period_end"]), id=f"until-{given}"),
    )
    actions = tag("div", _actions(context, held), class_="actions")
    return tag("section", tag("h2", name, id=f"name-{given}"), tag("dl", *facts), actions, id=given)


def _actions(context: PortalContext, held: Json) -> list[Markup]:
    base, given = f"{context.path}/subscriptions/{held['id']}", held["id"]
    found = []
    if context.allows("subscription_update") and len(held["items"]) == 1:
        found.append(link("Change the plan", f"update-{given}", f"{base}/update"))
    if context.allows("subscription_cancel") and held["cancel_at"] is None:
        found.append(link("Cancel", f"cancel-{given}", f"{base}/cancel"))
    elif context.allows("subscription_cancel"):
        resume = button("Do not cancel", f"resume-{given}", "resume")
        found.append(form(resume, given=f"form-{given}", action=f"{base}/resume"))
    return found


def _payment(context: PortalContext) -> Markup:
    change = None
    if context.allows("payment_method_update"):
        change = tag(
            "p", link("Change the payment method", "update-payment-method", f"{context.path}/payment-method")
        )
    return tag(
        "section", tag("h2", "Payment method"), tag("p", card_of(context), id="payment-method"), change
    )


def _invoices(context: PortalContext) -> Markup:
    mine = context.session["customer"]
    held = context.account.store.select(
        "invoice", lambda one: bool(one["customer"] == mine and one["status"] != "draft")
    )
    head = tag("tr", [tag("th", words, scope="col") for words in ("Invoice", "Date", "Amount", "Status")])
    rows = [
        tag(
            "tr",
            tag("td", one["number"]),
            tag("td", day(one["created"])),
            tag("td", money(one["total"], one["currency"])),
            tag("td", one["status"]),
            id=one["id"],
        )
        for one in reversed(held)
    ]
    return tag(
        "section", tag("h2", "Invoices"), tag("table", tag("thead", head), tag("tbody", rows), id="invoices")
    )
