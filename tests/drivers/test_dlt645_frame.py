"""DL/T 645 frames taken apart: the published vectors through the codec and the command, and every rule of the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import main
from agent.messages import LANGUAGES, Messages
from drivers.dlt645_frame import EDITIONS, fields_of

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "dlt645.json").read_text(encoding="utf-8"))
ADDRESS = "12 90 78 56 34 12"


def made(control: str, plain: str, *, preamble: str = "", address: str = ADDRESS) -> bytes:
    """A frame by the standard's own words: each byte of data plus 33H, the sum of all from the first 68, 16."""
    data = bytes((byte + 0x33) % 256 for byte in bytes.fromhex(plain))
    body = bytes.fromhex(f"68 {address} 68 {control}") + bytes([len(data)]) + data
    return bytes.fromhex(preamble) + body + bytes([sum(body) % 256, 0x16])


def shown(control: str, plain: str) -> dict[str, Any]:
    """What stands beside the keys that every frame has."""
    fields = fields_of(made(control, plain))
    assert fields["valid"] is True
    head = ("protocol", "valid", "preamble_fe", "address", "control", "length", "data_plain", "di")
    return {key: value for key, value in fields.items() if key not in head}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_published_frames_come_out_field_by_field(
    vector: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    fields = fields_of(bytes.fromhex(vector["hex"]))
    fields.pop("error", None)
    assert fields == vector["fields"]
    status = main(["frame", "dlt645", vector["hex"], "--json"])
    output = capsys.readouterr()
    assert json.loads(output.out) == vector["fields"]
    assert status == (0 if vector["fields"]["valid"] else 1)
    assert bool(output.err) == bool(status), "what is wrong is said, on stderr"


RULES = [  # control, plain data in wire order, what must be said
    ("91", "00000000 64027580", {"value": -7502.64, "unit": "kWh"}),  # combined energy is signed
    ("91", "00000100 56341280", {"value": 80123456 / 100, "unit": "kWh"}),  # forward energy is not
    ("91", "00000100 FFFFFFFF", {"value": None, "unit": "kWh"}),
    ("91", "00000000 FFFFFFFF", {"value": None, "unit": "kWh"}),
    ("91", "00000000 00000080", {"value": 0, "unit": "kWh"}),  # minus nothing
    ("91", "0C3F0500 01000000", {"value": 0.01, "unit": "kvarh"}),  # tariff 63, twelve settlements ago
    ("91", "0D000100 01000000", {}),  # no such settlement
    ("91", "00400100 01000000", {}),  # no such tariff
    ("91", "00000A00 01000000", {"value": 0.01, "unit": "kVAh"}),
    ("91", "00001500 01000000", {"value": 0.01, "unit": "kWh"}),
    ("91", "00002A00 01000000", {"value": 0.01, "unit": "kWh"}),
    ("91", "00004400 01000000", {"value": 0.01, "unit": "kvarh"}),
    ("91", "00001700 01000000", {}),  # not in the tables
    ("91", "FF000100 01000000 02000000 03", {"values": [0.01, 0.02], "unit": "kWh", "trailing": "03"}),
    ("91", "00FF0100 01000000 00000A00", {"bcd_valid": False, "values": [0.01, None], "unit": "kWh"}),
    ("91", "00FF0100 010000", {"trailing": "010000"}),
    ("91", "00000100 0100", {"trailing": "0100"}),
    ("91", "00000100", {}),
    ("91", "02019000 01000000", {}),  # 00900102 is in no table
    ("91", "01019000 01000000", {"value": 0.01, "unit": "kWh"}),
    ("91", "01029000 99999999", {"value": 999999.99, "unit": "CNY"}),
    ("91", "00FF0102 5622", {"values": [225.6], "unit": "V"}),  # an array even of one
    ("91", "00FF0102 5622 5722 5822 5922", {"values": [225.6, 225.7, 225.8], "unit": "V", "trailing": "5922"}),
    ("91", "00FF0602 0180 0110 0005 5009", {"values": [-0.001, 1.001, 0.5, 0.95], "unit": ""}),
    ("91", "00010702 0012", {"value": 120.0, "unit": "deg"}),
    ("91", "00000102 5622", {}),  # there is no total voltage
    ("91", "01008002 560000", {"value": 0.056, "unit": "A"}),
    ("91", "03008002 010080", {"value": -0.0001, "unit": "kW"}),
    ("91", "05008002 010080", {"value": 80.0001, "unit": "kvar"}),
    ("91", "07008002 5582", {"value": -25.5, "unit": "C"}),
    ("91", "08008002 6003", {"value": 3.6, "unit": "V"}),
    ("91", "0A008002 78563412", {"value": 12345678, "unit": "min"}),
    ("91", "01010004 04311226", {"date": "2026-12-31", "weekday": 4}),
    ("91", "01010004 07280226", {"date": "2026-02-28", "weekday": None}),
    ("91", "01010004 06300226", {"date": None, "weekday": 6}),  # there is no 30 February
    ("91", "02010004 605923", {"time": None}),
    ("91", "02010004 5A5923", {"time": None, "bcd_valid": False}),
    ("91", "01040004 120000000020", {"digits": "200000000012"}),
    ("91", "02040004 FFFFFFFFFFFF", {"digits": None}),
    ("91", "04040004 56302E303232", {"ascii": "220.0V"}),
    ("91", "05040004 000041302E35", {"ascii": "5.0A"}),
    ("91", "07040004 20302E31", {"ascii": "1.0"}),
    ("91", "0A040004 002000", {"value": 2000, "unit": "imp/kvarh"}),
    ("91", "01000605 3012210626", {"datetime": "2026-06-21T12:30"}),
    ("91", "01010605 01000000 02000000", {"values": [0.01, 0.02], "unit": "kWh"}),
    ("91", "000D3003 030000", {"value": 3, "unit": ""}),
    ("B1", "00000100 01000000", {"more": True, "value": 0.01, "unit": "kWh"}),
    ("92", "00000100 01000000 07", {"seq": 7, "more": False, "value": 0.01, "unit": "kWh"}),
    ("B2", "00FF0100 01000000 09 02", {"seq": 2, "more": True, "values": [0.01], "unit": "kWh", "trailing": "09"}),
    ("12", "00FF0100 05", {"seq": 5}),
    ("11", "00FF0100 05", {}),  # a load record's number of blocks
    ("D2", "40", {"err": 64, "err_bits": ["too_many_tariffs"]}),
    ("D1", "03", {"err": 3, "err_bits": ["other", "no_requested_data"]}),
    ("D4", "04", {"err": 4, "err_bits": ["password_or_unauthorised"]}),
    ("C1", "0B", {"err": 11, "err_bits": ["illegal_data", "di_wrong", "reserved"]}),
    ("94", "", {}),
    ("14", "0101000402000000 00000000 04311226", {}),
    ("93", "120000001020", {"meter_address": "201000000012"}),
    ("13", "", {}),
    ("08", "5122100506", {"trailing": "5122100506"}),
    ("08", "512210311117", {"datetime": None}),
    ("81", "1190 56341200", {"value": 1234.56, "unit": "kWh"}),
    ("81", "1F90 56341200 AA 78563412 AA", {"values": [1234.56, 123456.78], "unit": "kWh"}),
    ("81", "1F90 56341200 78563412 AA", {"values": [1234.56, 123456.78], "unit": "kWh"}),
    ("81", "1590 56341200", {}),
    ("81", "11B6 2002", {"value": 220, "unit": "V"}),
    ("81", "1FB6 2002 AA 2102 AA 1902 AA", {"values": [220, 221, 219], "unit": "V"}),
    ("81", "22B6 3412", {"value": 12.34, "unit": "A"}),
    ("81", "3FB6 341205 000000 341205 000000 01", {"values": [5.1234, 0, 5.1234, 0], "unit": "kW", "trailing": "01"}),
    ("81", "2091 01000000", {"value": 0.01, "unit": "kvarh"}),
    ("81", "10C0 01110116", {"date": "2016-01-11", "weekday": 1}),
    ("81", "11C0 325318", {"time": "18:53:32"}),
    ("81", "32C0 140400000000", {"digits": "000000000414"}),
    ("A1", "1090 01000000", {"more": True, "value": 0.01, "unit": "kWh"}),
    ("82", "1F90 01000000", {"more": False, "values": [0.01], "unit": "kWh"}),
    ("83", "1090 01000000", {"value": 0.01, "unit": "kWh"}),
    ("A3", "1090 01000000", {"more": True, "value": 0.01, "unit": "kWh"}),
]  # fmt: skip


@pytest.mark.parametrize(("control", "plain", "expected"), RULES)
def test_each_rule_of_the_page_holds(control: str, plain: str, expected: dict[str, Any]) -> None:
    assert shown(control, plain) == expected


def test_status_words_have_every_name() -> None:
    word = shown("91", "07050004 0306")
    assert word["word"] == "0603"
    held = {name for name, value in word.items() if value is True}
    assert held == {"voltage_sequence_reverse", "current_sequence_reverse", "cover_open", "terminal_cover_open"}
    assert len(word) == 1 + 11
    words = shown("91", "FF050004 0400 0100 1203 8000")["words"]
    assert [each["word"] for each in words] == ["0004", "0001", "0312", "0080"]
    assert words[0]["clock_battery_low"] is True
    assert words[1]["active_power_reverse_a"] is True
    assert (words[2]["supply"], words[2]["prepaid"]) == ("auxiliary", None)
    assert words[3]["phase_broken"] is True
    assert shown("91", "03050004 FFFF")["supply"] is None


def test_the_edition_may_be_said() -> None:
    frame = made("11", "00000100")
    assert fields_of(frame)["protocol"] == "2007"
    assert "di" not in fields_of(frame, "1997")
    assert fields_of(made("08", "512210050617"), "1997")["datetime"] == "2017-06-05T10:22:51"
    assert set(EDITIONS) == {"auto", "1997", "2007"}


def test_a_frame_is_found_behind_noise_and_behind_a_false_start() -> None:
    frame = made("91", "00000100 56341200", preamble="FE FE")
    for noise in ("00 68", "68 00 00 00 00 00 00 68", "68 11 68", "FF FE 16"):
        found = fields_of(bytes.fromhex(noise) + frame)
        assert (found["valid"], found["value"], found["preamble_fe"]) == (True, 1234.56, 2)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("", {"protocol": "2007", "valid": False, "reason": "header"}),
        ("68 12 90 78 56 34 12", {"protocol": "2007", "valid": False, "reason": "header"}),
        ("68 12 90 78 56 34 12 68", {"protocol": "2007", "valid": False, "reason": "incomplete"}),
        ("68 12 90 78 56 34 12 68 81", {"protocol": "1997", "valid": False, "reason": "incomplete"}),
        ("68 12 90 78 56 34 12 68 91 08 33 33 34", {"protocol": "2007", "valid": False, "reason": "incomplete"}),
    ],
)
def test_a_frame_that_is_none_has_its_reason_and_no_more(frame: str, expected: dict[str, Any]) -> None:
    fields = fields_of(bytes.fromhex(frame))
    assert fields.pop("error")
    assert fields == expected


def test_a_wrong_end_byte_shows_the_sum_all_the_same() -> None:
    fields = fields_of(made("91", "00000100 56341200")[:-1] + b"\x17")
    assert (fields["valid"], fields["computed_cs"], fields["di"]) == (False, "54", "00010000")
    assert "value" not in fields


@pytest.mark.parametrize("lang", LANGUAGES)
def test_people_get_titles_and_reasons(lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    for vector in VECTORS:
        status = main(["frame", "dlt645", vector["hex"], "--lang", lang])
        text = capsys.readouterr().out
        if status == 0:
            assert vector["fields"]["address"] in text
        else:
            assert "frame.wrong" not in text
    keys = {key for vector in VECTORS for key in vector["fields"]} - {"reason", "computed_cs"}
    assert {key for key in keys if not Messages(lang).has(f"frame.dlt645.{key}")} == set()


def test_what_is_no_hex_or_no_edition_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frame", "dlt645", "68 1G"]) == 2
    assert main(["frame", "dlt645", "6812", "--edition", "2013"]) == 2
    assert main(["frame", "dlt64", "6812"]) == 2
    assert "2013" in capsys.readouterr().err
