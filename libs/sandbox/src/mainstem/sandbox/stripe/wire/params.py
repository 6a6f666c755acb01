"""Parameters of a call: a table from name to reader; any other name is refused.

Each reader takes the value as sent and its name in bracket form, and returns what the value means.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree

Reader = Callable[[Any, str], Any]
Fields = Mapping[str, Reader]

_BOOLEANS = {"true": True, "false": False}


def read(given: Tree, fields: Fields, *, required: tuple[str, ...] = (), within: str = "") -> dict[str, Any]:
    """Return the parameters that were given, read.

    Raises:
        StripeError: one is unknown, missing or cannot be read.
    """
    for name in required:
        if name not in given:
            full = _join(within, name)
            raise StripeError(f"Missing required param: {full}.", code="parameter_missing", param=full)
    for name in given:
        if name not in fields:
            full = _join(within, name)
            raise StripeError(f"Received unknown parameter: {full}", code="parameter_unknown", param=full)
    return {name: fields[name](value, _join(within, name)) for name, value in given.items()}


def _join(within: str, name: str) -> str:
    return f"{within}[{name}]" if within else name


def text(value: Any, name: str) -> str | None:
    """Read a text; an empty one is None."""
    if not isinstance(value, str):
        raise StripeError("Invalid string: {...}", param=name)
    return value or None


def identifier(value: Any, name: str) -> str:
    """Read a text that may not be empty."""
    read_value = text(value, name)
    if read_value is None:
        raise StripeError(
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a "
            f"parameter; however '{name}' cannot be unset.",
            code="parameter_invalid_empty",
            param=name,
        )
    return read_value


def integer(value: Any, name: str) -> int:
    """Read a whole number."""
    try:
        return int(identifier(value, name))
    except ValueError as error:
        raise StripeError(
            f"Invalid integer: {value}", code="parameter_invalid_integer", param=name
        ) from error


def count(value: Any, name: str) -> int:
    """Read a whole number that is not negative."""
    number = integer(value, name)
    if number < 0:
        raise StripeError(
            "This value must be greater than or equal to 0.", code="parameter_invalid_integer", param=name
        )
    return number


def boolean(value: Any, name: str) -> bool:
    """Read `true` or `false`."""
    if value not in ("true", "false"):
        raise StripeError(f"Invalid boolean: {value}", param=name)
    return _BOOLEANS[value]


def one_of(*choices: str) -> Reader:
    """Return a reader of one of these words."""

    def read_choice(value: Any, name: str) -> str:
        if value not in choices:
            raise StripeError(f"Invalid {name}: must be one of {', '.join(choices)}", param=name)
        return str(value)

    return read_choice


def moment(*words: str) -> Reader:
    """Return a reader of seconds since 1970, or of one of these words; an empty text is None."""

    def read_moment(value: Any, name: str) -> int | str | None:
        if value == "" or value in words:
            return value or None
        return count(value, name)

    return read_moment


def record(fields: Fields, *, required: tuple[str, ...] = ()) -> Reader:
    """Return a reader of nested parameters; an empty text is None where nothing is required."""

    def read_record(value: Any, name: str) -> dict[str, Any] | None:
        if value == "" and not required:
            return None
        if not isinstance(value, dict):
            raise StripeError("Invalid object", param=name)
        return read(value, fields, required=required, within=name)

    return read_record


def array(reader: Reader, *, most: int | None = None) -> Reader:
    """Return a reader of a list; an empty text is an empty list."""

    def read_array(value: Any, name: str) -> list[Any]:
        if value == "":
            return []
        if not isinstance(value, list):
            raise StripeError("Invalid array", param=name)
        if most is not None and len(value) > most:
            raise StripeError(f"Array {name} exceeded maximum {most} allowed elements.", param=name)
        if "" in value:
            raise StripeError("Invalid array: a member is empty.", param=name)
        return [reader(member, f"{name}[{index}]") for index, member in enumerate(value)]

    return read_array


_ADDRESS_PARTS = ("city", "country", "line1", "line2", "postal_code", "state")
_ADDRESS = record(dict.fromkeys(_ADDRESS_PARTS, text))


def address(value: Any, name: str) -> dict[str, Any] | None:
    """Read a postal address: what is not given of one is None; an empty text is no address."""
    given = _ADDRESS(value, name)
    return None if given is None else dict.fromkeys(_ADDRESS_PARTS) | given


def metadata(value: Any, name: str) -> dict[str, str] | None:
    """Read metadata: an empty value unsets its key, an empty text (None) all of them."""
    if value == "":
        return None
    if not isinstance(value, dict) or not all(isinstance(member, str) for member in value.values()):
        raise StripeError("Invalid hash", param=name)
    return dict(value)


def merged(stored: dict[str, str], given: dict[str, str] | None) -> dict[str, str]:
    """Return the metadata after an update, by Stripe's rule: keys are merged, empty values go."""
    if given is None:
        return {}
    return {key: value for key, value in {**stored, **given}.items() if value != ""}
