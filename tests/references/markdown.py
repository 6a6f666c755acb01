"""Markdown as the pages need it: headings, sentences, tables."""

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Written by `./just references`; what is changed here by hand is lost. -->"


def page(title: str, opening: str, sections: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return a page: what it says first, then sections with their headings."""
    parts = [[f"# {title}"], [GENERATED], [opening.strip()]]
    parts += [part for heading, content in sections for part in ([f"## {heading}"], [*content])]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table; a cell's text may hold anything."""
    lines = ["| " + " | ".join(map(_cell, line)) + " |" for line in (heading, *rows)]
    return [lines[0], "|---" * len(heading) + "|", *lines[1:]]


def code(text: str) -> str:
    """Return a text as code; nothing for an empty one."""
    return f"`{text}`" if text else ""


def codes(texts: Iterable[str]) -> str:
    """Return several, in one order."""
    return ", ".join(code(text) for text in sorted(texts))


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")
