"""The reference page says what the rules do: every rule, its own thresholds, its Faults, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.faults import FaultCode
from agent.intakes.settings import RuleSettings
from agent.messages import LANGUAGES, Messages
from agent.rules.faults import fault_of, faults_of
from agent.rules.names import RULES
from agent.rules.table import RULES_BY_ID, limits_of
from tests.agent.rules.plain import D

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_names_every_rule_with_its_thresholds_and_faults(lang):
    page = (ROOT / f"docs/reference/rules.{lang}.md").read_text(encoding="utf-8")
    rows = {line.split("**")[1]: line for line in page.splitlines() if line.startswith("| **R")}
    assert tuple(rows) == RULES
    for name, rule in RULES_BY_ID.items():
        for word, value in (("suspect", rule.suspect), ("fail", rule.fail)):
            assert value is None or f"`{word}` {value:f}" in rows[name]
        assert all(f"`{code}`" in rows[name] for code in faults_of(name))
        assert rule.word in rows[name]
        assert not rule.opc_ua or f"| {name} | `{rule.opc_ua}` |" in page


def test_every_rule_of_the_sheet_is_in_the_table_and_in_both_languages():
    assert tuple(RULES_BY_ID) == RULES
    for lang in LANGUAGES:
        messages = Messages(lang)
        assert all(messages.has(f"rule.{rule}.{part}") for rule in RULES for part in ("name", "condition"))


def test_a_threshold_without_words_or_words_without_a_threshold_there_are_none():
    messages = Messages("en")
    for name, rule in RULES_BY_ID.items():
        for word, value in (("suspect", rule.suspect), ("fail", rule.fail)):
            learnt = (name, word) == ("R2", "fail")  # worked out from the rated power
            assert messages.has(f"rule.{name}.{word}") == (value is not None or learnt), (name, word)


def test_every_rule_has_a_fault_and_findings_that_ask_something_else_their_own():
    assert {fault_of(rule) for rule in RULES} | {
        FaultCode.COEFFICIENT_PROPOSED,
        FaultCode.COEFFICIENT_EXPIRED,
        FaultCode.LICENCE_EXPIRED,
    } == {code for rule in RULES for code in faults_of(rule)}
    assert fault_of("R15", "volume_forward") is FaultCode.CERTIFICATE_DUE
    assert fault_of("R15", "coefficient") is FaultCode.COEFFICIENT_EXPIRED


def test_a_site_replaces_single_thresholds_and_its_findings_say_so():
    limits = limits_of(RULES_BY_ID["R6"], RuleSettings(fail=D("0.9"), hold_off_s=D(60), min_samples=2))
    assert (limits.suspect, limits.fail, limits.hold_off_ms, limits.min_samples) == (D("0.3"), D("0.9"), 60_000, 2)
    assert limits.told == {"suspect": "0.3", "fail": "0.9", "hold_off_s": "60", "min_samples": "2"}
    assert limits.rule.version == "R6/1"
