"""Where a register stood at midnight: quarters and the settled boundary between them (§9.5).

A boundary is settled once and serves both sides, so nothing falls between two periods or counts in both. Where the
register was replaced, reset or rolled over near it, settle the booked energy or volume (its running total) instead.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from agent.derive.exact import MS_PER_HOUR, ONE, SQRT3, OutOfDomain, exact, hours, midnight_ms
from agent.derive.flags import Flag

MAX_BRACKET_MS = 2 * MS_PER_HOUR
_QUARTER = re.compile(r"(\d{4})Q([1-4])")
_MONTHS = 3


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """A quarter of a year, from local midnight to local midnight, the end not in it."""

    year: int
    number: int

    @property
    def next(self) -> Quarter:
        """The one after it."""
        return Quarter(self.year + self.number // 4, self.number % 4 + 1)

    @property
    def first_day(self) -> date:
        """Its first local day."""
        return date(self.year, _MONTHS * (self.number - 1) + 1, 1)

    def bounds_ms(self, zone: tzinfo) -> tuple[int, int]:
        """When it begins and ends, UTC ms."""
        return midnight_ms(self.first_day, zone), midnight_ms(self.next.first_day, zone)

    def __str__(self) -> str:
        return f"{self.year}Q{self.number}"


def quarter(text: str) -> Quarter:
    """The quarter that `2024Q3` names. Raises: OutOfDomain."""
    found = _QUARTER.fullmatch(text)
    if found is None:
        raise OutOfDomain("quarter", text, "a quarter such as 2024Q3")
    return Quarter(int(found[1]), int(found[2]))


class Method(StrEnum):
    """How a boundary was settled."""

    READ = "read"
    INTERPOLATED = "interpolated"
    NEAREST = "nearest"


class Boundary(NamedTuple):
    """What a register or a running total stood at, how that is known, and how far off in time its reading is.

    `bracket_ms` is the time between the two readings of an interpolation, else 0.
    """

    value: Decimal
    method: Method
    offset_ms: int
    bracket_ms: int

    @property
    def flags(self) -> tuple[Flag, ...]:
        """BOUNDARY_OFFSET where the nearest reading had to do."""
        return (Flag.BOUNDARY_OFFSET,) if self.method is Method.NEAREST else ()

    @property
    def offset_h(self) -> Decimal:
        """How much later than the boundary the reading is, h; 0 unless the nearest one had to do."""
        return hours(self.offset_ms)

    @exact
    def doubt_kwh(self, rated_kw: Decimal) -> Decimal:
        """What a pump that started or stopped unseen adds to the uncertainty, kWh, k = 1: evenly within rated power
        times the bracket or the offset.
        """
        return rated_kw * hours(max(self.bracket_ms, abs(self.offset_ms))) / SQRT3


@exact
def settle_boundary(
    series: Sequence[tuple[int, Decimal]], boundary_ms: int, *, max_bracket_ms: int = MAX_BRACKET_MS
) -> Boundary:
    """Where the series (UTC ms, value; ascending times) stood at the boundary.

    A reading on it is taken as it is, else the line between neighbours at most `max_bracket_ms` apart, else the nearest
    reading, the earlier of two equally near ones. Raises: OutOfDomain without readings.
    """
    if not series:
        raise OutOfDomain("readings", "[]", "one reading or more")
    if any(after[0] <= before[0] for before, after in pairwise(series)):
        raise OutOfDomain("readings", "their times", "ascending")
    index = bisect_left(series, boundary_ms, key=lambda reading: reading[0])
    if index < len(series) and series[index][0] == boundary_ms:
        return Boundary(series[index][1], Method.READ, 0, 0)
    if 0 < index < len(series):
        (before_ms, before), (after_ms, after) = series[index - 1], series[index]
        if after_ms - before_ms <= max_bracket_ms:
            part = (boundary_ms - before_ms) * ONE / (after_ms - before_ms)
            return Boundary(before + (after - before) * part, Method.INTERPOLATED, 0, after_ms - before_ms)
    near = series[max(0, index - 1) : index + 1]
    at_ms, value = min(near, key=lambda reading: (abs(reading[0] - boundary_ms), reading[0]))
    return Boundary(value, Method.NEAREST, at_ms - boundary_ms, 0)


class Settled(NamedTuple):
    """A period between two settled boundaries. `energy_kwh` is after the multiplier."""

    start: Boundary
    end: Boundary
    energy_kwh: Decimal

    @property
    def method(self) -> Method:
        """`nearest` if either boundary needed it, else `interpolated`."""
        return Method.NEAREST if Method.NEAREST in (self.start.method, self.end.method) else Method.INTERPOLATED

    @property
    def flags(self) -> tuple[Flag, ...]:
        """The words of both boundaries."""
        return tuple(dict.fromkeys((*self.start.flags, *self.end.flags)))


@exact
def settle_period(
    series: Sequence[tuple[int, Decimal]],
    bounds_ms: tuple[int, int],
    *,
    factor: Decimal = ONE,
    max_bracket_ms: int = MAX_BRACKET_MS,
) -> Settled:
    """The energy between two boundaries of one register without swap or rollover, or of a running total."""
    start, end = (settle_boundary(series, bound, max_bracket_ms=max_bracket_ms) for bound in bounds_ms)
    return Settled(start, end, (end.value - start.value) * factor)
