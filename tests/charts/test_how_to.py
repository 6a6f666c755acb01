"""What the how-to tells an operator to write is what the charts take."""

import re

import pytest
import yaml
from tests.charts.charts import SERVICES, environment_of, pods_of, render
from tests.charts.schema import ROOT

GUIDE = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
BLOCKS = re.findall(r"```yaml\n(# .*?)\n(.*?)```", GUIDE, re.DOTALL)
EXAMPLES = [(service, text) for files, text in BLOCKS for service in re.findall(r"(\w+)\.yaml", files)]


@pytest.mark.parametrize(("service", "text"), EXAMPLES, ids=[service for service, _ in EXAMPLES])
def test_the_values_of_the_how_to_are_values_of_the_chart(service: str, text: str) -> None:
    assert render(service, yaml.safe_load(text)) != render(service)


def test_the_how_to_shows_both_doors_and_a_platform() -> None:
    assert {service for service, _ in EXAMPLES} == {"gateway", "ingest", "sync"}


def test_the_how_to_names_every_secret_that_the_charts_ask_for() -> None:
    asked = {
        (value["name"], value["key"])
        for service in SERVICES
        for pod in pods_of(render(service)).values()
        for value in environment_of(pod).values()
        if not isinstance(value, str)
    }
    rows = set(re.findall(r"^\| `([a-z-]+)` \| `([A-Z_]+)` \|", GUIDE, re.MULTILINE))
    assert asked == rows
