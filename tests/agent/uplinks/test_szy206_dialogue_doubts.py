"""SZY206 dialogues: what a frame may hold, and what may not follow from it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from agent.report.compose import Limit
from agent.uplinks.dialogue import (
    Acknowledged,
    Asked,
    Moment,
    Partly,
    Step,
    Unanswered,
    Violation,
)
from agent.uplinks.szy206.dialogue import Szy206Dialogue
from agent.uplinks.szy206.parameters import in_force, is_acceptable
from agent.uplinks.szy206_wire.content import decode
from agent.uplinks.szy206_wire.exchange import confirm_of
from agent.uplinks.szy206_wire.frame import parse
from agent.uplinks.szy206_wire.names import Afn, Edition
from tests.agent.uplinks.szy206_frames import check, framed
from tests.agent.uplinks.szy206_talk import (
    BOTH,
    FLOW,
    OPTIONS,
    TAIL,
    at,
    command,
    confirm,
    delivery,
    dialogue,
    moment,
    sample,
)


@pytest.mark.parametrize(("quantity", "text"), [("pressure", "-0.3"), ("temperature", "-1"), ("level", "-99999")])
def test_a_value_that_its_item_cannot_hold_is_sent_as_not_measured_beside_the_others(quantity: str, text: str):
    """Sheet, section 6: a pressure is 0 … 999 999.99 kPa; a sensor of a suction pipe shows less than nothing."""
    content = replace(FLOW, samples=(*FLOW.samples, sample(1, quantity, text), sample(2, quantity, "1")))
    station = dialogue()
    (flow,) = station.send(delivery(content=content), moment(0)).data
    assert decode(parse(flow))["meters"][0]["cumulative_m3"] == 106182
    (other,) = station.receive(confirm(flow), moment(1)).data
    (items,) = (value for key, value in decode(parse(other)).items() if isinstance(value, list) and "bits" not in key)
    assert items == [None, Decimal(1)]


def test_a_total_beyond_its_item_does_not_hold_back_the_flow():
    content = replace(FLOW, samples=(sample(1, "flow_rate", "5"), sample(1, "volume_withdrawn", "8000000000")))
    (sent,) = dialogue().send(delivery(content=content), moment(0)).data
    assert decode(parse(sent))["meters"] == [{"instant": Decimal(5), "cumulative_m3": None}]


def test_a_frame_is_not_repeated_when_the_month_of_its_tag_is_over():
    """Sheet, section 2.6: the 5-byte tag has no month; a receiver takes its own."""
    slot, late = at("2026-11-30T23:45:00"), at("2026-12-01T00:00:01")
    content = replace(BOTH, slot_ms=slot)
    station = dialogue(keepalive_s=1000.0)
    (sent,) = station.send(delivery(content=content), moment(0, at("2026-11-30T23:59:55"))).data
    assert station.tick(moment(10, late)) == Step((), (Unanswered(tag=1),))
    station = dialogue()
    station.send(delivery(content=content), moment(0, at("2026-11-30T23:59:55")))
    told = station.receive(confirm(sent), moment(7, late))
    assert told == Step((), (Partly(tag=1, frames=1), Unanswered(tag=1))), "its second frame"
    long_tag = dialogue(edition=Edition.SLT427, keepalive_s=1000.0)
    long_tag.send(delivery(content=content), moment(0, at("2026-11-30T23:59:55")))
    assert long_tag.tick(moment(10, late)).data


def test_an_order_of_the_last_minute_of_a_month_is_in_time_in_the_first_of_the_next():
    tail = {"pw_hex": "0000", "tp": {"sec": 30, "min": 59, "hour": 23, "day": 30, "delay_min": 5}}
    late = moment(1, at("2026-12-01T00:00:30"))
    (asked,) = dialogue().receive(command(Afn.SET_MODE, {"work_mode": 1}, **tail), late).happenings
    assert isinstance(asked, Asked)


@pytest.mark.parametrize(
    ("afn", "body"),
    [
        (0x11, "00 00 08 31 02 26 0000 0046080900"),  # a 31st of February
        (0x11, "AA AA AA AA AA AA 0000 0046080900"),
        (0xB1, "21 00310226 00310226"),
        (0xB1, "AA AAAAAAAA AAAAAAAA"),
        (0xA1, "AA" * 30 + "0000 0046080900"),
        (0x20, "F3 BA 24 74 0000 0046080900"),
    ],
)
def test_times_and_numbers_that_are_none_are_not_carried_out(afn: int, body: str):
    found = dialogue().receive(framed(0x30, afn, body), moment(1))
    assert not found.data
    for each in found.happenings:
        if isinstance(each, Asked):
            assert not all(is_acceptable(name, text) for name, text in each.arguments["values"].items())
        else:
            assert isinstance(each, Violation)


def test_a_part_of_a_split_order_is_not_carried_out():
    """Sheet, section 2.2: with DIV a countdown follows C; a part has no fields that could be obeyed."""
    data = bytes([0x70, 0x01]) + bytes.fromhex("5303810D00 96 5678 0000 0046080900".replace(" ", ""))
    whole = bytes([0x68, len(data), 0x68]) + data + bytes([check(data), 0x16])
    assert dialogue().receive(whole, moment(1)) == Step((), (Violation(code="split", detail="96"),))


def test_an_answer_has_the_frame_count_of_its_question():
    """Sheet, section 2.3: the responder returns the FCB it received."""
    for fcb in (3, 2, 1):
        station = dialogue()
        query = framed(fcb << 4 | 3, 0xB0)
        (asked,) = station.receive(query, moment(1)).happenings
        assert isinstance(asked, Asked)
        (answer,) = station.answer(asked.token, {"content": FLOW}, moment(2)).data
        assert parse(answer).fcb == fcb


def test_what_is_not_known_of_a_motor_is_not_said_to_be_zero():
    station = dialogue()
    phases = ("voltage_a", "voltage_b", "voltage_c", "current_a", "current_b", "current_c")
    known = tuple(sample(0, quantity, "219.9") for quantity in phases)
    for samples, count in ((known[:5], 0), (known, 1)):
        (asked,) = station.receive(framed(0x30, 0x5F), moment(1)).happenings
        assert isinstance(asked, Asked)
        found = station.answer(asked.token, {"content": replace(FLOW, samples=samples)}, moment(2))
        assert len(found.data) == count
    assert decode(parse(found.data[0]))["voltages"] == [219, 219, 219]


def test_the_supply_voltage_is_what_kind_13_of_a_real_time_query_asks_for():
    station = dialogue()
    (asked,) = station.receive(framed(0x3D, 0xB0), moment(1)).happenings
    assert isinstance(asked, Asked)
    content = replace(FLOW, samples=(sample(0, "supply_voltage", "12.65"),))
    (answer,) = station.answer(asked.token, {"content": content}, moment(2)).data
    assert parse(answer).body.hex() == "6512"


def test_the_clock_of_a_station_that_has_none_is_not_told():
    station = dialogue()
    (asked,) = station.receive(framed(0x30, 0x51), Moment(1, None)).happenings
    assert isinstance(asked, Asked)
    assert not station.answer(asked.token, {}, Moment(2, None)).data


def test_a_password_holds_on_the_connection_that_changed_it():
    station = dialogue(password="0000")
    change = command(Afn.CHANGE_PASSWORD, {"new_pw_hex": "5678"}, **TAIL)
    (asked,) = station.receive(change, moment(1)).happenings
    assert isinstance(asked, Asked)
    answer = station.answer(asked.token, {"new": "5678"}, moment(2)).data
    (new,) = station.receive(
        command(Afn.SET_MODE, {"work_mode": 1}, **(TAIL | {"pw_hex": "5678"})), moment(3)
    ).happenings
    assert isinstance(new, Asked)
    (old,) = station.receive(command(Afn.SET_MODE, {"work_mode": 1}, **TAIL), moment(4)).happenings
    assert isinstance(old, Violation)
    assert station.receive(change, moment(5)).data == answer, "who missed the answer asks once more"
    unchecked = dialogue(password=None)
    (asked,) = unchecked.receive(change, moment(1)).happenings
    assert isinstance(asked, Asked)
    unchecked.answer(asked.token, {"new": "5678"}, moment(2))
    (heard,) = unchecked.receive(command(Afn.SET_MODE, {"work_mode": 1}, **TAIL), moment(3)).happenings
    assert isinstance(heard, Asked), "what is not looked at stays so"


@pytest.mark.parametrize("word", ["F0", "F1", "F2"])
def test_a_link_test_of_the_centre_gets_its_code_back_and_a_reply_to_ours_does_not(word: str):
    """Sheet, section 5: centres reply with any code or not at all, and may begin one themselves."""
    station = dialogue()
    station.opened(moment(0))
    assert station.receive(framed(0x30, 0x02, "F2"), moment(1)) == Step(), "the reply to our login"
    own = framed(0x30, 0x02, word)
    (answer,) = station.receive(own, moment(2)).data
    assert parse(answer).body.hex().upper() == word
    assert station.receive(own, moment(3)) == Step(), "a centre that replies to everything replies to that too"
    station.tick(moment(63))
    assert len(station.receive(own, moment(74)).data) == 1, "ours was not replied to in time"


def test_settings_in_cubic_metres_a_second_are_kept_with_their_unit():
    """A 206 frame does not tell the unit of a flow: it is the platform's (sheet, section 6)."""
    station = dialogue(flow_unit="m3/s")
    (limit,) = station.receive(
        command(Afn.SET_FLOW_LIMITS, {"flow_limits": [{"value": Decimal("0.05")}]}, **TAIL), moment(1)
    ).happenings
    (change,) = station.receive(framed(0x30, 0x20, "21 0A 1000000000 0000 0046080900"), moment(2)).happenings
    assert isinstance(limit, Asked)
    assert isinstance(change, Asked)
    found = in_force(limit.arguments["values"] | change.arguments["values"])
    assert found.limits == {(1, "flow_rate"): Limit(high=Decimal(180), change=Decimal(36))}
    assert found.stored_ms == {(1, "flow_rate"): 600_000, (1, "volume_withdrawn"): 600_000}


