"""Actions in the billing portal: the same calls that an application would make."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from mainstem.sandbox.stripe.hosted import card_input, portal, portal_configurations
from mainstem.sandbox.stripe.invoicing.ending import is_live
from mainstem.sandbox.stripe.pages import portal_forms, portal_home
from mainstem.sandbox.stripe.pages.layout import redirect
from mainstem.sandbox.stripe.pages.page_requests import Handler, PageRequest
from mainstem.sandbox.stripe.pages.portal_context import PortalContext
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.subscribers import customers, subscriptions
from mainstem.sandbox.stripe.wire.errors import StripeError, no_such
from mainstem.sandbox.stripe.wire.form import Tree

Act = Callable[[PageRequest, PortalContext], Response]


def inside(act: Act, *, feature: str | None = None) -> Handler:
    """Return the handler that acts in an open session whose configuration has this feature."""

    def handle(page_request: PageRequest) -> Response:
        account = page_request.account
        session = account.store.get("billing_portal.session", page_request.id)
        if not portal.visit(account, session):
            return portal_forms.expired(session)
        configuration = account.store.get("billing_portal.configuration", session["configuration"])
        context = PortalContext(
            account, session, configuration, f"{page_request.root}/_pages/portal/{session['id']}"
        )
        if feature is not None and not context.allows(feature):
            raise StripeError("This is not available here.", status=HTTPStatus.FORBIDDEN)
        return act(page_request, context)

    return handle


def start(_: PageRequest, context: PortalContext) -> Response:
    """Show the page at which the session begins: that of its flow, or home."""
    flow = context.session["flow"]
    if flow is None:
        return portal_home.show(context)
    kind, account = flow["type"], context.account
    if kind == "payment_method_update":
        return portal_forms.method(context)
    subscription = account.store.get("subscription", flow[kind]["subscription"])
    is_ending = kind == "subscription_cancel" and subscription["cancel_at"] is not None
    if is_ending or not is_live(subscription):
        return portal_home.show(context)
    return _STARTS[kind](context, subscription)


def _confirm(context: PortalContext, subscription: Json) -> Response:
    item = context.session["flow"]["subscription_update_confirm"]["items"][0]
    price = _price(context, subscription, item)
    return portal_forms.confirm(context, subscription, price, item.get("quantity"))


_STARTS: dict[str, Callable[[PortalContext, Json], Response]] = {
    "subscription_cancel": portal_forms.cancel,
    "subscription_update": portal_forms.choose,
    "subscription_update_confirm": _confirm,
}


def home(_: PageRequest, context: PortalContext) -> Response:
    """Show what the customer has."""
    return portal_home.show(context)


def _own(page_request: PageRequest, context: PortalContext) -> Json:
    """Return the subscription that the path names.

    Raises:
        StripeError: there is none, or it is another customer's; it has ended.
    """
    given = page_request.names["subscription"]
    subscription = context.account.store.get("subscription", given)
    if subscription["customer"] != context.session["customer"]:
        raise no_such("subscription", given)
    if not is_live(subscription):
        raise StripeError("This subscription has ended: nothing was changed.", status=HTTPStatus.CONFLICT)
    return subscription


def ask_cancel(page_request: PageRequest, context: PortalContext) -> Response:
    """Show what a cancellation would mean."""
    return portal_forms.cancel(context, _own(page_request, context))


def cancel(page_request: PageRequest, context: PortalContext) -> Response:
    """End the subscription, now or at its period's end, as the configuration has it."""
    subscription = _own(page_request, context)
    if subscription["cancel_at"] is not None:
        raise StripeError("This is cancelled already: nothing was changed.", status=HTTPStatus.CONFLICT)
    how = context.configuration["features"]["subscription_cancel"]
    why = {name: page_request.form[name] for name in ("comment", "feedback") if page_request.form.get(name)}
    if why.get("feedback", "other") not in portal_configurations.REASONS:
        raise StripeError("This is no reason to choose from.", param="feedback")
    tree: Tree = {"cancellation_details": why}
    if how["mode"] == "immediately":
        prorates = how["proration_behavior"] != "none"
        invoices = how["proration_behavior"] == "always_invoice"
        tree |= {"prorate": str(prorates).lower(), "invoice_now": str(invoices).lower()}
        subscriptions.cancel(context.account, subscription["id"], tree)
    else:
        # https://docs.stripe.com/billing/subscriptions/billing-mode/compare
        is_flexible = subscription["billing_mode"]["type"] == "flexible"
        tree |= {"cancel_at": "max_period_end"} if is_flexible else {"cancel_at_period_end": "true"}
        subscriptions.update(context.account, subscription["id"], tree)
    return _finish(context, "subscription_cancel")


