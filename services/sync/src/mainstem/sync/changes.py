"""What callers send: a new contact, or changes to one. Pure: bodies in, contacts out."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, ValidationError, WrapValidator, create_model
from pydantic_core import PydanticCustomError

from mainstem.common.errors import FieldError, InvalidError
from mainstem.sync.groups import GROUPS, OPTIONAL, Contact, Email, Group, Newsletter, Text255

DELETE = "DELETE"
UNSUBSCRIBE = "UNSUBSCRIBE"

Model = TypeVar("Model", bound=BaseModel)


class NewEmail(Email):
    """The e-mail group of a new contact, which may bring its id."""

    email_id: UUID | None = None


def _partial(model: type[Group], **required: Any) -> Any:
    """Return the model with every field optional: `model_fields_set` tells what was given."""
    fields: dict[str, Any] = {
        name: (field.rebuild_annotation(), None)
        for name, field in model.model_fields.items()
        if name not in required
    }
    return create_model(f"{model.__name__}Changes", __base__=Group, **fields, **required)


def _or(word: str, model: Any) -> Any:
    """Return the type of what is either of the model, or this one word, or null for no change."""

    def check(value: Any, inner: Callable[[Any], Any]) -> Any:
        if isinstance(value, str):
            if value != word:
                raise PydanticCustomError("word", "Input should be values or '{word}'", {"word": word})
            return word
        return inner(value)

    return (Annotated[model | None, WrapValidator(check)], None)


_IGNORING = ConfigDict(extra="ignore")

_NEW_GROUPS: dict[str, Any] = {name: (GROUPS[name] | None, None) for name in OPTIONAL}
_GROUP_CHANGES: dict[str, Any] = {name: _or(DELETE, _partial(GROUPS[name])) for name in OPTIONAL}

NewContact: Any = create_model(
    "NewContact",
    __config__=_IGNORING,
    email=(NewEmail, ...),
    newsletters=(list[Newsletter] | None, None),
    **_NEW_GROUPS,
)

Changes: Any = create_model(
    "Changes",
    __config__=_IGNORING,
    email=(_partial(NewEmail) | None, None),
    newsletters=_or(UNSUBSCRIBE, list[_partial(Newsletter, name=(Text255, ...))]),  # type: ignore[misc]  # a type made at run time
    **_GROUP_CHANGES,
)


def read(model: type[Model], body: bytes) -> Model:
    """Return the body of a request as the model.

    Raises:
        InvalidError: it is not JSON, or its values will not do; one entry a field.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error, "body") from None


def invalid(error: ValidationError, *place: str) -> InvalidError:
    """Return the answer to values that will not do; it never repeats the values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    errors = [FieldError(loc=[*place, *one["loc"]], msg=one["msg"], type=one["type"]) for one in found]
    first = ".".join(str(part) for part in errors[0]["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return InvalidError(f"{first}: {errors[0]['msg']}{more}", errors)


def read_new(body: bytes) -> Contact:
    """Return the contact that a POST describes, with an id of its own where it brings none.

    Of a newsletter that is named twice the last entry counts.

    Raises:
        InvalidError: the body will not do.
    """
    given = read(NewContact, body)
    groups = {name: value for name in OPTIONAL if (value := getattr(given, name)) is not None}
    email = Email(**given.email.model_dump(exclude={"email_id"}))
    return Contact(
        contact_id=given.email.email_id or uuid4(),
        groups=_present({"email": email, **groups}),
        newsletters={one.name: one for one in given.newsletters or ()},
        spans={},
    )


def apply(contact: Contact, changes: Any) -> Contact:
    """Return the contact as it is after the `Changes`; only what was given changes.

    Raises:
        InvalidError: the changes would give the contact another id.
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
    return merged


def _present(groups: Mapping[str, Group]) -> dict[str, Group]:
    """Leave out the groups that say nothing."""
    return {name: group for name, group in groups.items() if not group.is_default}
