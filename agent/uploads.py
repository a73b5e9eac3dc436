"""Whether what intakes owe their platforms arrives: the upload rate of each month, and the duty to report on-line.

Strategy: once a minute, over stored rows alone. Each full local hour of an intake that is not sealed is owed to every
platform. To one that takes every round (MQTT) its record is the intake's closing reading, which has arrived when the
platform's cursor has passed it; when that was is seen here, to the minute. To a centre that takes reports it is the
report of that slot, which has arrived when the centre acknowledged it. What was seen is kept in a file beside the
database, written whole, so that neither a restart nor a power cut loses a month; without it, counting begins anew.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from agent.clock import Clock, look_each_minute
from agent.closed_hours import ClosedHours, Hour
from agent.derive.exact import MS_PER_HOUR, OutOfDomain
from agent.faults import FaultCode, FaultSink
from agent.intakes.settings import IntakeSettings, Use
from agent.report.slots import Intervals
from agent.rules.online import is_online, obliged
from agent.rules.site import Calendar, told
from agent.rules.upload import Forecast, UploadRates
from agent.store import cursors
from agent.store.book_reader import BookReader
from agent.store.database import side
from agent.store.outbox_reader import OutboxReader
from agent.whole import write_whole

_FORM = 2
_SUFFIX = ".uploads"
_MOST_OWED = 24 * 31  # hours looked back for after a long stop
_REGULAR = frozenset({"timed", "hourly"})

_HOURLY = Intervals(MS_PER_HOUR)

Arrived = Callable[[str, int], int | None]
"""When the record of an intake and hour was accepted, UTC ms; None while it was not."""


class Centre(NamedTuple):
    """A platform that takes reports: how often they are due, as far as is known now, and about which intakes."""

    intervals: Callable[[BookReader], Intervals]
    intakes: frozenset[str]


class Uploads:
    """Watches all platforms of a station. Its `run` is a worker of its own."""

    def __init__(
        self,
        path: Path,
        *,
        intakes: Mapping[str, IntakeSettings],
        uplinks: Collection[str],
        centres: Mapping[str, Centre],
        clock: Clock,
        faults: FaultSink,
        log: Any,
        on_damage: Callable[[], None] | None = None,
    ) -> None:
        """`path` is the database's, `on_damage` as for `Reader`; `uplinks` take every round, `centres` reports."""
        self._reader = BookReader(path, on_damage=on_damage)
        self._outbox = OutboxReader(path, on_damage=on_damage)
        self._file = side(path, _SUFFIX)
        self._intakes = dict(intakes)
        self._calendars = {name: Calendar(each) for name, each in intakes.items()}
        self._uplinks = sorted({*uplinks, *centres})
        self._centres = dict(centres)
        self._clock = clock
        self._faults = faults
        self._log = log
        document = _document(path)
        self._rates, self._closed = _rates_of(document), _closed_of(document)

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Looks once a minute until `stop`."""
        look_each_minute(self.look, clock=self._clock, stop=stop, beat=beat)
        self._reader.close()
        self._outbox.close()

    def look(self) -> None:
        """Takes in what has fallen due and what has arrived, and says what is to be said. Nothing while undated."""
        if not self._clock.synced:
            return
        before = dict(self._rates)
        try:
            self._closed.look(self._reader)
            now_ms = self._clock.boot_ms() + self._clock.offset_ms  # not before any hour that has closed
            for uplink in self._uplinks:
                self._look(uplink, now_ms)
            self._obligations(now_ms)
        except (sqlite3.Error, FileNotFoundError) as error:  # the store repairs itself; the next minute tells
            self._log.warning("uploads.unread", error=str(error))
            return
        if self._rates != before:
            self._closed.keep({Hour(name, at_ms) for (_, name), each in self._rates.items() for at_ms in each.waiting})
            self._write()

    def _look(self, uplink: str, now_ms: int) -> None:
        arrived = self._reported(uplink) if uplink in self._centres else self._passed(uplink, now_ms)
        worst: tuple[str, Forecast] | None = None
        intervals = self._intervals(uplink)
        every_ms = _hours(intervals.at(now_ms))
        for name, settings in self._intakes.items():
            if uplink in self._centres and name not in self._centres[uplink].intakes:
                continue
            rates = self._due(self._rates.get((uplink, name), UploadRates()), name, now_ms, intervals)
            for hour_ms in rates.waiting:
                accepted_ms = arrived(name, hour_ms)
                if accepted_ms is not None:
                    rates = rates.accepted(hour_ms, accepted_ms, settings.zone)
            self._rates[uplink, name] = rates
            forecast = rates.forecast(now_ms, settings.zone, every_ms=every_ms)
            is_worse = forecast is not None and (worst is None or forecast.expected_pct < worst[1].expected_pct)
            if forecast is not None and forecast.is_low and is_worse:
                worst = (name, forecast)
        if worst is None:
            self._faults.cleared(FaultCode.UPLOAD_RATE_LOW, f"uplink/{uplink}")
        else:
            self._faults.raised(FaultCode.UPLOAD_RATE_LOW, f"uplink/{uplink}", intake=worst[0], **_told(worst[1]))

    def _passed(self, uplink: str, now_ms: int) -> Arrived:
        """When an hour's closing reading was taken by a platform that takes every round: now, if it is past it."""
        unaccepted = self._reader.rounds.unaccepted(uplink)

        def arrived(intake: str, hour_ms: int) -> int | None:
            number = self._closed.numbers.get(Hour(intake, hour_ms))
            if number is None or unaccepted is None or cursors.holds(unaccepted, number):
                return None
            return now_ms

        return arrived

    def _reported(self, uplink: str) -> Arrived:
        """When the report of an hour was acknowledged by a centre."""
        waiting = [at_ms for (name, _), each in self._rates.items() if name == uplink for at_ms in each.waiting]
        done = self._outbox.accepted(uplink, _REGULAR, min(waiting)) if waiting else {}
        return lambda _, hour_ms: done.get(hour_ms)

    def _due(self, rates: UploadRates, name: str, now_ms: int, intervals: Intervals) -> UploadRates:
        """The full hours that fell due since the last look; a sealed intake owes none, a centre asks only for some."""
        zone, last_ms = self._intakes[name].zone, now_ms - now_ms % MS_PER_HOUR
        if rates.last_ms is None:
            return UploadRates(last_ms=last_ms)  # owed from the next one on
        if rates.last_ms > last_ms:
            return rates.rewound(last_ms, zone)
        first_ms = rates.last_ms + MS_PER_HOUR
        for hour_ms in range(max(first_ms, last_ms - _MOST_OWED * MS_PER_HOUR), last_ms + 1, MS_PER_HOUR):
            if intervals.is_slot(hour_ms, zone) and self._calendars[name].at(hour_ms - 1).use is not Use.SEALED:
                rates = rates.scheduled(hour_ms, zone)
        return rates

    def _intervals(self, uplink: str) -> Intervals:
        """How far apart the records are that this platform asks for."""
        return self._centres[uplink].intervals(self._reader) if uplink in self._centres else _HOURLY

    def _obligations(self, now_ms: int) -> None:
        """ONLINE-OBLIGED where no platform has taken anything for a day, or there is none."""
        is_any_online = any(is_online(self._oldest_ms(uplink), now_ms) for uplink in self._uplinks)
        for name, settings in self._intakes.items():
            why = obliged(settings)
            if why is None or is_any_online:
                self._faults.cleared(FaultCode.ONLINE_OBLIGED, f"intake/{name}")
                continue
            amounts = {"amount": why.amount, "threshold": why.threshold}
            evidence = {key: told(value) for key, value in amounts.items() if value is not None}
            self._faults.raised(FaultCode.ONLINE_OBLIGED, f"intake/{name}", why=why.what, **evidence)

    def _oldest_ms(self, uplink: str) -> int | None:
        """Of when the oldest is that this platform has not acknowledged; None where it has all that has a date."""
        if uplink in self._centres:
            return self._outbox.oldest_waiting(uplink)
        ranges = self._reader.rounds.cursor(uplink) or ()
        for begin, end, offset_ms in self._reader.rounds.spells():
            if offset_ms is None and end is not None:  # a boot that nobody dated waits for ever
                ranges = cursors.without(ranges, begin, end - 1)
        if not ranges:
            return None
        first, last = ranges[0][0], self._reader.rounds.committed()
        found = self._reader.rounds.rounds(first, last, limit=1)
        return found[0].at_ms if found else None

    def _write(self) -> None:
        """Renews the file; a kill, a power cut or a full disk leaves the one before."""
        rates: dict[str, dict[str, str]] = {}
        for (uplink, name), each in self._rates.items():
            rates.setdefault(uplink, {})[name] = each.to_text()
        closed = [[*hour, number] for hour, number in self._closed.numbers.items()]
        document = {"form": _FORM, "rates": rates, "closed": closed, "passed": self._closed.passed}
        try:
            write_whole(self._file, json.dumps(document, ensure_ascii=False))
        except OSError as error:
            self._log.warning("uploads.unwritten", error=str(error))


