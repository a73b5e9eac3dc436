"""`qushui frame cjt188`: the published frames by the sheet's own names, and each rule of its section on them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.main import main
from agent.messages import LANGUAGES, Messages
from drivers.cjt188_frame import fields_of

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "cjt188.json").read_text(encoding="utf-8"))
ZERO_CLOCK = " 00" * 7


def frame(*parts: str, control: str = "81", kind: str = "10") -> bytes:
    """A sound frame around `parts` of DATA, by the standard's own words."""
    data = bytes.fromhex("".join(parts))
    body = bytes.fromhex(f"68 {kind} 01 00 00 05 08 00 00 {control}") + bytes([len(data)]) + data
    return body + bytes([sum(body) % 256, 0x16])


def reading(
    total="00 23 01 00 2C", settlement="00 00 00 00 2C", *, clock=ZERO_CLOCK, status="00 00", more="", kind="10"
):
    return frame("90 1F 00", total, settlement, clock, status, more, kind=kind)


def shown(capsys, *words):
    status = main(["frame", "cjt188", *words, "--lang", "en"])
    output = capsys.readouterr()
    return status, output.out, output.err


def has(data: bytes, expected: dict[str, object], *absent: str, **options: object) -> None:
    fields = fields_of(data, **options)
    assert {key: fields.get(key, "absent") for key in expected} == expected
    assert [key for key in absent if key in fields] == []


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_published_frames_print_exactly_the_fields_of_the_sheet(vector, capsys):
    status, out, err = shown(capsys, vector["hex"], "--json")
    assert json.loads(out) == vector["fields"]
    assert status == (0 if vector["fields"]["valid"] else 1)
    assert bool(err) == (not vector["fields"]["valid"])
    status, out, _ = shown(capsys, vector["hex"])
    assert out
    assert status == (0 if vector["fields"]["valid"] else 1)


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("00 FE FE", "header", "none of them is a 68"),
        ("FE 68 10 01", "incomplete", "13 bytes begins here, there are 3"),
        ("68 10 01 00 00 05 08 00 00 81 16 90 1F 00", "incomplete", "35 bytes begins here, there are 14"),
        ("68 12 00 00 00 00 00 68 11 04 33 33 34 33 C7 16", "incomplete", "qushui frame dlt645"),
    ],
)
def test_what_is_no_whole_frame_has_three_keys_and_a_sentence(text, reason, words, capsys):
    status, out, err = shown(capsys, text, "--json")
    assert (status, json.loads(out)) == (1, {"edition": "2004", "valid": False, "reason": reason})
    assert words in " ".join(err.split())
    status, out, _ = shown(capsys, text)
    assert status == 1
    assert words in " ".join(out.split())


def test_a_wrong_end_byte_is_told_from_a_wrong_sum(capsys):
    sound = reading()
    status, out, err = shown(capsys, (sound[:-1] + b"\x17").hex(), "--json")
    assert (status, json.loads(out)["valid"], json.loads(out)["computed_cs"]) == (1, False, f"{sound[-2]:02X}")
    assert "must end with 16" in err
    status, out, err = shown(capsys, (sound[:-2] + b"\x00\x16").hex(), "--json")
    assert (status, json.loads(out)["computed_cs"]) == (1, f"{sound[-2]:02X}")
    assert f"expected {sound[-2]:02X}" in err
    assert "reason" not in json.loads(out)


@pytest.mark.parametrize("text", ["68 1G", "681", "", "hello"])
def test_what_is_no_hex_is_wrong_input(text, capsys):
    status, out, err = shown(capsys, text, "--json")
    assert (status, out) == (2, "")
    assert err


@pytest.mark.parametrize("words", [["--edition", "2021"], ["--litre-decimals", "4"], ["--clock-order", "abcd"]])
def test_an_option_that_cannot_be_is_wrong_input(words, capsys):
    with suppress(SystemExit):
        assert shown(capsys, reading().hex(), *words)[0] == 2


def test_the_first_sound_frame_counts_whatever_stands_around_it():
    garbled = reading()[:-2] + b"\0\x16"
    noise = b"\x68\x10\xfe\x00\x68"
    for before in (noise, garbled, b"\x68" * 12, noise + garbled):
        has(before + b"\xfe\xfe" + reading() + noise, {"valid": True, "preamble_fe": 2, "total": 123.0})
    has(reading() + reading("00 99 01 00 2C"), {"total": 123.0})
    has(b"\xfe\x00" + reading(), {"preamble_fe": 0})


# --- identifier


