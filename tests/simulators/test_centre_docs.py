"""The vendors' page of the simulated centres says what they do, in both languages."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from agent.messages import LANGUAGES
from simulators.platforms.centre import cli
from simulators.platforms.centre.behaviour import STYLES, Protocol, plan_of
from simulators.platforms.centre.script import SHOWING, action_of, script_of
from simulators.platforms.centre.sl651_orders import _MAKERS
from simulators.platforms.centre.szy206_orders import KNOWN

PAGES = Path(__file__).parents[2] / "docs" / "vendors"
BOTH = pytest.mark.parametrize("lang", LANGUAGES)


def page(lang: str) -> str:
    return (PAGES / f"simulated-centres.{lang}.md").read_text(encoding="utf-8")


def lines(lang: str, section: int) -> list[str]:
    """The indented lines of the nth section about lines: console, SL 651, SZY206."""
    blocks = [
        part for part in re.split(r"^##+ ", page(lang), flags=re.MULTILINE) if re.search(r"^    \S", part, re.MULTILINE)
    ]
    return re.findall(r"^    (\S.*)$", blocks[section + 1], re.MULTILINE)


@BOTH
def test_every_way_to_acknowledge_is_explained(lang: str):
    named = set(re.findall(r"`([a-z][a-z-]+)(?::[^`]*)?`", page(lang)))
    assert named >= {style for styles in STYLES.values() for style in styles}
    assert plan_of("late:30+previous-serial", Protocol.SL651)[0].late_s == 30


@BOTH
def test_every_line_of_the_console_on_the_page_is_understood(lang: str):
    verbs = {action_of(line, Protocol.SL651).verb for line in lines(lang, 0)}
    assert verbs == {"ack", "set", "send", "raw", "link", *SHOWING}


@BOTH
def test_every_order_is_on_the_page_and_understood(lang: str):
    for section, protocol in ((1, Protocol.SL651), (2, Protocol.SZY206)):
        for line in lines(lang, section):
            assert action_of(line, protocol).verb == "send"
    assert {int(line[:2], 16) for line in lines(lang, 1)} == set(_MAKERS)
    others = {0x15, 0x16, 0x1B, *range(0x30, 0x35), 0x55, 0x56}
    assert {int(line[:2], 16) for line in lines(lang, 2)} | others == set(KNOWN)


@BOTH
def test_the_script_on_the_page_is_one(lang: str):
    (script,) = re.findall(r"^```yaml\n(.*?)^```", page(lang), re.MULTILINE | re.DOTALL)
    assert len(script_of(script, Protocol.SL651)) == 5


@BOTH
def test_the_program_on_the_page_runs(lang: str):
    (program,) = re.findall(r"^```python\n(.*?)^```", page(lang), re.MULTILINE | re.DOTALL)
    exec(program, {"print": lambda *_: None})


@BOTH
def test_every_option_is_on_the_page(lang: str):
    parser = argparse.ArgumentParser()
    protocols = parser.add_subparsers()
    cli.add_arguments(protocols)
    for each in protocols.choices.values():
        options = {action.option_strings[0] for action in each._actions} - {"-h"}
        assert {option for option in options if option not in page(lang)} == set()


def test_both_languages_show_the_same_lines():
    assert [lines("zh", section) for section in range(3)] == [lines("en", section) for section in range(3)]
