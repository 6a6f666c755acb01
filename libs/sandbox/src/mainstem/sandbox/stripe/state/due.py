"""Due times of objects: pure rules that return when an object next changes by itself."""

from collections.abc import Callable

from mainstem.sandbox.stripe.state.store import Json

NOTICE = 3 * 86_400
"""Seconds before a trial's end at which Stripe gives notice of it."""

EXPIRY = 23 * 3_600
"""Seconds after which a subscription whose first invoice was not paid expires."""

_RUNNING = frozenset({"active", "past_due", "unpaid"})


def due_at(held: Json) -> int | None:
    """Return the instant, in seconds since 1970, at which the object changes by itself; None is never."""
    rule = _RULES.get(held["object"])
    return None if rule is None else rule(held)


def _subscription(held: Json) -> int | None:
    if held["status"] == "incomplete":
        return int(held["created"]) + EXPIRY
    moments = [held["cancel_at"], (held["pause_collection"] or {}).get("resumes_at")]
    if held["status"] == "trialing":
        moments += [held["trial_end"], None if held["_noticed"] else held["trial_end"] - NOTICE]
    elif held["status"] in _RUNNING:
        moments.append(held["current_period_end"])
    else:
        return None
    return min(int(moment) for moment in moments if moment is not None)


def _invoice(held: Json) -> int | None:
    at: int | None = held["next_payment_attempt"] if held["due_date"] is None else held["due_date"]
    return at if held["status"] == "open" and not held["_is_late"] else None


def _checkout_session(held: Json) -> int | None:
    return int(held["expires_at"]) if held["status"] == "open" else None


_RULES: dict[str, Callable[[Json], int | None]] = {
    "checkout.session": _checkout_session,
    "invoice": _invoice,
    "subscription": _subscription,
}
