"""Timeouts come from the meter's own delays; failing meters pay for their probes out of a small budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.line.patience import Breaker, Delay, probe_budget, short_probe_s


def test_a_meter_that_never_answered_gets_the_configured_time():
    assert Delay().timeout_s(1.0) == 1.0


def test_a_quick_meter_is_given_up_soon_and_a_slow_one_gets_three_times_its_worst():
    quick, slow = Delay(), Delay()
    quick.seen(0.005)
    slow.seen(0.2)
    assert quick.timeout_s(1.0) == 0.1
    assert abs(slow.timeout_s(1.0) - 0.65) < 1e-9


def test_a_derived_timeout_never_cuts_off_what_the_meter_already_needed():
    delay = Delay()
    delay.seen(1.4)
    assert 1.4 < delay.timeout_s(1.0) < 2.0


def test_the_least_delay_follows_a_meter_that_became_slower_only_gradually():
    delay = Delay()
    delay.seen(0.010)
    delay.seen(0.030)
    assert 0.010 < delay.least_s < 0.0101
    delay.seen(0.008)
    assert delay.least_s == 0.008


def test_the_second_failure_opens_the_breaker_and_probes_grow_to_a_minute():
    breaker = Breaker()
    breaker.failed(0.0, 0.5)
    assert not breaker.is_open
    pauses = []
    now = 0.0
    for _ in range(8):
        breaker.failed(now, 0.5)
        pauses.append(breaker.probe_at_s - now)
        now = breaker.probe_at_s
    assert breaker.is_open
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0]
    breaker.succeeded()
    assert not breaker.is_open


def test_three_of_five_probes_are_short():
    breaker = Breaker()
    kinds = []
    for _ in range(11):
        breaker.failed(0.0, 0.1)
        kinds.append(breaker.is_probe_short)
    assert sum(kinds[-10:]) == 6
    assert short_probe_s(0.01) == 0.2
    assert short_probe_s(0.1) == 0.4


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.01, 1.2)), min_size=5, max_size=200))
def test_probes_never_take_more_than_their_share_of_a_lines_time(steps):
    budget, now, spent = probe_budget(), 0.0, 0.0
    budget.can_pay(now)
    for pause, cost in steps:
        now += pause
        if budget.can_pay(now):
            budget.pay(cost)
            spent += cost
            now += cost
    assert spent <= 1.0 + 0.02 * now + 1.2 + 1e-6
