"""From register readings to the energy that pumped water: delta, multiplier, swap, auxiliary load, several pumps.

Register readings are in the register's own units, before any multiplier; every energy is primary kWh. §8, §9.3-1…4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from agent.derive.exact import MS_PER_HOUR, ONE, ZERO, OutOfDomain, exact, hours, not_negative, positive
from agent.derive.flags import Flag

OVERLOAD_FACTOR = Decimal("1.5")  # §9.3-1
PUMP_ON_FRACTION = Decimal("0.2")  # §9.3-4, of rated power
SHORT_INTERVAL_MS = 300_000  # §9.3-4: up to 5 min an interval is shorter than a run
_STANDBY_FACTOR = Decimal(2)  # §9.3-4: above twice the standby power something ran
_PULSE_FACTOR = Decimal("3.6")  # Wh per pulse and pulses per second to kW


@exact
def ratio(name: str, primary: Decimal, secondary: Decimal) -> Decimal:
    """The ratio of a current or voltage transformer. Raises: OutOfDomain."""
    return positive(f"{name} primary", primary) / positive(f"{name} secondary", secondary)


@exact
def multiplier(ct_ratio: Decimal, pt_ratio: Decimal, *, register_is_primary: bool) -> Decimal:
    """What a register's step stands for in primary kWh: CT × PT, or 1 where the meter has applied them itself (§8)."""
    product = positive("ct_ratio", ct_ratio) * positive("pt_ratio", pt_ratio)
    return ONE if register_is_primary else product


@exact
def pulse_power_kw(wh_per_pulse: Decimal, pulses: Decimal, seconds: Decimal, ratios: Decimal) -> Decimal:
    """Power by counting pulses or disk revolutions over a time; `ratios` is CT × PT (§8)."""
    return _PULSE_FACTOR * wh_per_pulse * pulses * ratios / positive("seconds", seconds)


class Delta(NamedTuple):
    """What a register grew by, in its own units and in primary kWh; both None when that is not known."""

    register: Decimal | None
    energy_kwh: Decimal | None
    flags: tuple[Flag, ...]


@exact
def register_delta(before: Decimal, after: Decimal, *, capacity: Decimal, factor: Decimal, limit_kwh: Decimal) -> Delta:
    """The step between two readings (§9.3-1).

    `capacity` is 10^digits, `factor` the multiplier, `limit_kwh` rated power × time × overload factor. A step that is
    too large is kept and flagged; a fall is a rollover if that is physically possible, else there is no value.
    """
    step = after - before
    if step >= 0:
        flags = (Flag.ENERGY_IMPLAUSIBLE,) if step * factor > limit_kwh else ()
        return Delta(step, step * factor, flags)
    step += positive("capacity", capacity)
    if step >= 0 and step * factor <= limit_kwh:
        return Delta(step, step * factor, (Flag.ROLLOVER,))
    return Delta(None, None, (Flag.NEGATIVE_DELTA,))


class Swap(NamedTuple):
    """A replaced meter: where the old register ended and the new one began, and their multipliers."""

    old_final: Decimal
    old_factor: Decimal
    new_initial: Decimal
    new_factor: Decimal


@exact
def swap_energy(before: Decimal, swap: Swap, after: Decimal) -> Decimal:
    """The energy over an interval in which the meter was replaced, kWh (§9.3-2). Raises: OutOfDomain."""
    old = not_negative("old_final − prev", swap.old_final - before) * positive("old_multiplier", swap.old_factor)
    new = not_negative("curr − new_initial", after - swap.new_initial) * positive("new_multiplier", swap.new_factor)
    return old + new


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpSet:
    """What hangs on the energy meter: rated power of all pumps together and the loads that pump nothing, kW.

    `standby_kw` None: it is learnt from idle intervals. `aux_kw` is on all the time.
    """

    rated_kw: Decimal
    pump_on_fraction: Decimal = PUMP_ON_FRACTION
    aux_kw: Decimal = ZERO
    standby_kw: Decimal | None = None

    @property
    def threshold_kw(self) -> Decimal:
        """A mean power below this is standby."""
        return self.pump_on_fraction * self.rated_kw


class Pumping(NamedTuple):
    """The energy of an interval that lifted water, what remained after the auxiliary load, and the words about it."""

    energy_kwh: Decimal
    net_kwh: Decimal
    flags: tuple[Flag, ...]


