"""The last good counters of each meter, to judge the first reading after a restart.

Strategy: writing them with each commit would cost a page each time. So they are followed in memory, written every hour
or ten thousand rounds and at a clean stop, and after a kill completed from the rounds above the last writing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from decimal import Decimal

from agent.clock import Clock
from agent.model import INTAKE, MANUAL, Layout
from agent.qualify import Anew
from agent.quantities import QUANTITIES
from agent.store.packing import unpack, unpack_quality
from agent.store.queues import Statement

_EVERY_S = 3600.0
_EVERY_ROUNDS = 10_000
_READ_BACK = 2 * _EVERY_ROUNDS  # more cannot be missing unless a commit failed for long
_WRITE = "INSERT OR REPLACE INTO counter VALUES (?, ?, ?)"
_ABOVE = "SELECT number, layout, body, quality FROM round WHERE number > ? ORDER BY number"


class Counters:
    """What each meter's counters last showed; used under the store's own lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._texts: dict[str, dict[str, str]] = {}
        self._good: dict[str, tuple[Layout, bytes]] = {}  # newest round without any fault, not yet in _texts
        self._begun: dict[str, list[tuple[str, Anew]]] = {}  # not yet told to who judges
        self._changed: set[str] = set()
        self._written = 0
        self._written_s = clock.monotonic()

    def load(self, connection: sqlite3.Connection, layouts: Mapping[int, Layout], last: int) -> None:
        """Takes up what a file that was just opened knows."""
        for meter, number, texts in connection.execute("SELECT meter, number, texts FROM counter"):
            self._texts[meter] = json.loads(texts)
            self._written = max(self._written, number)
        for _, layout, body, quality in connection.execute(_ABOVE, (max(self._written, last - _READ_BACK),)):
            self.note(layouts[layout], body, quality)

    def note(self, layout: Layout, body: bytes, quality: str | None) -> None:
        """A round in its packed form; only what a meter itself has answered is noted."""
        if layout.protocol in {INTAKE, MANUAL}:
            return
        if quality is None:
            self._good[layout.meter] = (layout, body)
            return
        self._fold(layout.meter)
        self._take(layout, body, unpack_quality(layout, quality))

    def texts(self, meter: str) -> dict[str, str]:
        """Quantity to the last decimal text that was GOOD."""
        self._fold(meter)
        return dict(self._texts.get(meter, {}))

    def begin(self, meter: str, quantity: str, anew: Anew) -> None:
        """What a counter showed is no measure of what follows: its register was replaced, set, or turned over.

        On the disk with the next commit: read back after a kill, rounds from before would bring it up again.
        """
        self._fold(meter)
        self._begun.setdefault(meter, []).append((quantity, anew))
        texts = self._texts.get(meter, {})
        text = texts.pop(quantity, None)
        if text is None:
            return
        measure = anew.measure(Decimal(text))
        if measure is not None:
            texts[quantity] = str(measure)
        self._changed.add(meter)
        self._written_s = float("-inf")

    def begun(self, meter: str) -> list[tuple[str, Anew]]:
        """Which counters begin anew, in order; given once."""
        return self._begun.pop(meter, [])

    def statements(self, number: int, *, every: bool) -> list[Statement]:
        """The rows to write with a commit up to `number` when they are due, or at a stop (`every`)."""
        now_s = self._clock.monotonic()
        due = now_s - self._written_s >= _EVERY_S or number - self._written >= _EVERY_ROUNDS
        if not (due or every):
            return []
        for meter in tuple(self._good):
            self._fold(meter)
        rows: list[Statement] = [
            (_WRITE, (meter, number, json.dumps(self._texts[meter]))) for meter in sorted(self._changed)
        ]
        self._changed.clear()
        self._written, self._written_s = number, now_s
        return rows

    def retake(self) -> None:
        """Lets the next writing hold all meters, for a file that replaces a damaged one."""
        self._changed.update(self._texts)

    def _fold(self, meter: str) -> None:
        if meter in self._good:
            self._take(*self._good.pop(meter), {})

    def _take(self, layout: Layout, body: bytes, quality: Mapping[str, object]) -> None:
        texts = self._texts.setdefault(layout.meter, {})
        for name, text in zip(layout.quantities, unpack(body), strict=True):
            if text is not None and name not in quality and name in QUANTITIES and QUANTITIES[name].counter:
                texts[name] = text
                self._changed.add(layout.meter)
