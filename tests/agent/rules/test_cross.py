"""R10, R11, R12, R21: two sensors that should agree."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.derive.crosscheck import Run
from agent.derive.exact import hours
from agent.rules.contract import Ran
from agent.rules.cross import flow_total
from agent.rules.series import flow_total_consistency
from tests.agent.rules.plain import BEGIN, HOUR, METERED, MIN, D, Shown, both_ways, water, with_rule

FIVE = 5 * MIN
SLOW = replace(METERED, energy=None, periods_ms={"flow": FIVE})
FINE = replace(SLOW, water=(replace(SLOW.water[0], step_m3=D(0)),))


# --- R10


@given(st.lists(st.tuples(st.decimals(0, 50, places=1), st.decimals(0, 20, places=2)), min_size=1, max_size=20))
def test_an_interval_is_judged_as_the_series_judges_it(intervals):
    flows = [flow for flow, _ in intervals]
    totals = [D(0)]
    for _, moved in intervals:
        totals.append(totals[-1] + moved)
    levels = [
        flow_total(after - before, flow * hours(15 * MIN), D("0.5"), D("0.10"), D("0.25"))
        for flow, (before, after) in zip(flows, pairwise(totals), strict=True)
    ]
    assert levels == flow_total_consistency(flows, totals, duration_h=D("0.25"))


def steady(shown: Shown, flow: object, volume: object, count: int = 13, begin: int = BEGIN) -> int:
    """Five-minute intervals with this flow at both ends and this volume in each."""
    for at in range(count):
        end = begin + at * FIVE
        steps = [water(end - FIVE, end, volume)] if at else []
        shown.hear(end, steps=steps, flow_rate=flow)
    return begin + count * FIVE


@pytest.mark.parametrize(
    ("flow", "volume", "level"),
    [(30, "2.5", None), (30, "2.27", None), (30, "2.24", 3), (30, "1.88", 3), (30, "1.87", 4), (30, "3.2", 4)],
)
def test_a_counter_that_moves_by_another_volume_than_the_flow_is_told_after_an_hour(flow, volume, level):
    shown = Shown(FINE)
    steady(shown, flow, volume, 12)
    assert shown.of("R10") == [], "not before the hour is full"
    shown = Shown(FINE)
    steady(shown, flow, volume, 13)
    assert shown.told("R10") == ([] if level is None else [(level, False)])


def test_a_counter_that_moves_without_flow_fails_above_half_a_cubic_metre_an_hour():
    for volume, wanted in (("0.04", []), ("0.05", [(4, False)])):
        shown = Shown(FINE)
        steady(shown, 0, volume)
        assert shown.told("R10") == wanted


def test_flow_and_total_agree_again_after_an_hour_of_agreement():
    def play(shown: Shown) -> None:
        end = steady(shown, 30, "1", 13)
        steady(shown, 30, "2.5", 13, begin=end)

    assert both_ways(play, FINE).told("R10") == [(4, False), (4, True)]


def test_intervals_with_a_start_or_a_stop_are_left_out():
    shown = Shown(FINE)
    for at, flow in enumerate([0, 30] * 20):
        end = BEGIN + at * FIVE
        shown.hear(end, steps=[water(end - FIVE, end, 3)] if at else [], flow_rate=flow)
    assert shown.of("R10") == []


def test_flows_an_hour_apart_say_nothing_about_their_mean():
    shown = Shown(replace(FINE, periods_ms={"flow": HOUR}))
    for at in range(6):
        end = BEGIN + at * HOUR
        shown.hear(end, steps=[water(end - HOUR, end, 10)] if at else [], flow_rate=30)
    assert shown.of("R10") == []


# --- R11


def runs(shown: Shown, waters: list[object], kw: object = 15) -> None:
    for at, water_m3 in enumerate(waters):
        begin = BEGIN + at * 6 * HOUR
        seen = None if water_m3 is None else D(str(water_m3))
        run = Run("p1", begin, begin + 4 * HOUR, D(60), D(120), D(4), D(str(kw)) * 4, seen)
        ran = Ran(run, "W7@4", p_run_kw=D(15), tc=D(2))
        shown.hear(begin + 4 * HOUR, "kwh", ran=[ran], energy_import=1)


@pytest.mark.parametrize(
    ("waters", "levels"),
    [
        ([120, 121, 119, 118], []),
        ([100, 100], []),
        ([100, 100, 100], [3]),  # 16.7 % off
        ([139, 139, 139], [3]),
        ([90, 90, 90], []),  # 25 % off, and not more: the bound itself is still suspect
        ([80, 80, 80], [4]),
        ([80, 120, 80, 80], []),
        ([None, None, None], []),
    ],
)
def test_three_runs_whose_water_is_not_the_coefficients_propose_another(waters, levels):
    shown = Shown()
    runs(shown, waters)
    found = shown.of("R11", "coefficient")
    wanted = [3] if waters == [90, 90, 90] else levels
    assert [each.level for each in found] == wanted
    if found:
        assert (
            D(found[0].evidence["tc_observed"])
            == (sum(D(str(each)) for each in waters) / 60 / len(waters)).quantize(D("0.000001")).normalize()
        )
        assert found[0].evidence["coefficient"] == "W7@4"


def test_a_water_meter_that_stands_still_while_the_pump_runs_is_told_and_proposes_nothing():
    shown = Shown()
    runs(shown, [0, 0, 0])
    assert [each.level for each in shown.of("R11", "volume_withdrawn")] == [4]
    assert shown.of("R11", "coefficient") == []
    shown = Shown()
    runs(shown, [0, 0])
    assert shown.of("R11") == []


def test_a_run_without_water_is_as_far_off_as_can_be_and_not_part_of_the_proposal():
    shown = Shown()
    runs(shown, [0, 80, 80])
    (found,) = shown.of("R11", "coefficient")
    assert (found.level, D(found.evidence["tc_observed"]).quantize(D("0.001"))) == (4, D("1.333"))
    assert shown.of("R11", "volume_withdrawn") == []


def test_a_water_meter_that_moves_again_ends_it():
    def play(shown: Shown) -> None:
        runs(shown, [0, 0, 0, 120])

    assert both_ways(play).told("R11", "volume_withdrawn") == [(4, False), (4, True)]


def test_a_coarse_water_meter_may_stand_still_during_little_water():
    coarse = replace(METERED, water=(replace(METERED.water[0], step_m3=D(200)),))
    shown = Shown(coarse)
    runs(shown, [0, 0, 0])  # 360 m³ are not yet two of its steps for sure
    assert shown.of("R11") == []


def test_runs_of_a_pump_whose_coefficient_was_never_activated_propose_one_as_a_notice():
    shown = Shown()
    for at in range(3):
        begin = BEGIN + at * 6 * HOUR
        run = Run("p1", begin, begin + 4 * HOUR, D(60), None, D(4), D(60), D(168))
        shown.hear(begin + 4 * HOUR, "kwh", ran=[Ran(run, "")], energy_import=1)
    (found,) = shown.of("R11", "coefficient")
    assert (found.level, found.evidence["coefficient"], found.evidence["tc_observed"]) == (1, "W7", "2.8")
    assert shown.of("R11", "volume_withdrawn") == []


def test_runs_that_agree_again_end_it_and_the_state_holds_the_runs():
    def play(shown: Shown) -> None:
        runs(shown, [80, 80, 80, 120])

    assert both_ways(play).told("R11", "coefficient") == [(4, False), (4, True)]


@pytest.mark.parametrize(("kw", "levels"), [(15, []), ("16.5", []), ("16.6", [3]), ("11", [4])])
def test_a_running_power_off_its_calibration_on_three_runs_is_told(kw, levels):
    shown = Shown()
    runs(shown, [None, None, None], kw)
    assert [each.level for each in shown.of("R11", "power")] == levels


def test_an_implied_flow_far_from_the_rated_one_is_suspect():
    fast = replace(METERED.energy, pumps=(replace(METERED.energy.pumps[0], rated_m3h=D(20)),))
    shown = Shown(replace(METERED, energy=fast))
    runs(shown, [None])  # 120 m³ in 4 h are 30 m³/h, 1.5 times the rated flow
    assert [each.level for each in shown.of("R11", "flow_rate")] == [3]


# --- R12


def pump(shown: Shown, power: object, flow: object, count: int, begin: int = BEGIN) -> int:
    for at in range(count):
        shown.hear(begin + at * MIN, "kwh", power=power)
        shown.hear(begin + at * MIN + 500, flow_rate=flow)
    return begin + count * MIN


@pytest.mark.parametrize(("power", "flow"), [(15, 0), (0, "30.5")])
def test_power_without_flow_or_flow_without_power_fails_after_five_minutes(power, flow):
    def play(shown: Shown) -> None:
        end = pump(shown, power, flow, 5)
        assert shown.of("R12") == []
        end = pump(shown, power, flow, 2, end)
        assert shown.told("R12") == [(4, False)]
        pump(shown, 0, 0, 2, end)

    shown = both_ways(play, with_rule(METERED, "R8", enabled=False))
    assert shown.told("R12") == [(4, False), (4, True)]
    assert shown.of("R12")[0].began_ms == BEGIN + 500


def test_a_pump_and_its_water_go_together():
    shown = Shown()
    end = pump(shown, 0, 0, 10)
    for at in range(30):
        shown.hear(end + at * MIN, "kwh", power=15)
        shown.hear(end + at * MIN + 500, flow_rate=f"{30 + at % 5 / 10}")
    assert shown.of("R12") == []


# --- R21


def test_reverse_energy_is_told_at_once():
    shown = Shown()
    for at, export in enumerate([3, 3, "3.01", "3.01"]):
        shown.hear(BEGIN + at * MIN, "kwh", energy_export=export)
    assert shown.told("R21", "energy_export") == [(3, False)]


@pytest.mark.parametrize(
    ("volts", "phases"),
    [((230, 229, 231), 0), ((198, 242, 220), 0), ((197, 220, 220), 1), ((220, 243, 243), 2), ((225, 0, 225), 1)],
)
def test_a_voltage_more_than_a_tenth_off_is_told_when_it_lasts(volts, phases):
    shown = Shown()
    shown.hear(BEGIN, "kwh", voltage_a=220, voltage_b=220, voltage_c=220)
    for at in (1, 2):
        shown.hear(BEGIN + at * MIN, "kwh", voltage_a=volts[0], voltage_b=volts[1], voltage_c=volts[2])
    assert len(shown.of("R21")) == phases


def test_behind_a_voltage_transformer_another_voltage_is_nominal():
    shown = Shown()
    for at in range(4):
        shown.hear(BEGIN + at * MIN, "kwh", voltage_a="57.9", voltage_b="57.5", voltage_c="57.7")
    assert shown.of("R21") == []


def test_a_lost_phase_that_the_meter_tells_is_told():
    def play(shown: Shown) -> None:
        for at in range(25):
            said = frozenset({"phase_broken_b", "battery_low"}) if at < 4 else frozenset({"battery_low"})
            shown.hear(BEGIN + at * MIN, "kwh", status=said)

    shown = both_ways(play)
    assert shown.told("R21", "status") == [(3, False), (3, True)]
    assert shown.of("R21", "status")[0].evidence["flags"] == "phase_broken_b"