@pytest.mark.parametrize(
    ("sent", "identifier", "order"),
    [
        ("90 1F", "901F", "high_first"), ("1F 90", "901F", "low_first"),
        ("D1 20", "D120", "high_first"), ("2B D1", "D12B", "low_first"),
        ("0A 81", "810A", "low_first"), ("A0 17", "A017", "high_first"), ("18 A0", "A018", "low_first"),
        ("12 34", "1234", "high_first"),  # neither is a high byte
        ("A1 90", "A190", "high_first"), ("90 A1", "A190", "low_first"),  # both are; A1xx is known
        ("81 90", "8190", "high_first"),  # both are, nothing decides
        ("D2 D3", "D2D3", "high_first"),
    ],
)  # fmt: skip
def test_the_identifier_tells_its_byte_order(sent, identifier, order):
    edition = "2004" if order == "high_first" else "2018"
    has(frame(sent, "07", control="01"), {"di": identifier, "di_byte_order": order, "edition": edition, "ser": 7})


def test_the_edition_can_be_given():
    has(frame("1F 90 00", control="01"), {"di": "1F90", "edition": "2004"}, edition="2004")
    has(frame("90 1F 00", control="01"), {"di": "1F90", "di_byte_order": "low_first"}, edition="2018")


@pytest.mark.parametrize(("control", "data"), [("C1", "05 00 00"), ("C1", "05"), ("81", "90 1F"), ("84", "")])
def test_a_refusal_or_too_little_data_has_no_identifier(control, data):
    expected = {"edition": "2004", "valid": True, "control": control, "data": data.replace(" ", "")}
    has(frame(data, control=control), expected, "di", "di_byte_order", "ser", "total", "trailing")


# --- registers


@pytest.mark.parametrize(
    ("unit", "total"), [("2A", 0.0123), ("2B", 12.3), ("2C", 123), ("2D", 1230), ("2E", 12300)],
)  # fmt: skip
def test_totals_are_in_cubic_metres_and_name_another_unit(unit, total):
    digits = "00 23 01 00" if unit != "2A" else "23 01 00 00"
    expected = {"total": total, "total_unit": "m3", "unit_code": "absent" if unit == "2C" else unit}
    has(reading(f"{digits} {unit}"), expected, "total_bcd_raw", "bcd_valid")
    month = frame("D1 20 00", digits, unit)
    has(month, {"settlement_total": total, "settlement_unit": "m3", "unit_code": expected["unit_code"]}, "total")


def test_only_the_first_registers_unit_is_named():
    has(reading("00 23 01 00 2C", "00 00 10 00 2E"), {"settlement_total": 100000.0}, "unit_code")
    has(
        reading("00 23 01 00 29", "00 00 10 00 2E"),
        {"total_unit_code": "29", "settlement_total": 100000.0},
        "unit_code",
    )


@pytest.mark.parametrize("unit", ["29", "05", "35", "00", "FF"])
def test_a_unit_that_is_no_volume_leaves_the_digits_as_they_are(unit):
    expected = {"total_bcd_raw": "0001A347", "total_unit_code": unit, "settlement_total": 0.0}
    has(reading(f"47 A3 01 00 {unit}"), expected, "total", "total_unit", "unit_code", "bcd_valid")


@pytest.mark.parametrize(("decimals", "total"), [(0, 17.047), (1, 1.7047), (2, 0.17047), (3, 0.017047)])
def test_litres_are_converted_by_the_option(decimals, total, capsys):
    data = reading("47 70 01 00 29")
    _, out, _ = shown(capsys, data.hex(), "--json", "--litre-decimals", str(decimals))
    fields = json.loads(out)
    assert (fields["total"], fields["unit_code"]) == (total, "29")
    assert "total_bcd_raw" not in fields


def test_missing_and_damaged_digits_are_null():
    has(reading("FF FF FF FF 2D"), {"total": None, "total_unit": "m3", "unit_code": "2D"}, "bcd_valid")
    has(reading("FF FF FF 0F 2C"), {"total": None, "bcd_valid": False, "settlement_total": 0.0})
    has(reading(settlement="0A 00 00 00 2C"), {"total": 123.0, "settlement_total": None, "bcd_valid": False})


# --- clock, status, other identifiers


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("56 34 12 08 07 26 20", {"meter_time": "2026-07-08T12:34:56"}),
        ("00 00 00 29 02 24 20", {"meter_time": "2024-02-29T00:00:00"}),
        ("FF FF FF FF FF FF FF", {"meter_time": None}),
        ("00 00 00 00 00 00 00", {"meter_time": None}),
        ("56 34 12 31 02 26 20", {"meter_time": None}),
        ("60 34 12 08 07 26 20", {"meter_time": None}),
        ("56 34 12 0A 07 26 20", {"meter_time": None}),
        ("20200528205824", {"meter_time_bytes": "20200528205824", "meter_time_high_first": "2020-05-28T20:58:24"}),
        ("20240115081005", {"meter_time_bytes": "20240115081005", "meter_time_high_first": "2024-01-15T08:10:05"}),
        ("20 24 13 15 08 10 05", {"meter_time": None}),
    ],
)  # fmt: skip
def test_the_meter_clock_is_a_moment_or_null(clock, expected):
    keys = {"meter_time", "meter_time_bytes", "meter_time_high_first"}
    has(reading(clock=clock), expected, *(keys - set(expected)))
    has(frame("90 7F 00", clock), expected, *(keys - set(expected)), "status")


