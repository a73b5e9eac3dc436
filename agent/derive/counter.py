"""The counter state machine: from what a total shows to what it grew by, each step booked once.

Strategy: there is one *baseline*, the last reading that was booked, and what is booked is always the difference to it.
A reading that cannot be true is held and books nothing; the baseline moves only when something is booked, or when an
event or an operator sets it. So whatever happens in between, the booked steps add up to what the register grew by, and
nothing is counted twice. Phases:

    NORMAL     the last reading was booked
    HELD       the last reading jumped or fell; the next one confirms or disproves it
    REVERSE    the register ran back a little, as it can; counting goes on when it is above the baseline again
    FELL       a fall was confirmed and is no rollover: an event or an operator must say what happened
    UNKNOWN    after so long a gap that the number of wraps is not known: an operator must say it

A jump that the next reading confirms is booked whole and flagged: an energy is never thrown away (§9.3-1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from agent.derive.energy import OVERLOAD_FACTOR, with_flags
from agent.derive.exact import MS_PER_HOUR, ONE, ZERO, exact, positive
from agent.derive.flags import Flag


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterSettings:
    """A register: `digits` before the point, `step` its last place, `factor` what a unit stands for (the multiplier).

    `most_per_h` is what it can grow by in an hour, after the factor: rated kW × overload factor, or 1.2·Q4;
    `implausible` is the word for more than that. `back_per_h` is what it can run back by; 0 where it cannot.
    """

    name: str
    digits: int
    step: Decimal
    factor: Decimal
    most_per_h: Decimal
    implausible: Flag = Flag.JUMPED
    back_per_h: Decimal = ZERO

    @property
    def capacity(self) -> Decimal:
        """The first number that the register cannot show."""
        return Decimal(10) ** self.digits


def energy_register(
    name: str,
    *,
    digits: int,
    step: Decimal,
    factor: Decimal,
    rated_kw: Decimal,
    overload_factor: Decimal = OVERLOAD_FACTOR,
) -> CounterSettings:
    """The settings of an energy meter's register (§9.3-1); `factor` is CT × PT, or 1 if the register is primary."""
    return CounterSettings(
        name=name,
        digits=digits,
        step=step,
        factor=positive("factor", factor),
        most_per_h=positive("rated_kw", rated_kw) * positive("overload_factor", overload_factor),
        implausible=Flag.ENERGY_IMPLAUSIBLE,
    )


class Shown(NamedTuple):
    """What the register showed at a time (UTC ms); `source` is the id of the round or event that says so."""

    at_ms: int
    register: Decimal
    source: str


class Phase(StrEnum):
    """Where the machine stands."""

    NORMAL = "NORMAL"
    HELD = "HELD"
    REVERSE = "REVERSE"
    FELL = "FELL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterState:
    """`baseline` is the last booked reading, `factor` the multiplier in force since, `replacements` counts the meters.

    `stepped_back` is the last reading of a register that ran back a little, `doubted` the last one that was not
    believed, `pending` are words for the next booking.
    """

    phase: Phase = Phase.NORMAL
    baseline: Shown | None = None
    factor: Decimal = ONE
    stepped_back: Shown | None = None
    doubted: Shown | None = None
    replacements: int = 0
    pending: tuple[Flag, ...] = ()


class Booking(NamedTuple):
    """What a reading or an event did. `amount` is after the factor, None when nothing can be booked (yet)."""

    begin: Shown
    end: Shown
    factor: Decimal
    amount: Decimal | None
    flags: tuple[Flag, ...]


