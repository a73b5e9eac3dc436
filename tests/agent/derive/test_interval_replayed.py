"""The same rounds give the same digits, whenever derived and with restarts between any two."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.derive.counter import Decided
from agent.derive.energy import PumpSet
from agent.derive.exact import OutOfDomain
from agent.derive.interval import derive
from agent.derive.state import State
from tests.agent.derive.sites import (
    HOUR,
    LEVEL,
    MINUTE,
    START,
    STEP,
    TWO_PHASE,
    D,
    coefficient,
    every,
    run,
    said,
    site,
)

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
