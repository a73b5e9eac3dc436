"""The same rounds and declarations give the same water, with restarts and late entries anywhere."""

from __future__ import annotations

from hypothesis import given, settings

from tests.agent.intakes.histories import histories, site
from tests.agent.intakes.rounds import (
    D,
    Store,
    proof_of,
    stored,
    value_of,
)


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