@exact
def without_aux(
    energy_kwh: Decimal, duration_h: Decimal, aux_kw: Decimal, *, step_kwh: Decimal = ZERO
) -> tuple[Decimal, tuple[Flag, ...]]:
    """The energy less a load that was on during the whole interval (§9.3-4); below 0 it is 0 and says so.

    A register shows up to one last place (`step_kwh`) less than what was used and makes up for it later: so much below
    0 stays as it is and is nothing to be said.
    """
    net = energy_kwh - not_negative("aux_kw", aux_kw) * positive("duration_h", duration_h)
    return (net, ()) if net >= -step_kwh else (ZERO, (Flag.AUX_EXCEEDS_TOTAL,))


@exact
def pumping(
    energy_kwh: Decimal,
    duration_ms: int,
    pumps: PumpSet,
    *,
    standby_kw: Decimal | None = None,
    seen_running: bool = False,
    step_kwh: Decimal = ZERO,
) -> Pumping:
    """Splits an interval's energy into pumping and the rest (§9.3-4).

    In an interval longer than 5 min a mean below the threshold may hide a run: it does when the mean is above twice the
    standby power (as far as that is known) by more than the register's last place (`step_kwh`), which standby alone
    moves once in a while, or when the live power showed the pump running at one of the ends.
    """
    net, flags = without_aux(energy_kwh, hours(duration_ms), pumps.aux_kw, step_kwh=step_kwh)
    scaled = net * MS_PER_HOUR  # kW × ms, so that comparing means needs no quotient
    if scaled >= pumps.threshold_kw * duration_ms:
        return Pumping(net, net, flags)
    if duration_ms > SHORT_INTERVAL_MS and net > 0:
        sure = scaled - step_kwh * MS_PER_HOUR
        hides_run = standby_kw is not None and sure > _STANDBY_FACTOR * standby_kw * duration_ms
        if hides_run or seen_running:
            lifted = max(ZERO, net - (standby_kw or ZERO) * hours(duration_ms))
            return Pumping(lifted, net, (*flags, Flag.PARTIAL_RUN))
    return Pumping(ZERO, net, flags)


class RunShare(NamedTuple):
    """A pump's part of an interval: how long it ran and the power measured while it did."""

    run_h: Decimal
    running_kw: Decimal


@exact
def apportioned(energy_kwh: Decimal, shares: Sequence[RunShare]) -> tuple[tuple[Decimal, ...], tuple[Flag, ...]]:
    """The energy of one meter by run time × power, in the order given (§8). Raises: OutOfDomain without any run."""
    weights = [not_negative("run_h", share.run_h) * not_negative("running_kw", share.running_kw) for share in shares]
    total = sum(weights, ZERO)
    if total == 0:
        raise OutOfDomain("sum of run_h × kw", total, "above 0")
    several = sum(share.run_h > 0 for share in shares) > 1
    return tuple(energy_kwh * weight / total for weight in weights), (Flag.APPORTIONED,) if several else ()


@exact
def split_by_time(
    energy_kwh: Decimal, durations_ms: Sequence[int], *, first_kwh: Decimal | None = None
) -> tuple[tuple[Decimal, ...], tuple[Flag, ...]]:
    """The energy over the parts of an interval (§9.3-5).

    `first_kwh` is the energy up to the one change, where a register reading at the change tells it; otherwise the
    energy is split in proportion to time. The parts add up to the whole. Raises: OutOfDomain.
    """
    if len(durations_ms) == 1:
        return (energy_kwh,), ()
    if first_kwh is not None:
        if len(durations_ms) != 2:  # noqa: PLR2004 - one reading, one change
            raise OutOfDomain("changes inside the interval", len(durations_ms) - 1, "1, as the known energy asks")
        if not 0 <= first_kwh <= energy_kwh:
            raise OutOfDomain("energy at the change", first_kwh, f"between 0 and {energy_kwh}")
        return (first_kwh, energy_kwh - first_kwh), ()
    whole = Decimal(sum(durations_ms))
    parts = [energy_kwh * duration / positive("interval", whole) for duration in durations_ms[:-1]]
    return (*parts, energy_kwh - sum(parts, ZERO)), (Flag.ESTIMATED_SPLIT,)


def with_flags(*groups: Iterable[Flag]) -> tuple[Flag, ...]:
    """The words of all groups, each once, in their first order."""
    return tuple(dict.fromkeys(flag for group in groups for flag in group))
