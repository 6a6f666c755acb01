"""The code that the references are read from: its files, and what a name in them may stand for.

Nothing is run for it. A name is followed through assignments, and a parameter to the calls of its
function in the same file; what cannot be followed stays as it is.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = ("libs/common/src", "services/*/src")
UNKNOWN = "…"
"""Stands for what only a running process knows."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def list_modules() -> tuple["Module", ...]:
    """Return the files of `common` and of the services, in one order; each is parsed once a process."""
    found = [path for place in PLACES for folder in ROOT.glob(place) for path in folder.rglob("*.py")]
    return tuple(Module(path) for path in sorted(found))


@dataclass(frozen=True)
class Module:
    """One file, parsed when it is first asked."""

    path: Path

    @property
    def dotted(self) -> str:
        """The name under which it is imported."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[parts.index("src") + 1 :]).removesuffix(".__init__")

    @property
    def service(self) -> str:
        """Whose it is: `common`, or a service."""
        return self.dotted.split(".")[1]

    @property
    def short(self) -> str:
        """Its path below the namespace."""
        return self.path.relative_to(ROOT).as_posix().partition("/src/mainstem/")[2]

    @cached_property
    def tree(self) -> ast.Module:
        """What it says."""
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def owners(self) -> dict[ast.AST, ast.AST]:
        """By node: the node that it stands in."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Its calls, as they stand in the file."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        return sorted(found, key=lambda node: (node.lineno, node.col_offset))

    def function_of(self, node: ast.AST) -> Function | None:
        """Return the innermost function that the node stands in, or None."""
        while (node := self.owners.get(node, self.tree)) is not self.tree:
            if isinstance(node, Function):
                return node
        return None

    def calls_of(self, function: Function) -> list[ast.Call]:
        """Return the calls of a function in this file, by its name."""
        return [call for call in self.calls if name_of(call.func) == function.name]

    def leaves(
        self, expression: ast.expr, bound: ast.Call | None = None, seen: frozenset[int] = frozenset()
    ) -> Iterator[ast.expr]:
        """Yield what an expression may come to.

        Args:
            expression: anything.
            bound: of the function that it stands in, the one call to follow its parameters to; None for all.
            seen: what is being followed already.
        """
        if id(expression) in seen:
            return
        seen |= {id(expression)}
        sources: list[tuple[ast.expr, ast.Call | None]] = []
        if isinstance(expression, ast.IfExp):
            sources = [(expression.body, bound), (expression.orelse, bound)]
        elif isinstance(expression, ast.BoolOp):
            sources = [(value, bound) for value in expression.values]
        elif isinstance(expression, ast.Name):
            sources = self._sources(expression, bound)
        if not sources:
            yield expression
        for source, call in sources:
            yield from self.leaves(source, call, seen)

    def keys(self, expression: ast.expr, bound: ast.Call | None = None) -> set[str]:
        """Return the keys that a mapping may have."""
        return {key for leaf in self.leaves(expression, bound) for key in self._keys(leaf, bound)}

    def texts(self, expression: ast.expr, bound: ast.Call | None = None) -> set[str]:
        """Return the texts that an expression may come to, with `…` where a value goes in."""
        return {text_of(leaf) for leaf in self.leaves(expression, bound)}

    def _sources(self, name: ast.Name, bound: ast.Call | None) -> list[tuple[ast.expr, ast.Call | None]]:
        function = self.function_of(name)
        if function is not None:
            local = [(value, bound) for value in _assigned(function, name.id)]
            if local:
                return [*local]
            if name.id in _parameters(function):
                calls = self.calls_of(function) if bound is None else [bound]
                given = [_argument(function, call, name.id) for call in calls]
                return [(value, None) for value in given if value is not None]
        return [(value, None) for value in _assigned(self.tree, name.id)]

    def _keys(self, leaf: ast.expr, bound: ast.Call | None) -> set[str]:
        if isinstance(leaf, ast.Dict):
            pairs = zip(leaf.keys, leaf.values, strict=True)
            return {
                key
                for name, value in pairs
                for key in ({text_of(name)} if name is not None else self.keys(value, bound))
            }
        function = self.function_of(leaf)
        rest = None if function is None else function.args.kwarg
        if function is None or rest is None or not isinstance(leaf, ast.Name) or leaf.id != rest.arg:
            return {UNKNOWN}
        calls = self.calls_of(function) if bound is None else [bound]
        named = _parameters(function)
        return {
            key
            for call in calls
            for given in call.keywords
            if given.arg not in named
            for key in ({given.arg} if given.arg is not None else self.keys(given.value))
        }


def name_of(function: ast.expr) -> str:
    """Return the last part of what is called: `add` of `counter.add`."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def text_of(node: ast.expr) -> str:
    """Return a text as it is written, with `…` for what is not."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    return UNKNOWN


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return what a call gives under a name, or None."""
    return next((given.value for given in call.keywords if given.arg == name), None)


def _assigned(scope: ast.AST, name: str) -> list[ast.expr]:
    """Return what is assigned to a name in a function, or at the top of a file."""
    nodes = ast.walk(scope) if isinstance(scope, Function) else iter(getattr(scope, "body", []))
    found = []
    for node in nodes:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        for target in targets:
            value: ast.expr | None = getattr(node, "value", None)
            if isinstance(target, ast.Name) and target.id == name and value is not None:
                found.append(value)
            elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = zip(target.elts, value.elts, strict=True)
                found += [one for part, one in pairs if isinstance(part, ast.Name) and part.id == name]
    return found


def _parameters(function: Function) -> list[str]:
    return [one.arg for one in (*function.args.args, *function.args.kwonlyargs)]


def _argument(function: Function, call: ast.Call, name: str) -> ast.expr | None:
    if (given := keyword(call, name)) is not None:
        return given
    names = [one.arg for one in function.args.args]
    if names[:1] == ["self"] and isinstance(call.func, ast.Attribute):
        names = names[1:]
    if name in names and names.index(name) < len(call.args):
        return call.args[names.index(name)]
    return None
