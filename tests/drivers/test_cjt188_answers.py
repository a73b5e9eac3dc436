"""Every answer of a CJ/T 188 meter that is not the one asked for, and both byte orders."""

from __future__ import annotations

from decimal import Decimal

import pytest

from drivers.contract import (
    NEED_DATA,
    BadChecksum,
    Malformed,
    Refusal,
    Refused,
    Reply,
    WrongAddress,
)
from tests import wire
from tests.drivers.cjt188_asking import REPLY, TOTAL, ask_of, record, summed, value_of

# --- who answers


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ("68 10 02 00 00 05 08 00 00 81 16 90 1F 00" + " 00" * 19, WrongAddress),
        ("68 11 01 00 00 05 08 00 00 81 16 90 1F 00" + " 00" * 19, WrongAddress),
        ("68 AA 01 00 00 05 08 00 00 81 16 90 1F 00" + " 00" * 19, WrongAddress),
        ("68 10 01 00 00 05 08 00 00 81 08 D1 20 00 00 00 12 00 2C", Malformed),
        ("68 10 01 00 00 05 08 00 00 83 03 81 0A 00", Malformed),
        ("68 10 01 00 00 05 08 00 00 84 03 90 1F 00", Malformed),
        ("68 10 01 00 00 05 08 00 00 81 00", Malformed),
        ("68 10 01 00 00 05 08 00 00 01 03 90 1F 05", Malformed),  # another master asks the same
    ],
)
def test_a_sound_frame_that_is_not_our_answer_gives_nothing_and_is_named(frame, kind):
    exchange = ask_of(TOTAL).begin(0)
    assert wire.fed(exchange, [summed(frame)]) is NEED_DATA
    assert type(exchange.end()) is kind
    assert value_of(summed(frame) + REPLY) == 123  # ours behind it is still found


def test_an_echo_is_told_from_an_answer():
    exchange = ask_of(TOTAL).begin(0)
    assert wire.fed(exchange, [exchange.request]) is NEED_DATA
    error = exchange.end()
    assert isinstance(error, Malformed)
    assert "echo" in error.detail


@pytest.mark.parametrize("data", ["00 00 00", "00", "", "00 05 00 00"])
def test_a_refusal_is_final_and_shows_the_meters_own_bytes(data):
    """The data of a refusal are described in two ways, so only the control code decides."""
    size = len(bytes.fromhex(data))
    exchange = ask_of(TOTAL).begin(0)
    outcome = wire.fed(exchange, [summed(f"68 10 01 00 00 05 08 00 00 C1 {size:02X} {data}")])
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (Refusal.NEVER, 0xC1)
    assert data in outcome.detail


def test_any_meter_is_heard_by_the_wildcard_and_tells_its_address():
    ask = ask_of({"id": "810A", "field": "address"}, address="AAAAAAAAAAAAAA", meter_type="AA")
    assert ask.begin(0).request.endswith(bytes.fromhex("68 AA AA AA AA AA AA AA AA 03 03 81 0A 00 49 16"))
    reply = bytes.fromhex("68 10 01 00 00 05 08 00 00 83 03 81 0A 00 97 16")
    wire.check_whole(lambda: ask.begin(0), reply, (Decimal(805000001),))
    reply = summed("68 AA 01 00 00 05 08 00 00 83 03 81 0A 00")  # seen: the type of the request comes back
    wire.check_whole(lambda: ask.begin(0), reply, (Decimal(805000001),))


def test_a_heat_meter_is_never_read_by_the_layout_of_water():
    heat = summed("68 20 01 00 00 05 08 00 00 81 16 90 1F 00 00 23 01 00 2C" + " 00" * 14)
    assert isinstance(wire.fed(ask_of(TOTAL, meter_type="AA").begin(0), [heat]), type(NEED_DATA))
    assert value_of(heat, {"id": "901F", "field": "bcd", "at": 3, "size": 4}, meter_type="20") == 12300


# --- the identifier's byte order, and the serial number

LOW_FIRST = record(head="1F 90 00")


@pytest.mark.parametrize("order", ["auto", "high_first", "low_first"])
def test_an_answer_in_the_other_byte_order_is_taken(order):
    assert value_of(REPLY, di_order=order) == 123
    assert value_of(LOW_FIRST, di_order=order) == 123


def asked_order(exchange) -> bytes:
    return exchange.request[-5:-3]


def test_the_other_byte_order_is_tried_and_the_one_that_was_answered_kept():
    ask = ask_of(TOTAL)
    first = ask.begin(1)
    assert asked_order(first) == b"\x90\x1f"
    assert first.end() is None
    assert asked_order(ask.begin(0)) == b"\x90\x1f"  # looking changes nothing
    second = ask.begin(2)
    assert asked_order(second) == b"\x1f\x90"
    assert isinstance(wire.fed(second, [LOW_FIRST]), Reply)
    for number in range(3, 6):
        exchange = ask.begin(number)
        assert asked_order(exchange) == b"\x1f\x90"
        exchange.end()  # two lost answers do not undo what was learnt
    assert asked_order(ask.begin(7)) == b"\x90\x1f"


def test_a_garbled_answer_proves_that_the_order_was_heard():
    ask = ask_of(TOTAL)
    exchange = ask.begin(1)
    wire.fed(exchange, [REPLY[:-2] + b"\x00\x16"])
    assert isinstance(exchange.end(), BadChecksum)
    assert asked_order(ask.begin(2)) == b"\x90\x1f"


def test_looking_at_a_question_shows_it_as_it_was_asked():
    ask = ask_of(TOTAL)
    asked = ask.begin(41)
    assert ask.begin(0).request == asked.request
    asked.end()
    assert ask.begin(0).request == asked.request
    assert ask.begin(42).request != asked.request


def test_a_fixed_byte_order_stays():
    ask = ask_of(TOTAL, di_order="low_first")
    for number in range(1, 9):
        exchange = ask.begin(number)
        assert asked_order(exchange) == b"\x1f\x90"
        exchange.end()


def test_a_late_answer_to_an_earlier_question_is_no_answer_to_this_one():
    ask = ask_of(TOTAL)
    ask.begin(7).end()
    exchange = ask.begin(8)
    assert wire.fed(exchange, [record(head="90 1F 07")]) is NEED_DATA
    error = exchange.end()
    assert isinstance(error, Malformed)
    assert "late" in error.detail
    assert isinstance(wire.fed(ask.begin(9), [record(head="90 1F 07"), record(head="90 1F 09")]), Reply)


@pytest.mark.parametrize("serial", ["00", "55"])
def test_a_meter_that_keeps_no_serial_number_is_read(serial):
    assert isinstance(wire.fed(ask_of(TOTAL).begin(9), [record(head=f"90 1F {serial}")]), Reply)


def test_serial_numbers_are_never_zero_on_the_wire():
    ask = ask_of(TOTAL)
    assert {ask.begin(number).request[-3] for number in range(1, 600)} == set(range(1, 256))
