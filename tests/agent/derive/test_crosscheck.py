"""Checks that need no further hardware."""

from __future__ import annotations

import pytest

from agent.derive.crosscheck import Run, implied_flow, observed_tc, power_against_flow, running_power
from agent.derive.flags import Qartod
from tests.agent.derive.sites import HOUR, MINUTE, D


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
    assert running_power([ran(power) for power in powers], D("14.6")) is level


def test_a_run_without_a_whole_interval_has_no_running_power():
    short = Run("pump", 0, 1, D(1), None, D(0), D(0))
    assert short.mean_kw is None
    assert running_power([short] * 5, D("14.6")) is Qartod.NOT_EVALUATED


@pytest.mark.parametrize(
    ("volume", "level"),
    [("30", Qartod.PASS), ("29.9", Qartod.SUSPECT), ("130", Qartod.PASS), ("130.1", Qartod.SUSPECT)],
)
def test_an_implied_flow_far_from_the_rated_one_is_suspect(volume, level):
    assert implied_flow(D(volume), D(2), D(50)) is level


def test_a_water_meter_beside_it_judges_the_coefficient_and_proposes_another():
    assert observed_tc([ran(water="230")] * 2, D("2.2")) == (Qartod.NOT_EVALUATED, None)
    assert observed_tc([ran(water="230")] * 3, D("2.2")) == (Qartod.PASS, D("2.3"))
    assert observed_tc([ran(water="260")] * 3, D("2.2")).level is Qartod.SUSPECT
    assert observed_tc([ran(water="160")] * 3, D("2.2")).level is Qartod.FAIL
    assert observed_tc([ran()] * 9, D("2.2")) == (Qartod.NOT_EVALUATED, None)


def test_power_without_flow_and_flow_without_power_are_alarms_after_five_minutes():
    low = D("0.5")
    assert power_against_flow(is_running=True, flow_m3h=D(0), low_flow_m3h=low, lasted_ms=5 * MINUTE) is Qartod.FAIL
    assert power_against_flow(is_running=True, flow_m3h=D(0), low_flow_m3h=low, lasted_ms=5 * MINUTE - 1) is Qartod.PASS
    assert power_against_flow(is_running=False, flow_m3h=D(9), low_flow_m3h=low, lasted_ms=HOUR) is Qartod.FAIL
    assert power_against_flow(is_running=True, flow_m3h=D(9), low_flow_m3h=low, lasted_ms=HOUR) is Qartod.PASS
