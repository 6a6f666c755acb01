"""Endpoint declarations: everything that routing, scope checks and limits of an HTTP endpoint come from."""

import math
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from mainstem.common.errors import MainstemError

BODY_LIMIT = 1024 * 1024
"""Bytes of a request body, for methods that have one."""

TIMEOUT_SECONDS = 15.0

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Methods of endpoints; an endpoint for GET answers HEAD too."""

_WITHOUT_BODY = frozenset({"GET", "DELETE"})
_PARAMETER = re.compile(r"\{[a-z_]+\}")
_PATH = re.compile(r"(?:/(?:\{[a-z_]+\}|[A-Za-z0-9._~-]+))+")
_SCOPE = re.compile(r"[a-z]+:[a-z]+")

Handler = Callable[[Any], Awaitable[Response]]
HandlerT = TypeVar("HandlerT", bound=Handler)


@dataclass(eq=False)
class Endpoint:
    """One method of one path.

    Args:
        method: one of `METHODS`.
        path: literal segments and `{parameters}`, without a slash at its end.
        body: model of the JSON body; None for other bodies.
        answers: by status, the answer's model or a description of it.
        errors: errors of the handler's own; those that any endpoint may give are left out.
        scope: scope that the caller's identity must carry; None only for a public endpoint.
        public: whether callers need no identity.
        timeout: seconds from the end of the request's head until the handler has answered.
        body_limit: bytes; 0 for an endpoint that takes no body. By default 1 MiB, and 0 for GET and DELETE.

    Raises:
        ValueError: the declaration contradicts itself.
    """

    method: str
    path: str
    _: KW_ONLY
    body: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel] | str]
    errors: Sequence[type[MainstemError]] = ()
    scope: str | None = None
    public: bool = False
    timeout: float = TIMEOUT_SECONDS
    body_limit: int | None = None
    function: Handler | None = field(default=None, init=False)
    """Function that `handler` was given."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if problems := [*self._problems()]:
            raise ValueError(f"{self.method} {self.path}: {'; '.join(problems)}")

    @property
    def limit_bytes(self) -> int:
        """The body's limit in bytes; 0 if there is to be no body."""
        if self.body_limit is not None:
            return self.body_limit
        return 0 if self.method in _WITHOUT_BODY else BODY_LIMIT

    @property
    def shape(self) -> str:
        """The path with its parameters' names left out."""
        return _PARAMETER.sub("{}", self.path)

    def handler(self, function: HandlerT) -> HandlerT:
        """Have the function answer this endpoint's requests; for use as a decorator.

        Raises:
            ValueError: the endpoint has a handler already.
        """
        if self.function is not None:
            raise ValueError(f"{self.method} {self.path}: a second handler")
        self.function = function
        return function

    def _problems(self) -> Iterator[str]:
        if self.method not in METHODS:
            yield f"the method must be one of {', '.join(METHODS)}"
        if not _PATH.fullmatch(self.path):
            yield "the path must be `/literal/{parameter}/…`, without a slash at its end"
        if self.public == (self.scope is not None):
            yield "either `scope` or `public=True` must be there, not both"
        if self.scope is not None and not _SCOPE.fullmatch(self.scope):
            yield "the scope must be as in `noun:verb`"
        if not 0 < self.timeout < math.inf:
            yield "the timeout must be a positive number of seconds"
        if self.limit_bytes < 0 or (self.body is not None and self.limit_bytes == 0):
            yield "`body_limit` must be positive where there is a body"
        if not self.answers:
            yield "at least one answer must be declared"
