"""Output of commands: JSON, one value a line."""

from typing import Any


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    import msgspec  # noqa: PLC0415 -- so that `--help` does not wait for it

    print(msgspec.json.encode(value).decode())  # noqa: T201 -- what the command is for
