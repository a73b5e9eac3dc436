"""SL 651 dialogues: link modes, passwords, packets, broadcasts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.report.content import Content, Kind
from agent.uplinks.dialogue import (
    Acknowledged,
    Asked,
    Moment,
    Refused,
    Step,
    Violation,
)
from agent.uplinks.sl651.dialogue import Sl651Dialogue
from agent.uplinks.sl651.options import ElementForm
from agent.uplinks.sl651.parameters import is_acceptable
from agent.uplinks.sl651_wire.codes import Control, Encoding, Function
from agent.uplinks.sl651_wire.packets import confirmation, refusal
from agent.uplinks.sl651_wire.parameters import basic_parameter
from agent.uplinks.sl651_wire.parts import Period, Wanted
from agent.uplinks.sl651_wire.parts import Step as Interval
from agent.uplinks.sl651_wire.receiver import first_frame
from tests.agent.uplinks.sl651_frames import ascii_down
from tests.agent.uplinks.sl651_talk import (
    CONTENT,
    OPTIONS,
    SET_CLOCK,
    SLOT,
    centre,
    delivery,
    dialogue,
    hexes,
    moment,
    sample,
)


def test_a_long_uniform_report_goes_in_packets_and_one_confirmation_ends_it():
    """Sheet, sections 8 and 10: 31 in M2 or M3; packets ETB … ETX, confirmed with number = total; NAK asks for one."""
    samples = tuple(sample(1, "flow_rate", "36", SLOT + at_min * 60_000) for at_min in range(1, 1441))
    content = Content(kind=Kind.UNIFORM, slot_ms=SLOT + 86_400_000, samples=samples, step_ms=60_000)
    station = dialogue()
    sent = [first_frame(data)[1] for data in station.send(delivery(content=content), moment(0)).data]
    total = len(sent)
    assert [frame.packet for frame in sent] == [(total, number) for number in range(1, total + 1)]
    assert {frame.end for frame in sent[:-1]} == {Control.ETB}
    assert b"".join(frame.payload for frame in sent)[:2] == b"\0\7"
    (again,) = station.receive(refusal(sent[0], 2, sent="250102081001", serial=7).encode(), moment(1)).data
    assert first_frame(again)[1].payload == sent[1].payload
    wrong = confirmation(sent[-1], sent="250102081002", serial=8)
    assert station.receive(wrong.encode(), moment(2)) == Step()
    done = confirmation(sent[-1], sent="250102081002", serial=7)
    assert station.receive(done.encode(), moment(3)).happenings == (Acknowledged(tag=1),)


def test_a_packet_is_sent_again_twice_at_most():
    station = dialogue(packet_bytes=64)
    parts = (Period("25010200", "25010223"), Interval("000100"), Wanted(b"\x28", 0x2B))
    (asked,) = station.receive(centre(Function.QUERY_PERIOD, parts=parts), moment(1)).happenings
    assert isinstance(asked, Asked)
    first = first_frame(station.answer(asked.token, {"values": ("36",) * 24}, moment(2)).data[0])[1]
    nak = refusal(first, 2, sent="250102081001").encode()
    assert [len(station.receive(nak, moment(3 + at)).data) for at in range(3)] == [1, 1, 0]


def test_a_report_that_is_longer_than_a_frame_is_refused_and_not_the_end_of_the_uplink():
    many = tuple(sample(1, f"quantity-{at}", "1") for at in range(300))
    forms = {(1, f"quantity-{at}"): ElementForm(identifier=b"\xff\x30", digits=40, decimals=0) for at in range(300)}
    (refused,) = dialogue(extras=forms).send(delivery(content=replace(CONTENT, samples=many)), moment(0)).happenings
    assert isinstance(refused, Refused)


OLD_TO_NEW = (basic_parameter(b"\3", b"\x12\x34"), basic_parameter(b"\3", b"\x56\x78"))


def changed(station: Sl651Dialogue, s: float) -> Step:
    return station.receive(centre(Function.CHANGE_PASSWORD, parts=OLD_TO_NEW), moment(s))


def test_a_new_password_holds_from_the_centres_last_word_on():
    """Sheet, section 9: commands with delayed effect hold only after the confirmation of their answer."""
    station = dialogue()
    (answer,) = (first_frame(data)[1] for data in changed(station, 1).data)
    assert (answer.password, answer.payload[-4:].hex()) == ("1234", "03105678")
    (before,) = (first_frame(data)[1] for data in station.send(delivery(), moment(2)).data)
    assert before.password == "1234"
    done = station.receive(confirmation(answer, sent="250102081002").encode(), moment(3))
    assert [each.arguments for each in done.happenings if isinstance(each, Asked)] == [{"old": "1234", "new": "5678"}]
    again = station.receive(confirmation(before, sent="250102081003").encode(), moment(4)).happenings
    assert [each.code for each in again if isinstance(each, Violation)] == ["wrong_password"]
    (repeat,) = (first_frame(data)[1] for data in station.tick(moment(40)).data)
    assert repeat.password == "5678"


@pytest.mark.parametrize("how", ["time", "a frame with the new one"])
def test_a_centre_that_never_says_the_last_word_gets_the_new_password_all_the_same(how: str):
    station = dialogue(keepalive_s=1000.0)
    changed(station, 1)
    if how == "time":
        assert station.deadline_s == 21
        found = station.tick(moment(21)).happenings
    else:
        found = station.receive(centre(Function.QUERY_CLOCK, password="5678"), moment(2)).happenings
    assert next(each.name for each in found if isinstance(each, Asked)) == "password_set"
    (sent,) = (first_frame(data)[1] for data in station.send(delivery(), moment(22)).data)
    assert sent.password == "5678"
    assert len(changed(station, 23).data) == 1, "who missed the answer asks again with the old one"


def test_a_change_of_password_with_a_wrong_old_one_is_not_answered():
    parts = (basic_parameter(b"\3", b"\x43\x21"), basic_parameter(b"\3", b"\x56\x78"))
    found = dialogue().receive(centre(Function.CHANGE_PASSWORD, parts=parts), moment(1))
    assert not found.data
    assert [each.code for each in found.happenings if isinstance(each, Violation)] == ["wrong_password"]


def test_a_broadcast_is_heard_and_answered_only_where_the_settings_say_so():
    query = centre(Function.QUERY_CLOCK, station="330106FFFF")
    for answers in (False, True):
        station = dialogue(answers_broadcast=answers)
        (asked,) = station.receive(query, moment(1)).happenings
        assert isinstance(asked, Asked)
        assert len(station.answer(asked.token, {}, moment(2)).data) == answers


def test_a_station_without_a_date_says_so_to_a_centre_that_may_set_it():
    """Else the centre could not know that it is there: SL 651 has no login (sheet, section 9.4)."""
    undated = Moment(0.0, None)
    assert dialogue().opened(undated) == Step()
    station = Sl651Dialogue(OPTIONS, next_serial=lambda: 1, allows_sets=True, trusts_clock=True)
    (hello,) = (first_frame(data)[1] for data in station.opened(undated).data)
    assert (hello.function, hello.payload[2:8].hex()) == (0x2F, "700101080000")
    (asked,) = station.receive(bytes.fromhex(SET_CLOCK), undated).happenings
    assert isinstance(asked, Asked)
    assert hexes(station.answer(asked.token, {}, moment(2, "250102082001")))


@pytest.mark.parametrize("word", ["Q1 5", "20 NaN", "20 Infinity", "20 1E999999", "8D M", "03 12", "20 ２"])
def test_words_that_are_no_parameters_are_refused(word: str):
    """ASCII frames carry names and values as text: anything may stand there."""
    station = dialogue(encoding=Encoding.ASCII)
    (asked,) = station.receive(ascii_down("42", f"{word} "), moment(1)).happenings
    assert isinstance(asked, Asked | Violation)
    if isinstance(asked, Asked):
        assert not all(is_acceptable(name, value) for name, value in asked.arguments["values"].items())


@pytest.mark.parametrize(
    ("trigger", "first"),
    [
        ("flow_rate>80.5", "282B"),
        ("level<-1", "3C2B"),
        ("level~", "3C2B"),
        ("pressure=", "581A"),
        ("+empty_pipe", "4520"),
    ],
)
def test_what_an_additional_report_is_sent_for_comes_first(trigger: str, first: str):
    """Sheet, section 10, 33: the triggering element comes first."""
    content = replace(CONTENT, kind=Kind.ADDITIONAL, trigger=trigger)
    (sent,) = hexes(dialogue().send(delivery(content=content), moment(0)))
    assert f"F0F02501020800{first}" in sent


def test_a_password_among_the_basic_parameters_is_neither_taken_nor_written_down():
    """Function 49 changes it, with the old one for proof; what is asked for would stand in the log."""
    order = centre(Function.SET_BASIC, parts=(basic_parameter(b"\3", b"\x56\x78"),))
    (found,) = dialogue().receive(order, moment(1)).happenings
    assert isinstance(found, Violation)
    assert "5678" not in repr(found)
