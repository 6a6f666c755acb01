"""Logs: one line of JSON an event, with its trace, without texts of exceptions."""

import json
import logging
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec
import structlog
from opentelemetry import trace

from mainstem.common.settings import ServiceSettings

FRAMES = 12


def start_logging(service: str, settings: ServiceSettings) -> None:
    """Log by structlog to standard output, other packages' lines included."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
    ]
    structlog.configure(
        # Not by way of `logging`, which takes three times as long for a line; that is for others' lines.
        processors=[*shared, _render_exception, _as_json],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _render_exception,
                lambda *event: _as_json(*event).decode(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    structlog.contextvars.bind_contextvars(service=service)
    # Their lines at INFO repeat what our own events and spans say, one for every request or job, and the
    # SDK's quote whole addresses, in which a query may name a person.
    for chatty in ("arq", "httpx", "httpcore", "stripe", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _add_trace(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _as_json(_logger: Any, _method: str, event: structlog.typing.EventDict) -> bytes:
    try:
        return msgspec.json.encode(event, enc_hook=repr)
    except ValueError:
        # Half of a surrogate pair cannot be encoded, but escaped.
        return json.dumps(event, default=repr).encode()


def _render_exception(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Say where an exception came from, innermost last, without its text: that may quote a person's data."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        event["exception"] = type(error).__qualname__
        event["frames"] = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return event
