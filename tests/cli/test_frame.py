"""`qushui frame`: fields of sound frames, the precise mistake of others. Frames: the specification's own examples."""

from __future__ import annotations

import ast
import inspect
import json

import pytest

from agent.cli.main import main
from agent.messages import LANGUAGES, Messages
from drivers import modbus_frame
from drivers.octets import crc16

# MODBUS Application Protocol V1.1b3 gives the PDUs of sections 6.1 to 6.12; unit 0x11 and CRCs from MODBUS over Serial
# Line examples; each CRC here is checked against the standard's polynomial by test_octets.
SPECIFIED = [  # PDU, direction to give, what it must say
    ("01 0013 0013", None, {"function": 1, "direction": "request", "register": 0x13, "count": 0x13}),  # 6.1
    ("01 03 CD6B05", "reply", {"function": 1, "direction": "reply", "count": None, "data": "CD6B05"}),
    ("02 00C4 0016", None, {"function": 2, "direction": "request", "register": 0xC4, "count": 0x16}),  # 6.2
    ("03 006B 0003", None, {"function": 3, "direction": "request", "register": 0x6B, "count": 3}),  # 6.3
    ("03 06 022B 0000 0064", None, {"function": 3, "direction": "reply", "count": 3, "data": "022B00000064"}),
    ("04 0008 0001", None, {"function": 4, "direction": "request", "register": 8, "count": 1}),  # 6.4
    ("04 02 000A", None, {"function": 4, "direction": "reply", "count": 1, "data": "000A"}),
    ("05 00AC FF00", None, {"function": 5, "direction": None, "register": 0xAC, "data": "FF00"}),  # 6.5
    ("06 0001 0003", "reply", {"function": 6, "direction": "reply", "register": 1, "data": "0003"}),  # 6.6
    (
        "0F 0013 000A 02 CD01",
        None,
        {"function": 15, "direction": "request", "register": 0x13, "count": 10, "data": "CD01"},
    ),
    ("0F 0013 000A", None, {"function": 15, "direction": "reply", "register": 0x13, "count": 10}),  # 6.11
    (
        "10 0001 0002 04 000A 0102",
        None,
        {"function": 16, "direction": "request", "count": 2, "data": "000A0102"},
    ),  # 6.12
    ("10 0001 0002", None, {"function": 16, "direction": "reply", "register": 1, "count": 2}),
    ("81 02", None, {"function": 1, "direction": "reply", "exception": 2}),  # 7
    ("11", None, {"function": 17, "direction": None, "data": ""}),  # 6.13: Report Server ID, shown as it is
]


def rtu(pdu: str, address: int = 0x11) -> bytes:
    body = bytes([address]) + bytes.fromhex(pdu)
    return body + crc16(body)


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["frame", *words, "--lang", "en"])
    output = capsys.readouterr()
    return status, output.out, output.err


@pytest.mark.parametrize(("pdu", "direction", "expected"), SPECIFIED)
def test_the_examples_of_the_standard_are_decoded(
    capsys: pytest.CaptureFixture[str], pdu: str, direction: str | None, expected: dict[str, object]
) -> None:
    frame = rtu(pdu)
    given = ["--direction", direction] if direction else []
    status, out, _ = shown(capsys, "modbus-rtu", frame.hex(), "--json", *given)
    assert status == 0
    assert json.loads(out).items() >= {"address": 0x11, "crc": frame[-2:].hex().upper(), **expected}.items()


@pytest.mark.parametrize(("pdu", "direction", "expected"), SPECIFIED)
def test_the_same_over_tcp(
    capsys: pytest.CaptureFixture[str], pdu: str, direction: str | None, expected: dict[str, object]
) -> None:
    body = b"\x11" + bytes.fromhex(pdu)
    frame = b"\x12\x34\x00\x00" + len(body).to_bytes(2, "big") + body
    given = ["--direction", direction] if direction else []
    status, out, _ = shown(capsys, "modbus-tcp", frame.hex(), "--json", *given)
    assert status == 0
    assert json.loads(out).items() >= {"address": 0x11, "transaction": 0x1234, "crc": None, **expected}.items()


