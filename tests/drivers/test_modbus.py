"""The Modbus driver against frames of real meters, the standard's examples, and every deception clients let through."""

from __future__ import annotations

import random
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

from drivers.contract import (
    NEED_DATA,
    BadChecksum,
    Malformed,
    NoValue,
    Refusal,
    Refused,
    Reply,
    SpecError,
    WireCost,
    WireError,
    WrongAddress,
)
from drivers.modbus import ModbusDriver
from drivers.octets import crc16
from tests import wire

CHARACTER_S = 10 / 9600
SERIAL = WireCost(character_s=CHARACTER_S, request_s=13 * CHARACTER_S + 0.028, register_s=2 * CHARACTER_S)
RTU = ModbusDriver(framing="rtu", cost=SERIAL)
TCP = ModbusDriver(framing="tcp")


def item(register, kind="u16", order="abcd", table="holding", driver=RTU, **more):
    return driver.item({"table": table, "register": register, "type": kind, "order": order, **more})


def rtu(text: str) -> bytes:
    body = bytes.fromhex(text)
    return body + crc16(body)


# request, reply, item, value. The frames are the fact sheet's (section 2: CRC-verified; 14: verified).
CAPTURED = [
    ("01 04 10 10 00 02 74 CE", "01 04 04 C4 1C 60 00 2F 72", item(0x1010, "f32", table="input"), "-625.5"),
    ("01 04 10 24 00 01 75 01", "01 04 02 00 01 78 F0", item(0x1024, table="input"), "1"),
    ("01 03 00 04 00 02 85 CA", "01 03 04 06 51 3F 9E 3B 32", item(4, "f32", "cdab"), "1.2345678"),
]


@pytest.mark.parametrize(("request_hex", "reply_hex", "field", "text"), CAPTURED)
def test_captured_frames_are_asked_for_and_read_four_ways(request_hex, reply_hex, field, text):
    (ask,) = RTU.plan("1", [(field,)], {})
    reply, expected = bytes.fromhex(reply_hex), (Decimal(text),)
    assert ask.begin(0).request == bytes.fromhex(request_hex)
    for check in (wire.check_whole, wire.check_byte_by_byte, wire.check_flips):
        check(lambda: ask.begin(0), reply, expected)
    wire.check_noise(lambda: ask.begin(0), reply, expected, found=True)


def test_an_integer_and_its_fraction_come_in_one_request():
    """01 04 08 00 00 70 71 3F 00 00 00 5F 22 is 28785 and 0.5 in the fact sheet."""
    pair = (item(0x1018, "u32", table="input"), item(0x101A, "f32", table="input"))
    (ask,) = RTU.plan("1", [pair], {"max_gap": 0})
    reply = bytes.fromhex("01 04 08 00 00 70 71 3F 00 00 00 5F 22")
    wire.check_whole(lambda: ask.begin(0), reply, (Decimal(28785), Decimal("0.5")))
    wire.check_flips(lambda: ask.begin(0), reply, (Decimal(28785), Decimal("0.5")))


def test_frames_are_the_ones_pymodbus_builds_and_reads():
    framer = FramerRTU(DecodePDU(is_server=False))
    (ask,) = RTU.plan("7", [(item(10, "u32"),)], {})
    registers = [0x0001, 0xE240]
    reply = framer.buildFrame(ReadHoldingRegistersResponse(registers=registers, dev_id=7))
    wire.check_whole(lambda: ask.begin(0), reply, (Decimal(123456),))
    used, pdu = FramerRTU(DecodePDU(is_server=True)).handleFrame(ask.begin(0).request, 7, 0)
    assert used == 8
    assert (pdu.address, pdu.count, pdu.dev_id) == (10, 2, 7)
    (ask,) = TCP.plan("7", [(item(10, "u32"),)], {})
    answer = FramerSocket(DecodePDU(is_server=False)).buildFrame(
        ReadHoldingRegistersResponse(registers=registers, dev_id=7, transaction_id=0x1234)
    )
    wire.check_whole(lambda: ask.begin(0x1234), answer, (Decimal(123456),))


@given(st.binary(min_size=1, max_size=64))
def test_the_crc_is_that_of_pymodbus(data):
    assert crc16(data) == FramerRTU.compute_CRC(data).to_bytes(2, "big")


# --- what clients let through (each line of the library facts), as the line would hear it


def expect_end(ask, received: bytes, kind: type[WireError]) -> None:
    exchange = ask.begin(0)
    assert wire.fed(exchange, [received]) is NEED_DATA
    assert type(exchange.end()) is kind


def test_an_answer_with_more_registers_than_asked_is_malformed():
    (ask,) = RTU.plan("1", [(item(0, "u32"),)], {})
    expect_end(ask, rtu("01 03 08 00 01 00 02 00 03 00 04"), Malformed)


