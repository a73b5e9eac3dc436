"""Time that a test moves by hand, and a fault sink and a log that keep what they are told."""

from __future__ import annotations

import threading
from datetime import datetime

from agent.clock import date_of
from agent.faults import FaultCode

BOOT_ID = "00000000-0000-4000-8000-000000000001"
START_MS = 1_790_000_000_000  # 2026-09-21T13:33:20Z


class FakeClock:
    """A clock that stands still but for waits and `advance`."""

    def __init__(self, *, synced: bool = True, offset_ms: int = START_MS, boot_s: float = 100.0) -> None:
        self.boot_id = BOOT_ID
        self.synced = synced
        self.offset_ms = offset_ms
        self._now_s = boot_s
        self._boot_s = 0.0
        self._lock = threading.Lock()

    @property
    def source(self) -> str:
        return "host" if self.synced else "unset"

    def monotonic(self) -> float:
        return self._now_s

    def boot_ms(self, monotonic_s: float | None = None) -> int:
        return round(1000 * (self._now_s if monotonic_s is None else monotonic_s))

    def now(self) -> datetime:
        return date_of(self.boot_ms() + self.offset_ms)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now_s += max(0.0, seconds)

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        if not stop.is_set():
            self.advance(seconds)
        return stop.is_set()

    def pause(self, seconds: float) -> None:
        self.advance(seconds)


class KeptFaults:
    """Every edge in order, and what is open."""

    def __init__(self) -> None:
        self.edges: list[tuple[str, FaultCode, str]] = []
        self.open: dict[tuple[FaultCode, str], dict[str, object]] = {}

    def raised(self, code: FaultCode, place: str, **evidence: object) -> None:
        if (code, place) not in self.open:
            self.edges.append(("raised", code, place))
        self.open[code, place] = evidence

    def cleared(self, code: FaultCode, place: str) -> None:
        if self.open.pop((code, place), None) is not None:
            self.edges.append(("cleared", code, place))

    def times(self, code: FaultCode) -> int:
        return sum(edge[:2] == ("raised", code) for edge in self.edges)


class QuietLog:
    """Takes every event and keeps its name and keys."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def bind(self, **keys: object) -> QuietLog:
        return self

    def _take(self, event: str, **keys: object) -> None:
        self.events.append((event, keys))

    debug = info = warning = error = _take
