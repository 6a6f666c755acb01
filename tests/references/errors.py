"""docs/reference/errors.md: the problems that a caller may be answered with, and in which words."""

import ast
import importlib
import inspect
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.references.markdown import code, page, table
from tests.references.source import Module, name_of, text_of

from mainstem.common.errors import MainstemError

OWN = {"detail", "headers", "errors"}
"""Arguments of ours that become no member of the problem."""

INSIDE = (
    "These end work inside a process, which starts again, goes on or waits; nobody is answered with them,"
    " and one that came out would be a 500."
)


@dataclass(frozen=True)
class Problem:
    """A class of error."""

    kind: type[MainstemError]
    module: Module
    members: frozenset[str]

    @property
    def is_answered(self) -> bool:
        """Whether it is made for a caller: the bare 500 is, since it answers for what nobody foresaw."""
        return self.kind is MainstemError or int(self.kind.status) != int(MainstemError.status)

    @property
    def meaning(self) -> str:
        """When it is raised, in a sentence."""
        return (inspect.getdoc(self.kind) or "").split("\n\n")[0]

    @property
    def status(self) -> str:
        """Its number alone: Python has changed the names of two."""
        return str(int(self.kind.status))


def write(modules: Sequence[Module], opening: str) -> str:
    """Return the page."""
    problems = list_problems(modules)
    answered = [one for one in problems if one.is_answered]
    inside = [one for one in problems if not one.is_answered]
    rows = [
        [one.status, code(one.kind.__name__), _members(one.members), one.meaning, code(one.module.short)]
        for one in sorted(answered, key=lambda one: (int(one.kind.status), one.kind.__name__))
    ]
    hidden = [[code(one.kind.__name__), one.meaning, code(one.module.short)] for one in inside]
    words = list_words(modules, answered)
    return page(
        "Errors",
        opening,
        [
            ("By status", table(("status", "class", "members", "when", "in"), rows)),
            *(
                (f"Said by {'any process' if service == 'common' else service}", _spoken(lines))
                for service, lines in sorted(words.items(), key=lambda item: (item[0] != "common", item[0]))
            ),
            ("Inside alone", [INSIDE, "", *table(("class", "when", "in"), hidden)]),
        ],
    )


def _members(members: frozenset[str]) -> str:
    return ", ".join(code(one) for one in sorted(members))


def _spoken(lines: Sequence["Words"]) -> list[str]:
    heading = ("status", "detail", "members", "in")
    return table(
        heading, [[one.status, code(one.text), _members(one.members), code(one.file)] for one in lines]
    )


def list_problems(modules: Sequence[Module]) -> list[Problem]:
    """Return every class of ours that is a problem, by file and name.

    Raises:
        ValueError: one has no docstring of its own.
    """
    found = [problem for module in modules for problem in _problems(module)]
    for one in found:
        if not one.kind.__dict__.get("__doc__"):
            raise ValueError(f"{one.module.short}: {one.kind.__name__} needs a docstring that says when")
    return found


def _problems(module: Module) -> Iterator[Problem]:
    classes = [node for node in module.tree.body if isinstance(node, ast.ClassDef)]
    members: dict[str, frozenset[str]] = {}
    for node in classes:
        if node.name.endswith("Error") and node.bases:
            kind = getattr(importlib.import_module(module.dotted), node.name)
            # Those of a class of the same file are its heirs' as well.
            inherited = [members.get(name_of(base), frozenset()) for base in node.bases]
            members[node.name] = frozenset(_own_members(node)).union(*inherited)
            if issubclass(kind, MainstemError):
                yield Problem(kind, module, members[node.name])


def _own_members(node: ast.ClassDef) -> Iterator[str]:
    """Yield the members, with their values, that every such error has."""
    for call in [one for one in ast.walk(node) if isinstance(one, ast.Call)]:
        if ast.unparse(call.func) == "super().__init__":
            yield from _given_members(call)
            if any(given.arg == "errors" for given in call.keywords):
                yield "errors"
    for assignment in [one for one in ast.walk(node) if isinstance(one, ast.Assign)]:
        for target in assignment.targets:
            if isinstance(target, ast.Subscript) and name_of(target.value) == "members":
                yield f"{text_of(target.slice)}: {text_of(assignment.value)}"


def _given_members(call: ast.Call) -> Iterator[str]:
    for given in call.keywords:
        if given.arg is not None and given.arg not in OWN:
            yield f"{given.arg}: {text_of(given.value)}"


@dataclass(frozen=True, order=True)
class Words:
    """What one service says in an error's `detail`."""

    status: str
    text: str
    members: frozenset[str]
    file: str


def list_words(modules: Sequence[Module], problems: Sequence[Problem]) -> dict[str, list[Words]]:
    """Return every text with which some module makes an error, by service, as far as it can be read."""
    by_name = {(one.module.service, one.kind.__name__): one for one in problems}
    words: dict[str, set[Words]] = defaultdict(set)
    for module in modules:
        for call in module.calls:
            problem = _made(module, call, by_name)
            if problem is not None:
                for text in filter(_says_something, module.texts(call.args[0])):
                    members = frozenset(_given_members(call)) | problem.members
                    words[module.service].add(Words(problem.status, text, members, module.short))
    return {
        service: sorted(found, key=lambda one: (one.status, one.text, one.file))
        for service, found in words.items()
    }


def _says_something(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


def _made(module: Module, call: ast.Call, problems: Mapping[tuple[str, str], Problem]) -> Problem | None:
    """Return the class of the error that a call makes, if the call gives it its text."""
    if not call.args or isinstance(call.args[0], ast.Starred):
        return None
    if ast.unparse(call.func) != "super().__init__":
        found = _known(module, name_of(call.func), problems)
        return found if found is not None and _takes_detail(found.kind) else None
    if isinstance(call.args[0], ast.Name):
        # The text is that of whoever makes the error, where it is found.
        return None
    function = module.function_of(call)
    owner = None if function is None else module.owners[function]
    return _known(module, owner.name, problems) if isinstance(owner, ast.ClassDef) else None


def _known(module: Module, name: str, problems: Mapping[tuple[str, str], Problem]) -> Problem | None:
    """Return the class of that name: the service's own, or the one that all share."""
    return problems.get((module.service, name)) or problems.get(("common", name))


def _takes_detail(kind: type[MainstemError]) -> bool:
    return list(inspect.signature(kind).parameters)[:1] == ["detail"]
