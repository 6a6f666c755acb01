import re

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import generate_latest
from tests.charts.schema import SETTINGS
from tests.references import events, metrics, settings
from tests.references.pages import PAGES, read_meanings, writers
from tests.references.source import list_modules, name_of

EVENT = re.compile(r"[a-z][a-z0-9_]*\.([a-z][a-z0-9]*_)*(?P<verb>[a-z]+)")
IRREGULAR = {"back", "begun", "lost", "sent"}
"""Ends of past verbs that do not end in `ed`; `given_back` is one too."""

NAMES = re.compile(r"MAINSTEM_|CTMS_|OTEL_|STRIPE_|DATABASE_URL$|REDIS_URL$|HOSTNAME$")
METRICS = re.compile(r"mainstem_|ctms_|http\.server\.")


@pytest.mark.parametrize("name", sorted(writers()))
def test_a_reference_says_what_the_code_says(name: str) -> None:
    stale = f"docs/reference/{name} is stale: `./just references` writes it anew"
    assert (PAGES / name).read_text(encoding="utf-8") == writers()[name](), stale


def test_every_log_event_has_a_meaning_and_no_meaning_is_left_over() -> None:
    logged = {one.name for one in events.list_events(list_modules())}
    assert logged == read_meanings()["events"].keys()


def test_every_logger_stands_at_the_top_of_its_file_where_its_events_are_found() -> None:
    made = {
        one.short: [name_of(call.func) for call in one.calls].count("get_logger") for one in list_modules()
    }
    found = {one.short: len(events.list_loggers(one)) for one in list_modules()}
    assert made == found
    assert sum(found.values()) > 10


def test_a_log_event_is_a_noun_and_a_past_verb() -> None:
    names = {one.name for one in events.list_events(list_modules())}
    assert len(names) > 20
    odd = [name for name in names if not is_past(name)]
    assert odd == []


def is_past(name: str) -> bool:
    found = EVENT.fullmatch(name)
    return found is not None and (found["verb"].endswith("ed") or found["verb"] in IRREGULAR)


def test_a_metric_is_named_after_us_or_after_its_specification() -> None:
    names = {one.name for one in metrics.list_metrics(list_modules())}
    assert len(names) > 10
    assert [name for name in names if not METRICS.match(name)] == []


def test_a_setting_is_named_after_us_or_after_its_specification() -> None:
    names = {one.name for kind in SETTINGS.values() for one in settings.list_settings(kind)}
    assert len(names) > 20
    assert [name for name in names if not NAMES.match(name)] == []


def test_the_metrics_page_spells_names_as_prometheus_gets_them() -> None:
    reader = PrometheusMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    meter = provider.get_meter("test")
    found = metrics.list_metrics(list_modules())
    for one in found:
        if one.kind == "counter":
            meter.create_counter(one.name, unit=one.unit).add(1)
        elif one.kind == "gauge":
            meter.create_gauge(one.name, unit=one.unit).set(1)
        else:
            meter.create_histogram(one.name, unit=one.unit).record(1)
    exposed = generate_latest().decode()
    provider.shutdown()
    for one in found:
        name = f"{one.exposed}_count" if one.kind == "histogram" else one.exposed
        assert re.search(rf"^{name}(\{{| )", exposed, re.MULTILINE), name
