"""SZY206: what a frame cannot hold is not sent, and what is no number is none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agent.uplinks.szy206_wire.codecs import Number
from agent.uplinks.szy206_wire.content import compose, decode
from agent.uplinks.szy206_wire.fields import fields_of, frame_of
from agent.uplinks.szy206_wire.frame import Frame, parse
from agent.uplinks.szy206_wire.names import (
    ContentError,
)
from tests.agent.uplinks.szy206_frames import (
    ADDRESS,
    CALM,
    SHORT,
    TAG,
    framed,
    image,
)

Fields = dict[str, Any]


def test_an_image_frame_counts_kib() -> None:
    for size, length in ((1, 1), (1024, 1), (1025, 2), (4096, 4)):
        fields = fields_of(image(size))
        assert (fields["L"], fields["declared_block_len"], fields["divs"]) == (length, size, 42)
        assert fields["total_bytes"] == size + 15
    assert fields_of(image(1024, control=0xB0, divs="", afn=0x83))["total_bytes"] == 1024 + 14


def test_numbers_that_are_none_are_null_and_kept_as_bytes() -> None:
    fields = decode(parse(framed(0xB2, 0xC0, "1A000000" + "65780310" + CALM + TAG)))
    assert fields["levels_m"] == [None, None]
    assert fields["unreadable"] == ["1A000000", "65780310"]


def test_a_value_with_more_places_is_cut_and_never_rounded_up() -> None:
    meters = [{"instant": Decimal("-5.9999"), "cumulative_m3": Decimal("106182.999")}]
    body = compose(
        {"meters": meters, "alarm_bits": [0, 12], "work_mode": 1, "state_bits": [5], "tp": SHORT},
        is_up=True, afn=0xC0, func=3,
    )  # fmt: skip
    assert body.hex().upper() == "99590000F0" + "8261100000" + "0110" + "2100" + TAG
    assert Number(2, 1).write(Decimal("99.99999999999999999999999999999999")) == b"\x99\x09"


@pytest.mark.parametrize(
    ("content", "afn", "func"),
    [
        ({"meters": [{"instant": Decimal(1000000), "cumulative_m3": 0}]}, 0xC0, 3),
        ({"meters": [{"instant": 0, "cumulative_m3": 8000000000}]}, 0xC0, 3),
        ({"meters": []}, 0xC0, 3),
        ({"meters": [{"instant": 0}]}, 0xC0, 3),
        ({"pressures_kpa": [Decimal("-0.01")]}, 0xC0, 15),
        ({"pressures_kpa": [Decimal("NaN")]}, 0xC0, 15),
        ({"pressures_kpa": [1], "state_bits": [1]}, 0xC0, 15),
        ({"pressures_kpa": [1], "tp": {"sec": 60, "min": 0, "hour": 0, "day": 1, "delay_min": 0}}, 0xC0, 15),
        ({"clock": "2026-13-01T00:00:00", "weekday": 1}, 0x51, 0),
        ({"clock": "yesterday", "weekday": 1}, 0x51, 0),
        ({"event_counts": [65536]}, 0x5D, 0),
        ({}, 0x8E, 0),
    ],
)
def test_what_does_not_fit_is_not_sent(content: Fields, afn: int, func: int) -> None:
    given = {"alarm_bits": [], "work_mode": 0, "state_bits": []} if afn == 0xC0 else {}
    with pytest.raises(ContentError):
        compose(given | content, is_up=True, afn=afn, func=func)


def test_a_key_that_its_afn_does_not_have_is_said() -> None:
    with pytest.raises(ContentError, match="has no levels_m"):
        frame_of({"address": ADDRESS, "afn": "12", "work_mode": 1, "levels_m": [1]})
    with pytest.raises(ContentError, match="needs 'work_mode'"):
        frame_of({"address": ADDRESS, "afn": "12"})
    with pytest.raises(ContentError, match="afn"):
        frame_of({"address": ADDRESS})


def test_a_frame_takes_no_more_than_l_can_say() -> None:
    meters = [{"instant": 0, "cumulative_m3": 0}] * 25
    fields = {"address": ADDRESS, "afn": "C0", "dir": 1, "func": 3, "meters": meters, "alarm_hex": "0000",
              "state_hex": "0000"}  # fmt: skip
    with pytest.raises(ContentError):
        frame_of(fields).to_bytes()
    assert frame_of(fields | {"meters": meters[:24]}).length == 251


def test_a_frame_is_sent_three_times_and_no_more() -> None:
    first = Frame(is_up=True, func=3, address=bytes.fromhex(ADDRESS), afn=0xC0)
    sent = [first]
    while (again := sent[-1].resent()) is not None:
        sent.append(again)
    assert [frame.fcb for frame in sent] == [3, 2, 1]
    assert len({frame.check for frame in sent}) == 3