def is_coarser(written: Decimal, polled: Decimal, step: Decimal = ZERO) -> bool:
    """Whether a number that a person wrote down is below what was polled by no more than its last place, or `step`."""
    place = min(ONE, ONE.scaleb(int(written.as_tuple().exponent)))
    return ZERO < polled - written <= max(place, step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """The meter, its CT or its register was replaced at `at_ms` (§9.3-2). `old_final` None: nobody read it any more.

    A change of CT alone has `new_initial` equal to `old_final`; a reset register keeps its factor. A person reads a
    display, which may have fewer places than what is polled: a final number below the last reading by no more than the
    last place it was written with is that reading.
    """

    at_ms: int
    source: str
    old_final: Decimal | None
    new_initial: Decimal
    new_factor: Decimal
    is_reset: bool = False

    def read_as(self, baseline: Shown, step: Decimal) -> Replaced:
        """The same with the numbers that the old register, of this last place, showed to who polled it."""
        if self.old_final is None:
            return self
        if not is_coarser(self.old_final, baseline.register, step):
            return self
        goes_on = self.new_initial == self.old_final and not self.is_reset
        initial = baseline.register if goes_on else self.new_initial
        return replace(self, old_final=baseline.register, new_initial=initial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """An operator's word on a register that stands at `register`: it passed its capacity `wraps` times since it was
    last booked, or (None) nobody knows, and counting begins anew from here.
    """

    at_ms: int
    source: str
    register: Decimal
    wraps: int | None


Event = Replaced | Decided


@exact
def advance(settings: CounterSettings, shown: Shown, state: CounterState) -> tuple[Booking | None, CounterState]:
    """What one reading books, and the state after it. The first reading ever only sets the baseline (None)."""
    if state.baseline is None:
        return None, replace(state, baseline=shown, factor=settings.factor)
    judged = _Judged(settings, shown, state, state.baseline)
    if state.phase is Phase.UNKNOWN or judged.wraps_unknown:
        return judged.unknown()
    if state.phase is Phase.FELL:
        return judged.after_fall()
    return judged.fallen() if judged.step < 0 else judged.grown()


class _Judged:
    """One reading against the state.

    What is booked is the difference to the baseline; what is possible is judged from the last reading that was
    believed, the baseline or, later, where the register ran back to: time spent waiting makes nothing possible.
    Amounts and times are compared as products, so that nothing is rounded.
    """

    def __init__(self, settings: CounterSettings, shown: Shown, state: CounterState, baseline: Shown) -> None:
        self._settings = settings
        self._shown = shown
        self._state = state
        self._baseline = baseline
        self._believed = state.stepped_back or baseline
        self.step = shown.register - baseline.register
        silent_ms = shown.at_ms - (state.doubted or self._believed).at_ms
        self.wraps_unknown = settings.most_per_h * silent_ms >= settings.capacity * state.factor * MS_PER_HOUR

    def _remarks(self) -> tuple[Flag, ...]:
        """What is to be said whatever becomes of the reading."""
        clock = () if self._shown.at_ms > self._baseline.at_ms else (Flag.CLOCK,)
        changed = (Flag.MULTIPLIER_CHANGED,) if self._settings.factor != self._state.factor else ()
        return clock + changed

    def _can_be(self, step: Decimal, since: Shown) -> bool:
        """Whether the register can have grown by this much since then; two truncated readings differ by up to one last
        place more than what was used. Nothing speaks against it when the time between is not known.
        """
        duration_ms = self._shown.at_ms - since.at_ms
        used = (step - self._settings.step) * self._state.factor
        return duration_ms <= 0 or used * MS_PER_HOUR <= self._settings.most_per_h * duration_ms

    def _goes_on_from(self, earlier: Shown) -> bool:
        """Whether the register can have counted on from there."""
        step = self._shown.register - earlier.register
        return step >= 0 and self._can_be(step, earlier)

    def grown(self) -> tuple[Booking, CounterState]:
        """The reading is at or above the baseline."""
        if self._goes_on_from(self._believed):
            return self._booked(self.step)
        doubted = self._state.doubted
        if doubted is not None and self._baseline.register <= doubted.register <= self._shown.register:
            return self._booked(self.step, self._settings.implausible)
        return self._nothing(Phase.HELD, Flag.JUMPED)

    def fallen(self) -> tuple[Booking, CounterState]:
        """The reading is below the baseline: a rollover, a step back, or a fall to be confirmed."""
        settings, believed, doubted = self._settings, self._believed, self._state.doubted
        if doubted is not None and doubted.register < self._baseline.register and self._goes_on_from(doubted):
            return self._nothing(Phase.FELL, Flag.NEGATIVE_DELTA)
        since = self._shown.register - believed.register
        wrapped = since + settings.capacity
        if since < 0 <= wrapped and self._shown.at_ms > believed.at_ms and self._can_be(wrapped, believed):
            return self._booked(self.step + settings.capacity, Flag.ROLLOVER)
        back = -since * self._state.factor * MS_PER_HOUR
        may_run_back = back <= settings.back_per_h * (self._shown.at_ms - believed.at_ms)
        if self._goes_on_from(believed) or -settings.step <= since < 0 or (since < 0 and may_run_back):
            return self._stepped_back()
        return self._nothing(Phase.HELD, Flag.NEGATIVE_DELTA)

    def after_fall(self) -> tuple[Booking, CounterState]:
        """A confirmed fall is undone only by two readings that go on from the baseline and cannot from the fallen one:
        a new register may climb past the old reading, and one wrong reading must not pass for the old one's return.
        """
        doubted = self._state.doubted
        assert doubted is not None
        if self.step < 0:
            return self._nothing(Phase.FELL, Flag.NEGATIVE_DELTA)
        is_back = self._goes_on_from(self._believed)
        if doubted.register >= self._baseline.register and is_back and self._goes_on_from(doubted):
            return self._booked(self.step)
        is_climbing = doubted.register < self._baseline.register and self._goes_on_from(doubted)
        return self._nothing(Phase.FELL, Flag.NEGATIVE_DELTA, doubt=is_back and not is_climbing)

    def unknown(self) -> tuple[Booking, CounterState]:
        """Nobody knows how often the register passed its capacity."""
        return self._nothing(Phase.UNKNOWN, Flag.WRAPS_UNKNOWN)

    def _stepped_back(self) -> tuple[Booking, CounterState]:
        booking, after = self._nothing(Phase.REVERSE, Flag.NEGATIVE_DELTA, Flag.REVERSE_FLOW)
        return booking, replace(after, stepped_back=self._shown, doubted=None)

    def _nothing(self, phase: Phase, *flags: Flag, doubt: bool = True) -> tuple[Booking, CounterState]:
        """Nothing is booked, the baseline stays; with `doubt` the reading is the one to compare the next one with."""
        state = self._state
        booking = Booking(self._baseline, self._shown, state.factor, None, (*flags, *self._remarks()))
        return booking, replace(state, phase=phase, doubted=self._shown if doubt else state.doubted)

    def _booked(self, step: Decimal, *flags: Flag) -> tuple[Booking, CounterState]:
        """The step is booked, the reading is the new baseline."""
        state = self._state
        words = with_flags(state.pending, flags, self._remarks())
        after = CounterState(baseline=self._shown, factor=state.factor, replacements=state.replacements)
        return Booking(self._baseline, self._shown, state.factor, step * state.factor, words), after


@exact
def settle(settings: CounterSettings, event: Event, state: CounterState) -> tuple[Booking | None, CounterState]:
    """What an event or an operator's decision books, and the state after it: NORMAL, with the baseline it sets.

    An event before the baseline comes too late: it books nothing, changes nothing and says EVENT_LATE; the rounds must
    then be derived again with the event in its place. So does a final reading below the baseline by more than its last
    place.
    """
    baseline = state.baseline
    if baseline is None:
        return None, _restarted(event, state, settings.factor)
    if event.at_ms < baseline.at_ms:
        end = Shown(event.at_ms, baseline.register, event.source)
        return Booking(baseline, end, state.factor, None, (Flag.EVENT_LATE,)), state
    if isinstance(event, Replaced):
        event = event.read_as(baseline, settings.step)
    grown, end, flags = _grown(settings, event, baseline)
    if grown is not None and grown < 0:
        return Booking(baseline, end, state.factor, None, (Flag.NEGATIVE_DELTA,)), state
    amount = None if grown is None else grown * state.factor
    most = settings.most_per_h * (event.at_ms - baseline.at_ms)
    if amount is not None and amount * MS_PER_HOUR > most:
        flags = (*flags, settings.implausible)
    words = with_flags(state.pending, flags)
    return Booking(baseline, end, state.factor, amount, words), _restarted(event, state, state.factor)


def _grown(settings: CounterSettings, event: Event, baseline: Shown) -> tuple[Decimal | None, Shown, tuple[Flag, ...]]:
    """What the old register grew by until the event, where it then stood, and the words for it."""
    if isinstance(event, Decided):
        end = Shown(event.at_ms, event.register, event.source)
        if event.wraps is None:
            return None, end, (Flag.REGISTER_RESET,)
        grown = event.register - baseline.register + event.wraps * settings.capacity
        return grown, end, (Flag.ROLLOVER,) if event.wraps else ()
    word = Flag.REGISTER_RESET if event.is_reset else Flag.METER_SWAP
    final = event.old_final
    end = Shown(event.at_ms, baseline.register if final is None else final, event.source)
    return None if final is None else final - baseline.register, end, (word,)


def _restarted(event: Event, state: CounterState, factor: Decimal) -> CounterState:
    """The state with the baseline that the event sets."""
    if isinstance(event, Decided):
        shown = Shown(event.at_ms, event.register, event.source)
        begins_anew = event.wraps is None
        pending: tuple[Flag, ...] = (Flag.REGISTER_RESET,) if begins_anew else ()
    else:
        shown, factor = Shown(event.at_ms, event.new_initial, event.source), event.new_factor
        begins_anew = True
        pending = (Flag.REGISTER_RESET if event.is_reset else Flag.METER_SWAP,)
    return CounterState(baseline=shown, factor=factor, replacements=state.replacements + begins_anew, pending=pending)
