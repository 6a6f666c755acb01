"""Forms of the portal before an action, and the pages after it."""

from http import HTTPStatus

from starlette.responses import Response

from mainstem.sandbox.stripe.hosted import card_input, portal
from mainstem.sandbox.stripe.pages.formats import cost, day, product_name
from mainstem.sandbox.stripe.pages.layout import alert, notice, page
from mainstem.sandbox.stripe.pages.markup import Markup, button, field, form, link, tag
from mainstem.sandbox.stripe.pages.portal_context import PortalContext, back, card_of
from mainstem.sandbox.stripe.state.store import Json


def _leave(context: PortalContext) -> Markup:
    """Return the way out of a page without doing anything: back where a flow came from, else home."""
    url = context.session["return_url"] if context.session["flow"] else None
    return link("Go back", "back", url or f"{context.path}/home")


def cancel(context: PortalContext, held: Json) -> Response:
    """Return the page that asks whether a subscription is to end."""
    how = context.configuration["features"]["subscription_cancel"]
    at_once = how["mode"] == "immediately"
    when = "at once" if at_once else f"on {day(held['current_period_end'])}"
    why = how["cancellation_reason"]
    return page(
        f"Cancel {context.name(held)}",
        tag("p", f"It will end {when}.", id="when"),
        form(
            _reasons(why["options"]) if why["enabled"] else None,
            tag(
                "div",
                button("Cancel the subscription", "confirm-cancel", "cancel", class_="first"),
                _leave(context),
                class_="actions",
            ),
            given="cancel",
            action=f"{context.path}/subscriptions/{held['id']}/cancel",
        ),
    )


def _reasons(options: list[str]) -> Markup:
    choices = [tag("option", option.replace("_", " "), value=option) for option in options]
    none = tag("option", "I would rather not say", value="")
    label = tag("label", "Why do you cancel?", for_="feedback")
    return tag("p", label, tag("select", none, choices, id="feedback", name="feedback"), class_="field")


def choose(context: PortalContext, held: Json) -> Response:
    """Return the page of the prices to which a subscription can be changed."""
    now = context.lines(held)[0][0]["id"]
    found = portal.offered(context.account, context.configuration, held)
    offered = [price for price in found if price["id"] != now]
    choices = [
        tag(
            "label",
            tag("input", type="radio", name="price", value=price["id"], id=price["id"], required=True),
            f" {product_name(context.account, price)}, {cost(price)}",
            class_="choice",
        )
        for price in offered
    ]
    action = f"{context.path}/subscriptions/{held['id']}/update"
    go_on = tag("button", "Continue", id="continue", type="submit", class_="first") if offered else None
    return page(
        f"Change {context.name(held)}",
        tag(
            "form",
            tag("fieldset", tag("legend", "New plan"), choices or "There is no other one."),
            tag("div", go_on, _leave(context), class_="actions"),
            id="choose",
            method="get",
            action=action,
        ),
    )


def confirm(context: PortalContext, held: Json, price: Json, quantity: int | None) -> Response:
    """Return the page that asks whether a subscription is to have this price."""
    (before, count), *_ = context.lines(held)
    after = count if quantity is None else quantity
    return page(
        f"Change {context.name(held)}",
        tag(
            "dl",
            tag("dt", "Now"),
            tag("dd", f"{product_name(context.account, before)}, {cost(before, count)}"),
            tag("dt", "Then"),
            tag("dd", f"{product_name(context.account, price)}, {cost(price, after)}", id="then"),
        ),
        form(
            tag("input", type="hidden", name="price", value=price["id"]),
            tag(
                "div",
                button("Confirm", "confirm-update", "update", class_="first"),
                _leave(context),
                class_="actions",
            ),
            given="confirm",
            action=f"{context.path}/subscriptions/{held['id']}/update",
        ),
    )


def method(context: PortalContext, message: str | None = None, *, status: int = HTTPStatus.OK) -> Response:
    """Return the page that asks for another card."""
    return page(
        "Change the payment method",
        alert(message),
        tag("p", f"Now: {card_of(context)}", id="payment-method"),
        form(
            field(
                "Test card number",
                "number",
                "card-number",
                inputmode="numeric",
                required=True,
                value=card_input.GOOD.number,
            ),
            tag(
                "div",
                button("Save", "save-card", "save", class_="first"),
                button("Try a card that is declined", "save-declined", "decline"),
                _leave(context),
                class_="actions",
            ),
            given="payment-method-form",
            action=f"{context.path}/payment-method",
        ),
        status=status,
    )


def confirmation(context: PortalContext) -> Response:
    """Return the page after a flow that ends with one."""
    after = (context.session["flow"] or {}).get("after_completion") or {}
    words = (after.get("hosted_confirmation") or {}).get("custom_message")
    return page("Done", notice(words or "Your change was made."), back(context))


def expired(session: Json) -> Response:
    """Return the page of a session that is open no longer."""
    url = session["return_url"]
    return page(
        "This link has expired",
        alert("Nothing was changed. Go back to where you came from to open the portal again."),
        None if url is None else tag("p", link("Return", "return", url)),
        status=HTTPStatus.GONE,
    )
