"""Set-up of the log: one JSON object a line for journald, something readable on a terminal.

Strategy: structlog writes straight to the stream, without the standard library in between (a third of the cost).
Libraries that log through the standard library are bridged quietly: what they call a warning or an error is, for this
agent, a detail of something it reports itself as a fault, so it appears at debug level only.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from agent.clock import Clock, SystemClock

LEVELS = MappingProxyType(
    {
        "debug": logging.DEBUG,
        "info": logging.INFO,
        "warning": logging.WARNING,
        "error": logging.ERROR,
    }
)
_PRIORITIES = MappingProxyType(
    {  # journald takes them from the beginning of a line. Source: sd-daemon(3)
        "debug": "<7>",
        "info": "<6>",
        "warning": "<4>",
        "error": "<3>",
        "critical": "<2>",
    }
)


def set_up(
    *, clock: Clock | None = None, level: str = "info", pretty: bool | None = None, stream: TextIO | None = None
) -> FilteringBoundLogger:
    """Sets structlog up for the process and gives its root logger. `level` is a key of `LEVELS`.

    `clock` dates the lines (default: the system's); `pretty`: for eyes (default: when `stream` is a terminal);
    `stream`: default stderr.
    """
    stream = sys.stderr if stream is None else stream
    pretty = stream.isatty() if pretty is None else pretty
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _dated(clock or SystemClock("host")),
            *([structlog.dev.ConsoleRenderer()] if pretty else _json_lines(stream)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    root = structlog.get_logger()
    _bridge(root, LEVELS[level])
    logger: FilteringBoundLogger = root
    return logger


def _dated(clock: Clock) -> Callable[[Any, str, EventDict], EventDict]:
    """Adds `at`, by the agent's own clock: during a boot without a date it counts from wherever that clock stands."""

    def dated(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event["at"] = clock.now().isoformat(timespec="milliseconds")
        return event

    return dated


def _json_lines(stream: TextIO) -> list[Processor]:
    """One JSON object; behind journald with the priority it sorts by in front."""

    def rendered(_logger: Any, method: str, event: EventDict) -> str:
        first = {"at": event.pop("at"), "level": event.pop("level"), "event": event.pop("event")}
        text = json.dumps({**first, **event}, ensure_ascii=False, separators=(",", ":"), default=str)
        return f"{_PRIORITIES.get(method, '')}{text}" if journald else text

    journald = _is_journal(stream)
    return [rendered]


def _is_journal(stream: TextIO) -> bool:
    """Whether journald reads the stream. Source: systemd.exec(5), JOURNAL_STREAM = device:inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream without a descriptor
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Bridge(logging.Handler):
    """Hands records of libraries to structlog as `library.logged`, at debug level."""

    def __init__(self, root: Any) -> None:
        super().__init__()
        self._root = root

    def emit(self, record: logging.LogRecord) -> None:
        """Takes one record."""
        self._root.debug(
            "library.logged", logger=record.name, severity=record.levelname.lower(), message=record.getMessage()
        )


def _bridge(root: Any, level: int) -> None:
    """Makes the bridge the only handler of the standard library's root; at higher levels nothing is even formatted."""
    standard = logging.getLogger()
    standard.handlers[:] = [_Bridge(root)]
    standard.setLevel(logging.WARNING if level <= logging.DEBUG else logging.CRITICAL + 1)
