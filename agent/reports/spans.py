"""What a report is about: a quarter, a month or a day, from local midnight to local midnight. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from enum import StrEnum

from agent.derive.boundary import quarter
from agent.derive.exact import MS_PER_HOUR, OutOfDomain, midnight_ms

_MONTH = re.compile(r"(\d{4})-(\d{2})")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DECEMBER = 12
_ONE_DAY = timedelta(days=1)


class SpanKind(StrEnum):
    """How long a report's time is."""

    QUARTER = "quarter"
    MONTH = "month"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time of a report: `name` as a person types it, local days with the end not in it, UTC ms."""

    kind: SpanKind
    name: str
    first_day: str
    end_day: str
    begin_ms: int
    end_ms: int

    def edges_ms(self, zone: tzinfo) -> list[int]:
        """Where its rows begin and end, ascending: the hours of a day, the local midnights of anything longer."""
        if self.kind is SpanKind.DAY:
            return [*range(self.begin_ms, self.end_ms, MS_PER_HOUR), self.end_ms]
        days = _days(date.fromisoformat(self.first_day), date.fromisoformat(self.end_day))
        return [*(midnight_ms(day, zone) for day in days), self.end_ms]

    @property
    def months(self) -> tuple[str, ...]:
        """The calendar months it consists of, such as 2026-09; none for a day."""
        first = date.fromisoformat(self.first_day)
        count = {SpanKind.QUARTER: 3, SpanKind.MONTH: 1, SpanKind.DAY: 0}[self.kind]
        return tuple(f"{first.year}-{first.month + place:02}" for place in range(count))

    def year_begin_ms(self, zone: tzinfo) -> int:
        """When the calendar year of its first day begins: permits count from there."""
        return midnight_ms(date(date.fromisoformat(self.first_day).year, 1, 1), zone)


def _days(first: date, end: date) -> Iterator[date]:
    while first < end:
        yield first
        first += _ONE_DAY


def span_of(kind: SpanKind, name: str, zone: tzinfo) -> Span:
    """The time that `2026Q3`, `2026-09` or `2026-09-30` names. Raises: OutOfDomain."""
    first, end = _bounds(kind, name)
    return Span(
        kind=kind,
        name=name,
        first_day=first.isoformat(),
        end_day=end.isoformat(),
        begin_ms=midnight_ms(first, zone),
        end_ms=midnight_ms(end, zone),
    )


def _bounds(kind: SpanKind, name: str) -> tuple[date, date]:
    try:
        match kind:
            case SpanKind.QUARTER:
                found = quarter(name)
                return found.first_day, found.next.first_day
            case SpanKind.MONTH if month := _MONTH.fullmatch(name):
                first = date(int(month[1]), int(month[2]), 1)
                return first, date(first.year + first.month // _DECEMBER, first.month % _DECEMBER + 1, 1)
            case SpanKind.DAY if _DAY.fullmatch(name):
                return date.fromisoformat(name), date.fromisoformat(name) + _ONE_DAY
    except (ValueError, OverflowError):
        pass  # no such month, day or year
    examples = {SpanKind.QUARTER: "2026Q3", SpanKind.MONTH: "2026-09", SpanKind.DAY: "2026-09-30"}
    raise OutOfDomain(kind, name, f"one such as {examples[kind]}")


def span_with(kind: SpanKind, day: date, zone: tzinfo) -> Span:
    """The one of its kind that a local day lies in."""
    match kind:
        case SpanKind.QUARTER:
            return span_of(kind, f"{day.year}Q{(day.month + 2) // 3}", zone)
        case SpanKind.MONTH:
            return span_of(kind, day.isoformat()[:7], zone)
        case SpanKind.DAY:
            return span_of(kind, day.isoformat(), zone)


def span_before(kind: SpanKind, day: date, zone: tzinfo) -> Span:
    """The last one of its kind that ended before this local day, or with its beginning."""
    return span_with(kind, date.fromisoformat(span_with(kind, day, zone).first_day) - _ONE_DAY, zone)
