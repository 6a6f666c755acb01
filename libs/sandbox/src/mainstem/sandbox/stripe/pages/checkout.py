"""Page of a checkout session: its offer, the payment, and the result."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.responses import Response

from mainstem.sandbox.stripe.hosted import card_input, purchases
from mainstem.sandbox.stripe.hosted.purchases import Payer
from mainstem.sandbox.stripe.pages.formats import cost, money, product_name
from mainstem.sandbox.stripe.pages.layout import alert, notice, page, redirect
from mainstem.sandbox.stripe.pages.markup import Markup, button, field, form, link, tag
from mainstem.sandbox.stripe.pages.page_requests import PageRequest
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import parts_of
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire.errors import StripeError


def show(page_request: PageRequest) -> Response:
    """Show the session as it stands: what it offers, that it was paid, or that it has expired."""
    session = page_request.account.store.get("checkout.session", page_request.id)
    return _SHOWN[session["status"]](page_request.account, session)


def act(page_request: PageRequest) -> Response:
    """Do what was clicked. What the session's status does not allow changes nothing."""
    session = page_request.account.store.get("checkout.session", page_request.id)
    action = page_request.form.get("action", "")
    if session["status"] == "open" and action in _BUY:
        return _buy(page_request, session, action)
    if purchases.is_under_way(page_request.account, session) and action in _SETTLE:
        _SETTLE[action](page_request.account, session)
        return redirect(f"{page_request.root}/_pages/checkout/{session['id']}")
    if session["status"] == "complete":
        return _completed(page_request.account, session, is_again=True)
    if session["status"] == "expired":
        return _expired(page_request.account, session)
    return _offer(page_request.account, session, "Nothing was chosen.", status=HTTPStatus.BAD_REQUEST)


def _buy(page_request: PageRequest, session: Json, action: str) -> Response:
    typed = page_request.form
    number = card_input.DECLINED.number if action == "decline" else typed.get("number", "")
    try:
        _BUY[action](
            page_request.account, session, Payer(number, typed.get("email", ""), typed.get("name", ""))
        )
    except StripeError as error:
        return _offer(page_request.account, session, str(error), typed, status=error.status)
    return redirect(_success_url(session))


_BUY: dict[str, Callable[[StripeAccount, Json, Payer], None]] = {
    "pay": purchases.pay,
    "decline": purchases.pay,
    "later": purchases.pay_later,
}
_SETTLE: dict[str, Callable[[StripeAccount, Json], None]] = {
    "succeed": purchases.succeed,
    "fail": purchases.fail,
}


def _success_url(session: Json) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _offer(
    account: StripeAccount,
    session: Json,
    message: str | None = None,
    typed: dict[str, str] | None = None,
    *,
    status: int = HTTPStatus.OK,
) -> Response:
    lines = parts_of(account.store, session)
    first = account.store.get("price", lines[0]["price"])
    away = session["cancel_url"]
    return page(
        f"Subscribe to {product_name(account, first)}",
        alert(message),
        _summary(account, session, lines),
        form(
            _fields(session, typed or {}),
            tag(
                "div",
                button("Subscribe", "pay", "pay", class_="first"),
                _ways(session),
                None if away is None else link("Cancel and go back", "cancel", away),
                class_="actions",
            ),
            given="checkout",
        ),
        status=status,
    )


def _summary(account: StripeAccount, session: Json, lines: list[Json]) -> Markup:
    rows: list[Markup] = []
    for line in lines:
        price = account.store.get("price", line["price"])
        words = f"{cost(price, line['quantity'])} (quantity {line['quantity']})"
        rows += [tag("dt", product_name(account, price)), tag("dd", words, class_="line")]
    due = money(session["amount_total"], session["currency"])
    return tag("dl", rows, tag("dt", "Due today"), tag("dd", due, id="due-today"))


def _fields(session: Json, typed: dict[str, str]) -> list[Markup]:
    known = (session["customer_details"] or {}).get("email")
    email = (
        tag("p", "Email: ", tag("span", known, id="email"))
        if known
        else field(
            "Email",
            "email",
            "email",
            type="email",
            required=True,
            autocomplete="email",
            value=typed.get("email", ""),
        )
    )
    if not purchases.needs_card(session):
        return [email]
    number = typed.get("number", card_input.GOOD.number)
    return [
        email,
        field("Name on card", "name", "name", autocomplete="cc-name", value=typed.get("name", "")),
        field("Test card number", "number", "card-number", inputmode="numeric", required=True, value=number),
    ]


def _ways(session: Json) -> list[Markup]:
    """Return the other ways to pay, which are the sandbox's own."""
    if not purchases.needs_card(session):
        return []
    ways = [button("Pay with a card that is declined", "pay-declined", "decline")]
    if session["amount_total"] > 0:
        ways.append(button("Pay later (the payment stays under way)", "pay-later", "later"))
    return ways


def _completed(account: StripeAccount, session: Json, *, is_again: bool = False) -> Response:
    under_way = purchases.is_under_way(account, session)
    words = "This has been bought already."
    if session["payment_status"] == "unpaid":
        words = "The payment is under way." if under_way else "The payment has failed."
    return page(
        "Checkout is complete",
        alert(f"{words} Now nothing was changed.") if is_again else notice(words),
        _settling() if under_way else None,
        tag("p", link("Continue", "continue", _success_url(session))),
        status=HTTPStatus.CONFLICT if is_again else HTTPStatus.OK,
    )


def _settling() -> Markup:
    return form(
        tag("h2", "What becomes of the payment?"),
        tag(
            "div",
            button("It arrives", "payment-succeed", "succeed", class_="first"),
            button("It fails", "payment-fail", "fail"),
            class_="actions",
        ),
        given="settle",
    )


def _expired(_: StripeAccount, session: Json) -> Response:
    away = session["cancel_url"]
    return page(
        "This checkout has expired",
        alert("Nothing was bought. Go back to where you came from to begin again."),
        None if away is None else tag("p", link("Go back", "cancel", away)),
        status=HTTPStatus.GONE,
    )


_SHOWN: dict[str, Callable[[StripeAccount, Json], Response]] = {
    "open": _offer,
    "complete": _completed,
    "expired": _expired,
}
