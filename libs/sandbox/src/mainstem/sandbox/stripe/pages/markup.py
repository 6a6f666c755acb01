"""HTML from Python: text is escaped, markup is not."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

_VOID = frozenset({"br", "hr", "input", "link", "meta"})


@dataclass(frozen=True)
class Markup:
    """HTML that needs no escaping."""

    html: str


Child = Markup | str | None
Attribute = str | int | bool | None


def tag(element: str, /, *children: Child | Iterable[Child], **attributes: Attribute) -> Markup:
    """Return an element. Of an attribute's name, `_` behind goes and others are hyphens; False is none."""
    opened = f"<{element}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    if element in _VOID:
        return Markup(opened)
    return Markup(f"{opened}{''.join(_html(child) for child in children)}</{element}>")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    written = key.rstrip("_").replace("_", "-")
    return f" {written}" if value is True else f' {written}="{escape(str(value))}"'


def _html(child: Child | Iterable[Child]) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child.html
    if isinstance(child, str):
        return escape(child)
    return "".join(_html(one) for one in child)


def field(label: str, name: str, given: str, **attributes: Attribute) -> Markup:
    """Return a text input with its label; `given` is its id."""
    return tag(
        "p", tag("label", label, for_=given), tag("input", id=given, name=name, **attributes), class_="field"
    )


def button(words: str, given: str, action: str, **attributes: Attribute) -> Markup:
    """Return a button that submits its form with this `action`; `given` is its id."""
    return tag("button", words, id=given, type="submit", name="action", value=action, **attributes)


def link(words: str, given: str, href: str) -> Markup:
    """Return a link; `given` is its id."""
    return tag("a", words, id=given, href=href)


def form(*children: Child | Iterable[Child], given: str, action: str | None = None) -> Markup:
    """Return a form that posts to `action`, None is the page itself; `given` is its id."""
    return tag("form", *children, id=given, method="post", action=action)
