"""What a chart tells its processes is what they read, by reference where it is secret, and all they need."""

import re
from typing import Any

import pytest
from tests.charts.charts import (
    SERVICES,
    Manifest,
    container_of,
    environment_of,
    matrix,
    merged,
    of_kind,
    pods_of,
    render,
)
from tests.charts.schema import OF_THE_SANDBOX, SETTINGS, names_by_kind

from mainstem.common.http import app as web
from mainstem.common.http.connections import server
from mainstem.common.queue import drain
from mainstem.common.settings import ServiceSettings
from mainstem.common.telemetry import setup as telemetry
from mainstem.gateway.app import read_routes
from mainstem.gateway.settings import Settings as GatewaySettings
from mainstem.sync.delivery import deliver

SECRETS = {
    "DATABASE_URL": "postgresql://login:password@postgres.example.com:5432/mainstem",
    "REDIS_URL": "redis://redis.example.com:6379/0",
}
CASES = [(service, name) for service in SERVICES for name in matrix(service)]


def names_read(service: str) -> set[str]:
    """Return every name that some process of a service reads."""
    ours = {str(field.validation_alias) for field in SETTINGS[service].model_fields.values()}
    return ours | {server.TRUSTED_PROXIES}


def deployed(service: str, values: dict[str, Any] | None = None) -> dict[str, Manifest]:
    """Return the pods of a release's Deployments."""
    return pods_of(of_kind(render(service, values), "Deployment"))


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_is_told_nothing_that_it_does_not_read(service: str) -> None:
    for values in matrix(service).values():
        for pod in deployed(service, dict(values)).values():
            told = [one["name"] for one in container_of(pod)["env"]]
            assert len(told) == len(set(told))
            assert set(told) <= names_read(service)
            assert not set(told) & OF_THE_SANDBOX


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_can_be_told(service: str) -> None:
    plain, secrets, files = names_by_kind(SETTINGS[service])
    schema_names = {*plain, *secrets, *files, "MAINSTEM_HOST", "MAINSTEM_PORT"}
    assert names_read(service) - OF_THE_SANDBOX - {"HOSTNAME", server.TRUSTED_PROXIES} == schema_names


