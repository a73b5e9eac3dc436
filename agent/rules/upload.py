"""The upload rate of one uplink, by local month: what has arrived of what was scheduled, and what is still to be had.

Strategy: for every scheduled hour the caller says when the platform accepted its record, once it did; the rest is
counting. On time means before the deadline, ten minutes after the hour unless told otherwise; in the end means at all.
Repeats and rejected records never count. An hour that a dated status takes out (sealed, standby) is not scheduled.
Source: metering guideline sheet §1.2 row 16 and §5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, tzinfo
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from agent.derive.exact import MS_PER_HOUR, PERCENT, exact, local_day, midnight_ms
from agent.derive.text import from_text, to_text
from agent.rules.compliance import RATE_ASKED_PCT, UploadRate, upload_rate

DEADLINE_MS = 600_000  # M5: 10 min after the hour
_KEPT_MONTHS = 5  # a whole quarter while the next one begins: its report states the rate
_LEAST_HOURS = 24  # ours: before a day is over a rate says little about the month


class Forecast(NamedTuple):
    """Where a month stands, in hours and per cent. `may_miss`: how many more hours may be late before 95 % is lost.

    `expected_pct` is what the month ends at if hours go on arriving as they did; `best_pct` if all of them are on time.
    """

    month: str
    scheduled: int
    on_time: int
    late: int
    missing: int
    on_time_pct: Decimal
    final_pct: Decimal
    best_pct: Decimal
    expected_pct: Decimal
    may_miss: int
    can_be_reached: bool

    @property
    def is_low(self) -> bool:
        """Whether to call for help: below what is asked, or heading there, once a day of the month is known."""
        known = self.on_time + self.late + self.missing
        return known >= _LEAST_HOURS and (self.expected_pct < RATE_ASKED_PCT or not self.can_be_reached)


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One local month's hours: due so far, arrived on time, arrived late. `waiting` are those due and not there yet."""

    due: int = 0
    on_time: int = 0
    late: int = 0
    waiting: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRates:
    """The hours of one uplink and point. `last_ms` is the last hour that was scheduled, UTC ms."""

    last_ms: int | None = None
    months: Mapping[str, Month] = field(default_factory=dict)

    @property
    def waiting(self) -> tuple[int, ...]:
        """The hours whose records have not arrived, by their ends in UTC ms."""
        return tuple(hour_ms for month in self.months.values() for hour_ms in month.waiting)

    def to_text(self) -> str:
        """All of it as one line of JSON."""
        return to_text(self)

    @staticmethod
    def from_text(text: str) -> UploadRates:
        """What `to_text` gave. Raises: ValueError, TypeError or KeyError for any other text."""
        return from_text(UploadRates, text)

    def scheduled(self, hour_ms: int, zone: tzinfo) -> UploadRates:
        """After the hour's record fell due. An hour that was scheduled before changes nothing."""
        if self.last_ms is not None and hour_ms <= self.last_ms:
            return self
        name = _month_of(hour_ms, zone)
        month = self.months.get(name, Month())
        after = replace(month, due=month.due + 1, waiting=(*month.waiting, hour_ms))
        kept = dict(sorted({**self.months, name: after}.items())[-_KEPT_MONTHS:])
        return UploadRates(last_ms=hour_ms, months=kept)

    def rewound(self, at_ms: int, zone: tzinfo) -> UploadRates:
        """After the clock was set back to `at_ms` (UTC): what it had called due ahead of that never was."""
        months = {}
        for name, month in self.months.items():
            if name <= _month_of(at_ms, zone):
                waiting = tuple(hour_ms for hour_ms in month.waiting if hour_ms <= at_ms)
                ahead = len(month.waiting) - len(waiting)
                months[name] = replace(month, due=month.due - ahead, waiting=waiting)
        return UploadRates(last_ms=at_ms, months=months)

    def accepted(self, hour_ms: int, accepted_ms: int, zone: tzinfo, *, deadline_ms: int = DEADLINE_MS) -> UploadRates:
        """After the platform accepted the hour's record; what it accepted before, or was not due, changes nothing."""
        name = _month_of(hour_ms, zone)
        month = self.months.get(name)
        if month is None or hour_ms not in month.waiting:
            return self
        is_on_time = accepted_ms <= hour_ms + deadline_ms
        after = Month(
            due=month.due,
            on_time=month.on_time + is_on_time,
            late=month.late + (not is_on_time),
            waiting=tuple(each for each in month.waiting if each != hour_ms),
        )
        return replace(self, months={**self.months, name: after})

    def over(self, months: Sequence[str]) -> UploadRate | None:
        """The rate over whole months (2026-09 …) that are past; None where one of them is not known."""
        found = [self.months[name] for name in months if name in self.months]
        due = sum(month.due for month in found)
        if len(found) < len(months) or not due:
            return None
        on_time, late = sum(month.on_time for month in found), sum(month.late for month in found)
        return upload_rate(scheduled=due, on_time=on_time, late=late)

    @exact
    def forecast(
        self, now_ms: int, zone: tzinfo, *, deadline_ms: int = DEADLINE_MS, every_ms: int = MS_PER_HOUR
    ) -> Forecast | None:
        """Where the month of `now_ms` stands and where it is heading; None before anything was due in it.

        Records fall due every `every_ms`, whole hours.
        """
        name = _month_of(now_ms, zone)
        month = self.months.get(name)
        if month is None or not month.due:
            return None
        pending = sum(now_ms <= hour_ms + deadline_ms for hour_ms in month.waiting)  # may still be on time
        missing = len(month.waiting) - pending
        rest = _rest_ms(self.last_ms or now_ms, zone) // every_ms
        scheduled = month.due + rest
        judged = month.on_time + month.late + missing
        share = Decimal(month.on_time) / judged if judged else Decimal(1)
        open_hours = pending + rest
        best = month.on_time + open_hours
        needed = (RATE_ASKED_PCT * scheduled / PERCENT).to_integral_value(ROUND_CEILING)
        return Forecast(
            month=name,
            scheduled=scheduled,
            on_time=month.on_time,
            late=month.late,
            missing=missing,
            on_time_pct=PERCENT * month.on_time / judged if judged else PERCENT,
            final_pct=PERCENT * (month.on_time + month.late) / judged if judged else PERCENT,
            best_pct=PERCENT * best / scheduled,
            expected_pct=PERCENT * (month.on_time + share * open_hours) / scheduled,
            may_miss=max(0, best - int(needed)),
            can_be_reached=best >= needed,
        )


def _month_of(at_ms: int, zone: tzinfo) -> str:
    """The local month that an hour's record belongs to: that of the hour it tells about, which ends at `at_ms`."""
    return f"{local_day(at_ms - 1, zone):%Y-%m}"


def _rest_ms(last_ms: int, zone: tzinfo) -> int:
    """How much of the local month of `last_ms` is still to come."""
    day = local_day(last_ms - 1, zone)
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return max(0, midnight_ms(following, zone) - last_ms)
