"""Every rule has a scenario on the simulated plant that raises it, and a normal season raises none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent.intakes.account import Account
from agent.intakes.outcome import Declared, Found
from agent.rules.engine import RuleEngine
from agent.rules.names import RULES
from simulators.scenarios.catalogue import NAMES, scenario
from simulators.scenarios.rules import SCENARIOS
from simulators.scenarios.scenario import Scenario
from tests.agent.rules.plain import DAY, MIN

SEED = 1
LONG_MS = 12 * DAY  # longer ones are polled every quarter of an hour: the same season in a third of the time
QUARTER_MS = 15 * MIN


def played(name: str) -> Scenario:
    found = scenario(name, SEED)
    if found.end_ms - found.begin_ms <= LONG_MS:
        return found
    periods = dict.fromkeys(found.settings.periods_ms, QUARTER_MS)
    return replace(found, period_ms=QUARTER_MS, settings=replace(found.settings, periods_ms=periods))


def findings(happening: Scenario) -> Iterator[Found]:
    """What the rules find when the account hears all of it."""
    settings = happening.settings
    account = Account.begin(settings, software="test", rules=lambda text: RuleEngine(settings, text))
    for declared in happening.declarations:
        account.declare(declared)
    for heard in happening.rounds:
        yield from (outcome for outcome in account.hear(heard) if isinstance(outcome, Found))


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_happens_at_the_plant_raises_its_rule_and_no_other(name):
    happening = played(name)
    found = {each.rule for each in findings(happening)}
    assert happening.raises <= found
    assert found <= happening.raises | happening.follows


def test_every_rule_has_a_scenario():
    assert {rule for name in SCENARIOS for rule in scenario(name, SEED).raises} == set(RULES)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(SCENARIOS)))
def test_a_normal_season_raises_none(name):
    happening = played(name)
    assert happening.end_ms - happening.begin_ms > 60 * DAY
    assert list(findings(happening)) == []


def test_a_word_that_a_changed_setting_is_known_reaches_the_rule():
    happening = played("r16-config-change")
    found = [each for each in findings(happening) if each.rule == "R16"]
    body = {"rule": "R16", "reason": "new CT"}
    word = Declared(
        id=99, kind="acknowledgement", subject=found[0].subject, at_ms=found[0].began_ms + DAY, body=body, who="root"
    )
    answered = [
        each
        for each in findings(replace(happening, declarations=(*happening.declarations, word)))
        if each.rule == "R16"
    ]
    assert [each.ended_ms is None for each in found] == [True]
    assert [each.ended_ms is None for each in answered] == [True, False]
