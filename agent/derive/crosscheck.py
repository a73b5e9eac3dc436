"""Checks of a coefficient that need no further hardware (§10): running power, implied flow, a water meter beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from agent.derive.exact import MS_PER_HOUR, ZERO, exact, hours, positive
from agent.derive.flags import Qartod

RUNS_NEEDED = 3
_POWER = (Decimal("0.10"), Decimal("0.25"))  # suspect, fail
_TC = (Decimal("0.15"), Decimal("0.25"))
_FLOW = (Decimal("0.3"), Decimal("1.3"))  # of rated flow
_SILENT_MS = MS_PER_HOUR // 12  # power without flow for 5 min, metering rule R12


class Run(NamedTuple):
    """One run of a pump, from start to stop (UTC ms). Mean power and its time are those of the intervals in which it
    ran throughout: its first and last interval hold standby, too. `water_m3` is what a meter saw, None without one.
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
    def pumped_h(self) -> Decimal:
        """For how long it pumped, h; from start to stop where no interval lay wholly inside.

        Of its first and last interval only the part counts that their energy took at the mean power of the others.
        """
        whole_h = hours(max(0, self.end_ms - self.begin_ms))
        power_kw = self.mean_kw
        if not power_kw:
            return whole_h
        return min(whole_h, self.running_h + (self.energy_kwh - self.running_kwh) / power_kw)


@exact
def _all_beyond(deviations: Sequence[Decimal], limits: tuple[Decimal, Decimal]) -> Qartod:
    """FAIL or SUSPECT when each of the last three deviates by more, NOT_EVALUATED with fewer."""
    last = [abs(deviation) for deviation in deviations[-RUNS_NEEDED:]]
    if len(last) < RUNS_NEEDED:
        return Qartod.NOT_EVALUATED
    if min(last) > limits[1]:
        return Qartod.FAIL
    return Qartod.SUSPECT if min(last) > limits[0] else Qartod.PASS


@exact
def running_power(runs: Iterable[Run], p_run_kw: Decimal) -> Qartod:
    """The running-power fingerprint: COEF_STALE is suspect from 10 % off on three runs, fail from 25 %.

    The runs are in order and of one delivery mode. A steady power does not prove the coefficient.
    """
    positive("p_run_kw", p_run_kw)
    powers = [run.mean_kw for run in runs]
    return _all_beyond([power / p_run_kw - 1 for power in powers if power is not None], _POWER)


@exact
def implied_flow_m3h(volume_m3: Decimal, running_h: Decimal) -> Decimal:
    """What the derived volume says the pump delivered, m³/h."""
    return volume_m3 / positive("running_h", running_h)


@exact
def implied_flow(volume_m3: Decimal, running_h: Decimal, rated_m3h: Decimal) -> Qartod:
    """Suspect outside 0.3…1.3 of the rated flow (or the well's yield, where that is less)."""
    share = implied_flow_m3h(volume_m3, running_h) / positive("rated_m3h", rated_m3h)
    return Qartod.PASS if _FLOW[0] <= share <= _FLOW[1] else Qartod.SUSPECT


class Observed(NamedTuple):
    """A coefficient against a water meter: the level, and ΣV/ΣE of the runs as a proposal (never activated alone)."""

    level: Qartod
    tc: Decimal | None


@exact
def observed_tc(runs: Sequence[Run], tc: Decimal) -> Observed:
    """Compares the coefficient with ΔV/ΔE of the metered runs: suspect from 15 % off on three runs, fail from 25 %."""
    positive("tc", tc)
    metered = [(run.energy_kwh, run.water_m3) for run in runs if run.water_m3 is not None and run.energy_kwh > 0]
    level = _all_beyond([water / energy / tc - 1 for energy, water in metered], _TC)
    energy_kwh = sum((energy for energy, _ in metered), ZERO)
    water_m3 = sum((water for _, water in metered), ZERO)
    return Observed(level, water_m3 / energy_kwh if len(metered) >= RUNS_NEEDED else None)


def power_against_flow(*, is_running: bool, flow_m3h: Decimal, low_flow_m3h: Decimal, lasted_ms: int) -> Qartod:
    """Flow without power, or power without flow (dry run, closed valve, broken shaft), once it lasts 5 min."""
    is_flowing = flow_m3h > low_flow_m3h
    return Qartod.FAIL if is_running != is_flowing and lasted_ms >= _SILENT_MS else Qartod.PASS
