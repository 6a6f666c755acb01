"""Connected accounts: they are added once, follow their parent, and are claimed with it."""

import asyncio
from typing import Any

import pytest
import stripe_events as events
from ingest_bench import Ingest
from tenants import DEFAULT, about, accounts_of_events, known, work_off

from mainstem.ingest.accounts.storage import ProviderAccount


async def test_many_doors_add_a_connected_account_once(ingest: Ingest) -> None:
    await ingest.agree(DEFAULT)
    await asyncio.gather(*(ingest.record(about(f"cus_{n}", account=f"acct_{n % 3}")) for n in range(12)))
    assert len(await ingest.rows("SELECT FROM inbox.account")) == 4
    await work_off(ingest)
    assert set((await ingest.statuses()).values()) == {"done"}


async def test_connected_account_whose_parent_is_configured_no_more_goes_to_the_next(ingest: Ingest) -> None:
    await ingest.record(about(account="acct_1"), account="former")
    await ingest.record(about("cus_2", account="acct_1"), configured=["default", "former"])
    assert (await known(ingest, "acct_1"))["parent"] == "former"
    await ingest.record(about("cus_3", account="acct_1"), configured=["default"])
    assert (await known(ingest, "acct_1"))["parent"] == "default"


async def test_account_that_is_learned_later_gets_the_events_from_then_on(ingest: Ingest) -> None:
    await ingest.agree(DEFAULT)
    await ingest.record(about(account="acct_platform"))
    async with ingest.pool.transaction() as connection:
        await connection.execute(
            "UPDATE inbox.account SET provider_id = 'acct_platform' WHERE parent IS NULL"
        )
    await ingest.record(about("cus_2", account="acct_platform"))
    assert await accounts_of_events(ingest) == {"evt_cus_1": "acct_platform", "evt_cus_2": "default"}


async def test_connected_account_that_is_configured_becomes_its_own(ingest: Ingest) -> None:
    await ingest.agree(DEFAULT)
    await ingest.record(about(account="acct_named"))
    await ingest.agree(DEFAULT, ProviderAccount("acct_named", ("whsec",), None))
    assert (await known(ingest, "acct_named"))["parent"] is None
    await work_off(ingest)
    assert set((await ingest.statuses()).values()) == {"done"}


async def test_of_two_accounts_with_one_id_the_one_of_the_events_side_gets_it(ingest: Ingest) -> None:
    live = ProviderAccount("live", ("whsec",), None, "acct_1", livemode=True)
    test = ProviderAccount("test", ("whsec",), None, "acct_1", livemode=False)
    await ingest.agree(DEFAULT, live, test)
    names = ("default", "live", "test")
    await ingest.record(about(account="acct_1", livemode=False), configured=names)
    await ingest.record(about("cus_2", account="acct_1", livemode=True), configured=names)
    await ingest.record(about("cus_3", account="acct_1", livemode=True), account="test", configured=names)
    assert await accounts_of_events(ingest) == {"evt_cus_1": "test", "evt_cus_2": "live", "evt_cus_3": "test"}


@pytest.mark.parametrize("is_allowed", [False, True])
async def test_customers_of_connected_accounts_name_owners_only_where_that_is_allowed(
    ingest: Ingest, is_allowed: bool
) -> None:
    await ingest.record(
        events.event("customer.created", events.customer(owner="fxa-1"), account="acct_1"),
        events.event("customer.subscription.created", events.subscription(), account="acct_1"),
    )
    await work_off(ingest, connected_owners=is_allowed)
    assert set((await ingest.statuses()).values()) == {"done"}
    assert [row["account"] for row in await ingest.table("subscription")] == ["acct_1"]
    assert bool(await ingest.segments()) is is_allowed
    assert bool(await ingest.announced()) is is_allowed
    assert bool(await ingest.rows("SELECT FROM subscription.owner")) is is_allowed


async def test_connected_account_follows_its_parents_mode_and_epoch(ingest: Ingest) -> None:
    fetching = ProviderAccount("default", ("whsec",), "sk_test_1")
    await ingest.agree(DEFAULT, ProviderAccount("other", ("whsec",), None))
    await ingest.record(about(account="acct_1"))
    await ingest.record(about("cus_2", account="acct_2"), account="other")
    await ingest.agree(fetching)
    await ingest.agree(fetching)
    row = await known(ingest, "acct_1")
    assert (row["mode"], row["epoch"]) == ("fetch", 1)
    row = await known(ingest, "acct_2")
    assert (row["mode"], row["epoch"]) == ("payload", 0)
    # A worker that was started before knows of no key, and leaves the account's events alone.
    await work_off(ingest)
    assert await ingest.statuses() == {"evt_cus_1": "received", "evt_cus_2": "done"}
    await ingest.agree(DEFAULT)
    await work_off(ingest)
    (row,) = [row for row in await ingest.table("customer") if row["account"] == "acct_1"]
    assert row["epoch"] == 2


async def test_account_that_is_added_during_a_change_of_mode_has_the_new_mode(ingest: Ingest) -> None:
    await ingest.agree(DEFAULT)
    fetching = ProviderAccount("default", ("whsec",), "sk_test_1")
    async with ingest.owner.transaction() as holder:
        await holder.execute("SELECT FROM inbox.account WHERE account = 'default' FOR UPDATE")
        changing = asyncio.create_task(ingest.agree(fetching))
        recording = asyncio.create_task(ingest.record(about(account="acct_1")))
        async with asyncio.timeout(30):
            while len(await waiting(ingest)) < 2:  # noqa: ASYNC110 -- Postgres is what is waited for
                await asyncio.sleep(0.01)
    await asyncio.gather(changing, recording)
    assert (await known(ingest, "acct_1"))["mode"] == "fetch"


async def waiting(ingest: Ingest) -> list[dict[str, Any]]:
    return await ingest.rows("SELECT FROM pg_locks WHERE NOT granted")


@pytest.mark.parametrize("stopped", ["default", "acct_1"])
@pytest.mark.parametrize("claims", [0, 9], ids=["new", "suspect"])
async def test_account_with_a_problem_is_left_alone_and_others_go_on(
    ingest: Ingest, stopped: str, claims: int
) -> None:
    await ingest.agree(DEFAULT, ProviderAccount("other", ("whsec",), None))
    await ingest.record(about("cus_own"), about("cus_connected", account="acct_1"))
    await ingest.record(about("cus_other"), account="other")
    async with ingest.pool.transaction() as connection:
        await connection.execute("UPDATE inbox.event SET claims = $1", claims)
        problem = "UPDATE inbox.account SET problem = 'another id' WHERE account = $1"
        await connection.execute(problem, stopped)
    for _ in range(3):
        await ingest.pipeline().work()
    waits = {"evt_cus_connected"} | ({"evt_cus_own"} if stopped == "default" else set())
    statuses = await ingest.statuses()
    assert {one for one, status in statuses.items() if status == "received"} == waits
    async with ingest.pool.transaction() as connection:
        await connection.execute("UPDATE inbox.account SET problem = NULL")
    for _ in range(3):
        await ingest.pipeline().work()
    assert set((await ingest.statuses()).values()) == {"done"}
