"""Bodies as docs/services/billing.md shows them: the fields of their models, and examples that are read."""

import re

import pytest
from pydantic import BaseModel
from tree import ROOT

from mainstem.billing.checkout.bodies import Purchase
from mainstem.billing.portal.bodies import Management
from mainstem.billing.portal.sessions import PortalIntent
from mainstem.common.http.bodies import read

PAGE = (ROOT / "docs/services/billing.md").read_text(encoding="utf-8")
BODIES = {"POST /billing/subscriptions": Purchase, "POST /billing/subscriptions/manage": Management}


def section_of(endpoint: str) -> str:
    """Return the text below the heading of an endpoint's body."""
    _, _, after = PAGE.partition(f"### Body of `{endpoint}`\n")
    return re.split(r"^##", after, maxsplit=1, flags=re.MULTILINE)[0]


def rows_of(section: str, head: str) -> list[str]:
    """Return the first cells of the table whose first column has this head."""
    _, _, after = section.partition(f"| {head} |")
    lines = after.splitlines()[2:]
    return [line.split("|")[1] for line in lines[: lines.index("")]]


@pytest.mark.parametrize(("endpoint", "model"), BODIES.items())
def test_documented_fields_are_those_of_the_model(endpoint: str, model: type[BaseModel]) -> None:
    names = [re.findall(r"`(\w+)`", cell) for cell in rows_of(section_of(endpoint), "field")]
    assert [name for (name,) in names] == [*model.model_fields]


@pytest.mark.parametrize(("endpoint", "model"), BODIES.items())
def test_documented_example_is_read(endpoint: str, model: type[BaseModel]) -> None:
    example, *_ = re.findall(r"```json\n(.*?)```", section_of(endpoint), re.DOTALL)
    assert read(model, example.encode())


def test_documented_intents_are_all_there_are() -> None:
    cells = rows_of(section_of("POST /billing/subscriptions/manage"), "intent")
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == {*PortalIntent}
