"""Documented deviations from the references, which the runner allows; each other difference fails.

docs/reference/conformance.md shows both tables; a test keeps them equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """One difference that is meant: the reference's behaviour, Mainstem's, and the reason."""

    theirs: str
    ours: str
    reason: str


@dataclass(frozen=True)
class ErrorAnswer:
    """Mainstem's answer in place of one of Zed's, and the reason."""

    status: int
    detail: str
    reason: str


DEVIATIONS: Mapping[str, Deviation] = {
    "problem": Deviation(
        "an error is an object of `detail` alone",
        "an error has `type`, `title` and `status` too",
        "errors are problem details (RFC 9457)",
    ),
    "crash": Deviation(
        "an object that `/stripe` cannot read is a 500",
        "an object that `/stripe` cannot read is a 400 in CTMS's words",
        "a caller must learn that it is wrong",
    ),
    "push_crash": Deviation(
        "a push that `/stripe_from_pubsub` cannot read is a 500, and comes again",
        "a push that `/stripe_from_pubsub` cannot read is a 202",
        "it would come again for ever",
    ),
    "refused_fields": Deviation(
        "the `detail` of a 422 lists the refused fields",
        "the list is `errors`, in other words and types, and `detail` is a text",
        "`detail` is a text in every problem; places are compared",
    ),
    "token_error": Deviation(
        "a refused token request has no `error`",
        "`error` has the code",
        "RFC 6749, 5.2 demands it",
    ),
    "token_scope": Deviation(
        "a token has no `scope`",
        "the token's answer names its `scope`",
        "RFC 6749, 5.1: the client learns what it may do",
    ),
    "token_without_grant": Deviation(
        "a token request needs no `grant_type`",
        "without `grant_type` a token request is a 400 `invalid_request`; the case goes on with it",
        "RFC 6749, 4.4.2 demands it, and a JSON body looked like wrong credentials",
    ),
    "named_debts": Deviation(
        "a 402 says only that invoices are overdue",
        "a 402 has `debts`: invoice, amount, currency and since when",
        "a buyer must learn what to pay",
    ),
    "token_scheme": Deviation(
        "`Authorization: token X`",
        "`Authorization: token X` is a 401 `Not authenticated`; the case goes on with `Bearer X`",
        "tokens are OAuth's (RFC 6750)",
    ),
    "trial_end": Deviation(
        "a listed subscription has `trial_end_at` where it has a trial",
        "a listed subscription always has `trial_end_at`",
        "one shape; allowed where it is null or a text",
    ),
    "unchanged_contact": Deviation(
        "every object of Stripe's queues its contact",
        "a contact of which nothing changed is not queued; delivering it sends nothing",
        "a delivery without news costs a request",
    ),
    "kept_customer": Deviation(
        "a customer is deleted when another one takes its owner",
        "both customers stay in the mirror",
        "the mirror holds what the provider says",
    ),
    "undeleted_customer": Deviation(
        "`deleted` stays when a deleted customer comes whole again",
        "the last payload decides `deleted`",
        "one rule for every field",
    ),
    "stale_column": Deviation(
        "an update leaves a customer's `stripe_created` and a line's `stripe_subscription_item_id`",
        "an update changes every column",
        "faults of CTMS; allowed where the first payload has its value and the last one ours",
    ),
    "lost_default_source": Deviation(
        "an invoice's `default_source_id` is lost",
        "an invoice's `default_source_id` is stored",
        "a fault of CTMS; allowed where the payload has our value",
    ),
    "currency_case": Deviation(
        "an update stores a currency as it is spelled",
        "a currency is stored in lower case",
        "one spelling; allowed in `stripe_rows` alone",
    ),
    "period_on_items": Deviation(
        "the period stands on the subscription",
        "the period of a subscription without items is unknown",
        "Stripe moved it to the items in 2025",
    ),
    "tied_entry": Deviation(
        "of entries with one period end the database's order decides",
        "another one of the tied entries is sent",
        "the reference leaves it open",
    ),
    "contacts_side_by_side": Deviation(
        "contacts are sent one after the other",
        "contacts are sent side by side, the calls of each in order",
        "a slow answer holds nobody up",
    ),
    "never_given_up": Deviation(
        "a contact at the retry limit is not sent",
        "no contact is given up; the runner holds those at the limit back",
        "nothing is lost",
    ),
    "worker_survives": Deviation(
        "an error of a platform ends the background process",
        "the worker goes on, and the contact waits for its retry",
        "one contact's failure must not hold up the others",
    ),
    "unknown_outcome": Deviation(
        "a request without an answer counts as `failure`, or is not counted",
        "a request without an answer counts as `unknown`",
        "the platform may have taken it",
    ),
}

_NOT_THERE = "what is not there is the caller's matter, and a 500 would have it retried"
_NOT_CLEAR = "the state of the account is in the way, and a 500 would have it retried"
_BEARER = "tokens are OAuth's"

ZED_ANSWERS: Sequence[tuple[tuple[int, str], ErrorAnswer]] = (
    ((500, "user not found"), ErrorAnswer(404, "user not found", _NOT_THERE)),
    ((500, "billing customer not found"), ErrorAnswer(404, "billing customer not found", _NOT_THERE)),
    ((500, "subscription not found"), ErrorAnswer(404, "subscription not found", _NOT_THERE)),
    (
        (500, "user has no active subscriptions"),
        ErrorAnswer(409, "user has no active subscriptions", _NOT_CLEAR),
    ),
    (
        (500, "user has multiple active subscriptions"),
        ErrorAnswer(409, "user has multiple active subscriptions", _NOT_CLEAR),
    ),
    ((400, "missing authorization header"), ErrorAnswer(401, "Not authenticated", _BEARER)),
    ((400, "invalid authorization header"), ErrorAnswer(401, "Not authenticated", _BEARER)),
    # `Bearer X` has OAuth's scheme, and no token.
    ((400, "invalid authorization header"), ErrorAnswer(401, "Could not validate credentials", _BEARER)),
    ((401, "invalid authorization token"), ErrorAnswer(401, "Could not validate credentials", _BEARER)),
)
"""Status and text of Zed's answers, and ours."""


def answered_instead(
    status: int, text: str | None, found_status: int, found_detail: str | None
) -> str | None:
    """Return the deviation of an answer from Zed's, None if the table does not allow it."""
    allowed = [ours for theirs, ours in ZED_ANSWERS if theirs == (status, text)]
    if (found_status, found_detail) not in [(ours.status, ours.detail) for ours in allowed]:
        return None
    return f"{found_status} {found_detail!r} for {status} {text!r}"


_OURS = "finds the customer or session again after a lost answer, and ties it to its account"

ZED_PARAMETERS: Mapping[tuple[str, str], str] = {
    ("/v1/customers", "metadata"): _OURS,
    ("/v1/checkout/sessions", "metadata"): _OURS,
    ("/v1/checkout/sessions", "subscription_data"): "ties the subscription to its account",
    ("/v1/checkout/sessions", "cancel_url"): "the way back without a payment",
    ("/v1/billing_portal/sessions", "return_url"): "the way back from the portal",
}
"""Parameters that a call to Stripe has beside Zed's, by path and name, each with its reason."""
