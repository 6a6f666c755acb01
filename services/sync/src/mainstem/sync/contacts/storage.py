"""Storage of contacts: their groups, newsletters and identities. The caller's transaction commits.

Whoever changes a contact holds a lock on its row, so its parts always fit together.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, func, or_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from mainstem.common.errors import BadRequestError, ConflictError
from mainstem.common.models import contact as tables
from mainstem.sync.profiles.groups import GROUPS, IDENTITY_KINDS, Contact, Newsletter, Span, identities

DEADLOCK = "40P01"

MOST_FOUND = 20
"""Contacts that one search returns: several kinds of identity are shared, and a contact may be large."""

MOST_AT_ONCE = 500
"""Newsletters of one statement, which Postgres allows 32,767 parameters."""


class ContactTakenError(ConflictError):
    """Another contact holds one of the exclusive identities, or writes them right now."""


async def find(session: AsyncSession, contact_id: UUID) -> Contact | None:
    """Return the contact, or None if there is none of that id."""
    found = await _load(session, [contact_id])
    return found[0] if found else None


async def find_for_change(session: AsyncSession, contact_id: UUID) -> Contact | None:
    """Return the contact, locked until the transaction ends, or None if there is none of that id."""
    statement = select(tables.Contact).where(col(tables.Contact.contact_id) == contact_id)
    if (await session.exec(statement.with_for_update())).first() is None:
        return None
    return await find(session, contact_id)


async def search(session: AsyncSession, wanted: Mapping[str, str]) -> list[Contact]:
    """Return the contacts that have all of these identities (normalised, by kind), in order of id.

    Raises:
        BadRequestError: more than `MOST_FOUND` have them.
    """
    identity = tables.Identity
    matches = [
        and_(col(identity.kind) == kind, col(identity.value) == value) for kind, value in wanted.items()
    ]
    statement = (
        select(identity.contact_id)
        .where(or_(*matches))
        .group_by(col(identity.contact_id))
        .having(func.count() == len(matches))
        .limit(MOST_FOUND + 1)
    )
    found = (await session.exec(statement)).all()
    if len(found) > MOST_FOUND:
        raise BadRequestError(f"more than {MOST_FOUND} contacts match; add another identity to the query")
    return await _load(session, found)


async def snapshot(session: AsyncSession) -> None:
    """Have all reads of this transaction, of which none may have happened yet, see one moment."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


async def add(session: AsyncSession, contact: Contact, now: datetime) -> Contact:
    """Store a new contact and return it as stored.

    Raises:
        ContactTakenError: its id or an exclusive identity is taken; the transaction must roll back.
    """
    with _conflicts():
        session.add(tables.Contact(contact_id=contact.contact_id, created_at=now, updated_at=now))
        await session.flush()
        await _write_identities(session, contact.contact_id, {}, identities(contact))
    nothing = Contact(contact.contact_id, groups={}, newsletters={}, spans={})
    return await _write(session, nothing, contact, now)


async def replace(session: AsyncSession, before: Contact, after: Contact, now: datetime) -> Contact:
    """Store what differs of a contact that the transaction has locked; return it as stored.

    The `email` group counts as changed by any write, whatever was in it.

    Raises:
        ContactTakenError: an exclusive identity is taken; the transaction must roll back.
    """
    with _conflicts():
        row = await session.get_one(tables.Contact, before.contact_id)
        row.updated_at = now
        await _write_identities(session, before.contact_id, identities(before), identities(after))
    return await _write(session, before, after, now)