def resume(page_request: PageRequest, context: PortalContext) -> Response:
    """Take a cancellation back that has not come to pass."""
    subscription = _own(page_request, context)
    # Stripe wants the one unset by which it was set.
    at_end = subscription["cancel_at_period_end"]
    tree: Tree = {"cancel_at_period_end": "false"} if at_end else {"cancel_at": ""}
    subscriptions.update(context.account, subscription["id"], tree)
    return redirect(f"{context.path}/home")


def ask_update(page_request: PageRequest, context: PortalContext) -> Response:
    """Show the prices to choose from, or what the chosen one would mean."""
    subscription = _own(page_request, context)
    if "price" not in page_request.form:
        return portal_forms.choose(context, subscription)
    return portal_forms.confirm(context, subscription, _price(context, subscription, page_request.form), None)


def update(page_request: PageRequest, context: PortalContext) -> Response:
    """Give the subscription another price, or what its flow has in mind."""
    subscription = _own(page_request, context)
    flow = context.session["flow"] or {}
    wanted: dict[str, Any] = page_request.form
    if flow.get("type") == "subscription_update_confirm":
        confirmed = flow["subscription_update_confirm"]
        if confirmed["subscription"] != subscription["id"]:
            raise no_such("subscription", subscription["id"])
        wanted = confirmed["items"][0]
    price = _price(context, subscription, wanted)
    held = items_of(context.account.store, subscription)[0]
    item: Tree = {"id": held["id"]}
    if price["id"] != held["price"]:
        item["price"] = price["id"]
    if flow.get("type") == "subscription_update_confirm" and "quantity" in wanted:
        item["quantity"] = str(wanted["quantity"])
    how = context.configuration["features"]["subscription_update"]
    tree: Tree = {"items": [item], "proration_behavior": how["proration_behavior"]}
    if subscription["status"] == "trialing" and how["trial_update_behavior"] == "end_trial":
        tree["trial_end"] = "now"
    subscriptions.update(context.account, subscription["id"], tree)
    kind = flow.get("type", "")
    return _finish(context, kind if kind.startswith("subscription_update") else "")


def _price(context: PortalContext, subscription: Json, wanted: dict[str, Any]) -> Json:
    """Return the price that is chosen, else the one that there is."""
    own = items_of(context.account.store, subscription)
    if len(own) != 1:
        raise StripeError("A subscription with several items cannot be changed here.")
    given = wanted.get("price") or own[0]["price"]
    price = context.account.store.get("price", given)
    if given != own[0]["price"] and price not in portal.offered(
        context.account, context.configuration, subscription
    ):
        raise StripeError("This price is not offered here.", param="price")
    return price


def ask_method(_: PageRequest, context: PortalContext) -> Response:
    """Show the card that pays, and ask for another."""
    return portal_forms.method(context)


def change_method(page_request: PageRequest, context: PortalContext) -> Response:
    """Have a new card pay from now on, also for subscriptions that had one of their own."""
    number = page_request.form.get("number", "")
    if page_request.form.get("action") == "decline":
        number = card_input.DECLINED.number
    account, given = context.account, context.session["customer"]
    customer = account.store.get("customer", given)
    try:
        card = card_input.accept(number, is_charged=False)
    except StripeError as error:
        return portal_forms.method(context, str(error), status=error.status)
    method = card_input.attach(account, customer, card)
    customers.update(account, given, {"invoice_settings": {"default_payment_method": method["id"]}})
    for subscription in account.store.select("subscription", lambda held: bool(held["customer"] == given)):
        if is_live(subscription) and subscription["default_payment_method"] is not None:
            subscriptions.update(account, subscription["id"], {"default_payment_method": method["id"]})
    return _finish(context, "payment_method_update")


def done(_: PageRequest, context: PortalContext) -> Response:
    """Show that the flow is over."""
    return portal_forms.confirmation(context)


def _finish(context: PortalContext, kind: str) -> Response:
    """Lead on after something was done: as the flow wants it if it was the flow's, else home."""
    flow = context.session["flow"]
    if flow is None or flow["type"] != kind:
        return redirect(f"{context.path}/home")
    after = flow["after_completion"]
    if after["type"] == "redirect":
        return redirect(after["redirect"]["return_url"])
    return redirect(f"{context.path}/{'done' if after['type'] == 'hosted_confirmation' else 'home'}")
