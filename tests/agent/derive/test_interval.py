"""`derive`, round by round: what is booked of a register, run by run, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import ROUND_DOWN

import pytest

from agent.derive.counter import Decided, Replaced
from agent.derive.energy import PumpSet
from agent.derive.flags import Flag
from agent.derive.models import Fixed
from agent.derive.state import State
from tests.agent.derive.sites import (
    HOUR,
    MINUTE,
    START,
    STEP,
    TWO_PHASE,
    D,
    coefficient,
    every,
    last,
    pumps,
    run,
    said,
    site,
)


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


def test_an_interval_says_how_well_its_volume_is_known():
    record = coefficient(calibrated_on=date(2024, 5, 1), drift_per_year=D(0))
    interval = last(site(record), every([100, 101]))
    # 3 %, class 1 (0.577 %), step 0.01 kWh over 1 kWh (0.408 %), 2 % for the level: 3.674 % of 2.2 m³
    assert abs(interval.u_m3 - D("0.080826")) < D("0.00001")


def test_a_register_of_coarse_steps_makes_no_water_of_standby_and_no_doubt_of_an_auxiliary_load():
    where = site(load=PumpSet(rated_kw=D(15), aux_kw=D("0.3")), period_ms=STEP * 3, step=D("0.01"), factor=D(20))
    where = replace(where, accuracy=replace(where.accuracy, step_kwh=D("0.2")))
    used_kwh = [n * D("0.1") for n in range(200)]  # 0.4 kW: 0.3 of the auxiliary load, 0.1 of standby
    shown = [(D(100) + used / 20).quantize(D("0.01"), ROUND_DOWN) for used in used_kwh]
    intervals, state = run(where, every(shown, STEP * 3))
    assert {interval.flags for interval in intervals} == {()}
    assert state.volume_m3 == 0
    assert float(state.standby.power_kw) == pytest.approx(0.1, abs=0.01)