def test_the_clocks_order_can_be_given():
    has(reading(clock="20 20 05 28 20 58 24"), {"meter_time": "2020-05-28T20:58:24"}, clock_order="high_first")
    absent = ("meter_time_bytes", "meter_time_high_first")
    has(reading(clock="20 20 05 28 20 58 24"), {"meter_time": None}, *absent, clock_order="low_first")
    has(reading(clock="56 34 12 08 07 26 20"), {"meter_time": None}, *absent, clock_order="high_first")


@pytest.mark.parametrize(
    ("status", "valve", "battery"),
    [("00 00", "open", False), ("01 00", "closed", False), ("02 FF", None, False), ("07 23", "faulty", True)],
)
def test_status_bits_count_whatever_the_makers_are(status, valve, battery):
    expected = {"status": status.replace(" ", ""), "valve": valve, "battery_low": battery}
    has(reading(status=status), expected)
    has(frame("A0 17 00", status, control="84"), expected)


@pytest.mark.parametrize(("data", "valve"), [("55", "open"), ("99", "close"), ("00", None), ("", None)])
def test_a_valve_command_is_named(data, valve):
    has(frame("17 A0 00", data, control="04"), {"di": "A017", "valve": valve}, "status", "battery_low")


def test_addresses_are_printed_as_on_the_meter():
    has(frame("81 0A 00", control="83"), {"meter_address": "00000805000001"}, "trailing")
    has(frame("81 0A 00", control="03"), {"data": ""}, "meter_address")
    new = frame("A0 18 00", "02 00 00 05 08 00 00", control="15")
    has(new, {"new_address": "00000805000002"}, "trailing")
    has(frame("A0 18 00", control="95"), {"di": "A018"}, "new_address")


def test_bytes_behind_the_layout_are_shown():
    has(reading(more="AB CD"), {"trailing": "ABCD", "status": "0000"})
    has(frame("D1 21 00", "00 00 12 00 2C 01"), {"settlement_total": 1200.0, "trailing": "01"})


def test_a_shorter_record_has_the_fields_that_are_complete():
    has(frame("90 1F 00", "00 23 01 00 2C"), {"total": 123.0}, "settlement_total", "meter_time", "status", "trailing")
    has(frame("90 1F 00", "00 23 01 00"), {"data": "00230100"}, "total", "total_bcd_raw")


@pytest.mark.parametrize("kind", ["20", "30", "48", "AA", "1A", "0F"])
def test_a_meter_that_is_none_for_water_is_not_read_by_its_layout(kind):
    has(
        reading(kind=kind),
        {"meter_type": kind, "di": "901F", "length": 22},
        "total",
        "status",
        "meter_time",
        "trailing",
    )


@pytest.mark.parametrize("kind", ["10", "13", "19"])
def test_every_water_meter_is(kind):
    has(reading(kind=kind), {"meter_type": kind, "total": 123.0})


def test_other_identifiers_are_only_named():
    has(frame("D2 00 00", "01 02 03"), {"di": "D200", "data": "010203"}, "trailing", "total")


@given(data=st.binary(max_size=300), litres=st.sampled_from([None, 0, 3]), order=st.sampled_from([None, "high_first"]))
def test_any_bytes_give_fields(data, litres, order):
    fields = fields_of(data, litre_decimals=litres, clock_order=order)
    assert fields["valid"] or fields["error"]


@given(data=st.binary(min_size=3, max_size=80), control=st.integers(0, 255), kind=st.integers(0, 255))
def test_any_sound_frame_gives_what_json_can_hold(data, control, kind):
    fields = fields_of(frame(data.hex(), control=f"{control:02X}", kind=f"{kind:02X}"))
    assert fields["valid"]
    json.dumps(fields, allow_nan=False)


@pytest.mark.parametrize("vector", VECTORS[:6], ids=lambda vector: vector["name"])
def test_a_flipped_bit_never_gives_another_reading(vector):
    data = bytes.fromhex(vector["hex"])
    for at in range(8 * data.index(0x68), 8 * len(data)):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        fields = fields_of(bytes(flipped))
        assert not fields["valid"]
        assert "total" not in fields


def test_every_key_has_a_title_in_both_languages():
    keys = {key for vector in VECTORS for key in vector["fields"]} | {"reason", "new_address", "bcd_valid", "trailing"}
    for lang in LANGUAGES:
        messages = Messages(lang)
        assert [key for key in keys if not messages.has(f"frame.cjt188.{key}")] == []
