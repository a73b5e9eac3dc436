"""Slots are whole multiples of the period; what passed is skipped and counted, never queued."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.schedule import Turn, slot_at


def test_a_slot_is_the_last_whole_multiple_of_the_period():
    assert slot_at(61_500, 60_000) == 60_000
    assert slot_at(60_000, 60_000) == 60_000


def test_the_next_turn_is_the_next_slot_and_what_passed_is_counted():
    turn = Turn(period_ms=1000, due_ms=5000)
    turn.taken(5010)
    assert (turn.due_ms, turn.skipped) == (6000, 0)
    turn.taken(9300)
    assert (turn.due_ms, turn.skipped) == (10_000, 3)


def test_a_clock_that_is_set_begins_a_new_grid_without_a_burst():
    turn = Turn(period_ms=1000, due_ms=5000)
    turn.shifted(1_790_000_000_500)
    assert (turn.due_ms, turn.skipped) == (1_790_000_001_000, 0)


@given(st.integers(1, 10_000), st.lists(st.integers(0, 50_000), min_size=1, max_size=30))
def test_every_slot_is_taken_or_skipped_exactly_once(period, delays):
    turn, now, taken = Turn(period_ms=period, due_ms=0), 0, 0
    for delay in delays:
        now = max(now, turn.due_ms) + delay
        turn.taken(now)
        taken += 1
    assert turn.due_ms == (taken + turn.skipped) * period
    assert now < turn.due_ms <= now + period
