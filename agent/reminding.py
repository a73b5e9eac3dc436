"""Reminds people of quarters that have ended and are not frozen: Fault QUARTER-DUE, from a day that is configured.

Strategy: once a minute, over the ledger and the ends of the closings, which are a few look-ups. What is open says
for which reminder it was raised, so that a restart neither forgets one nor repeats it; each further reminder ends the
one before and begins anew, and freezing ends it. Quarters of the last year are looked at, of intakes that were
accounted for in them; of all others nothing is open, also where a clock that was ahead had told of them.

Source: metering guideline §1.3 row 28 (verification within 15 days after each quarter; reminders on days 10 and 13).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from agent.clock import Clock, look_each_minute
from agent.derive.exact import local_day
from agent.faults import FaultCode
from agent.reports.spans import Span, SpanKind, span_before
from agent.settings import Station
from agent.store.book_reader import BookReader
from agent.store.faults import FaultLog

_QUARTERS = 4  # that are watched
_FROZEN = "SELECT DISTINCT subject FROM ledger WHERE kind = 'frozen'"


class Reach(NamedTuple):
    """From when to when an intake has been accounted for: its first and last closed hour, UTC ms."""

    first_ms: int
    last_ms: int


class Reminding:
    """Watches the quarters of a station. Its `run` is a worker of its own."""

    def __init__(
        self,
        path: Path,
        *,
        station: Station,
        intakes: Iterable[str],
        clock: Clock,
        faults: FaultLog,
        log: Any,
        on_damage: Callable[[], None] | None = None,
    ) -> None:
        """`path` is the database's, `on_damage` as for `Reader`."""
        self._reader = BookReader(path, on_damage=on_damage)
        self._station = station
        self._zone = ZoneInfo(station.timezone)
        self._intakes = tuple(intakes)
        self._clock = clock
        self._faults = faults
        self._log = log

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Looks once a minute until `stop`."""
        look_each_minute(self.look, clock=self._clock, stop=stop, beat=beat)
        self._reader.close()

    def look(self) -> None:
        """Says what is due, and ends what no longer is. Nothing while undated."""
        if not self._clock.synced:
            return
        today = local_day(self._clock.boot_ms() + self._clock.offset_ms, self._zone)
        try:
            frozen = {name for (name,) in self._reader.rounds.query(_FROZEN, ())}
            reaches = self._reaches()
        except (sqlite3.Error, FileNotFoundError) as error:  # the store repairs itself; the next minute tells
            self._log.warning("reminders.unread", error=str(error))
            return
        due = {
            _place(span): evidence
            for span in self._quarters(today)
            if span.name not in frozen and (evidence := self._due(span, today, reaches)) is not None
        }
        for fault in self._faults.open():
            if fault.code == FaultCode.QUARTER_DUE and fault.place not in due:
                self._faults.cleared(FaultCode.QUARTER_DUE, fault.place)
        for place, evidence in due.items():
            self._say(place, evidence)

    def _quarters(self, today: date) -> Iterator[Span]:
        """The quarters that ended last, the newest first."""
        day = today
        for _ in range(_QUARTERS):
            span = span_before(SpanKind.QUARTER, day, self._zone)
            yield span
            day = date.fromisoformat(span.first_day)

    def _reaches(self) -> dict[str, Reach]:
        found = {name: self._reader.reach(name) for name in self._intakes}
        return {name: Reach(*ends) for name, ends in found.items() if ends is not None}

    def _due(self, span: Span, today: date, reaches: dict[str, Reach]) -> dict[str, str] | None:
        """What is to be said of a quarter that is not frozen; None before the first reminder, or without water."""
        first = date.fromisoformat(span.end_day)
        day = (today - first).days + 1  # of the next quarter, from 1 on
        reminder = max((each for each in self._station.quarter_remind_days if each <= day), default=None)
        concerned = {
            name: reach
            for name, reach in reaches.items()
            if reach.first_ms < span.end_ms and reach.last_ms > span.begin_ms
        }
        if reminder is None or not concerned:
            return None
        behind = [name for name, reach in concerned.items() if reach.last_ms < span.end_ms]
        verify_by = first + timedelta(days=self._station.quarter_verify_days - 1)
        return {
            "quarter": span.name,
            "intakes": " ".join(concerned),
            **({"not_reached": " ".join(behind)} if behind else {}),
            "verify_by": verify_by.isoformat(),
            "days_left": str((verify_by - today).days),
            "reminder_day": str(reminder),
        }

    def _say(self, place: str, evidence: dict[str, str]) -> None:
        """Raises the Fault, anew where another reminder is due; the same evidence is not counted again."""
        known = next((each.evidence for each in self._faults.open() if (each.code, each.place) == _key(place)), None)
        if known == evidence:
            return
        if known is not None and known.get("reminder_day") != evidence["reminder_day"]:
            self._faults.cleared(FaultCode.QUARTER_DUE, place)
        self._faults.raised(FaultCode.QUARTER_DUE, place, **evidence)


def _place(span: Span) -> str:
    return f"quarter/{span.name}"


def _key(place: str) -> tuple[str, str]:
    return str(FaultCode.QUARTER_DUE), place
