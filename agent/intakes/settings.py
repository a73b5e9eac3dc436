"""What the configuration says about intakes, as plain frozen data in units. Pure: neither YAML nor pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, tzinfo
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from agent.derive.energy import OVERLOAD_FACTOR, PUMP_ON_FRACTION
from agent.derive.exact import ONE, ZERO


class SourceType(StrEnum):
    """Where the water comes from (metering archive, `source_type`)."""

    SURFACE = "surface"
    GROUND = "ground"
    RECYCLED = "recycled"


class Use(StrEnum):
    """The declared status of an intake (action plan: 在用, 应急备用, 封存)."""

    IN_USE = "in_use"
    STANDBY = "standby"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """From the beginning of local day `since` (None: from the beginning of time) the intake is in this use."""

    use: Use
    since: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """A withdrawal permit. `plan_m3` has 4 (quarters), 12 (months) or no parts; `valid_until` is its last valid day."""

    number: str
    holder: str = ""
    annual_m3: Decimal | None = None
    plan_m3: tuple[Decimal, ...] = ()
    valid_from: date | None = None
    valid_until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """What decides whether an intake must report on-line: its class and the thresholds in force where it lies.

    `category` is `industry`, `domestic`, `service`, `irrigation_head` (of an irrigation district), `well` (farm
    irrigation) or `transfer`. Source: metering guideline sheet §1.1 rows 6–8, §1.5.
    """

    category: str = "well"
    area_mu: Decimal | None = None
    surface_m3: Decimal = Decimal(500_000)
    ground_m3: Decimal = Decimal(50_000)
    head_mu: Decimal = Decimal(50_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The flows an intake's meter is made for, m³/h (ISO 4064: Q1, Q3, Q4), and its starting flow; None: not known."""

    q1_m3h: Decimal | None = None
    q3_m3h: Decimal | None = None
    q4_m3h: Decimal | None = None
    start_m3h: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipe:
    """The pipe at the meter: nominal diameter in mm, straight lengths before and behind it in cm."""

    dn_mm: Decimal | None = None
    material: str = ""
    up_cm: Decimal | None = None
    down_cm: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A verification or calibration certificate; `valid_until` is its last valid day."""

    number: str = ""
    issued: date | None = None
    valid_until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterSource:
    """A flow meter of an intake: `digits` before the point, `step_m3` its last place, `class_pct` its class in %."""

    meter: str
    quantity: str = "volume_forward"
    digits: int = 9
    step_m3: Decimal = Decimal("0.001")
    factor: Decimal = ONE
    class_pct: Decimal = Decimal(2)
    back_m3h: Decimal = ZERO
    serial: str = ""
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A quantity of a meter: what a head model, a run detector or a rule listens to.

    A depth may come from a `level`: it is `datum_m`, the level of what depths are measured from, less that level.
    """

    meter: str
    quantity: str
    datum_m: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpSource:
    """One pump on an energy meter. `coefficients` are the ids of its coefficient records; `running_kw` its power.

    `running` is a channel whose power (or flow) tells how long it ran, needed where several pumps share the meter.
    `rated_m3h` is the flow on its nameplate, or the well's yield where that is less; None: not known.
    """

    id: str
    coefficients: tuple[str, ...]
    running_kw: Decimal
    running: Channel | None = None
    rated_m3h: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySource:
    """The energy meter of an intake without a flow meter, and what hangs on it. Powers in kW.

    `multiplier` is CT × PT, 1 where the register is primary; `standby_kw` None: learnt; `head_m` is the range of total
    head, which says what coefficients are possible.
    """

    meter: str
    pumps: tuple[PumpSource, ...]
    rated_kw: Decimal
    quantity: str = "energy_import"
    digits: int = 6
    step_kwh: Decimal = Decimal("0.01")
    ct_ratio: Decimal = ONE
    pt_ratio: Decimal = ONE
    register_is_primary: bool = False
    class_pct: Decimal = Decimal(1)
    ct_class_pct: Decimal = ZERO
    overload_factor: Decimal = OVERLOAD_FACTOR
    pump_on_fraction: Decimal = PUMP_ON_FRACTION
    aux_kw: Decimal = ZERO
    standby_kw: Decimal | None = None
    head_m: tuple[Decimal, Decimal] | None = None
    power: Channel | None = None
    depth: Channel | None = None
    pressure: Channel | None = None
    frequency: Channel | None = None
    serial: str = ""
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """What a site sets of a quality rule; None: the rule's own default. `hold_off_s` in seconds."""

    enabled: bool = True
    suspect: Decimal | None = None
    fail: Decimal | None = None
    hold_off_s: Decimal | None = None
    min_samples: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    """An intake: what permits and platforms know. Its water is the sum of `water`, or comes from `energy`.

    With both, `water` counts and `energy` is the cross-check; `check_meters` are flow meters that only check.
    `season` are (month, day) pairs, first and last day of the irrigation season, None: all year. `periods_ms` is the
    poll period of each meter it listens to. `water_zone` is the groundwater zone it lies in: `normal`, `overdraft`,
    `restricted` or `banned` (metering archive, `zone`).
    """

    name: str
    code: str
    title: str
    zone: tzinfo
    source: SourceType = SourceType.GROUND
    aquifer: str = ""
    water_zone: str = "normal"
    permit: Permit | None = None
    statuses: tuple[StatusChange, ...] = ()
    obligation: Obligation = field(default_factory=Obligation)
    range: Range = field(default_factory=Range)
    pipe: Pipe = field(default_factory=Pipe)
    season: tuple[tuple[int, int], tuple[int, int]] | None = None
    water: tuple[WaterSource, ...] = ()
    energy: EnergySource | None = None
    check_meters: tuple[WaterSource, ...] = ()
    heads: tuple[Channel, ...] = ()
    rules: Mapping[str, RuleSettings] = field(default_factory=lambda: MappingProxyType({}))
    periods_ms: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_converted(self) -> bool:
        """Whether its water is derived from electricity (以电折水)."""
        return not self.water

    @property
    def meters(self) -> frozenset[str]:
        """Every meter it listens to."""
        channels = list(self.heads)
        if self.energy is not None:
            channels += [
                each
                for each in (self.energy.power, self.energy.depth, self.energy.pressure, self.energy.frequency)
                if each is not None
            ]
            channels += [pump.running for pump in self.energy.pumps if pump.running is not None]
        names = {each.meter for each in (*self.water, *self.check_meters)} | {each.meter for each in channels}
        return frozenset(names | ({self.energy.meter} if self.energy is not None else set()))

    def hearing(self, periods_ms: Mapping[str, int]) -> IntakeSettings:
        """The same with the poll periods of its meters, ms."""
        return replace(self, periods_ms=MappingProxyType(dict(periods_ms)))

    def use_on(self, day: date) -> Use:
        """Its declared status on a local day; in use where nothing was declared."""
        found = Use.IN_USE
        for change in sorted(self.statuses, key=lambda each: each.since or date.min):
            if change.since is None or change.since <= day:
                found = change.use
        return found
