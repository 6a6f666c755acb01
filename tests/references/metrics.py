"""docs/reference/metrics.md: what is counted, timed and measured, read from the calls that create it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.references.markdown import code, codes, page, table
from tests.references.source import UNKNOWN, Module, keyword, name_of, text_of

KINDS = {
    "create_counter": "counter",
    "create_observable_counter": "counter",
    "create_histogram": "histogram",
    "create_gauge": "gauge",
    "create_observable_gauge": "gauge",
    "create_up_down_counter": "gauge",
    "create_observable_up_down_counter": "gauge",
}
"""By what creates it: what Prometheus calls it."""

UNITS = {"": "", "s": "seconds"}
"""How Prometheus spells a unit in a name."""

RECORDING = {"add", "record", "set"}


@dataclass(frozen=True)
class Metric:
    """One instrument."""

    name: str
    kind: str
    unit: str
    description: str
    labels: frozenset[str]
    service: str
    file: str

    @property
    def exposed(self) -> str:
        """Its name at `/metrics`; a histogram's without what ends it."""
        name = re.sub(r"[^a-zA-Z0-9_]", "_", self.name)
        unit = UNITS[self.unit]
        with_unit = name if not unit or name.endswith(f"_{unit}") else f"{name}_{unit}"
        return with_unit + ("_total" if self.kind == "counter" else "")


def write(modules: Sequence[Module], opening: str) -> str:
    """Return the page."""
    rows: dict[str, list[list[str]]] = defaultdict(list)
    for one in list_metrics(modules):
        labels = codes(label.replace(".", "_") for label in one.labels)
        rows[one.service].append([code(one.exposed), one.kind, labels, one.description, code(one.file)])
    heading = ("metric", "kind", "labels", "means", "in")
    titles = {"common": "In any process"}
    order = sorted(rows, key=lambda name: (name != "common", name))
    return page("Metrics", opening, [(titles.get(name, name), table(heading, rows[name])) for name in order])


def list_metrics(modules: Sequence[Module]) -> list[Metric]:
    """Return every instrument that some module creates, by service and name.

    Raises:
        ValueError: one has no description, or a name that only a running process knows.
    """
    found = [_metric(module, call) for module in modules for call in _creations(module)]
    return sorted(found, key=lambda one: (one.service, one.name))


def _creations(module: Module) -> Iterator[ast.Call]:
    return (call for call in module.calls if name_of(call.func) in KINDS)


def _metric(module: Module, call: ast.Call) -> Metric:
    given = keyword(call, "name")
    [name] = module.texts(call.args[0] if given is None else given)
    description = text_of(keyword(call, "description") or ast.Constant(""))
    if UNKNOWN in name or not description:
        raise ValueError(f"{module.short}: a metric needs a name and a description: {name}")
    return Metric(
        name=name,
        kind=KINDS[name_of(call.func)],
        unit=text_of(keyword(call, "unit") or ast.Constant("")),
        description=description,
        labels=frozenset(_labels(module, call)),
        service=module.service,
        file=module.short,
    )


def _labels(module: Module, creation: ast.Call) -> Iterator[str]:
    """Yield the attributes with which the instrument is used in its module."""
    statement = module.owners[creation]
    targets = [name_of(target) for target in getattr(statement, "targets", [])]
    for call in module.calls:
        function = call.func
        is_used = isinstance(function, ast.Attribute) and name_of(function.value) in targets
        if is_used and name_of(function) in RECORDING:
            attributes = keyword(call, "attributes") or (call.args[1] if len(call.args) > 1 else None)
            if attributes is not None:
                yield from module.keys(attributes)
