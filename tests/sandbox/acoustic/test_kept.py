"""What Acoustic holds is found again by the next process."""

import shutil
import tempfile
from pathlib import Path

import httpx
import pytest
from acoustic_calls import ACCOUNT, Caller, recipient
from hypothesis import given
from hypothesis import strategies as st
from serving import serving
from starlette.applications import Starlette
from starlette.routing import Mount

from mainstem.common.clock import SystemClock
from mainstem.sandbox.acoustic.envelope import Operation
from mainstem.sandbox.acoustic.operations import Holdings, carry_out
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.archive import Archive


@pytest.fixture
def acoustic(tmp_path: Path) -> AcousticStandIn:
    return AcousticStandIn(SystemClock(), ACCOUNT, folder=tmp_path / "world")


def after_a_kill(tmp_path: Path) -> AcousticStandIn:
    shutil.copytree(tmp_path / "world", tmp_path / "left")
    return AcousticStandIn(SystemClock(), ACCOUNT, folder=tmp_path / "left")


async def test_rows_and_tokens_outlive_a_kill(
    caller: Caller, acoustic: AcousticStandIn, tmp_path: Path
) -> None:
    await caller.call(recipient({"email_id": "a", "first_name": "Ada"}))
    later = after_a_kill(tmp_path)
    assert later.holds()["main"] == acoustic.holds()["main"] != {}
    app = later.limited(Starlette(routes=[Mount("/acoustic", routes=later.routes)]))
    async with serving(app) as base, httpx.AsyncClient(base_url=base) as http:
        # The token of before is still good, and the recipient still has its number.
        answer = await Caller(http, caller.token).post(recipient({"email_id": "a", "last_name": "L"}))
        assert b"<RecipientId>1</RecipientId>" in answer.content
    assert later.holds()["main"]["a"] == {"email_id": "a", "first_name": "Ada", "last_name": "L"}


async def test_a_reset_is_kept_and_tokens_stay_good(
    caller: Caller, acoustic: AcousticStandIn, tmp_path: Path
) -> None:
    await caller.call(recipient({"email_id": "a"}))
    await acoustic.reset()
    later = after_a_kill(tmp_path)
    assert later.holds()["main"] == {}
    assert later._tokens.accepts(f"Bearer {caller.token}")


IDS = st.sampled_from(["a", "b", 'c "/", [é]'])
ROWS = st.fixed_dictionaries(
    {"email_id": IDS, "product_id": IDS}, optional={"status": st.text(max_size=3), "start": st.just("")}
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["InsertUpdateRelationalTable", "DeleteRelationalTableData"]),
        st.lists(ROWS, max_size=3),
    ),
    max_size=8,
)


@given(CALLS)
def test_what_is_recalled_is_what_is_held(calls: list[tuple[str, list[dict[str, str]]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.inside(Path(folder), "acoustic", layout=1)
        holdings = Holdings(ACCOUNT, archive)
        for name, rows in calls:
            carry_out(holdings, Operation(name, ACCOUNT.product_table_id, tuple(rows)))
        archive.commit()
        archive.close()
        again = Archive.inside(Path(folder), "acoustic", layout=1)
        recalled = Holdings(ACCOUNT, again)
        again.close()
    assert [table.as_json() for table in recalled.tables()] == [
        table.as_json() for table in holdings.tables()
    ]
