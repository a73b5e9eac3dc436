"""The faults: open ones in memory, each edge in the log and in a row.

Strategy: any thread raises and clears; that costs a look-up under a lock and never waits for the disk. New and ended
faults go into rows with the next commit, a count that merely grows at most once a minute. What is open is read back at
the start, so that a condition that outlives a restart is neither logged nor begun again.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from structlog.typing import FilteringBoundLogger

from agent.clock import Clock
from agent.faults import FaultCode

COUNT_EVERY_S = 60.0
MOST_FAULTS = 10_000
"""Ended faults that are kept."""

_FORGET_EVERY = 1000
_WRITE = "INSERT OR REPLACE INTO fault VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OPEN = (
    "SELECT id, code, place, evidence, count, began_round, began_boot, began_ms FROM fault"
    " WHERE ended_round IS NULL ORDER BY id"
)

FaultWrite = tuple[int, str, str, str, int, int, str, int, int | None, str | None, int | None]


@dataclass(frozen=True, slots=True)
class OpenFault:
    """A condition that holds now. `began_ms` is boot time of `began_boot`; `began_round` the next number then."""

    code: str
    place: str
    count: int
    evidence: dict[str, str]
    began_round: int
    began_boot: str
    began_ms: int


@dataclass(slots=True)
class _Entry:
    """An open fault and what its row last said."""

    number: int
    fault: OpenFault
    written_count: int
    written_s: float

    def row(self, ended: tuple[int, str, int] | tuple[None, None, None] = (None, None, None)) -> FaultWrite:
        fault = self.fault
        evidence = json.dumps(fault.evidence, ensure_ascii=False)
        began = (fault.began_round, fault.began_boot, fault.began_ms)
        return (self.number, fault.code, fault.place, evidence, fault.count, *began, *ended)


class FaultLog:
    """Where the whole agent raises and clears faults (a `FaultSink`); safe to call from every thread."""

    def __init__(self, *, clock: Clock, log: FilteringBoundLogger, next_number: Callable[[], int]) -> None:
        self._clock = clock
        self._log = log
        self._next_number = next_number
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], _Entry] = {}
        self._edges: dict[int, FaultWrite] = {}
        self._last = 0

    def raised(self, code: FaultCode, place: str, **evidence: object) -> None:
        """The condition holds at `place`; the newest evidence is kept. Only the first call is an edge."""
        proof = {key: str(value) for key, value in evidence.items()}
        key = (str(code), place)
        with self._lock:
            entry = self._open.get(key)
            if entry is not None:
                entry.fault = replace(entry.fault, count=entry.fault.count + 1, evidence=proof)
                return
            self._last += 1
            began = (self._next_number(), self._clock.boot_id, self._clock.boot_ms())
            fault = OpenFault(str(code), place, 1, proof, *began)
            self._open[key] = entry = _Entry(self._last, fault, 1, self._clock.monotonic())
            self._edges[entry.number] = entry.row()
        self._log.warning("fault.raised", code=str(code), place=place, evidence=proof)

    def cleared(self, code: FaultCode | str, place: str) -> None:
        """The condition no longer holds; does nothing when it was not open. A code may be one of another version."""
        if (str(code), place) not in self._open:  # the usual case, without the lock: one look-up is atomic
            return
        with self._lock:
            entry = self._open.pop((str(code), place), None)
            if entry is None:
                return
            self._edges[entry.number] = entry.row((self._next_number(), self._clock.boot_id, self._clock.boot_ms()))
        self._log.info("fault.cleared", code=str(code), place=place, count=entry.fault.count)

    def open(self) -> tuple[OpenFault, ...]:
        """The open faults, oldest first."""
        with self._lock:
            return tuple(entry.fault for entry in self._open.values())

    def load(self, connection: sqlite3.Connection) -> None:
        """Takes up the open faults of a file that was just opened; what was raised before is joined to them."""
        now_s = self._clock.monotonic()
        with self._lock:
            early, self._open, self._edges = self._open, {}, {}
            for number, code, place, evidence, count, *began in connection.execute(_OPEN):
                fault = OpenFault(code, place, count, json.loads(evidence), *began)
                self._open[code, place] = _Entry(number, fault, count, now_s)
            (last,) = connection.execute("SELECT max(id) FROM fault").fetchone()
            self._last = last or 0
            for key, entry in early.items():
                if key in self._open:
                    known = self._open[key]
                    count = known.fault.count + entry.fault.count
                    known.fault = replace(known.fault, count=count, evidence=entry.fault.evidence)
                else:
                    self._last += 1
                    entry.number = self._last
                    self._open[key] = entry
                    self._edges[entry.number] = entry.row()

    def has_news(self) -> bool:
        """Whether `take` would give rows."""
        return bool(self._edges) or any(self._is_stale(entry) for entry in tuple(self._open.values()))

    def take(self, *, every: bool = False) -> list[FaultWrite]:
        """The rows to write with the next commit, given once; `every`: also counts written less than a minute ago."""
        with self._lock:
            for entry in self._open.values():
                grown = entry.fault.count != entry.written_count
                if entry.number in self._edges or (every and grown) or self._is_stale(entry):
                    self._edges[entry.number] = entry.row()
                    entry.written_count = entry.fault.count
                    entry.written_s = self._clock.monotonic()
            rows, self._edges = list(self._edges.values()), {}
        return rows

    def retake(self) -> list[FaultWrite]:
        """The rows of all open faults, for a file that replaces a damaged one."""
        with self._lock:
            return [entry.row() for entry in self._open.values()]

    def _is_stale(self, entry: _Entry) -> bool:
        grown = entry.fault.count != entry.written_count
        return grown and self._clock.monotonic() - entry.written_s >= COUNT_EVERY_S


def write(connection: sqlite3.Connection, rows: list[FaultWrite]) -> None:
    """Writes rows of `take` inside the caller's transaction, and now and then forgets the oldest that ended."""
    connection.executemany(_WRITE, rows)
    for number in (row[0] for row in rows if row[0] % _FORGET_EVERY == 0):
        connection.execute("DELETE FROM fault WHERE id <= ? AND ended_round IS NOT NULL", (number - MOST_FAULTS,))
