"""`derive` and its coefficients: which is in force, what its sensors say, and what stands in for it."""

from __future__ import annotations

from datetime import date

import pytest

from agent.derive.exact import OutOfDomain, midnight_ms
from agent.derive.flags import Flag, Qartod
from agent.derive.models import Curve, Dated, Fixed, Physical, Regional, TwoPhase
from tests.agent.derive.sites import (
    HOUR,
    LEVEL,
    MINUTE,
    START,
    STEP,
    ZONE,
    D,
    coefficient,
    every,
    last,
    pumps,
    run,
    said,
    site,
)

MIDNIGHT = midnight_ms(date(2024, 7, 1), ZONE)
HALVES = (
    coefficient(Fixed(tc=D("2.3")), id="H1", valid_from=None, valid_to=date(2024, 7, 1)),
    coefficient(Fixed(tc=D("2.05")), id="H2", valid_from=date(2024, 7, 1), valid_to=None),
)


def test_a_change_inside_an_interval_splits_the_energy_by_time():
    interval = last(site(*HALVES, period_ms=8 * HOUR), [said(MIDNIGHT - 4 * HOUR, 0), said(MIDNIGHT + 4 * HOUR, 96)])
    assert interval.flags == (Flag.ESTIMATED_SPLIT, Flag.DUE_SOON)
    assert [(part.coefficient, part.energy_kwh) for part in interval.parts] == [("H1@1", 48), ("H2@1", 48)]
    assert interval.volume_m3 == D("208.8")


@pytest.mark.parametrize(
    "model", [Fixed(tc=D("2.2")), TwoPhase(drop_volume_m3=D(5), drop_energy_kwh=D(2), tc_stable=D("2.2"))]
)
def test_what_is_used_behind_the_end_of_a_coefficient_without_successor_is_a_part_of_its_own(model):
    """§9.3-5: a part that no segment covers takes the last earlier one, in its expired state. The water is the same."""
    readings = [said(MIDNIGHT - 20 * 24 * HOUR, 0), said(MIDNIGHT + 10 * 24 * HOUR, 6000)]
    ended = coefficient(model, valid_from=None, valid_to=date(2024, 7, 1))
    interval = last(site(ended, period_ms=30 * 24 * HOUR), readings)
    assert set(interval.flags) == {Flag.ESTIMATED_SPLIT, Flag.DUE_SOON, Flag.EXPIRED_GRACE}
    assert [(part.coefficient, part.energy_kwh) for part in interval.parts] == [("W7@1", 4000), ("W7@1", 2000)]
    assert [part.share.is_expired for part in interval.parts if part.share] == [False, True]
    endless = coefficient(model, valid_from=None, valid_to=None)
    assert interval.volume_m3 == last(site(endless, period_ms=30 * 24 * HOUR), readings).volume_m3


def test_a_reading_at_the_change_makes_the_split_exact():
    intervals, state = run(
        site(*HALVES, period_ms=8 * HOUR),
        [said(MIDNIGHT - 4 * HOUR, 0), said(MIDNIGHT, 60), said(MIDNIGHT + 4 * HOUR, 96)],
    )
    assert [interval.flags for interval in intervals] == [(Flag.DUE_SOON,), ()]
    assert state.volume_m3 == 60 * D("2.3") + 36 * D("2.05")


@pytest.mark.parametrize(
    ("day", "word", "level"),
    [
        (date(2025, 3, 1), None, Qartod.PASS),
        (date(2025, 3, 2), Flag.DUE_SOON, Qartod.PASS),
        (date(2025, 4, 1), Flag.EXPIRED_GRACE, Qartod.SUSPECT),
        (date(2025, 6, 29), Flag.EXPIRED_GRACE, Qartod.SUSPECT),
        (date(2025, 6, 30), Flag.EXPIRED, Qartod.FAIL),
    ],
)
def test_a_coefficient_past_its_time_still_gives_a_volume_that_says_so(day, word, level):
    midnight = midnight_ms(day, ZONE)
    interval = last(site(), [said(midnight, 100), said(midnight + STEP, 101)])
    assert interval.volume_m3 == D("2.2")
    assert interval.flags == (() if word is None else (word,))
    assert interval.level is level


def test_before_any_coefficient_there_is_energy_and_no_volume():
    midnight = midnight_ms(date(2024, 4, 1), ZONE)
    intervals, state = run(site(), [said(midnight - STEP, 100), said(midnight, 101), said(midnight + STEP, 102)])
    assert [interval.volume_m3 for interval in intervals] == [None, D("2.2")]
    assert intervals[0].flags == (Flag.NOT_YET_VALID,)
    assert state.energy_kwh == 2


def test_a_season_changes_the_coefficient_every_year():
    model = Dated(steps=(((4, 1), D("2.3")), ((7, 1), D("2.05"))))
    where = site(coefficient(model, valid_from=None, valid_to=None), period_ms=8 * HOUR)
    for year in (2024, 2031):
        midnight = midnight_ms(date(year, 7, 1), ZONE)
        interval = last(where, [said(midnight - 4 * HOUR, 0), said(midnight + 4 * HOUR, 96)])
        assert interval.volume_m3 == D("208.8")
        assert interval.flags == (Flag.ESTIMATED_SPLIT,)


def test_a_later_version_takes_over_on_its_day():
    where = site(
        coefficient(),
        coefficient(Fixed(tc=D(2)), version=2, valid_from=date(2024, 5, 1), valid_to=date(2024, 5, 2)),
    )
    interval = last(where, every(["100", "101"]))
    assert interval.parts[0].coefficient == "W7@2"
    after = last(where, every(["100", "101"], begin_ms=START + 48 * HOUR))
    assert after.parts[0].coefficient == "W7@2"  # ended early, and the first version does not come back
    assert after.flags == (Flag.EXPIRED_GRACE,)


