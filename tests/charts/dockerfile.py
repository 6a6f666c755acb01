"""Performs the build stage of the Dockerfile in an empty folder, since no test has a Docker engine."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.charts.schema import ROOT

DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Step:
    """One instruction of a stage."""

    instruction: str
    words: tuple[str, ...]


def read_stages() -> list[list[Step]]:
    """Return the instructions of each stage, the `FROM` first; what stands before the first is left out."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    stages: list[list[Step]] = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            instruction, _, rest = line.partition(" ")
            if instruction == "FROM":
                stages.append([])
            if stages:
                stages[-1].append(Step(instruction, tuple(shlex.split(rest))))
    return stages


def perform(root: Path, arguments: Mapping[str, str], cache: Path, layers: Path | None = None) -> None:
    """Perform the first stage under `root` instead of `/`, until an `ARG` that is not given.

    What it copies comes from the committed files alone, as from a fresh clone.

    Args:
        root: an empty folder.
        arguments: of the build, such as SERVICE.
        cache: uv's, so that four images share their downloads.
        layers: where the steps before the first `ARG` were performed already; they are not repeated.
    """
    folder, environment = root, _environment(cache)
    if layers is not None:
        shutil.copytree(layers, root, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
    is_done = layers is not None
    for step in read_stages()[0][1:]:
        words = [_filled(word, arguments) for word in step.words]
        if step.instruction == "WORKDIR":
            folder = root / words[0].removeprefix("/")
            folder.mkdir(parents=True, exist_ok=True)
        elif step.instruction == "ENV":
            name, _, value = words[0].partition("=")
            environment[name] = _moved(value, root)
        elif step.instruction == "ARG":
            if words[0] not in arguments:
                return
            is_done = False
        elif is_done:
            continue
        elif step.instruction == "COPY":
            _copy(words[0], folder / words[1])
        elif step.instruction == "RUN":
            command = [_moved(word, root) for word in words]
            subprocess.run(command, cwd=folder, env=environment, check=True)
        else:
            raise NotImplementedError(step.instruction)


def _environment(cache: Path) -> dict[str, str]:
    """Return what a package manager may be told by a machine; nothing of ours."""
    told = {
        name: value
        for name, value in os.environ.items()
        if re.match(r"PIP_|SSL_|HTTPS?_PROXY|NO_PROXY", name)
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    system = {"UV_SYSTEM_CERTS": "1"} if Path("/etc/ssl/certs/ca-certificates.crt").exists() else {}
    return told | kept | system | {"UV_CACHE_DIR": str(cache), "UV_LINK_MODE": "hardlink"}


def _filled(word: str, arguments: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], word)


def _moved(word: str, root: Path) -> str:
    return f"{root}{word}" if word.startswith("/") else word


def _copy(source: str, target: Path) -> None:
    files = list(_committed(source))
    if not files:
        raise FileNotFoundError(source)
    for file in files:
        relative = file.relative_to(source)
        copied = target / relative if relative != Path() else target
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, copied)


def _committed(source: str) -> Iterator[Path]:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--", source]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    yield from (Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).exists())
