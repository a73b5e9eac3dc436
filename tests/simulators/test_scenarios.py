"""Scenarios: the same each time, what they are named after, and true water known."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agent.rules.names import RULES
from simulators.scenarios.catalogue import NAMES, scenario

SHORT = [name for name in NAMES if not name.startswith("normal")]


def test_there_is_a_scenario_for_every_rule_and_it_is_named_after_it():
    for rule in RULES:
        (name,) = [name for name in SHORT if name.startswith(f"{rule.lower()}-")]
        assert scenario(name).raises == {rule}
    assert all(not scenario(name).raises for name in NAMES if name.startswith("normal"))


@pytest.mark.parametrize("name", SHORT)
def test_a_scenario_is_the_same_each_time_and_numbers_its_rounds_one_by_one(name):
    first, second = list(scenario(name, 3).rounds), list(scenario(name, 3).rounds)
    assert first == second
    assert [heard.number for heard in first] == list(range(1, len(first) + 1))
    assert {heard.meter for heard in first} <= scenario(name).settings.meters


def test_another_seed_has_other_meters_and_other_runs():
    assert scenario("r8-frozen", 1).rounds.__next__() != scenario("r8-frozen", 2).rounds.__next__()
    assert scenario("normal-metered", 1).true_m3() != scenario("normal-metered", 2).true_m3()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_normal_season_of_a_meter_counts_what_was_withdrawn_within_its_class(seed):
    found = scenario("normal-metered", seed)
    registers = [heard.values["volume_forward"] for heard in found.rounds]
    assert all(before <= after for before, after in pairwise(registers))
    assert float(registers[-1] - registers[0]) == pytest.approx(float(found.true_m3()), rel=0.02)


def test_true_water_adds_up_over_any_times():
    found = scenario("r8-frozen")
    middle_ms = (found.begin_ms + found.end_ms) // 2 // 60_000 * 60_000
    parts = found.true_m3(end_ms=middle_ms), found.true_m3(middle_ms)
    assert float(sum(parts)) == pytest.approx(float(found.true_m3()), rel=1e-4)
