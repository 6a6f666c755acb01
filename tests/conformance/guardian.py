"""Cases of Guardian's format: why each is skipped, asked of the product; pure."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from tests.conformance.case import CaseError
from tests.conformance.ctms.parts import is_served

Json = Any

MEMBERS = frozenset(
    {
        *("id", "area", "title", "provenance", "normative", "notes", "cases"),
        *("trusted_root_der_b64", "leaf_private_key_pem", "x5c"),
        *("signing_key_pem", "public_key_pem", "bundle_id", "key_identifier", "separator"),
    }
)
CASE = frozenset({"name", "given", "when", "then", "notes", "proposed_subscription_record"})
PROVIDERS = ("apple", "google")


def is_one(content: Json) -> bool:
    """Whether a file's content is of this format."""
    return isinstance(content, Mapping) and {"provenance", "cases"} <= content.keys()


def reason(content: Mapping[str, Json]) -> str:
    """Return why a file is skipped.

    Raises:
        CaseError: it has an unknown member, or the product now has what it needs.
    """
    if unknown := sorted(content.keys() - MEMBERS):
        raise CaseError(f"no case file: unknown member {unknown[0]}")
    for number, case in enumerate(content["cases"]):
        if unknown := sorted(case.keys() - CASE):
            raise CaseError(f"no case file: unknown member cases[{number}].{unknown[0]}")
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
