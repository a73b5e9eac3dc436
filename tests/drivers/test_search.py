"""How a bus is searched, and questions that another process has made."""

from __future__ import annotations

import pytest

from drivers.cjt188_search import RAW_CJT188, cjt188_calls
from drivers.contract import NEED_DATA, Reply
from drivers.modbus_search import is_modbus_read, is_whole_modbus, modbus_calls
from drivers.octets import crc16
from drivers.raw import RawAsk


def framed(text: str) -> bytes:
    body = bytes.fromhex(text)
    return body + crc16(body)


def test_a_modbus_call_reads_two_registers_from_an_even_address() -> None:
    (call,) = modbus_calls(framing="rtu", numbers=[7])
    assert call.address == "7"
    assert call.ask.begin(0).request == framed("07 03 00 00 00 02")
    assert call.narrower() == ()


@pytest.mark.parametrize("frame", [framed("05 03 04 00 00 41 48"), framed("05 83 02")], ids=["registers", "exception"])
def test_a_late_answer_betrays_its_sender_also_behind_noise(frame: bytes) -> None:
    (call,) = modbus_calls(framing="rtu", numbers=[6])
    assert call.heard(frame) == "5"
    assert call.heard(b"\x00\xff" + frame) == "5"
    assert call.heard(frame[:-1]) is None
    assert call.heard(call.ask.begin(0).request) is None, "the echo of the question is no answer"


def test_a_raw_question_is_over_when_its_answer_is_complete() -> None:
    request = framed("05 04 00 00 00 02")
    exchange = RawAsk(request, is_whole_modbus).begin(0)
    reply = framed("05 04 04 00 00 41 48")
    assert exchange.request == request
    for at in range(len(reply) - 1):
        assert exchange.receive(reply[at : at + 1]) is NEED_DATA
    got = exchange.receive(reply[-1:])
    assert isinstance(got, Reply)
    assert got.frame == reply
    refused = RawAsk(request, is_whole_modbus).begin(0).receive(b"\x00" + framed("05 84 02"))
    assert isinstance(refused, Reply)
    assert RawAsk(request, is_whole_modbus).begin(0).receive(framed("06 04 04 00 00 41 48")) is NEED_DATA


def test_a_raw_question_on_tcp_gets_a_number_of_its_own() -> None:
    request = bytes.fromhex("0000 0000 0006 05 03 0000 0002")
    exchange = RawAsk(request, is_whole_modbus, is_numbered=True).begin(0x1234)
    assert exchange.request == bytes.fromhex("1234 0000 0006 05 03 0000 0002")
    late = bytes.fromhex("1233 0000 0007 05 03 04 00000001")
    mine = bytes.fromhex("1234 0000 0007 05 03 04 00000002")
    assert exchange.receive(late) is NEED_DATA
    assert isinstance(exchange.receive(mine), Reply)


@pytest.mark.parametrize(
    ("framing", "request_hex", "reads"),
    [
        ("rtu", framed("05 03 00 00 00 02").hex(), True),
        ("rtu", framed("05 06 00 00 00 02").hex(), False),  # writes a register
        ("rtu", framed("00 03 00 00 00 02").hex(), False),  # to everybody
        ("rtu", framed("05 03 00 00 00 02 00").hex(), False),
        ("rtu", "050300000002ffff", False),
        ("tcp", "00000000000605030000 0002", True),
        ("tcp", "00000000000605060000 0002", False),
        ("tcp", "0000", False),
    ],
)
def test_only_reads_are_put_for_others(framing: str, request_hex: str, reads: bool) -> None:
    assert is_modbus_read(framing, bytes.fromhex(request_hex)) is reads


def test_cjt188_meters_are_called_in_both_byte_orders() -> None:
    calls = cjt188_calls(framing="rtu", numbers=[1])
    sent = [call.ask.begin(1).request for call in calls]
    # sheet, 2: T AA, address AA…; control 01, DI 901F in both orders, SER 1
    assert [frame[frame.index(0x68) :][:14].hex() for frame in sent] == [
        "68aaaaaaaaaaaaaaaa0103901f01", "68aaaaaaaaaaaaaaaa01031f9001",
    ]  # fmt: skip
    assert all(call.address == "AA" * 7 and call.narrower() == () for call in calls)
    assert cjt188_calls(framing="tcp", numbers=[1]) == ()
    # sheet, 6: a captured reply of meter 00000805000001
    reply = bytes.fromhex(
        "FEFEFE 6810010000050800008116901F000023 01002C000000002C 00000000000000 0000 48 16".replace(" ", "")
    )
    assert calls[0].heard(reply) == "00000805000001"
    assert calls[0].heard(sent[0]) is None, "a request is no meter"
    assert RAW_CJT188.is_whole(sent[0], reply)
    assert not RAW_CJT188.is_whole(sent[0], reply[:-1])
    assert RAW_CJT188.is_read("rtu", sent[0])
    assert not RAW_CJT188.is_read("tcp", sent[0])
    assert not RAW_CJT188.is_read("rtu", reply)
