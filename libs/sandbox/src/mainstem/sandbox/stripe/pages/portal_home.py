"""The portal's first page: what the customer has, and what can be done about it."""

from starlette.responses import Response

from mainstem.sandbox.stripe.invoicing.ending import is_live
from mainstem.sandbox.stripe.pages.layout import page
from mainstem.sandbox.stripe.pages.markup import Markup, button, form, link, tag
from mainstem.sandbox.stripe.pages.room import Room, back, card_of
from mainstem.sandbox.stripe.pages.words import cost, day, money
from mainstem.sandbox.stripe.state.store import Json


def show(room: Room) -> Response:
    """Return the page of everything that the customer has."""
    mine = room.session["customer"]
    held = room.account.store.select("subscription", lambda one: bool(one["customer"] == mine))
    live = [one for one in held if is_live(one)]
    return page(
        "Your subscriptions",
        *[_subscription(room, one) for one in live],
        None if live else tag("p", "There is none.", id="no-subscriptions"),
        _payment(room),
        _invoices(room) if room.allows("invoice_history") else None,
        back(room),
    )


def _subscription(room: Room, held: Json) -> Markup:
    given, name = held["id"], room.name(held)
    costs = ", ".join(cost(price, quantity) for price, quantity in room.lines(held))
    facts = (
        tag("dt", "Price"),
        tag("dd", costs),
        tag("dt", "Status"),
        tag("dd", held["status"], id=f"status-{given}"),
        tag("dt", "Ends on" if held["cancel_at"] else "Renews on"),
        tag("dd", day(held["cancel_at"] or held["current_period_end"]), id=f"until-{given}"),
    )
    actions = tag("div", _actions(room, held), class_="actions")
    return tag("section", tag("h2", name, id=f"name-{given}"), tag("dl", *facts), actions, id=given)


def _actions(room: Room, held: Json) -> list[Markup]:
    base, given = f"{room.path}/subscriptions/{held['id']}", held["id"]
    found = []
    if room.allows("subscription_update") and len(held["items"]) == 1:
        found.append(link("Change the plan", f"update-{given}", f"{base}/update"))
    if room.allows("subscription_cancel") and held["cancel_at"] is None:
        found.append(link("Cancel", f"cancel-{given}", f"{base}/cancel"))
    elif room.allows("subscription_cancel"):
        resume = button("Do not cancel", f"resume-{given}", "resume")
        found.append(form(resume, given=f"form-{given}", action=f"{base}/resume"))
    return found


def _payment(room: Room) -> Markup:
    change = None
    if room.allows("payment_method_update"):
        change = tag(
            "p", link("Change the payment method", "update-payment-method", f"{room.path}/payment-method")
        )
    return tag("section", tag("h2", "Payment method"), tag("p", card_of(room), id="payment-method"), change)


def _invoices(room: Room) -> Markup:
    mine = room.session["customer"]
    held = room.account.store.select(
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
