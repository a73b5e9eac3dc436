"""Which readings a person has compared with the meter's display: rows that are only ever added.

Strategy: few rows, so all of them stay in memory; a new one rides on the next commit, and whoever needs to be sure
flushes the store. Salvage keeps them, and a file that replaces a damaged one is told them again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from agent.clock import Clock
from agent.store.database import connect_read_only
from agent.store.queues import Statement

_WRITE = "INSERT OR REPLACE INTO confirmation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SETTLED = "SELECT quantity FROM confirmation WHERE meter = ? AND version = ?"


class Confirmation(NamedTuple):
    """A number on the display and the same as read, both decimal text in the quantity's unit."""

    meter: str
    profile: str
    version: str
    quantity: str
    shown: str
    read: str
    who: str


def settled_in(path: Path, meter: str, version: str) -> frozenset[str]:
    """What `Confirmations.settled` would say, from a file that is not open here; nothing where it cannot be read.

    What is not known to be confirmed is shown as unconfirmed, so that a broken or older file costs no truth.
    """
    try:
        with contextlib.closing(connect_read_only(path)) as connection:
            return frozenset(name for (name,) in connection.execute(_SETTLED, (meter, version)))
    except (FileNotFoundError, sqlite3.DatabaseError):
        return frozenset()


class Confirmations:
    """All of them; safe to call from every thread."""

    def __init__(self, *, clock: Clock, next_number: Callable[[], int]) -> None:
        self._clock = clock
        self._next_number = next_number
        self._lock = threading.Lock()
        self._rows: dict[int, tuple[object, ...]] = {}
        self._settled: dict[tuple[str, str], frozenset[str]] = {}
        self._new: list[int] = []

    def load(self, connection: sqlite3.Connection) -> None:
        """Takes up those of a file that was just opened."""
        with self._lock:
            for row in connection.execute("SELECT * FROM confirmation ORDER BY id"):
                self._note(row)

    def add(self, confirmation: Confirmation) -> None:
        """Adds one, dated now; it counts at once. A kill or power cut before the next commit loses it."""
        with self._lock:
            number = max(self._rows, default=0) + 1
            when = (self._next_number(), self._clock.boot_id, self._clock.boot_ms())
            self._note((number, *confirmation, *when))
            self._new.append(number)

    def settled(self, meter: str, version: str) -> frozenset[str]:
        """The quantities of this meter that were compared under this version of its profile."""
        with self._lock:
            return self._settled.get((meter, version), frozenset())

    def has_news(self) -> bool:
        """Whether `take` would give rows."""
        return bool(self._new)

    def take(self) -> list[Statement]:
        """The rows to write with the next commit, given once."""
        with self._lock:
            new, self._new = self._new, []
            return [(_WRITE, self._rows[number]) for number in new]

    def restated(self) -> list[Statement]:
        """All rows once more, for a file that replaces a damaged one."""
        with self._lock:
            return [(_WRITE, row) for row in self._rows.values()]

    def _note(self, row: tuple[object, ...]) -> None:
        number, meter, _, version, quantity, *_ = row
        assert isinstance(number, int)
        self._rows[number] = row
        key = (str(meter), str(version))
        self._settled[key] = self._settled.get(key, frozenset()) | {str(quantity)}
