"""`derive`, round by round: what is booked, what is said about it, and that it never depends on when it is derived."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import ROUND_DOWN, Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.derive.coefficient import Basis
from agent.derive.counter import Decided, Replaced
from agent.derive.energy import PumpSet
from agent.derive.exact import OutOfDomain, midnight_ms
from agent.derive.flags import Flag, Qartod
from agent.derive.interval import derive
from agent.derive.models import AffineLevel, Curve, Dated, Fixed, Physical, Regional, TwoPhase
from agent.derive.state import State
from tests.agent.derive.sites import HOUR, MINUTE, START, STEP, ZONE, D, coefficient, pumps, run, said, site


def every(readings, every_ms=STEP, begin_ms=START, **more):
    return [said(begin_ms + index * every_ms, reading, **more) for index, reading in enumerate(readings)]


def last(where, inputs):
    intervals, _ = run(where, inputs)
    return intervals[-1]


def test_the_first_reading_ends_no_interval_and_the_second_one_books_its_water():
    intervals, state = run(site(), every(["100", "101"]))
    (interval,) = intervals
    assert interval.energy_kwh == 1
    assert interval.volume_m3 == D("2.2")
    assert interval.parts[0].coefficient == "W7@1"
    assert (interval.begin.source, interval.end.source) == (f"e-{START}", f"e-{START + STEP}")
    assert interval.flags == ()
    assert state.volume_m3 == D("2.2")


def test_a_volume_is_rounded_once_half_even_to_a_millionth():
    where = site(coefficient(Fixed(tc=D("2.0000005"))))
    assert last(where, every(["100", "101"])).volume_m3 == D("2.000000")
    where = site(coefficient(Fixed(tc=D("2.0000015"))))
    assert last(where, every(["100", "101"])).volume_m3 == D("2.000002")


def test_standby_lifts_no_water():
    interval = last(site(), every(["100", "100.2"]))  # 2.4 kW, below 0.2 of 15
    assert (interval.energy_kwh, interval.pumping_kwh, interval.volume_m3) == (D("0.2"), 0, 0)


def test_at_the_threshold_the_pump_is_on():
    assert last(site(), every(["100", "100.25"])).volume_m3 == D("0.55")


def test_an_auxiliary_load_is_taken_off_first():
    where = site(load=PumpSet(rated_kw=D(15), aux_kw=D("1.2")))
    interval = last(where, every(["100", "101"]))  # 0.1 kWh in 5 min
    assert (interval.energy_kwh, interval.pumping_kwh, interval.volume_m3) == (1, D("0.9"), D("1.98"))
    interval = last(where, every(["100", "100.05"]))
    assert interval.flags == (Flag.AUX_EXCEEDS_TOTAL,)
    assert interval.volume_m3 == 0


def test_a_run_hidden_in_a_long_interval_keeps_its_water():
    where = site(load=PumpSet(rated_kw=D(15), standby_kw=D("0.1")), period_ms=HOUR)
    interval = last(where, every(["100", "102.5"], HOUR))
    assert interval.flags == (Flag.PARTIAL_RUN,)
    assert interval.volume_m3 == D("2.4") * D("2.2")
    assert last(where, every(["100", "100.2"], HOUR)).volume_m3 == 0  # exactly twice the standby power
    assert last(where, every(["100", "100.21"], HOUR)).volume_m3 == 0  # standby moves the last place once in a while
    assert last(where, every(["100", "100.22"], HOUR)).volume_m3 == D("0.12") * D("2.2")


def test_standby_is_learnt_from_idle_hours():
    where = site(period_ms=HOUR)
    idle = [D(100) + n * D("0.1") for n in range(9)]
    intervals, state = run(where, every([*idle, idle[-1] + D("2.5")], HOUR))
    assert state.standby.power_kw == D("0.1")
    assert intervals[-1].flags == (Flag.PARTIAL_RUN,)
    assert intervals[-1].pumping_kwh == D("2.4")


def test_live_power_shows_a_run_in_a_long_interval():
    where = site(period_ms=HOUR)
    given_power = [said(START, "100", power_kw=D(0)), said(START + HOUR, "102", power_kw=D(14))]
    interval = last(where, given_power)
    assert interval.flags == (Flag.PARTIAL_RUN,)
    assert interval.volume_m3 == D("4.4")


def test_a_gap_is_booked_over_the_gap():
    interval = last(site(), [*every(["100", "101"]), said(START + STEP + HOUR, "113")])
    assert interval.flags == (Flag.GAP,)
    assert interval.volume_m3 == D("26.4")


def test_one_and_a_half_periods_are_no_gap():
    interval = last(site(), [*every(["100"]), said(START + STEP + STEP // 2, "101")])
    assert interval.flags == ()


def test_a_round_without_a_register_books_nothing_and_loses_nothing():
    _, state = run(site(), [said(START, "100"), said(START + STEP), said(START + 2 * STEP, "102")])
    assert state.volume_m3 == D("4.4")


def test_a_held_reading_books_nothing_and_no_gap_is_made_of_it():
    intervals, state = run(site(), every(["100", "90000", "102"]))
    assert [interval.volume_m3 for interval in intervals] == [None, D("4.4")]
    assert intervals[0].flags == (Flag.JUMPED,)
    assert intervals[1].flags == ()
    assert state.energy_kwh == 2


def test_a_replaced_meter_is_booked_piece_by_piece():
    where = site(factor=D(20), rated_kw=D(300))
    swap = Replaced(at_ms=START + HOUR, source="op", old_final=D(118), new_initial=D("3.5"), new_factor=D(20))
    first = State()
    _, first = run(site(), every(["100"]), first)
    intervals, state = run(where, [swap, said(START + 2 * HOUR, "5.1")], first)
    assert [interval.energy_kwh for interval in intervals] == [18, 32]
    assert all(Flag.METER_SWAP in interval.flags for interval in intervals)
    assert state.volume_m3 == D(50) * D("2.2")
    assert [part.share.meter for interval in intervals for part in interval.parts] == ["energy#0", "energy#1"]


def test_an_operators_decision_ends_a_fall():
    rounds = every(["5230", "12", "12.5", "13"])
    _, state = run(site(), rounds)
    assert state.volume_m3 == 0
    decided = Decided(at_ms=START + 3 * STEP + 1, source="op", register=D(13), wraps=None)
    intervals, state = run(site(), [decided, said(START + 4 * STEP, "14")], state)
    assert intervals[0].flags == (Flag.REGISTER_RESET,)
    assert state.volume_m3 == D("2.2")


def test_reverse_energy_is_said_and_never_subtracted():
    rounds = [said(START, "100", export=D(5)), said(START + STEP, "101", export=D("5.5"))]
    interval = last(site(), rounds)
    assert interval.flags == (Flag.REVERSE_ENERGY,)
    assert interval.energy_kwh == 1


def test_reverse_energy_seen_between_two_readings_is_not_forgotten():
    rounds = [said(START, "100", export=D(5)), said(START + MINUTE, export=D(6)), said(START + STEP, "101")]
    assert last(site(), rounds).flags == (Flag.REVERSE_ENERGY,)


# Coefficients in time

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


# Sensors

LEVEL = coefficient(
    AffineLevel(a=D("0.081"), b=D("0.0103"), depths=(D(28), D(40))), id="L", basis=Basis(depth_range_m=(D(28), D(40)))
)


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


# Runs

TWO_PHASE = coefficient(TwoPhase(drop_volume_m3=D(22), drop_energy_kwh=D(8), tc_stable=D("2.2")))


def test_a_run_of_two_phases_adds_up_interval_by_interval():
    readings = [100 + n for n in range(21)]  # 20 kWh in one run
    _, state = run(site(TWO_PHASE), every(readings))
    assert state.volume_m3 == D("48.4")  # 22 + 2.2·12


def test_a_run_that_ends_before_the_level_is_stable_is_said_when_it_ends():
    intervals, state = run(site(TWO_PHASE), every([100, 101, 102, 102]))
    assert state.volume_m3 == D("5.5")  # 2.75·2
    assert [interval.flags for interval in intervals] == [(), (), (Flag.SHORT_RUNS,)]


def test_each_start_has_its_own_falling_phase():
    readings = [*(100 + n for n in range(11)), 110, *(111 + n for n in range(10))]
    intervals, state = run(site(TWO_PHASE), every(readings))
    assert state.volume_m3 == 2 * D("26.4")  # 22 + 2.2·2, twice
    (ended,) = (one for interval in intervals for one in interval.ended)
    assert (ended.energy_kwh, ended.volume_m3) == (10, D("26.4"))
    assert (ended.begin_ms, ended.end_ms) == (START, START + 10 * STEP)


def test_the_running_power_leaves_out_the_first_and_the_last_interval():
    intervals, _ = run(site(), every(["100", "100.3", "101.5", "102.7", "103.1", "103.1"]))
    (ended,) = intervals[-1].ended
    assert ended.mean_kw == D("14.4")  # 1.2 kWh in 5 min


def test_several_pumps_share_by_run_time_and_power():
    where = site(pumps=pumps(A=(D(30), D(2)), B=(D(10), D(3))), load=PumpSet(rated_kw=D(40)), rated_kw=D(40))
    rounds = [said(START, 100), said(START + STEP, "101", run_h={"A": D(2), "B": D(4)})]
    interval = last(where, rounds)
    assert [part.energy_kwh for part in interval.parts] == [D("0.6"), D("0.4")]
    assert interval.volume_m3 == D("2.4")
    assert interval.flags == (Flag.APPORTIONED,)


def test_several_pumps_without_run_times_give_energy_only():
    where = site(pumps=pumps(A=(D(30), D(2)), B=(D(10), D(3))), load=PumpSet(rated_kw=D(15)))
    interval = last(where, every([100, 101]))
    assert (interval.volume_m3, interval.flags) == (None, (Flag.NOT_APPORTIONED,))


def test_run_times_of_a_held_reading_serve_the_next_booking():
    where = site(pumps=pumps(A=(D(30), D(2)), B=(D(10), D(3))), load=PumpSet(rated_kw=D(15)))
    rounds = [said(START, 100), said(START + STEP, 90000, run_h={"A": D(2)}), said(START + 2 * STEP, 102)]
    assert last(where, rounds).volume_m3 == 4


# Uncertainty


def test_an_interval_says_how_well_its_volume_is_known():
    record = coefficient(calibrated_on=date(2024, 5, 1), drift_per_year=D(0))
    interval = last(site(record), every([100, 101]))
    # 3 %, class 1 (0.577 %), step 0.01 kWh over 1 kWh (0.408 %), 2 % for the level: 3.674 % of 2.2 m³
    assert abs(interval.u_m3 - D("0.080826")) < D("0.00001")


# The same digits, whenever

READINGS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-300, 400), st.sampled_from([90_000, -9_000])),
        st.sampled_from([STEP, STEP, STEP, HOUR, 30 * MINUTE, 7 * MINUTE + 13]),
        st.one_of(st.none(), st.integers(2600, 4300)),
        st.one_of(st.none(), st.integers(0, 160)),
    ),
    min_size=1,
    max_size=30,
)
ALL_KINDS = (LEVEL, coefficient(TWO_PHASE.model, id="T", valid_to=date(2024, 5, 1)), coefficient(id="F"))


def rounds_of(drawn):
    at_ms, register, rounds = START - 2 * HOUR, 99_950_000, []
    for index, (step, wait_ms, depth, power) in enumerate(drawn):
        at_ms += wait_ms
        if step is not None:
            register = (register + abs(step) if abs(step) < 1000 else register) % 100_000_000
        shown = None if step is None else register if abs(step) < 1000 else (register + step) % 100_000_000
        rounds.append(
            said(
                at_ms, None if shown is None else Decimal(shown).scaleb(-2),
                depth_m=None if depth is None else Decimal(depth).scaleb(-2),
                power_kw=None if power is None else Decimal(power).scaleb(-1),
            )
        )  # fmt: skip
        if index % 11 == 10:
            rounds.append(
                Decided(at_ms=at_ms + 1, source=f"op-{index}", register=Decimal(register).scaleb(-2), wraps=None)
            )
    return rounds


@settings(max_examples=150, deadline=None)
@given(READINGS, st.integers(0, 2**30 - 1))
def test_the_same_rounds_give_the_same_intervals_with_restarts_between_any_two(drawn, restarts):
    where = site(*ALL_KINDS, load=PumpSet(rated_kw=D(15), aux_kw=D("0.07")))
    rounds = rounds_of(drawn)
    intervals, state = run(where, rounds)
    again, other = [], State()
    for index, one in enumerate(rounds):
        if restarts >> (index % 30) & 1:
            other = State.from_text(other.to_text())
        with localcontext(prec=9):  # whatever the thread that derives has set
            found, other = derive(site(*ALL_KINDS, load=where.load), one, other)
        again += found
    assert again == intervals
    assert other == state
    assert other.to_text() == state.to_text()
    assert [str(one.volume_m3) for one in again] == [str(one.volume_m3) for one in intervals]


@settings(max_examples=150, deadline=None)
@given(READINGS)
def test_totals_never_fall_and_are_the_sum_of_what_was_booked(drawn):
    intervals, state = run(site(*ALL_KINDS), rounds_of(drawn))
    totals = [interval.total_volume_m3 for interval in intervals]
    assert totals == sorted(totals)
    assert state.volume_m3 == sum((one.volume_m3 or D(0) for one in intervals), D(0))
    assert state.energy_kwh == sum((one.energy_kwh or D(0) for one in intervals), D(0))
    for one in intervals:
        assert one.volume_m3 is None or one.volume_m3 == one.volume_m3.quantize(D("0.000001"))
        assert one.volume_m3 is None or one.pumping_kwh <= one.energy_kwh + D("0.000001")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(25, 185), min_size=2, max_size=30), st.data())
def test_rounds_that_were_lost_lose_no_energy(steps, data):
    """A gap is booked over the gap: the energy total is the register's own difference, whatever is missing."""
    readings = [100 + Decimal(sum(steps[:index])) / 100 for index in range(len(steps) + 1)]
    rounds = every(readings)
    kept = data.draw(st.lists(st.booleans(), min_size=len(steps) - 1, max_size=len(steps) - 1))
    thinned = [rounds[0], *(one for one, keep in zip(rounds[1:-1], kept, strict=True) if keep), rounds[-1]]
    _, state = run(site(), thinned)
    assert state.energy_kwh == readings[-1] - readings[0]
    assert state.volume_m3 == (readings[-1] - readings[0]) * D("2.2")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"form": 2}', '{"form": 1, "more": 1}', '{"volume_m3": "x"}'])
def test_a_text_that_is_no_state_is_refused(text):
    with pytest.raises(OutOfDomain):
        State.from_text(text)


def test_a_register_of_coarse_steps_makes_no_water_of_standby_and_no_doubt_of_an_auxiliary_load():
    where = site(load=PumpSet(rated_kw=D(15), aux_kw=D("0.3")), period_ms=STEP * 3, step=D("0.01"), factor=D(20))
    where = replace(where, accuracy=replace(where.accuracy, step_kwh=D("0.2")))
    used_kwh = [n * D("0.1") for n in range(200)]  # 0.4 kW: 0.3 of the auxiliary load, 0.1 of standby
    shown = [(D(100) + used / 20).quantize(D("0.01"), ROUND_DOWN) for used in used_kwh]
    intervals, state = run(where, every(shown, STEP * 3))
    assert {interval.flags for interval in intervals} == {()}
    assert state.volume_m3 == 0
    assert float(state.standby.power_kw) == pytest.approx(0.1, abs=0.01)
