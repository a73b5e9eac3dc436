"""A station's side of an SZY206 connection, held against the published and assembled frames of the fact sheet."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from agent.report.content import Kind
from agent.uplinks.dialogue import (
    Acknowledged,
    Asked,
    Forbidden,
    Over,
    Partly,
    Refused,
    Step,
    Unanswered,
    Violation,
)
from agent.uplinks.szy206.dialogue import Szy206Dialogue
from agent.uplinks.szy206_wire.content import decode
from agent.uplinks.szy206_wire.frame import parse
from agent.uplinks.szy206_wire.names import Afn, Edition
from tests.agent.uplinks.szy206_talk import (
    BOTH,
    BYTES,
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
