"""What a person does in the billing portal: the same calls that an application would make."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from mainstem.sandbox.stripe.hosted import portal, portal_configurations, typed_cards
from mainstem.sandbox.stripe.invoicing.ending import is_live
from mainstem.sandbox.stripe.pages import portal_forms, portal_home
from mainstem.sandbox.stripe.pages.layout import redirect
from mainstem.sandbox.stripe.pages.room import Room
from mainstem.sandbox.stripe.pages.visits import Handler, Visit
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.subscribers import customers, subscriptions
from mainstem.sandbox.stripe.wire.errors import StripeError, no_such
from mainstem.sandbox.stripe.wire.form import Tree

Act = Callable[[Visit, Room], Response]


def inside(act: Act, *, feature: str | None = None) -> Handler:
    """Return the handler that acts in an open session whose configuration has this feature."""

    def handle(visit: Visit) -> Response:
        account = visit.account
        session = account.store.get("billing_portal.session", visit.id)
        if not portal.visit(account, session):
            return portal_forms.expired(session)
        configuration = account.store.get("billing_portal.configuration", session["configuration"])
        room = Room(account, session, configuration, f"{visit.root}/_pages/portal/{session['id']}")
        if feature is not None and not room.allows(feature):
            raise StripeError("This is not available here.", status=HTTPStatus.FORBIDDEN)
        return act(visit, room)

    return handle


def start(_: Visit, room: Room) -> Response:
    """Show the page at which the session begins: that of its flow, or home."""
    flow = room.session["flow"]
    if flow is None:
        return portal_home.show(room)
    kind, account = flow["type"], room.account
    if kind == "payment_method_update":
        return portal_forms.method(room)
    subscription = account.store.get("subscription", flow[kind]["subscription"])
    is_ending = kind == "subscription_cancel" and subscription["cancel_at"] is not None
    if is_ending or not is_live(subscription):
        return portal_home.show(room)
    return _STARTS[kind](room, subscription)


def _confirm(room: Room, subscription: Json) -> Response:
    item = room.session["flow"]["subscription_update_confirm"]["items"][0]
    price = _price(room, subscription, item)
    return portal_forms.confirm(room, subscription, price, item.get("quantity"))


_STARTS: dict[str, Callable[[Room, Json], Response]] = {
    "subscription_cancel": portal_forms.cancel,
    "subscription_update": portal_forms.choose,
    "subscription_update_confirm": _confirm,
}


def home(_: Visit, room: Room) -> Response:
    """Show what the customer has."""
    return portal_home.show(room)


def _own(visit: Visit, room: Room) -> Json:
    """Return the subscription that the path names.

    Raises:
        StripeError: there is none, or it is another customer's; it has ended.
    """
    given = visit.names["subscription"]
    subscription = room.account.store.get("subscription", given)
    if subscription["customer"] != room.session["customer"]:
        raise no_such("subscription", given)
    if not is_live(subscription):
        raise StripeError("This subscription has ended: nothing was changed.", status=HTTPStatus.CONFLICT)
    return subscription


def ask_cancel(visit: Visit, room: Room) -> Response:
    """Show what a cancellation would mean."""
    return portal_forms.cancel(room, _own(visit, room))


def cancel(visit: Visit, room: Room) -> Response:
    """End the subscription, now or at its period's end, as the configuration has it."""
    subscription = _own(visit, room)
    if subscription["cancel_at"] is not None:
        raise StripeError("This is cancelled already: nothing was changed.", status=HTTPStatus.CONFLICT)
    how = room.configuration["features"]["subscription_cancel"]
    why = {name: visit.form[name] for name in ("comment", "feedback") if visit.form.get(name)}
    if why.get("feedback", "other") not in portal_configurations.REASONS:
        raise StripeError("This is no reason to choose from.", param="feedback")
    tree: Tree = {"cancellation_details": why}
    if how["mode"] == "immediately":
        prorates = how["proration_behavior"] != "none"
        invoices = how["proration_behavior"] == "always_invoice"
        tree |= {"prorate": str(prorates).lower(), "invoice_now": str(invoices).lower()}
        subscriptions.cancel(room.account, subscription["id"], tree)
    else:
        # https://docs.stripe.com/billing/subscriptions/billing-mode/compare
        is_flexible = subscription["billing_mode"]["type"] == "flexible"
        tree |= {"cancel_at": "max_period_end"} if is_flexible else {"cancel_at_period_end": "true"}
        subscriptions.update(room.account, subscription["id"], tree)
    return _finish(room, "subscription_cancel")