def test_questions_that_come_in_one_piece_are_all_answered():
    """A centre asks for each kind of data in a frame of its own; a network may glue them."""
    station = dialogue()
    asked = station.receive(framed(0x33, 0xB0) + framed(0x32, 0xB0), moment(1)).happenings
    answers = [
        station.answer(each.token, {"content": BOTH}, moment(2)).data for each in asked if isinstance(each, Asked)
    ]
    assert [parse(data).func for (data,) in answers] == [3, 2]


def test_the_time_of_a_confirm_of_2021_is_the_centres_unless_it_repeats_ours():
    """Sheet, section 3: the station sets its clock from the time tag of a confirm; which some may only echo."""
    own, ours = {"time": "2026-11-09T08:46:07", "delay_min": 0}, {"time": "2026-11-09T08:45:00", "delay_min": 0}
    for trusts, tag, sets in ((True, own, 1), (True, ours, 0), (False, own, 0)):
        options = replace(OPTIONS, edition=Edition.SLT427)
        station = Szy206Dialogue(options, trusts_clock=trusts)
        (sent,) = station.send(delivery(), moment(0)).data
        answer = confirm_of(parse(sent), 1, tag=tag, dialect=options.dialect).to_bytes()
        found = station.receive(answer, moment(1)).happenings
        assert found[0] == Acknowledged(tag=1)
        assert [each.arguments["at_ms"] for each in found[1:] if isinstance(each, Asked)] == [
            at("2026-11-09T08:46:07")
        ] * sets
        assert all(not station.answer(each.token, {}, moment(2)).data for each in found if isinstance(each, Asked))


def test_a_frame_that_was_confirmed_does_not_come_again_on_the_next_connection():
    station = dialogue(keepalive_s=1000.0)
    (flow,) = station.send(delivery(content=BOTH), moment(0)).data
    found = station.receive(confirm(flow), moment(1))
    assert found.happenings == (Partly(tag=1, frames=1),)
    for s in (11, 21, 31):
        ended = station.tick(moment(s))
    assert ended == Step((), (Unanswered(tag=1),))
    station = dialogue()
    (level,) = station.send(replace(delivery(content=BOTH), confirmed=1), moment(40)).data
    assert "levels_m" in decode(parse(level))
    assert station.receive(confirm(level), moment(41)).happenings == (Acknowledged(tag=1),)
