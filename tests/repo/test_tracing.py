import ast
import re

from tree import ROOT, list_sources, name_of, parse

TRACING = ROOT / "docs" / "reference" / "tracing.md"
MAKERS = {"span", "span_for"}


def names_of_spans() -> set[str]:
    """Return the names that the services give to spans; those of requests are made of method and path."""
    return {
        str(call.args[0].value)
        for path in list_sources()
        if name_of(path).startswith("services/")
        for call in ast.walk(parse(path))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in MAKERS
        and isinstance(call.args[0], ast.Constant)
    }


def test_every_span_of_ours_is_in_the_reference() -> None:
    _, _, table = TRACING.read_text().partition("## Spans of our own")
    table, _, _ = table.partition("\n## ")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == names_of_spans()
