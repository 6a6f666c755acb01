"""Who reaches a process and what it reaches: two doors, the gateway between, no way in from outside."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.charts.charts import SERVICES, Manifest, matrix, of_kind, render

from mainstem.common.http import app as web
from mainstem.gateway.routes.table import JWKS_PATH, TOKEN_PATH
from mainstem.gateway.settings import ROUTES_FILE

CASES = [(service, name) for service in SERVICES for name in matrix(service)]


def leads(path: str, paths: list[str]) -> bool:
    """Whether an ingress with these prefixes takes a path, as Kubernetes compares them: by segment."""
    return any(path == prefix or path.startswith(prefix.rstrip("/") + "/") for prefix in paths)


def test_each_route_has_one_door_and_health_has_none() -> None:
    door = {"ingress": {"enabled": True, "host": "a.example.com", "trustedProxies": ["10.0.0.1"]}}
    paths = {service: list(_paths(render(service, door))) for service in ("gateway", "ingest")}
    routes = tomllib.loads(ROUTES_FILE.read_text())["routes"]
    outside = [TOKEN_PATH, JWKS_PATH, *(route["path"] for route in routes)]
    doors = {path: [name for name in paths if leads(path, paths[name])] for path in outside}
    advice = "say at ingress.paths of the gateway's chart, or of ingest's, which door takes it"
    for path, through in doors.items():
        assert through == (["ingest"] if path.startswith("/webhooks/") else ["gateway"]), f"{path}: {advice}"
    assert not [path for path in web.HEALTH_PATHS if leads(path, paths["gateway"] + paths["ingest"])]


def _paths(manifests: list[Manifest]) -> Iterator[str]:
    for ingress in of_kind(manifests, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            yield from (one["path"] for one in rule["http"]["paths"])


def policy_of(service: str, process: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the rules of a process' NetworkPolicy."""
    policies = of_kind(render(service, values), "NetworkPolicy")
    (found,) = [one for one in policies if one["metadata"]["name"] == f"mainstem-{service}-{process}"]
    return dict(found["spec"])


@pytest.mark.parametrize("service", ["ingest", "sync"])
def test_a_worker_is_reached_for_its_metrics_alone(service: str) -> None:
    (rule,) = policy_of(service, "worker")["ingress"]
    assert rule["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]


def test_services_are_reached_through_the_gateway_and_no_rule_admits_everybody() -> None:
    for service, case in CASES:
        policies = of_kind(render(service, dict(matrix(service)[case])), "NetworkPolicy")
        assert all(rule["from"] for one in policies for rule in one["spec"]["ingress"])
        assert all(set(one["spec"]["policyTypes"]) == {"Ingress", "Egress"} for one in policies)
    for service in ("sync", "billing"):
        callers = [peer for rule in policy_of(service, "http")["ingress"] for peer in rule["from"]]
        named = [peer["podSelector"]["matchLabels"] for peer in callers if "podSelector" in peer]
        assert [labels["app.kubernetes.io/name"] for labels in named] == ["gateway"]


def test_the_outside_is_reached_by_https_and_the_inside_is_no_outside() -> None:
    for service in ("ingest", "sync", "billing"):
        rules = policy_of(service, "http")["egress"]
        (outside,) = [rule for rule in rules if [port["port"] for port in rule["ports"]] == [443]]
        inside = {block for peer in outside["to"] for block in peer["ipBlock"]["except"]}
        assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= inside
    ports = {port["port"] for rule in policy_of("gateway", "http")["egress"] for port in rule["ports"]}
    assert ports == {53, 5432, 4318, 8000}


def test_a_way_out_that_is_not_needed_can_be_closed() -> None:
    rules = policy_of("sync", "http", {"networkPolicy": {"allowTo": {"redis": None, "https": None}}})[
        "egress"
    ]
    assert {port["port"] for rule in rules for port in rule["ports"]} == {53, 5432, 4318, 8000}