def stored_rates(path: Path) -> dict[tuple[str, str], UploadRates]:
    """What is kept beside the database at `path`, by uplink and intake; nothing where that cannot be read."""
    return _rates_of(_document(path))


def _document(path: Path) -> Any:
    try:
        return json.loads(side(path, _SUFFIX).read_bytes())
    except (OSError, ValueError):
        return None


def _rates_of(document: Any) -> dict[tuple[str, str], UploadRates]:
    try:
        if document["form"] != _FORM:
            return {}
        rates = document["rates"]
        return {(up, name): UploadRates.from_text(text) for up, of in rates.items() for name, text in of.items()}
    except (ValueError, TypeError, LookupError, AttributeError, OutOfDomain):
        return {}


def _closed_of(document: Any) -> ClosedHours:
    try:
        if document["form"] == _FORM:
            closed = {Hour(str(name), int(at_ms)): int(number) for name, at_ms, number in document["closed"]}
            return ClosedHours(closed, int(document["passed"]))
    except (ValueError, TypeError, LookupError):
        pass
    return ClosedHours({}, None)


def _hours(every_ms: int) -> int:
    """An interval in full hours: of a shorter one each hour counts."""
    return max(MS_PER_HOUR, every_ms)


def _told(forecast: Forecast) -> dict[str, str]:
    """A forecast as evidence; rates are cut to a tenth, so that 94.97 is not told as 95."""
    rates: dict[str, Decimal] = {
        "on_time_pct": forecast.on_time_pct,
        "final_pct": forecast.final_pct,
        "expected_pct": forecast.expected_pct,
    }
    cut = {name: f"{value * 10 // 1 / 10:.1f}" for name, value in rates.items()}
    return {"month": forecast.month, **cut, "may_miss": str(forecast.may_miss)}
