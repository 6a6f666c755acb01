"""Route table: upstream, scope and limits of each method and path, as `routes.toml` lists them. Pure."""

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated
from urllib.parse import unquote_to_bytes

import msgspec

from mainstem.common.errors import MainstemError, NotFoundError
from mainstem.common.settings import SettingsError

SCOPES = ("contacts:read", "contacts:write", "stripe:write", "billing:read", "billing:write")
"""Everything that a client can be allowed."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
JWKS_PATH = "/.well-known/jwks.json"
TOKEN_PATH = "/token"  # noqa: S105 -- a path, no password
RESERVED = (TOKEN_PATH, JWKS_PATH, "/__lbheartbeat__", "/__heartbeat__", "/__version__", "/metrics")
"""Paths that the gateway answers itself."""

_PARAMETER = re.compile(r"\{[a-z_]+\}")
_TEMPLATE = re.compile(r"(?:/(?:\{[a-z_]+\}|[A-Za-z0-9._~-]+))+")
_PATH = re.compile(rb"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+")
_AMBIGUOUS = re.compile(rb"\.{1,2}|.*[\x00-\x1f\x7f/\\].*", re.DOTALL)

PathShape = tuple[bytes | None, ...]
"""A path by its segments; None stands for a parameter."""


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule: which requests it is for, where they go, and within which bounds."""

    methods: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    path: str
    upstream: str
    scope: str | None = None
    public: bool = False
    body_limit_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1024 * 1024
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 20.0

    @property
    def shape(self) -> PathShape:
        """The path with its parameters' names left out."""
        parts = self.path[1:].split("/")
        return tuple(None if _PARAMETER.fullmatch(part) else part.encode() for part in parts)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    routes: list[Route]


class MethodNotAllowedError(MainstemError):
    """The path exists, but not for this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


class RouteTable:
    """All rules. Where several paths fit, a literal segment beats a parameter, from the left."""

    def __init__(self, routes: Sequence[Route]) -> None:
        shapes: dict[PathShape, dict[str, Route]] = defaultdict(dict)
        for route in routes:
            shapes[route.shape].update((method, route) for method in _served(route))
        self._by_length: dict[int, list[tuple[PathShape, dict[str, Route]]]] = defaultdict(list)
        for shape in sorted(shapes, key=lambda shape: [part is None for part in shape]):
            self._by_length[len(shape)].append((shape, shapes[shape]))

    def match(self, method: str, raw_path: bytes) -> Route:
        """Return the rule for a request; the path is taken as it stood on the wire.

        Raises:
            NotFoundError: no rule has such a path.
            MethodNotAllowedError: one has, for other methods, which `Allow` lists.
        """
        allowed: set[str] = set()
        segments = _segments(raw_path)
        for shape, by_method in self._by_length.get(len(segments), ()):
            if all(part is None or part == segment for part, segment in zip(shape, segments, strict=True)):
                if method in by_method:
                    return by_method[method]
                allowed.update(by_method)
        if allowed:
            raise MethodNotAllowedError(headers={"Allow": ", ".join(sorted(allowed))})
        raise NotFoundError


def parse(text: str, upstreams: Mapping[str, str | None]) -> RouteTable:
    """Return the rules that a file's text states, for the upstreams there are, with their base URLs.

    Raises:
        SettingsError: the file will not do; everything that is wrong is listed.
    """
    try:
        routes = msgspec.convert(tomllib.loads(text), _File).routes
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingsError([f"routes: {error}"]) from None
    if problems := [*_problems(routes, upstreams)]:
        raise SettingsError(problems)
    return RouteTable(routes)


def _served(route: Route) -> Sequence[str]:
    return (*route.methods, "HEAD") if "GET" in route.methods else route.methods


def _segments(raw_path: bytes) -> Sequence[bytes]:
    """Return the decoded segments; none for a path that the upstream might read as another one.

    An encoded slash or a dot segment would lead past the rule that let it through.
    """
    if not _PATH.fullmatch(raw_path):
        return ()
    segments = [unquote_to_bytes(segment) for segment in raw_path[1:].split(b"/")]
    return () if any(_AMBIGUOUS.fullmatch(segment) for segment in segments) else segments


def _problems(routes: Sequence[Route], upstreams: Mapping[str, str | None]) -> Iterator[str]:
    for number, route in enumerate(routes, start=1):
        for problem in (*_target_problems(route, upstreams), *_door_problems(route)):
            yield f"routes: number {number} ({route.path}): {problem}"
    counts = Counter((method, route.shape) for route in routes for method in route.methods)
    for (method, shape), count in counts.items():
        if count > 1:
            path = "".join("/{…}" if part is None else f"/{part.decode()}" for part in shape)
            yield f"routes: {method} {path} stands there {count} times"


def _target_problems(route: Route, upstreams: Mapping[str, str | None]) -> Iterator[str]:
    if not _TEMPLATE.fullmatch(route.path):
        yield "the path must be `/literal/{parameter}/…`, without a slash at its end"
    elif route.path in RESERVED:
        yield "the gateway answers this path itself"
    if route.upstream not in upstreams:
        yield f"unknown upstream `{route.upstream}`; there are {', '.join(upstreams)}"
    elif upstreams[route.upstream] is None:
        yield f"MAINSTEM_UPSTREAM_{route.upstream.upper()} is not set"


def _door_problems(route: Route) -> Iterator[str]:
    for method in route.methods:
        if method not in METHODS:
            yield f"unknown method `{method}`; there are {', '.join(METHODS)}"
    if route.public == (route.scope is not None):
        yield "either `scope` or `public = true` must be there, not both"
    if route.scope is not None and route.scope not in SCOPES:
        yield f"unknown scope `{route.scope}`; there are {', '.join(SCOPES)}"
