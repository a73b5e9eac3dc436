"""The same rounds and declarations give the same water, with restarts and late entries anywhere."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.intakes.settings import Channel
from tests.agent.intakes.rounds import (
    START,
    STEP,
    D,
    Store,
    coefficient,
    converted,
    decision,
    heard,
    proof_of,
    replacement,
    stored,
    value_of,
    withdrawal,
)

MOMENT = st.integers(0, 3 * 288)


@st.composite
def histories(draw):
    """Three days of an energy meter with a pump that comes and goes, gaps, wrong readings, and what people declare."""
    steps = draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 120), st.integers(0, 40)), min_size=40, max_size=160)
    )
    rounds, register, at_ms = [], D("999950.00"), START + 7 * STEP + 1234
    for number, (gap, grown, odd) in enumerate(steps, 1):
        at_ms += STEP * (1 if gap < 3 else 1 + grown)
        register = (register + Decimal(grown).scaleb(-2)) % 1_000_000
        shown = D("123456") if odd == 0 else register
        values = {} if odd == 1 else {"energy_import": shown}
        meter = "depth" if odd in (2, 3) else "pump-kwh"
        rounds.append(
            heard(number, meter, at_ms, **({"depth_to_water": 30 + grown % 5} if meter == "depth" else values))
        )
    span = rounds[-1].at_ms - START
    places = draw(st.lists(st.integers(1, 40), min_size=0, max_size=4, unique=True))
    declared = [
        decision(10 + index, "pump-kwh", START + span * place // 40, "123456", None)
        for index, place in enumerate(places)
    ]
    swaps = draw(st.lists(st.integers(1, 39), min_size=0, max_size=2, unique=True))
    declared += [
        replacement(20 + index, "pump-kwh", START + span * place // 40 + 7, None, "5.00")
        for index, place in enumerate(swaps)
    ]
    wrong = draw(st.lists(st.sampled_from(declared), max_size=3, unique_by=lambda each: each.id)) if declared else []
    declared += [withdrawal(30 + index, each) for index, each in enumerate(wrong)]
    declared.append(coefficient(1))
    declared.append(coefficient(2, version=2, valid_from="2024-05-02", valid_to="2025-05-02", params={"tc": "3"}))
    order = draw(st.permutations(declared))
    when = [draw(st.integers(0, len(rounds))) for _ in order]
    restarts = draw(st.sets(st.integers(0, len(rounds)), max_size=8))
    return rounds, declared, list(zip(when, order, strict=True)), restarts


def site():
    return converted(depth=Channel(meter="depth", quantity="depth_to_water"))


@given(histories())
@settings(max_examples=25, deadline=None)
def test_totals_depend_on_what_is_stored_alone(history):
    rounds, declared, entered, restarts = history
    plain = stored(site(), *sorted(declared, key=lambda each: each.id)).hear(*rounds)
    other = Store(site())
    for index, each in enumerate([*rounds, None]):
        for when, one in entered:
            if when == index:
                other.declare(one)
        if index in restarts:
            other.restart()
        if each is not None:
            other.hear(each)
    assert other.account.state_text() == plain.account.state_text()
    assert list(other.derived.items()) == list(plain.derived.items())
    assert other.closings == plain.closings


@given(histories())
@settings(max_examples=15, deadline=None)
def test_what_is_withdrawn_counts_as_if_it_had_never_been_declared(history):
    rounds, declared, _, _ = history
    gone = {each.body["id"] for each in declared if each.kind == "withdrawal"}
    right = [each for each in declared if each.kind != "withdrawal" and each.id not in gone]
    found, plain = stored(site(), *declared).hear(*rounds), stored(site(), *right).hear(*rounds)
    assert list(found.derived.values()) == list(plain.derived.values())
    assert [each.body for each in found.closings.values()] == [each.body for each in plain.closings.values()]


@given(histories())
@settings(max_examples=15, deadline=None)
def test_nothing_is_booked_twice_and_hours_add_up(history):
    rounds, declared, _, _ = history
    found = stored(site(), *declared).hear(*rounds)
    totals = [total for total in found.totals() if total is not None]
    assert totals == sorted(totals)
    booked = [D(proof["volume"]) for each in found.now if "volume" in (proof := proof_of(each))]
    assert sum(booked, D(0)) == (totals[-1] if totals else 0)
    views = [value_of(each, "volume_withdrawn") for each in found.hourly]
    hours = [value_of(each, "volume_hour") for each in found.hourly]
    assert views == sorted(views)
    assert all(after - before == hour for before, after, hour in zip(views, views[1:], hours[1:], strict=False))
    settled = [D(found.body(at_ms)["settled"]["volume"]) for at_ms in sorted(found.closings)]
    assert settled == sorted(settled)
