"""What a simulated line saw and did: one record per answered request, and counters."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.model import Value
from simulators.meters.image import Snapshot

_BUFFER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answered request.

    `heard_ns` is when its first byte came, `at_ns` when the first byte of the reply had passed the wire (both
    CLOCK_MONOTONIC, nanoseconds); `early`: it began before the silence after the previous frame was over.
    """

    line: str
    meter: str
    request: bytes
    reply: bytes
    early: bool
    heard_ns: int
    at_ns: int
    snapshot: Snapshot

    @property
    def values(self) -> Mapping[str, Value]:
        """What the registers meant when the meter fixed them, before anything was done to the frame."""
        return self.snapshot.values

    def as_json(self) -> dict[str, Any]:
        """The record as one line of the log has it; values are not in it."""
        return {
            "t": round(self.heard_ns / 1e9, 6),
            "line": self.line,
            "meter": self.meter,
            "request_hex": self.request.hex(),
            "reply_hex": self.reply.hex(),
            "early": self.early,
            "at": self.at_ns,
        }


Observer = Callable[[Answered], None]


@dataclass(slots=True)
class LineStats:
    """Counters of one line since it started. Written by the line's thread only.

    `ideal_s` adds up, for every answered request, the time for which a perfect client holds the line: request,
    turnaround, answer and the silence after it. Over the elapsed time that is the efficiency of the client.
    """

    requests: int = 0
    answered: int = 0
    early: int = 0  # began before the silence was over
    dropped: int = 0  # early, and dropped because the line is strict
    collided: int = 0  # began while an answer was on the wire; never answered
    unanswered: int = 0  # no such meter, bad check sum, or mischief
    wrong_baud: int = 0  # sent at a rate that no meter here is set to
    garbage_bytes: int = 0  # never became a request
    bytes_in: int = 0
    bytes_out: int = 0
    ideal_s: float = 0.0
    first_s: float = 0.0  # monotonic: first byte of the first request
    last_s: float = 0.0  # monotonic: last byte of the last answer
    late_s: float = 0.0  # by how much last bytes of answers came after their moment, added up
    latest_s: float = 0.0  # the worst of them
    refused_connections: int = 0
    dialled: int = 0  # connections of a DTU
    meters: dict[str, int] = field(default_factory=dict)  # answers of each

    def as_json(self) -> dict[str, Any]:
        """The counters and the efficiency reached; times in seconds."""
        shown = {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}
        elapsed = self.last_s - self.first_s
        return {**shown, "efficiency": round(self.ideal_s / elapsed, 4) if elapsed > 0 else None}


class AnswerLog:
    """Answered requests as JSON lines. Buffered: `flush` makes them visible; closing does too."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="ascii", buffering=_BUFFER_BYTES)
        self._lock = threading.Lock()

    def __call__(self, answered: Answered) -> None:
        """Writes one record; lines of different buses never mix."""
        text = json.dumps(answered.as_json()) + "\n"
        with self._lock:
            self._file.write(text)

    def flush(self) -> None:
        """Makes everything so far visible to readers."""
        with self._lock:
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._file.close()
