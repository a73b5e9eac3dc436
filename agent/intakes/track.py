"""One register of an intake, followed through its readings: what each booked, and where its totals stood at each hour.

Strategy: `derive` books from baseline to baseline; a track keeps the last booked reading with the totals there, so that
every full local hour lies between two booked readings exactly once. There it is settled, once and for both sides: by
the reading on it, by the line between readings at most two hours apart, else by the nearest one (§9.5). Beside that
stands the view for hourly figures, which is the line also over a longer gap (§9.3-8: pro rata, only in hourly views).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta, tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from agent.derive.boundary import Boundary, Method, settle_boundary
from agent.derive.convert import Part
from agent.derive.counter import CounterState, Decided, Replaced, Shown
from agent.derive.crosscheck import Run
from agent.derive.energy import with_flags
from agent.derive.exact import (
    CONTEXT,
    MS_PER_HOUR,
    ONE,
    SQRT3,
    ZERO,
    exact,
    local_day,
    midnight_ms,
    rounded_kwh,
    rounded_m3,
    utc,
)
from agent.derive.flags import Flag
from agent.derive.interval import derive
from agent.derive.metered import MeteredSite, MeteredState, derive_metered
from agent.derive.models import Sensed
from agent.derive.site import Observation, Site
from agent.derive.state import State
from agent.derive.uncertainty import Groups, Share, between, plus

_MS = timedelta(milliseconds=1)
_EVERY_HOUR_MS = 7 * 24 * MS_PER_HOUR
_FARTHEST_MS = 4000 * 24 * MS_PER_HOUR  # more than ten years: what a clock set wrongly can cost
_NO_SUMS: Groups = MappingProxyType({})


class Totals(NamedTuple):
    """What a register gave since its account began: water, energy and the part of it that pumped; m³, kWh."""

    volume_m3: Decimal = ZERO
    energy_kwh: Decimal = ZERO
    pumping_kwh: Decimal = ZERO

    @exact
    def plus(self, other: Totals) -> Totals:
        """Both together."""
        return Totals(*(one + two for one, two in zip(self, other, strict=True)))


class Point(NamedTuple):
    """A booked reading: its round, its time, what the register showed, the totals with it."""

    number: int
    id: str
    at_ms: int
    register: Decimal
    totals: Totals


class Settled(NamedTuple):
    """Where a register's totals stood at a full hour, from the booked readings around it.

    `view_m3` is the volume in hourly views. `doubt_m3` (k = 1) is what a pump that started or stopped unseen between
    the two readings adds to the uncertainty. `is_known` is false where the register had not spoken again in time.
    """

    at_ms: int
    before: Point | None
    after: Point | None
    totals: Totals
    view_m3: Decimal
    method: str
    offset_ms: int
    bracket_ms: int
    doubt_m3: Decimal
    tally: Groups
    flags: tuple[Flag, ...]
    is_known: bool = True


class Booked(NamedTuple):
    """What a reading or an event did to a register: amounts are None when it booked nothing (yet), u is k = 1."""

    begin: Shown
    end: Shown
    factor: Decimal
    volume_m3: Decimal | None
    energy_kwh: Decimal | None
    pumping_kwh: Decimal | None
    u_m3: Decimal | None
    flags: tuple[Flag, ...]
    parts: tuple[Part, ...] = ()
    sensed: Sensed | None = None
    ended: tuple[Run, ...] = ()

    @property
    @exact
    def held(self) -> Decimal | None:
        """What the register grew by, m³ or kWh, where that was not booked; None where it was."""
        if self.volume_m3 is not None or self.energy_kwh is not None:
            return None
        return (self.end.register - self.begin.register) * self.factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What is remembered of a register: `metered` or `pumped` is the state of `derive`.

    `point` is the last booked reading, `tally` its uncertainty so far, `first_ms` and `next_ms` the first and the next
    hour to settle, `hours` those that wait for the closing, `flags` the words of the hour that is not over.
    """

    metered: MeteredState | None = None
    pumped: State | None = None
    point: Point | None = None
    tally: Groups = field(default_factory=lambda: _NO_SUMS)
    first_ms: int | None = None
    next_ms: int | None = None
    hours: tuple[Settled, ...] = ()
    flags: tuple[Flag, ...] = ()

    def rewound(self) -> Track:
        """Its hours are settled anew from the next booked reading on, its water goes on."""
        return replace(self, first_ms=None, next_ms=None, hours=(), flags=())

    @property
    def counter(self) -> CounterState:
        """Where the counter state machine stands."""
        state = self.metered or self.pumped
        return CounterState() if state is None else state.counter

    @property
    def seen_ms(self) -> int | None:
        """When the register last spoke."""
        state = self.metered or self.pumped
        return None if state is None else state.seen_ms

    @property
    def totals(self) -> Totals:
        """What it gave so far."""
        if self.metered is not None:
            return Totals(self.metered.volume_m3)
        state = self.pumped
        return Totals() if state is None else Totals(state.volume_m3, state.energy_kwh, state.pumping_kwh)


