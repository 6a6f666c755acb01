"""Headless browser without scripts: it reads a page's forms and links, submits forms and follows links."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

Attributes = dict[str, str | None]

TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS = 30.0
SAYING = frozenset({"status", "alert"})
"""The roles of what tells a person how something went."""


class NotOnPageError(Exception):
    """A page lacks what was to be clicked."""


@dataclass
class Form:
    """A form with what it would send as it stands, and its buttons by id."""

    method: str
    action: str
    values: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, Attributes] = field(default_factory=dict)


class HtmlPage(HTMLParser):
    """Content of a page: texts and links by id, forms, headings, visible text; every control has an id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self.headings: list[str] = []
        self.says = ""
        self.refresh_seconds: float | None = None
        self.inputs: set[str] = set()
        self.labelled: set[str] = set()
        self._open: list[tuple[str, Attributes]] = []
        self._select = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form, a link or a control."""
        found = dict(attrs)
        if tag == "form":
            self.forms.append(Form(found.get("method") or "get", found.get("action") or ""))
        elif tag == "a" and found.get("id"):
            self.links[str(found["id"])] = found.get("href") or ""
        elif tag == "button":
            self.forms[-1].buttons[str(found["id"])] = found
        elif tag == "label" and found.get("for"):
            self.labelled.add(str(found["for"]))
        elif tag == "meta" and found.get("http-equiv") == "refresh":
            self.refresh_seconds = float(found["content"] or 0)
        self._control(tag, found)
        if tag not in ("input", "meta"):
            self._open.append((tag, found))

    def _control(self, tag: str, found: Attributes) -> None:
        name = found.get("name")
        if tag == "select":
            self._select = name or ""
        if tag in ("input", "select") and name and found.get("type") != "hidden":
            self.inputs.add(str(found["id"]))
            if any(opened == "label" for opened, _ in self._open):
                self.labelled.add(str(found["id"]))
        if tag == "input" and name and (found.get("type") != "radio" or "checked" in found):
            self.forms[-1].values[name] = found.get("value") or ""
        if tag == "option":
            self.forms[-1].values.setdefault(self._select, found.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        """Close an element, and those in it that need no end of their own."""
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Add a text to every element that it stands in."""
        for tag, found in self._open:
            if tag in ("h1", "h2"):
                self.headings.append(data)
            if found.get("role") in SAYING:
                self.says += data
            if found.get("id"):
                self.texts[str(found["id"])] = self.texts.get(str(found["id"]), "") + data


class Browser:
    """One window: what it shows, and where that came from."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.url = ""
        self.status = 0
        self.html = ""
        self.page = HtmlPage("")

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self._load("get", url, None)

    async def follow(self, given: str) -> None:
        """Click the link with this id.

        Raises:
            NotOnPageError: there is none.
        """
        if given not in self.page.links:
            raise self._lacks("link", given)
        await self._load("get", urljoin(self.url, self.page.links[given]), None)

    async def click(self, given: str, **typed: str) -> None:
        """Click the button with this id, after something was typed or chosen, by the controls' names.

        Raises:
            NotOnPageError: there is none.
        """
        form = next((form for form in self.page.forms if given in form.buttons), None)
        if form is None:
            raise self._lacks("button", given)
        sent = form.values | typed
        name = form.buttons[given].get("name")
        if name:
            sent[name] = form.buttons[given].get("value") or ""
        await self._load(form.method, urljoin(self.url, form.action), sent)

    async def stay(self) -> None:
        """Look again as long as the page wants that, half a minute at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._look_again()

    async def _look_again(self) -> None:
        while self.page.refresh_seconds is not None:
            await asyncio.sleep(self.page.refresh_seconds)
            await self.open(self.url)

    def leaves(self, url: str, target: str) -> bool:  # noqa: ARG002 -- another kind decides by both
        """Whether a redirect from `url` is not followed. A window of this kind goes anywhere."""
        return False

    def _lacks(self, kind: str, given: str) -> NotOnPageError:
        heading = " ".join(self.page.headings[:1])
        return NotOnPageError(f"no {kind} `{given}` on the page {heading!r} ({self.status})")

    async def _load(self, method: str, url: str, sent: dict[str, str] | None) -> None:
        data, query = (sent, None) if method == "post" else (None, sent)
        answer = await self._http.request(method, url, data=data, params=query)
        if answer.is_redirect:
            target = urljoin(url, answer.headers["location"])
            if not self.leaves(url, target):
                await self._load("get", target, None)
            return
        self.url, self.status, self.html = str(answer.url), answer.status_code, answer.text
        self.page = HtmlPage(answer.text)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Open a window; it heeds no proxy of this machine."""
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as http:
        yield Browser(http)
