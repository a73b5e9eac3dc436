"""`qushui help`: every page is on the gateway."""

from __future__ import annotations

import pytest

from agent import page
from agent.cli.main import VERBS, main
from agent.faults import FaultCode
from agent.messages import LANGUAGES, Messages
from agent.rules.faults import faults_of
from agent.rules.names import RULES

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_contents_list_every_verb_and_fault(capsys: Capture, lang: str) -> None:
    assert main(["help", "--lang", lang]) == 0
    out = capsys.readouterr().out
    assert all(f"  {word} " in out for word in (*VERBS, *FaultCode))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_page(capsys: Capture, verb: str) -> None:
    for lang in LANGUAGES:
        assert main(["help", verb, "--lang", lang]) == 0
        assert capsys.readouterr().out.startswith(f"# qushui {verb}")


@pytest.mark.parametrize("code", FaultCode)
def test_every_fault_is_explained_in_either_case(capsys: Capture, code: FaultCode) -> None:
    assert main(["help", code, "--lang", "zh"]) == 0
    out = capsys.readouterr().out
    assert main(["help", code.lower(), "--lang", "zh"]) == 0
    assert capsys.readouterr().out == out
    assert out.startswith(code)
    assert "{" not in out
    wide = [line for line in out.splitlines() if page.width_of(line) > 80]
    assert wide == []


@pytest.mark.parametrize("topic", ["poll", "meters.main-flow.poll", "lines.baud", "quantity", "register"])
def test_configuration_and_profile_keys_are_explained(capsys: Capture, topic: str) -> None:
    assert main(["help", topic, "--lang", "en"]) == 0
    assert topic.rsplit(".", maxsplit=1)[-1] in capsys.readouterr().out


def test_a_path_narrows_to_its_section(capsys: Capture) -> None:
    assert main(["help", "lines.baud", "--lang", "en"]) == 0
    assert capsys.readouterr().out.count("· baud") == 1


@pytest.mark.parametrize(("topic", "near"), [("raed", "read"), ("meter-no-repl", "METER-NO-REPLY"), ("pol", "poll")])
def test_a_mistyped_topic_is_corrected(capsys: Capture, topic: str, near: str) -> None:
    assert main(["help", topic, "--lang", "en"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert f"Did you mean qushui help {near}?" in output.err


def test_a_topic_is_no_path_into_the_disk(capsys: Capture) -> None:
    assert main(["help", "../../README"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_explained_with_its_faults(capsys: Capture, rule: str) -> None:
    for lang in LANGUAGES:
        assert main(["help", rule.lower(), "--lang", lang]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{rule}  {Messages(lang).text(f'rule.{rule}.name')}")
        assert all(f"\n\n{code}  " in out for code in faults_of(rule))


@pytest.mark.parametrize("word", ["WRAPS_UNKNOWN", "NEGATIVE_DELTA", "wraps-unknown"])
def test_a_flag_is_explained_with_what_to_type(capsys: Capture, word: str) -> None:
    for lang in LANGUAGES:
        assert main(["help", word, "--lang", lang]) == 0
        assert "qushui enter decision" in " ".join(capsys.readouterr().out.split())


def test_a_fault_of_a_rule_is_told_of_a_meter_or_an_intake(capsys: Capture) -> None:
    assert main(["help", "RULE-HUGE", "--lang", "en"]) == 0
    assert "qushui read NAME" in capsys.readouterr().out
    assert main(["help", "PERMIT-NEAR", "--lang", "zh"]) == 0
    assert capsys.readouterr().out.startswith("PERMIT-NEAR  取水口 名字\n")
