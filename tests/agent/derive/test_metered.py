"""Water that a meter counts itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.derive.counter import Decided, Replaced, Shown
from agent.derive.exact import OutOfDomain
from agent.derive.flags import Flag, Qartod
from agent.derive.metered import MeteredSite, MeteredState, derive_metered, water_register
from tests.agent.derive.sites import HOUR, STEP, D

METER = MeteredSite(
    register=water_register("flow", digits=6, step=D("0.01"), q4_m3h=D(60), back_m3h=D(12)),
    class_pct=D(2),
    period_ms=STEP,
)


def follow(inputs, state=None):
    state, found = state or MeteredState(), []
    for one in inputs:
        intervals, state = derive_metered(METER, one, state)
        found += intervals
    return found, state


def shown(*readings):
    return [Shown(index * STEP, D(str(reading)), f"w-{index}") for index, reading in enumerate(readings)]


def test_water_is_booked_from_reading_to_reading():
    intervals, state = follow(shown(100, 104, "104.5"))
    assert [interval.volume_m3 for interval in intervals] == [4, D("0.5")]
    assert state.volume_m3 == D("4.5")
    assert intervals[0].level is Qartod.PASS


def test_what_q4_cannot_deliver_waits_for_the_next_reading():
    """60 m³/h · 1.2 in 5 min is 6 m³."""
    assert follow(shown(100, 106))[0][0].flags == ()
    intervals, state = follow(shown(100, "106.02", "100.5"))
    assert intervals[0].flags == (Flag.JUMPED,)
    assert state.volume_m3 == D("0.5")
    intervals, state = follow(shown(100, 500, 501))
    assert intervals[1].flags == (Flag.JUMPED,)
    assert state.volume_m3 == 401


def test_water_that_runs_back_and_comes_again_is_counted_once():
    intervals, state = follow(shown(100, 104, "103.5", 104, 105))
    assert state.volume_m3 == 5
    assert Flag.REVERSE_FLOW in intervals[1].flags


def test_a_gap_a_rollover_and_a_replacement_lose_no_water():
    inputs = [
        Shown(0, D(999990), "w-0"),
        Shown(HOUR, D(20), "w-1"),
        Replaced(at_ms=2 * HOUR, source="op", old_final=D(50), new_initial=D(7), new_factor=D(1)),
        Shown(3 * HOUR, D(17), "w-2"),
    ]
    intervals, state = follow(inputs)
    assert state.volume_m3 == 30 + 30 + 10
    assert set(intervals[0].flags) == {Flag.ROLLOVER, Flag.GAP}
    assert intervals[1].flags == (Flag.METER_SWAP,)
    assert set(intervals[2].flags) == {Flag.METER_SWAP, Flag.GAP}
    assert [interval.share.meter for interval in intervals] == ["flow#0", "flow#0", "flow#1"]


def test_the_volume_is_as_good_as_the_meters_class():
    (interval,), _ = follow(shown(100, 105))
    assert abs(interval.u_m3 - D("0.057880")) < D("0.00001")  # 2 %/√3 of 5 m³ and 0.01/√6 m³


@given(st.lists(st.tuples(st.integers(0, 700), st.booleans()), min_size=1, max_size=40), st.integers(0, 2**40 - 1))
def test_the_same_readings_give_the_same_water_with_restarts_between_any_two(steps, restarts):
    register, inputs = 99_999_000, [Shown(0, D(999990), "w")]
    for index, (step, is_wrong) in enumerate(steps, 1):
        register = (register + step) % 100_000_000
        inputs.append(Shown(index * STEP, D(register if not is_wrong else 31_400_000).scaleb(-2), f"w-{index}"))
        if index % 13 == 0:
            inputs.append(Decided(at_ms=index * STEP + 1, source="op", register=D(register).scaleb(-2), wraps=None))
    intervals, state = follow(inputs)
    again, other = [], MeteredState()
    for index, one in enumerate(inputs):
        if restarts >> (index % 40) & 1:
            other = MeteredState.from_text(other.to_text())
        found, other = derive_metered(METER, one, other)
        again += found
    assert (again, other) == (intervals, state)
    totals = [interval.total_m3 for interval in intervals]
    assert totals == sorted(totals)
    assert state.volume_m3 == sum((interval.volume_m3 or D(0) for interval in intervals), D(0))


@pytest.mark.parametrize("text", ["", "null", '{"form": 2}'])
def test_a_text_that_is_no_state_is_refused(text):
    with pytest.raises(OutOfDomain):
        MeteredState.from_text(text)
