"""What a simulated centre finds in words, streams, serial numbers and time tags; uncertain rules only differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from simulators.platforms.centre.behaviour import Protocol, plan_of
from simulators.platforms.centre.contract import CentreDialogue, Heard, Memory, Moment, Report, Turn, Wrong
from simulators.platforms.centre.sl651 import Sl651Centre
from simulators.platforms.centre.sl651_options import Sl651Options
from simulators.platforms.centre.sl651_orders import downlink_of
from simulators.platforms.centre.szy206 import Szy206Centre, Szy206Options
from simulators.platforms.centre.szy206_orders import downlink_of as szy206_downlink_of
from tests.agent.uplinks.sl651_frames import REPORT, STATION, ascii_up, sealed, up, witness
from tests.agent.uplinks.szy206_frames import framed

CHINA = timezone(timedelta(hours=8))
AT = datetime(2025, 1, 2, 8, 0, 6, tzinfo=CHINA)
SZY_AT = datetime(2026, 11, 9, 8, 46, tzinfo=CHINA)
VOLTAGE, FLOW = "38121265", "282B0000000125"
SZY_FLOW, WORDS, TAG = "00590000008261100000", "00006000", "0045080900"
Found = tuple[str, str, bool]


def sl651() -> Sl651Centre:
    return Sl651Centre(Sl651Options(), Memory())


def szy206() -> Szy206Centre:
    return Szy206Centre(Szy206Options(), Memory())


def turn_of(data: bytes, centre: CentreDialogue, at_s: float = 0) -> Turn:
    return centre.receive(data, Moment(at_s, AT if isinstance(centre, Sl651Centre) else SZY_AT))


def wrongs(turn: Turn) -> list[Wrong]:
    return [event for event in turn.events if isinstance(event, Wrong)]


def found(turn: Turn) -> set[Found]:
    return {(each.code, each.clause, each.is_failed) for each in wrongs(turn)}


def words(text: str) -> bytes:
    return ascii_up("32", text)


HEAD = f"ST {STATION} I TT 2501020800 "
ASCII_WRONG = {
    "sound": (words(HEAD + "Q1 0.125 Z1 M ZT 00000080 VT 12.65 "), None),
    "no blank at the end": (words(HEAD + "VT 12.65"), ("no_last_blank", "sheet §19", True)),
    "two blanks": (words(HEAD + " VT 12.65 "), ("two_blanks", "sheet §19", False)),
    "two points": (words(HEAD + "Q1 0.1.25 VT 12.65 "), ("word_number", "sheet §19", True)),
    "comma": (words(HEAD + "Q1 0,125 VT 12.65 "), ("word_number", "sheet §19", True)),
    "short status word": (words(HEAD + "ZT 0080 VT 12.65 "), ("word_number", "sheet §19", True)),
    "no value": (words(HEAD + "Q1 VT 12.65 "), ("lone_word", "sheet §19", True)),
    "unknown name": (words(HEAD + "QQQ 1 VT 12.65 "), ("reserved_element", "C.1", False)),
    "name in lower case": (words(HEAD + "q1 0.125 VT 12.65 "), ("element_case", "C.1", False)),
    "class": (words(f"ST {STATION} V TT 2501020800 VT 12.65 "), ("station_class", "A", False)),
    "no class": (words(f"ST {STATION} TT 2501020800 VT 12.65 "), ("no_class", "sheet §7", True)),
    "other station": (words("ST 3301060002 I TT 2501020800 VT 12.65 "), ("other_station", "sheet §7", False)),
    "no such time": (words(f"ST {STATION} I TT 2501020860 VT 12.65 "), ("sl651_time", "6.6.2.8", True)),
    "no time": (words(f"ST {STATION} I VT 12.65 "), ("no_time", "6.6.2.11", True)),
    "element before time": (words(f"ST {STATION} I VT 12.65 TT 2501020800 "), ("early_element", "6.6.2.11", True)),
    "observed later": (words(f"ST {STATION} I TT 2501020900 VT 12.65 "), ("observed_later", "6.6.2.8", True)),
    "no voltage": (words(HEAD + "Q1 0.125 "), ("no_voltage", "E.10", False)),
    "no samples": (ascii_up("31", HEAD + "DRN05 Q1 "), ("no_samples", "sheet §10", True)),
}


@pytest.mark.parametrize(("data", "expected"), ASCII_WRONG.values(), ids=ASCII_WRONG)
def test_each_word_of_an_ascii_body_is_held_against_its_rule(data: bytes, expected: Found | None):
    assert expected in found(turn_of(data, sl651())) if expected else found(turn_of(data, sl651())) == set()


def test_lower_case_digits_differ_and_the_bytes_are_shown_as_they_came():
    body = "0007250102080005" + HEAD + "VT 12.65 "
    data = f"\x0101{STATION}12ab32{len(body):04x}\x02{body}\x03".encode()
    data += b"%04x" % witness(data)
    turn = turn_of(data, sl651())
    assert found(turn) == {("lower_case", "sheet §19", False)}
    assert [event.data for event in turn.events if isinstance(event, Heard)] == [data]


def addressed(station: str, centre: str = "01") -> bytes:
    body = bytes.fromhex(f"0007 250102080005 F1F1 {station} 49 F0F0 2501020800" + VOLTAGE)
    return sealed(
        bytes.fromhex(f"7E7E {centre} {station} 1234 32") + len(body).to_bytes(2, "big") + b"\x02" + body + b"\x03"
    )


LATER_BY_MINUTES = up("32", f"F1F1 {STATION} 49 F0F0 2501020803", VOLTAGE)
SL651_WRONG = {
    "station 0": (addressed("3301060000"), ("station_number", "sheet §6", True)),
    "broadcast": (addressed("330106FFFF"), ("station_number", "sheet §6", True)),
    "relay": (addressed("330106EA61"), ("relay_number", "sheet §6", False)),
    "division": (addressed("33A1060001"), ("division", "sheet §6", False)),
    "centre 0": (addressed(STATION, "00"), ("centre_number", "sheet §3.1", False)),
    "some minutes later": (LATER_BY_MINUTES, ("observed_later", "6.6.2.8", False)),
    "no samples": (up("31", REPORT, "0418000005 282B"), ("no_samples", "sheet §10", True)),
    "no step": (up("31", REPORT, FLOW), ("no_step", "sheet §10", True)),
    "manual entry of a station": (up("35", f"F1F1 {STATION} F2F2 5A20"), ("manual_station", "sheet §10", True)),
    "manual entry without mark": (up("35", "5A20362E33"), ("sl651_no_text", "6.6.3.2", True)),
    "keep-alive with more to come": (up("2F", end="17"), ("keepalive_end", "sheet §9.3", True)),
    "reserved function": (up("55", REPORT, VOLTAGE), ("reserved_function", "B", True)),
    "very long body": (up("32", REPORT, *[FLOW] * 90, VOLTAGE), ("long_body", "sheet §3.3", False)),
}


@pytest.mark.parametrize(("data", "expected"), SL651_WRONG.values(), ids=SL651_WRONG)
def test_a_rule_of_sl651_fails_where_it_is_certain_and_differs_where_it_is_not(data: bytes, expected: Found):
    turn = turn_of(data, sl651())
    assert expected in found(turn)
    assert {each.data for each in wrongs(turn)} == {data}


def test_a_station_of_the_hydrological_form_has_no_number_of_its_own():
    assert found(turn_of(addressed("0030500000"), sl651())) == set()


def with_length(data: bytes, length: int) -> bytes:
    """The frame with another LEN, and a check sum that fits."""
    return sealed(data[:11] + length.to_bytes(2, "big") + data[13:-2])


@pytest.mark.parametrize("length", [20, 200])
def test_a_wrong_length_is_named_with_the_right_one_and_the_bytes(length: int):
    right = up("32", REPORT, FLOW, VOLTAGE)
    data = with_length(right, length)
    centre = sl651()
    turn = turn_of(data, centre)
    turn.events += centre.end(Moment(1, AT)).events
    (wrong,) = wrongs(turn)
    assert (wrong.code, wrong.is_failed, wrong.data) == ("wrong_length", True, data)
    assert wrong.arguments == {"received": length, "expected": len(right) - 17}


def test_half_a_frame_at_the_end_of_a_connection_differs_and_says_how_much_came():
    data = up("32", REPORT, FLOW, VOLTAGE)
    for centre, half in ((sl651(), data[:30]), (szy206(), framed(0xB3, 0xC0, SZY_FLOW + WORDS + TAG)[:20])):
        assert turn_of(half, centre).events == []
        (wrong,) = wrongs(centre.end(Moment(1, AT)))
        assert (wrong.code, wrong.is_failed, wrong.arguments["size"]) == ("unfinished", False, len(half))


def test_a_direction_that_does_not_exist_is_named():
    data = up("32", REPORT, VOLTAGE)
    (wrong,) = wrongs(turn_of(with_length(data, 0x4000 | len(data) - 17), sl651()))
    assert wrong.code == "sl651_direction"


def serial(number: int, flow: int, minute: int = 0) -> bytes:
    report = f"F1F1 {STATION} 49 F0F0 25010208{minute:02d}"
    return up("32", report, f"282B{flow:010d}", VOLTAGE, header=f"{number:04X} 250102080005")


def test_a_serial_number_of_an_earlier_report_differs_a_gap_is_told_once_a_repeat_keeps_its_number():
    centre = sl651()
    assert found(turn_of(serial(7, 1), centre)) == set()
    assert found(turn_of(serial(8, 2), centre)) == set()
    assert found(turn_of(serial(7, 3), centre)) == {("serial_reused", "6.6.2.4", False)}
    assert found(turn_of(serial(500, 4), centre)) == {("serial_gap", "6.6.2.4", False)}
    assert found(turn_of(serial(900, 5), centre)) == set()
    assert found(turn_of(serial(901, 5), centre)) == set()  # the one before was acknowledged
    centre = Sl651Centre(Sl651Options(), Memory(plan=plan_of("never", Protocol.SL651)))
    assert found(turn_of(serial(7, 1), centre)) == set()
    assert found(turn_of(serial(8, 1), centre)) == {("serial_changed", "6.6.2.4", False)}


def test_the_serial_number_goes_from_65535_to_1():
    centre = sl651()
    assert [found(turn_of(serial(number, number), centre)) for number in (65534, 65535, 1)] == [set()] * 3


def packet(number: int, total: int, body: str, end: str) -> bytes:
    return up("32", body, packet=f"{total << 12 | number:06X}", header="", end=end)


def test_the_end_characters_and_the_total_of_packets_are_checked():
    whole = "0007 250102080005" + REPORT + FLOW + VOLTAGE
    body = bytes.fromhex(whole).hex()
    centre = sl651()
    assert found(turn_of(packet(1, 2, body[:40], "03"), centre)) >= {("packet_end", "6.3.1.2", True)}
    centre = sl651()
    assert found(turn_of(packet(1, 3, body[:40], "17"), centre)) == set()
    assert ("packet_total", "6.5.3", True) in found(turn_of(packet(2, 2, body[40:], "03"), centre))
    centre = sl651()
    turn_of(packet(1, 2, body[:40], "17"), centre)
    assert found(centre.end(Moment(1, AT))) == {("packets_left", "6.3.1.2", False)}


def test_the_answer_to_a_question_that_was_repeated_is_late_and_no_failure():
    answer = up("37", REPORT, VOLTAGE)
    centre = sl651()
    turn_of(up("2F"), centre)
    centre.ask(downlink_of(["37"]), Moment(1, AT))
    centre.tick(Moment(21, AT))
    assert found(turn_of(answer, centre, 22)) == set()
    assert found(turn_of(answer, centre, 23)) == {("answered_late", "sheet §21", False)}
    other = szy206()
    turn_of(framed(0xB0, 0x02, "F0"), other)
    other.ask(szy206_downlink_of(["52"]), Moment(1, SZY_AT))
    other.tick(Moment(11, SZY_AT))
    assert found(turn_of(framed(0xB0, 0x52, "01"), other, 12)) == set()
    assert found(turn_of(framed(0xB0, 0x52, "01"), other, 13)) == {("answered_late", "sheet §2.3", False)}


SZY206_WRONG = {
    "maker's AFN": (framed(0xB3, 0xC1, "00"), ("vendor_function", "sheet §4", False)),
    "time tag of 60 seconds": (framed(0xB3, 0xC0, SZY_FLOW + WORDS + "6045080900"), ("tag_time", "sheet §2.6", True)),
    "month 13": (framed(0xB3, 0xC0, SZY_FLOW + WORDS + "00450809132600"), ("tag_time", "sheet §2.6", True)),
    "volume alone": (framed(0xB3, 0xC0, SZY_FLOW[10:] + WORDS + TAG), ("tag_hidden", "sheet §6.1", False)),
    "last month": (framed(0xB3, 0xC0, SZY_FLOW + WORDS + "0045082500"), ("other_month", "sheet §9.4", False)),
    "alarm behind the items": (framed(0xB3, 0x81, "0090000000" + SZY_FLOW[10:] + "0800 6000" + TAG), None),
    "composite": (framed(0xBE, 0xC0, SZY_FLOW + WORDS + TAG), ("composite", "sheet §2.2", False)),
    "login of a kind": (framed(0xB3, 0x02, "F0"), ("link_control", "sheet §5", False)),
    "part 0": (framed(0xF3, 0xC0, SZY_FLOW + WORDS + TAG, address="005303810D00"), ("part_number", "sheet §2.2", True)),
    "no alarm word in 81": (framed(0xB3, 0x81, SZY_FLOW + "6000" + TAG), ("data", "sheet §8", True)),
}  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), SZY206_WRONG.values(), ids=SZY206_WRONG)
def test_a_rule_of_szy206_fails_where_it_is_certain_and_differs_where_it_is_not(data: bytes, expected: Found | None):
    turn = turn_of(data, szy206())
    if expected is None:
        assert not any(each.is_failed for each in wrongs(turn))
        assert any(isinstance(event, Report) for event in turn.events)
    else:
        assert expected in found(turn)
    assert {each.data for each in wrongs(turn)} <= {data}


def test_the_voltage_report_has_no_time_tag_to_miss():
    assert found(turn_of(framed(0xBD, 0x84, "2412"), szy206())) == set()


def test_a_fourth_send_with_fcb_0_differs():
    centre = szy206()
    turns = [turn_of(framed(control, 0xC0, SZY_FLOW + WORDS + TAG), centre) for control in (0xB3, 0xA3, 0x93, 0x83)]
    assert [found(turn) for turn in turns] == [set(), set(), set(), {("fcb_zero", "sheet §2.3", False)}]


def test_two_reports_of_one_time_with_different_values_differ():
    centre = szy206()
    turn_of(framed(0xB3, 0xC0, SZY_FLOW + WORDS + TAG), centre)
    turn = turn_of(framed(0xB3, 0xC0, "00600000008261100000" + WORDS + TAG), centre)
    assert found(turn) == {("tag_reused", "sheet §2.3", False)}


@pytest.mark.parametrize("length", [20, 40])
def test_a_wrong_length_of_szy206_is_named_with_the_right_one(length: int):
    right = framed(0xB3, 0xC0, SZY_FLOW + WORDS + TAG)
    data = right[:1] + bytes([length]) + right[2:]
    centre = szy206()
    turn = turn_of(data, centre)
    turn.events += centre.end(Moment(1, SZY_AT)).events
    (wrong,) = wrongs(turn)
    assert (wrong.code, wrong.clause, wrong.is_failed) == ("wrong_length", "sheet §2", True)
    assert wrong.arguments == {"received": length, "expected": right[1]}


def test_findings_say_whose_they_are_once_the_station_is_known():
    centre = sl651()
    turn_of(up("2F"), centre)
    (wrong,) = wrongs(turn_of(up("32", REPORT, VOLTAGE)[:-1] + b"\0", centre))
    assert replace(wrong, arguments={}).station == STATION
