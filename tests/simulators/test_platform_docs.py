"""The vendors' page of the simulated platform says what it does, in both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from simulators.platforms.mqtt_behaviour import Behaviour, obeyed
from simulators.platforms.mqtt_payload import Fall, judge

PAGES = Path(__file__).parents[2] / "docs" / "vendors"
LANGUAGES = pytest.mark.parametrize("lang", ["zh", "en"])


def page(lang: str) -> str:
    return (PAGES / f"simulated-platform.{lang}.md").read_text(encoding="utf-8")


def orders(lang: str) -> list[str]:
    return re.findall(r"^    (\{\".*\})$", page(lang), re.MULTILINE)


@LANGUAGES
def test_every_order_on_the_page_is_understood_and_none_is_missing(lang):
    behaviours = [obeyed(json.loads(line), Behaviour()).behaviour for line in orders(lang)]
    assert {each.ack for each in behaviours} == {"accept", "drop", "delay", "refuse"}
    assert {each.connect for each in behaviours} == {"accept", "refuse", "silent"}
    assert {each.is_reading for each in behaviours} == {True, False}
    assert {each.is_listening for each in behaviours} == {True, False}
    assert any(each.reset_after for each in behaviours)
    assert any(each.receive_maximum and each.maximum_packet_size for each in behaviours)


@LANGUAGES
def test_every_complaint_is_explained(lang):
    assert set(re.findall(r"`([A-Z]+_[A-Z_]+)`", page(lang))) >= set(Fall)


@LANGUAGES
def test_the_example_message_is_a_sound_one(lang):
    message = re.search(r"-m '(\[.*?\])'", page(lang), re.DOTALL)
    assert message is not None
    rounds, complaints = judge(message[1].encode(), None)
    assert (len(rounds), complaints) == (1, [])


def test_both_languages_show_the_same_orders():
    assert [json.loads(line) for line in orders("zh")] == [json.loads(line) for line in orders("en")]
