"""The closed schema of each chart's values: one shape for all, and the settings that the service reads."""

import json
import types
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import SecretStr

from mainstem.billing.settings import Settings as BillingSettings
from mainstem.common.settings import ServiceSettings
from mainstem.gateway.settings import Settings as GatewaySettings
from mainstem.ingest.settings import Settings as IngestSettings
from mainstem.sync.settings import Settings as SyncSettings

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "k8s" / "charts"
SHAPE = ROOT / "k8s" / "schema" / "shape.json"
SETTINGS: dict[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "ingest": IngestSettings,
    "sync": SyncSettings,
    "billing": BillingSettings,
}

SET_BY_THE_CHART = {"MAINSTEM_HOST", "MAINSTEM_PORT", "HOSTNAME"}
OF_THE_SANDBOX = {"MAINSTEM_PROFILE", "MAINSTEM_CLOCK_FILE", "MAINSTEM_DELIVERY_PAUSE_FILE"}
"""No cluster is the offline world."""

_KEPT = {
    "type",
    "description",
    "default",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
}


def read_values(service: str) -> dict[str, Any]:
    """Return the chart's own values."""
    values: dict[str, Any] = yaml.safe_load((CHARTS / service / "values.yaml").read_text())
    return values


def schema_file(service: str) -> Path:
    """Return where a chart's schema is."""
    return CHARTS / service / "values.schema.json"


def write_schemas() -> None:
    """Write the schema of every chart."""
    for service in SETTINGS:
        schema_file(service).write_text(text_of(service))


def text_of(service: str) -> str:
    """Return a chart's schema as its file holds it."""
    return json.dumps(schema_of(service), indent=2, ensure_ascii=False) + "\n"


def schema_of(service: str) -> dict[str, Any]:
    """Return the schema of a chart: the shape, closed over what the service reads and runs."""
    schema: dict[str, Any] = json.loads(SHAPE.read_text())
    values, settings = read_values(service), SETTINGS[service]
    plain, secrets, files = names_by_kind(settings)
    described = settings.model_json_schema(by_alias=True)["properties"]
    schema["properties"] |= {
        "settings": _closed({name: _plain(described[name]) for name in plain}, _required(settings, plain)),
        "secrets": _references(described, secrets, _required(settings, secrets), "secretReference"),
        "files": _references(described, files, _required(settings, files), "fileReference"),
        "processes": _closed(
            {name: {"$ref": "#/definitions/process"} for name in values["processes"]},
            sorted(values["processes"]),
        ),
    }
    if "ingress" not in values:
        del schema["properties"]["ingress"], schema["definitions"]["ingress"]
    return schema


def names_by_kind(settings: type[ServiceSettings]) -> tuple[list[str], list[str], list[str]]:
    """Return the names that a chart may set: of plain settings, of secrets, and of files."""
    kinds: tuple[list[str], list[str], list[str]] = ([], [], [])
    for field in settings.model_fields.values():
        name = str(field.validation_alias)
        if name not in SET_BY_THE_CHART | OF_THE_SANDBOX:
            members = _members(field.annotation)
            kinds[1 if SecretStr in members else 2 if Path in members else 0].append(name)
    return kinds


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)


def _required(settings: type[ServiceSettings], names: list[str]) -> list[str]:
    needed = {str(field.validation_alias) for field in settings.model_fields.values() if field.is_required()}
    return sorted(needed & set(names))


def _plain(described: dict[str, Any]) -> dict[str, Any]:
    """Return what pydantic says of a setting, without its title and without null."""
    for one in described.get("anyOf", []):
        if one.get("type") != "null":
            described = described | one
    return {name: value for name, value in described.items() if name in _KEPT and value is not None}


def _references(
    described: dict[str, Any], names: list[str], required: list[str], definition: str
) -> dict[str, Any]:
    # Draft 7 reads nothing that stands beside a `$ref`.
    references = {
        name: {
            "description": described[name]["description"],
            "allOf": [{"$ref": f"#/definitions/{definition}"}],
        }
        for name in names
    }
    return _closed(references, required)


def _closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    closed: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    return closed | ({"required": required} if required else {})
