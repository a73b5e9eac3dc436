"""R3 and R13: at their very bounds, and above them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.derive.flags import Flag
from agent.intakes.settings import Pipe, Range
from agent.rules.contract import Standing
from agent.rules.engine import RuleEngine
from agent.rules.series import huge_value
from tests.agent.intakes.rounds import Store, converted, metered, readings
from tests.agent.rules.plain import BEGIN, DAY, HOUR, METERED, MIN, D, Shown, both_ways, water, with_rule

FINE = replace(METERED, energy=None, water=(replace(METERED.water[0], step_m3=D(0)),))  # a register without steps


def intervals(shown: Shown, volumes: list[Decimal]) -> list[int]:
    """The levels of R3 of hourly intervals with these volumes, one after another."""
    levels = []
    for at, volume in enumerate(volumes):
        begin = BEGIN + at * HOUR
        judged = shown.hear(begin + HOUR, steps=[water(begin, begin + HOUR, volume)], volume_forward=1)
        levels.append(judged.levels["R3"])
    return levels


@settings(deadline=None, max_examples=50)
@given(st.lists(st.decimals(0, 100, places=2), min_size=1, max_size=12))
def test_the_engine_finds_what_the_series_finds(volumes):
    hourly = with_rule(replace(FINE, periods_ms={"flow": HOUR}), "R3", hold_off_s=D(0))
    assert intervals(Shown(hourly), volumes) == huge_value(volumes, most_m3=D(50))


@pytest.mark.parametrize(("volume", "level"), [("50", None), ("50.001", 3), ("60", 3), ("60.001", 4)])
def test_more_than_q4_times_the_interval_is_huge(volume, level):
    shown = Shown(FINE)
    intervals(shown, [D(volume)])
    assert shown.told("R3") == ([] if level is None else [(level, False)])


def test_a_coarse_register_may_turn_just_before_the_end():
    coarse = replace(METERED, energy=None, water=(replace(METERED.water[0], step_m3=D(1)),))
    shown = Shown(coarse)
    shown.hear(BEGIN + MIN, steps=[water(BEGIN, BEGIN + MIN, 1)], volume_forward=1)  # Q4 gives 0.83 a minute
    assert shown.of("R3") == []
    shown.hear(BEGIN + 2 * MIN, steps=[water(BEGIN + MIN, BEGIN + 2 * MIN, 3)], volume_forward=4)
    assert shown.told("R3") == [(4, False)]


def test_a_jump_that_is_held_is_huge_although_nothing_was_booked():
    def play(shown: Shown) -> None:
        shown.hear(BEGIN + MIN, steps=[water(BEGIN, BEGIN + MIN, None, Flag.JUMPED)], volume_forward=999)
        for at in range(1, 20):
            shown.hear(BEGIN + at * MIN + MIN, steps=[water(BEGIN + at * MIN, BEGIN + at * MIN + MIN, 0)], flow_rate=0)

    assert both_ways(play).told("R3") == [(4, False), (4, True)]


@pytest.mark.parametrize(
    ("site", "meter", "quantity", "named"),
    [  # in the quarter of an hour Q4 = 60 m³/h gives 15 m³, and 15 kW × 1.5 use 5.625 kWh
        (metered(), "main-flow", "volume_forward", {"volume_m3": "900.5", "most_m3": "15"}),
        (converted(), "pump-kwh", "energy_import", {"energy_kwh": "900.5", "most_kwh": "5.625"}),
        (
            converted(register_is_primary=False, ct_ratio=D(20)),
            "pump-kwh", "energy_import", {"energy_kwh": "18010", "most_kwh": "5.625"},
        ),
    ],
)  # fmt: skip
def test_a_held_jump_names_what_the_register_showed_and_what_it_can(site, meter, quantity, named):
    account = Store(site, rules=lambda text: RuleEngine(site, text))
    account.hear(*readings(meter, quantity, ["100", "1000.5"], every_ms=15 * MIN))
    (found,) = [each for each in account.found if each.rule == "R3"]
    assert {name: found.evidence.get(name) for name in named} == named
    assert {"suspect", "fail"} <= found.evidence.keys()


@pytest.mark.parametrize(("volume", "level"), [("1200", None), ("1201", 3), ("1440", 3), ("1441", 4)])
def test_a_day_above_q4_or_a_tenth_of_the_permit_is_huge(volume, level):
    shown = days_of(Shown(FINE), [D(volume)])
    assert shown.told("R3", "volume_day") == ([] if level is None else [(level, False)])


def test_a_day_above_a_tenth_of_the_permit_is_huge():
    permit = replace(METERED.permit, annual_m3=D(10_000))
    assert days_of(Shown(replace(FINE, permit=permit)), [D(1000), D(1001)]).told("R3", "volume_day") == [(3, False)]


def days_of(shown: Shown, volumes: list[Decimal]) -> Shown:
    """Days with these volumes, read every hour."""
    total = D(0)
    for day, volume in enumerate([D(0), *volumes]):
        for hour in range(1, 25):
            end = BEGIN + (day - 1) * DAY + hour * HOUR
            total += volume / 24
            standings = [Standing(end, total.quantize(D("0.001")))] if hour == 24 else []
            step = water(end - HOUR, end, (volume / 24).quantize(D("0.001")))
            shown.hear(end, steps=[step], standings=standings, volume_forward=1)
    return shown


@pytest.mark.parametrize(
    ("flow", "level"), [("0", None), ("0.1", None), ("0.5", 3), ("1", None), ("50", None), ("50.1", 3), ("60.1", 4)]
)
def test_flow_outside_its_range_is_told_when_it_lasts(flow, level):
    wide = replace(METERED, energy=None, pipe=Pipe())
    shown = Shown(wide)
    shown.hear(BEGIN, flow_rate=flow)
    shown.hear(BEGIN + 20 * MIN, flow_rate=flow)
    shown.hear(BEGIN + 21 * MIN, flow_rate=flow)
    assert shown.told("R13", "flow_rate") == ([] if level is None else [(level, False)])


def test_a_start_passes_through_low_flows():
    shown = Shown()
    for at, flow in enumerate(["0", "0.6", "0.7", "0.8", "30", "30", "0.6", "0"]):
        shown.hear(BEGIN + at * MIN, flow_rate=flow)
    assert shown.of("R13") == []


def test_water_faster_than_three_metres_a_second_is_suspect_and_than_five_fails():
    def play(shown: Shown) -> None:
        for at, flow in enumerate([80, 90, 90, 150, 150, *[30] * 20]):  # 3 m/s in DN 100 are 84.8 m³/h
            shown.hear(BEGIN + at * MIN, flow_rate=flow)

    wide = replace(METERED, range=Range(start_m3h=D("0.1")), energy=None)
    assert both_ways(play, wide).told("R13", "velocity") == [(3, False), (4, False), (4, True)]


def test_a_velocity_that_the_meter_tells_goes_before_the_pipes_bore():
    shown = Shown()
    for at in range(3):
        shown.hear(BEGIN + at * MIN, flow_rate=30, velocity="3.2")
    assert shown.of("R13")[0].evidence["velocity_ms"] == "3.2"
