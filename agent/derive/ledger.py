"""All coefficients of a pump, and which of them converts which part of an interval (§9.1 preference, §9.3-5, -6, -7).

A later version of a coefficient takes the place of the earlier ones from its own `valid_from` on. For each part the
first usable one is taken: among those in force a head model, then a model of this well, then the region's; when none in
force is usable, the one that ended last, in its expired state. What is not the first choice says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from agent.derive.coefficient import Coefficient, CoefficientState, state_on
from agent.derive.exact import OutOfDomain, hours, local_day, midnight_ms
from agent.derive.flags import Flag
from agent.derive.models import Curve, Dated, Slice, Tier

_STATE_FLAGS = {
    CoefficientState.DUE_SOON: Flag.DUE_SOON,
    CoefficientState.EXPIRED_GRACE: Flag.EXPIRED_GRACE,
    CoefficientState.EXPIRED: Flag.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Force:
    """A coefficient and when it is in force: local days, UTC ms, half-open; None is open."""

    coefficient: Coefficient
    valid_to: date | None
    begin_ms: int | None
    end_ms: int | None

    def covers(self, begin_ms: int, end_ms: int) -> bool:
        """Whether it is in force during all of it."""
        return (self.begin_ms is None or self.begin_ms <= begin_ms) and (self.end_ms is None or end_ms <= self.end_ms)

    def state_at(self, day: date) -> CoefficientState:
        """Its state on a local day; a later version may have ended it before its own date."""
        record = self.coefficient
        valid_from = None if self.begin_ms is None else record.valid_from
        return state_on(day, valid_from, self.valid_to, warn_days=record.warn_days, grace_days=record.grace_days)


class Choice(NamedTuple):
    """The coefficient for a part, None when there is only energy, and the words about the choice."""

    coefficient: Coefficient | None
    flags: tuple[Flag, ...]

    @property
    def is_expired(self) -> bool:
        """Whether the coefficient is no longer in force, and converts for want of another."""
        return Flag.EXPIRED_GRACE in self.flags or Flag.EXPIRED in self.flags


class Span(NamedTuple):
    """A part of an interval, in which one coefficient (of one season) is in force, or none is any more."""

    begin_ms: int
    end_ms: int


class Timeline:
    """Which coefficient is in force when."""

    def __init__(self, forces: Iterable[Force], *, zone: tzinfo) -> None:
        self.zone = zone
        self._forces = tuple(force for force in forces if not _is_empty(force))

    def changes(self, begin_ms: int, end_ms: int) -> list[int]:
        """The instants inside an interval at which another coefficient or season may begin, ascending."""
        found = {edge for force in self._forces for edge in (force.begin_ms, force.end_ms) if edge is not None}
        years = range(local_day(begin_ms, self.zone).year, local_day(end_ms, self.zone).year + 1)
        for force in self._forces:
            model = force.coefficient.model
            if isinstance(model, Dated):
                found.update(midnight_ms(day, self.zone) for year in years for day in model.begins_in(year))
        return sorted(edge for edge in found if begin_ms < edge < end_ms)

    def spans(self, begin_ms: int, end_ms: int, part: Slice) -> list[tuple[Span, Choice]]:
        """The parts of an interval and the coefficient of each; neighbours with the same one in force are one part.

        Where a coefficient ends and none follows, what lies behind its end is a part of its own (§9.3-5): the same
        coefficient converts it, in its expired state, and vouchers leave out that part alone.
        `part` is the whole interval, to ask each model whether it can convert what it says in that time.
        """
        edges = [begin_ms, *self.changes(begin_ms, end_ms), end_ms] if begin_ms < end_ms else [end_ms, end_ms]
        spans: list[tuple[Span, Choice]] = []
        for begin, end in pairwise(edges):
            choice = self.choose(begin, end, part._replace(duration_h=hours(end - begin)))
            if spans and self._same(spans[-1][1], spans[-1][0], choice, begin):
                flags = tuple(dict.fromkeys((*spans[-1][1].flags, *choice.flags)))
                spans[-1] = (Span(spans[-1][0].begin_ms, end), Choice(choice.coefficient, flags))
            else:
                spans.append((Span(begin, end), choice))
        return spans

    def _same(self, before: Choice, span: Span, after: Choice, begin_ms: int) -> bool:
        if before.coefficient is not after.coefficient or before.is_expired != after.is_expired:
            return False
        model = None if after.coefficient is None else after.coefficient.model
        if isinstance(model, Dated):
            return model.tc_on(local_day(span.begin_ms, self.zone)) == model.tc_on(local_day(begin_ms, self.zone))
        return True

    def choose(self, begin_ms: int, end_ms: int, part: Slice) -> Choice:
        """The coefficient for a span inside which none begins or ends."""
        covering = sorted((f for f in self._forces if f.covers(begin_ms, end_ms)), key=_preference)
        usable = [force for force in covering if force.coefficient.model.is_usable(part)]
        flags = _fallbacks(covering, usable)
        if not usable:
            ended = [force for force in self._forces if force.end_ms is not None and force.end_ms <= begin_ms]
            ended = [force for force in ended if force.coefficient.model.is_usable(part)]
            usable = sorted(ended, key=lambda force: (-(force.end_ms or 0), _preference(force)))
        if not usable:
            word = Flag.NO_COEFFICIENT if covering or not self._forces else Flag.NOT_YET_VALID
            return Choice(None, (*flags, word))
        force = usable[0]
        word_of_state = _STATE_FLAGS.get(force.state_at(local_day(begin_ms, self.zone)))
        return Choice(force.coefficient, flags if word_of_state is None else (*flags, word_of_state))


class Ledger:
    """The coefficients of one pump in one delivery mode, all versions. Immutable."""

    def __init__(self, records: Iterable[Coefficient], *, zone: tzinfo, has_gaps: bool = False) -> None:
        """`zone` says when days begin; `has_gaps`: versions may be missing, since they do not count yet.

        Raises: OutOfDomain when versions do not rise (one by one) or modes differ.
        """
        self.records = tuple(records)
        self.zone = zone
        _judge(self.records, has_gaps=has_gaps)
        self.timeline = Timeline(map(self._force, self.records), zone=zone)

    def appended(self, record: Coefficient) -> Ledger:
        """The ledger with one more version. Raises: OutOfDomain when it is not the next one."""
        return Ledger((*self.records, record), zone=self.zone)

    def _force(self, record: Coefficient) -> Force:
        later = [other for other in self.records if other.id == record.id and other.version > record.version]
        ends = [other.valid_from or date.min for other in later]
        if record.valid_to is not None:
            ends.append(record.valid_to)
        valid_to = min(ends, default=None)
        begin_ms = None if record.valid_from is None else midnight_ms(record.valid_from, self.zone)
        if valid_to == date.min:
            return Force(record, record.valid_from, 0, 0)  # replaced from the beginning of time
        return Force(record, valid_to, begin_ms, None if valid_to is None else midnight_ms(valid_to, self.zone))


def _preference(force: Force) -> tuple[Tier, int, str]:
    """Head models first, then the youngest."""
    return force.coefficient.model.tier, -(force.begin_ms or 0), force.coefficient.id


def _fallbacks(covering: Sequence[Force], usable: Sequence[Force]) -> tuple[Flag, ...]:
    """The words for the models in force that would have come first and could not be used."""
    first = covering.index(usable[0]) if usable else len(covering)
    passed = [force.coefficient.model for force in covering[:first]]
    flags = []
    if any(model.tier is Tier.HEAD for model in passed):
        flags.append(Flag.HEAD_FALLBACK)
    if any(isinstance(model, Curve) for model in passed):
        flags.append(Flag.CURVE_FALLBACK)
    return tuple(flags)


def _is_empty(force: Force) -> bool:
    return force.begin_ms is not None and force.end_ms is not None and force.end_ms <= force.begin_ms


def _judge(records: Sequence[Coefficient], *, has_gaps: bool) -> None:
    last: dict[str, int] = {}
    for record in records:
        next_version = last.get(record.id, record.version - 1) + 1
        if record.version < next_version or (record.version > next_version and not has_gaps):
            raise OutOfDomain("version", record.name, f"the next one after {record.id}@{last[record.id]}")
        last[record.id] = record.version
    if len({record.delivery_mode for record in records}) > 1:
        raise OutOfDomain("delivery_mode", {record.delivery_mode for record in records}, "one and the same")


def age_years(coefficient: Coefficient, begin_ms: int, end_ms: int, zone: tzinfo) -> Decimal:
    """Years from the calibration to the middle of a span, never below 0; 0 when no date is known."""
    if coefficient.tested_on is None:
        return Decimal(0)
    middle_ms = (begin_ms + end_ms) // 2
    year_ms = timedelta(days=365.25) // timedelta(milliseconds=1)
    return max(Decimal(0), Decimal(middle_ms - midnight_ms(coefficient.tested_on, zone)) / year_ms)
