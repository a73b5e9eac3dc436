"""SL 651-2014: what bodies hold, in bytes and in words.

Expected values come from the published frames, the sheet's worked examples and frames made by hand.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from agent.uplinks.sl651_wire import body, text
from agent.uplinks.sl651_wire.codes import (
    BodyError,
    Dialect,
    Encoding,
)
from agent.uplinks.sl651_wire.elements import (
    IDENTIFIERS,
    KINDS,
    STATUS,
    number,
    status,
)
from agent.uplinks.sl651_wire.fields import fields_of
from agent.uplinks.sl651_wire.packets import confirms
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
    series,
)
from agent.uplinks.sl651_wire.receiver import first_frame
from tests.agent.uplinks.sl651_checks import compact, has, is_wrong, rows_behind
from tests.agent.uplinks.sl651_frames import HEADER, REPORT, STATION, ascii_down, ascii_up, down, up

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
