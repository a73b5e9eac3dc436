"""SL 651-2014: published frames read to the sheet's fields and written again, to the bit; and each rule by itself.

Expected values come from the published frames, the sheet's worked examples and frames made by hand.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.main import main
from agent.messages import LANGUAGES, Messages
from agent.uplinks.sl651_wire import body, text
from agent.uplinks.sl651_wire.addresses import channel, ipv4_channel, is_for, number_channel, station_address
from agent.uplinks.sl651_wire.codes import (
    FUNCTION_NAMES,
    STATION_CLASSES,
    BodyError,
    Control,
    Dialect,
    Direction,
    Encoding,
    FrameError,
    StatusBit,
)
from agent.uplinks.sl651_wire.crc import RunningCrc
from agent.uplinks.sl651_wire.elements import (
    IDENTIFIERS,
    KINDS,
    RAIN_ARRAY,
    STATUS,
    Element,
    Fill,
    array,
    default_definition,
    number,
    number_of,
    number_text,
    status,
)
from agent.uplinks.sl651_wire.fields import fields_of
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.lines import rows_of
from agent.uplinks.sl651_wire.link import Link
from agent.uplinks.sl651_wire.packets import Assembly, confirmation, confirms, refusal, resent, split
from agent.uplinks.sl651_wire.parameters import basic_parameter, run_parameter, wanted
from agent.uplinks.sl651_wire.parts import (
    Body,
    Events,
    Header,
    ManualText,
    ObservedAt,
    Period,
    Series,
    Station,
    Step,
    Version,
    Wanted,
    digits_of,
    following,
    moment_of,
    series,
)
from agent.uplinks.sl651_wire.receiver import first_frame
from drivers.octets import crc16_register
from tests.agent.uplinks.sl651_frames import HEADER, REPORT, STATION, VECTORS, ascii_down, ascii_up, down, up, witness

WHOLE = [
    vector for vector in VECTORS if vector["fields"]["body_start"] == "STX"
]  # of a picture the fields hold the head
FURTHER = json.loads((Path(__file__).parents[2] / "vectors" / "sl651_further.json").read_text(encoding="utf-8"))
NAMED = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])


def compact(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def has(data: bytes, expected: dict[str, object], *absent: str, **dialect: object) -> None:
    fields = fields_of(data, dialect=Dialect(**dialect))
    assert "error" not in fields, fields["error"]
    assert {key: fields.get(key, "absent") for key in expected} == expected
    assert [key for key in absent if key in fields] == []


def is_wrong(data: bytes, code: str, **arguments: object) -> None:
    error = fields_of(data)["error"]
    assert error["code"] == f"sl651_{code}"
    assert {key: error["arguments"].get(key) for key in arguments} == arguments
    for lang in LANGUAGES:
        assert error["arguments"]["clause"] in Messages(lang).text(f"frame.wrong.{error['code']}", **error["arguments"])


def rows_behind(key: str, fields: dict) -> list[tuple[str, object]]:
    rows = list(rows_of(fields))
    return rows[1 + [name for name, _ in rows].index(key) :]


# --- published frames


@NAMED
def test_published_frames_print_exactly_the_fields_of_the_sheet(vector, capsys):
    assert main(["frame", "sl651", vector["hex"], "--json", "--lang", "en"]) == 0
    output = capsys.readouterr()
    assert (json.loads(output.out), output.err) == (vector["fields"], "")


@NAMED
def test_published_frames_are_written_again_to_the_same_bytes(vector):
    raw = bytes.fromhex(vector["hex"])
    _, frame = first_frame(raw)
    assert frame.encode() == raw
    if frame.encoding is Encoding.BINARY:
        read = body.decode(frame)
        assert replace(frame, payload=b"", packet=None).length == 0
        assert read.encode() == frame.payload


@pytest.mark.parametrize("vector", WHOLE, ids=lambda vector: vector["name"])
def test_published_frames_follow_from_their_fields_alone(vector):
    assert rebuilt(vector["fields"]).encode() == bytes.fromhex(vector["hex"])


def rebuilt(fields: dict) -> Frame:
    """The frame by our own encoder, from nothing but the fields of the sheet."""
    frame = Frame(
        encoding=Encoding(fields["encoding"]),
        direction=Direction(fields["direction"]),
        centre=fields["centre_addr"],
        station=fields["station_addr"],
        password=fields["password"],
        function=int(fields["function"], 16),
        end=Control[fields["end"]],
        payload=b"",
    )
    sent = "".join(char for char in fields["send_time"][2:] if char.isdigit())
    header = Header(fields["serial"], sent)
    if frame.encoding is Encoding.ASCII:
        return replace(frame, payload=header.encode_text() + fields["body_text"].encode())
    return replace(frame, payload=Body(header, tuple(parts_of(fields))).encode())


def parts_of(fields: dict):
    if "body_station_addr" in fields:
        kind = fields.get("station_class")
        yield Station(fields["body_station_addr"], None if kind is None else int(kind, 16))
    if "start_time" in fields:
        yield Period(*(fields[key][2:].replace("-", "").replace(" ", "") for key in ("start_time", "end_time")))
        yield Step(fields["step_dhm"])
    for each in fields.get("identifiers", ()):
        guide, definition = each.split("/")
        yield Wanted(bytes.fromhex(guide), int(definition, 16))
    for each in [*fields.get("params", ()), *filter(None, [fields.get("status")])]:
        yield Element(bytes.fromhex(each["id"]), int(each["def"], 16), bytes.fromhex(each["raw"]))
    for group in fields.get("groups", ()):
        yield ObservedAt("".join(char for char in group["obs_time"][2:] if char.isdigit()))
        if "step_dhm" in group:
            yield Step(group["step_dhm"])
        yield from (element_of(each) for each in group.get("elements", ()))
        if "series" in group:
            found = group["series"]
            values = [None if value is None else Decimal(value) for value in found["values"]]
            definition = int(found["def"], 16)
            yield series(bytes.fromhex(found["id"]), values, digits=2 * (definition >> 3), decimals=definition & 7)


def element_of(fields: dict) -> Element:
    """By its value where it has one, so that the encoder of numbers has its say."""
    identifier = bytes.fromhex(fields["id"])
    if fields.get("value") is not None:
        digits = 2 * (fields["bytes"] - fields["value"].startswith("-"))
        return number(identifier, Decimal(fields["value"]), digits=digits, decimals=fields["decimals"])
    if "values_mm" in fields or "values_m" in fields:
        values = fields.get("values_mm") or fields["values_m"]
        return array(identifier, tuple(None if each is None else Decimal(each) for each in values))
    if "bits_set" in fields:
        return status(frozenset(fields["bits_set"]))
    if fields.get("fill") == "FF":
        return number(identifier, None, digits=2 * fields["bytes"], decimals=fields["decimals"])
    return Element(identifier, int(fields["def"], 16), bytes.fromhex(fields["raw"]))


@pytest.mark.parametrize("vector", FURTHER, ids=lambda vector: vector["name"])
def test_further_published_frames_hold_what_their_bytes_say(vector):
    """Read by hand; some have a 7E behind the frame, as their source has."""
    raw = bytes.fromhex(vector["hex"])
    _, frame = first_frame(raw)
    fields = fields_of(frame.encode())
    groups = fields.get("groups", [])
    shown = fields | {"obs_times": [group["obs_time"] for group in groups]}
    shown |= {"params": {each["id"]: each["value"] for each in fields.get("params", ())}}
    for element in (each for group in groups for each in group["elements"]):
        shown |= {key: element[key] for key in ("values_mm", "values_m") if key in element}
    assert {key: shown.get(key) for key in vector["expect"]} == vector["expect"]
    assert frame.encode() == raw[: len(frame.encode())]
    assert body.decode(frame).encode() == frame.payload


@NAMED
def test_a_flipped_bit_is_never_another_value(vector):
    raw = bytes.fromhex(vector["hex"])
    for at in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[at // 8] ^= 1 << at % 8
        if vector["fields"]["encoding"] == "ASCII" and flipped.upper() == raw.upper() and at // 8 >= len(raw) - 4:
            assert fields_of(bytes(flipped)) == vector["fields"]  # a check sum in small letters
            continue
        with pytest.raises(FrameError):
            first_frame(bytes(flipped))


@NAMED
def test_a_frame_cut_anywhere_is_wrong_and_never_short(vector, capsys):
    raw = bytes.fromhex(vector["hex"])
    for size in range(1, len(raw)):
        assert "error" in fields_of(raw[:size])
    assert main(["frame", "sl651", raw[:-1].hex(), "--lang", "zh"]) == 1
    assert "截断" in capsys.readouterr().out


def test_the_worked_frames_of_the_sheet_hold_what_it_says():
    timed = (
        f"7E7E01 {STATION} 1234 32 0044 02 {HEADER} {REPORT} 28 2B 0000000125 68 2A 0000044950 58 1A 025030"
        "3C 2B FF00000345 FF2B 30 000000123456 45 20 00000000 38 12 1265 03 3D5E"
    )
    fields = fields_of(compact(timed))
    assert rows_behind("obs_time", fields) == [
        ("family.Q#1", "0.125 m3/s"), ("family.SBL#1", "449.50 m3/h"), ("family.WP#1", "250.30 kPa"),
        ("family.Z#1", "-0.345 m"), ("element.FF2B", "123456"),
        ("element.ZT", {"status_word": "00000000", "bits_set": []}), ("element.VT", "12.65 V"),
    ]  # fmt: skip
    station = Station(STATION, 0x49)
    parts = (
        station, ObservedAt("2501020800"), number(IDENTIFIERS["Q1"], Decimal("0.125")),
        number(IDENTIFIERS["SBL1"], Decimal("449.5")), number(IDENTIFIERS["WP1"], Decimal("250.3")),
        number(IDENTIFIERS["Z1"], Decimal("-0.345")), number(b"\xff\x2b", Decimal(123456), digits=12, decimals=0),
        status(set()), number(IDENTIFIERS["VT"], Decimal("12.65")),
    )  # fmt: skip
    report = Frame(
        direction=Direction.UP, centre=1, station=STATION, password="1234", function=0x32, end=Control.ETX,
        payload=Body(Header(7, "250102080005"), parts).encode(),
    )  # fmt: skip
    assert report.encode() == compact(timed)
    said = {Control.ESC: "1B A6BA", Control.EOT: "04 6EFB"}
    for end, tail in said.items():
        answer = confirmation(report, sent="250102080006", end=end)
        assert answer.encode() == compact(f"7E7E {STATION} 01 1234 32 8008 02 0007 250102080006 {tail}")
        assert confirms(answer, report)
    for raw in (
        f"7E7E01 {STATION} 1234 2F 0008 02 0007 250102080045 03 558A",
        f"7E7E {STATION} 01 1234 37 8008 02 0000 250102081000 05 2875",
        f"7E7E01 {STATION} 1234 37 0022 02 0008 250102081001 {REPORT[:-4]}0810 28 2B 0000000127 38 12 1264 03 EF46",
        f"7E7E {STATION} 01 1234 37 8008 02 0008 250102081002 04 2EB4",
        f"7E7E {STATION} 01 1234 4A 8008 02 0000 250102082000 05 5AD9",
        f"7E7E01 {STATION} 1234 4A 000F 02 0009 250102082001 F1F1 {STATION} 03 6048",
        f"7E7E {STATION} 01 1234 4A 8008 02 0009 250102082002 04 90D9",
    ):
        assert "error" not in fields_of(compact(raw)), raw


# --- frame


def test_the_check_sum_is_that_of_the_standard():
    assert crc16_register(b"123456789") == witness(b"123456789") == 0x4B37


@given(data=st.binary(max_size=200), first=st.integers(0, 100), size=st.integers(0, 100), dropped=st.integers(0, 20))
def test_a_running_sum_knows_every_part(data, first, size, dropped):
    running = RunningCrc()
    running.extend(data[:7])
    running.extend(data[7:])
    running.drop(dropped := min(dropped, len(data)))
    data = data[dropped:]
    part = data[first : first + size]
    assert running.of(min(first, len(data)), min(first, len(data)) + len(part)) == witness(part)


def test_each_wrong_frame_says_which_rule_it_breaks():
    sound = up("32", REPORT, "38 12 1265")
    is_wrong(b"\x00" * 20, "no_start", size=20)
    is_wrong(sound[:13], "incomplete", size=13, expected=len(sound))
    is_wrong(sound[:5], "incomplete", size=5, expected=17)
    is_wrong(sound[:11] + b"\x10" + sound[12:], "direction", received="1")
    is_wrong(sound[:13] + b"\x03" + sound[14:], "body_start", received="03", clause="6.2.2")
    is_wrong(sound[:-3] + b"\x05" + sound[-2:], "end", received="05", direction="up", expected="ETX=03 ETB=17")
    is_wrong(sound[:-2] + b"\x00\x00", "crc", expected=sound[-2:].hex().upper(), received="0000", clause="6.5.2")
    is_wrong(sound[:-2] + sound[:-3:-1], "crc_order", expected=sound[-2:].hex().upper())
    is_wrong(up("32", header=""), "length", received=0, low=1)
    is_wrong(down("32", end="03"), "end", received="03", direction="down")
    is_wrong(down("36", end="15"), "end", received="15")
    is_wrong(up("36", packet="001002"), "packet", received=2, total=1)
    is_wrong(up("36", packet="001000"), "packet", received=0, total=1)
    text = ascii_up("32", "ST 5010123456 H TT 2609090800 Z 6.38 ")
    is_wrong(text[:5] + b"x" + text[6:], "not_hex", received="78", offset=5)
    is_wrong(text[:-1], "incomplete", expected=len(text))
    is_wrong(text[:-4] + b"0000", "crc", expected=text[-4:].decode(), clause="6.4.2")
    is_wrong(ascii_up("32", "", packet="00100G"), "packet", total="?")


def test_bytes_that_are_no_hex_are_wrong_input(capsys):
    assert main(["frame", "sl651", "7E7G", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_a_wrong_frame_is_an_error_for_machines_and_a_sentence_for_people(capsys):
    assert main(["frame", "sl651", "7E7E0100", "--json", "--lang", "en"]) == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["error"]["code"] == "sl651_incomplete"
    assert "Cut off" in output.err


def test_bytes_around_a_sound_frame_are_counted_and_not_passed_over(capsys):
    sound = up("32", REPORT, "38 12 1265")
    for before in (b"", b"\x00", b"\x7e", b"\x7e\x7e", b"\x01", sound[:-1], sound[:-2] + b"\0\0"):
        around = before + sound + b"\x7e"
        assert first_frame(around)[1].encode() == sound
        is_wrong(around, "around", before=len(before), after=1, size=len(sound), clause="6.5.2")
    is_wrong(sound + sound, "around", before=0, after=len(sound))
    text = ascii_up("32", "ST 5010123456 H TT 2609090800 Z 6.38 ")
    is_wrong(text + b"\r\n", "around", before=0, after=2, size=len(text), clause="6.4.2")
    assert main(["frame", "sl651", "00" + sound.hex(), "--json", "--lang", "en"]) == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["error"]["arguments"]["before"] == 1
    assert "1 bytes before" in output.err


def test_every_end_character_has_its_place():
    for end, name in (("03", "ETX"), ("17", "ETB")):
        has(up("2F", end=end), {"end": name, "direction": "up", "serial": 7})
    for end, name in (("05", "ENQ"), ("06", "ACK"), ("04", "EOT"), ("1B", "ESC")):
        has(down("32", end=end), {"end": name, "direction": "down", "send_time": "2025-01-02 08:00:05"})
    for end, name in (("15", "NAK"), ("04", "EOT"), ("1B", "ESC")):
        has(down("36", end=end, packet="00D003"), {"end": name, "packet_total": 13, "packet_seq": 3, "serial": 7})


def test_a_minimal_acknowledgement_has_no_serial_number():
    has(down("32", end="1B", header=""), {"body_length": 0, "end": "ESC"}, "serial", "send_time")


def test_the_longest_body_and_no_longer_one():
    longest = up("35", "F2F2", "41" * (4095 - 10))
    has(longest, {"body_length": 4095, "manual_text": "A" * 4085})
    _, frame = first_frame(longest)
    with pytest.raises(ValueError, match="4096"):
        replace(frame, payload=frame.payload + b"A").encode()


# --- bodies


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("39 23 00001420", {"value": "1.420"}), ("39 23 FFFFFFFF", {"value": None, "missing": True, "fill": "FF"}),
        ("39 23 AAAAAAAA", {"value": None, "missing": True, "fill": "AA"}), ("39 23 0000A420", {"value": None}),
        ("3C 2B FF00000345", {"value": "-0.345", "code": "Z1"}), ("39 1A 012345", {"value": "123.45"}),
        ("28 36 000000419520", {"value": "0.419520", "code": "Q1"}), ("19 08 07", {"value": "7", "code": "NS"}),
        ("39 23 FF0000AA", {"value": None}), ("38 12 FFFF", {"value": None, "fill": "FF"}),
        ("38 08 FF", {"fill": "FF"}),
        ("FF22 1B 000110", {"id": "FF22", "value": "0.110"}), ("39 2B FF00000000", {"value": "0.000"}),
        ("45 20 80000001", {"status_word": "80000001", "bits_set": [0, 31], "code": "ZT"}),
        ("46 12 0712", {"code": "pH", "value": "7.12"}), ("6A 2A 0000000001", {"code": "SBL3", "value": "0.01"}),
        ("F8 5C" + "0001" * 12, {"code": "DRZ4", "def": "5C", "bytes": 24, "decimals": 0, "values_m": ["0.01"] * 12}),
        ("7A 0F 12", {"value": "0.0000012", "bytes": 1, "decimals": 7}),
        ("39 F8" + "11" * 31, {"value": "11" * 31}),
    ],
)  # fmt: skip
def test_an_element_is_read_by_its_own_data_definition(word, values):
    fields = fields_of(up("32", REPORT, word, "38 12 1265"))
    (group,) = fields["groups"]
    first, last = group["elements"]
    assert {key: first.get(key) for key in values} == values
    assert ("missing" in first) == (values.get("fill") is not None)
    assert ("code" in first) == (bytes.fromhex(first["id"]) in KINDS)
    assert last["value"] == "12.65"


def test_a_time_counts_until_the_next_and_a_station_until_the_next():
    data = up(
        "32", REPORT, "28 2B 0000000125 F0F0 2501020700 28 2B 0000000124", f"F1F1 {STATION[:-1]}2 4F F0F0 2501020800"
    )
    fields = fields_of(data)
    assert [group["obs_time"][-5:] for group in fields["groups"]] == ["08:00", "07:00", "08:00"]
    assert fields["station_class_char"] == "I"
    assert fields["groups"][2]["body_station_addr"] == "3301060002"
    assert body.decode(first_frame(data)[1]).encode() == first_frame(data)[1].payload


def test_samples_end_at_the_next_time_and_keep_their_gaps():
    two = "04 18 000100 28 36 000000419520 FFFFFFFFFFFF F0F0 2501020900 04 18 000100 28 36 000000000001"
    groups = fields_of(up("31", REPORT, two))["groups"]
    assert [group["series"]["values"] for group in groups] == [["0.419520", None], ["0.000001"]]
    assert groups[0] == {
        "obs_time": "2025-01-02 08:00", "step_dhm": "000100",
        "series": {"id": "28", "code": "Q1", "def": "36", "values": ["0.419520", None]},
    }  # fmt: skip


def test_one_hour_arrays_follow_each_other_in_a_period_answer_and_stand_alone_elsewhere():
    hours = "04 18 000005 F4 60" + "01" * 12 + "02" * 12
    (group,) = fields_of(up("38", REPORT, hours))["groups"]
    assert group["elements"][0]["values_mm"] == ["0.1"] * 12 + ["0.2"] * 12
    mixed = "04 18 000005 F4 60" + "01" * 12 + "26 19 000040 39 23 00001420 38 12 1265"
    (group,) = fields_of(up("31", REPORT, mixed))["groups"]
    assert [each["id"] for each in group["elements"]] == ["F4", "26", "39", "38"]
    zero = "04 18 000000 F5 C0" + "0102" * 12 + "38 12 1265"
    (group,) = fields_of(up("34", REPORT, zero))["groups"]
    assert [each["id"] for each in group["elements"]] == ["F5", "38"]
    assert group["step_dhm"] == "000000"


@pytest.mark.parametrize(
    ("function", "words", "code", "arguments"),
    [
        ("32", [REPORT, "39 23 000014"], "cut", {"part": "39", "expected": 4, "size": 3, "offset": 23}),
        ("32", [f"F1F1 {STATION} 49 28 2B 0000000125"], "no_time", {"received": "282B", "offset": 16}),
        ("32", [f"F1F1 {STATION} 49 F0F0 2513020800"], "time", {"part": "F0F0", "received": "2513020800"}),
        ("32", [REPORT, "F0 2B 00"], "mark", {"received": "F02B"}),
        ("31", [REPORT, "04 18 000005 39 23 00000001 000002"], "series", {"expected": 4, "size": 3}),
        ("31", [REPORT, "04 18 000005 39 03 00"], "no_size", {"received": "03"}),
        ("45", [f"F1F1 {STATION} 05 41424344"], "version", {"expected": 5, "size": 4}),
        ("35", ["5120312E32"], "no_text", {"received": "5120", "offset": 8, "clause": "6.6.3.2"}),
        ("39", [REPORT, "F2F2", "41"], "no_text", {"received": "49F0", "offset": 15}),
        ("50", [f"F1F1 {STATION}", "0001" * 31], "cut", {"part": "event_counts", "expected": 64, "size": 62}),
        ("46", [f"F1F1 {STATION} 45 20 0000"], "cut", {"part": "45"}),
    ],
)
def test_a_body_that_breaks_a_rule_says_where(function, words, code, arguments):
    is_wrong(up(function, *words), code, **arguments)


def test_a_header_that_is_none_is_wrong():
    is_wrong(up("2F", header="0007 2501"), "header", size=4, expected=8)
    is_wrong(up("2F", header="0007 251302080005"), "time", part="send_time", received="251302080005")


def test_parameters_of_the_basic_set_have_their_own_forms():
    words = (
        "01 20 01020000", "02 28 3301060001", "03 10 A000", "04 50 02 218094153172 009708", "05 38 01 A13900001111",
        "06 08 00", "0C 08 02", "0D 40 0000000F01000000", "0F 60 313133393030303031313131", "0E 04 00010002",
    )  # fmt: skip
    fields = fields_of(up("41", f"F1F1 {STATION}", *words))
    values = {each["id"]: (each.get("channel_type"), each["value"]) for each in fields["params"]}
    assert values == {
        "01": (None, [1, 2, 0, 0]), "02": (None, "3301060001"), "03": (None, "A000"),
        "04": (2, "218.94.153.172:9708"), "05": (1, "A13900001111"), "06": (0, ""), "0C": (None, "2"),
        "0D": (None, "0000000F01000000"), "0F": (None, "113900001111"), "0E": (None, "00010002"),
    }  # fmt: skip
    assert fields["params"][0] == {
        "id": "01", "def": "20", "bytes": 4, "decimals": 0, "raw": "01020000", "value": [1, 2, 0, 0],
    }  # fmt: skip
    assert body.decode(first_frame(up("41", f"F1F1 {STATION}", *words))[1]).encode() == compact(
        HEADER + f"F1F1 {STATION}" + "".join(words)
    )


def test_a_run_parameter_is_a_number_whatever_an_element_of_its_number_is():
    words = (
        f"F1F1 {STATION}",
        "28 2B FF00000345",
        "45 12 0500",
        "F4 08 07",
        "04 08 09",
        "99 33 000000123456",
        "8D 08 FF",
    )
    params = fields_of(up("43", *words))["params"]
    assert [each["value"] for each in params] == ["-0.345", "5.00", "7", "9", "123.456", None]
    assert all("code" not in each and "missing" not in each for each in params)


def test_other_answers_have_what_the_sheet_says():
    station = f"F1F1 {STATION}"
    has(
        up("45", station, "05 5631 2E3032"),
        {"version": "V1.02", "body_station_addr": STATION},
        "station_class",
        "groups",
    )
    has(up("50", station, "0001" + "0000" * 30 + "FFFF"), {"event_counts": [1, *[0] * 30, 65535]})
    has(up("46", station, "45 20 000000A0"), {"status": {
        "id": "45", "code": "ZT", "def": "20", "bytes": 4, "decimals": 0, "raw": "000000A0", "status_word": "000000A0",
        "bits_set": [5, 7]}})  # fmt: skip
    for function in ("47", "48", "4A", "51"):
        has(up(function, station), {"body_station_addr": STATION}, "groups", "params", "data", "station_class")
    has(up("35", "F2F2", b" PJ 12.5 ".hex()), {"manual_text": " PJ 12.5 "}, "body_station_addr", "groups")
    has(up("39", "F2F2", "水位".encode("gbk").hex()), {"manual_text": "水位"})
    has(up("4C", station, "01 80"), {"data": "0180"})
    has(up("E1", station, "12345678"), {"function_name": "user-defined", "data": f"F1F1{STATION}12345678"})
    has(up("E5", REPORT, "38 12 1265"), {"station_class_char": "I", "station_class": "49"}, "data")


def test_requests_name_what_is_wanted():
    has(down("3A", "28 36 FF2B 30 F4 60"), {"identifiers": ["28/36", "FF2B/30", "F4/60"]})
    has(down("43", "20 08 21 08"), {"identifiers": ["20/08", "21/08"]})
    has(
        down("38", "25010108 25010208 04 18 000100 28 36"),
        {
            "start_time": "2025-01-01 08",
            "end_time": "2025-01-02 08",
            "step_dhm": "000100",
            "identifiers": ["28/36"],
        },
    )
    is_wrong(down("38", "25010108 25010225 04 18 000100 28 36"), "time", part="end_time")
    has(down("47", "97 00"), {"identifiers": ["97/00"]})
    (old, new) = fields_of(down("49", "03 10 1234 03 10 A000"))["params"]
    assert (old["value"], new["value"]) == ("1234", "A000")
    assert [each["value"] for each in fields_of(down("42", "20 08 01 21 08 05"))["params"]] == ["1", "5"]
    assert fields_of(down("4B", "45 20 00000200"))["status"]["bits_set"] == [9]
    for function in ("37", "39", "44", "45", "46", "4A", "50", "51", "36"):
        assert set(fields_of(down(function))) == set(fields_of(up("2F")))


# --- packets


def test_a_body_in_packets_is_put_together_whatever_the_order():
    samples = "".join(f"{number:08}" for number in range(100))
    _, whole = first_frame(up("38", REPORT, "04 18 000005 39 23", samples))
    packets = split(whole, 90)
    assert [packet.end for packet in packets] == [Control.ETB] * (len(packets) - 1) + [Control.ETX]
    first = fields_of(packets[0].encode())
    assert (first["packet_total"], first["packet_seq"], first["serial"]) == (len(packets), 1, 7)
    assert first["groups"][0]["series"]["values"] == [f"{number / 1000:.3f}" for number in range(15)]
    second = fields_of(packets[1].encode())
    assert (second["payload_bytes"], len(second["payload_head"])) == (90, 16)
    assert {"serial", "send_time", "groups"}.isdisjoint(second)
    assembly = Assembly()
    assert [assembly.add(packet) for packet in packets[:0:-1]] == [None] * (len(packets) - 1)
    assert assembly.missing == [1]
    assert assembly.add(packets[0]) == whole
    assert assembly.missing == []
    assert len(body.decode(whole).parts[-1].samples) == 100


def test_a_long_body_in_packets_is_refused_before_it_fills_memory():
    packets = split(first_frame(up("36", REPORT, "F3F3", "00" * 3000))[1], 100)
    assembly = Assembly(most_bytes=1000)
    for packet in packets[:10]:
        assert assembly.add(packet) is None
    with pytest.raises(BodyError):
        assembly.add(packets[10])
    assert assembly.missing == []


def test_a_centre_asks_for_one_packet_again_and_confirms_the_last():
    packets = split(first_frame(up("36", REPORT, "F3F3", "00" * 600))[1])
    again = refusal(packets[2], 2, sent="250102080006", serial=7)
    assert again.encode() == down("36", end="15", packet="003002", header="0007 250102080006")
    assert resent(packets[1]).end is Control.ETX
    done = confirmation(packets[2], sent="250102080006", serial=7)
    assert done.encode() == down("36", end="1B", packet="003003", header="0007 250102080006")
    assert refusal(packets[0], 1, sent="250102080006", serial=0).payload[:2] == b"\0\0"


def test_only_the_right_answer_confirms():
    _, report = first_frame(up("32", REPORT, "38 12 1265"))

    def answers(raw: bytes) -> bool:
        return confirms(first_frame(raw)[1], report)

    for end in ("06", "04", "1B"):
        assert answers(down("32", end=end))
    assert answers(down("32", end="1B", header=""))
    assert not answers(down("32", end="05"))
    assert not answers(down("33", end="1B"))
    assert not answers(down("32", end="1B", header="0006 250102080005"))
    assert not answers(up("32"))


# --- numbers


@pytest.mark.parametrize(
    ("value", "decimals", "sent"),
    [
        ("0.125999", 3, "0000000125"), ("-0.345999", 3, "FF0000000345"), ("0.0009", 3, "0000000000"),
        ("-0.0009", 3, "0000000000"), ("99999999.999", 3, "099999999999"), ("1E+3", 0, "0000001000"),
        ("1E-999999", 3, "0000000000"), ("0E+999999", 3, "0000000000"), ("123456789012345678901234567890.5", 1, None),
    ],
)  # fmt: skip
def test_a_number_is_cut_never_rounded_and_takes_the_bytes_it_needs(value, decimals, sent):
    element = number(b"\x27", Decimal(value), digits=9, decimals=decimals)
    if sent is not None:
        assert element.data.hex().upper() == sent
    assert element.definition == len(element.data) << 3 | decimals
    assert abs(element.value) <= abs(Decimal(value))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E+62", "1E+999999"])
def test_a_number_that_cannot_be_sent_is_refused(value):
    with pytest.raises(ValueError, match=r"fit|most"):
        number(b"\x27", Decimal(value))


@given(value=st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**20), max_value=10**20))
def test_every_number_comes_back_exactly(value):
    element = number(b"\x39", value)
    assert element.value == value
    assert number_text(element.value) == f"{value or abs(value):f}"


def test_a_sign_that_one_platform_does_not_count():
    lone = Dialect(sign_counted=False)
    element = number(IDENTIFIERS["Z1"], Decimal("-0.345"), dialect=lone)
    assert (element.definition, element.data.hex().upper()) == (0x23, "FF00000345")
    data = up("32", REPORT, element.encode().hex(), "38 12 1265")
    values = [each["value"] for each in fields_of(data, dialect=lone)["groups"][0]["elements"]]
    assert values == ["-0.345", "12.65"]


def test_missing_values_are_told_from_negative_ones():
    assert number_of(b"\xff\xff", 0) is Fill.FF
    assert number_of(b"\xaa", 0) is Fill.AA
    assert number_of(b"\xff\x01", 0) == -1
    assert number_of(b"\xff\xf1", 0) is None
    assert number_of(b"", 0) is None
    assert number(IDENTIFIERS["Z"], None).encode() == compact("39 23 FFFFFFFF")


def test_samples_of_one_series_are_of_one_length():
    found = series(IDENTIFIERS["Z1"], [Decimal("-0.345"), Decimal("12.3456"), None])
    assert found.encode() == compact("3C 2B FF00000345 0000012345 FFFFFFFFFF")
    assert series(IDENTIFIERS["Z1"], []).encode() == compact("3C 23")


def test_default_definitions_are_those_of_the_table():
    for name, defined in {
        "NS": 0x08, "AI": 0x11, "VTA": 0x11, "VT": 0x12, "FL": 0x18, "PT": 0x19, "WP8": 0x1A, "VA": 0x1B, "ZT": 0x20,
        "AC": 0x22, "Z8": 0x23, "SBL8": 0x2A, "Q8": 0x2B, "SYL8": 0x33, "DRP": 0x60, "DRZ8": 0xC0, "H": 0x1A,
    }.items():  # fmt: skip
        assert default_definition(IDENTIFIERS[name]) == defined, name
    assert (IDENTIFIERS["Q1"], IDENTIFIERS["SBL8"], IDENTIFIERS["WP1"]) == (b"\x28", b"\x6f", b"\x58")


def test_arrays_hold_what_fits_and_nothing_else():
    assert array(RAIN_ARRAY, (Decimal("25.49"), None, *[Decimal(0)] * 10)).data.hex() == "feff" + "00" * 10
    for values in ((Decimal("25.5"),) * 12, (Decimal(-1),) * 12, (Decimal(1),) * 11):
        with pytest.raises(ValueError, match=r"steps|hour"):
            array(RAIN_ARRAY, values)


# --- parameters, links


def test_parameters_are_made_by_their_forms():
    for words, made in {
        "20 08 01": run_parameter(b"\x20", Decimal(1)), "23 10 0300": run_parameter(b"\x23", Decimal(300)),
        "25 09 10": run_parameter(b"\x25", Decimal("1.09")), "28 23 00010000": run_parameter(b"\x28", Decimal(10)),
        "28 2B FF00000345": run_parameter(b"\x28", Decimal("-0.345")),
        "30 1B 000200": run_parameter(b"\x30", Decimal("0.2")), "42 1B 000500": run_parameter(b"\x42", Decimal("0.5")),
        "A0 33 000000123456": run_parameter(b"\xa0", Decimal("123.456")),
        "01 20 01000000": basic_parameter(b"\x01", bytes((1, 0, 0, 0))),
        "03 10 1234": basic_parameter(b"\x03", b"\x12\x34"), "0E 04 00010002": basic_parameter(b"\x0e", b"\0\1\0\2"),
        "04 50 02218094153172009708": basic_parameter(b"\x04", ipv4_channel(IPv4Address("218.94.153.172"), 9708)),
        "01 20": wanted(b"\x01", is_basic=True), "04 00": wanted(b"\x04", is_basic=True),
        "0F 00": wanted(b"\x0f", is_basic=True), "28 23": wanted(b"\x28", is_basic=False),
        "97 00": wanted(b"\x97", is_basic=False),
    }.items():  # fmt: skip
        assert made.encode() == compact(words), words
    with pytest.raises(ValueError, match="4 wanted"):
        basic_parameter(b"\x01", b"\0")


def test_a_link_makes_the_frames_of_both_sides():
    link = Link(centre=1, station=STATION, password="1234")
    sent = "250102080005"
    assert link.report(0x2F, serial=7, sent=sent).encode() == up("2F")
    assert link.command(0x37, sent=sent).encode() == down("37", header="0000 250102080005")
    wants = [Wanted(b"\x28", 0x36)]
    assert link.command(0x3A, sent=sent, parts=wants, serial=7).encode() == down("3A", "28 36")
    words = replace(link, encoding=Encoding.ASCII)
    assert words.command(0x3A, sent=sent, parts=wants, serial=7).encode() == ascii_down("3A", "Q1 ")
    assert words.command(0x43, sent=sent, parts=[Wanted(b"\x20", 8)], serial=7).encode() == ascii_down("43", "20 ")
    assert words.report(0x32, serial=7, sent=sent, end=Control.ETB).encode() == ascii_up("32", "", end=0x17)
    answer = confirmation(words.report(0x32, serial=7, sent=sent), sent=sent)
    assert answer.encode() == ascii_down("32", "", end=0x1B)
    assert confirms(answer, words.report(0x32, serial=7, sent=sent))
    assert not confirms(answer, words.report(0x32, serial=8, sent=sent))


def test_serial_numbers_go_round_without_zero():
    assert (following(1), following(65534), following(65535)) == (2, 65535, 1)
    with pytest.raises(ValueError, match="65536"):
        Header(65536, "250102080005").encode()


# --- times, addresses


def test_times_are_sent_in_the_stations_zone():
    at = datetime(2025, 1, 1, 16, 0, 5, tzinfo=UTC)
    assert digits_of(at, "%y%m%d%H%M%S") == "250102000005"
    assert moment_of("250102000005") == at
    for wrong in ("250230000000", "25010200", "AAAAAAAAAAAA", "2501", "٢٥٠١٠٢٠٠٠٠٠٥"):
        assert (moment_of(wrong) is None) == (wrong != "25010200")


@pytest.mark.parametrize(
    ("interval", "digits"),
    [(timedelta(minutes=5), "000005"), (timedelta(hours=1), "000100"), (timedelta(days=31), "310000")],
)
def test_a_step_is_whole_minutes_hours_or_days(interval, digits):
    assert Step.of(interval) == Step(digits)
    assert Step(digits).interval == interval
    for wrong in (timedelta(minutes=90), timedelta(seconds=30), timedelta(0), timedelta(days=32)):
        with pytest.raises(ValueError, match="whole"):
            Step.of(wrong)


def test_addresses_are_made_and_matched():
    assert station_address("330106", 12345) == "3301063039"
    assert is_for("3301063039", "3301063039")
    assert is_for("330106FFFF", "3301063039")
    assert not is_for("3301063038", "3301063039")
    for wrong in (("33010", 1), ("330106", 0), ("330106", 60001)):
        with pytest.raises(ValueError, match="digits"):
            station_address(*wrong)


def test_channels_are_made_and_read():
    data = ipv4_channel(IPv4Address("218.94.153.172"), 9708)
    assert data == compact("02 218094153172 009708")
    assert channel(data) == (2, "218.94.153.172:9708")
    assert number_channel(1, "13900001111") == compact("01 A13900001111")
    assert channel(b"") is None


# --- ASCII


def test_words_are_written_as_the_standard_says():
    parts = (
        Station(STATION, 0x49), ObservedAt("2501020800"), number(IDENTIFIERS["Q1"], Decimal("0.125")),
        number(b"\xff\x2b", Decimal(123456), digits=12, decimals=0), number(IDENTIFIERS["Z1"], Decimal("-0.345")),
        number(IDENTIFIERS["VT"], None), status({5}),
    )  # fmt: skip
    words = b"ST 3301060001 I TT 2501020800 Q1 0.125 FF2B 123456 Z1 -0.345 VT M ZT 00000020 "
    assert text.compose(parts) == words
    found = fields_of(ascii_up("32", words.decode()))
    assert rows_behind("obs_time", found) == [
        ("family.Q#1", "0.125 m3/s"), ("element.FF2B", "123456"), ("family.Z#1", "-0.345 m"),
        ("element.VT", "M"), ("element.ZT", "00000020"),
    ]  # fmt: skip
    assert (found["body_station_addr"], found["station_class_char"]) == (STATION, "I")
    assert "station_class" not in found
    read = Body(Header(7, "250102080005"), parts)
    assert text.payload_of(read, Encoding.ASCII, 0x32) == HEADER.replace(" ", "").encode() + words
    assert text.payload_of(read, Encoding.BINARY, 0x32) == read.encode()


def test_words_without_a_sound_time_are_refused():
    for time, said in (("2513020800", "2513020800"), ("25010208", "25010208"), ("M", "M")):
        for before in ("", "TT 2501020800 Z 1 "):
            words = f"ST {STATION} I {before}TT {time} Z 2 "
            offset = 16 + words.index(f"TT {time}")
            is_wrong(ascii_up("32", words), "time", part="obs_time", received=said, offset=offset, clause="6.6.2.8")


def test_samples_of_several_elements_come_time_by_time():
    columns = (
        series(IDENTIFIERS["Q1"], [Decimal("0.1"), None]),
        series(IDENTIFIERS["Z1"], [Decimal(-1), Decimal(2)]),
    )
    words = text.compose((Station(STATION, 0x49), ObservedAt("2501020800"), Step("000005"), *columns))
    assert words == b"ST 3301060001 I TT 2501020800 DRN05 Q1 Z1 0.100 -1.000 M 2.000 "
    (group,) = fields_of(ascii_up("31", words.decode()))["groups"]
    assert group["step_dhm"] == "000005"
    assert group["series"] == [{"code": "Q1", "values": ["0.100", "M"]}, {"code": "Z1", "values": ["-1.000", "2.000"]}]


def test_requests_in_words_are_read():
    _, frame = first_frame(ascii_down("38", "25010108 25010208 DRH01 Q1 "))
    assert text.requested(frame) == [Period("25010108", "25010208"), Step("000100"), Wanted(b"\x28", 0)]
    assert fields_of(frame.encode())["body_text"] == "25010108 25010208 DRH01 Q1 "
    _, frame = first_frame(ascii_down("43", "20 0C "))
    assert text.requested(frame) == [Wanted(b"\x20", 0), Wanted(b"\x0c", 0)]
    _, frame = first_frame(ascii_down("42", "20 1 "))
    assert text.requested(frame) == [text.Word("20", "1")]
    assert text.compose((Wanted(b"\x20", 8),), is_parameters=True) == b"20 "
    assert "body_text" not in fields_of(ascii_down("37", ""))
    _, frame = first_frame(ascii_down("3A", "nothing "))
    with pytest.raises(BodyError):
        text.requested(frame)


def test_manual_text_and_several_packets_in_words():
    has(ascii_up("35", "RGZS 水位 1.2 "), {"manual_text": "水位 1.2 ", "body_text": "RGZS 水位 1.2 "}, "groups")
    has(ascii_up("36", "", packet="00D001"), {"packet_total": 13, "packet_seq": 1})
    has(ascii_up("36", "", packet="013001"), {"packet_total": 13, "packet_seq": 1}, packet_base=10)
    _, frame = first_frame(ascii_up("36", "", packet="013012"), dialect=Dialect(packet_base=10))
    assert frame.encode(Dialect(packet_base=10)) == ascii_up("36", "", packet="013012")
    is_wrong(ascii_up("32", "", header="00X7"), "header", size=4)
    is_wrong(ascii_up("32", "", header="00X7250102080005"), "header_digits", received="00X7250102080005")
    assert not confirms(first_frame(ascii_down("32", "", end=4))[1], first_frame(ascii_up("32", "", header="00X7"))[1])


def test_other_parts_have_words_too():
    assert text.compose((Version(b"V1"), Events((1,) * 32), ManualText(b"x"))) == b"02 V1 " + b"0001 " * 32 + b"RGZS x "
    with pytest.raises(ValueError, match="32"):
        Events((1,)).encode()
    assert Series(STATUS, 0x20, ()).encode() == b"\x45\x20"
    assert text.number_word(text.Word("Z", "M")) is None
    assert text.number_word(text.Word("Z", "6.38")) == Decimal("6.38")
    with pytest.raises(BodyError):
        text.number_word(text.Word("Z", "six"))


def test_every_key_has_a_title_in_both_languages():
    keys = {key for vector in VECTORS for key in vector["fields"]} | {"data", "version", "event_counts", "manual_text"}
    named = {f"said.function.{function:02X}" for function in FUNCTION_NAMES}
    named |= {f"said.station_class_char.{chr(kind)}" for kind in STATION_CLASSES}
    named |= {f"said.bits_set.{bit.value}" for bit in StatusBit}
    for lang in LANGUAGES:
        messages = Messages(lang)
        assert [key for key in keys | named if not messages.has(f"frame.sl651.{key}")] == []


def test_a_frame_on_a_phone_names_what_it_carries(capsys):
    data = up("32", REPORT, "2A 36 000000123456", "39 23 FFFFFFFF", "3C 23 0000A345", "45 20 00000420", "FF2B 10 1234")
    assert main(["frame", "sl651", data.hex(), "--lang", "zh"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for said in (
        "功能码 32 遥测站定时报", "上下行 up 上行", "结束符 ETX 后续无报文", "分类码字符 I 取水口",
        "Q3 取（排）水口流量 3 0.123456 m3/s", "Z 河道水位 – (FF)", "Z1 取（排）水口水位 1 – (0000A345)",
        "ZT 状态和报警 状态字: 00000420, 置位: 5 流量仪表故障, 10 水泵停止", "FF2B 1234",
    ):  # fmt: skip
        assert said.split() in lines


def test_parameters_on_a_phone_are_named_by_the_table_of_their_function(capsys):
    data = up("41", f"F1F1 {STATION}", "0C 08 02", "04 50 02 218094153172 009708")
    assert main(["frame", "sl651", data.hex(), "--lang", "zh"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "0C 工作方式 2 自报确认 04 中心站 1 主信道 218.94.153.172:9708" in said
    data = up("43", f"F1F1 {STATION}", "20 08 01", "4C 12 1234", "9A 33 000000001000", "FF10 08 07", "0C 08 02")
    assert rows_behind("body_station_addr", fields_of(data)) == [
        ("run.20", "1"), ("run.level_limits#2", "12.34"), ("run.base#2", "1.000"), ("run.FF10", "7"), ("run.0C", "2"),
    ]  # fmt: skip
