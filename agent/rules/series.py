"""Quality rules over a series of one intake's values, each giving one QARTOD level per value. They change nothing.

Source: anomaly rules R2, R3, R8 and R10 of the metering guideline; levels as in IOOS QARTOD.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from agent.derive.exact import ONE, OutOfDomain, exact, positive
from agent.derive.flags import Qartod


def level(value: Decimal, suspect: Decimal, fail: Decimal) -> Qartod:
    """FAIL above `fail`, SUSPECT above `suspect`, else PASS."""
    if value > fail:
        return Qartod.FAIL
    return Qartod.SUSPECT if value > suspect else Qartod.PASS


@exact
def huge_value(
    volumes_m3: Sequence[Decimal],
    *,
    most_m3: Decimal,
    suspect_factor: Decimal = ONE,
    fail_factor: Decimal = Decimal("1.2"),
) -> list[Qartod]:
    """R3: more water than overload flow × time (`most_m3`: Q4·Δt) can be, by these factors."""
    positive("most_m3", most_m3)
    return [level(volume, suspect_factor * most_m3, fail_factor * most_m3) for volume in volumes_m3]


@exact
def long_zero(
    volumes_m3: Sequence[Decimal],
    energies_kwh: Sequence[Decimal],
    *,
    pump_on_kwh: Decimal,
    suspect_days: int = 30,
    fail_with_energy: bool = True,
) -> list[Qartod]:
    """R2, per day: nothing for many days running, or nothing while the pump used `pump_on_kwh` or more.

    A day that fails belongs to the zero streak. Raises: OutOfDomain when the two series differ in length.
    """
    if len(volumes_m3) != len(energies_kwh):
        raise OutOfDomain("daily_energy_kwh", len(energies_kwh), f"as many as volumes, {len(volumes_m3)}")
    levels, streak = [], 0
    for volume, energy in zip(volumes_m3, energies_kwh, strict=True):
        streak = streak + 1 if volume == 0 else 0
        if streak and fail_with_energy and energy >= pump_on_kwh:
            levels.append(Qartod.FAIL)
        else:
            levels.append(Qartod.SUSPECT if streak and streak >= suspect_days else Qartod.PASS)
    return levels


@exact
def frozen_flow(
    flows_m3h: Sequence[Decimal],
    *,
    eps_m3h: Decimal = Decimal("0.001"),
    suspect_count: int = 4,
    fail_count: int = 8,
    pump_running: bool = True,
) -> list[Qartod]:
    """R8: how many values up to this one lie within eps of the first of them. Causal; zero flow is exempt.

    While the pump does not run nothing is judged.
    """
    if not pump_running:
        return [Qartod.NOT_EVALUATED] * len(flows_m3h)
    levels = []
    since: dict[Decimal, int] = {}  # values whose repeat is not broken yet, and where each of them came first
    for index, flow in enumerate(flows_m3h):
        since = {first: begin for first, begin in since.items() if abs(flow - first) <= eps_m3h}
        since.setdefault(flow, index)
        count = index + 1 - min(since.values())
        if abs(flow) <= eps_m3h or count < min(suspect_count, fail_count):
            levels.append(Qartod.PASS)
        else:
            levels.append(Qartod.FAIL if count >= fail_count else Qartod.SUSPECT)
    return levels


@exact
def flow_total_consistency(
    flows_m3h: Sequence[Decimal],
    totals_m3: Sequence[Decimal],
    *,
    duration_h: Decimal,
    abs_tol_m3: Decimal = Decimal("0.5"),
    rel_tol_suspect: Decimal = Decimal("0.10"),
    rel_tol_fail: Decimal = Decimal("0.25"),
) -> list[Qartod]:
    """R10, per interval: the total's step against mean flow × time, beyond an absolute floor.

    Raises: OutOfDomain unless there is one total more than flows.
    """
    if len(totals_m3) != len(flows_m3h) + 1:
        raise OutOfDomain("total_m3", len(totals_m3), f"one more than flows, {len(flows_m3h) + 1}")
    positive("dt_h", duration_h)
    levels = []
    for index, flow in enumerate(flows_m3h):
        expected = flow * duration_h
        difference = abs(totals_m3[index + 1] - totals_m3[index] - expected)
        if difference <= abs_tol_m3:
            levels.append(Qartod.PASS)
        else:
            levels.append(level(difference, rel_tol_suspect * abs(expected), rel_tol_fail * abs(expected)))
    return levels