class Place(NamedTuple):
    """What a register's hours depend on: the zone, the most that it can grow by in an hour (m³ or kWh)."""

    zone: tzinfo
    most_per_h: Decimal


@exact
def read_water(
    site: MeteredSite, place: Place, given: Shown | Replaced | Decided, track: Track, number: int
) -> tuple[Booked | None, Track]:
    """A flow meter's reading, or an event, and the track after it. `number` is the round's that is being heard."""
    intervals, state = derive_metered(site, given, track.metered or MeteredState())
    after = replace(track, metered=state)
    if not intervals:
        return None, _moved(place, track, after, _Word(number))
    interval = intervals[0]
    shares = () if interval.share is None else (interval.share,)
    booked = Booked(
        begin=interval.begin,
        end=interval.end,
        factor=track.counter.factor,
        volume_m3=interval.volume_m3,
        energy_kwh=None,
        pumping_kwh=None,
        u_m3=interval.u_m3,
        flags=interval.flags,
    )
    return booked, _moved(place, track, after, _Word(number, shares, booked.flags))


@exact
def read_energy(
    site: Site, place: Place, given: Observation | Replaced | Decided, track: Track, number: int
) -> tuple[Booked | None, Track]:
    """What a round says about an energy meter, or an event, and the track after it."""
    intervals, state = derive(site, given, track.pumped or State())
    after = replace(track, pumped=state)
    if not intervals:
        return None, _moved(place, track, after, _Word(number))
    interval = intervals[0]
    shares = tuple(part.share for part in interval.parts if part.share is not None)
    booked = Booked(
        begin=interval.begin,
        end=interval.end,
        factor=interval.multiplier,
        volume_m3=interval.volume_m3,
        energy_kwh=interval.energy_kwh,
        pumping_kwh=interval.pumping_kwh,
        u_m3=interval.u_m3,
        flags=interval.flags,
        parts=interval.parts,
        sensed=interval.sensed,
        ended=interval.ended,
    )
    return booked, _moved(place, track, after, _Word(number, shares, booked.flags))


class _Word(NamedTuple):
    """What came with a reading: its round's number, what it booked, the words for it."""

    number: int
    shares: tuple[Share, ...] = ()
    flags: tuple[Flag, ...] = ()


def _moved(place: Place, before: Track, after: Track, word: _Word) -> Track:
    """The track with the hours that the new baseline settles; unchanged but for its words while the baseline stays."""
    baseline, flags = after.counter.baseline, word.flags
    if baseline is None or baseline == before.counter.baseline:
        return replace(after, flags=with_flags(before.flags, flags)) if flags else after
    point = Point(word.number, baseline.source, baseline.at_ms, baseline.register, after.totals)
    tally = plus(before.tally, word.shares) if any(share.energy_kwh for share in word.shares) else before.tally
    bracket = _Bracket(before, point, tally)
    words = with_flags(before.flags, flags)
    next_ms = before.next_ms if before.next_ms is not None else full_hour(point.at_ms, place.zone)
    first_ms = next_ms if before.first_ms is None else before.first_ms
    hours: list[Settled] = []
    for at_ms in _hours(next_ms, point.at_ms, place.zone):
        hours.append(_settled(place, bracket, at_ms, words))
        words = flags
    if hours and hours[-1].at_ms == point.at_ms:
        words = ()
    return replace(
        after,
        point=point,
        tally=tally,
        first_ms=first_ms,
        next_ms=max(next_ms, full_hour(point.at_ms + 1, place.zone)),
        hours=(*before.hours, *hours),
        flags=words,
    )


def _hours(first_ms: int, last_ms: int, zone: tzinfo) -> list[int]:
    """The full hours to settle until then; of a long silence only the midnights, as far back as anybody asks."""
    if last_ms - first_ms <= _EVERY_HOUR_MS:
        return list(range(first_ms, last_ms + 1, MS_PER_HOUR))
    at_ms = next_midnight(max(first_ms, last_ms - _FARTHEST_MS), zone)
    found = []
    while at_ms <= last_ms:
        found.append(at_ms)
        at_ms = next_midnight(at_ms + 1, zone)
    return found


class _Bracket(NamedTuple):
    """The track before a booking, the reading it led to, and the tally there."""

    before: Track
    point: Point
    tally: Groups


