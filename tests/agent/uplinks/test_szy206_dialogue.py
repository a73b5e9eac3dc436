"""A station's side of an SZY206 connection, held against the published and assembled frames of the fact sheet."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from agent.report.compose import Limit
from agent.report.content import Content, Kind, Sample
from agent.uplinks.dialogue import (
    Acknowledged,
    Asked,
    Delivery,
    Forbidden,
    Moment,
    Over,
    Partly,
    Refused,
    Step,
    Unanswered,
    Violation,
)
from agent.uplinks.szy206.dialogue import Szy206Dialogue
from agent.uplinks.szy206.options import WireOptions
from agent.uplinks.szy206.parameters import in_force, is_acceptable
from agent.uplinks.szy206_wire.content import compose, decode
from agent.uplinks.szy206_wire.exchange import confirm_of
from agent.uplinks.szy206_wire.frame import Frame, parse
from agent.uplinks.szy206_wire.names import Afn, Edition
from tests.agent.uplinks.szy206_frames import VECTORS, check, framed

BYTES = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS}
OPTIONS = WireOptions(station="5303810D00", wants_login_answer=False)


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=timezone(timedelta(hours=8))).timestamp() * 1000)


SLOT = at("2026-11-09T08:45:00")
NOW = at("2026-11-09T08:46:00")


def sample(channel: int, quantity: str, text: str | None) -> Sample:
    return Sample(channel, quantity, text, SLOT, "measured", "9f3c2a71-1")


FLOW = Content(
    kind=Kind.TIMED,
    slot_ms=SLOT,
    samples=(sample(1, "flow_rate", "5.900"), sample(1, "volume_withdrawn", "106182.9")),
    alarms=("mains_lost", "volume_alarm"),
)
BOTH = replace(FLOW, samples=(*FLOW.samples, sample(1, "level", "-3.25")))


def moment(s: float, at_ms: int = NOW) -> Moment:
    return Moment(s, at_ms)


def dialogue(**changes: object) -> Szy206Dialogue:
    return Szy206Dialogue(replace(OPTIONS, **changes), allows_sets=True)


def delivery(tag: int = 1, content: Content = FLOW) -> Delivery:
    return Delivery(tag=tag, serial=tag, content=content)


def confirm(sent: bytes) -> bytes:
    return confirm_of(parse(sent), 1).to_bytes()


def command(
    afn: int, fields: dict[str, object], *, func: int = 0, address: str = "5303810D00", **tail: object
) -> bytes:
    body = compose({**fields, **tail}, is_up=False, afn=afn, func=func)
    return Frame(is_up=False, func=func, address=bytes.fromhex(address), afn=afn, body=body).to_bytes()


TAIL = {"pw_hex": "0000", "tp": {"sec": 0, "min": 46, "hour": 8, "day": 9, "delay_min": 0}}


def test_a_flow_report_has_the_fields_of_the_published_frame():
    (sent,) = dialogue().send(delivery(), moment(0)).data
    published = decode(parse(BYTES["c0-flow-one-meter"]))
    ours = decode(parse(sent))
    assert ours["meters"] == published["meters"] == [{"instant": Decimal("5.900"), "cumulative_m3": Decimal(106182)}]
    assert ours["alarm_bits"] == published["alarm_bits"] == [0, 12]
    assert ours["tp"] == {"sec": 0, "min": 45, "hour": 8, "day": 9, "delay_min": 0}
    assert parse(sent).to_bytes()[:10].hex().upper() == "681A68B35303810D00C0"


def test_the_login_is_the_first_word_of_a_connection():
    (sent,) = dialogue().opened(moment(0)).data
    assert decode(parse(sent)) == {"link": "F0 login"}
    (bye,) = dialogue().farewell(moment(0)).data
    assert decode(parse(bye)) == {"link": "F1 logout"}


def test_nothing_is_sent_before_the_login_is_answered_or_waited_out():
    station = dialogue(wants_login_answer=True)
    (sent,) = station.opened(moment(0)).data
    assert not station.is_ready
    station.receive(replace(parse(sent), is_up=False).to_bytes(), moment(1))
    assert station.is_ready
    silent = dialogue(wants_login_answer=True)
    silent.opened(moment(0))
    assert silent.deadline_s == 10
    silent.tick(moment(10))
    assert silent.is_ready


def test_each_kind_of_data_goes_in_a_frame_of_its_own_and_all_must_be_confirmed():
    station = dialogue()
    (first,) = station.send(delivery(content=BOTH), moment(0)).data
    step = station.receive(confirm(first), moment(1))
    assert step.happenings == (Partly(tag=1, frames=1),)
    (second,) = step.data
    assert decode(parse(second))["levels_m"] == [Decimal("-3.250")]
    assert decode(parse(second))["tp"] == decode(parse(first))["tp"]
    assert not station.is_ready
    assert station.receive(confirm(second), moment(2)).happenings == (Acknowledged(tag=1),)
    assert station.is_ready


def test_fcb_counts_the_sends_down_and_then_the_exchange_has_failed():
    station = dialogue(keepalive_s=1000.0)
    sent = [*station.send(delivery(), moment(0)).data, *station.tick(moment(10)).data, *station.tick(moment(20)).data]
    assert [parse(data).fcb for data in sent] == [3, 2, 1]
    assert [parse(data).body for data in sent] == [parse(sent[0]).body] * 3
    assert station.tick(moment(30)) == Step((), (Unanswered(tag=1),))


def test_after_a_repeat_the_next_report_waits_until_every_send_is_confirmed():
    station = dialogue()
    (sent,) = station.send(delivery(), moment(0)).data
    station.tick(moment(10))
    assert station.receive(confirm(sent), moment(11)).happenings == (Acknowledged(tag=1),)
    assert not station.is_ready
    assert station.receive(confirm(sent), moment(12)) == Step()
    assert station.is_ready


def test_a_repeat_that_is_never_confirmed_ends_the_connection_and_not_the_delivery():
    station = dialogue(keepalive_s=1000.0)
    (sent,) = station.send(delivery(), moment(0)).data
    station.tick(moment(10))
    station.receive(confirm(sent), moment(11))
    (over,) = station.tick(moment(21)).happenings
    assert isinstance(over, Over)


def test_a_confirm_that_nobody_waits_for_settles_nothing():
    station = dialogue()
    (sent,) = station.send(delivery(), moment(0)).data
    station.receive(confirm(sent), moment(1))
    (found,) = station.receive(confirm(sent), moment(2)).happenings
    assert isinstance(found, Violation)


def test_a_report_of_a_month_that_is_over_is_parked_with_the_short_tag_and_sent_with_the_long_one():
    late = moment(0, at("2026-12-01T00:00:00"))
    (refused,) = dialogue().send(delivery(), late).happenings
    assert isinstance(refused, Refused)
    (sent,) = dialogue(edition=Edition.SLT427).send(delivery(), late).data
    assert decode(parse(sent))["tp"]["time"] == "2026-11-09T08:45:00"


def test_a_channel_without_values_is_sent_as_not_measured_and_volumes_are_cut():
    content = replace(FLOW, samples=(sample(2, "volume_withdrawn", "7.99"),))
    (sent,) = dialogue().send(delivery(content=content), moment(0)).data
    meters = decode(parse(sent))["meters"]
    assert meters == [
        {"instant": None, "cumulative_m3": None},
        {"instant": None, "cumulative_m3": Decimal(7)},
    ]


def test_flow_in_cubic_metres_a_second_is_cut():
    (sent,) = dialogue(flow_unit="m3/s", edition=Edition.SLT427).send(delivery(), moment(0)).data
    assert decode(parse(sent))["meters"][0] == {
        "instant": Decimal("0.001"),
        "cumulative_m3": Decimal(106182),
        "unit": "m3/s",
    }


def test_an_alarm_is_reported_with_its_own_function():
    (sent,) = dialogue().send(delivery(content=replace(FLOW, kind=Kind.ADDITIONAL)), moment(0)).data
    assert parse(sent).afn == Afn.ALARM_REPORT
    assert decode(parse(sent))["alarm_bits"] == [0, 12]


def test_the_clock_is_set_and_mirrored_and_needs_the_password():
    station = dialogue(password="0000")
    fields = {"clock": "2026-11-09T08:50:00", "weekday": 1}
    (asked,) = station.receive(command(Afn.SET_CLOCK, fields, **TAIL), moment(1)).happenings
    assert asked == Asked(token=1, name="clock_set", arguments={"at_ms": at("2026-11-09T08:50:00")})
    (answer,) = station.answer(1, {}, moment(2)).data
    assert decode(parse(answer)) == fields
    wrong = command(Afn.SET_CLOCK, fields, **(TAIL | {"pw_hex": "1234"}))
    (violation,) = station.receive(wrong, moment(3)).happenings
    assert isinstance(violation, Violation)
    assert violation.code == "wrong_password"
    (bare,) = station.receive(command(Afn.SET_CLOCK, fields), moment(3)).happenings
    assert isinstance(bare, Violation)


def test_an_order_that_took_longer_than_its_tag_allows_is_dropped():
    tail = TAIL | {"tp": {"sec": 0, "min": 30, "hour": 8, "day": 9, "delay_min": 5}}
    (found,) = dialogue().receive(command(Afn.SET_MODE, {"work_mode": 1}, **tail), moment(1)).happenings
    assert found == Violation(code="too_late", detail="960 s")


def test_what_was_set_is_read_back():
    station = dialogue()
    limits = {"level_limits": [{"base_m": 1, "low_m": 2, "high_m": 3}]}
    (asked,) = station.receive(command(Afn.SET_LEVEL_LIMITS, limits, **TAIL), moment(1)).happenings
    assert isinstance(asked, Asked)
    assert asked.name == "parameters_set"
    (mirrored,) = station.answer(asked.token, {"values": asked.arguments["values"]}, moment(2)).data
    assert decode(parse(mirrored))["level_limits"][0]["high_m"] == 3
    (again,) = station.receive(command(Afn.QUERY_LEVEL_LIMITS, {}), moment(3)).happenings
    assert isinstance(again, Asked)
    assert again.arguments == {"names": ["17"]}
    (answer,) = station.answer(again.token, {"values": asked.arguments["values"]}, moment(4)).data
    assert decode(parse(answer))["level_limits"] == decode(parse(mirrored))["level_limits"]


@pytest.mark.parametrize(
    ("afn", "fields"),
    [
        (Afn.RESET, {"reset": 2}),
        (Afn.CLEAR, {"clear_bits": [2]}),
        (Afn.CARD_ON, {}),
        (Afn.QUOTA_ON, {}),
        (Afn.SET_QUOTA, {"quota_m3": 5}),
        (Afn.START, {"device_no": 1, "device_kind": "pump"}),
        (Afn.SET_BASE, {"base_m3": [1]}),
    ],
)
def test_control_clearing_and_base_readings_are_never_carried_out(afn: int, fields: dict[str, object]):
    (found,) = dialogue().receive(command(afn, fields, **TAIL), moment(1)).happenings
    assert isinstance(found, Forbidden)
    assert found.is_never
    json.dumps(dict(found.arguments))


def test_settings_are_off_unless_enabled():
    station = Szy206Dialogue(OPTIONS)
    (found,) = station.receive(command(Afn.SET_MODE, {"work_mode": 2}, **TAIL), moment(1)).happenings
    assert found == Forbidden(function="12", arguments={"work_mode": 2}, is_never=False)


def test_a_real_time_query_names_the_kind_and_gets_items_with_alarm_and_state():
    station = dialogue()
    (asked,) = station.receive(command(Afn.QUERY_REALTIME, {}, func=3), moment(1)).happenings
    assert isinstance(asked, Asked)
    (answer,) = station.answer(asked.token, {"content": FLOW}, moment(2)).data
    assert decode(parse(answer))["meters"][0]["cumulative_m3"] == 106182
    assert parse(answer).func == 3


def test_a_stored_series_is_answered_like_the_published_one_and_split_where_it_is_long():
    station = dialogue()
    query = command(Afn.QUERY_STORED, {"kind": 2, "sensor_no": 1, "start": "2016-12-22T00", "end": "2016-12-22T02"})
    (asked,) = station.receive(query, moment(1)).happenings
    assert isinstance(asked, Asked)
    assert (asked.arguments["quantity"], asked.arguments["channel"]) == ("volume_withdrawn", 1)
    (answer,) = station.answer(asked.token, {"values": ["92"] * 18}, moment(2)).data
    assert parse(answer).body.hex().upper() == "2100221216022212 16".replace(" ", "") + "9200000000" * 18
    (asked,) = station.receive(query, moment(3)).happenings
    assert isinstance(asked, Asked)
    answers = [parse(data) for data in station.answer(asked.token, {"values": ["92"] * 100}, moment(4)).data]
    assert [frame.divs for frame in answers] == [3, 2, 1]
    assert b"".join(frame.body for frame in answers).endswith(bytes.fromhex("9200000000") * 100)


def test_a_foreign_address_is_not_heard_and_a_broadcast_is_obeyed_without_answer():
    station = dialogue()
    fields = {"work_mode": 1}
    (found,) = station.receive(command(Afn.SET_MODE, fields, address="5303810E00", **TAIL), moment(1)).happenings
    assert found == Violation(code="foreign_station", detail="5303810E00")
    (asked,) = station.receive(command(Afn.SET_MODE, fields, address="530381FFFF", **TAIL), moment(2)).happenings
    assert isinstance(asked, Asked)
    assert station.answer(asked.token, {"values": {}}, moment(3)) == Step()


def test_half_a_frame_is_given_up_after_a_while():
    station = dialogue()
    (sent,) = station.send(delivery(), moment(0)).data
    station.receive(confirm(sent)[:6], moment(1))
    assert station.deadline_s == 6
    station.tick(moment(6))
    assert station.receive(confirm(sent), moment(7)).happenings[-1] == Acknowledged(tag=1)


def test_an_idle_link_is_kept_alive():
    station = dialogue()
    station.opened(moment(0))
    (sent,) = station.tick(moment(60)).data
    assert decode(parse(sent)) == {"link": "F2 keep-alive"}


# --- what a frame may hold, and what may not follow from it


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
    assert station.receive(confirm(sent), moment(7, late)) == Step((), (Unanswered(tag=1),)), "its second frame"
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
