"""Owner of an event: the id of the Stripe account that the event is about; pure."""

from mainstem.common.database.texts import check
from mainstem.common.errors import BadRequestError
from mainstem.ingest.settings import ACCOUNT_ID


def read_owner(context: object, account: object, user_id: object = None) -> str | None:
    """Return the account that an event names, None if it names none: then it is the receiving account's.

    `context` is a path of accounts, the last one being the event's; events of Connect have `account` too.
    Before 2017-05-25 the field had the name `user_id`.

    Source: https://docs.stripe.com/context, https://docs.stripe.com/connect/webhooks,
    https://docs.stripe.com/changelog/2017-05-25/events-connect-specify-originating-account

    Raises:
        BadRequestError: a field is no account's id, or no path with one.
    """
    path = _text("context", context)
    plain = _account("account", account) or _account("user_id", user_id)
    if path is None:
        return plain
    named = [part for part in path.split("/") if ACCOUNT_ID.fullmatch(part)]
    if not named and plain is None:
        raise BadRequestError("the context of the event names no account: no part of it is `acct_…`")
    return named[-1] if named else plain


def _account(name: str, value: object) -> str | None:
    text = _text(name, value)
    if text is not None and not ACCOUNT_ID.fullmatch(text):
        raise BadRequestError(f"the {name} of the event is no account's id: it is not `acct_…`")
    return text


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadRequestError(f"the {name} of the event is no text")
    check(**{name: value})
    return value
