"""What `derive` is given and what it gives: the site, one round's word, the interval that came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from agent.derive.convert import Accuracy, Part, Pump
from agent.derive.counter import CounterSettings, Shown
from agent.derive.crosscheck import Run
from agent.derive.energy import PumpSet
from agent.derive.exact import MS_PER_HOUR, OutOfDomain
from agent.derive.flags import Flag, Qartod, worst
from agent.derive.models import Sensed

_SENSOR_AGE_MS = MS_PER_HOUR // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An intake whose water follows from electricity: the register, what hangs on it, each pump's coefficients.

    `period_ms` is how often the register is read; a longer silence than 1.5 of them is a gap. A sensor's word holds for
    `sensor_age_ms`.
    """

    register: CounterSettings
    load: PumpSet
    pumps: tuple[Pump, ...]
    accuracy: Accuracy
    period_ms: int
    sensor_age_ms: int = _SENSOR_AGE_MS

    def __post_init__(self) -> None:
        names = [pump.id for pump in self.pumps]
        if not names or len(set(names)) != len(names):
            raise OutOfDomain("pumps", names, "one pump or more, each with its own name")

    @property
    def gap_ms(self) -> int:
        """A silence longer than this is a gap (metering rule R5)."""
        return self.period_ms + self.period_ms // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one stored round says about an intake: any of its registers and sensors, None for what it does not hold.

    `at_ms` is UTC; `source` the round's id. `register` and `export` are in the register's own units, `depth_m` the
    depth to water, `run_h` how long each pump ran since the observation before.
    """

    at_ms: int
    source: str
    register: Decimal | None = None
    export: Decimal | None = None
    power_kw: Decimal | None = None
    frequency_hz: Decimal | None = None
    depth_m: Decimal | None = None
    pressure_mpa: Decimal | None = None
    run_h: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))


class Interval(NamedTuple):
    """What lies between two readings, with everything that an auditor asks for (§9.3-9).

    `energy_kwh` and `volume_m3` are None when nothing is booked, or when there is only energy; `u_m3` is k = 1.
    `sensed` is what the sensors said; each part names the depth and head that its model used.
    `total_…` are the running totals after it. `ended` are the runs that it ended.
    """

    begin: Shown
    end: Shown
    multiplier: Decimal
    energy_kwh: Decimal | None
    pumping_kwh: Decimal | None
    volume_m3: Decimal | None
    u_m3: Decimal | None
    flags: tuple[Flag, ...]
    parts: tuple[Part, ...]
    sensed: Sensed | None
    total_energy_kwh: Decimal
    total_volume_m3: Decimal
    ended: tuple[Run, ...]

    @property
    def level(self) -> Qartod:
        """The quality of its volume: what its words mean, or missing."""
        return Qartod.MISSING if self.volume_m3 is None else worst(self.flags)
