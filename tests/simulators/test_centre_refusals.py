"""What a simulated centre does not carry out is said in both languages, with the limit and what may be typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.messages import LANGUAGES, Messages
from agent.uplinks.szy206_wire.content import compose
from agent.uplinks.szy206_wire.names import Afn, ContentError, Dialect, Edition
from simulators.platforms import centre
from simulators.platforms.centre.behaviour import Protocol
from simulators.platforms.centre.refusals import OrderError, sentence_of
from simulators.platforms.centre.script import action_of, script_of
from simulators.platforms.centre.szy206_forms import RANGES, Numbers
from simulators.platforms.centre.szy206_orders import EXAMPLES, Downlink, downlink_of

DIALECT = Dialect(edition=Edition.SLT427)
WRONG = [  # what the sentence holds in either language: the limit, or an order that may be typed
    ("szy206", "B0 func=99", "0…15"),
    ("szy206", "B0 func=x", "B0"),
    ("szy206", "B0 x=1", "x"),
    ("szy206", "B0 x", "12 work_mode=1"),
    ("szy206", "FE", "data=HEX"),
    ("szy206", "12", "work_mode"),
    ("szy206", "12 work_mode=[1", "work_mode=[1"),
    ("szy206", "12 work_mode=999", "0…255"),
    ("szy206", "17 level_limits=5", "17 level_limits=[{base_m"),
    ("szy206", "17 level_limits=[{base_m: 0, low_m: 1, high_m: 200}]", "0…99.99"),
    ("szy206", "17 level_limits=[{base_m: 0}]", "low_m, high_m"),
    ("szy206", "A1 kinds_bits=[2] intervals_min=5", "intervals_min={'2': 5}"),
    ("szy206", "A1 kinds_bits=[2] intervals_min={x: 5}", "0…13"),
    ("szy206", "11 clock=2026-11-21T08:00:00", "weekday=6"),
    ("szy206", "20 kind=0 sensor_no=1 storage_interval_min=5 threshold=99", "0…9.9"),
    ("szy206", "20 kind=14 sensor_no=1 storage_interval_min=5 threshold=1", "sensor_no"),
    ("szy206", "B1 kind=2 sensor_no=1 start=yesterday end=today", "2000-01-01T00"),
    ("szy206", "B2 start=1 end=2", "01-01T00:00"),
    ("szy206", "34 quota_m3=nan", "34 quota_m3=5000"),
    ("szy206", "1F flow_limits=[{value: 1, unit: l/s}]", "m3/h, m3/s"),
    ("szy206", "C9 data=x", "0C02"),
    ("szy206", "C9 data=00 more=1", "more"),
    ("szy206", "set login loudly", "echo, F2, 00, silent"),
    ("szy206", "set mode 7", "0–3"),
    ("szy206", "ack esc", "with-tp"),
    ("sl651", "zz", "4A 4B"),
    ("sl651", "37 x=1", "x"),
    ("sl651", "38 from=1", "from=… to=… step=… id=…"),
    ("sl651", "38 from=1 to=2 step=5m id=28", "26010100"),
    ("sl651", "38 from=26010100 to=26010101 step=99h id=28", "1h…23h"),
    ("sl651", "3A id=ZZZ", "FF2B"),
    ("sl651", "3A id=010203", "FF2B"),
    ("sl651", "3A id=28/FFF", "28/2B"),
    ("sl651", "40", "40 0C=02"),
    ("sl651", "40 0C=0", "0C02"),
    ("sl651", "40 01=01", "4"),
    ("sl651", "41 id=010203", "FF2B"),
    ("sl651", "42", "42 20=1"),
    ("sl651", "42 20=abc", "42=0.5"),
    ("sl651", "42 20=nan", "42=0.5"),
    ("sl651", "42 20=1e99", "31"),
    ("sl651", "42 FFFF=1", "FFFF=1/6.3"),
    ("sl651", "42 FFFF=1/6.9", "1…62"),
    ("sl651", "49 old=1 new=2", "0C02"),
    ("sl651", "49 old=12 new=34", "old=1234 new=5678"),
    ("sl651", "4A at=26113300", "260101080000"),
    ("sl651", "set centre 999", "0–255"),
    ("sl651", "set password 12", "0000–FFFF"),
    ("sl651", "set login F2", "end, password, centre"),
    ("sl651", "close now", "close"),
    ("sl651", "@3301060001 stations all", "stations"),
    ("sl651", "@3301060001", "help"),
    ("sl651", "last x", "last 5"),
    ("sl651", "raw x", "raw 7E7E"),
    ("sl651", "ack never,normal:3", "late:3"),
    ("sl651", "ack late:9999", "3600"),
    ("sl651", "ack" + " normal," * 2000 + "normal", "1000"),
]
_CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.mark.parametrize(("protocol", "line", "said"), WRONG)
def test_a_wrong_order_is_refused_in_words_of_both_languages(protocol: str, line: str, said: str):
    with pytest.raises(OrderError) as refused:
        action_of(line, Protocol(protocol))
    for lang in LANGUAGES:
        sentence = sentence_of(refused.value.event(), Messages(lang))
        assert said in sentence
        assert bool(_CHINESE.search(sentence)) == (lang == "zh")
        assert not re.search("fromhex|invalid literal|class '|simulated_centre", sentence)


def test_a_wrong_step_of_a_script_is_refused_with_its_number():
    with pytest.raises(OrderError) as refused:
        script_of("- {after: 1, ack: never}\n- {send: '12 work_mode=999'}", Protocol.SZY206)
    assert refused.value.event() == {
        "event": "order.refused",
        "code": "range",
        "arguments": {"key": "work_mode", "value": 999, "range": "0…255", "example": "12 work_mode=1"},
        "step": 2,
    }
    assert "2" in sentence_of(refused.value.event(), Messages("zh")).partition("：")[0]


def test_every_refusal_has_a_sentence_in_both_languages():
    places = Path(centre.__path__[0]).glob("*.py")
    codes = {code for each in places for code in re.findall(r'OrderError\(\s*"([^"]+)"', each.read_text("utf-8"))}
    assert len(codes) > 30
    for lang in LANGUAGES:
        messages = Messages(lang)
        assert [code for code in codes if not messages.has(f"simulated_centre.refused.{code}")] == []


ENDS = [
    (function, key, end, step)
    for function, example in EXAMPLES.items()
    for key, known in RANGES.items()
    if isinstance(known, Numbers) and re.search(rf"(?<![a-z_]){key}(=|: )-?[0-9]", example)
    for end, step in ((known.low, -1), (known.high, 1))
    if (function, key) != (Afn.SET_THRESHOLD, "kind")  # another kind has another threshold
]


def ordered(function: int, key: str, value: object) -> Downlink:
    """The example of an AFN with another value."""
    words = re.sub(rf"(?<![a-z_]){key}(=|: )-?[0-9.]+", rf"{key}\g<1>{value}", EXAMPLES[function])
    return downlink_of(f"{function:02X} {words}".split())


@pytest.mark.parametrize(("function", "key", "end", "step"), ENDS)
def test_the_range_of_an_szy206_order_is_that_of_its_field(function: int, key: str, end: Decimal, step: int):
    made = ordered(function, key, end)
    assert compose(made.fields, is_up=False, afn=function, dialect=DIALECT)
    with pytest.raises(OrderError, match="range"):
        ordered(function, key, end + step)
    with pytest.raises(ContentError):
        compose(other(made.fields, key, end + step), is_up=False, afn=function, dialect=DIALECT)


def other(fields: Any, key: str, value: object) -> Any:
    """The fields with another value under a key, however deep it lies."""
    if isinstance(fields, Mapping):
        return {name: value if name == key else other(each, key, value) for name, each in fields.items()}
    return [other(each, key, value) for each in fields] if isinstance(fields, list) else fields
