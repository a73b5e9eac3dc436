"""SL 651-2014: published frames read to the sheet's fields and written again, to the bit.

Expected values come from the published frames, the sheet's worked examples and frames made by hand.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.messages import LANGUAGES, Messages
from agent.uplinks.sl651_wire import body
from agent.uplinks.sl651_wire.codes import (
    FUNCTION_NAMES,
    STATION_CLASSES,
    Control,
    Direction,
    Encoding,
    FrameError,
    StatusBit,
)
from agent.uplinks.sl651_wire.elements import (
    IDENTIFIERS,
    Element,
    array,
    number,
    status,
)
from agent.uplinks.sl651_wire.fields import fields_of
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.packets import confirmation, confirms
from agent.uplinks.sl651_wire.parts import (
    Body,
    Header,
    ObservedAt,
    Period,
    Station,
    Step,
    Wanted,
    series,
)
from agent.uplinks.sl651_wire.receiver import first_frame
from tests.agent.uplinks.sl651_checks import compact, rows_behind
from tests.agent.uplinks.sl651_frames import HEADER, REPORT, STATION, VECTORS, up

WHOLE = [
    vector for vector in VECTORS if vector["fields"]["body_start"] == "STX"
]  # of a picture the fields hold the head
FURTHER = json.loads((Path(__file__).parents[2] / "vectors" / "sl651_further.json").read_text(encoding="utf-8"))
NAMED = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])


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
