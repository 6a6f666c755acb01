"""docs/reference/settings.md: what each process reads from its environment, from the settings' classes."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from tests.charts.schema import OF_THE_SANDBOX, SET_BY_THE_CHART, SETTINGS
from tests.references.markdown import code, page, table
from tests.references.source import UNKNOWN, Module, name_of

from mainstem.common.settings import Settings
from mainstem.sandbox.world.app import WorldSettings

TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "file"}
BOUNDS: dict[type, str] = {Ge: "≥ {0.ge:g}", Gt: "> {0.gt:g}", Le: "≤ {0.le:g}", Lt: "< {0.lt:g}"}

WORLD = "It is told the services' own credentials, so that both sides agree; `./just up` sets all of these."
BESIDE = "These are read by libraries, by the wrapper or by a launcher, and not through a class of settings."


@dataclass(frozen=True)
class Setting:
    """One name, as one or more services read it."""

    name: str
    kind: str
    default: str
    means: str


def write(modules: Sequence[Module], opening: str, environment: Mapping[str, str]) -> str:
    """Return the page; `environment` says what the names mean that no class of settings has.

    Raises:
        ValueError: some module reads a name of which nothing says what it means.
    """
    if unknown := list_read(modules) - environment.keys():
        raise ValueError(f"tests/references/meanings.toml does not say what these are: {sorted(unknown)}")
    readers = _readers()
    everyone = set(SETTINGS)
    heading = ("name", "kind", "default", "means")
    shared = [one for one, services in readers.items() if services == everyone]
    sections = [("Read by every service", table(heading, map(_row, shared)))]
    for service in sorted(SETTINGS):
        own = [one for one, services in readers.items() if service in services and services != everyone]
        sections.append((f"Read by {service}", table(heading, map(_row, own)) if own else ["Nothing more."]))
    world = map(_row, list_settings(WorldSettings))
    sections.append(("Read by the sandbox's world", [WORLD, "", *table(heading, world)]))
    named = [[code(name), means] for name, means in sorted(environment.items())]
    return page(
        "Settings", opening, [*sections, ("Beside these", [BESIDE, "", *table(("name", "means"), named)])]
    )


def _readers() -> dict[Setting, set[str]]:
    readers: dict[Setting, set[str]] = {}
    for service, settings in SETTINGS.items():
        for one in list_settings(settings):
            readers.setdefault(one, set()).add(service)
    return readers


def list_settings(settings: type[Settings]) -> list[Setting]:
    """Return what a class of settings reads, in its order.

    Raises:
        ValueError: a field has no description.
    """
    found = [
        Setting(str(field.validation_alias), _kind(field), _default(field), field.description or "")
        for field in settings.model_fields.values()
    ]
    if bare := [one.name for one in found if not one.means]:
        raise ValueError(f"these settings need a description: {bare}")
    return found


def _row(one: Setting) -> list[str]:
    mark = "¹" if one.name in SET_BY_THE_CHART else "²" if one.name in OF_THE_SANDBOX else ""
    return [f"{code(one.name)}{mark}", one.kind, one.default, one.means]


def _kind(field: FieldInfo) -> str:
    (annotation, *_) = [one for one in _members(field.annotation) if one is not type(None)]
    if annotation is SecretStr:
        return "secret"
    if get_origin(annotation) is Literal:
        return ", ".join(code(value) for value in get_args(annotation))
    bounds = [BOUNDS[type(one)].format(one) for one in field.metadata if type(one) in BOUNDS]
    return ", ".join([TYPES[annotation], *bounds])


def _members(annotation: Any) -> tuple[Any, ...]:
    is_choice = get_origin(annotation) is Literal
    return (annotation,) if is_choice else get_args(annotation) or (annotation,)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    value = field.default
    if value is None or (isinstance(value, SecretStr) and not value.get_secret_value()):
        return ""
    if isinstance(value, Path):
        return f"its package's {code(value.name)}"
    return code(str(value).lower() if isinstance(value, bool) else str(value))


def list_read(modules: Sequence[Module]) -> set[str]:
    """Return the names that modules read from `os.environ` themselves."""
    return {name for module in modules for name in _read(module)} - {UNKNOWN}


def _read(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Subscript) and _is_environment(node.value):
            yield from module.texts(node.slice)
        elif isinstance(node, ast.Compare) and any(map(_is_environment, node.comparators)):
            yield from module.texts(node.left)
        elif isinstance(node, ast.Call) and node.args and _asks(node.func):
            yield from module.texts(node.args[0])


def _is_environment(node: ast.expr) -> bool:
    return name_of(node) == "environ"


def _asks(function: ast.expr) -> bool:
    is_of_environment = isinstance(function, ast.Attribute) and _is_environment(function.value)
    return is_of_environment or name_of(function) == "getenv"
