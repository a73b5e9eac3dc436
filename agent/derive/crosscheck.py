"""Checks of a coefficient that need no further hardware (§10): running power, implied flow, a water meter beside it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from agent.derive.exact import MS_PER_HOUR, ZERO, exact, hours, positive
from agent.derive.flags import Qartod

RUNS_NEEDED = 3
SEEN_MS = 2 * MS_PER_HOUR
"""Between readings farther apart than §9.5 joins by a line nobody sees whether the pump ran throughout."""
POWER_LIMITS = (Decimal("0.10"), Decimal("0.25"))  # suspect, fail
_TC = (Decimal("0.15"), Decimal("0.25"))
_FLOW = (Decimal("0.3"), Decimal("1.3"))  # of rated flow


class Run(NamedTuple):
    """One run of a pump, from start to stop (UTC ms). Mean power and its time are those of the intervals in which it
    ran throughout: its first and last interval hold standby, too, and so may those longer than two hours. `water_m3` is
    what a meter saw, None without one.
    """

    pump: str
    begin_ms: int
    end_ms: int
    energy_kwh: Decimal
    volume_m3: Decimal | None
    running_h: Decimal
    running_kwh: Decimal
    water_m3: Decimal | None = None

    @property
    @exact
    def mean_kw(self) -> Decimal | None:
        """Mean power while running, None when no interval lay wholly inside the run."""
        return self.running_kwh / self.running_h if self.running_h > 0 else None

    @property
    @exact
    def pumped_h(self) -> Decimal | None:
        """For how long it pumped, h; from start to stop where no interval lay wholly inside.

        Of its first and last interval, and of long ones, only the part counts that their energy took at the mean power
        of the others. None where there are no others and starts and stops went unseen, as with meters that people read.
        """
        whole_ms = max(0, self.end_ms - self.begin_ms)
        whole_h, power_kw = hours(whole_ms), self.mean_kw
        if not power_kw:
            return whole_h if whole_ms <= 2 * SEEN_MS else None  # its first and its last interval
        return min(whole_h, self.running_h + (self.energy_kwh - self.running_kwh) / power_kw)

    @property
    @exact
    def implied_flow_m3h(self) -> Decimal | None:
        """What the derived volume says the pump delivered, m³/h; None where volume or time is not known."""
        hours_ = self.pumped_h
        return None if self.volume_m3 is None or not hours_ else self.volume_m3 / hours_


@exact
def all_beyond(deviations: Sequence[Decimal], limits: tuple[Decimal, Decimal], *, needed: int = RUNS_NEEDED) -> Qartod:
    """FAIL or SUSPECT when each of the last `needed` deviates by more, NOT_EVALUATED with fewer."""
    last = [abs(deviation) for deviation in deviations[-needed:]]
    if len(last) < needed:
        return Qartod.NOT_EVALUATED
    if min(last) > limits[1]:
        return Qartod.FAIL
    return Qartod.SUSPECT if min(last) > limits[0] else Qartod.PASS


@exact
def is_likely_flow(flow_m3h: Decimal, rated_m3h: Decimal) -> bool:
    """Whether an implied flow lies in 0.3…1.3 of the rated flow (or the well's yield, where that is less)."""
    return _FLOW[0] * rated_m3h <= flow_m3h <= _FLOW[1] * rated_m3h


class Observed(NamedTuple):
    """A coefficient against a water meter: the level, and ΣV/ΣE of the runs as a proposal (never activated alone)."""

    level: Qartod
    tc: Decimal | None


@exact
def observed_tc(runs: Sequence[Run], tc: Decimal) -> Observed:
    """Compares the coefficient with ΔV/ΔE of the metered runs: suspect from 15 % off on three runs, fail from 25 %."""
    positive("tc", tc)
    metered = [(run.energy_kwh, run.water_m3) for run in runs if run.water_m3 is not None and run.energy_kwh > 0]
    level = all_beyond([water / energy / tc - 1 for energy, water in metered], _TC)
    energy_kwh = sum((energy for energy, _ in metered), ZERO)
    water_m3 = sum((water for _, water in metered), ZERO)
    return Observed(level, water_m3 / energy_kwh if len(metered) >= RUNS_NEEDED else None)