async def _load(session: AsyncSession, contact_ids: Sequence[UUID]) -> list[Contact]:
    """Return the contacts of these ids, in order of id; one without any group is none."""
    group, newsletter = tables.ContactGroup, tables.Newsletter
    groups = await session.exec(select(group).where(col(group.contact_id).in_(contact_ids)))
    by_contact: dict[UUID, list[tables.ContactGroup]] = {}
    for row in groups:
        by_contact.setdefault(row.contact_id, []).append(row)
    letters = await session.exec(select(newsletter).where(col(newsletter.contact_id).in_(contact_ids)))
    named: dict[UUID, dict[str, Newsletter]] = {}
    for one in letters:
        named.setdefault(one.contact_id, {})[one.name] = Newsletter.model_validate(one.model_dump())
    return [_contact(one, by_contact[one], named.get(one, {})) for one in sorted(by_contact)]


def _contact(
    contact_id: UUID, rows: Sequence[tables.ContactGroup], newsletters: dict[str, Newsletter]
) -> Contact:
    return Contact(
        contact_id=contact_id,
        groups={row.name: GROUPS[row.name].model_validate(row.data) for row in rows},
        newsletters=newsletters,
        spans={row.name: Span(row.created_at, row.updated_at) for row in rows},
    )


async def _write(session: AsyncSession, before: Contact, after: Contact, now: datetime) -> Contact:
    spans = {}
    for name, group in after.groups.items():
        is_same = before.groups.get(name) == group and name != "email"
        span = before.spans.get(name, Span(now, now))
        spans[name] = span if is_same else Span(span.created_at, now)
        if not is_same:
            values = {"contact_id": after.contact_id, "name": name, "data": group.model_dump(mode="json")}
            await _put(session, tables.ContactGroup, [values], spans[name])
    await _drop(session, tables.ContactGroup, after.contact_id, before.groups.keys() - after.groups.keys())
    newsletters = [
        {"contact_id": after.contact_id, **newsletter.model_dump()}
        for name, newsletter in after.newsletters.items()
        if before.newsletters.get(name) != newsletter
    ]
    for start in range(0, len(newsletters), MOST_AT_ONCE):
        await _put(session, tables.Newsletter, newsletters[start : start + MOST_AT_ONCE], Span(now, now))
    return Contact(after.contact_id, after.groups, after.newsletters, spans)


async def _put(session: AsyncSession, table: Any, parts: Sequence[Mapping[str, Any]], span: Span) -> None:
    """Insert the rows of a contact's named parts, or change all of each but its creation."""
    times = {"created_at": span.created_at, "updated_at": span.updated_at}
    statement = insert(table).values([{**part, **times} for part in parts])
    kept = ("contact_id", "name", "created_at")
    changed = {name: statement.excluded[name] for name in (*parts[0], "updated_at") if name not in kept}
    await session.exec(statement.on_conflict_do_update(index_elements=["contact_id", "name"], set_=changed))


async def _drop(session: AsyncSession, table: Any, contact_id: UUID, names: set[str]) -> None:
    if names:
        await session.exec(delete(table).where(table.contact_id == contact_id, table.name.in_(names)))


async def _write_identities(
    session: AsyncSession, contact_id: UUID, before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    """Store the identities that differ, all writers in one order of kinds: so they rarely deadlock."""
    table = tables.Identity
    if gone := before.keys() - after.keys():
        of_contact = col(table.contact_id) == contact_id
        await session.exec(delete(table).where(of_contact, col(table.kind).in_(gone)))
    rows = [
        {
            "contact_id": contact_id,
            "kind": kind,
            "value": value,
            "exclusive": IDENTITY_KINDS[kind].is_exclusive,
        }
        for kind, value in sorted(after.items())
        if before.get(kind) != value
    ]
    if rows:
        statement = insert(table).values(rows)
        changed = {"value": statement.excluded.value}
        await session.exec(
            statement.on_conflict_do_update(index_elements=["contact_id", "kind"], set_=changed)
        )


@contextmanager
def _conflicts() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise ContactTakenError from None
    except DBAPIError as error:
        # Two contacts that take each other's identity: one of them cannot have it.
        if getattr(error.orig, "sqlstate", None) == DEADLOCK:
            raise ContactTakenError from None
        raise
