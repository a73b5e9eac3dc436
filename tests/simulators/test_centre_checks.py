"""What a simulated centre finds wrong with a station's frames, and that it answers nothing that it must not."""

from __future__ import annotations

import json
import string
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.messages import LANGUAGES, Messages
from simulators.platforms.centre.contract import CentreDialogue, Heard, Memory, Moment, Report, Turn, Wrong
from simulators.platforms.centre.showing import sentence_of
from simulators.platforms.centre.sl651 import Sl651Centre
from simulators.platforms.centre.sl651_options import Sl651Options
from simulators.platforms.centre.szy206 import Szy206Centre, Szy206Options
from tests.agent.uplinks.sl651_frames import REPORT, STATION, ascii_up, down, up
from tests.agent.uplinks.szy206_frames import framed

CHINA = timezone(timedelta(hours=8))
VECTORS = Path(__file__).parents[1] / "vectors"
SENT = datetime(2025, 1, 2, 8, 0, 6, tzinfo=CHINA)
VOLTAGE = "38121265"
TP = "0045080900"  # second 0, minute 45, hour 8, day 9, no delay
SZY_AT = datetime(2026, 11, 9, 8, 46, tzinfo=CHINA)
FLOW = "00590000008261100000"
WORDS = "00006000"


def turn_of(data: bytes, centre: CentreDialogue | None = None, at: datetime = SENT) -> Turn:
    return (centre or Sl651Centre(Sl651Options(), Memory())).receive(data, Moment(0, at))


def found(turn: Turn) -> set[tuple[str, str, bool]]:
    return {(event.code, event.clause, event.is_failed) for event in turn.events if isinstance(event, Wrong)}


def timed(*elements: str, **changes: str) -> bytes:
    return up("32", REPORT, *elements, VOLTAGE, **changes)


def test_a_sound_report_has_nothing_wrong():
    turn = turn_of(timed("282B0000000125", "682A0000044950", "45200000 0080"))
    assert found(turn) == set()
    assert len(turn.parcels) == 1


# frame, and what the centre says: code, clause, failed (True) or differs (False)
SL651_WRONG = {
    "serial 0": (timed(header="0000 250102080005"), "serial_zero", "6.6.2.4", True),
    "send time": (timed(header="0007 250102080555"), "clock_off", "sheet §18", False),
    "no time": (timed(header="0007 251302080005"), "sl651_time", "6.6.2.5", True),
    "class": (up("32", f"F1F1 {STATION} 56 F0F0 2501020800", VOLTAGE), "station_class", "A", False),
    "other station": (up("32", "F1F1 3301060002 49 F0F0 2501020800", VOLTAGE), "other_station", "sheet §7", False),
    "later": (up("32", f"F1F1 {STATION} 49 F0F0 2501020900", VOLTAGE), "observed_later", "6.6.2.8", True),
    "no such time": (up("32", f"F1F1 {STATION} 49 F0F0 2501020860", VOLTAGE), "sl651_time", "6.6.2.8", True),
    "element before time": (up("32", f"F1F1 {STATION} 49", VOLTAGE), "sl651_no_time", "6.6.2.11", True),
    "no voltage": (up("32", REPORT, "282B0000000125"), "no_voltage", "E.10", False),
    "digits": (timed("282B00000001AF"), "digits", "6.6.3.3", True),
    "filled with AA": (timed("282BAAAAAAAAAA"), "fill", "sheet §11.4", False),
    "decimals": (timed("2836000000000125"), "definition", "C.1", False),
    "reserved element": (timed("762A0000000172"), "reserved_element", "C.1", False),
    "element without data": (timed("2803"), "no_data", "26", True),
    "status bits": (timed("452000008000"), "status_bits", "58", False),
    "status word of two bytes": (timed("45100080"), "status_size", "58", True),
    "two steps": (up("31", REPORT, "0418 010005", "282B0000000125"), "step", "C", True),
    "no step": (up("31", REPORT, "0418 000000", "282B0000000125"), "step", "C", True),
    "cut element": (up("32", REPORT, "282B0000"), "sl651_cut", "6.6.1", True),
    "cut series": (up("31", REPORT, "0418 000005", "282B0000000125", "0000"), "sl651_series", "6.6.4.4", True),
    "long body": (timed(*["282B0000000125"] * 40), "long_body", "sheet §3.3", False),
    "down": (down("37"), "direction", "6.5.2", True),
    "keep-alive": (up("2F", "00"), "keepalive_body", "6.6.4.1", True),
    "unasked": (up("37", REPORT, VOLTAGE), "unasked", "sheet §9", True),
    "no station": (up("46", "452000000080"), "no_station", "6.6.3.2", True),
    "crc": (timed()[:-1] + b"\0", "sl651_crc", "6.5.2", True),
    "end": (timed(end="06"), "sl651_end", "6.2.2", True),
    "noise": (b"hello", "noise", "6.2.2", True),
}  # fmt: skip


