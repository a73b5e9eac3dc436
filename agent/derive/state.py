"""What `derive` remembers between two rounds of an intake: small, immutable, committed with the readings it led to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from agent.derive.counter import CounterState
from agent.derive.crosscheck import SEEN_MS, Run
from agent.derive.exact import MS_PER_HOUR, ZERO, OutOfDomain, hours, rounded_kwh
from agent.derive.text import from_text, to_text

FORM = 1  # of the text; a later form is not read by an earlier program
_LEARNT_MS = 6 * MS_PER_HOUR  # idle time before the standby power counts as known
_FORGET_MS = 14 * 24 * MS_PER_HOUR  # idle time after which half of what was learnt is forgotten


class Sample(NamedTuple):
    """A sensor's last value (m, MPa, Hz or kW) and when it said so, UTC ms."""

    value: Decimal
    at_ms: int


class Ends(NamedTuple):
    """What the sensors said at one end of an interval, None where they were silent or too old."""

    depth_m: Decimal | None = None
    pressure_mpa: Decimal | None = None
    frequency_hz: Decimal | None = None
    is_running: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """Learns what the site uses while the pump stands, from idle intervals between idle intervals: the first and the
    last one after and before a run may hold a piece of it, so each waits until the next one is idle, too.
    """

    energy_kwh: Decimal = ZERO
    duration_ms: int = 0
    was_idle: bool = False
    waiting_kwh: Decimal = ZERO
    waiting_ms: int = 0

    @property
    def power_kw(self) -> Decimal | None:
        """The mean standby power, None until six idle hours were seen."""
        if self.duration_ms < _LEARNT_MS:
            return None
        return max(ZERO, rounded_kwh(self.energy_kwh / hours(self.duration_ms)))

    def ran(self) -> Standby:
        """After an interval with pumping, or one that says nothing about standby."""
        return replace(self, was_idle=False, waiting_kwh=ZERO, waiting_ms=0)

    def idled(self, energy_kwh: Decimal, duration_ms: int) -> Standby:
        """After an interval without pumping."""
        total_kwh, total_ms = self.energy_kwh + self.waiting_kwh, self.duration_ms + self.waiting_ms
        if total_ms > _FORGET_MS:
            total_kwh, total_ms = rounded_kwh(total_kwh / 2), total_ms // 2
        waiting_kwh, waiting_ms = (rounded_kwh(energy_kwh), duration_ms) if self.was_idle else (ZERO, 0)
        return Standby(
            energy_kwh=total_kwh, duration_ms=total_ms, was_idle=True, waiting_kwh=waiting_kwh, waiting_ms=waiting_ms
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run that has not ended. `inner_…` are the intervals in which the pump ran throughout, none longer than two
    hours; the latest one waits in `latest_…`, since it may prove to be the last. `drop_kwh`: with less energy than this
    it is a short one.
    """

    begin_ms: int
    energy_kwh: Decimal
    volume_m3: Decimal | None
    inner_kwh: Decimal = ZERO
    inner_ms: int = 0
    latest_kwh: Decimal = ZERO
    latest_ms: int = 0
    drop_kwh: Decimal | None = None

    def went_on(
        self, energy_kwh: Decimal, volume_m3: Decimal | None, duration_ms: int, drop_kwh: Decimal | None
    ) -> OpenRun:
        """After one more interval of pumping."""
        known = self.volume_m3 is not None and volume_m3 is not None
        is_inner = self.latest_ms <= SEEN_MS
        return OpenRun(
            begin_ms=self.begin_ms,
            energy_kwh=self.energy_kwh + energy_kwh,
            volume_m3=(self.volume_m3 or ZERO) + (volume_m3 or ZERO) if known else None,
            inner_kwh=self.inner_kwh + self.latest_kwh if is_inner else self.inner_kwh,
            inner_ms=self.inner_ms + self.latest_ms if is_inner else self.inner_ms,
            latest_kwh=energy_kwh,
            latest_ms=max(0, duration_ms),
            drop_kwh=drop_kwh,
        )

    @property
    def is_short(self) -> bool:
        """Whether it ended before the level was stable, as far as its model asks."""
        return self.drop_kwh is not None and self.energy_kwh < self.drop_kwh

    def ended(self, pump: str, end_ms: int) -> Run:
        """The run as the cross-checks want it."""
        return Run(
            pump=pump,
            begin_ms=self.begin_ms,
            end_ms=end_ms,
            energy_kwh=self.energy_kwh,
            volume_m3=self.volume_m3,
            running_h=hours(self.inner_ms),
            running_kwh=self.inner_kwh,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that the next round needs of the earlier ones of an intake.

    `begin` is what the sensors said at the counter's baseline, `seen_ms` when the energy register last spoke,
    `run_h` how long each pump ran since the baseline. `energy_kwh`, `pumping_kwh` and `volume_m3` are the totals since
    the beginning; the volume is the sum of interval volumes, each rounded once.
    """

    form: int = FORM
    counter: CounterState = field(default_factory=CounterState)
    export: Decimal | None = None
    begin: Ends = field(default_factory=Ends)
    depth: Sample | None = None
    pressure: Sample | None = None
    frequency: Sample | None = None
    power: Sample | None = None
    seen_ms: int | None = None
    standby: Standby = field(default_factory=Standby)
    runs: Mapping[str, OpenRun] = field(default_factory=lambda: MappingProxyType({}))
    run_h: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    energy_kwh: Decimal = ZERO
    pumping_kwh: Decimal = ZERO
    volume_m3: Decimal = ZERO

    def to_text(self) -> str:
        """The state as one line of JSON."""
        return to_text(self)

    @staticmethod
    def from_text(text: str) -> State:
        """The state that `to_text` wrote. Raises: OutOfDomain when it is of another form, or no state at all."""
        try:
            state = from_text(State, text)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise OutOfDomain("state", text[:40], "the text of a state") from error
        if state.form != FORM:
            raise OutOfDomain("form", state.form, str(FORM))
        return state