def test_an_answer_to_another_function_is_malformed():
    (ask,) = RTU.plan("1", [(item(0, "u32"),)], {})
    expect_end(ask, rtu("01 04 04 00 01 00 02"), Malformed)


def test_an_answer_of_another_meter_is_a_wrong_address():
    (ask,) = RTU.plan("1", [(item(0, "u32"),)], {})
    expect_end(ask, rtu("02 03 04 00 01 00 02"), WrongAddress)


def test_a_bad_crc_is_told_from_silence_and_from_a_cut_frame():
    (ask,) = RTU.plan("1", [(item(0, "u32"),)], {})
    good = rtu("01 03 04 00 01 00 02")
    expect_end(ask, good[:-1] + bytes([good[-1] ^ 1]), BadChecksum)
    expect_end(ask, good[:-3], Malformed)
    assert ask.begin(0).end() is None


def test_an_echo_of_the_request_is_named_and_never_read():
    (ask,) = RTU.plan("1", [(item(0x0400, "u32"),)], {})
    exchange = ask.begin(0)
    assert wire.fed(exchange, [exchange.request]) is NEED_DATA
    assert "echo" in str(exchange.end())


def test_a_late_answer_of_another_transaction_is_dropped_on_tcp():
    (ask,) = TCP.plan("1", [(item(0),)], {})
    late = bytes.fromhex("0001 0000 0005 01 03 02 0063")
    fresh = bytes.fromhex("0002 0000 0005 01 03 02 0007")
    assert wire.values_of(ask.begin(2).receive(late + fresh)) == (Decimal(7),)
    assert ask.begin(2).receive(late) is NEED_DATA


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ("0002 0000 0005 09 03 02 0007", WrongAddress),
        ("0002 0000 0005 01 04 02 0007", Malformed),
        ("0002 0000 0007 01 03 04 0007 0008", Malformed),
        ("0002 0001 0005 01 03 02 0007", Malformed),
        ("0002 0000 FFFF 01 03 02 0007", Malformed),
        ("0002 0000 0003 01 83 02", Refused),
    ],
)
def test_a_tcp_answer_that_is_not_to_this_question_gives_no_value(frame, kind):
    (ask,) = TCP.plan("1", [(item(0),)], {})
    with pytest.raises(kind):
        ask.begin(2).receive(bytes.fromhex(frame))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, Refusal.NEVER), (2, Refusal.NARROWER), (3, Refusal.NARROWER), (4, Refusal.NEVER), (5, Refusal.LATER),
        (6, Refusal.LATER), (10, Refusal.ABSENT), (11, Refusal.ABSENT), (99, Refusal.NEVER),
    ],
)  # fmt: skip
def test_exceptions_mean_never_narrower_later_or_absent(code, kind):
    (ask,) = RTU.plan("1", [(item(0),)], {})
    outcome = wire.fed(ask.begin(0), [rtu(f"01 83 {code:02x}")])
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.kind) == (code, kind)


def test_the_published_refusal_of_a_split_pair_is_read():
    """Fact sheet 14: 01 83 02 C0 F1."""
    (ask,) = RTU.plan("1", [(item(5, "u32"),)], {})
    outcome = wire.fed(ask.begin(0), [bytes.fromhex("01 83 02 C0 F1")])
    assert isinstance(outcome, Refused)
    assert outcome.code == 2


# --- numbers


@pytest.mark.parametrize(
    ("kind", "order", "data", "value"),
    [
        ("u16", "abcd", "04D2", "1234"),
        ("u16", "badc", "D204", "1234"),
        ("i16", "abcd", "FFFE", "-2"),
        ("i16", "abcd", "FFFF", "-1"),
        ("u32", "abcd", "0001E240", "123456"),
        ("u32", "cdab", "E2400001", "123456"),
        ("u32", "badc", "010040E2", "123456"),
        ("u32", "dcba", "40E20100", "123456"),
        ("i32", "cdab", "FFFEFFFF", "-2"),
        ("u48", "abcd", "0001 0000 0002", "4294967298"),
        ("u48", "cdab", "0002 0000 0001", "4294967298"),
        ("u64", "abcd", "0000 0000 3B9A CA00", "1000000000"),
        ("u64", "cdab", "CA00 3B9A 0000 0000", "1000000000"),
        ("u64", "dcba", "00CA 9A3B 0000 0000", "1000000000"),
        ("u64", "ghefcdab", "CA00 3B9A 0000 0000", "1000000000"),
        ("i64", "abcd", "FFFF FFFF FFFF FFFE", "-2"),
        ("f64", "abcd", "41CD CD65 0000 0000", "1000000000"),
        ("bcd32", "abcd", "0012 3456", "123456"),
        ("bcd64", "cdab", "7890 3456 0012 0000", "1234567890"),
    ],
)
def test_every_type_and_order_gives_its_exact_number(kind, order, data, value):
    field = item(0, kind, order)
    assert field.decode(bytes.fromhex(data)) == Decimal(value)
    assert field.encode(Decimal(value)) == bytes.fromhex(data)


