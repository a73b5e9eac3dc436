"""Who answers whom in SZY206: confirms as centres send them, addresses, time tags that can still be dated."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from agent.uplinks.szy206_wire.exchange import address_of, can_date, confirm_of, is_confirm_of, tag_of
from agent.uplinks.szy206_wire.frame import parse
from agent.uplinks.szy206_wire.names import ContentError, Edition
from agent.uplinks.szy206_wire.times import write_tag
from tests.agent.uplinks.szy206_frames import VECTORS, framed

BYTES = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS}
REPORT = parse(BYTES["c0-flow-one-meter"])
MOMENT = datetime(2026, 5, 12, 14, 15, 30)  # noqa: DTZ001 - local, as it stands in the frame


def test_confirms_are_those_of_the_vectors() -> None:
    assert confirm_of(REPORT, 0).to_bytes() == BYTES["c0-ack-no-aux"]
    report = parse(BYTES["c0-flow-m3h-2021"])
    tag = tag_of(MOMENT.replace(second=31), Edition.SLT427)
    assert confirm_of(report, 0, tag=tag).to_bytes() == BYTES["c0-ack-tp-2021"]
    with pytest.raises(ContentError):
        confirm_of(parse(BYTES["link-login"]), 0)


@pytest.mark.parametrize("body", ["00", "01", "00" + "1234", "00" + "3015141200", "00" + "30151412052600"])
@pytest.mark.parametrize("control", [0x30, 0x00, 0x33, 0x23])
def test_every_form_of_a_confirm_is_taken(control: int, body: str) -> None:
    assert is_confirm_of(parse(framed(control, 0xC0, body)), REPORT)


@pytest.mark.parametrize(
    "answer",
    [
        framed(0xB0, 0xC0, "00"),  # from a station
        framed(0x30, 0x81, "00"),  # of another AFN
        framed(0x30, 0xC0, "00", address="5303810E00"),  # of another station
        framed(0x30, 0xC0, ""),
        framed(0x30, 0xC0, "0000000000000000"),  # behind the mode no time
        replace(confirm_of(REPORT, 0), divs=1).to_bytes(),  # a part of a message
    ],
)
def test_no_other_frame_confirms_a_report(answer: bytes) -> None:
    assert not is_confirm_of(parse(answer), REPORT)


def test_an_address_has_its_number_in_the_order_of_the_platform() -> None:
    assert address_of("530381", 13).hex().upper() == "5303810D00"
    assert address_of("440607", 1, is_high_first=True).hex().upper() == "4406070001"
    for division, number in (("530381", 0), ("530381", 65535), ("53038", 1), ("53038A", 1)):
        with pytest.raises(ContentError):
            address_of(division, number)


def test_a_time_tag_is_that_of_the_moment() -> None:
    assert write_tag(tag_of(MOMENT, Edition.SZY206), high_first=False).hex() == "3015141200"
    assert write_tag(tag_of(MOMENT, Edition.SZY206, is_without_seconds=True), high_first=False).hex() == "0015141200"
    assert write_tag(tag_of(MOMENT, Edition.SLT427, delay_min=10), high_first=False).hex() == "3015141205260a"


def test_a_tag_without_month_is_good_until_the_month_ends() -> None:
    end = datetime(2026, 5, 31, 23, 59, 59)  # noqa: DTZ001 - local
    following = datetime(2026, 6, 1)  # noqa: DTZ001 - local
    assert can_date(MOMENT, end, Edition.SZY206)
    assert not can_date(MOMENT, following, Edition.SZY206)
    assert not can_date(MOMENT, MOMENT.replace(year=2027), Edition.SZY206)
    assert can_date(MOMENT, following, Edition.SLT427)
