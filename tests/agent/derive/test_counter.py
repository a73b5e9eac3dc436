"""The counter state machine: every step booked once, nothing booked that cannot be true."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.derive.counter import CounterSettings, CounterState, Decided, Phase, Replaced, Shown, advance, settle
from agent.derive.flags import Flag
from tests.agent.derive.sites import HOUR, STEP, D, register

METER = register()  # 15 kW · 1.5: at most 1.875 kWh in 5 min, 22.5 in an hour
START = CounterState(baseline=Shown(0, D(1000), "r-0"), factor=D(1))


def follow(readings, state=START, settings=METER, every_ms=STEP):
    """What each reading books (None: nothing), the words, and the state after them."""
    found, at_ms = [], state.baseline.at_ms
    for index, reading in enumerate(readings, 1):
        at_ms += every_ms
        booking, state = advance(settings, Shown(at_ms, D(str(reading)), f"r-{index}"), state)
        found.append(booking)
    return [booking.amount for booking in found], [set(booking.flags) for booking in found], state


def test_the_first_reading_ever_only_sets_the_baseline():
    booking, state = advance(METER, Shown(0, D(500), "r-0"), CounterState())
    assert booking is None
    assert state.baseline == Shown(0, D(500), "r-0")


def test_steps_are_booked_from_reading_to_reading():
    amounts, flags, state = follow(["1001", "1001", "1002.5"])
    assert amounts == [1, 0, D("1.5")]
    assert flags == [set(), set(), set()]
    assert state.phase is Phase.NORMAL


def test_the_multiplier_is_applied_once():
    settings = register(factor=D(40), rated_kw=D(600))
    state = CounterState(baseline=Shown(0, D("1520.35"), "r-0"), factor=D(40))
    amounts, _, _ = follow(["1533.60"], state, settings, HOUR)
    assert amounts == [530]


def test_a_rollover_that_can_be_is_booked():
    state = CounterState(baseline=Shown(0, D("999998.5"), "r-0"), factor=D(1))
    amounts, flags, _ = follow(["1.25"], state, every_ms=HOUR)
    assert amounts == [D("2.75")]
    assert flags == [{Flag.ROLLOVER}]


def test_a_jump_is_held_until_the_next_reading_confirms_it_and_then_booked_whole():
    amounts, flags, state = follow(["5000", "5001", "5002"])
    assert amounts == [None, 4001, 1]
    assert flags == [{Flag.JUMPED}, {Flag.ENERGY_IMPLAUSIBLE}, set()]
    assert state.phase is Phase.NORMAL


def test_a_jump_that_goes_away_books_nothing_of_itself():
    amounts, flags, state = follow(["5000", "1002", "1003"])
    assert amounts == [None, 2, 1]
    assert flags == [{Flag.JUMPED}, set(), set()]
    assert state.phase is Phase.NORMAL


def test_a_fall_that_goes_away_books_what_was_used_meanwhile():
    amounts, flags, state = follow(["0", "1003"])
    assert amounts == [None, 3]
    assert flags == [{Flag.NEGATIVE_DELTA}, set()]
    assert state.phase is Phase.NORMAL


def test_a_confirmed_fall_has_no_value_until_somebody_says_what_happened():
    amounts, flags, state = follow(["12.1", "13", "14", "15"])
    assert amounts == [None] * 4
    assert flags == [{Flag.NEGATIVE_DELTA}] * 4
    assert state.phase is Phase.FELL
    assert state.baseline == START.baseline


def test_a_meter_that_said_0_for_a_while_comes_back():
    amounts, _, state = follow(["0", "0", "0", "1004", "1005"])
    assert amounts == [None, None, None, None, 5]
    assert state.phase is Phase.NORMAL


def test_a_wrong_reading_while_a_fall_waits_for_a_decision_is_not_taken_for_a_return():
    readings = [12 + 0.5 * n for n in range(200)]
    readings[100] = 3000  # in 100 h the old register could have come that far
    amounts, _, state = follow(readings, every_ms=HOUR)
    assert amounts == [None] * 200
    assert state.phase is Phase.FELL


def test_a_new_register_that_climbs_past_the_old_reading_is_not_taken_for_the_old_one():
    low = CounterState(baseline=Shown(0, D(30), "r-0"), factor=D(1))
    amounts, _, state = follow([1 + 1.5 * n for n in range(40)], low)
    assert amounts == [None] * 40
    assert state.phase is Phase.FELL


def test_waiting_does_not_turn_a_fall_into_a_rollover():
    full = CounterState(baseline=Shown(0, D(99000), "r-0"), factor=D(1))
    settings = register(digits=5)  # 1000 kWh to the end: 44 h at full power
    amounts, _, state = follow([5 + n for n in range(100)], full, settings, HOUR)
    assert amounts == [None] * 100
    assert state.phase is Phase.FELL


def test_a_last_digit_that_trembles_settles_by_itself():
    amounts, flags, state = follow(["999.99", "999.99", "1000.01"])
    assert amounts == [None, None, D("0.01")]
    assert flags[0] == {Flag.NEGATIVE_DELTA, Flag.REVERSE_FLOW}
    assert state.phase is Phase.NORMAL


def test_a_register_that_stands_one_digit_back_for_months_makes_no_wrap_and_no_jump_possible():
    """Four digits are passed in 445 h at full power; the readings never stopped, so nothing was passed."""
    settings = register(digits=4)
    amounts, _, state = follow(["999.99"] * 1000, settings=settings, every_ms=HOUR)
    assert amounts == [None] * 1000
    assert state.phase is Phase.REVERSE
    jump, held = advance(settings, Shown(1001 * HOUR, D(5000), "r"), state)
    assert (jump.amount, held.phase) == (None, Phase.HELD)
    used, after = advance(settings, Shown(1001 * HOUR, D("1001.5"), "r"), state)
    assert (used.amount, after.phase) == (D("1.5"), Phase.NORMAL)


def test_a_rollover_is_known_after_a_step_back_too():
    full = CounterState(baseline=Shown(0, D("999999.99"), "r-0"), factor=D(1))
    amounts, flags, _ = follow(["999999.98", "0.51"], full)
    assert amounts == [None, D("0.52")]
    assert flags[1] == {Flag.ROLLOVER}


def test_two_truncated_readings_may_differ_by_one_last_place_more():
    assert follow(["1001.88"])[0] == [D("1.88")]  # 1.875 kWh in 5 min
    assert follow(["1001.89"])[0] == [None]


def test_water_that_ran_back_is_not_counted_again_when_it_returns():
    water = CounterSettings(
        name="water", digits=6, step=D("0.001"), factor=D(1), most_per_h=D(75), back_per_h=D(30)
    )  # fmt: skip
    amounts, flags, _ = follow(["999", "998", "999.5", "1001"], settings=water)
    assert amounts == [None, None, None, 1]
    assert flags[2] == {Flag.NEGATIVE_DELTA, Flag.REVERSE_FLOW}


def test_after_a_gap_of_unknown_wraps_there_is_no_value_until_an_operator_decides():
    settings = register(digits=4)  # 10 000 kWh at 22.5 kW: 444.4 h
    amounts, flags, state = follow(["1200", "1201"], settings=settings, every_ms=445 * HOUR)
    assert amounts == [None, None]
    assert flags[0] == {Flag.WRAPS_UNKNOWN}
    booking, state = settle(settings, Decided(at_ms=890 * HOUR, source="op-1", register=D(1201), wraps=1), state)
    assert booking.amount == 10201
    assert state.phase is Phase.NORMAL
    booking, _ = advance(settings, Shown(891 * HOUR, D(1210), "r"), state)
    assert booking.amount == 9


def test_just_before_the_number_of_wraps_is_unknown_the_gap_is_booked():
    settings = register(digits=4)
    amounts, _, _ = follow(["1200"], settings=settings, every_ms=444 * HOUR)
    assert amounts == [200]


def test_an_operator_who_does_not_know_begins_anew_and_books_nothing():
    *_, state = follow(["12", "13"])
    booking, state = settle(METER, Decided(at_ms=3 * STEP, source="op", register=D(14), wraps=None), state)
    assert booking.amount is None
    booking, _ = advance(METER, Shown(4 * STEP, D(15), "r"), state)
    assert booking.amount == 1
    assert Flag.REGISTER_RESET in booking.flags


SWAP = Replaced(at_ms=HOUR, source="e-1", old_final=D(1018), new_initial=D("3.5"), new_factor=D(20))


def test_a_replaced_meter_is_booked_piece_by_piece_with_both_multipliers():
    # (1018 − 1000)·1 + (5.1 − 3.5)·20 = 18 + 32
    settings = register(factor=D(20))
    old, state = settle(settings, SWAP, START)
    new, state = advance(settings, Shown(3 * HOUR, D("5.1"), "r"), state)
    assert (old.amount, new.amount) == (18, 32)
    assert old.flags == new.flags == (Flag.METER_SWAP,)
    assert state.replacements == 1


def test_a_replacement_that_is_entered_after_the_new_meter_was_read_settles_the_fall():
    settings = register(factor=D(20))
    state = CounterState(baseline=START.baseline, factor=D(1))
    for hour, reading in ((2, "4.0"), (3, "4.2")):
        booking, state = advance(settings, Shown(hour * HOUR, D(reading), "r"), state)
        assert booking.amount is None
        assert Flag.MULTIPLIER_CHANGED in booking.flags
    old, state = settle(settings, SWAP, state)
    new, state = advance(settings, Shown(4 * HOUR, D("5.1"), "r"), state)
    assert old.amount + new.amount == 50
    assert state.phase is Phase.NORMAL


def test_a_changed_ct_changes_the_multiplier_from_its_date_on():
    changed = Replaced(at_ms=HOUR, source="e", old_final=D(1001), new_initial=D(1001), new_factor=D(40))
    settings = register(factor=D(40), rated_kw=D(600))
    old, state = settle(settings, changed, START)
    new, _ = advance(settings, Shown(2 * HOUR, D(1002), "r"), state)
    assert (old.amount, new.amount) == (1, 40)


def test_an_event_before_what_is_booked_already_changes_nothing_and_says_so():
    *_, state = follow(["1001", "1002"])
    late = Replaced(at_ms=STEP, source="e", old_final=D("1000.5"), new_initial=D(0), new_factor=D(1))
    booking, after = settle(METER, late, state)
    assert booking.flags == (Flag.EVENT_LATE,)
    assert booking.amount is None
    assert after == state


def test_a_final_reading_below_the_baseline_changes_nothing():
    wrong = Replaced(at_ms=HOUR, source="e", old_final=D(998), new_initial=D(0), new_factor=D(1))
    booking, after = settle(METER, wrong, START)
    assert booking.flags == (Flag.NEGATIVE_DELTA,)
    assert after == START


@pytest.mark.parametrize(("polled", "written"), [("1000.09", "1000.08"), ("1000.09", "1000.0"), ("1000.09", "1000")])
def test_a_final_number_from_a_coarser_display_is_the_last_reading(polled, written):
    state = CounterState(baseline=Shown(0, D(polled), "r-1"))
    swap = Replaced(at_ms=HOUR, source="e", old_final=D(written), new_initial=D(0), new_factor=D(1))
    old, after = settle(METER, swap, state)
    new, _ = advance(METER, Shown(2 * HOUR, D("2.5"), "r-2"), after)
    assert (old.amount, new.amount) == (0, D("2.5"))
    assert old.flags == (Flag.METER_SWAP,)


def test_a_final_number_below_its_last_place_is_none():
    state = CounterState(baseline=Shown(0, D("1000.21"), "r-1"))
    swap = Replaced(at_ms=HOUR, source="e", old_final=D("1000.1"), new_initial=D(0), new_factor=D(1))
    booking, after = settle(METER, swap, state)
    assert booking.flags == (Flag.NEGATIVE_DELTA,)
    assert after == state


def test_a_register_that_goes_on_behind_another_ct_books_its_decimals_once():
    state = CounterState(baseline=Shown(0, D("1000.09"), "r-1"))
    changed = Replaced(at_ms=HOUR, source="e", old_final=D(1000), new_initial=D(1000), new_factor=D(40))
    settings = register(factor=D(40), rated_kw=D(600))
    old, after = settle(settings, changed, state)
    new, _ = advance(settings, Shown(2 * HOUR, D("1000.19"), "r-2"), after)
    assert (old.amount, new.amount) == (0, 4)


def test_a_reset_that_nobody_read_before_books_nothing_up_to_it():
    reset = Replaced(at_ms=HOUR, source="e", old_final=None, new_initial=D(0), new_factor=D(1), is_reset=True)
    booking, state = settle(METER, reset, START)
    assert booking.amount is None
    booking, _ = advance(METER, Shown(2 * HOUR, D(7), "r"), state)
    assert booking.amount == 7
    assert booking.flags == (Flag.REGISTER_RESET,)


def test_a_clock_that_went_back_loses_no_energy_and_books_none_twice():
    first, state = advance(METER, Shown(-STEP, D(1001), "r-1"), START)
    second, state = advance(METER, Shown(0, D(1002), "r-2"), state)
    assert (first.amount, second.amount) == (1, 1)
    assert first.flags == (Flag.CLOCK,)
    assert second.flags == ()


STEPS = st.lists(st.decimals(min_value=0, max_value=D("1.8"), places=2), min_size=1, max_size=40)


@given(STEPS)
def test_the_booked_steps_add_up_to_what_the_register_grew_by(steps):
    readings = [D(1000) + sum(steps[: index + 1]) for index in range(len(steps))]
    amounts, _, _ = follow(readings)
    assert sum(amounts) == sum(steps)


FAR_AWAY = st.one_of(
    st.none(),
    st.decimals(min_value=0, max_value=D(900), places=2),
    st.decimals(min_value=D(5000), max_value=D(999999), places=2),
)


@given(STEPS, st.lists(FAR_AWAY, min_size=40, max_size=40))
def test_a_wrong_reading_between_good_ones_changes_no_total(steps, noise):
    shown, readings = D(1000), []
    for step, wrong in zip(steps, noise, strict=False):
        shown += step
        readings += [shown] if wrong is None else [shown, wrong, shown]
    amounts, _, state = follow(readings)
    assert sum(amount for amount in amounts if amount is not None) == sum(steps)
    assert state.phase is Phase.NORMAL


@given(st.lists(st.decimals(min_value=0, max_value=D(999999), places=2), min_size=1, max_size=60))
def test_whatever_a_register_says_nothing_is_booked_twice(readings):
    """The bookings join end to start: each begins where the one before it ended, and amounts are never negative."""
    state, reached = START, START.baseline
    for index, reading in enumerate(readings, 1):
        booking, state = advance(METER, Shown(index * HOUR, reading, f"r-{index}"), state)
        assert booking.begin == reached
        if booking.amount is not None:
            assert booking.amount >= 0
            assert booking.amount in (reading - reached.register, reading - reached.register + 10**6)
            reached = booking.end
        assert state.baseline == reached


@pytest.mark.parametrize("phase", list(Phase))
def test_an_event_ends_every_phase(phase):
    state = CounterState(phase=phase, baseline=START.baseline, factor=D(1), doubted=Shown(1, D(3), "r"))
    _, after = settle(METER, SWAP, state)
    assert after.phase is Phase.NORMAL
    assert after.baseline == Shown(HOUR, D("3.5"), "e-1")
    assert isinstance(after.factor, Decimal)
