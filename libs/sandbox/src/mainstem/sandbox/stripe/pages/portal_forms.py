"""The portal's pages that ask before something is done, and those that say what was."""

from http import HTTPStatus

from starlette.responses import Response

from mainstem.sandbox.stripe.hosted import portal, typed_cards
from mainstem.sandbox.stripe.pages.layout import alert, notice, page
from mainstem.sandbox.stripe.pages.markup import Markup, button, field, form, link, tag
from mainstem.sandbox.stripe.pages.room import Room, back, card_of
from mainstem.sandbox.stripe.pages.words import cost, day, product_name
from mainstem.sandbox.stripe.state.store import Json


def _leave(room: Room) -> Markup:
    """Return the way out of a page without doing anything: back where a flow came from, else home."""
    url = room.session["return_url"] if room.session["flow"] else None
    return link("Go back", "back", url or f"{room.path}/home")


def cancel(room: Room, held: Json) -> Response:
    """Return the page that asks whether a subscription is to end."""
    how = room.configuration["features"]["subscription_cancel"]
    at_once = how["mode"] == "immediately"
    when = "at once" if at_once else f"on {day(held['current_period_end'])}"
    why = how["cancellation_reason"]
    return page(
        f"Cancel {room.name(held)}",
        tag("p", f"It will end {when}.", id="when"),
        form(
            _reasons(why["options"]) if why["enabled"] else None,
            tag(
                "div",
                button("Cancel the subscription", "confirm-cancel", "cancel", class_="first"),
                _leave(room),
                class_="actions",
            ),
            given="cancel",
            action=f"{room.path}/subscriptions/{held['id']}/cancel",
        ),
    )


def _reasons(options: list[str]) -> Markup:
    choices = [tag("option", option.replace("_", " "), value=option) for option in options]
    none = tag("option", "I would rather not say", value="")
    label = tag("label", "Why do you cancel?", for_="feedback")
    return tag("p", label, tag("select", none, choices, id="feedback", name="feedback"), class_="field")


def choose(room: Room, held: Json) -> Response:
    """Return the page of the prices to which a subscription can be changed."""
    now = room.lines(held)[0][0]["id"]
    found = portal.offered(room.account, room.configuration, held)
    offered = [price for price in found if price["id"] != now]
    choices = [
        tag(
            "label",
            tag("input", type="radio", name="price", value=price["id"], id=price["id"], required=True),
            f" {product_name(room.account, price)}, {cost(price)}",
            class_="choice",
        )
        for price in offered
    ]
    action = f"{room.path}/subscriptions/{held['id']}/update"
    go_on = tag("button", "Continue", id="continue", type="submit", class_="first") if offered else None
    return page(
        f"Change {room.name(held)}",
        tag(
            "form",
            tag("fieldset", tag("legend", "New plan"), choices or "There is no other one."),
            tag("div", go_on, _leave(room), class_="actions"),
            id="choose",
            method="get",
            action=action,
        ),
    )


def confirm(room: Room, held: Json, price: Json, quantity: int | None) -> Response:
    """Return the page that asks whether a subscription is to have this price."""
    (before, count), *_ = room.lines(held)
    after = count if quantity is None else quantity
    return page(
        f"Change {room.name(held)}",
        tag(
            "dl",
            tag("dt", "Now"),
            tag("dd", f"{product_name(room.account, before)}, {cost(before, count)}"),
            tag("dt", "Then"),
            tag("dd", f"{product_name(room.account, price)}, {cost(price, after)}", id="then"),
        ),
        form(
            tag("input", type="hidden", name="price", value=price["id"]),
            tag(
                "div",
                button("Confirm", "confirm-update", "update", class_="first"),
                _leave(room),
                class_="actions",
            ),
            given="confirm",
            action=f"{room.path}/subscriptions/{held['id']}/update",
        ),
    )


def method(room: Room, message: str | None = None, *, status: int = HTTPStatus.OK) -> Response:
    """Return the page that asks for another card."""
    return page(
        "Change the payment method",
        alert(message),
        tag("p", f"Now: {card_of(room)}", id="payment-method"),
        form(
            field(
                "Test card number",
                "number",
                "card-number",
                inputmode="numeric",
                required=True,
                value=typed_cards.GOOD.number,
            ),
            tag(
                "div",
                button("Save", "save-card", "save", class_="first"),
                button("Try a card that is declined", "save-declined", "decline"),
                _leave(room),
                class_="actions",
            ),
            given="payment-method-form",
            action=f"{room.path}/payment-method",
        ),
        status=status,
    )


def confirmation(room: Room) -> Response:
    """Return the page after a flow that ends with one."""
    after = (room.session["flow"] or {}).get("after_completion") or {}
    words = (after.get("hosted_confirmation") or {}).get("custom_message")
    return page("Done", notice(words or "Your change was made."), back(room))


def expired(session: Json) -> Response:
    """Return the page of a session that is open no longer."""
    url = session["return_url"]
    return page(
        "This link has expired",
        alert("Nothing was changed. Go back to where you came from to open the portal again."),
        None if url is None else tag("p", link("Return", "return", url)),
        status=HTTPStatus.GONE,
    )
