"""The engine as a whole: restarts, order, levels, whatever the meters say."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.derive.flags import Flag
from agent.rules.contract import Standing
from tests.agent.rules.plain import BEGIN, DAY, METERED, MIN, D, Shown, both_ways, energy, water

NUMBERS = st.decimals(-1000, 10_000, places=3) | st.just(Decimal(0)) | st.just(Decimal("1E+12"))
STATUSES = st.sampled_from([frozenset(), frozenset({"phase_broken_a"}), frozenset({"clock_fault"})])
ROUNDS = st.lists(
    st.tuples(
        st.sampled_from([1, MIN, 5 * MIN, 60 * MIN, DAY, 40 * DAY, -MIN]),
        st.sampled_from(["flow", "kwh"]),
        NUMBERS,
        NUMBERS,
        STATUSES,
        st.sampled_from([(), (Flag.NEGATIVE_DELTA,), (Flag.JUMPED,), (Flag.EXPIRED,), (Flag.MULTIPLIER_CHANGED,)]),
    ),
    max_size=25,
)


def play(shown: Shown, rounds: list[tuple[object, ...]]) -> None:
    at, total = BEGIN, D(0)
    for step_ms, meter, first, second, status, flags in rounds:
        before, at = at, max(1, at + step_ms)
        booked = None if flags and flags[0] in {Flag.NEGATIVE_DELTA, Flag.JUMPED} else abs(first)
        total += booked or 0
        if meter == "flow":
            steps = [water(before, at, booked, *flags)]
            values = {"flow_rate": second, "volume_forward": first, "status": status}
        else:
            steps = [energy(before, at, booked or 0, booked or 0, *flags)]
            values = {"power": second, "energy_import": first, "voltage_a": second, "energy_export": first}
        midnight = at - (at - BEGIN) % DAY
        standings = [Standing(midnight, total, total)] if before < midnight <= at else []
        shown.hear(at, meter, steps=steps, standings=standings, **values)


@settings(deadline=None, max_examples=60)
@given(ROUNDS)
def test_whatever_meters_say_a_restart_changes_nothing(rounds):
    shown = both_ways(lambda each: play(each, rounds), replace(METERED, season=((4, 1), (10, 31))))
    opened: set[tuple[str, str, str]] = set()
    for each in shown.found:  # at most one open finding of each rule, subject and quantity
        key = (each.rule, each.subject, each.quantity)
        assert (each.ended_ms is None) or key in opened
        assert each.ended_ms is None or each.ended_ms >= each.began_ms
        if each.ended_ms is None:
            opened.add(key)
        else:
            opened.discard(key)
    assert len(shown.engine.to_text()) < 20_000


def test_a_reading_that_all_rules_pass_is_passed_and_a_missing_one_missing():
    shown = Shown()
    good = shown.hear(BEGIN + MIN, steps=[water(BEGIN, BEGIN + MIN, "0.5")], flow_rate=30, volume_forward=1)
    assert good.level == 1
    assert set(good.levels.values()) == {1}
    held = shown.hear(
        BEGIN + 2 * MIN, steps=[water(BEGIN + MIN, BEGIN + 2 * MIN, None, Flag.NEGATIVE_DELTA)], volume_forward=0
    )
    assert (held.level, held.levels["R4"]) == (9, 4)


def test_a_reading_is_suspect_while_a_finding_is_open_and_good_when_its_condition_is_gone():
    shown = Shown(replace(METERED, energy=None))
    failed = shown.hear(BEGIN, flow_rate=-10, volume_forward=1)
    still = shown.hear(BEGIN + 1000, is_manual=True, volume_forward=1)
    gone = shown.hear(BEGIN + MIN, flow_rate=0, volume_forward=1)
    assert (failed.level, still.level, gone.level) == (4, 4, 1)
    assert shown.told("R4") == [(4, False)], "the finding itself goes on until its hold-off is over"


def test_duties_are_no_part_of_a_readings_level():
    shown = Shown(replace(METERED, water_zone="banned"))
    said = shown.hear(BEGIN + MIN, steps=[water(BEGIN, BEGIN + MIN, "0.5")], flow_rate=30, volume_forward=1)
    assert said.levels["R20"] == 4
    assert said.level == 1


def test_the_rules_speak_in_the_order_of_the_sheet():
    shown = Shown(replace(METERED, water_zone="banned"))
    for at in range(3):
        step = water(BEGIN + at * MIN, BEGIN + (at + 1) * MIN, 5)
        shown.hear(BEGIN + (at + 1) * MIN, steps=[step], flow_rate=-150, volume_forward=at)
    families = {"R4": 0, "R3": 1, "R13": 1, "R8": 2, "R20": 4}
    first = [families[each.rule] for each in shown.found if each.number == 1 and each.rule in families]
    assert first == sorted(first)
    assert len(first) >= 3