@pytest.mark.parametrize(("data", "code", "clause", "is_failed"), SL651_WRONG.values(), ids=SL651_WRONG)
def test_each_field_of_sl651_is_held_against_its_clause(data: bytes, code: str, clause: str, is_failed: bool):
    assert (code, clause, is_failed) in found(turn_of(data))


NOT_ANSWERED = ("no such time", "element before time", "cut element", "cut series", "down", "crc", "end", "noise")


@pytest.mark.parametrize("name", NOT_ANSWERED)
def test_what_breaks_a_rule_of_its_body_or_frame_is_not_acknowledged(name: str):
    assert turn_of(SL651_WRONG[name][0]).parcels == []


def test_a_wrong_password_and_another_centre_are_not_answered():
    for options, code in (
        (Sl651Options(password="4321"), "wrong_password"),
        (Sl651Options(centre=2), "foreign_centre"),
    ):
        turn = turn_of(timed(), Sl651Centre(options, Memory()))
        assert {each[0] for each in found(turn)} == {code}
        assert turn.parcels == []
        assert not any(isinstance(event, Report) for event in turn.events)


def test_a_keepalive_is_seen_and_not_answered():
    turn = turn_of(up("2F"))
    assert (found(turn), turn.parcels) == (set(), [])


def test_the_serial_number_of_the_report_before_is_not_for_another_one():
    centre = Sl651Centre(Sl651Options(), Memory())
    assert found(turn_of(timed("282B0000000125"), centre)) == set()
    assert found(turn_of(timed("282B0000000125", header="0007 250102080006"), centre)) == set()  # a repeat
    assert found(turn_of(timed("282B0000000126"), centre)) == {("serial_reused", "6.6.2.4", True)}


def test_a_fourth_send_of_a_report_is_one_too_many():
    centre = Sl651Centre(Sl651Options(), Memory())
    turns = [turn_of(timed(), centre) for _ in range(4)]
    assert [len(found(turn)) for turn in turns] == [0, 0, 0, 1]
    assert found(turns[3]) == {("too_many_sends", "6.6.5", True)}
    assert len({event.key for turn in turns for event in turn.events if isinstance(event, Report)}) == 1


def test_more_to_come_is_acknowledged_so_that_the_station_goes_on():
    (parcel,) = turn_of(timed(end="17")).parcels
    assert parcel.data[-3] == 0x06


def test_the_ascii_encoding_is_answered_in_it():
    text = f"ST {STATION} I TT 2501020800 Q1 0.125 VT 12.65 "
    turn = turn_of(ascii_up("32", text))
    (report,) = [event for event in turn.events if isinstance(event, Report)]
    assert report.values == {"Q1": "0.125", "VT": "12.65"}
    assert turn.parcels[0].data[:1] == b"\x01"


def test_missing_packets_are_asked_for_and_the_whole_is_kept():
    centre = Sl651Centre(Sl651Options(), Memory())
    body = bytes.fromhex("0007 250102080005" + REPORT + "282B0000000125" + VOLTAGE)
    pieces = [
        up("32", body[at : at + 12].hex(), packet=f"0030{at // 12 + 1:02X}", header="", end="17") for at in (0, 12)
    ]
    last = up("32", body[24:].hex(), packet="003003", header="", end="03")
    assert turn_of(pieces[0], centre).parcels == []
    (nak,) = turn_of(last, centre).parcels
    assert (nak.data[-3], nak.data[14:17].hex()) == (0x15, "003002")
    again = up("32", body[12:24].hex(), packet="003002", header="", end="03")
    turn = turn_of(again, centre)
    (report,) = [event for event in turn.events if isinstance(event, Report)]
    assert report.values == {"Q1": "0.125", "VT": "12.65"}
    assert (turn.parcels[0].data[-3], turn.parcels[0].data[14:17].hex()) == (0x1B, "003003")
    assert turn.parcels[0].data[17:19].hex() == "0007"


