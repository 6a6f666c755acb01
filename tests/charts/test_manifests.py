"""What the charts render is lint-free, valid and whole, with every option on and off."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
from tests.charts.charts import (
    DOORS,
    SERVICES,
    Manifest,
    Values,
    container_of,
    documents,
    lint,
    loaded,
    matrix,
    of_kind,
    processes_of,
    render,
)
from tests.charts.schema import CHARTS

OLDEST, NEWEST = "1.30", "1.37"
"""Of Kubernetes: what the charts ask for, and the newest whose schemas we have."""

QUICK = {"as it is", "all of it", "none of it"}
CASES = [
    pytest.param(service, name, marks=[] if name in QUICK else pytest.mark.slow)
    for service in SERVICES
    for name in matrix(service)
]
WORKERS = {"billing", "ingest", "sync"}


def test_the_services_with_a_worker_are_these() -> None:
    assert {service for service in SERVICES if "worker" in processes_of(service)} == WORKERS


@pytest.mark.parametrize(("service", "case"), CASES)
def test_a_chart_passes_the_strict_lint(service: str, case: str) -> None:
    assert lint(service, matrix(service)[case]) == []


def test_the_lint_would_complain() -> None:
    assert lint("gateway", {"listen": {"port": 80}}) != []


@pytest.mark.parametrize(("service", "case"), CASES)
def test_every_manifest_is_valid_and_there_once(service: str, case: str) -> None:
    manifests = render(service, matrix(service)[case])
    for manifest in manifests:
        for version in (OLDEST, NEWEST) if case in QUICK else (NEWEST,):
            validate(json.dumps(manifest), version)
    names = Counter((one["kind"], one["metadata"]["name"]) for one in manifests)
    assert [name for name, count in names.items() if count > 1] == []
    assert all(one["metadata"]["namespace"] == "mainstem" for one in manifests)


@cache
def validate(manifest: str, version: str) -> None:
    """Pass if the manifest, as JSON, is valid; each is looked at once, since the cases share most."""
    kubernetes_validate.validate(json.loads(manifest), version, strict=True)


def test_an_invalid_manifest_would_be_seen() -> None:
    (service,) = of_kind(render("sync"), "Service")
    service["spec"]["ports"][0]["portt"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, NEWEST, strict=True)


def test_the_charts_ask_for_the_oldest_that_is_checked() -> None:
    asked = {loaded(service).metadata["kubeVersion"] for service in SERVICES}
    assert asked == {f">={OLDEST}.0-0"}


EXPECTED: dict[str, tuple[str, int]] = {
    "as it is": ("NetworkPolicy", 2),
    "no network policy": ("NetworkPolicy", 0),
    "no migration": ("Job", 0),
    "scaled by hand": ("HorizontalPodAutoscaler", 0),
    "scaled by load": ("HorizontalPodAutoscaler", 1),
    "no disruption budget": ("PodDisruptionBudget", 0),
    "a share may be disrupted": ("PodDisruptionBudget", 1),
}
"""By case: a kind, and how many of it a service without a worker has."""


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("case", EXPECTED)
def test_an_option_does_what_it_says(service: str, case: str) -> None:
    kind, count = EXPECTED[case]
    found = of_kind(render(service, matrix(service)[case]), kind)
    assert len(found) == count + (len(processes_of(service)) - 1 if count else 0)


@pytest.mark.parametrize("service", SERVICES)
def test_each_process_is_a_deployment_of_its_own_that_scales_apart(service: str) -> None:
    by_hand = {"enabled": False}
    values = {
        "processes": {
            name: {"autoscaling": by_hand, "replicas": number}
            for number, name in enumerate(processes_of(service), 3)
        }
    }
    deployments = of_kind(render(service, values), "Deployment")
    replicas = {one["metadata"]["name"]: one["spec"]["replicas"] for one in deployments}
    expected = enumerate(processes_of(service), 3)
    assert replicas == {f"mainstem-{service}-{name}": number for number, name in expected}
    for deployment in deployments:
        process = deployment["metadata"]["name"].rpartition("-")[2]
        command = {"http": "serve", "worker": "work"}[process]
        assert container_of(deployment["spec"]["template"]["spec"])["args"] == [service, command]


@pytest.mark.parametrize("service", SERVICES)
def test_what_scales_by_load_has_no_number_that_an_upgrade_would_bring_back(service: str) -> None:
    manifests = render(service, matrix(service)["scaled by load"])
    assert all("replicas" not in one["spec"] for one in of_kind(manifests, "Deployment"))
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in of_kind(manifests, "HorizontalPodAutoscaler")}
    assert scaled == {one["metadata"]["name"] for one in of_kind(manifests, "Deployment")}


def selectors_of(manifests: list[Manifest]) -> list[dict[str, str]]:
    """Return the labels by which the manifests select our own pods."""
    selectors = [one["spec"]["selector"]["matchLabels"] for one in of_kind(manifests, "Deployment")]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in of_kind(manifests, "PodDisruptionBudget")]
    selectors += [one["spec"]["podSelector"]["matchLabels"] for one in of_kind(manifests, "NetworkPolicy")]
    return selectors + [one["spec"]["selector"] for one in of_kind(manifests, "Service")]


@pytest.mark.parametrize("service", SERVICES)
def test_selectors_are_the_labels_that_never_change_and_each_finds_pods(service: str) -> None:
    manifests = render(service, matrix(service)["all of it"])
    kept = {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component")}
    selectors = selectors_of(render(service, matrix(service)["as it is"]))
    assert selectors
    assert all(selector.keys() == kept for selector in selectors)
    pods = [
        one["spec"]["template"]["metadata"]["labels"]
        for one in manifests
        if "template" in one.get("spec", {})
    ]
    for selector in selectors:
        if selector["app.kubernetes.io/component"] != "migration":
            assert any(selector.items() <= labels.items() for labels in pods), selector


@pytest.mark.parametrize("service", SERVICES)
def test_two_versions_of_a_chart_select_the_same(service: str, tmp_path: Path) -> None:
    packaged = helm_python.package(
        CHARTS / service, destination=tmp_path, version="9.9.9", app_version="9.9.9"
    )
    with helm_python.Chart.load(packaged) as later:
        rendered = later.render({}, name=f"mainstem-{service}", namespace="mainstem")
    assert any("9.9.9" in text for text in rendered.values())
    assert selectors_of(documents(rendered)) == selectors_of(render(service))


@pytest.mark.parametrize("service", SERVICES)
def test_a_packaged_chart_is_whole_without_its_neighbours(service: str, tmp_path: Path) -> None:
    packaged = helm_python.package(CHARTS / service, destination=tmp_path)
    with helm_python.Chart.load(packaged) as chart:
        rendered = chart.render({}, name=f"mainstem-{service}", namespace="mainstem", is_install=True)
        assert [one["name"] for one in chart.dependencies] == ["common"]
    assert documents(rendered) == render(service)
    (dependency,) = helm_python.dependency_list(CHARTS / service)
    assert dependency["status"] == "unpacked"


PROBLEMS: dict[str, tuple[str, Values, str]] = {
    "a door without a host": (
        "gateway",
        {"ingress": {"enabled": True, "trustedProxies": ["10.0.0.1"]}},
        (
            "Ingress 'mainstem-gateway': no host is given, so it would answer for every one."
            " Name the host at ingress.host."
        ),
    ),
    "a door without its proxies": (
        "ingest",
        {"ingress": {"enabled": True, "host": "a.example.com"}},
        (
            "Ingress 'mainstem-ingest': all callers would have the address of the ingress controller."
            " List the controller's addresses or networks at ingress.trustedProxies."
        ),
    ),
    "a set of peers that nobody described": (
        "sync",
        {"processes": {"worker": {"allowFrom": ["friends"]}}},
        (
            "NetworkPolicy 'mainstem-sync-worker': nobody is named 'friends'. Name the peers at"
            " networkPolicy.allowFrom.friends, or take it out of processes.worker.allowFrom."
        ),
    ),
    "a scale without a measure": (
        "billing",
        {"processes": {"http": {"resources": {"requests": {"cpu": None}}}}},
        (
            "HorizontalPodAutoscaler 'mainstem-billing-http': it scales by CPU, of which nothing is "
            "requested. Set processes.http.resources.requests.cpu, or processes.http.autoscaling.enabled to"
            " false."
        ),
    ),
    "a scale upside down": (
        "billing",
        {"processes": {"http": {"autoscaling": {"minReplicas": 9, "maxReplicas": 3}}}},
        (
            "HorizontalPodAutoscaler 'mainstem-billing-http': its least is more than its most."
            " Set processes.http.autoscaling.maxReplicas to 9 or more."
        ),
    ),
    "a stop shorter than its drain": (
        "sync",
        {"processes": {"http": {"drainSeconds": 30}}},
        (
            "Deployment 'mainstem-sync-http': it would be killed before it could end what is under way."
            " Set processes.http.stopSeconds to more than processes.http.drainSeconds."
        ),
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_cannot_be_meant_is_said_with_what_to_do(problem: str) -> None:
    service, values, text = PROBLEMS[problem]
    with pytest.raises(helm_python.HelmRenderError) as caught:
        render(service, values)
    assert text in str(caught.value)


@pytest.mark.parametrize("service", SERVICES)
def test_only_doors_have_an_ingress_and_only_when_it_is_asked_for(service: str) -> None:
    for name, values in matrix(service).items():
        wanted = service in DOORS and bool(values.get("ingress", {}).get("enabled"))
        assert bool(of_kind(render(service, values), "Ingress")) is wanted, name


def test_a_release_is_named_after_its_chart_once() -> None:
    for release, name in (("sync", "sync"), ("mainstem-sync", "mainstem-sync"), ("prod", "prod-sync")):
        rendered: Any = loaded("sync").render({}, name=release)
        (service,) = of_kind(documents(rendered), "Service")
        assert service["metadata"]["name"] == name


@pytest.mark.parametrize("service", SERVICES)
def test_names_are_short_enough_for_kubernetes(service: str) -> None:
    release = "a-release-with-a-name-as-long-as-helm-lets-it-be-1234"[:53]
    manifests = documents(loaded(service).render({}, name=release))
    assert max(len(one["metadata"]["name"]) for one in manifests) <= 63
