"""Checks that need no further hardware."""

from __future__ import annotations

import pytest

from agent.derive.crosscheck import POWER_LIMITS, Run, all_beyond, is_likely_flow, observed_tc
from agent.derive.flags import Qartod
from tests.agent.derive.sites import HOUR, START, D, run, said, site


def ran(mean_kw="14.6", energy="100", water=None):
    return Run("pump", 0, 7 * HOUR, D(energy), D("220"), D(2), 2 * D(mean_kw), None if water is None else D(water))


@pytest.mark.parametrize(
    ("powers", "level"),
    [
        (("10", "10"), Qartod.NOT_EVALUATED),
        (("14.6", "14.6", "14.6"), Qartod.PASS),
        (("16.06", "17", "17"), Qartod.PASS),  # exactly 10 % is not more
        (("16.07", "17", "17"), Qartod.SUSPECT),
        (("13", "13", "13"), Qartod.SUSPECT),
        (("18.3", "18.3", "10"), Qartod.FAIL),
        (("18.3", "14.6", "18.3", "18.3"), Qartod.PASS),  # not on three runs running
        (("14.6", "18.3", "18.3", "18.3"), Qartod.FAIL),
    ],
)
def test_running_power_away_from_calibration_on_three_runs_makes_the_coefficient_stale(powers, level):
    assert all_beyond([ran(power).mean_kw / D("14.6") - 1 for power in powers], POWER_LIMITS) is level


def test_a_run_without_a_whole_interval_has_no_running_power():
    short = Run("pump", 0, 1, D(1), None, D(0), D(0))
    assert short.mean_kw is None
    assert short.implied_flow_m3h is None


@pytest.mark.parametrize(("volume", "is_likely"), [("30", True), ("29.9", False), ("130", True), ("130.1", False)])
def test_an_implied_flow_is_likely_between_a_third_and_four_thirds_of_the_rated_one(volume, is_likely):
    throughout = Run("pump", 0, 2 * HOUR, D(30), D(volume), D(2), D(30))
    assert is_likely_flow(throughout.implied_flow_m3h, D(50)) is is_likely


def test_the_implied_flow_counts_the_time_that_the_energy_took_and_not_the_poll_intervals():
    # 12 kW throughout one of three intervals of an hour; 3 kWh each in the first and the last are a quarter of an hour
    ended = Run("pump", 0, 3 * HOUR, D(18), D(45), D(1), D(12))
    assert ended.implied_flow_m3h == 30


def test_of_a_run_between_readings_far_apart_nobody_knows_the_hours():
    month = 30 * 24 * HOUR
    assert Run("pump", 0, month, D(1000), D(2200), D(0), D(0)).pumped_h is None
    assert Run("pump", 0, month, D(1000), D(2200), D(0), D(0)).implied_flow_m3h is None
    assert Run("pump", 0, 4 * HOUR, D(60), D(120), D(0), D(0)).pumped_h == 4  # two intervals of two hours


def test_a_gap_inside_a_run_counts_with_the_time_that_its_energy_took():
    """12 kW; between 4 and 10 o'clock nobody read, and 24 kWh were used: two of the six hours."""
    shown = [0, *(6 + 12 * hour for hour in range(4)), 66, 78, 84, 84]  # starts at half past, stops at half past
    times = [0, 1, 2, 3, 4, 10, 11, 12, 13]
    intervals, _ = run(
        site(period_ms=HOUR), [said(START + at * HOUR, kwh) for at, kwh in zip(times, shown, strict=True)]
    )
    (ended,) = [each for interval in intervals for each in interval.ended]
    assert ended.mean_kw == 12
    assert ended.pumped_h == 7  # 84 kWh


def test_a_water_meter_beside_it_judges_the_coefficient_and_proposes_another():
    assert observed_tc([ran(water="230")] * 2, D("2.2")) == (Qartod.NOT_EVALUATED, None)
    assert observed_tc([ran(water="230")] * 3, D("2.2")) == (Qartod.PASS, D("2.3"))
    assert observed_tc([ran(water="260")] * 3, D("2.2")).level is Qartod.SUSPECT
    assert observed_tc([ran(water="160")] * 3, D("2.2")).level is Qartod.FAIL
    assert observed_tc([ran()] * 9, D("2.2")) == (Qartod.NOT_EVALUATED, None)
