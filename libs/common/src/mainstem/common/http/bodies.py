"""Strict reading of what callers send: JSON bodies by RFC 8259, and the values of paths and queries."""

import json
import math
from collections.abc import Mapping
from itertools import chain
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from mainstem.common.errors import BadRequestError, FieldError, InvalidError

LEVELS = 64
"""Deepest nesting of arrays and objects."""

MOST_CONTAINERS = 25_000
"""Objects and arrays of a body: empty ones take three bytes each and a thousand times as long to read."""

MOST_ERRORS = 100
"""Errors that one answer lists: a body of 1 MiB could have a hundred thousand."""

OUT_OF_RANGE = "a number is out of range"

ModelT = TypeVar("ModelT", bound=BaseModel)


def read(model: type[ModelT], body: bytes) -> ModelT:
    """Return the body of a request as the model.

    Raises:
        BadRequestError: it is nested too deeply.
        InvalidError: it is not JSON, or its values do not fit; one entry a field.
    """
    parse(body)
    try:
        # The bytes, not what was parsed: from JSON, models take texts for dates and ids.
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error, "body") from None


def read_values(model: type[ModelT], values: Mapping[str, Any], place: str) -> ModelT:
    """Return what a path or a query says.

    Args:
        model: what it is read as.
        values: texts by name.
        place: `path` or `query`.

    Raises:
        InvalidError: its values do not fit; one entry a field.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise invalid(error, place) from None


def invalid(error: ValidationError, *place: str) -> InvalidError:
    """Return the answer to values that do not fit; it never repeats the values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    errors = [FieldError(loc=[*place, *one["loc"]], msg=one["msg"], type=one["type"]) for one in found]
    first = ".".join(str(part) for part in errors[0]["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return InvalidError(f"{first}: {errors[0]['msg']}{more}", errors[:MOST_ERRORS])


def parse(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8.

    Raises:
        BadRequestError: it is nested too deeply, or has too many objects and arrays.
        InvalidError: it is not JSON by RFC 8259, has a member twice, or a number or text out of range.
    """
    if body.count(b"{") + body.count(b"[") > MOST_CONTAINERS:
        raise BadRequestError(f"the body has more than {MOST_CONTAINERS} objects and arrays")
    try:
        value = _decoder.decode(body.decode())
        _check(value)
    except RecursionError:
        raise BadRequestError(f"the body is nested deeper than {LEVELS} levels") from None
    except UnicodeError:
        raise _not_json("not UTF-8, or half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise _not_json(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except _StrictError as error:
        raise _not_json(str(error)) from None
    except ValueError:
        # Python reads no integer of more than 4,300 digits.
        raise _not_json(OUT_OF_RANGE) from None
    return value


class _StrictError(ValueError):
    """Python's reader would let it pass; the text names no values."""


def _not_json(problem: str) -> InvalidError:
    message = f"Invalid JSON: {problem}"
    return InvalidError(f"body: {message}", [FieldError(loc=["body"], msg=message, type="json_invalid")])


def _check(value: Any) -> None:
    """Check texts, numbers and nesting, level by level.

    Raises:
        RecursionError: there are too many levels.
        UnicodeError: a text has half of a surrogate pair.
        _StrictError: a number is infinite.
    """
    values = [value]
    for _ in range(LEVELS + 1):
        "".join(one for one in values if isinstance(one, str)).encode()
        if not all(math.isfinite(one) for one in values if isinstance(one, float)):
            raise _StrictError(OUT_OF_RANGE)
        objects = [one for one in values if isinstance(one, dict)]
        arrays = [one for one in values if isinstance(one, list)]
        if not objects and not arrays:
            return
        values = [*chain(*arrays, *objects, *(one.values() for one in objects))]
    raise RecursionError


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _StrictError("an object has two members of one name")
    return members


def _constant(_name: str) -> NoReturn:
    raise _StrictError("NaN and Infinity are no numbers")


_decoder = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)