def test_a_level_model_uses_the_mean_level_of_the_interval():
    rounds = [said(START, 100, depth_m=D(30)), said(START + STEP, 101, depth_m=D(32))]
    interval = last(site(LEVEL, coefficient()), rounds)
    assert interval.parts[0].depth_m == 31
    assert interval.volume_m3 == D("2.498126")  # 1 / (0.081 + 0.0103·31) = 1/0.4003


def test_a_sensor_that_is_silent_makes_the_fixed_coefficient_stand_in_and_says_so():
    interval = last(site(LEVEL, coefficient()), every(["100", "101"]))
    assert interval.flags == (Flag.HEAD_FALLBACK,)
    assert interval.parts[0].model == "fixed"


def test_a_sensors_word_holds_for_a_quarter_of_an_hour():
    where = site(LEVEL, coefficient())
    rounds = [said(START - 15 * MINUTE - STEP, depth_m=D(30)), *every(["100", "101"], begin_ms=START - STEP)]
    assert last(where, rounds).parts[0].model == "affine_level"
    rounds = [said(START - 15 * MINUTE - STEP - 1, depth_m=D(30)), *every(["100", "101"], begin_ms=START - STEP)]
    assert last(where, rounds).parts[0].model == "fixed"


def test_a_level_outside_the_widened_range_is_said():
    for depth, flags in (("41.2", ()), ("41.21", (Flag.HEAD_EXTRAPOLATED,)), ("26.79", (Flag.HEAD_EXTRAPOLATED,))):
        interval = last(site(LEVEL), every(["100", "101"], depth_m=D(depth)))
        assert interval.flags == flags


def test_over_a_gap_near_levels_give_a_mean_and_far_ones_the_middle_of_the_calibration():
    where = site(LEVEL, coefficient())
    for after, depth, flags in (("31.9", "30.95", {Flag.GAP}), ("32", "34", {Flag.GAP, Flag.HEAD_ESTIMATED})):
        rounds = [said(START, 100, depth_m=D(30)), said(START + HOUR, 112, depth_m=D(after))]
        interval = last(where, rounds)
        assert interval.parts[0].depth_m == D(depth)
        assert set(interval.flags) == flags
    one_end = [said(START, 100), said(START + HOUR, 112, depth_m=D(30))]
    assert Flag.HEAD_FALLBACK in last(where, one_end).flags


def test_a_resting_level_says_nothing_about_pumping():
    rounds = [said(START, 100, depth_m=D(20), power_kw=D(0)), said(START + STEP, 101, depth_m=D(34), power_kw=D(14))]
    assert last(site(LEVEL), rounds).parts[0].depth_m == 34


def test_the_physical_model_takes_head_from_level_gauge_and_constants():
    model = Physical(eta=D("0.52"), discharge_height_m=D("1.5"), friction_m=D(4), has_gauge=True)
    rounds = every(["0", "1.2"], depth_m=D(38), pressure_mpa=D("0.25"))
    interval = last(site(coefficient(model)), rounds)
    assert abs(interval.parts[0].head_m - D("68.9929")) < D("0.0001")
    assert abs(interval.volume_m3 - D("1383.41") * D("1.2") / 500) < D("0.0001")
    no_gauge = last(site(coefficient(model), coefficient(id="F")), every(["0", "1.2"], depth_m=D(38)))
    assert no_gauge.flags == (Flag.HEAD_FALLBACK,)


def test_the_region_stands_in_when_nothing_else_can():
    region = coefficient(Regional(tc=D(2)), id="R", u_rel=D("0.3"))
    interval = last(site(LEVEL, region), every(["100", "101"]))
    assert (interval.volume_m3, interval.flags) == (2, (Flag.HEAD_FALLBACK,))


def test_a_table_by_power_is_read_with_the_mean_power():
    curve = Curve(table="flow_by_power", points=((D(10), D(30)), (D(14), D(40))))
    interval = last(site(coefficient(curve)), every(["100", "101"]))  # 12 kW: 35 m³/h for 5 min
    assert interval.volume_m3 == D("2.916667")
    assert last(site(coefficient(curve)), every(["100", "101.5"])).flags == (Flag.CURVE_EXTRAPOLATED,)


def test_a_table_of_volumes_serves_its_own_interval_length_only():
    curve = Curve(table="volume_by_energy", points=((D(0), D(0)), (D(2), D(5))), interval_h=D(1) / 12)
    where = site(coefficient(curve, id="C"), coefficient(id="F", valid_from=date(2024, 3, 1)))
    assert last(where, every(["100", "101"])).volume_m3 == D("2.5")
    interval = last(where, every(["100", "102"], 2 * STEP))
    assert interval.volume_m3 == D("4.4")
    assert Flag.CURVE_FALLBACK in interval.flags


def test_a_table_of_volumes_is_not_used_for_a_piece_of_its_interval():
    curve = Curve(table="volume_by_energy", points=((D(0), D(0)), (D(2), D(5))), interval_h=D(8))
    first = coefficient(curve, id="C", valid_from=None, valid_to=date(2024, 7, 1))
    second = coefficient(Fixed(tc=D(2)), id="F", valid_from=None, valid_to=None)
    where = site(first, second, period_ms=8 * HOUR)
    interval = last(where, [said(MIDNIGHT - 4 * HOUR, 0), said(MIDNIGHT + 4 * HOUR, 80)])
    assert interval.volume_m3 == 160
    assert Flag.CURVE_FALLBACK in interval.flags


def test_a_site_has_pumps_with_names_of_their_own():
    one = pumps(A=(D(30), D(2)))
    with pytest.raises(OutOfDomain):
        site(pumps=one + one)