def test_packets_that_never_come_are_given_up():
    centre = Sl651Centre(Sl651Options(), Memory())
    turn_of(up("32", REPORT, packet="003001", end="17"), centre)
    turn = centre.tick(Moment(180, SENT))
    assert found(turn) == {("packets_missing", "6.3.1.2", True)}


def test_published_frames_are_heard_and_their_values_break_no_rule_but_those_they_are_known_for():
    for each in json.loads((VECTORS / "sl651.json").read_text(encoding="utf-8")):
        if each["direction"] != "up" or each["name"].startswith("picture"):
            continue
        sent = each["fields"].get("send_time", "2025-01-02 08:00:06")
        turn = turn_of(
            bytes.fromhex(each["hex"].replace(" ", "")), at=datetime.fromisoformat(sent).replace(tzinfo=CHINA)
        )
        assert any(isinstance(event, Heard) for event in turn.events), each["name"]
        failed = {code for code, _, is_failed in found(turn) if is_failed}
        assert failed <= {"unasked", "serial_zero", "no_station"}, (each["name"], failed)


# --- SZY206


def szy_turn(data: bytes, centre: CentreDialogue | None = None, at: datetime = SZY_AT) -> Turn:
    return (centre or Szy206Centre(Szy206Options(), Memory())).receive(data, Moment(0, at))


SZY206_WRONG = {
    "division": (framed(0xB3, 0xC0, FLOW + WORDS + TP, address="53A3810D00"), "division", "sheet §2.4", True),
    "nobody": (framed(0xB3, 0xC0, FLOW + WORDS + TP, address="5303810000"), "station_number", "sheet §2.4", True),
    "relay": (framed(0xB3, 0xC0, FLOW + WORDS + TP, address="53038161EA"), "relay_number", "sheet §2.4", False),
    "layout": (framed(0xB3, 0xC0, FLOW[:-2] + WORDS + TP), "data", "sheet §7.1", True),
    "digits": (framed(0xB3, 0xC0, "00590000FA" + FLOW[10:] + WORDS + TP), "digits", "sheet §6", True),
    "no kind": (framed(0xB0, 0xC0, WORDS + TP), "kind", "sheet §7.1", True),
    "spare alarms": (framed(0xB3, 0xC0, FLOW + "00C06000" + TP), "alarm_bits", "sheet §7.4", False),
    "spare states": (framed(0xB3, 0xC0, FLOW + "00006001" + TP), "state_bits", "sheet §7.4", False),
    "no time tag": (framed(0xB3, 0xC0, FLOW + WORDS), "no_tag", "sheet §3", False),
    "no such day": (framed(0xB3, 0xC0, FLOW + WORDS + "00450830022600"), "tag_day", "sheet §2.6", True),
    "ahead": (framed(0xB3, 0xC0, FLOW + WORDS + "0045230900"), "tag_later", "sheet §2.6", False),
    "too late": (framed(0xB3, 0xC0, FLOW + WORDS + "0005080905"), "too_late", "sheet §2.6", True),
    "FCB": (framed(0xA3, 0xC0, FLOW + WORDS + TP), "fcb", "sheet §2.3", True),
    "link code": (framed(0xB0, 0x02, "F3"), "link_code", "sheet §5", True),
    "direction": (framed(0x33, 0xB0), "direction", "sheet §2.2", True),
    "unasked": (framed(0xB0, 0x52, "01"), "unasked", "sheet §4", True),
    "check byte": (framed(0xB3, 0xC0, FLOW + WORDS + TP)[:-2] + b"\0\x16", "szy206_checksum", "sheet §2", True),
    "noise": (b"nope", "noise", "sheet §2", True),
}  # fmt: skip


@pytest.mark.parametrize(("data", "code", "clause", "is_failed"), SZY206_WRONG.values(), ids=SZY206_WRONG)
def test_each_field_of_szy206_is_held_against_the_sheet(data: bytes, code: str, clause: str, is_failed: bool):
    assert (code, clause, is_failed) in found(szy_turn(data))


def test_a_sound_report_of_szy206_has_nothing_wrong():
    turn = szy_turn(framed(0xB3, 0xC0, FLOW + WORDS + TP))
    assert found(turn) == set()
    (report,) = [event for event in turn.events if isinstance(event, Report)]
    assert report.observed == "2026-11-09T08:45:00"


