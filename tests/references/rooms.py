"""docs/reference/rooms.md: paragraph, files and floors of each room, from docstrings and `.importlinter`."""

import ast
import configparser
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from tests.references.markdown import code, page, table
from tests.references.source import ROOT

FLOORS = ROOT / ".importlinter"
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")
FILES = ("floor", "file", "what it does")


@dataclass(frozen=True)
class Package:
    """A package below `mainstem`: the one of a distribution, or a room in it."""

    path: Path

    @property
    def dotted(self) -> str:
        """Its name in imports."""
        return ".".join(self.path.parts[self.path.parts.index("src") + 1 :])

    @property
    def short(self) -> str:
        """Its path below the namespace."""
        return self.dotted.partition(".")[2].replace(".", "/")

    @property
    def house(self) -> str:
        """Its distribution: `common`, `sandbox` or a service."""
        return self.dotted.split(".")[1]

    @property
    def is_room(self) -> bool:
        """Whether it stands inside a distribution's package."""
        return "/" in self.short

    @cached_property
    def paragraph(self) -> Sequence[str]:
        """The sentences of its docstring."""
        return sentences(docstring(self.path / "__init__.py"))

    @property
    def files(self) -> list[Path]:
        """Its modules, without those of rooms inside."""
        return sorted(file for file in self.path.glob("*.py") if file.name != "__init__.py")


def list_packages() -> list[Package]:
    """Return every package below `mainstem`: libraries before services, each before its rooms."""
    found = [file.parent for file in ROOT.glob("*/*/src/mainstem/**/__init__.py")]
    return [Package(path) for path in sorted(found)]


def list_rooms() -> list[Package]:
    """Return the rooms of every distribution."""
    return [package for package in list_packages() if package.is_room]


def docstring(file: Path) -> str:
    """Return a module's docstring, or an empty text."""
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, each on one line."""
    return [one for one in SENTENCE_END.split(" ".join(text.split())) if one]


@cache
def read_floors() -> Mapping[str, Sequence[Sequence[str]]]:
    """Return the floors of each package that has a contract of layers, the lowest first."""
    parser = configparser.ConfigParser()
    parser.read(FLOORS)
    layered = [section for section in parser.values() if section.get("type") == "layers"]
    return {
        container: [re.split(r"\s*[|:]\s*", line) for line in reversed(section["layers"].split("\n")) if line]
        for section in layered
        for container in section.get("containers", "").split()
    }


def find_floor(module: str) -> int | None:
    """Return the floor of a module or room in its package, from 1 upwards; None without a contract."""
    container, _, name = module.rpartition(".")
    numbered = enumerate(read_floors().get(container, ()), 1)
    return next((number for number, floor in numbered if name in floor), None)


def write(opening: str) -> str:
    """Return the page."""
    return page("Rooms", opening, [(code(one.short), [*_section(one)]) for one in list_packages()])


def _section(package: Package) -> Iterator[str]:
    yield f"[{_place(package.path)}](../../{_place(package.path)})"
    yield ""
    yield from package.paragraph
    if package.is_room:
        yield from _standing(package)
    if package.files:
        yield ""
        yield from table(FILES, _rows(package))


def _standing(room: Package) -> Iterator[str]:
    """Yield the sentence that says where the room stands, if a contract does."""
    container, _, name = room.dotted.rpartition(".")
    floors, number = read_floors().get(container, ()), find_floor(room.dotted)
    if number is not None:
        beside = [code(one) for one in floors[number - 1] if one != name]
        yield ""
        yield f"Floor {number} of {len(floors)} in `{container}`" + (
            f", beside {', '.join(beside)}." if beside else "."
        )


def _rows(package: Package) -> Iterator[Sequence[str]]:
    """Yield the files, the highest floor first."""
    floors = {file: find_floor(f"{package.dotted}.{file.stem}") for file in package.files}
    for file in sorted(floors, key=lambda file: (-(floors[file] or 0), file.stem)):
        link = f"[{code(file.stem)}](../../{_place(file)})"
        yield str(floors[file] or ""), link, next(iter(sentences(docstring(file))), "")


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
