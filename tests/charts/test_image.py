"""The steps of the Dockerfile lead from an empty folder to a service that answers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from servers import Database
from tests.charts.charts import SERVICES
from tests.charts.dockerfile import perform, read_stages
from tests.charts.schema import ROOT

from mainstem.sandbox.servers.ports import Ports

BUILD = ROOT / "k8s" / "image" / "build"
READY_SECONDS = 30
UPSTREAMS = ("INGEST", "SYNC", "BILLING")


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where uv keeps what it downloaded: the tree's own cache, or one for the four images."""
    own = ROOT / ".tools" / "cache"
    return own if own.is_dir() else tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Callable[[str, Path], None]:
    """Perform a service's build in a folder.

    What stands before `ARG SERVICE` is the same for every image, and done once, as a builder's layers are.
    """
    layers = tmp_path_factory.mktemp("layers")
    perform(layers, {}, downloads)

    def build(service: str, folder: Path) -> None:
        perform(folder, {"SERVICE": service}, downloads, layers)

    return build


def list_files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


# A build compiles about a hundred packages. One service a run: the four differ in few of them.
@pytest.mark.slow
@pytest.mark.rotating
@pytest.mark.parametrize("service", SERVICES)
async def test_a_services_image_is_built_from_nothing_and_answers(
    service: str, tmp_path: Path, build: Callable[[str, Path], None], database: Database, ports: Ports
) -> None:
    build(service, tmp_path)
    environment = tmp_path / "opt" / "mainstem"
    shipped = list_files(environment)
    # An image carries what it runs, and not its neighbours.
    assert {path.name for path in environment.glob("lib/*/site-packages/mainstem/*")} == {"common", service}
    compiled = {path.parts[-3] for path in shipped if path.suffix == ".pyc"}
    assert compiled >= {"starlette", "common", service}

    script = environment / "bin" / "mainstem"
    told = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    assert "serve" in run(script, service, "--help", environment=told)
    port = ports.take()
    told |= {"DATABASE_URL": database.urls[service], "MAINSTEM_PORT": str(port)}
    told |= {f"MAINSTEM_UPSTREAM_{name}": "http://127.0.0.1:1" for name in UPSTREAMS}
    told |= {"MAINSTEM_IDENTITY_JWKS_URL": "http://127.0.0.1:1/jwks.json"}
    serve(script, service, port, told)
    assert list_files(environment) == shipped, "a pod's file system cannot be written to"


def run(*command: str | Path, environment: dict[str, str]) -> str:
    """Return what a command says."""
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def serve(script: Path, service: str, port: int, told: dict[str, str]) -> None:
    """Start the service, demand that it answers, and end it as Kubernetes does."""
    process = subprocess.Popen([script, service, "serve"], env=told, stdout=subprocess.PIPE, text=True)
    try:
        assert wait_for(f"http://127.0.0.1:{port}/__lbheartbeat__", process) == {"status": "OK"}
        assert (
            "up" in httpx.get(f"http://127.0.0.1:{port}/__heartbeat__").raise_for_status().json()["database"]
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) in {0, -signal.SIGTERM}
    finally:
        process.kill()
        process.communicate()


def wait_for(url: str, process: "subprocess.Popen[str]") -> object:
    """Return what the address answers, once it does."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return httpx.get(url).raise_for_status().json()
        except httpx.TransportError:
            time.sleep(0.1)
    return None


def test_every_step_of_the_build_is_a_step_of_the_script() -> None:
    commands = [step.words for stage in read_stages() for step in stage if step.instruction == "RUN"]
    assert [words[:2] for words in commands] == [
        ("k8s/image/build", name) for name in ("tools", "packages", "service")
    ]


def test_the_image_is_nobody_without_a_shell_between() -> None:
    *_, last = read_stages()
    told = {step.instruction: step.words for step in last}
    user, _, group = told["USER"][0].partition(":")
    assert int(user) == int(group) > 1_000
    assert told["ENTRYPOINT"] == ("[mainstem]",)
    assert "CMD" not in told
    assert [step.words for step in last if step.instruction == "COPY"] == [
        ("--from=build", "/opt/mainstem", "/opt/mainstem")
    ]


def test_the_charts_run_as_the_images_user() -> None:
    text = (ROOT / "k8s" / "charts" / "common" / "templates" / "_pod.tpl").read_text()
    *_, last = read_stages()
    (user,) = [step.words[0].partition(":")[0] for step in last if step.instruction == "USER"]
    assert f"runAsUser: {user}\n" in text


def test_what_is_copied_reaches_the_builder_and_nothing_else_does() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    admitted = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {step.words[0] for step in read_stages()[0] if step.instruction == "COPY"}
    assert "*" in lines
    assert {path.partition("/${")[0] for path in copied} == admitted


@pytest.mark.parametrize("arguments", [["packages", "nobody", "x"], ["service", "sandbox", "x"], ["bake"]])
def test_the_script_says_what_it_does_not_know(arguments: list[str], tmp_path: Path) -> None:
    result = subprocess.run([BUILD, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("build: ")
    assert list(tmp_path.iterdir()) == []


def test_the_images_python_is_the_oldest_that_the_locks_are_for() -> None:
    assert sys.version_info >= (3, 11)
    assert "python:3.11-" in (ROOT / "Dockerfile").read_text()
