from datetime import UTC, datetime
from uuid import uuid4

import pytest
from servers import Database
from tiny_gateway import SECRET_HASH, Gateway

from mainstem.common.database.pool import Pool, open_pool
from mainstem.common.errors import ConflictError, NotFoundError
from mainstem.gateway.clients import roles
from mainstem.gateway.clients import storage as clients
from mainstem.gateway.clients.roles import Role
from mainstem.gateway.routes.table import SCOPES

CONTACT = "/ctms/332de237-cab7-4461-bcc3-48e68f42bd5c"


def new_role(*scopes: str) -> Role:
    return Role(f"role-{uuid4().hex}", "For a test.", frozenset(scopes))


async def add(pool: Pool, *given_roles: str, scopes: tuple[str, ...] = (), replace: bool = False) -> str:
    """Store the client of a test, whose secret is `SECRET`; return its id."""
    client_id = f"id_{given_roles[0]}" if given_roles else "id_plain"
    async with pool.transaction() as connection:
        await clients.add(
            connection,
            client_id,
            email="client@example.com",
            secret_hash=SECRET_HASH,
            scopes=scopes,
            roles=given_roles,
            at=datetime.now(UTC),
            replace=replace,
        )
    return client_id


async def put(pool: Pool, *changed: Role) -> None:
    async with pool.transaction() as connection:
        for role in changed:
            await roles.put(connection, role)


async def scopes_of(pool: Pool, client_id: str) -> frozenset[str]:
    async with pool.transaction() as connection:
        return (await clients.get(connection, client_id)).scopes


async def test_a_client_may_what_its_scopes_say_and_what_those_of_its_roles_do(gateway: Gateway) -> None:
    reader, seller = new_role("contacts:read"), new_role("billing:read", "billing:write")
    await put(gateway.pool, reader, seller)
    client_id = await add(gateway.pool, reader.name, seller.name, scopes=("stripe:write", "contacts:read"))
    assert await scopes_of(gateway.pool, client_id) == {
        "contacts:read",
        "billing:read",
        "billing:write",
        "stripe:write",
    }
    bearer = await gateway.bearer(client_id)
    assert (await gateway.http.get(CONTACT, headers=bearer)).status_code == 200
    refused = await gateway.http.post("/ctms", headers=bearer, json={})
    assert (refused.status_code, refused.json()["detail"]) == (403, "the scope contacts:write is missing")


async def test_what_is_taken_from_a_role_is_taken_from_the_tokens_of_its_clients(gateway: Gateway) -> None:
    role = new_role("contacts:read")
    await put(gateway.pool, role)
    bearer = await gateway.bearer(await add(gateway.pool, role.name))
    await put(gateway.pool, Role(role.name, "", frozenset({"billing:read"})))
    assert (await gateway.http.get(CONTACT, headers=bearer)).status_code == 403


async def test_a_role_that_is_changed_keeps_what_is_said_of_it(gateway: Gateway) -> None:
    role = new_role("contacts:read")
    await put(gateway.pool, role, Role(role.name, "", frozenset({"billing:read"})))
    async with gateway.pool.transaction() as connection:
        (found,) = [one for one in await roles.list_all(connection) if one.name == role.name]
    assert found == Role(role.name, role.description, frozenset({"billing:read"}))


async def test_a_client_that_is_replaced_has_the_roles_it_was_given_last(gateway: Gateway) -> None:
    one, other = new_role("contacts:read"), new_role("billing:read")
    await put(gateway.pool, one, other)
    client_id = await add(gateway.pool, one.name, other.name)
    assert await add(gateway.pool, one.name, replace=True) == client_id
    assert await scopes_of(gateway.pool, client_id) == {"contacts:read"}


async def test_a_client_is_not_stored_with_a_role_that_does_not_exist(gateway: Gateway) -> None:
    role = new_role("contacts:read")
    await put(gateway.pool, role)
    with pytest.raises(NotFoundError, match="there is no role nobody"):
        await add(gateway.pool, role.name, "nobody")
    with pytest.raises(NotFoundError, match="there is no client"):
        await scopes_of(gateway.pool, f"id_{role.name}")


async def test_a_role_that_some_client_has_is_not_removed(gateway: Gateway) -> None:
    role = new_role("contacts:read")
    await put(gateway.pool, role)
    client_id = await add(gateway.pool, role.name)
    async with gateway.pool.transaction() as connection:
        with pytest.raises(ConflictError, match=client_id):
            await roles.remove(connection, role.name)
        await connection.execute("DELETE FROM gateway.api_client WHERE client_id = $1", client_id)
        await roles.remove(connection, role.name)
        with pytest.raises(NotFoundError):
            await roles.remove(connection, role.name)


async def test_the_roles_that_ship_allow_only_what_there_is_and_one_of_them_all_of_it(
    database: Database,
) -> None:
    async with open_pool(database.urls["gateway"], name="test") as pool, pool.transaction() as connection:
        shipped = {role.name: role.scopes for role in await roles.list_all(connection)}
    assert shipped["everything"] == {*SCOPES}
    assert all(scopes and scopes <= {*SCOPES} for scopes in shipped.values())
