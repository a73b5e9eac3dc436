"""R2, R6, R7, R8, R9: values and days against the ones around them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.derive.exact import OutOfDomain
from agent.derive.flags import Qartod
from agent.intakes.settings import IntakeSettings, Obligation, StatusChange, Use
from agent.rules.contract import Standing
from agent.rules.engine import RuleEngine
from agent.rules.series import frozen_flow, long_zero
from agent.rules.temporal import EPS_M3H, RECORD_MS, frozen, repeated
from tests.agent.rules.plain import BEGIN, DAY, HOUR, METERED, MIN, D, Shown, both_ways, energy, water, with_rule

ALONE = replace(METERED, energy=None)
WARM = [30, "30.1", "29.9", "30.2", "29.8", "30.05", "29.95"]  # a pump that has been running for more than 5 min


def flows(shown: Shown, values: list[object], begin: int = BEGIN, period: int = MIN) -> Shown:
    for at, flow in enumerate(values):
        shown.hear(begin + at * period, flow_rate=flow)
    return shown


# --- R6


@pytest.mark.parametrize(("value", "level"), [("41.9", None), ("43", 3), ("53.9", 3), ("54.1", 4), ("17", 3), ("5", 4)])
def test_a_value_far_from_both_its_neighbours_is_a_spike(value, level):
    calm = [30] * 3
    found = both_ways(lambda shown: flows(shown, [*WARM, *calm, value, *calm]), ALONE).of("R6")
    if level == 4:  # it makes its neighbour, too, differ from the mean of its own neighbours
        assert [each.level for each in found] == [3, 4]
    else:
        assert [each.level for each in found] == ([] if level is None else [level])
    if level == 3:
        assert found[0].began_ms == BEGIN + len([*WARM, *calm]) * MIN, "the value itself, judged one value later"
    if found:
        assert found[-1].evidence["value"] == value


def test_a_spike_ends_a_quarter_of_an_hour_later():
    shown = flows(Shown(ALONE), [*WARM, 50, *WARM, *WARM, *WARM])
    assert [(each.level, each.ended_ms) for each in shown.of("R6")] == [(3, None), (3, BEGIN + 8 * MIN)]


def test_a_step_is_no_spike_and_neither_are_start_and_stop():
    shown = flows(Shown(ALONE), [*WARM, 46, 46, 46, 30, 30, 0, 0, 0, 0, 0, 0, 0, 30, 30, 0, 0, 0, 12, 30, 28])
    assert shown.of("R6") == []


def test_a_gap_between_the_values_is_no_spike():
    shown = flows(Shown(ALONE), WARM)
    shown.hear(BEGIN + 20 * MIN, flow_rate=50)
    shown.hear(BEGIN + 21 * MIN, flow_rate=30)
    assert shown.of("R6") == []


@pytest.mark.parametrize(("power", "level"), [(15, 4), (None, None)])
def test_a_drop_to_zero_is_a_spike_only_where_the_pump_is_known_to_run(power, level):
    shown = Shown(METERED if power else ALONE)
    for at, flow in enumerate([*WARM, 30, 0, 30, 30]):
        shown.hear(BEGIN + at * MIN, flow_rate=flow)
        if power:
            shown.hear(BEGIN + at * MIN + 500, "kwh", power=power)
    assert [each.level for each in shown.of("R6")] == ([] if level is None else [level])


# --- R7


@pytest.mark.parametrize(("after", "level"), [("49.9", None), ("50.1", 3)])
def test_a_change_by_more_than_half_of_q3_in_a_minute_is_too_fast(after, level):
    def play(shown: Shown) -> None:
        flows(shown, [*WARM, 30, after, *[after] * 20])

    assert both_ways(play, ALONE).told("R7") == ([] if level is None else [(level, False), (level, True)])


def test_a_start_and_a_stop_are_not_too_fast_and_a_slow_change_is_none():
    shown = flows(Shown(ALONE), [0, 30, 48, 0, 0])
    flows(shown, [*WARM, 30], begin=BEGIN + HOUR)
    shown.hear(BEGIN + 2 * HOUR, flow_rate=49)
    assert shown.of("R7") == []


# --- R8


@given(
    st.lists(st.decimals(0, D("0.006"), places=3) | st.just(D(30)), max_size=40), st.integers(1, 6), st.integers(1, 10)
)
def test_frozen_values_are_judged_as_the_series_judges_them(values, suspect, fail):
    repeats = ()
    levels = []
    for at, value in enumerate(values):
        repeats = repeated(repeats, value, at_ms=at * RECORD_MS, apart_ms=RECORD_MS, most=max(suspect, fail))
        levels.append(frozen(repeats, value, suspect=suspect, fail=fail))
    assert levels == frozen_flow(values, eps_m3h=EPS_M3H, suspect_count=suspect, fail_count=fail)


@pytest.mark.parametrize("period", [1000, 10_000, MIN, 5 * MIN])
def test_a_flow_that_stands_still_is_suspect_in_the_fourth_record_and_fails_in_the_eighth(period: int):
    site = replace(ALONE, periods_ms={"flow": period})

    def play(shown: Shown) -> None:
        flows(shown, ["30", *["29.5"] * (36 * MIN // period + 1), "29.6", "29.4"], period=period)

    shown = both_ways(play, site) if period >= MIN else Shown(site)
    if period < MIN:
        play(shown)
    assert shown.told("R8") == [(3, False), (4, False), (4, True)]
    assert shown.of("R8")[0].evidence["values"] == "4"
    told_after = [(each.number - 2) * period for each in shown.of("R8")[:2]]  # the second value is the first of them
    assert told_after == [15 * MIN, 35 * MIN]


def test_a_steady_flow_polled_each_second_is_not_frozen_within_minutes():
    site = replace(ALONE, periods_ms={"flow": 1000})
    assert flows(Shown(site), ["29.5"] * 890, period=1000).of("R8") == []


def test_what_an_earlier_version_remembered_of_a_repeat_is_still_read():
    shown = flows(Shown(ALONE), ["29.5"])
    told = json.loads(shown.engine.to_text())
    ((meter, repeats),) = told["temporal"]["repeats"].items()
    told["temporal"]["repeats"][meter] = [repeat[:2] for repeat in repeats]
    RuleEngine(ALONE, json.dumps(told))
    told["temporal"]["repeats"][meter] = [[*repeats[0], 1]]
    with pytest.raises(OutOfDomain):
        RuleEngine(ALONE, json.dumps(told))


def test_one_other_value_between_two_records_ends_the_repeat():
    site = replace(ALONE, periods_ms={"flow": 10_000})
    values = ["29.5" if at % 90 else "29.6" for at in range(360)]  # another one every quarter of an hour
    assert flows(Shown(site), values, period=10_000).of("R8") == []


def test_zero_flow_and_a_resting_pump_are_not_frozen():
    shown = flows(Shown(ALONE), [0] * 20)
    assert shown.of("R8") == []
    resting = Shown(METERED)
    for at in range(12):
        resting.hear(BEGIN + at * MIN, "kwh", power=0)
        resting.hear(BEGIN + at * MIN + 500, flow_rate="2.5")
    assert resting.of("R8") == []


# --- R9


@pytest.mark.parametrize("period", [1000, MIN, 5 * MIN])
@pytest.mark.parametrize(("step", "after"), [("0.1", 5 * MIN), ("1", 10 * MIN)])
def test_a_register_that_stands_still_for_two_records_of_flow_or_one_of_many_steps_is_stuck(period, step, after):
    """29 m³/h for 5 min are 2.4 m³: 24 steps of 0.1 m³, and more than two of 1 m³."""

    def play(shown: Shown) -> None:
        for at in range(12 * MIN // period + 1):
            shown.hear(BEGIN + at * period, flow_rate=f"29.{at % 7}", volume_forward="100.5")
        shown.hear(BEGIN + 15 * MIN, flow_rate=30, volume_forward="101")

    coarse = replace(ALONE, water=(replace(ALONE.water[0], step_m3=D(step)),), periods_ms={"flow": period})
    shown = both_ways(play, coarse) if period >= MIN else Shown(coarse)
    if period < MIN:
        play(shown)
    assert shown.told("R9") == [(4, False), (4, True)]
    begun, ended = shown.of("R9")
    assert (begun.began_ms, ended.ended_ms) == (BEGIN, BEGIN + 15 * MIN)
    assert after - period < (begun.number - 1) * period <= after + period


def test_a_coarse_register_and_a_small_flow_stand_still_rightly():
    coarse = replace(ALONE, water=(replace(ALONE.water[0], step_m3=D(1)),))
    shown = Shown(coarse)
    for at in range(30):
        shown.hear(BEGIN + at * MIN, flow_rate=f"2.{at:02}", volume_forward=100 + at // 30)
    assert shown.of("R9") == []


def test_a_register_without_flow_stands_still_rightly():
    shown = Shown(ALONE)
    for at in range(30):
        shown.hear(BEGIN + at * MIN, flow_rate=0, volume_forward=100)
    assert shown.of("R9") == []


def test_an_energy_register_that_stands_still_while_the_pump_runs_is_stuck():
    shown = Shown(METERED)
    for at in range(11):
        shown.hear(BEGIN + at * MIN, "kwh", power=15, energy_import=500)
    assert [(each.subject, each.level) for each in shown.of("R9")] == [("meter/kwh", 4)]


# --- R2


def daily(
    volumes: list[Decimal], energies: list[Decimal], settings: IntakeSettings, *, restarting: bool = False
) -> tuple[Shown, list[int]]:
    """Days read every hour with these volumes and pumping energies; also the level of R2 at the end of each."""
    shown = Shown(settings, restarting=restarting)
    levels, total, used = [], D(0), D(0)
    for day in range(len(volumes) + 1):  # the account begins a day earlier, so that every day is whole
        volume = D(0) if day == 0 else volumes[day - 1]
        kwh = D(0) if day == 0 else energies[day - 1]
        for hour in range(1, 25):
            end = BEGIN + (day - 1) * DAY + hour * HOUR
            amount = volume if hour == 12 else D(0)
            used += kwh if hour == 12 else D(0)
            total += amount
            standings = [Standing(end, total, used)] if hour == 24 else []
            shown.hear(end, "kwh", steps=[energy(end - HOUR, end, kwh if hour == 12 else 0)], energy_import=used)
            judged = shown.hear(end, steps=[water(end - HOUR, end, amount)], standings=standings, volume_forward=total)
        if day:
            levels.append(judged.levels.get("R2", Qartod.NOT_EVALUATED))
    return shown, levels


HOURLY = replace(METERED, periods_ms={"flow": HOUR, "kwh": HOUR})


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.sampled_from([D(0), D(0), D(5)]), st.sampled_from([D(0), D(0), D(6)])), max_size=9))
def test_zero_days_are_judged_as_the_series_judges_them(days):
    volumes, energies = [day[0] for day in days], [day[1] for day in days]
    short = with_rule(HOURLY, "R2", suspect=D(3), fail=D(5))
    _, levels = daily(volumes, energies, short)
    assert levels == long_zero(volumes, energies, pump_on_kwh=D(5), suspect_days=3)


@pytest.mark.parametrize(("season", "days"), [(None, 30), (((4, 1), (10, 31)), 15)])
def test_long_zero_begins_after_fifteen_days_in_a_wells_season_and_thirty_otherwise(season, days):
    _, levels = daily([D(0)] * 31, [D(0)] * 31, replace(HOURLY, season=season))
    assert levels == [1] * (days - 1) + [3] * (31 - days + 1)


def test_an_industrial_intake_has_thirty_days_also_in_a_season():
    settings = replace(HOURLY, season=((4, 1), (10, 31)), obligation=Obligation(category="industry"))
    assert daily([D(0)] * 29, [D(0)] * 29, settings)[1] == [1] * 29


def test_a_zero_day_on_which_the_pump_used_what_it_uses_in_a_quarter_of_an_hour_fails():
    least = D("18.5") / 4
    shown, levels = daily([D(0), D(0), D(3)], [least - D("0.01"), least, least], HOURLY)
    assert levels == [1, 4, 1]
    assert shown.told("R2") == [(4, False), (4, True)]


def test_an_intake_on_standby_or_out_of_season_may_rest():
    standby = replace(HOURLY, statuses=(StatusChange(use=Use.STANDBY, since=date(2026, 5, 2)),))
    assert daily([D(0)] * 32, [D(0)] * 32, standby)[1] == [1] * 32
    winter = replace(HOURLY, season=((11, 1), (2, 28)))
    assert daily([D(0)] * 16, [D(0)] * 16, winter)[1] == [1] * 16


def test_days_that_nobody_read_are_no_zero_days():
    settings = with_rule(replace(HOURLY, energy=None), "R2", suspect=D(1))
    shown = Shown(settings)
    for day in range(5):
        end = BEGIN + day * DAY
        shown.hear(end, steps=[water(end - DAY, end, 0)], standings=[Standing(end, D(0))], volume_forward=1)
    assert shown.of("R2") == []
