"""Electricity beside a flow meter: the water that the meter saw in each run, and the coefficient that this proposes.

Strategy: the flow meter's total is kept at its last readings, as far back as the energy meter's baseline. When a run
opens, its beginning is settled on that series, when it ends its end; the difference is the run's water. Only an energy
meter with one pump is compared: with several nobody knows whose water it was. A proposal is never activated by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from agent.derive.boundary import Method, settle_boundary
from agent.derive.crosscheck import RUNS_NEEDED, Run, observed_tc
from agent.derive.exact import ZERO, exact, rounded_m3
from agent.derive.flags import Qartod
from agent.derive.state import OpenRun
from agent.intakes.track import Booked

_MOST_POINTS = 48
_MOST_RUNS = 20


class Seen(NamedTuple):
    """What the flow meters had counted at a time."""

    at_ms: int
    total_m3: Decimal


class Opened(NamedTuple):
    """Where the flow meters stood when a run began, None where nobody knows."""

    begin_ms: int
    water_m3: Decimal | None


class Proposal(NamedTuple):
    """What the last metered runs say a pump's coefficient is, m³/kWh, as ΣV/ΣE.

    `level` says how far that is off what the coefficients made of the same runs; None where there are none.
    """

    pump: str
    tc: Decimal
    runs: int
    begin_ms: int
    end_ms: int
    energy_kwh: Decimal
    water_m3: Decimal
    coefficient: str
    level: Qartod | None


_NO_RUNS: Mapping[str, Opened] = MappingProxyType({})
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`used` names the coefficient that each pump's last part was converted with; `runs` are the last metered ones."""

    points: tuple[Seen, ...] = ()
    opened: Mapping[str, Opened] = field(default_factory=lambda: _NO_RUNS)
    used: Mapping[str, str] = field(default_factory=lambda: _NO_NAMES)
    runs: tuple[Run, ...] = ()

    def saw(self, at_ms: int, total_m3: Decimal, needed_ms: int | None) -> Comparison:
        """After a reading of the flow meters; the series goes back to before `needed_ms`."""
        earlier = [point for point in self.points if point.at_ms < at_ms]
        older = [index for index, point in enumerate(earlier) if needed_ms is not None and point.at_ms <= needed_ms]
        kept = [*earlier[older[-1] if older else 0 :], Seen(at_ms, total_m3)]
        return replace(self, points=tuple(kept[-_MOST_POINTS:]))

    def booked(self, booked: Booked, runs: Mapping[str, OpenRun], *, is_alone: bool) -> tuple[Comparison, list[Run]]:
        """After an interval of the energy meter: the runs that it ended, with their water where there is one pump."""
        used = {**self.used, **{part.pump: part.coefficient for part in booked.parts if part.coefficient}}
        ended = [self._with_water(run) if is_alone else run for run in booked.ended]
        opened = {
            pump: self.opened.get(pump) or Opened(run.begin_ms, self._at(run.begin_ms)) for pump, run in runs.items()
        }
        metered = [run for run in ended if run.water_m3 is not None and run.energy_kwh > 0]
        after = replace(self, used=used, opened=opened, runs=(*self.runs, *metered)[-_MOST_RUNS:])
        return after, ended

    def _with_water(self, run: Run) -> Run:
        began, end_m3 = self.opened.get(run.pump), self._at(run.end_ms)
        if began is None or began.begin_ms != run.begin_ms or began.water_m3 is None or end_m3 is None:
            return run
        return run._replace(water_m3=end_m3 - began.water_m3)

    def _at(self, at_ms: int) -> Decimal | None:
        if not self.points:
            return None
        found = settle_boundary(self.points, at_ms)
        return None if found.method is Method.NEAREST and found.offset_ms else rounded_m3(found.value)

    @exact
    def proposal(self) -> Proposal | None:
        """From the last metered runs, once there are enough of them."""
        if len(self.runs) < RUNS_NEEDED:
            return None
        energy_kwh = sum((run.energy_kwh for run in self.runs), ZERO)
        water_m3 = sum((run.water_m3 or ZERO for run in self.runs), ZERO)
        pump = self.runs[-1].pump
        return Proposal(
            pump=pump,
            tc=water_m3 / energy_kwh,
            runs=len(self.runs),
            begin_ms=self.runs[0].begin_ms,
            end_ms=self.runs[-1].end_ms,
            energy_kwh=energy_kwh,
            water_m3=water_m3,
            coefficient=self.used.get(pump, ""),
            level=_level(self.runs, energy_kwh),
        )


def _level(runs: Sequence[Run], energy_kwh: Decimal) -> Qartod | None:
    """Against the mean of what the coefficients made of these runs."""
    volumes = [run.volume_m3 for run in runs]
    known = [volume for volume in volumes if volume]
    if len(known) < len(runs):
        return None
    return observed_tc(runs, sum(known, ZERO) / energy_kwh).level
