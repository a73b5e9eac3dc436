"""What waits for the disk: rounds get their number here, and stay until the next commit takes them.

Strategy: one lock gives numbers and guards what waits, so that numbers are committed in the order they were given.
What says what the rounds mean (layouts, boots, eras) waits beside them and is taken together with them.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.clock import Clock
from agent.intakes.outcome import Register
from agent.model import Layout, Round
from agent.qualify import Anew
from agent.store.calendar import Calendar
from agent.store.counters import Counters
from agent.store.dates import Dates
from agent.store.layouts import Layouts
from agent.store.packing import pack, pack_quality, pack_raw
from agent.store.queues import Statement

BOUND = 1000
"""Rounds that may wait; then the lines wait."""

RoundRow = tuple[int, int, int, bytes, str | None, bytes]
"""Number, number of the layout, boot ms, body, quality, raw: the columns of a round."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A round as its row will be, before it has a number. `at_ms` (UTC) stands for `boot_ms` where it is not None."""

    layout: Layout
    boot_ms: int
    body: bytes
    quality: str | None
    raw: bytes
    at_ms: int | None = None

    @classmethod
    def of(cls, polled: Round, at_ms: int | None = None) -> Packed:
        """Raises ValueError for values that do not fit the layout."""
        layout = polled.layout
        body, quality = pack(layout, polled.values), pack_quality(layout, polled.quality)
        return cls(layout, polled.boot_ms, body, quality, pack_raw(polled.raw), at_ms)


@dataclass(frozen=True, slots=True)
class Taken:
    """Rounds with their numbers up to `top`, what has to be written before them, and the dates known by then."""

    rounds: list[RoundRow]
    statements: list[Statement]
    top: int
    dates: Dates


class UndatedError(Exception):
    """What has a date of its own cannot be stored while this boot has none."""


class Waiting:
    """Safe to call from every thread."""

    def __init__(self, clock: Clock) -> None:
        self.next = 1
        self.layouts = Layouts()
        self.room = threading.Event()  # there is room again
        self.hurry = threading.Event()  # there is none
        self._is_news = False  # there is something beside rounds that no commit has taken
        self._clock = clock
        self._lock = threading.Lock()
        self._rounds: list[RoundRow] = []
        self._statements: list[Statement] = []
        self._calendar = Calendar()
        self._counters = Counters(clock)

    def load(self, connection: sqlite3.Connection, committed: int) -> None:
        """Takes up a file that was just opened, whose highest number is `committed`."""
        self.next = committed + 1
        self._statements = self._calendar.load(connection, self._clock.boot_id, self.next)
        self._counters.load(connection, self.layouts.load(connection), committed)

    def __len__(self) -> int:
        return len(self._rounds)

    @property
    def dates(self) -> Dates:
        """The dates of all numbers, as known now."""
        return self._calendar.dates

    @property
    def lock(self) -> threading.Lock:
        """Held, no number is given."""
        return self._lock

    def add(self, packed: Packed) -> int | None:
        """Numbers a round and lets it wait; None when there is no room. Raises UndatedError."""
        with self._lock:
            if len(self._rounds) < BOUND:
                return self._add(packed)
            self.room.clear()
        self.hurry.set()
        return None

    def _add(self, packed: Packed) -> int:
        number, boot_ms = self.next, packed.boot_ms
        if packed.at_ms is not None:
            offset_ms, _ = self.dates.spell(number)
            if offset_ms is None:
                raise UndatedError
            boot_ms = packed.at_ms - offset_ms
        layout = self.layouts.number(packed.layout, self._statements)
        self._rounds.append((number, layout, boot_ms, packed.body, packed.quality, packed.raw))
        self._counters.note(packed.layout, packed.body, packed.quality)
        self.next = number + 1
        return number

    def date(self, offset_ms: int, source: str, *, step: bool) -> None:
        """A date for this boot, as `Store.date_boot`."""
        with self._lock:
            boot_id, at_ms = self._clock.boot_id, self._clock.boot_ms()
            news = self._calendar.date(boot_id, self.next, offset_ms, source, step=step, at_ms=at_ms)
            self._statements += news
            self._is_news |= bool(news)

    def also(self, statement: Statement) -> None:
        """Lets a statement ride on the next commit."""
        with self._lock:
            self._statements.append(statement)
            self._is_news = True

    def has_news(self) -> bool:
        """Whether something waits that is worth a commit of its own."""
        return self._is_news

    def begin_counter(self, meter: str, quantity: str) -> None:
        """From now on what this counter showed is no measure of what follows."""
        with self._lock:
            self._counters.begin(meter, quantity, Anew())
            self._is_news = True

    def counters_begun(self, meter: str) -> list[tuple[str, Anew]]:
        """Which counters of this meter begin anew, in order; given once, to who judges its next round."""
        with self._lock:
            return self._counters.begun(meter)

    def last_values(self, meter: str) -> dict[str, str]:
        """The last good decimal text of each counter of this meter, from before the start and since."""
        with self._lock:
            return self._counters.texts(meter)

    def take(self, *, every: bool) -> Taken:
        """All that waits, given once; there is room again."""
        with self._lock:
            taken = self._take(every=every)
        self.room.set()
        self.hurry.clear()
        return taken

    def join(self, derived: Sequence[Packed], anew: Mapping[Register, Anew]) -> Taken:
        """What has come since the last `take`, and behind it these rounds with numbers of their own; given once.

        The counters of `anew` begin anew on the disk with what is given.
        """
        with self._lock:
            for (meter, quantity), each in anew.items():
                self._counters.begin(meter, quantity, each)
            for packed in derived:
                self._add(packed)
            return self._take(every=False)

    def _take(self, *, every: bool) -> Taken:
        rounds, self._rounds = self._rounds, []
        top = self.next - 1
        statements = [*self._statements, *self._counters.statements(top, every=every)]
        self._statements = []
        self._is_news = False
        return Taken(rounds, statements, top, self.dates)

    def restated(self) -> Iterable[Statement]:
        """Everything known here that a salvaged file may lack."""
        with self._lock:
            self._counters.retake()
            return [*self.layouts.restated(), *self._calendar.restated()]
