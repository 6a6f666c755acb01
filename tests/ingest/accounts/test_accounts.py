import asyncio
from pathlib import Path
from typing import Any

import pytest
import stripe_events as events
from ingest_bench import Ingest

from mainstem.common.errors import BadRequestError, NotFoundError
from mainstem.common.settings import SettingsError
from mainstem.ingest.accounts.storage import Mode, ProviderAccount, accept, agree, stripe_accounts
from mainstem.ingest.settings import Settings

PAYLOAD = ProviderAccount("default", ("whsec_1",), None)
FETCH = ProviderAccount("default", ("whsec_1",), "sk_test_1")


def settings(**values: Any) -> Settings:
    return Settings(**{"database_url": "postgresql://localhost/x", **values})


async def epochs(ingest: Ingest, *accounts: ProviderAccount) -> dict[str, int]:
    async with ingest.pool.transaction() as connection:
        return dict(await agree(connection, "stripe", accounts))


async def test_a_change_of_mode_raises_the_epoch_and_nothing_else_does(ingest: Ingest) -> None:
    assert await epochs(ingest, PAYLOAD) == {"default": 0}
    assert await epochs(ingest, PAYLOAD) == {"default": 0}
    assert await epochs(ingest, FETCH) == {"default": 1}
    assert await epochs(ingest, FETCH) == {"default": 1}
    assert await epochs(ingest, PAYLOAD) == {"default": 2}


async def test_workers_that_start_at_once_agree(ingest: Ingest) -> None:
    await epochs(ingest, PAYLOAD)
    found = await asyncio.gather(*(epochs(ingest, FETCH) for _ in range(5)))
    assert found == [{"default": 1}] * 5


@pytest.mark.parametrize(
    ("name", "given", "error"), [("default", "default", BadRequestError), ("eu", None, NotFoundError)]
)
async def test_account_that_cannot_be_accepted_is_a_clear_error(
    ingest: Ingest, name: str, given: str | None, error: type[Exception]
) -> None:
    await epochs(ingest, FETCH)
    with pytest.raises(error):
        async with ingest.pool.transaction() as connection:
            await accept(connection, "stripe", name, given)


async def test_connected_account_is_accepted_by_its_own_id_alone(ingest: Ingest) -> None:
    await epochs(ingest, FETCH)
    await ingest.record(events.event("customer.updated", events.customer(), account="acct_1"))
    await ingest.rows("UPDATE inbox.account SET problem = 'x' WHERE account = 'acct_1' RETURNING 1")
    with pytest.raises(BadRequestError, match="connected account"):
        async with ingest.pool.transaction() as connection:
            await accept(connection, "stripe", "acct_1", "acct_2")
    (row,) = await ingest.rows("SELECT provider_id, problem FROM inbox.account WHERE account = 'acct_1'")
    assert row == {"provider_id": "acct_1", "problem": "x"}
    async with ingest.pool.transaction() as connection:
        await accept(connection, "stripe", "acct_1", None)
    (row,) = await ingest.rows("SELECT provider_id, problem FROM inbox.account WHERE account = 'acct_1'")
    assert row == {"provider_id": "acct_1", "problem": None}


def test_a_key_makes_an_account_fetch() -> None:
    assert stripe_accounts(settings())["default"].mode is Mode.PAYLOAD
    assert stripe_accounts(settings(stripe_api_key=""))["default"].mode is Mode.PAYLOAD
    assert stripe_accounts(settings(stripe_api_key="sk_test_1"))["default"].mode is Mode.FETCH


def test_further_accounts_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(
        '[accounts.eu]\nwebhook_secrets = ["whsec_1", "whsec_2"]\n'
        '[accounts.us]\nwebhook_secrets = ["whsec_3"]\napi_key = "rk_test_1"\n'
    )
    accounts = stripe_accounts(settings(stripe_accounts_file=file))
    assert set(accounts) == {"default", "eu", "us"}
    assert accounts["eu"] == ProviderAccount("eu", ("whsec_1", "whsec_2"), None)
    assert accounts["us"].mode is Mode.FETCH


@pytest.mark.parametrize(
    "content",
    [
        "not toml",
        "other = 1",
        "accounts = 1",
        '[accounts.default]\nwebhook_secrets = ["whsec_1"]',
        "[accounts.eu]",
        "[accounts.eu]\nwebhook_secrets = []",
        '[accounts.eu]\nwebhook_secrets = "whsec_1"',
        '[accounts.eu]\nwebhook_secrets = ["whsec_1"]\napikey = "typo"',
        '[accounts.eu]\nwebhook_secrets = ["whsec_1"]\napi_key = 7',
        '[accounts."a/b"]\nwebhook_secrets = ["whsec_1"]',
        '[accounts.eu]\nwebhook_secrets = ["whsec_1"]\nprovider_id = "eu"',
        '[accounts.eu]\nwebhook_secrets = ["whsec_1"]\nprovider_id = 7',
        '[accounts.acct_1]\nwebhook_secrets = ["whsec_1"]\nprovider_id = "acct_2"',
        '[accounts.eu]\nwebhook_secrets = ["whsec_1"]\nlivemode = "live"',
        '[accounts.eu]\nwebhook_secrets = ["whsec_1"]\nlivemode = 1',
        '[accounts.eu]\nwebhook_secrets = ["whsec_1"]\nlivemode = true\napi_key = "sk_test_1"',
    ],
)
def test_a_file_that_will_not_do_is_a_clear_error_without_its_secrets(tmp_path: Path, content: str) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(content)
    with pytest.raises(SettingsError) as caught:
        stripe_accounts(settings(stripe_accounts_file=file))
    assert "MAINSTEM_STRIPE_ACCOUNTS_FILE" in str(caught.value)
    assert "whsec" not in str(caught.value)


def test_side_of_an_account_is_its_keys_or_else_the_files(tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(
        '[accounts.acct_1]\nwebhook_secrets = ["whsec_1"]\nlivemode = false\n'
        '[accounts.key]\nwebhook_secrets = ["whsec_1"]\napi_key = "rk_live_1"\nprovider_id = "acct_2"\n'
        '[accounts.odd]\nwebhook_secrets = ["whsec_1"]\napi_key = "odd_1"\nlivemode = true\n'
        '[accounts.none]\nwebhook_secrets = ["whsec_1"]\n'
    )
    accounts = stripe_accounts(
        settings(stripe_accounts_file=file, stripe_account_id="acct_3", stripe_livemode=True)
    )
    assert {name: (one.effective_livemode, one.provider_id) for name, one in accounts.items()} == {
        "default": (True, "acct_3"),
        "acct_1": (False, "acct_1"),
        "key": (True, "acct_2"),
        "odd": (True, None),
        "none": (None, None),
    }


def test_key_of_another_side_than_configured_is_a_contradiction() -> None:
    (problem,) = settings(stripe_api_key="sk_test_1", stripe_livemode=True).contradictions()
    assert problem == (
        "STRIPE_API_KEY opens the test side, unlike its MAINSTEM_STRIPE_LIVEMODE; correct one of them"
    )
    assert not settings(stripe_api_key="sk_live_1", stripe_livemode=True).contradictions()


def test_a_key_never_goes_out_in_clear() -> None:
    assert settings(stripe_api_base="http://stripe.example").contradictions()
    assert not settings(stripe_api_base="http://127.0.0.1:1/stripe").contradictions()
    assert not settings().contradictions()


def test_secrets_do_not_show() -> None:
    account = ProviderAccount("default", ("whsec_1",), "sk_test_1")
    assert "whsec" not in repr(account)
    assert "sk_test" not in repr(account)
