"""What the rules need to know of an intake, worked out once from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from agent.derive.exact import CONTEXT, ONE, ZERO, exact, local_day, midnight_ms
from agent.intakes.settings import Channel, EnergySource, IntakeSettings, SourceType, Use, WaterSource
from agent.rules.table import RULES_BY_ID, Limits, limits_of

_Q4_OF_Q3 = Decimal("1.25")  # ISO 4064-1
_Q4_OF_RATED = Decimal("1.3")  # metering guideline M7: Q4, else 1.25·Q3, else pump rated × 1.3
_LOW_OF_Q3 = Decimal("0.01")  # ours: below it no flow is sure, where neither starting flow nor Q1 is known
_PUMP_ON_H = Decimal("0.25")  # M7: pump_on_kwh is what the pump uses in 15 min
_DEFAULT_PERIOD_MS = 60_000
_STEP_DIGITS = 6


class LocalDay(NamedTuple):
    """A local day from its midnight to the next (UTC ms), and the intake's declared status on it."""

    day: date
    begin_ms: int
    end_ms: int
    use: Use


class Calendar:
    """The local days of an intake; the last one asked for is remembered, since nearly all questions are about it."""

    def __init__(self, settings: IntakeSettings) -> None:
        self._settings = settings
        self._last = LocalDay(date.min, 0, 0, Use.IN_USE)

    def at(self, at_ms: int) -> LocalDay:
        """The local day that an instant lies in."""
        if not self._last.begin_ms <= at_ms < self._last.end_ms:
            zone = self._settings.zone
            day = local_day(at_ms, zone)
            end_ms = midnight_ms(day + timedelta(days=1), zone)
            self._last = LocalDay(day, midnight_ms(day, zone), end_ms, self._settings.use_on(day))
        return self._last


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSite:
    """An intake as its rules see it. Flows in m³/h, None where nothing tells them.

    `flow_meters` count its water or only check it; `wanted` are the quantities that each meter owes; `place` is how
    findings name the intake. Pumps run from `running_kw` on, which is compared with the power that the meter tells
    times `power_factor`: a secondary meter tells it without CT × PT.
    """

    settings: IntakeSettings
    calendar: Calendar
    place: str
    limits: Mapping[str, Limits]
    wanted: Mapping[str, frozenset[str]]
    flow_meters: tuple[WaterSource, ...]
    q1_m3h: Decimal | None
    q3_m3h: Decimal | None
    q4_m3h: Decimal | None
    low_m3h: Decimal
    running_kw: Decimal | None
    power_factor: Decimal
    pump_on_kwh: Decimal | None

    def period_ms(self, meter: str) -> int:
        """How often the meter is polled."""
        return self.settings.periods_ms.get(meter, _DEFAULT_PERIOD_MS)

    def day(self, at_ms: int) -> date:
        """The local day of an instant."""
        return self.calendar.at(at_ms).day

    def use_at(self, at_ms: int) -> Use:
        """Its declared status."""
        return self.calendar.at(at_ms).use

    @property
    def power(self) -> Channel | None:
        """What tells the live power of its pumps."""
        energy = self.settings.energy
        return None if energy is None else energy.power

    def in_season(self, day: date) -> bool:
        """Whether the day lies in the irrigation season, which may reach over the new year; all year without one."""
        if self.settings.season is None:
            return True
        first, last = self.settings.season
        now = (day.month, day.day)
        return first <= now <= last if first <= last else now >= first or now <= last

    @property
    def is_well(self) -> bool:
        """Whether it is a farm well: idle between waterings, so that a shorter zero is long in its season."""
        return self.settings.source is SourceType.GROUND and self.settings.obligation.category == "well"


@exact
def site_of(settings: IntakeSettings) -> RuleSite:
    """The intake as its rules see it."""
    flows, energy = settings.range, settings.energy
    rated = None if energy is None else _rated_m3h(energy)
    q4 = flows.q4_m3h or None
    if q4 is None and flows.q3_m3h:
        q4 = flows.q3_m3h * _Q4_OF_Q3
    if q4 is None and rated is not None:
        q4 = rated * _Q4_OF_RATED
    q3 = flows.q3_m3h or (None if q4 is None else q4 / _Q4_OF_Q3)
    low = next((flow for flow in (flows.start_m3h, flows.q1_m3h) if flow is not None), None)
    return RuleSite(
        settings=settings,
        calendar=Calendar(settings),
        place=f"intake/{settings.name}",
        limits={name: limits_of(rule, settings.rules.get(name)) for name, rule in RULES_BY_ID.items()},
        wanted=_wanted(settings),
        flow_meters=(*settings.water, *settings.check_meters),
        q1_m3h=flows.q1_m3h,
        q3_m3h=q3,
        q4_m3h=q4,
        low_m3h=low if low is not None else (q3 or ZERO) * _LOW_OF_Q3,
        running_kw=None if energy is None else energy.pump_on_fraction * energy.rated_kw,
        power_factor=ONE if energy is None else _power_factor(energy),
        pump_on_kwh=None if energy is None else energy.rated_kw * _PUMP_ON_H,
    )


def _power_factor(energy: EnergySource) -> Decimal:
    is_own = energy.power is not None and energy.power.meter == energy.meter
    return energy.ct_ratio * energy.pt_ratio if is_own and not energy.register_is_primary else ONE


def _rated_m3h(energy: EnergySource) -> Decimal | None:
    flows = [pump.rated_m3h for pump in energy.pumps]
    known = [flow for flow in flows if flow]
    return sum(known, ZERO) if known and len(known) == len(flows) else None


def _wanted(settings: IntakeSettings) -> Mapping[str, frozenset[str]]:
    wanted: dict[str, set[str]] = {}
    for source in (*settings.water, *settings.check_meters):
        wanted.setdefault(source.meter, set()).add(source.quantity)
    energy = settings.energy
    channels = list(settings.heads)
    if energy is not None:
        wanted.setdefault(energy.meter, set()).add(energy.quantity)
        several = (energy.power, energy.depth, energy.pressure, energy.frequency)
        channels += [channel for channel in several if channel is not None]
        channels += [pump.running for pump in energy.pumps if pump.running is not None]
    for channel in channels:
        wanted.setdefault(channel.meter, set()).add(channel.quantity)
    return {meter: frozenset(quantities) for meter, quantities in wanted.items()}


@exact
def told(value: Decimal) -> str:
    """A number in the evidence of a finding, at most six decimals."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_STEP_DIGITS:
        value = value.quantize(Decimal(1).scaleb(-_STEP_DIGITS), context=CONTEXT)
    return f"{value.normalize():f}"