def test_json_always_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = shown(capsys, "modbus-rtu", "01 03 00 00 00 02 C4 0B", "--json")
    assert json.loads(out) == {
        "transaction": None, "address": 1, "function": 3, "direction": "request", "register": 0, "count": 2,
        "data": None, "exception": None, "crc": "C40B",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["010300000002C40B", "01 03 00 00 00 02 c4 0b", "01:03:00:00:00:02:C4:0B", "0x01 0x03 0 0 0 2 0xC4 0xB",
             "01-03-00-00-00-02-C4-0B", "0103 0000 0002 C40B", "0x01,0x03,0x00,0x00,0x00,0x02,0xC4,0x0B"],
)  # fmt: skip
def test_hex_is_taken_as_tools_print_it(capsys: pytest.CaptureFixture[str], text: str) -> None:
    status, out, _ = shown(capsys, "modbus-rtu", *text.split(), "--json")
    assert (status, json.loads(out)["crc"]) == (0, "C40B")


@pytest.mark.parametrize(
    ("frame", "code", "arguments"),
    [
        ("01 03 00", "too_short", {"size": 3, "least": 4}),
        ("01 03 00 00 00 02 C4 0C", "checksum", {"expected": "C4 0B", "received": "C4 0C"}),
        ("01 03 00 00 00 02 0B C4", "checksum_swapped", {"expected": "C4 0B", "received": "0B C4"}),
        ("01 03 00 00 00 02 C4 0B FF", "bytes_after", {"size": 8, "extra": 1, "rest": "FF"}),
        ("00 FF 01 03 00 00 00 02 C4 0B", "bytes_before", {"extra": 2, "rest": "00 FF"}),
        ("01 03 04 00 01 E2 40", "cut", {"size": 7, "expected": 9}),
        (rtu("03 0000 0000").hex(), "count_range", {"count": 0, "most": 125}),
        (rtu("03 0000 007E").hex(), "count_range", {"count": 126, "most": 125}),
        (rtu("03 FFFF 0002").hex(), "beyond_end", {"register": 65535, "count": 2}),
        (rtu("03 05 0001 0002").hex(), "byte_count", {"received": 5, "actual": 4}),
        (rtu("03 03 000102").hex(), "count_range", {"count": 0x0102, "most": 125}),
        (rtu("03 05 0001020304").hex(), "odd_bytes", {"received": 5}),
        (rtu("05 00AC 0001").hex(), "coil_value", {"received": "00 01"}),
        (rtu("06 0001").hex(), "body_size", {"expected": 4, "received": 2}),
        (rtu("10 0001 0002 04 000A").hex(), "write_size", {"count": 2, "expected": 4, "received": 4, "actual": 2}),
        (rtu("10 0001 0002 02 000A").hex(), "write_size", {"count": 2, "expected": 4, "received": 2, "actual": 2}),
        (rtu("00 00").hex(), "function_zero", {}),
        ("00 01 00 00 00 06 01 03 00 00 00 02", "looks_like_tcp", {}),
    ],
)
def test_a_wrong_rtu_frame_is_explained(
    capsys: pytest.CaptureFixture[str], frame: str, code: str, arguments: dict[str, object]
) -> None:
    status, out, _ = shown(capsys, "modbus-rtu", frame, "--json")
    assert status == 1
    assert json.loads(out) == {"error": {"code": code, "arguments": arguments}}


@pytest.mark.parametrize(
    ("frame", "code", "arguments"),
    [
        ("00 01 00 00 00 06", "too_short", {"size": 6, "least": 8}),
        ("00 01 00 07 00 06 01 03 00 00 00 02", "protocol", {"received": 7}),
        ("00 01 00 00 00 07 01 03 00 00 00 02", "length_field", {"received": 7, "expected": 6}),
        ("01 03 00 00 00 02 C4 0B", "looks_like_rtu", {}),
        ("00 01 00 00 00 03 01 83 02 00", "length_field", {"received": 3, "expected": 4}),
    ],
)
def test_a_wrong_tcp_frame_is_explained(
    capsys: pytest.CaptureFixture[str], frame: str, code: str, arguments: dict[str, object]
) -> None:
    status, out, _ = shown(capsys, "modbus-tcp", frame, "--json")
    assert status == 1
    assert json.loads(out) == {"error": {"code": code, "arguments": arguments}}


def test_an_exception_cannot_be_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = shown(capsys, "modbus-rtu", rtu("83 02").hex(), "--json", "--direction", "request")
    assert (status, json.loads(out)["error"]["code"]) == (1, "request_exception")


