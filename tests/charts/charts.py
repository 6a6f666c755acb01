"""Charts as Helm itself loads, lints and renders them, and what came of it."""

import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import helm_python
import yaml
from tests.charts.schema import CHARTS, SETTINGS

SERVICES = tuple(SETTINGS)
NAMESPACE = "mainstem"

Values = Mapping[str, Any]
Manifest = dict[str, Any]

DOORS = ("gateway", "ingest")
_DOOR = {
    "enabled": True,
    "host": "mainstem.example.com",
    "className": "nginx",
    "annotations": {"example.com/note": "a door"},
    "tlsSecret": "mainstem-tls",
    "trustedProxies": ["10.1.0.0/16", "10.2.0.1"],
}
_POD: Values = {
    "image": {"digest": f"sha256:{'0' * 64}", "pullSecrets": ["registry"]},
    "podLabels": {"team": "payments"},
    "podAnnotations": {"example.com/note": "a pod"},
    "priorityClassName": "high",
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    "serviceAccount": {"annotations": {"example.com/note": "an account"}},
}


def everywhere(service: str, process: Values) -> Values:
    """Return values that say the same of each process."""
    return {"processes": dict.fromkeys(processes_of(service), process)}


def matrix(service: str) -> dict[str, Values]:
    """Return every option on and off, each alone and all at once, by a name."""
    alone = {
        "as it is": {},
        "another release's image": {"image": {"tag": "1.2.3"}},
        "pods with everything": _POD,
        "spread over nothing": {"spreadAcross": []},
        "another port": {"listen": {"host": "::", "port": 9000}},
        "traced": {"settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.observability:4318"}},
        "no migration": {"migration": {"enabled": False}},
        "no network policy": {"networkPolicy": {"enabled": False}},
        "scaled by load": everywhere(service, {"autoscaling": {"enabled": True}}),
        "scaled by hand": everywhere(service, {"autoscaling": {"enabled": False}, "replicas": 0}),
        "no disruption budget": everywhere(service, {"disruption": {"enabled": False}}),
        "a share may be disrupted": everywhere(service, {"disruption": {"maxUnavailable": "25%"}}),
        "at once without a pause": everywhere(service, {"drainSeconds": 0}),
        "reached by nobody": everywhere(service, {"allowFrom": []}),
        "part of another chart": {"global": {"anything": 1}},
        **_of_doors(service),
        **_of_files(service),
    }
    return alone | {"all of it": _with_everything(service), "none of it": _without_anything(service)}


def _of_doors(service: str) -> dict[str, Values]:
    plain = {name: _DOOR[name] for name in ("enabled", "host", "trustedProxies")}
    return {"a plain door": {"ingress": plain}, "a door": {"ingress": _DOOR}} if service in DOORS else {}


def _of_files(service: str) -> dict[str, Values]:
    variables = {"gateway": "MAINSTEM_ROUTES_FILE", "ingest": "MAINSTEM_STRIPE_ACCOUNTS_FILE"}
    if service not in variables:
        return {}
    return {
        f"a file of a {kind}": {"files": {variables[service]: {kind: "some-files", "key": "some.toml"}}}
        for kind in ("secret", "configMap")
    }


def _with_everything(service: str) -> Values:
    file = _of_files(service).get("a file of a secret", {})
    door = _of_doors(service).get("a door", {})
    traced = {"settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.observability:4318"}}
    return merged(_POD, file, door, traced, everywhere(service, {"autoscaling": {"enabled": True}}))


def _without_anything(service: str) -> Values:
    off = {"autoscaling": {"enabled": False}, "disruption": {"enabled": False}, "allowFrom": []}
    switched_off = {"migration": {"enabled": False}, "networkPolicy": {"enabled": False}, "spreadAcross": []}
    optional = {name: None for name in loaded(service).values["secrets"] if name != "DATABASE_URL"}
    return {**switched_off, **everywhere(service, {**off, "drainSeconds": 0}), "secrets": optional}


def merged(*values: Values) -> dict[str, Any]:
    """Return values over one another, the last on top, as Helm merges them."""
    result: dict[str, Any] = {}
    for one in values:
        for name, value in one.items():
            below = result.get(name)
            if isinstance(below, Mapping) and isinstance(value, Mapping):
                result[name] = merged(below, value)
            else:
                result[name] = value
    return result


@cache
def loaded(service: str) -> helm_python.Chart:
    """Return the chart, loaded once."""
    return helm_python.Chart.load(CHARTS / service)


def processes_of(service: str) -> list[str]:
    """Return the names of what a chart runs."""
    return list(loaded(service).values["processes"])


def render(service: str, values: Values | None = None) -> list[Manifest]:
    """Return the manifests of a release named as the how-to names it."""
    manifests: list[Manifest] = json.loads(_rendered(service, json.dumps(values or {})))
    return manifests


@cache
def _rendered(service: str, values: str) -> str:
    rendered = loaded(service).render(
        json.loads(values), name=f"mainstem-{service}", namespace=NAMESPACE, is_install=True
    )
    return json.dumps(documents(rendered))


def documents(rendered: Mapping[str, str]) -> list[Manifest]:
    """Return the manifests in what Helm rendered, by template."""
    return [
        document
        for text in rendered.values()
        for document in yaml.load_all(text, Loader=yaml.CSafeLoader)
        if document is not None
    ]


def of_kind(manifests: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Return the manifests of one kind."""
    return [one for one in manifests if one["kind"] == kind]


def pods_of(manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return the pods that would run, by the name of the Deployment or Job."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in manifests
        if one["kind"] in {"Deployment", "Job"}
    }


def container_of(pod: Manifest) -> Manifest:
    """Return a pod's only container."""
    (container,) = pod["containers"]
    return dict(container)


def environment_of(pod: Manifest) -> dict[str, Any]:
    """Return what the pod's process is told: a text, or the reference to a secret."""
    return {
        one["name"]: one["value"] if "value" in one else one["valueFrom"]["secretKeyRef"]
        for one in container_of(pod)["env"]
    }


def lint(service: str, values: Values | None = None) -> list[str]:
    """Return what Helm's strict lint complains about."""
    report = helm_python.lint(os.fspath(CHARTS / service), dict(values or {}), strict=True)
    complaints = [one["error"] for one in report["messages"] if one["severity"] > 1]
    return [*report["errors"], *complaints]
