"""New contacts and changes to contacts: bodies in, contacts out. Pure."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from mainstem.common.errors import FieldError, InvalidError
from mainstem.common.http.bodies import read
from mainstem.sync.contacts.bodies import DELETE, MOST_NEWSLETTERS, UNSUBSCRIBE, NewContact
from mainstem.sync.profiles.groups import GROUPS, OPTIONAL, Contact, Email, Group, Newsletter


def read_new(body: bytes) -> Contact:
    """Return the contact that a POST describes, with an id of its own where it brings none.

    Of a newsletter that is named twice the last entry counts.

    Raises:
        InvalidError: the body will not do.
    """
    given = read(NewContact, body)
    groups = {
        name: GROUPS[name](**value.model_dump())
        for name in OPTIONAL
        if (value := getattr(given, name)) is not None
    }
    email = Email(**given.email.model_dump(exclude={"email_id"}))
    newsletters = [Newsletter(**one.model_dump()) for one in given.newsletters or ()]
    return Contact(
        contact_id=given.email.email_id or uuid4(),
        groups=_present({"email": email, **groups}),
        newsletters={one.name: one for one in newsletters},
        spans={},
    )


def apply(contact: Contact, changes: Any) -> Contact:
    """Return the contact as it is after the `Changes`; only what was given changes.

    Raises:
        InvalidError: the changes would give the contact another id, or too many newsletters.
    """
    if changes.email is not None and changes.email.email_id not in (None, contact.contact_id):
        error = FieldError(
            loc=["body", "email", "email_id"], msg="cannot change email_id", type="value_error"
        )
        raise InvalidError("cannot change email_id", [error])
    changed = {name: _changed(contact.group(name), getattr(changes, name)) for name in GROUPS}
    return Contact(
        contact_id=contact.contact_id,
        groups=_present(changed),
        newsletters=_subscriptions(contact.newsletters, changes.newsletters),
        spans=contact.spans,
    )


def _changed(group: Group, change: Any) -> Group:
    if change == DELETE:
        return type(group)()
    return group if change is None else _merged(group, change)


def _merged(values: Group, change: Group) -> Any:
    given = {name: getattr(change, name) for name in change.model_fields_set}
    given.pop("email_id", None)
    return values.model_copy(update=given)


def _subscriptions(newsletters: Mapping[str, Newsletter], change: Any) -> Mapping[str, Newsletter]:
    if change is None:
        return newsletters
    if change == UNSUBSCRIBE:
        return {name: one.model_copy(update={"subscribed": False}) for name, one in newsletters.items()}
    merged = dict(newsletters)
    for one in change:
        # To be rid of a newsletter that the contact never had changes nothing.
        if one.name in merged or one.subscribed is not False:
            merged[one.name] = _merged(merged.get(one.name) or Newsletter(name=one.name), one)
    if len(merged) > max(MOST_NEWSLETTERS, len(newsletters)):
        msg = f"A contact should have at most {MOST_NEWSLETTERS} newsletters, with those that it has already"
        error = FieldError(loc=["body", "newsletters"], msg=msg, type="too_long")
        raise InvalidError(f"body.newsletters: {msg}", [error])
    return merged


def _present(groups: Mapping[str, Group]) -> dict[str, Group]:
    """Leave out the groups that say nothing."""
    return {name: group for name, group in groups.items() if not group.is_default}
