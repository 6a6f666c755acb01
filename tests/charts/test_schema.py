from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
from tests.charts.charts import SERVICES, loaded, merged, processes_of
from tests.charts.schema import SETTINGS, schema_file, schema_of, text_of

OPEN = {"/global": "an umbrella chart's own", "/common/global": "Helm's own"}
"""Where anything may stand, since others put it there."""


def test_there_is_a_chart_for_each_service_that_has_settings() -> None:
    assert sorted(SETTINGS) == sorted(SERVICES)
    assert all(schema_file(service).exists() for service in SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_the_schema_is_that_of_the_settings_as_they_are(service: str) -> None:
    stale = f"values.schema.json of {service} is stale: `.venv/bin/python -m tests.charts` writes it anew"
    assert schema_file(service).read_text() == text_of(service), stale


def objects_of(schema: dict[str, Any], node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object that the schema describes, by its path in the values; `*` is any name."""
    while "$ref" in node or "allOf" in node:
        reference = node["$ref"] if "$ref" in node else node["allOf"][0]["$ref"]
        node = schema["definitions"][reference.rpartition("/")[2]]
    if node.get("type") == "object":
        yield path, node
        for name, child in node.get("properties", {}).items():
            yield from objects_of(schema, child, f"{path}/{name}")
        if isinstance(node.get("additionalProperties"), dict):
            yield from objects_of(schema, node["additionalProperties"], f"{path}/*")
    if node.get("type") == "array":
        yield from objects_of(schema, node["items"], f"{path}/0")


@pytest.mark.parametrize("service", SERVICES)
def test_every_object_is_closed_but_those_that_are_others(service: str) -> None:
    schema = schema_of(service)
    opened = {
        path for path, node in objects_of(schema, schema) if node.get("additionalProperties", True) is True
    }
    assert opened == OPEN.keys()


def with_typo(path: str, values: Any) -> Any:
    """Return values that say what nobody knows at a path, beside what is there."""
    typo = {"nobodyKnowsThis": {"nobodyKnowsThis": 1}}
    head, _, rest = path.removeprefix("/").partition("/")
    if not path:
        return typo
    if head == "0":
        below = values[0] if isinstance(values, list) and values else {}
        return [
            merged(below if isinstance(below, dict) else {}, with_typo(f"/{rest}" if rest else "", below))
        ]
    name = "another" if head == "*" else head
    below = values.get(name, {}) if isinstance(values, dict) else {}
    return {name: with_typo(f"/{rest}" if rest else "", below)}


def refusal_of(chart: helm_python.Chart, values: Any) -> str:
    """Return what the schema says against values; nothing if they will do."""
    try:
        chart.validate_schema(values)
    except helm_python.HelmValuesError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("service", SERVICES)
def test_a_typo_is_refused_at_every_level(service: str) -> None:
    schema, chart = schema_of(service), loaded(service)
    # Of a map of texts it is the value that will not do.
    paths = sorted({path for path, _ in objects_of(schema, schema)} - OPEN.keys())
    assert len(paths) > 40
    refusals = {path: refusal_of(chart, with_typo(path, chart.values)) for path in paths}
    assert {path: said for path, said in refusals.items() if "nobodyKnowsThis" not in said} == {}


WRONG: dict[str, dict[str, Any]] = {
    "a secret in the settings": {"settings": {"DATABASE_URL": "postgresql://a:b@c/d"}},
    "a secret by value": {"secrets": {"DATABASE_URL": "postgresql://a:b@c/d"}},
    "no database": {"secrets": {"DATABASE_URL": None}},
    "a setting of the sandbox": {"settings": {"MAINSTEM_PROFILE": "sandbox"}},
    "a level that is none": {"settings": {"MAINSTEM_LOG_LEVEL": "LOUD"}},
    "a part of more than all": {"settings": {"OTEL_TRACES_SAMPLER_ARG": 2}},
    "a process that is not the chart's": {"processes": {"cron": {}}},
    "a privileged port": {"listen": {"port": 80}},
    "a label that selectors use": {"podLabels": {"app.kubernetes.io/name": "other"}},
    "a budget of nothing": {"processes": {"http": {"disruption": {"maxUnavailable": 0}}}},
    "no peers at all": {"networkPolicy": {"allowFrom": {"gateway": []}}},
    "no way to Postgres": {"networkPolicy": {"allowTo": {"postgres": None}}},
    "a tag for a digest": {"image": {"digest": "1.2.3"}},
    "values for the library": {"common": {"replicas": 1}},
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("wrong", WRONG)
def test_what_would_not_do_is_refused_before_anything_is_rendered(service: str, wrong: str) -> None:
    with pytest.raises(helm_python.HelmValuesError):
        loaded(service).render(WRONG[wrong], name="release")


@pytest.mark.parametrize("path", ["/", "/__heartbeat__", "/__version__", "/metrics", "/metrics/", "//"])
def test_a_door_leads_nowhere_near_health(path: str) -> None:
    with pytest.raises(helm_python.HelmValuesError):
        loaded("gateway").render({"ingress": {"paths": [path]}}, name="release")


def test_a_service_without_a_door_knows_no_ingress() -> None:
    assert "worker" not in processes_of("gateway")
    with pytest.raises(helm_python.HelmValuesError, match="ingress"):
        loaded("sync").render({"ingress": {"enabled": False}}, name="release")
