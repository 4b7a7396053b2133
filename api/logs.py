"""Logging: JSON lines on standard output; one line per request, without ids of members."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from recommender.errors import MemberwiseError

MOST_CAUSES = 5

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _serialize(line: Any, **_: object) -> bytes:
    return orjson.dumps(line, default=str)


class RequestLog:
    """Writes the lines of requests, of the same form as all others, without the steps that these go through.

    Args:
        level: the least level that is logged; requests are logged at info.
    """

    def __init__(self, level: str) -> None:
        self._logged = _LEVELS[level] <= logging.INFO
        self._logger = structlog.BytesLogger(sys.stdout.buffer)

    def write(self, line: Mapping[str, object]) -> None:
        """Write one line, to which event, level and time are added."""
        if self._logged:
            timestamp = f"{datetime.now(UTC).replace(tzinfo=None).isoformat()}Z"
            self._logger.info(_serialize({**line, "event": "request", "level": "info", "timestamp": timestamp}))


def configure_logging(level: str) -> None:
    """Send what the standard loggers say to standard output, as JSON lines of the same form."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _with_trace,
            structlog.processors.JSONRenderer(serializer=_text),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    # A line that cannot be written would be told on standard error with all its values.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    # At DEBUG it tells whole URLs, in which providers of messages want their tokens.
    logging.getLogger("urllib3").setLevel(logging.INFO)


def trace_of(error: BaseException) -> str:
    """Return where an error came from, and its causes: types and places in the code, without their messages.

    Messages of drivers and libraries repeat values, such as the ids in a row that could not be stored.
    """
    parts, current = [], error
    while True:
        lines = "".join(traceback.format_tb(current.__traceback__))
        own = f": {current.message}" if isinstance(current, MemberwiseError) else ""
        parts.append(f"{lines}{type(current).__module__}.{type(current).__qualname__}{own}")
        cause = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
        if cause is None or len(parts) == MOST_CAUSES:
            return "\ncaused by:\n".join(parts)
        current = cause


def _with_trace(_logger: Any, _name: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put the trace of an error into a line."""
    found = line.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        line["exception"] = trace_of(error)
    return line


def _text(line: Any, **_: object) -> str:
    return _serialize(line).decode()
