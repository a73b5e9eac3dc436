"""When a line spends time on a meter that does not answer."""

from __future__ import annotations

from agent.line.probing import Probing


def test_a_failing_meter_is_asked_in_a_pause_that_is_long_enough() -> None:
    probing = Probing()
    probing.paused(10.0)
    assert probing.wait_in_pause(10.0, wanted_s=1.0, pause_s=5.0) == (1.0, True)


def test_a_short_pause_shortens_the_wait_once_the_overrun_is_spent() -> None:
    probing = Probing()
    probing.paused(10.0)
    assert probing.wait_in_pause(10.0, wanted_s=1.0, pause_s=0.6) == (1.0, False)
    probing.spent(1.0)
    probing.busy()
    probing.paused(12.0)
    assert probing.wait_in_pause(12.0, wanted_s=1.0, pause_s=0.6) == (0.5, True)
    assert probing.wait_in_pause(12.0, wanted_s=1.0, pause_s=0.25) is None
    probing.busy()
    probing.paused(61.0)
    assert probing.wait_in_pause(61.0, wanted_s=1.0, pause_s=0.6) == (1.0, False)


def test_what_does_not_fit_is_not_begun_in_the_middle_of_a_pause() -> None:
    probing = Probing()
    probing.paused(10.0)
    assert probing.wait_in_pause(10.5, wanted_s=1.0, pause_s=0.6) is None


def test_on_a_full_bus_a_failing_meter_comes_when_all_others_had_their_turn() -> None:
    probing = Probing()
    assert not probing.on_a_full_bus(10.0, oldest_turn_s=9.0)
    assert not probing.on_a_full_bus(16.0, oldest_turn_s=9.0), "one still waits"
    assert probing.on_a_full_bus(16.0, oldest_turn_s=15.0)
    probing.spent(1.0)
    assert not probing.on_a_full_bus(17.0, oldest_turn_s=16.5), "the next one waits as long"


def test_a_bus_that_pauses_is_not_full() -> None:
    probing = Probing()
    assert not probing.on_a_full_bus(10.0, oldest_turn_s=9.0)
    probing.paused(11.0)
    assert not probing.on_a_full_bus(16.0, oldest_turn_s=15.0)


def test_a_full_bus_is_never_left_to_failing_meters_without_budget() -> None:
    probing = Probing()
    probing.budget.can_pay(0.0)
    probing.spent(3.0)
    probing.on_a_full_bus(0.0, oldest_turn_s=0.0)
    assert not probing.on_a_full_bus(15.0, oldest_turn_s=14.0)
    assert not probing.on_a_full_bus(51.0, oldest_turn_s=50.0), "it begins to wait when it could be paid for"
    assert probing.on_a_full_bus(57.0, oldest_turn_s=56.5)