def plausible(environment: dict[str, Any]) -> dict[str, str]:
    """Return what a process would find: secrets in place of their references."""
    return {
        name: value if isinstance(value, str) else SECRETS.get(name, "secret")
        for name, value in environment.items()
    }


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read settings from an environment and nothing beside it."""

    def read(service: str, environment: dict[str, str]) -> ServiceSettings:
        for name in names_read(service):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return SETTINGS[service].from_environment()

    return read


@pytest.mark.parametrize("service", SERVICES)
def test_each_process_accepts_what_it_is_told(service: str, read: Any) -> None:
    for values in matrix(service).values():
        for pod in deployed(service, dict(values)).values():
            settings = read(service, plausible(environment_of(pod)))
            assert settings.profile == "production"
            (port,) = container_of(pod)["ports"]
            assert settings.port == port["containerPort"]
            assert settings.identity_jwks_url or service == "gateway"


def test_the_gateway_knows_where_each_of_its_routes_leads(read: Any) -> None:
    (pod,) = deployed("gateway").values()
    settings = read("gateway", plausible(environment_of(pod)))
    assert isinstance(settings, GatewaySettings)
    assert None not in settings.upstreams.values()
    read_routes(settings)


def test_an_address_that_a_chart_names_is_another_release() -> None:
    services = {one["metadata"]["name"]: one for name in SERVICES for one in of_kind(render(name), "Service")}
    named = []
    for service in SERVICES:
        for pod in deployed(service).values():
            told = [value for value in environment_of(pod).values() if isinstance(value, str)]
            named += [match for value in told for match in re.findall(r"http://([^:/]+):(\d+)", value)]
    assert len(named) > len(SERVICES)
    for host, port in named:
        assert [one["port"] for one in services[host]["spec"]["ports"]] == [int(port)]


def test_a_large_number_stays_one() -> None:
    values = {"settings": {"MAINSTEM_INGEST_FAILURES_TO_DEAD": 25_000_000, "OTEL_TRACES_SAMPLER_ARG": 0.25}}
    for pod in deployed("ingest", values).values():
        told = environment_of(pod)
        assert told["MAINSTEM_INGEST_FAILURES_TO_DEAD"] == "25000000"
        assert told["OTEL_TRACES_SAMPLER_ARG"] == "0.25"


def test_false_is_told_as_false() -> None:
    for pod in deployed("sync", {"settings": {"MAINSTEM_DELETE_VANISHED_PRODUCTS": False}}).values():
        assert environment_of(pod)["MAINSTEM_DELETE_VANISHED_PRODUCTS"] == "false"


@pytest.mark.parametrize("service", SERVICES)
def test_a_secret_is_only_ever_a_reference(service: str) -> None:
    _, secrets, _ = names_by_kind(SETTINGS[service])
    for values in matrix(service).values():
        manifests = render(service, dict(values))
        assert of_kind(manifests, "Secret") == []
        for pod in pods_of(manifests).values():
            told = environment_of(pod)
            assert "DATABASE_URL" in told
            assert {name for name in secrets if isinstance(told.get(name), str)} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_secret_that_is_not_wanted_is_not_asked_for(service: str) -> None:
    _, secrets, _ = names_by_kind(SETTINGS[service])
    for pod in deployed(service, dict(matrix(service)["none of it"])).values():
        assert set(environment_of(pod)) & set(secrets) == {"DATABASE_URL"}


def test_the_migration_runs_first_as_the_owner_and_with_nothing_else() -> None:
    for service in SERVICES:
        (job,) = of_kind(render(service), "Job")
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        pod = job["spec"]["template"]["spec"]
        assert container_of(pod)["args"] == ["database", "upgrade"]
        assert environment_of(pod) == {"DATABASE_URL": {"name": "mainstem-owner", "key": "DATABASE_URL"}}
        # Hooks run before everything else of a release is there.
        assert pod["serviceAccountName"] == "default"
        policies = of_kind(render(service), "NetworkPolicy")
        (own,) = [one for one in policies if one["metadata"]["name"] == job["metadata"]["name"]]
        weights = [int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in (own, job)]
        assert weights == sorted(set(weights))


def test_only_a_process_behind_an_ingress_believes_forwarded_addresses() -> None:
    for service, case in CASES:
        values = dict(matrix(service)[case])
        has_door = bool(values.get("ingress", {}).get("enabled"))
        for name, pod in deployed(service, values).items():
            told = environment_of(pod).get(server.TRUSTED_PROXIES)
            assert told == ("10.1.0.0/16,10.2.0.1" if has_door and name.endswith("-http") else None)


@pytest.mark.parametrize("service", SERVICES)
def test_a_file_is_mounted_where_the_process_looks(service: str) -> None:
    for values in matrix(service).values():
        for pod in deployed(service, dict(values)).values():
            mounts = {one["mountPath"]: one["name"] for one in container_of(pod)["volumeMounts"]}
            volumes = {one["name"]: one for one in pod["volumes"]}
            assert set(mounts.values()) == set(volumes)
            for variable in values.get("files", {}):
                folder, _, name = environment_of(pod)[variable].rpartition("/")
                (volume,) = [one for key, one in volumes[mounts[folder]].items() if key != "name"]
                assert [item["path"] for item in volume["items"]] == [name]


@pytest.mark.parametrize("service", SERVICES)
def test_every_pod_is_nobody_in_a_file_system_that_it_cannot_change(service: str) -> None:
    for values in matrix(service).values():
        for pod in pods_of(render(service, dict(values))).values():
            assert pod["automountServiceAccountToken"] is False
            # Else Kubernetes would tell of each Service by variables, some of which begin as ours do.
            assert pod["enableServiceLinks"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            container = container_of(pod)
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "/tmp" in {one["mountPath"] for one in container["volumeMounts"]}
            assert container["resources"].keys() == {"requests", "limits"}


@pytest.mark.parametrize("service", SERVICES)
def test_probes_ask_what_the_service_answers(service: str) -> None:
    for pod in deployed(service).values():
        container = container_of(pod)
        paths = {
            one: container[f"{one}Probe"]["httpGet"]["path"] for one in ("startup", "liveness", "readiness")
        }
        assert set(paths.values()) <= set(web.HEALTH_PATHS)
        assert paths == {
            "startup": "/__lbheartbeat__",
            "liveness": "/__lbheartbeat__",
            "readiness": "/__heartbeat__",
        }


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_has_the_time_to_end_by_itself(service: str) -> None:
    for name, pod in deployed(service).items():
        hook = container_of(pod).get("lifecycle", {}).get("preStop", {"sleep": {"seconds": 0}})
        ours = SETTINGS[service].model_fields
        needed = hook["sleep"]["seconds"] + ours["drain_seconds"].default + ours["stop_seconds"].default
        needed += telemetry.FLUSH_SECONDS
        if name.endswith("-worker"):
            needed += drain.STOP_SECONDS + deliver.STOP_SECONDS
        assert pod["terminationGracePeriodSeconds"] > needed


def test_values_are_merged_as_helm_does() -> None:
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