@pytest.mark.parametrize(("order", "data", "shown"), [("cdab", "806B 4212", "36.625"), ("dcba", "1E85 0B3F", "0.545")])
def test_published_floats_show_their_published_digits(order, data, shown):
    """Fact sheet, sections 1 and 4: both values are printed with three decimals."""
    value = item(0, "f32", order).decode(bytes.fromhex(data))
    assert round(value, 3) == Decimal(shown)


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("u16", "FFFF", NoValue.NOT_AVAILABLE),
        ("u32", "FFFFFFFF", NoValue.NOT_AVAILABLE),
        ("u64", "FFFFFFFFFFFFFFFF", NoValue.NOT_AVAILABLE),
        ("f32", "7FC00000", NoValue.NOT_A_NUMBER),
        ("f32", "7F800000", NoValue.NOT_A_NUMBER),
        ("f32", "FF800000", NoValue.NOT_A_NUMBER),
        ("f32", "FFFFFFFF", NoValue.NOT_A_NUMBER),
        ("f64", "7FF0000000000000", NoValue.NOT_A_NUMBER),
        ("f64", "FFFFFFFFFFFFFFFF", NoValue.NOT_A_NUMBER),
        ("bcd16", "12A4", NoValue.NOT_BCD),
        ("bcd64", "FFFFFFFFFFFFFFFF", NoValue.NOT_BCD),
    ],
)
def test_what_is_no_number_never_becomes_one(kind, data, reason):
    assert item(0, kind).decode(bytes.fromhex(data)) is reason


def test_a_profile_may_name_further_patterns_or_none():
    assert item(0, "i32", missing=["0x7FFFFFFF"]).decode(b"\x7f\xff\xff\xff") is NoValue.NOT_AVAILABLE
    assert item(0, missing=[]).decode(b"\xff\xff") == 65535


def test_bits_are_cut_out_of_a_word():
    assert item(91, bits=[0, 7]).decode(b"\x12\x5a") == 0x5A
    assert item(91, bits=[8, 15]).decode(b"\x12\x5a") == 0x12


def test_coils_are_read_bit_by_bit():
    """Application protocol V1.1b3, 6.1: coils 20-38 answered CD 6B 05."""
    fields = [(item(at, "bit", table="coil"),) for at in range(19, 38)]
    (ask,) = RTU.plan("1", fields, {})
    assert (ask.start, ask.size) == (19, 19)
    outcome = ask.begin(0).receive(rtu("01 01 03 CD 6B 05"))
    assert wire.values_of(outcome)[:8] == tuple(map(Decimal, (1, 0, 1, 1, 0, 0, 1, 1)))
    assert wire.values_of(outcome)[16:] == (1, 0, 1)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_goes_through_its_shortest_text_and_back(number):
    data = struct.pack(">f", number)
    value = item(0, "f32").decode(data)
    assert struct.pack(">f", float(value)) == (data if number else b"\0\0\0\0")


@given(st.integers(0, 10**9 * 1000), st.sampled_from(["u48", "u64", "f64", "bcd64"]))
def test_no_unit_is_lost_up_to_a_thousand_million_cubic_metres(litres, kind):
    field = item(0, kind)
    assert field.decode(field.encode(Decimal(litres))) == litres


# --- planning


def spans(asks):
    return [(ask.table, ask.start, ask.size) for ask in asks]


def test_four_registers_with_a_gap_of_ten_are_one_request_on_a_serial_line():
    assert spans(RTU.plan("1", [(item(0),), (item(1),), (item(12),), (item(13),)], {})) == [("holding", 0, 14)]


def test_far_registers_and_other_tables_are_requests_of_their_own():
    asks = RTU.plan("1", [(item(0),), (item(100),), (item(0, table="input"),)], {})
    assert spans(asks) == [("holding", 0, 1), ("holding", 100, 1), ("input", 0, 1)]


def test_a_meters_own_limits_bound_the_reads():
    fields = [(item(at),) for at in range(60)]
    sizes = [ask.size for ask in RTU.plan("1", fields, {"max_registers": 50})]
    assert len(sizes) == 2
    assert (sum(sizes), max(sizes) <= 50) == (60, True)
    assert spans(RTU.plan("1", [(item(0),), (item(2),)], {"max_gap": 0})) == [("holding", 0, 1), ("holding", 2, 1)]
    assert spans(RTU.plan("1", [(item(101),), (item(103),)], {"even": True})) == [("holding", 100, 4)]