def test_where_length_does_not_tell_the_direction_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    frame = rtu("01 03 0000 10").hex()  # 16 coils from 0x0300 on, or three bytes of coils
    status, _, err = shown(capsys, "modbus-rtu", frame)
    assert status == 2
    assert "--direction" in err
    status, out, _ = shown(capsys, "modbus-rtu", frame, "--direction", "request", "--json")
    assert (json.loads(out)["register"], json.loads(out)["count"]) == (0x0300, 16)
    status, out, _ = shown(capsys, "modbus-rtu", frame, "--direction", "reply", "--json")
    assert json.loads(out)["data"] == "000010"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("01 0G 03", "“0G” is not hex: character 2 is G (0-9 A-F)."),
        ("0103000000020", "“0103000000020” has 13 digits, an odd number: two make a byte"),
        ("A" * 3001, "“AAAAAAAAAAAAAAAAAAAAAAAA…” has 3001 digits, an odd number: two make a byte"),
        (" ", 'There are no hex bytes; type them as "01 03 00 00 00 02 C4 0B".'),
    ],
    ids=["character", "odd", "long", "nothing"],
)  # fmt: skip
def test_what_is_wrong_with_hex_is_named_by_its_place(capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    status, out, err = shown(capsys, "modbus-rtu", text)
    assert (status, out) == (2, "")
    assert " ".join(err.split()).startswith(said)


@pytest.mark.parametrize("text", ["01 0G", "010", "hello", "", "01 03 0"])
def test_what_is_no_hex_is_wrong_input(capsys: pytest.CaptureFixture[str], text: str) -> None:
    status, out, err = shown(capsys, "modbus-rtu", text)
    if text == "01 03 0":  # single digits beside pairs are bytes: 01 03 00
        assert (status, out) == (1, "Too short: 3 bytes, the least is 4.\n")
    else:
        assert (status, out) == (2, "")
        assert err


def test_an_unknown_protocol_is_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    for typed, meant in (("modbus_rtu", "modbus-rtu"), ("SZY206", "szy206"), ("sl-651", "sl651"), ("DLT645", "dlt645")):
        status, _, err = shown(capsys, typed, "01")
        assert status == 2
        assert f"Did you mean {meant}?" in err


READ = "6801000000000068110433333433B316"  # DL/T 645-2007: one meter's forward active total is asked for


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sl651", "7E7E", "--flow-block", "B"), "--flow-block says nothing about sl651; that takes --edition."),
        (("szy206", "6868", "--direction", "reply"), "--direction says nothing about szy206;"),
        (("dlt645", READ, "--litre-decimals", "0"), "--litre-decimals says nothing about dlt645;"),
        (("modbus-rtu", "01", "--edition", "2021"), "--edition says nothing about modbus-rtu;"),
        (("dlt645", READ, "--protocol", "2004"), "--edition cannot be 2004; it can be auto 1997 2007."),
    ],
)
def test_an_option_of_another_protocol_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    status, out, err = shown(capsys, *words)
    assert (status, out) == (2, "")
    assert said in " ".join(err.split())


@pytest.mark.parametrize("option", ["--protocol", "--edition"])
def test_the_edition_of_an_electricity_meter_goes_by_either_name(
    capsys: pytest.CaptureFixture[str], option: str
) -> None:
    status, out, _ = shown(capsys, "dlt645", READ, "--json", option, "1997")
    assert (status, json.loads(out)["protocol"]) == (0, "1997")


def test_a_frame_speaks_the_language_of_its_reader(capsys: pytest.CaptureFixture[str]) -> None:
    """Parts of a frame and its direction by their titles, not by the keys that machines get."""
    assert main(["frame", "sl651", "7E7E3301060001011234328008020007250102080005035CBA", "--lang", "zh"]) == 1
    assert "此方向（下行）的结束符应为" in "".join(capsys.readouterr().out.split())


def test_every_mistake_has_a_sentence_in_both_languages() -> None:
    tree = ast.parse(inspect.getsource(modbus_frame))
    calls = (
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "FrameError"
    )
    codes = {node.args[0].value for node in calls if isinstance(node.args[0], ast.Constant)}
    assert len(codes) > 15
    for lang in LANGUAGES:
        messages = Messages(lang)
        assert {code for code in codes if not messages.has(f"frame.wrong.{code}")} == set()


def test_a_frame_on_a_phone_shows_names_and_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            "frame",
            "modbus-rtu",
            "010304000102033A2A".replace("3A2A", crc16(bytes.fromhex("01030400010203")).hex()),
            "--lang",
            "zh",
        ]
    )
    out = capsys.readouterr().out
    assert "读保持寄存器" in out
    assert "00 01 02 03" in out
