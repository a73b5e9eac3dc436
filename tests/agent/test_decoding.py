"""A stored round is taken apart from the frames it came in, whatever they look like on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from agent.decoding import Decoding
from agent.model import Layout, StoredRound
from agent.profiles import Library
from drivers.octets import crc16
from drivers.registry import DRIVERS

ELECTRIC = "000000000012"


def steps(name: str, address: str, quantity: str, *frames: tuple[str, str]) -> dict[str, Any]:
    """How the frames of a round (hex) become a quantity."""
    library = Library(drivers=DRIVERS, directories=())
    profile = library.load(name)
    requests, raw = zip(*((bytes.fromhex(sent), bytes.fromhex(heard)) for sent, heard in frames), strict=True)
    layout = Layout(
        meter="m", profile=name, version=profile.version, protocol=profile.protocol, address=address,
        quantities=(quantity,), flags=(), period_ms=1000, requests=requests,
    )  # fmt: skip
    stored = StoredRound(number=1, id="0a1b2c3d-1", layout=layout, at_ms=0, texts=(None,), quality=None)
    (found,) = Decoding(library, DRIVERS).told(stored, raw, quantity)["decoded"]
    return found


def rtu(hex_text: str) -> str:
    frame = bytes.fromhex(hex_text)
    return (frame + crc16(frame)).hex()


def dlt645(control: int, plain: str) -> str:
    """A frame from or to the electricity meter: 68, address, 68, control, length, data + 33H, sum, 16."""
    data = bytes((byte + 0x33) & 0xFF for byte in bytes.fromhex(plain))
    head = b"\x68" + bytes.fromhex(ELECTRIC)[::-1] + bytes([0x68, control, len(data)]) + data
    return (head + bytes([sum(head) & 0xFF, 0x16])).hex()


FLOW = (rtu("01 03 0000 0002"), rtu("01 03 04 79DB 42B1"))  # TUF-2000: 42B179DB is 88.738 as float32, low word first


@pytest.mark.parametrize("around", [("", ""), ("00ff17", ""), ("010304", "01"), ("", FLOW[1])])
def test_an_rtu_read_of_two_registers_from_0_is_not_taken_for_modbus_tcp(around: tuple[str, str]) -> None:
    found = steps("tuf2000", "1", "flow_rate", (FLOW[0], around[0] + FLOW[1] + around[1]))
    assert (found["value"], found["items"][0]["bytes"], found["reasons"]) == ("88.738", "79db42b1", [])


def test_of_tcp_frames_the_one_that_answered_counts() -> None:
    late = "0011 0000 000b 01 04 08 00000000 00000000"
    reply = "0012 0000 000b 01 04 08 42B4BEFA 3FB5D639"  # 42B4BEFA: 90.373
    codes = ("0000 0000 0006 01 04 1020 0002", "0013 0000 0007 01 04 04 0005 0001")
    found = steps("l-mag", "1", "flow_rate", ("0000 0000 0006 01 04 1010 0004", late + reply), codes)
    assert found["value"] == "90.373"


def test_a_unit_code_says_what_it_stands_for() -> None:
    reply = "0012 0000 000b 01 04 08 42B4BEFA 3FB5D639"
    codes = ("0000 0000 0006 01 04 1020 0002", "0013 0000 0007 01 04 04 0005 0001")
    found = steps("l-mag", "1", "flow_rate", ("0000 0000 0006 01 04 1010 0004", reply), codes)
    assert found["items"][1] == {
        "item": "input 4128 u16", "bytes": "0005", "raw": "5", "role": "factor", "times": "1"
    }  # fmt: skip


def test_the_members_of_a_block_that_was_read_whole_have_their_bytes() -> None:
    block = (dlt645(0x11, "00FF0102"), dlt645(0x91, "00FF0102 8522 7022 8622"))  # 0201FF00: 228.5, 227.0, 228.6 V
    found = steps("dlt645-2007", ELECTRIC, "voltage_b", block)
    assert (found["value"], found["items"][0]["bytes"]) == ("227", "7022")


def test_a_block_that_came_in_several_frames_is_put_together() -> None:
    first = dlt645(0x91 | 0x20, "00FF0102 8522")
    follow = dlt645(0x92 | 0x20, "00FF0102 7022 01") + dlt645(0x92, "00FF0102 8622 02")
    found = steps("dlt645-2007", ELECTRIC, "voltage_c", (dlt645(0x11, "00FF0102"), first + follow))
    assert (found["value"], found["items"][0]["bytes"]) == ("228.6", "8622")


def test_what_no_frame_holds_is_not_called_silence_and_has_no_raw_number() -> None:
    found = steps("tuf2000", "1", "flow_rate", (FLOW[0], rtu("01 83 02")))
    assert (found["value"], found["reasons"]) == (None, ["NOT_IN_FRAMES"])
    assert (found["items"][0]["bytes"], found["items"][0]["raw"]) == ("", "")


def test_a_record_of_a_water_meter_is_named_as_its_standard_names_it() -> None:
    asked = "FEFEFEFE 68 10 77000000000000 01 03 90 1F 00 A2 16"
    reply = "68 10 77000000000000 81 16 90 1F 21 62550000 2C 00000000 2C 00000000000000 0000 65 16"  # 55.62 m3
    found = steps("cjt188-cold-2004", "00000000000077", "volume_forward", (asked, reply))
    assert (found["value"], found["items"][0]["item"]) == ("55.62", "901F total fixed")
