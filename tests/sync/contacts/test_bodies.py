"""Bodies of contacts: types, lengths and numbers of everything that a caller may send."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from spellings import ADDRESSES, NAMES, NO_ADDRESSES, NO_NAMES, NO_UUIDS, STRICT_JSON, UUID1, UUID4

from mainstem.common.errors import InvalidError
from mainstem.common.http import bodies
from mainstem.sync.contacts import changes
from mainstem.sync.contacts.bodies import BODIES, MOST_NEWSLETTERS, Changes, NewContact, NewNewsletter
from mainstem.sync.profiles.groups import GROUPS, Amo, Contact, Newsletter

Loc = tuple[str | int, ...]

EMAIL = {"primary_email": "fan@example.com"}
NOT_NAMES: tuple[Any, ...] = (*NO_NAMES, 1, 1.0, True, [], {})
NOT_UUIDS: tuple[Any, ...] = (*NO_UUIDS, "", 1, 1.0, True, [], {})
NOT_FLAGS: tuple[Any, ...] = ("yes", "true", "on", "1", "", 1, 0, 1.0, [], {})

IDS = [
    *(("email", "sfdc_id"), ("fxa", "fxa_id"), ("amo", "user_id")),
    *(("mofo", "mofo_email_id"), ("mofo", "mofo_contact_id")),
]
FLAGS = [
    *(("email", "double_opt_in"), ("email", "has_opted_out_of_email"), ("amo", "user")),
    *(("amo", "email_opt_in"), ("fxa", "account_deleted"), ("mofo", "mofo_relevant")),
]


def refused(read: Any, body: Any) -> list[Loc]:
    """Return where a body is refused, which is nowhere if it is taken."""
    content = json.dumps(body).encode()
    try:
        read(content)
    except InvalidError as error:
        return [tuple(one["loc"]) for one in error.members["errors"]]
    return []


def change(content: bytes) -> Any:
    return bodies.read(Changes, content)


def refused_anyhow(group: str, name: str, value: Any) -> bool:
    """Return whether a value is refused, and by its field alone, in a new contact and in a change."""
    body = {"email": EMAIL, group: {**(EMAIL if group == "email" else {}), name: value}}
    of_new, of_change = refused(changes.read_new, body), refused(change, {group: {name: value}})
    assert of_new == of_change, (group, name, value)
    assert of_new in ([], [("body", group, name)]), of_new
    return bool(of_new)


@pytest.mark.parametrize(("group", "name"), IDS)
def test_id_is_one_printable_string(group: str, name: str) -> None:
    taken = [value for value in NOT_NAMES if not refused_anyhow(group, name, value)]
    assert taken == ([1] if name == "user_id" else [])
    short = [value for value in NAMES if len(value) <= 40]
    assert [value for value in (*short, "", None) if refused_anyhow(group, name, value)] == []


def test_address_is_an_address() -> None:
    for group in ("email", "fxa"):
        odd: tuple[Any, ...] = (*NO_ADDRESSES, 1, 1.0, True, [])
        assert [value for value in odd if not refused_anyhow(group, "primary_email", value)] == []
        assert [value for value in ADDRESSES if refused_anyhow(group, "primary_email", value)] == []
    assert refused_anyhow("email", "primary_email", "")
    assert not refused_anyhow("fxa", "primary_email", "")


def test_uuid_has_one_spelling_and_the_contacts_own_is_of_version_four() -> None:
    for name in ("email_id", "basket_token"):
        assert [value for value in NOT_UUIDS if not refused_anyhow("email", name, value)] == []
        assert not refused_anyhow("email", name, UUID4.upper())
    assert refused_anyhow("email", "email_id", UUID1)
    assert not refused_anyhow("email", "basket_token", UUID1)


@pytest.mark.parametrize(("group", "name"), FLAGS)
def test_flag_is_a_boolean_of_json(group: str, name: str) -> None:
    assert [value for value in NOT_FLAGS if not refused_anyhow(group, name, value)] == []
    assert not refused_anyhow(group, name, True)


@pytest.mark.parametrize(
    "value", ["2020-1-2", "20200102", "1580083200", "2020-01-02T00:00:00", "2020-02-30", 0, 1.5]
)
def test_day_is_written_as_a_day(value: Any) -> None:
    assert refused_anyhow("amo", "last_login", value)
    assert not refused_anyhow("amo", "last_login", "2020-01-02")


@pytest.mark.parametrize("text", [b"NaN", b"1e400", b"-1e400", b"1.0", b"1e2", b"-1", b"9223372036854775808"])
def test_number_of_an_amo_user_is_exact(text: bytes) -> None:
    for read, body in ((changes.read_new, b'{"email": {"primary_email": "a@b.com"}, %s}'), (change, b"{%s}")):
        with pytest.raises(InvalidError):
            read(body % (b'"amo": {"user_id": ' + text + b"}"))


def test_number_of_an_amo_user_has_one_text_in_post_and_patch() -> None:
    new = changes.read_new(json.dumps({"email": EMAIL, "amo": {"user_id": 123}}).encode())
    changed = changes.apply(
        changes.read_new(json.dumps({"email": EMAIL}).encode()), change(b'{"amo": {"user_id": 123}}')
    )
    assert new.group("amo") == changed.group("amo") == Amo(user_id="123")


def test_newsletter_is_named_by_a_printable_string() -> None:
    for name in (*NOT_NAMES, "", None):
        body = {"newsletters": [{"name": name}]}
        assert refused(change, body) == [("body", "newsletters", 0, "name")]
        assert refused(changes.read_new, {"email": EMAIL, **body}) == [("body", "newsletters", 0, "name")]
    assert refused(change, {"newsletters": [{"name": name} for name in NAMES]}) == []


def letters(count: int, prefix: str = "n") -> list[Mapping[str, str]]:
    return [{"name": f"{prefix}{number}"} for number in range(count)]


def test_list_of_newsletters_is_bounded() -> None:
    most, more = letters(MOST_NEWSLETTERS), letters(MOST_NEWSLETTERS + 1)
    assert refused(change, {"newsletters": most}) == []
    assert refused(change, {"newsletters": more}) == [("body", "newsletters")]
    assert refused(changes.read_new, {"email": EMAIL, "newsletters": more}) == [("body", "newsletters")]


def with_letters(count: int) -> Contact:
    named = {f"n{number}": Newsletter(name=f"n{number}") for number in range(count)}
    contact = changes.read_new(json.dumps({"email": EMAIL}).encode())
    return Contact(contact.contact_id, contact.groups, named, {})


def test_changes_add_no_newsletters_beyond_the_bound() -> None:
    full = with_letters(MOST_NEWSLETTERS)
    with pytest.raises(InvalidError, match=str(MOST_NEWSLETTERS)):
        changes.apply(full, bodies.read(Changes, b'{"newsletters": [{"name": "new"}]}'))
    again = bodies.read(Changes, b'{"newsletters": [{"name": "n1", "format": "T"}]}')
    assert changes.apply(full, again).newsletters["n1"].format == "T"


def test_contact_that_has_too_many_newsletters_can_still_be_changed() -> None:
    over = with_letters(MOST_NEWSLETTERS + 5)
    for body in (
        b'{"newsletters": "UNSUBSCRIBE"}',
        b'{"newsletters": [{"name": "n1", "subscribed": false}]}',
    ):
        assert not changes.apply(over, bodies.read(Changes, body)).newsletters["n1"].subscribed


def unbounded(schema: Any, at: str = "") -> Iterator[str]:
    """Return where a JSON schema lets in a text or a list of any length."""
    if isinstance(schema, list):
        for one in schema:
            yield from unbounded(one, at)
    elif isinstance(schema, dict):
        kind = schema.get("type")
        if kind == "string" and not schema.keys() & {"maxLength", "enum", "const", "format"}:
            yield at
        if kind == "array" and "maxItems" not in schema:
            yield at
        for name, part in schema.items():
            yield from unbounded(part, f"{at}.{name}")


@pytest.mark.parametrize("model", [NewContact, Changes])
def test_every_text_and_list_of_a_body_is_bounded(model: type[BaseModel]) -> None:
    assert list(unbounded(model.model_json_schema())) == []


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    return {name: field.default for name, field in model.model_fields.items() if name != "email_id"}


def test_bodies_have_the_fields_and_defaults_of_what_is_stored() -> None:
    assert {name: defaults(model) for name, model in BODIES.items()} == {
        name: defaults(model) for name, model in GROUPS.items()
    }
    assert defaults(NewNewsletter) == defaults(Newsletter)


@given(group=st.sampled_from(sorted(GROUPS)), data=st.data(), value=STRICT_JSON)
def test_any_value_of_any_field_is_read_the_same_from_json_and_from_python(
    group: str, data: st.DataObject, value: Any
) -> None:
    name = data.draw(st.sampled_from(sorted(BODIES[group].model_fields)))
    refused_anyhow(group, name, value)
    body = {group: {name: value}}
    is_refused = bool(refused(change, body))
    try:
        Changes.model_validate(body)
    except ValueError:
        assert is_refused
    else:
        assert not is_refused
