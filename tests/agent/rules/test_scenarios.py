"""Every rule has a scenario on the simulated plant that raises it, and a normal season raises none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.intakes.account import Account
from agent.intakes.outcome import Found
from agent.rules.engine import RuleEngine
from agent.rules.names import RULES
from simulators.scenarios.catalogue import NAMES, scenario
from simulators.scenarios.rules import SCENARIOS
from simulators.scenarios.scenario import Scenario

SEED = 1
_NOTICE = 1


def findings(played: Scenario) -> Iterator[Found]:
    """What the rules find when the account hears all of it."""
    account = Account.begin(
        played.settings, software="test", rules=lambda text: RuleEngine(played.settings, text)
    )  # fmt: skip
    for declared in played.declarations:
        account.declare(declared)
    for heard in played.rounds:
        for outcome in account.hear(heard):
            if isinstance(outcome, Found):
                yield outcome


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_happens_at_the_plant_raises_its_rule_and_no_other(name):
    played = scenario(name, SEED)
    found = {each.rule for each in findings(played)}
    assert played.raises <= found
    assert found <= played.raises | played.follows


def test_every_rule_has_a_scenario():
    raised = {rule for name in SCENARIOS for rule in scenario(name, SEED).raises}
    assert raised == set(RULES)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(SCENARIOS)))
def test_a_normal_season_raises_none(name):
    assert list(findings(scenario(name, SEED))) == []