def test_a_refused_merge_falls_into_its_runs_and_a_run_into_halves():
    (ask,) = RTU.plan("1", [(item(0),), (item(1),), (item(12),), (item(13),)], {})
    assert spans(ask.parts()) == [("holding", 0, 2), ("holding", 12, 2)]
    assert spans(ask.parts()[0].parts()) == [("holding", 0, 1), ("holding", 1, 1)]
    last = ask.parts()[0].parts()[0]
    assert last.parts() == (last,)


def test_a_pair_is_never_split():
    pair = (item(8, "i32"), item(10, "f32"))
    (ask,) = RTU.plan("1", [pair], {})
    assert ask.parts() == (ask,)
    with pytest.raises(SpecError):
        RTU.plan("1", [(item(0), item(200))], {})


@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from(["u16", "u32", "f64"])), min_size=1, max_size=25))
def test_every_plan_reads_everything_once_and_within_the_limit(fields):
    bundles = list(dict.fromkeys((item(at, kind),) for at, kind in fields))
    asks = RTU.plan("1", bundles, {"max_registers": 40})
    read = [unit for ask in asks for unit in ask.units]
    assert sorted(map(repr, read)) == sorted(map(repr, bundles))
    assert all(ask.size <= 40 and ask.start <= unit[0].register and unit[0].end <= ask.start + ask.size
               for ask in asks for unit in ask.units)  # fmt: skip


@pytest.mark.parametrize(
    ("framing", "address"), [("rtu", "0"), ("rtu", "248"), ("rtu", "x"), ("rtu", ""), ("tcp", "256")]
)
def test_an_address_the_protocol_cannot_have_is_refused(framing, address):
    with pytest.raises(SpecError) as raised:
        ModbusDriver(framing=framing).plan(address, [(item(0),)], {})
    assert raised.value.key == "address"


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ({"table": "holdings", "register": 0, "type": "u16"}, "table"),
        ({"table": "holding", "register": 65536, "type": "u16"}, "register"),
        ({"table": "holding", "register": 65535, "type": "u32"}, "register"),
        ({"table": "holding", "type": "u16"}, "register"),
        ({"table": "holding", "register": 0}, "type"),
        ({"table": "holding", "register": 0, "type": "u16", "order": "xyz"}, "order"),
        ({"table": "holding", "register": 0, "type": "i16", "bits": [0, 3]}, "bits"),
        ({"table": "holding", "register": 0, "type": "u16", "missing": ["zz"]}, "missing"),
        ({"table": "holding", "register": 0, "type": "u16", "colour": "red"}, "colour"),
        ({"table": "coil", "register": 0, "type": "u16"}, "type"),
    ],
)
def test_a_wrong_register_entry_names_its_key(spec, key):
    with pytest.raises(SpecError) as raised:
        RTU.item(spec)
    assert raised.value.key == key


# --- hostile bytes


@pytest.mark.parametrize("driver", [RTU, TCP], ids=["rtu", "tcp"])
def test_random_mutated_and_glued_bytes_give_no_value_and_no_crash(driver):
    chance = random.Random(20261121)
    (ask,) = driver.plan("1", [(item(0, "u32", driver=driver),)], {})
    memory = {"1": {"holding": {0: 1, 1: 0xE240}}}
    good = driver.answer(ask.begin(1).request, memory)
    for _ in range(3000):
        mutated = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        junk = chance.choice([chance.randbytes(chance.randrange(300)), bytes(mutated), bytes(mutated) * 2])
        exchange = ask.begin(1)
        outcome = wire.fed(exchange, [junk])
        if isinstance(outcome, Reply) and driver is RTU:
            assert outcome.values == (Decimal(123456),)
        if outcome is NEED_DATA and driver is RTU and junk:
            assert isinstance(exchange.end(), WireError)


# --- the meter's side


def test_a_simulated_meter_answers_as_the_standard_says():
    memory = {"1": {"holding": {0: 0x022B, 1: 0, 2: 0x64}}}
    assert RTU.answer(rtu("01 03 00 00 00 03"), memory) == rtu("01 03 06 02 2B 00 00 00 64")
    assert RTU.answer(rtu("01 03 00 00 00 04"), memory) == rtu("01 83 02")
    assert RTU.answer(rtu("01 03 00 00 00 00"), memory) == rtu("01 83 03")
    assert RTU.answer(rtu("01 06 00 00 00 01"), memory) == rtu("01 86 01")
    assert RTU.answer(rtu("02 03 00 00 00 01"), memory) == b""
    assert RTU.answer(rtu("01 03 00 00 00 03")[:-1] + b"\0", memory) == b""
    assert RTU.request_size(b"\x01") is None
    assert RTU.request_size(rtu("01 03 00 00 00 03")) == 8
    assert RTU.request_size(rtu("01 10 00 00 00 01 02 00 05")) == 11