def test_what_is_later_than_its_time_tag_allows_is_dropped():
    turn = szy_turn(SZY206_WRONG["too late"][0])
    assert turn.parcels == []
    assert not any(isinstance(event, Report) for event in turn.events)


@pytest.mark.parametrize(
    ("now", "observed"),
    [
        ("2026-11-09T08:46", "2026-11-09T08:45:00"),
        ("2026-12-01T00:05", "2026-11-09T08:45:00"),
        ("2026-11-08T09:00", "2026-11-09T08:45:00"),  # a clock that is ahead
        ("2026-03-05T00:05", "2026-02-09T08:45:00"),
    ],
)
def test_a_short_time_tag_gets_the_month_in_which_it_does_not_lie_ahead(now: str, observed: str):
    at = datetime.fromisoformat(now).replace(tzinfo=CHINA)
    turn = szy_turn(framed(0xB3, 0xC0, FLOW + WORDS + TP), at=at)
    assert [event.observed for event in turn.events if isinstance(event, Report)] == [observed]


def test_a_repeat_counts_down_and_is_the_same_report_and_a_month_later_it_is_another():
    centre = Szy206Centre(Szy206Options(), Memory())
    turns = [szy_turn(framed(control, 0xC0, FLOW + WORDS + TP), centre) for control in (0xB3, 0xA3, 0x93)]
    turns.append(szy_turn(framed(0xB3, 0xC0, FLOW + WORDS + TP), centre, SZY_AT + timedelta(days=30)))
    assert [found(turn) for turn in turns] == [set()] * 4
    keys = [event.key for turn in turns for event in turn.events if isinstance(event, Report)]
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_a_report_without_a_time_tag_is_another_one_unless_fcb_says_it_is_a_repeat():
    centre = Szy206Centre(Szy206Options(), Memory())
    turns = [szy_turn(framed(control, 0xC0, FLOW + WORDS), centre) for control in (0xB3, 0xA3, 0xB3)]
    keys = [event.key for turn in turns for event in turn.events if isinstance(event, Report)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(("login", "answer"), [("echo", "F0"), ("F2", "F2"), ("00", "00"), ("silent", None)])
def test_a_login_is_answered_in_every_way_that_was_seen(login: str, answer: str | None):
    turn = szy_turn(framed(0xB0, 0x02, "F0"), Szy206Centre(Szy206Options(login=login), Memory()))
    said = [parcel.data[10:11].hex().upper() for parcel in turn.parcels]
    assert said == ([] if answer is None else [answer])


def test_parts_of_a_split_answer_that_never_come_are_given_up():
    centre = Szy206Centre(Szy206Options(), Memory())
    szy_turn(framed(0xF0, 0xB1, "00", address="025303810D00"), centre)
    assert {each[0] for each in found(centre.tick(Moment(60, SZY_AT)))} == {"parts_missing"}


# --- both


@pytest.mark.parametrize("lang", LANGUAGES)
def test_whatever_is_found_is_said_in_a_sentence(lang: str):
    messages = Messages(lang)
    for cases, hear in ((SL651_WRONG, turn_of), (SZY206_WRONG, szy_turn)):
        for data, *_ in cases.values():
            for event in hear(data).events:
                if isinstance(event, Wrong):
                    said = sentence_of(event.code, event.arguments, messages)
                    assert f"wrong.{event.code}" not in said  # a key without a sentence shows itself
                    assert not {name for _, name, _, _ in string.Formatter().parse(said) if name}


@pytest.mark.parametrize(
    "make", [lambda: Sl651Centre(Sl651Options(), Memory()), lambda: Szy206Centre(Szy206Options(), Memory())]
)
def test_hostile_bytes_neither_stop_a_centre_nor_fill_it(make):
    sound = [bytes.fromhex("7E7E"), timed(), framed(0xB3, 0xC0, FLOW + WORDS + TP), up("2F"), b"\x68\xff\x68", b"\x16"]
    pieces = st.lists(st.one_of(st.sampled_from(sound), st.binary(max_size=60)), max_size=30)

    @settings(max_examples=150, deadline=None)
    @given(pieces=pieces)
    def run(pieces: list[bytes]) -> None:
        centre, at_s = make(), 0.0
        for piece in pieces:
            centre.receive(piece, Moment(at_s, SENT))
            at_s = min(centre.deadline_s, at_s + 1)
            centre.tick(Moment(at_s, SENT))
        centre.tick(Moment(at_s + 1000, SENT))
        assert centre.deadline_s > at_s

    run()
