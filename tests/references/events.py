"""docs/reference/log-events.md: what is logged, read from the calls, and what it means."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.references.markdown import code, codes, page, table
from tests.references.source import Module, name_of

LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    "critical": "critical",
}
"""By what logs it: how severe it is."""

OF_EXCEPTIONS = {"exception", "frames"}
"""What telemetry says of an exception."""


@dataclass
class Logged:
    """One event of one service: where it is logged, how severe it is, and with which fields."""

    name: str
    service: str
    files: set[str] = field(default_factory=set)
    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


def write(modules: Sequence[Module], opening: str, meanings: Mapping[str, str]) -> str:
    """Return the page.

    Raises:
        ValueError: an event has no meaning.
    """
    found = list_events(modules)
    if unknown := {one.name for one in found} - meanings.keys():
        raise ValueError(f"tests/references/meanings.toml does not say what these mean: {sorted(unknown)}")
    rows: dict[str, list[list[str]]] = defaultdict(list)
    for one in found:
        cells = [code(one.name), ", ".join(sorted(one.levels)), codes(one.fields), meanings[one.name]]
        rows[one.service].append([*cells, codes(one.files)])
    heading = ("event", "level", "fields", "means", "in")
    titles = {"common": "In any process"}
    sections = [(titles.get(name, name), table(heading, rows[name])) for name in _in_order(rows)]
    return page("Log events", opening, sections)


def _in_order(services: Mapping[str, object]) -> list[str]:
    return sorted(services, key=lambda name: (name != "common", name))


def list_events(modules: Sequence[Module]) -> list[Logged]:
    """Return every event that some module logs, by service and name."""
    events: dict[tuple[str, str], Logged] = {}
    for module in modules:
        for name, level, fields in _logged(module):
            one = events.setdefault((module.service, name), Logged(name, module.service))
            one.files.add(module.short)
            one.levels.add(LEVELS[level])
            one.fields |= fields
    return [events[key] for key in sorted(events)]


def _logged(module: Module) -> Iterator[tuple[str, str, set[str]]]:
    """Yield each name that a call may log, with its level and fields."""
    for call in module.calls:
        level = _level(module, call)
        if level is None:
            continue
        function = module.function_of(call)
        # A function that logs what it is told does so once for each of its calls.
        bounds: list[ast.Call | None] = [None]
        if function is not None and not isinstance(call.args[0], ast.Constant):
            bounds = [*module.calls_of(function)] or [None]
        for bound in bounds:
            for name in module.texts(call.args[0], bound):
                yield name, level, _fields(module, call, bound, level)


def list_loggers(module: Module) -> set[str]:
    """Return the names under which a module logs; a logger stands at its top and nowhere else."""
    assigned = [node for node in module.tree.body if isinstance(node, ast.Assign)]
    made = [node for node in assigned if name_of(getattr(node.value, "func", node.value)) == "get_logger"]
    return {target.id for node in made for target in node.targets if isinstance(target, ast.Name)}


def _level(module: Module, call: ast.Call) -> str | None:
    """Return at which level a call logs, if it does."""
    loggers = list_loggers(module)
    function = call.func
    is_logger = isinstance(function, ast.Attribute) and name_of(function.value) in loggers
    return (
        function.attr
        if is_logger and isinstance(function, ast.Attribute) and function.attr in LEVELS
        else None
    )


def _fields(module: Module, call: ast.Call, bound: ast.Call | None, level: str) -> set[str]:
    fields = set(OF_EXCEPTIONS) if level == "exception" else set()
    for given in call.keywords:
        if given.arg == "exc_info":
            fields |= OF_EXCEPTIONS
        elif given.arg is not None:
            fields.add(given.arg)
        else:
            fields |= module.keys(given.value, bound)
    return fields