def _settled(place: Place, bracket: _Bracket, at_ms: int, flags: tuple[Flag, ...]) -> Settled:
    """The hour between the last booked reading and this one."""
    before, point, tally = bracket
    last = before.point
    if last is None or point.at_ms == at_ms or last.at_ms >= point.at_ms:
        totals = point.totals
        return Settled(at_ms, last, point, totals, totals.volume_m3, Method.READ, 0, 0, ZERO, tally, flags)
    grown = [new - old for old, new in zip(last.totals, point.totals, strict=True)]
    line = CONTEXT.divide(Decimal(at_ms - last.at_ms), Decimal(point.at_ms - last.at_ms))
    found = settle_boundary([(last.at_ms, ZERO), (point.at_ms, ONE)], at_ms)
    return Settled(
        at_ms=at_ms,
        before=last,
        after=point,
        totals=_totals_at(last.totals, grown, found.value),
        view_m3=_totals_at(last.totals, grown, line).volume_m3,
        method=found.method,
        offset_ms=found.offset_ms,
        bracket_ms=found.bracket_ms,
        doubt_m3=_doubt_m3(found, place.most_per_h, grown, is_metered=before.pumped is None),
        tally=between(before.tally, tally, found.value),
        flags=with_flags(flags, found.flags),
    )


def _totals_at(last: Totals, grown: list[Decimal], part: Decimal) -> Totals:
    volume, energy, pumping = (old + step * part for old, step in zip(last, grown, strict=True))
    return Totals(rounded_m3(volume), rounded_kwh(energy), rounded_kwh(pumping))


def _doubt_m3(boundary: Boundary, most_per_h: Decimal, grown: list[Decimal], *, is_metered: bool) -> Decimal:
    """Rated power (or Q4) times the time that is not known, but never more than what was booked between the readings,
    evenly distributed.
    """
    volume, _, pumping = grown
    amount = volume if is_metered else pumping
    if amount <= 0:
        return ZERO
    most = min(boundary.doubt_kwh(most_per_h), amount / SQRT3)
    return rounded_m3(most * volume / amount)


@exact
def settled_without(place: Place, track: Track, at_ms: int) -> tuple[Settled, Track]:
    """The hour of a register that has not spoken again for too long: as it stood, which is not known to be true."""
    point = track.point
    assert point is not None
    boundary = Boundary(ZERO, Method.NEAREST, point.at_ms - at_ms, 0)
    ratio = ONE
    if track.pumped is not None:
        ratio = point.totals.volume_m3 / point.totals.pumping_kwh if point.totals.pumping_kwh else ZERO
    doubt_m3 = rounded_m3(boundary.doubt_kwh(place.most_per_h) * ratio)
    flags = with_flags(track.flags, (Flag.GAP, Flag.BOUNDARY_OFFSET))
    totals = point.totals
    settled = Settled(
        at_ms, point, None, totals, totals.volume_m3, Method.NEAREST, boundary.offset_ms, 0, doubt_m3, track.tally,
        flags, is_known=False,
    )  # fmt: skip
    return settled, replace(track, next_ms=at_ms + MS_PER_HOUR, flags=())


def full_hour(at_ms: int, zone: tzinfo) -> int:
    """The first full local hour at or after this instant, UTC ms."""
    offset = (utc(at_ms).astimezone(zone).utcoffset() or timedelta()) // _MS
    return -(-(at_ms + offset) // MS_PER_HOUR) * MS_PER_HOUR - offset


def is_midnight(at_ms: int, zone: tzinfo) -> bool:
    """Whether a local day begins here."""
    return midnight_ms(local_day(at_ms, zone), zone) == at_ms


def next_midnight(at_ms: int, zone: tzinfo) -> int:
    """The first local midnight at or after this instant, UTC ms."""
    if is_midnight(at_ms, zone):
        return at_ms
    return midnight_ms(local_day(at_ms, zone) + timedelta(days=1), zone)


def event_of(
    declared_at_ms: int, source: str, body: Mapping[str, object], kind: str, factor: Decimal
) -> Replaced | Decided:
    """A replacement or an operator's decision, as the ledger has it, for `derive`.

    `factor` is the multiplier in force, which stays where the body names no other.
    """
    if kind == "decision":
        wraps = body.get("wraps")
        return Decided(
            at_ms=declared_at_ms,
            source=source,
            register=Decimal(str(body["register"])),
            wraps=None if wraps is None else int(str(wraps)),
        )
    final, new_factor = body.get("old_final"), body.get("multiplier")
    return Replaced(
        at_ms=declared_at_ms,
        source=source,
        old_final=None if final is None else Decimal(str(final)),
        new_initial=Decimal(str(body["new_initial"])),
        new_factor=factor if new_factor is None else Decimal(str(new_factor)),
        is_reset=bool(body.get("reset")),
    )