def resume(visit: Visit, room: Room) -> Response:
    """Take a cancellation back that has not come to pass."""
    subscription = _own(visit, room)
    # Stripe wants the one unset by which it was set.
    at_end = subscription["cancel_at_period_end"]
    tree: Tree = {"cancel_at_period_end": "false"} if at_end else {"cancel_at": ""}
    subscriptions.update(room.account, subscription["id"], tree)
    return redirect(f"{room.path}/home")


def ask_update(visit: Visit, room: Room) -> Response:
    """Show the prices to choose from, or what the chosen one would mean."""
    subscription = _own(visit, room)
    if "price" not in visit.form:
        return portal_forms.choose(room, subscription)
    return portal_forms.confirm(room, subscription, _price(room, subscription, visit.form), None)


def update(visit: Visit, room: Room) -> Response:
    """Give the subscription another price, or what its flow has in mind."""
    subscription = _own(visit, room)
    flow = room.session["flow"] or {}
    wanted: dict[str, Any] = visit.form
    if flow.get("type") == "subscription_update_confirm":
        confirmed = flow["subscription_update_confirm"]
        if confirmed["subscription"] != subscription["id"]:
            raise no_such("subscription", subscription["id"])
        wanted = confirmed["items"][0]
    price = _price(room, subscription, wanted)
    held = items_of(room.account.store, subscription)[0]
    item: Tree = {"id": held["id"]}
    if price["id"] != held["price"]:
        item["price"] = price["id"]
    if flow.get("type") == "subscription_update_confirm" and "quantity" in wanted:
        item["quantity"] = str(wanted["quantity"])
    how = room.configuration["features"]["subscription_update"]
    tree: Tree = {"items": [item], "proration_behavior": how["proration_behavior"]}
    if subscription["status"] == "trialing" and how["trial_update_behavior"] == "end_trial":
        tree["trial_end"] = "now"
    subscriptions.update(room.account, subscription["id"], tree)
    kind = flow.get("type", "")
    return _finish(room, kind if kind.startswith("subscription_update") else "")


def _price(room: Room, subscription: Json, wanted: dict[str, Any]) -> Json:
    """Return the price that is chosen, else the one that there is."""
    own = items_of(room.account.store, subscription)
    if len(own) != 1:
        raise StripeError("A subscription with several items cannot be changed here.")
    given = wanted.get("price") or own[0]["price"]
    price = room.account.store.get("price", given)
    if given != own[0]["price"] and price not in portal.offered(
        room.account, room.configuration, subscription
    ):
        raise StripeError("This price is not offered here.", param="price")
    return price


def ask_method(_: Visit, room: Room) -> Response:
    """Show the card that pays, and ask for another."""
    return portal_forms.method(room)


def change_method(visit: Visit, room: Room) -> Response:
    """Have a new card pay from now on, also for subscriptions that had one of their own."""
    number = visit.form.get("number", "")
    if visit.form.get("action") == "decline":
        number = typed_cards.DECLINED.number
    account, given = room.account, room.session["customer"]
    customer = account.store.get("customer", given)
    try:
        card = typed_cards.accept(number, is_charged=False)
    except StripeError as error:
        return portal_forms.method(room, str(error), status=error.status)
    method = typed_cards.attach(account, customer, card)
    customers.update(account, given, {"invoice_settings": {"default_payment_method": method["id"]}})
    for subscription in account.store.select("subscription", lambda held: bool(held["customer"] == given)):
        if is_live(subscription) and subscription["default_payment_method"] is not None:
            subscriptions.update(account, subscription["id"], {"default_payment_method": method["id"]})
    return _finish(room, "payment_method_update")


def done(_: Visit, room: Room) -> Response:
    """Show that the flow is over."""
    return portal_forms.confirmation(room)


def _finish(room: Room, kind: str) -> Response:
    """Lead on after something was done: as the flow wants it if it was the flow's, else home."""
    flow = room.session["flow"]
    if flow is None or flow["type"] != kind:
        return redirect(f"{room.path}/home")
    after = flow["after_completion"]
    if after["type"] == "redirect":
        return redirect(after["redirect"]["return_url"])
    return redirect(f"{room.path}/{'done' if after['type'] == 'hosted_confirmation' else 'home'}")
