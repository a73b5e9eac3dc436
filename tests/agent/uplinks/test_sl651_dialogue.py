"""A station's side of an SL 651 connection, held against the worked frames of the fact sheet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.report.content import Content, Kind
from agent.uplinks.dialogue import (
    Acknowledged,
    Asked,
    Forbidden,
    Over,
    Refused,
    Step,
    Unanswered,
    Violation,
)
from agent.uplinks.sl651.dialogue import Sl651Dialogue
from agent.uplinks.sl651_wire.codes import Control, Encoding, Function
from agent.uplinks.sl651_wire.link import Link
from agent.uplinks.sl651_wire.packets import confirmation, refusal
from agent.uplinks.sl651_wire.parts import Period, Wanted
from agent.uplinks.sl651_wire.parts import Step as Interval
from agent.uplinks.sl651_wire.receiver import first_frame
from tests.agent.uplinks.sl651_talk import (
    ACK_EOT,
    ACK_ESC,
    CLOCK_ANSWER,
    CONTENT,
    KEEPALIVE,
    OPTIONS,
    QUERY_37,
    SET_CLOCK,
    SLOT,
    TIMED,
    at,
    centre,
    delivery,
    dialogue,
    hexes,
    moment,
    sample,
)


def test_a_timed_report_has_the_values_of_the_worked_frame():
    sent = dialogue().send(delivery(), moment(0))
    _, ours = first_frame(sent.data[0])
    _, sheet = first_frame(bytes.fromhex(TIMED))
    assert (ours.function, ours.station, ours.password, ours.centre) == (0x32, "3301060001", "1234", 1)
    elements = ["282B0000000125", "682A0000044950", "581A025030", "3C2BFF00000345", "FF2B30000000123456", "38121265"]
    for element in (*elements, "452000000000"):
        assert element in sheet.payload.hex().upper()
        assert element in ours.payload.hex().upper()
    assert ours.payload[:16] == sheet.payload[:16]  # serial, send time, station, class begin alike
    assert len(ours.payload) == len(sheet.payload)


@pytest.mark.parametrize("answer", [ACK_ESC, ACK_EOT])
def test_a_report_is_delivered_by_the_centres_confirmation(answer: str):
    station = dialogue()
    station.send(delivery(), moment(0))
    assert not station.is_ready
    found = station.receive(bytes.fromhex(answer), moment(1))
    assert found.happenings == (Acknowledged(tag=1),)
    assert station.is_ready


def test_the_confirmation_of_another_serial_number_settles_nothing():
    station = dialogue()
    station.send(delivery(serial=8), moment(0))
    assert station.receive(bytes.fromhex(ACK_ESC), moment(1)) == Step()
    assert not station.is_ready


def test_a_report_is_repeated_twice_with_its_serial_and_then_given_up():
    station = dialogue(keepalive_s=1000.0)
    first = station.send(delivery(), moment(0))
    second, third = (station.tick(moment(s, f"2501020801{s:02d}")) for s in (20, 40))
    frames = [first_frame(step.data[0])[1] for step in (first, second, third)]
    assert [frame.payload[:2] for frame in frames] == [b"\0\7"] * 3
    assert [frame.payload[16:] for frame in frames] == [frames[0].payload[16:]] * 3
    assert frames[1].payload[2:8].hex() == "250102080120"  # the send time is that of the repeat
    assert station.tick(moment(60)) == Step((), (Unanswered(tag=1),))


def test_a_late_answer_to_the_first_of_two_sends_is_an_answer():
    station = dialogue()
    station.send(delivery(), moment(0))
    station.tick(moment(20))
    assert station.receive(bytes.fromhex(ACK_ESC), moment(21)).happenings == (Acknowledged(tag=1),)
    assert station.receive(bytes.fromhex(ACK_ESC), moment(22)) == Step()


def test_without_confirmation_a_report_counts_as_sent_and_not_as_confirmed():
    assert dialogue(mode=1).send(delivery(), moment(0)).happenings == (Acknowledged(tag=1, confirmed=False),)


def test_an_idle_link_is_kept_alive_with_the_serial_of_the_last_report():
    station = dialogue(timeout_s=100.0)
    station.send(delivery(), moment(0))
    station.receive(bytes.fromhex(ACK_ESC), moment(1))
    assert station.deadline_s == 40
    assert hexes(station.tick(moment(40, "250102080045"))) == [KEEPALIVE]


def test_a_real_time_query_is_answered_with_the_current_values():
    station = dialogue()
    (asked,) = station.receive(bytes.fromhex(QUERY_37), moment(1)).happenings
    assert asked == Asked(token=1, name="current_values", arguments={"wanted": None})
    now = Content(kind=Kind.TIMED, slot_ms=at("250102081000"), samples=(sample(1, "flow_rate", "457.2"),))
    (answer,) = hexes(station.answer(1, {"content": now}, moment(2, "250102081001")))
    assert answer.startswith("7E7E013301060001123437")
    assert "282B0000000127" in answer
    assert station.receive(bytes.fromhex(QUERY_37), moment(3)).happenings[0] == Asked(
        token=2, name="current_values", arguments={"wanted": None}
    )


def test_the_clock_is_set_by_the_send_time_of_the_order_and_mirrored():
    station = dialogue()
    (asked,) = station.receive(bytes.fromhex(SET_CLOCK), moment(1)).happenings
    assert asked == Asked(token=1, name="clock_set", arguments={"at_ms": at("250102082000")})
    assert hexes(station.answer(1, {}, moment(2, "250102082001"))) == [CLOCK_ANSWER]


def test_a_set_that_is_not_enabled_is_forbidden_and_unanswered():
    station = Sl651Dialogue(OPTIONS, next_serial=lambda: 1)
    assert station.receive(bytes.fromhex(SET_CLOCK), moment(1)) == Step(
        (), (Forbidden(function="4A", arguments={"at_ms": at("250102082000")}, is_never=False),)
    )


@pytest.mark.parametrize("function", [0x47, 0x48, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F])
def test_clearing_resetting_and_control_are_never_carried_out(function: int):
    found = dialogue().receive(centre(function), moment(1))
    assert found == Step((), (Forbidden(function=f"{function:02X}", arguments={}, is_never=True),))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password": "4321"}, "wrong_password"),
        ({"station": "3301060002"}, "foreign_station"),
        ({"centre": 2}, "foreign_centre"),
    ],
)
def test_what_is_not_for_us_is_not_answered(changes: dict[str, object], code: str):
    found = dialogue().receive(centre(Function.QUERY_REALTIME, **changes), moment(1))
    assert not found.data
    assert [each.code for each in found.happenings if isinstance(each, Violation)] == [code]


def test_a_period_is_asked_with_step_and_element_and_answered_as_a_series():
    station = dialogue()
    parts = (Period("25010200", "25010202"), Interval("000100"), Wanted(b"\x28", 0x2B))
    (asked,) = station.receive(centre(Function.QUERY_PERIOD, parts=parts), moment(1)).happenings
    assert isinstance(asked, Asked)
    assert asked.arguments == {
        "channel": 1,
        "quantity": "flow_rate",
        "from_ms": at("250102000000"),
        "to_ms": at("250102020000"),
        "step_ms": 3_600_000,
    }
    (answer,) = hexes(station.answer(asked.token, {"values": ("450", None, "36")}, moment(2)))
    assert "0418000100282B0000000125FFFFFFFFFF0000000010" in answer


def test_a_long_answer_goes_in_packets_and_a_bad_one_is_sent_again():
    station = dialogue(packet_bytes=64)
    parts = (Period("25010200", "25010223"), Interval("000100"), Wanted(b"\x28", 0x2B))
    (asked,) = station.receive(centre(Function.QUERY_PERIOD, parts=parts), moment(1)).happenings
    assert isinstance(asked, Asked)
    answer = station.answer(asked.token, {"values": ("36",) * 24}, moment(2))
    frames = [first_frame(data)[1] for data in answer.data]
    assert [frame.packet for frame in frames] == [(3, 1), (3, 2), (3, 3)]
    assert [frame.end for frame in frames] == [Control.ETB, Control.ETB, Control.ETX]
    again = station.receive(refusal(frames[0], 2, sent="250102081001").encode(), moment(3))
    (repeated,) = (first_frame(data)[1] for data in again.data)
    assert (repeated.packet, repeated.payload, repeated.end) == ((3, 2), frames[1].payload, Control.ETX)
    done = confirmation(frames[2], sent="250102081002", end=Control.EOT, serial=9)
    assert station.receive(done.encode(), moment(4)) == Step()


def test_a_value_with_another_time_carries_its_own():
    content = replace(CONTENT, samples=(sample(1, "flow_rate", "450"), sample(1, "level", "1", at("250102074500"))))
    (sent,) = hexes(dialogue().send(delivery(content=content), moment(0)))
    assert "F0F02501020800282B0000000125" in sent
    assert "F0F025010207453C23" in sent


def test_a_missing_value_is_filled_and_never_zero():
    content = replace(CONTENT, samples=(sample(1, "flow_rate", None),))
    (sent,) = hexes(dialogue().send(delivery(content=content), moment(0)))
    assert "282BFFFFFFFFFF" in sent


def test_flow_and_totals_are_cut_never_rounded_up():
    content = replace(CONTENT, samples=(sample(1, "flow_rate", "453.599"), sample(1, "volume_withdrawn", "9.999")))
    (sent,) = hexes(dialogue(flow_decimals=6).send(delivery(content=content), moment(0)))
    assert "2836000000125999" in sent
    assert "FF2B30000000000009" in sent


def test_a_channel_without_an_identifier_for_its_total_sends_none():
    content = replace(CONTENT, samples=(sample(2, "volume_withdrawn", "5"), sample(2, "flow_rate", "3.6")))
    (sent,) = hexes(dialogue().send(delivery(content=content), moment(0)))
    assert "FF2B" not in sent
    assert "292B0000000001" in sent


def test_a_report_that_has_no_form_is_refused_for_good():
    content = Content(kind=Kind.UNIFORM, slot_ms=SLOT, samples=(), step_ms=300_000)
    (refused,) = dialogue().send(delivery(content=content), moment(0)).happenings
    assert isinstance(refused, Refused)


def test_half_a_frame_is_given_up_after_a_while_and_what_follows_is_heard():
    station = dialogue()
    station.send(delivery(), moment(0))
    station.receive(bytes.fromhex(ACK_ESC)[:10], moment(1))
    assert station.deadline_s == 6
    found = station.tick(moment(6))
    assert any(isinstance(each, Violation) and each.code == "noise" for each in found.happenings)
    assert station.receive(bytes.fromhex(ACK_ESC), moment(7)).happenings == (Acknowledged(tag=1),)


def test_every_serial_confirms_only_its_own_report():
    station = dialogue()
    for serial in range(1, 30):
        sent = station.send(delivery(tag=serial, serial=serial), moment(serial))
        frame = first_frame(sent.data[0])[1]
        wrong = confirmation(frame, sent="250102080006", serial=serial + 1)
        assert station.receive(wrong.encode(), moment(serial)) == Step()
        right = confirmation(frame, sent="250102080006")
        assert station.receive(right.encode(), moment(serial)).happenings == (Acknowledged(tag=serial),)


def test_confirmations_without_a_serial_number_are_counted_against_the_sends():
    minimal = replace(first_frame(bytes.fromhex(ACK_ESC))[1], payload=b"").encode()
    station = dialogue()
    station.send(delivery(), moment(0))
    station.tick(moment(20))  # sent twice: two confirmations will come
    assert station.receive(minimal, moment(21)).happenings == (Acknowledged(tag=1),)
    assert not station.is_ready  # else the second would be taken for the next report's
    assert station.receive(minimal, moment(22)).happenings == ()
    assert station.is_ready


def test_a_confirmation_that_never_comes_for_a_repeat_ends_the_connection():
    minimal = replace(first_frame(bytes.fromhex(ACK_ESC))[1], payload=b"").encode()
    station = dialogue()
    station.send(delivery(), moment(0))
    station.tick(moment(20))
    station.receive(minimal, moment(21))
    (over,) = station.tick(moment(41)).happenings
    assert isinstance(over, Over)


def test_the_ascii_encoding_goes_through_the_whole_dialogue():
    """Report, its confirmation and a query, each as SL 651-2014 6.4 writes them in characters."""
    station = dialogue(encoding=Encoding.ASCII)
    (sent,) = station.send(delivery(), moment(0)).data
    assert sent[:1] == b"\x01"
    assert sent[1:-1].isascii()
    _, frame = first_frame(sent)
    assert (frame.encoding, frame.function, frame.station) == (Encoding.ASCII, 0x32, "3301060001")
    for word in (b"Q1 0.125", b"SBL1 449.50", b"WP1 250.30", b"Z1 -0.345", b"VT 12.65"):
        assert word in frame.payload
    found = station.receive(confirmation(frame, sent="250102080006").encode(), moment(1))
    assert found.happenings == (Acknowledged(tag=1),)
    link = Link(centre=1, station="3301060001", password="1234", encoding=Encoding.ASCII)
    query = link.command(Function.QUERY_REALTIME, sent="250102081000").encode()
    (asked,) = station.receive(query, moment(2)).happenings
    assert asked == Asked(token=1, name="current_values", arguments={"wanted": None})
    (answer,) = station.answer(1, {"content": CONTENT}, moment(3)).data
    assert b"Q1 0.125" in first_frame(answer)[1].payload


def test_a_uniform_report_is_one_element_from_its_first_samples_time_on():
    """SL 651-2014 6.6.4.3 (fact sheet, section 10): TT of the first sample, step, identifier once, equal samples."""
    samples = tuple(sample(1, "flow_rate", text, SLOT + at_min * 60_000) for at_min, text in ((5, "36"), (10, None)))
    content = Content(kind=Kind.UNIFORM, slot_ms=SLOT + 600_000, samples=samples, step_ms=300_000)
    (sent,) = hexes(dialogue().send(delivery(content=content), moment(0)))
    assert sent[20:22] == "31"
    assert "F0F02501020805" + "0418000005" + "282B" + "0000000010" + "FFFFFFFFFF" in sent
