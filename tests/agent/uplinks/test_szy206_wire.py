"""SZY206-2016 and SL/T 427-2021: the vectors both ways, and every rule of the sheet by frames put together by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from agent.cli.main import main
from agent.messages import LANGUAGES, Messages
from agent.uplinks.szy206_wire.content import decode
from agent.uplinks.szy206_wire.crc import crc8
from agent.uplinks.szy206_wire.fields import fields_of, fields_of_frame, frame_of
from agent.uplinks.szy206_wire.frame import parse
from agent.uplinks.szy206_wire.names import (
    Afn,
    AlarmOrder,
    ContentError,
    Dialect,
    Edition,
    FlowBlock,
    FrameError,
    Kind,
    kind_of,
)
from agent.uplinks.szy206_wire.words import Alarm, Mode, State
from tests.agent.uplinks.szy206_frames import (
    CALM,
    FOR_THE_READER,
    LONG,
    LONG_TAG,
    SHORT,
    TAG,
    VECTORS,
    framed,
    image,
    name_of,
)

Fields = dict[str, Any]


def wanted(vector: Fields) -> Fields:
    return {key: value for key, value in vector["fields"].items() if key not in FOR_THE_READER}


def dialect_of(vector: Fields) -> Dialect:
    return Dialect(edition=Edition(vector.get("options", {}).get("edition", "auto")))


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_a_vector_is_read_to_its_fields_and_written_to_its_bytes(vector: Fields) -> None:
    data, fields, dialect = bytes.fromhex(vector["hex"]), wanted(vector), dialect_of(vector)
    assert fields_of_frame(parse(data), dialect) == fields
    assert frame_of(fields, dialect).to_bytes() == data
    if fields["div"] == 0:  # the parts of a split message are only known as bytes
        del fields["body"]
        assert frame_of(fields, dialect).to_bytes() == data


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_the_frame_verb_prints_a_vector(vector: Fields, capsys: pytest.CaptureFixture[str]) -> None:
    options = [word for name, value in vector.get("options", {}).items() for word in (f"--{name}", value)]
    assert main(["frame", "szy206", vector["hex"], "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out, parse_float=Decimal) == wanted(vector)
    assert main(["frame", "szy206", vector["hex"], *options, "--lang", "zh"]) == 0


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_no_single_wrong_bit_is_taken_for_a_frame(vector: Fields) -> None:
    data = bytearray.fromhex(vector["hex"])
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            parse(bytes(data))
        data[bit // 8] ^= 1 << bit % 8


def test_the_check_byte_has_its_published_value() -> None:
    assert crc8(b"123456789") == 0xF7
    assert crc8(b"\0\1\2") == 0xA6


LOGIN = "680868B0030013130402F04A16"


@pytest.mark.parametrize(
    ("frame", "code", "arguments"),
    [
        ("69" + LOGIN[2:], "start", {"received": "69"}),
        (LOGIN[:4] + "69" + LOGIN[6:], "second_start", {"received": "69"}),
        ("68", "cut", {"size": 1, "expected": 12}),
        (LOGIN[:-2], "cut", {"size": 12, "expected": 13}),
        (LOGIN + "00", "length", {"size": 14, "expected": 13, "length": 8}),
        ("6809" + LOGIN[4:], "cut", {"size": 13, "expected": 14}),
        ("680668B00300131304024A16", "short", {"length": 6, "least": 7}),
        ("680768F0030013130402F016", "short", {"length": 7, "least": 8}),
        (LOGIN[:-2] + "17", "end", {"received": "17"}),
        (LOGIN[:-4] + "4B16", "checksum", {"expected": "4A", "received": "4B"}),
        (image(100)[:-1].hex() + "17", "end", {"received": "17"}),
        (image(9000)[:-1].hex() + "17", "end", {"received": "17"}),
        (image(9000)[:-5].hex(), "cut", {"size": 9010, "expected": 9015}),
        (image(9000).hex() + "00", "length", {"size": 9016, "expected": 9015, "length": 9}),
    ],
)
def test_a_wrong_frame_is_refused_for_its_own_reason(
    frame: str, code: str, arguments: Fields, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fields_of(bytes.fromhex(frame)) == {"error": {"code": f"szy206_{code}", "arguments": arguments}}
    assert main(["frame", "szy206", frame, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == f"szy206_{code}"
    assert main(["frame", "szy206", frame, "--lang", "en"]) == 1
    assert capsys.readouterr().out.strip()


def test_what_is_no_hex_or_no_option_is_a_wrong_input() -> None:
    assert main(["frame", "szy206", "68xx"]) == 2
    assert main(["frame", "szy206", LOGIN, "--edition", "2012"]) == 2
    assert main(["frame", "szy206", LOGIN, "--flow-block", "E"]) == 2


# Each: control byte, AFN, body, options, and the fields it must have. Taken from the sheet's tables by hand.
BODIES: list[tuple[int, int, str, Fields, Fields]] = [
    # items
    (0xB1, 0xC0, "123456" + CALM + TAG, {}, {"rains_mm": [Decimal("56341.2")], "tp": SHORT}),
    (0xB2, 0xC0, "654321F0" + CALM + TAG, {}, {"levels_m": [Decimal("-214.365")]}),
    (0xB2, 0xC0, "AAAAAAAAFFFFFFFF" + CALM, {}, {"levels_m": [None, None], "tp": None}),
    (0xB4, 0xC0, "010000" + "9999F9" + CALM + TAG, {}, {"velocities_m_s": [Decimal("0.001"), Decimal("-99.999")]}),
    (0xB5, 0xC0, "123400" + CALM + TAG, {}, {"gates_m": [Decimal("34.12")]}),
    (0xB6, 0xC0, "150000" + CALM + TAG, {}, {"powers_kw": [15]}),
    (0xB7, 0xC0, "131000" + CALM + TAG, {}, {"air_pressures_hpa": [1013]}),
    (0xB8, 0xC0, "251080" + CALM + TAG, {}, {"winds": [{"speed_m_s": Decimal("10.25"), "direction": 8}]}),
    (0xB8, 0xC0, "AAAAAA" + CALM + TAG, {}, {"winds": [None]}),
    (0xB8, 0xC0, "45231200" + CALM + LONG_TAG, {"edition": "2021"}, {"energies_kwh": [Decimal("1223.45")], "tp": LONG}),
    (0xB8, 0xC0, "45231200" * 2 + CALM + LONG_TAG, {}, {"energies_kwh": [Decimal("1223.45")] * 2, "tp": LONG}),
    (0xB9, 0xC0, "8501" + CALM + TAG, {}, {"water_temps_c": [Decimal("18.5")]}),
    (0xBB, 0xC0, "5501" + CALM + TAG, {}, {"soil_moistures": [Decimal("15.5")]}),
    (
        0xBB, 0xC0, "55012000" + CALM + LONG_TAG, {"edition": "2021"},
        {"soil_moistures": [{"moisture": Decimal("15.5"), "depth_cm": 20}]},
    ),
    (0xBC, 0xC0, "120000" + CALM + TAG, {}, {"evaporations_mm": [Decimal("1.2")]}),
    (0xBD, 0xC0, CALM + TAG, {}, {"state_bits": [5, 6], "alarm_bits": []}),
    (0xBD, 0xC0, "0100" + "6000" + LONG_TAG, {}, {"alarm_bits": [0], "state_bits": [5, 6], "tp": LONG}),
    (0xBD, 0xC0, "5012" + "0100" + "6000" + TAG, {}, {"voltage_v": Decimal("12.5"), "alarm_bits": [0], "tp": SHORT}),
    (
        0xBA, 0xC0, "0100000100" + "11223344" + "0102030405" + CALM + TAG, {},
        {"quality_bits": [0, 24], "quality_hex": ["11223344", "0102030405"]},
    ),
    (
        0xBA, 0xC0, "0000000100" + "01020304" + CALM + LONG_TAG, {},
        {"quality_bits": [24], "quality_hex": ["01020304"], "tp": LONG},
    ),
    # flow blocks
    (0xB3, 0xC0, "8261100000" + CALM + TAG, {"flow_block": "B"}, {"meters": [{"cumulative_m3": 106182}]}),
    (
        0xB3, 0xC0, "82611000000059000000" + CALM + TAG, {"flow_block": "C"},
        {"meters": [{"cumulative_m3": 106182, "instant": Decimal("5.9")}]},
    ),
    (0xB3, 0x82, "0059000000" + CALM + TAG, {"flow_block": "D"}, {"meters": [{"instant": Decimal("5.9")}]}),
    (
        0xB3, 0xC0, "00150000C0" + "0000000081" + CALM + LONG_TAG, {},
        {"meters": [{"instant": Decimal("-1.5"), "unit": "m3/s", "cumulative_m3": -100000000}]},
    ),
    (
        0xB3, 0xC0, "AAAAAAAAAA" + "FFFFFFFFFF" + CALM + LONG_TAG, {},
        {"meters": [{"instant": None, "cumulative_m3": None}]},
    ),
    # alarm order, manual entry, voltage
    (0xB2, 0x81, "65780300" + "0400" + "6000" + TAG, {"alarm_order": "last"}, {"alarm_bits": [2], "state_hex": "6000"}),
    (0xB2, 0x82, "65780300" + CALM + TAG, {}, {"levels_m": [Decimal("37.865")]}),
    (0xBD, 0x84, "5012", {}, {"voltage_v": Decimal("12.5"), "tp": None}),
    (0xBD, 0x84, "5012" + CALM + LONG_TAG, {}, {"voltage_v": Decimal("12.5"), "work_mode": 0, "tp": LONG}),
    (0xBD, 0xB0, "5012", {}, {"voltage_v": Decimal("12.5")}),
    (0xBD, 0xB0, "5012" + CALM, {}, {"voltage_v": Decimal("12.5"), "alarm_bits": []}),
    # confirms
    (0x30, 0x81, "01", {}, {"work_mode": 1}),
    (0x33, 0xC0, "02" + TAG, {}, {"work_mode": 2, "tp": SHORT}),
    (0x30, 0xC0, "021234", {}, {"work_mode": 2, "pw_hex": "1234"}),
    (0x30, 0x82, "00" + LONG_TAG, {}, {"work_mode": 0, "tp": LONG}),
    # link
    (0x30, 0x02, "F1", {}, {"link": "F1 logout"}),
    (0x30, 0x02, "00", {}, {"link": "00"}),
    (0x30, 0x02, "F2" + "1234" + TAG, {}, {"link": "F2 keep-alive", "pw_hex": "1234", "tp": SHORT}),
    # settings and queries
    (0x30, 0x10, "4406070100" + "0000" + TAG, {}, {"new_admin": "440607", "new_station": 1, "pw_hex": "0000"}),
    (0xB0, 0x10, "4406070100", {}, {"reported_admin": "440607", "reported_station": 1}),
    (0xB0, 0x50, "0012345678", {}, {"reported_station_code": "12345678"}),
    (0x30, 0x11, "301514125026" + "0000" + TAG, {}, {"clock": "2026-10-12T14:15:30", "weekday": 2}),
    (0xB0, 0x51, "3015141291" + "26", {}, {"clock": "2026-11-12T14:15:30", "weekday": 4}),
    (0x30, 0x12, "03" + "0000" + LONG_TAG, {}, {"work_mode": 3, "tp": LONG}),
    (0x30, 0x12, "03", {}, {"work_mode": 3}),
    (0xB0, 0xA1, "0420" + "0000" * 2 + "6000" + "0000" * 10 + "0500" + "0010", {},
     {"kinds_bits": [2, 13], "intervals_min": {"2": 60, "13": 5, "14": 1000}}),
    (
        0x30, 0xA1, "0400" + "0000" * 2 + "6000" + "0000" * 11 + "1234" + LONG_TAG, {},
        {"intervals_min": {"2": 60}, "pw_hex": "1234", "tp": LONG},
    ),
    (
        0x30, 0xA1, "0400" + "0000" * 2 + "6000" + "0000" * 11 + "0500" + "1234" + LONG_TAG, {},
        {"intervals_min": {"2": 60, "14": 5}, "pw_hex": "1234", "tp": LONG},
    ),
    (0xB0, 0x53, "0100" + "9999" + "0000" * 13, {}, {"kinds_bits": [0], "intervals_min": {"0": 9999}}),
    (0x80, 0x53, "0100" + "1000" + "6000", {}, {"kinds_bits": [0], "intervals_min": {"0": 10, "1": 60}}),
    (
        0x00, 0xA1, "0100" + "1000" + "6000" + "1234" + LONG_TAG, {"edition": "2021"},
        {"kinds_bits": [0], "intervals_min": {"0": 10, "1": 60}, "pw_hex": "1234", "tp": LONG},
    ),
    (0x30, 0xA0, "0470" + "1234" + TAG, {}, {"kinds_bits": [2, 12, 13, 14], "pw_hex": "1234"}),
    (0xB0, 0x54, "0400", {}, {"kinds_bits": [2]}),
    (0x30, 0x15, "00100000" + "0000" + TAG, {}, {"recharge_m3": 1000}),
    (0xB0, 0x55, "00100000" + "1200000080", {}, {"last_recharge_m3": 1000, "remaining_m3": -12}),
    (0xB0, 0x16, "500000", {}, {"remaining_alarm_m3": 50}),
    (0xB0, 0x56, "500000" + "1200000000", {}, {"remaining_alarm_m3": 50, "remaining_m3": 12}),
    (
        0x30, 0x17, "99997F00019999" + "00000000000000" + "0000" + TAG, {},
        {"level_limits": [
            {"base_m": None, "low_m": 1, "high_m": Decimal("99.99")}, {"base_m": 0, "low_m": 0, "high_m": 0},
        ]},
    ),
    (
        0xB0, 0x57, "9999F900019999" + "0400", {},
        {"level_limits": [{"base_m": Decimal("-7999.99"), "low_m": 1, "high_m": Decimal("99.99")}], "alarm_bits": [2]},
    ),
    (0xB0, 0x57, "00000000019999" + CALM, {}, {"state_bits": [5, 6]}),
    (
        0x30, 0x18, "00100000" + "00500000" + "0000" + TAG, {},
        {"pressure_limits": [{"low_kpa": 10, "high_kpa": 50}]},
    ),
    (
        0x30, 0x18, "00500000" + "00100000" + "0000" + LONG_TAG, {},
        {"pressure_limits": [{"low_kpa": 10, "high_kpa": 50}]},
    ),
    (0xB0, 0x58, "00100000" + "00500000" + "0001", {}, {"alarm_bits": [8]}),
    (0x30, 0x1B, "0100000000" + "0200000070" + "0000" + TAG, {}, {"base_m3": [1, 7000000002]}),
    (0x30, 0x1F, "0059000000" + "0000" + TAG, {}, {"flow_limits": [{"value": Decimal("5.9")}]}),
    (0x30, 0x1F, "0059000030" + "0000" + LONG_TAG, {}, {"flow_limits": [{"value": Decimal("5.9"), "unit": "m3/h"}]}),
    (0xB0, 0x64, "0059000000" + "0800", {}, {"flow_limits": [{"value": Decimal("5.9")}], "alarm_bits": [3]}),
    (
        0x30, 0x20, "0105" + "15" + "0000" + TAG, {},
        {"kind": 0, "kind_name": "rain", "sensor_no": 1, "storage_interval_min": 5, "threshold": Decimal("1.5")},
    ),
    (0xB0, 0x20, "1205" + "00010000", {}, {"kind_name": "water level", "sensor_no": 2, "threshold": Decimal("0.1")}),
    (0xB0, 0x20, "213C" + "0000010000", {}, {"kind_name": "flow/water amount", "threshold": 10}),
    (0xB0, 0x20, "B13C" + "150000", {}, {"kind_name": "evaporation", "threshold": Decimal("1.5")}),
    (0xB0, 0x20, "C13C" + "00100000", {}, {"kind_name": "water pressure", "threshold": 10}),
    (0x30, 0x30, "0000" + TAG, {}, {"pw_hex": "0000", "tp": SHORT}),
    (0xB0, 0x31, "5A", {}, {"result": "done"}),
    (0xB0, 0x32, "00", {}, {"result": "00"}),
    (0x30, 0x34, "1000000090" + "0000" + TAG, {}, {"quota_m3": 9000000010}),
    (0xB0, 0x5D, "0100FF0002000000", {}, {"event_counts": [1, 255, 2, 0]}),
    (0xB0, 0x5F, "DCDDDE010203", {}, {"voltages": [220, 221, 222], "currents": [1, 2, 3]}),
    (
        0xB0, 0x5F, "DC00DD00DE00010002000300", {"edition": "2021"},
        {"voltages": [220, 221, 222], "currents": [1, 2, 3]},
    ),
    (0xB0, 0x20, "913C" + "0102", {}, {"kind_name": "water quality", "storage_interval_min": 60, "rest_hex": "0102"}),
    (0xB0, 0x20, "713C" + "25100000", {"edition": "2021"}, {"kind_name": "electricity", "threshold": Decimal("10.25")}),
    (0xB0, 0x20, "713C" + "251000", {}, {"kind_name": "wind speed", "threshold": Decimal("10.25")}),
    (0x30, 0x90, "01" + "0000" + TAG, {}, {"reset": 1}),
    (0xB0, 0x90, "5A", {}, {"result": "done"}),
    (0x30, 0x91, "05" + "0000" + TAG, {}, {"clear_bits": [0, 2]}),
    (0x30, 0x92, "F3" + "0000" + TAG, {}, {"device_no": 3, "device_kind": "valve/gate"}),
    (0x30, 0x93, "02" + "0000" + TAG, {}, {"device_no": 2, "device_kind": "pump"}),
    (0xB0, 0x92, "A3", {}, {"device_no": 3, "result": "done"}),
    (0xB0, 0x93, "53", {}, {"device_no": 3, "result": "53"}),
    (0x30, 0x96, "1234" + "0000" + TAG, {}, {"new_pw_hex": "1234", "pw_hex": "0000"}),
    (0x38, 0xB0, "", {"edition": "2021"}, {"query": "electricity"}),
    (0x38, 0xB0, "", {}, {"query": "wind speed"}),
    (
        0xB1, 0xB1, "1300010526" + "23310526" + "65780300" + "FFFFFFFF", {},
        {"kind": 1, "sensor_no": 3, "start": "2026-05-01T00", "end": "2026-05-31T23", "record_size": 4,
         "records": [Decimal("37.865"), None], "record_unit": "m"},
    ),
    (
        0xB7, 0xB1, "7100010526" + "00010526" + "251080", {},
        {"records": [{"speed_m_s": Decimal("10.25"), "direction": 8}]},
    ),
    (0xBF, 0xB1, "B100010526" + "00010526" + "10000000", {}, {"kind_name": "water pressure", "record_unit": "kPa"}),
    (0x30, 0xB2, "0008090530080905", {}, {"start": "05-09T08:00", "end": "05-09T08:30"}),
    (0xB0, 0xB2, "0008090530080905" + "0102", {}, {"start": "05-09T08:00", "rest_hex": "0102"}),
    # nothing is known of these bodies; password and time tag are where they always are
    (0x30, 0x1C, "010203" + "1234" + TAG, {}, {"pw_hex": "1234", "tp": SHORT}),
    (0xBE, 0xC0, "010203", {}, {}),
    (0xB0, 0x8E, "010203", {}, {}),
]  # fmt: skip
UNREADABLE = {"99997F00019999"}


@pytest.mark.parametrize(("control", "afn", "body", "options", "expected"), BODIES)
def test_a_body_is_read_by_the_rules_and_written_again(
    control: int, afn: int, body: str, options: Fields, expected: Fields
) -> None:
    data = framed(control, afn, body)
    dialect = Dialect(
        edition=Edition(options.get("edition", "auto")),
        flow_block=FlowBlock(options.get("flow_block", "A")),
        alarm_order=AlarmOrder(options.get("alarm_order", "first")),
    )
    fields = fields_of_frame(parse(data), dialect)
    assert {key: fields[key] for key in expected} == expected
    assert "data_fits" not in fields
    assert ("unreadable" in fields) == any(body.startswith(start) for start in UNREADABLE)
    assert frame_of(fields, dialect).to_bytes() == data
    as_json = json.loads(json.dumps(fields_of(data, **options)))
    assert frame_of(as_json, dialect).to_bytes() == data


def test_the_binary_months_of_one_implementation_are_read() -> None:
    for month, said in (("4A", "10"), ("4B", "11"), ("4C", "12"), ("50", "10"), ("52", "12")):
        fields = decode(parse(framed(0xB0, 0x51, f"30151412{month}26")))
        assert fields == {"clock": f"2026-{said}-12T14:15:30", "weekday": 2}
    assert decode(parse(framed(0xB0, 0x51, "301514125A26")))["clock"] is None


def test_high_byte_order_turns_numbers_and_the_time_tag_round() -> None:
    data = framed(0xB3, 0xC0, "F000001500" + "0000106182" + "01106000" + "1214153000")
    fields = fields_of(data, byte_order="high")
    assert fields["meters"] == [{"instant": -1.5, "cumulative_m3": 106182}]
    assert fields["alarm_bits"] == [0, 12]
    assert fields["tp"] == SHORT


def test_a_report_without_a_time_tag_is_told_by_its_length() -> None:
    assert decode(parse(framed(0xBF, 0xC0, "25500300" + CALM)))["tp"] is None
    wrong_time = decode(parse(framed(0xBF, 0xC0, "25500300" + CALM + "6015141200")))
    assert wrong_time == {"data_fits": False}


def test_eight_bytes_of_a_confirm_are_never_a_password_and_a_short_tag() -> None:
    assert decode(parse(framed(0x30, 0xC0, "00" + "3015141205" + "2600")))["tp"] == LONG
    assert decode(parse(framed(0x30, 0xC0, "00" + "9999" + TAG))) == {"data_fits": False}


def test_a_station_code_stands_for_division_and_number() -> None:
    fields = fields_of(framed(0xB0, 0x02, "F0", address="0012345678"))
    assert fields["station_code"] == "12345678"
    assert not {"admin_code", "station_le"} & set(fields)
    assert frame_of({"station_code": "12345678", "afn": "02", "dir": 1, "link": "F0 login"}).to_bytes() == framed(
        0xB0, 0x02, "F0", address="0012345678"
    )


def test_a_frame_on_a_phone_says_what_codes_and_bits_mean(capsys: pytest.CaptureFixture[str]) -> None:
    report = framed(0xB3, 0xC0, "00590000008261100000" + "0110" + "6000" + TAG)
    assert main(["frame", "szy206", report.hex(), "--lang", "zh"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for said in (
        "功能码 AFN C0 自报实时数据", "命令与类型码 3 流量、水量", "报警（位） 0 工作交流电停电, 12 剩余水量下限",
        "状态（位） 5 箱门关闭, 6 蓄电池供电", "各水表 瞬时流量: 5.9, 累计水量 m3: 106182",
    ):  # fmt: skip
        assert said.split() in lines
    for lang in LANGUAGES:
        messages = Messages(lang)
        named = {f"alarm_bits.{bit.value}" for bit in Alarm} | {f"state_bits.{bit.value}" for bit in State}
        named |= {f"work_mode.{mode.value}" for mode in Mode} | {f"func.{kind.value}" for kind in Kind}
        named |= {f"afn.{afn.value:02X}" for afn in Afn}
        assert [name for name in named if not messages.has(f"frame.szy206.said.{name}")] == []


def test_kinds_have_their_names_in_both_editions() -> None:
    assert kind_of("electricity") == kind_of("wind speed") == 8
    with pytest.raises(ContentError):
        kind_of("gas")
