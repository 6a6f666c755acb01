"""Anchors of mutations: a symbol of a distribution, or a file, and a text that stands once in it.

A symbol is `distribution: name`, such as `ingest: Recorder._commit`: the qualified name of a class,
a function or a module-level assignment, without its module. Moving the symbol's file changes no anchor.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_FOLDERS = ("libs", "services")


class AnchorError(Exception):
    """An anchor fits no place, or more than one."""


@dataclass(frozen=True)
class Segment:
    """The source lines of a symbol, decorators included, or a whole file."""

    file: Path
    start: int
    """Characters of the file before the segment."""
    text: str

    def places_of(self, old: str) -> Iterator["Place"]:
        """Yield each place of the text in the segment; places do not overlap."""
        at = self.text.find(old)
        while at >= 0:
            yield Place(self.file, self.start + at)
            at = self.text.find(old, at + len(old))


@dataclass(frozen=True)
class Place:
    """The file and the offset in characters at which an anchored text stands."""

    file: Path
    offset: int

    def replace(self, old: str, new: str) -> str:
        """Return the file's text with `new` in the place of `old`."""
        text = self.file.read_text()
        return text[: self.offset] + new + text[self.offset + len(old) :]


def find_in_symbol(root: Path, symbol: str, old: str) -> Place:
    """Return the only place of the text in a symbol's source, over the whole distribution.

    Sources are read once a process: call it while the tree is unchanged.

    Raises:
        AnchorError: no distribution or symbol has the name, or the text is not in it exactly once.
    """
    distribution, _, name = symbol.partition(": ")
    folder = _folder_of(root, distribution)
    segments = symbols_of(folder).get(name, ())
    if not segments:
        raise AnchorError(
            f"`{symbol}` is no class, function or module-level assignment below {folder.relative_to(root)}; "
            "put the name of the innermost one that holds the text now into `in`"
        )
    return _only_place(root, symbol, segments, old)


def find_in_file(root: Path, file: str, old: str) -> Place:
    """Return the only place of the text in a file.

    Raises:
        AnchorError: there is no such file, or the text is not in it exactly once.
    """
    path = root / file
    if not path.is_file():
        raise AnchorError(f"there is no file {file}; put the path of the file with the text into `file`")
    return _only_place(root, file, (Segment(path, 0, path.read_text()),), old)


@cache
def symbols_of(folder: Path) -> Mapping[str, tuple[Segment, ...]]:
    """Return the segments below a folder by qualified name; files in several modules may share one."""
    found: dict[str, list[Segment]] = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        lines = [0, *(match.end() for match in re.finditer(r"\n|\Z", text))]
        for name, first, last in _list_symbols(ast.parse(text)):
            start, end = lines[first - 1], lines[last]
            found[name].append(Segment(path, start, text[start:end]))
    return {name: tuple(segments) for name, segments in found.items()}


def _folder_of(root: Path, distribution: str) -> Path:
    folders = [root / kind / distribution / "src" for kind in _FOLDERS]
    for folder in folders:
        if distribution and folder.is_dir():
            return folder
    raise AnchorError(
        f"there is no distribution `{distribution}` in {' or '.join(_FOLDERS)}; "
        "write `in` as `distribution: name`, such as `ingest: Recorder._commit`"
    )


def _only_place(root: Path, anchor: str, segments: tuple[Segment, ...], old: str) -> Place:
    places = [place for segment in segments for place in segment.places_of(old)]
    if len(places) == 1:
        return places[0]
    if places:
        raise AnchorError(
            f"the text of `old` stands {len(places)} times in `{anchor}`, {_lines(root, places)}; "
            "make it longer, or name a symbol that holds it once"
        )
    starts = [Place(segment.file, segment.start) for segment in segments]
    raise AnchorError(
        f"the text of `old` is not in `{anchor}`, {_lines(root, starts)}; "
        "if the code moved, name the symbol that holds it now; if it changed, mend `old` and `new`"
    )


def _lines(root: Path, places: list[Place]) -> str:
    """Return `at file:line` of each place."""
    return "at " + " and ".join(
        f"{place.file.relative_to(root)}:{place.file.read_text().count(chr(10), 0, place.offset) + 1}"
        for place in places
    )


def _list_symbols(module: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Yield each symbol's qualified name, its first line and its last line."""
    for node in module.body:
        for target in _targets_of(node):
            yield target, node.lineno, node.end_lineno or node.lineno
    yield from _list_definitions(module, "")


def _list_definitions(parent: ast.AST, prefix: str) -> Iterator[tuple[str, int, int]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, _Definition):
            name = prefix + node.name
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield name, first, node.end_lineno or node.lineno
            yield from _list_definitions(node, f"{name}.")
        elif isinstance(node, ast.stmt):
            yield from _list_definitions(node, prefix)


def _targets_of(node: ast.stmt) -> list[str]:
    """Return the names that a statement assigns to."""
    match node:
        case ast.Assign(targets=targets):
            names = [name for target in targets for name in ast.walk(target)]
        case ast.AnnAssign(target=target):
            names = [target]
        case _:
            names = []
    return [name.id for name in names if isinstance(name, ast.Name)]
