"""Cases of Guardian's format: why each is skipped, asked of the product; pure."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from tests.conformance.case import CaseError
from tests.conformance.ctms.parts import is_served

Json = Any

PROVIDERS = ("apple", "google")


def is_one(content: Json) -> bool:
    """Whether a file's content is of this format."""
    return isinstance(content, Mapping) and {"provenance", "cases"} <= content.keys()


def reason(content: Mapping[str, Json]) -> str:
    """Return why a file is skipped; its members are not checked, since nothing of it runs.

    Raises:
        CaseError: it has no cases, or the product now has what they need.
    """
    if not content["cases"]:
        raise CaseError("no case file: no cases")
    reasons = [*dict.fromkeys(_reasons(content["cases"]))]
    if not reasons:
        raise CaseError("the runner cannot run this format yet, though its endpoints are served")
    return f"no part can run: {'; '.join(reasons)}"


def _reasons(cases: list[Mapping[str, Json]]) -> Iterator[str]:
    for case in cases:
        http = case.get("when", {}).get("http")
        if http is not None:
            path = http["path"].partition("?")[0]
            if not is_served(http["method"], path):
                yield f"{http['method']} {_first(path)} does not exist"
        elif not _has_provider():
            yield "ingest has no provider for the App Store or Google Play"


def _has_provider() -> bool:
    folder = files("mainstem.ingest") / "providers"
    return any(one.name.startswith(PROVIDERS) for one in folder.iterdir())


def _first(path: str) -> str:
    """Return the beginning of a path, without ids."""
    parts = path.strip("/").split("/")
    return "/" + "/".join(parts[:2]) + ("/…" if len(parts) > 2 else "")
