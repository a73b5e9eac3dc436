"""The CJ/T 188 driver against published frames: what is a value and what none, profiles, the meter's side."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.cjt188 import CjtDriver
from drivers.contract import (
    NEED_DATA,
    BadChecksum,
    Malformed,
    NoValue,
    SpecError,
    WrongAddress,
)
from tests import wire
from tests.drivers.cjt188_asking import ADDRESS, DRIVER, REPLY, STATUS, TOTAL, VECTORS, ask_of, record, summed, value_of

# --- every published frame

READINGS = [vector for vector in VECTORS if vector["direction"] == "response" and vector["fields"]["valid"]]


def expected_values(fields):
    """What the items below must be by the vector's fields; the sheet's section 11."""
    found = {}
    for name in ("total", "settlement_total"):
        short = name.removesuffix("_total")
        if f"{short}_unit" in fields:
            number = fields[name]
            found[name] = NoValue.NOT_AVAILABLE if number is None else Decimal(str(number))
        elif f"{short}_bcd_raw" in fields:
            found[name] = NoValue.UNKNOWN_CODE
    if "status" in fields and fields["di"] == "901F":
        found["status"] = Decimal(int.from_bytes(bytes.fromhex(fields["status"]), "little"))
    if "meter_address" in fields:
        found["address"] = Decimal(fields["meter_address"])
    return found


@pytest.mark.parametrize("vector", READINGS, ids=lambda vector: vector["name"])
def test_published_frames_are_read_four_ways(vector):
    fields = vector["fields"]
    expected = expected_values(fields)
    if fields["di"] == "A017":
        return  # the answer to a valve command; we never ask for it
    specs = [{"id": fields["di"], "field": name} for name in expected]
    ask = ask_of(*specs, address=fields["address"], meter_type=fields["meter_type"])
    frame, values = bytes.fromhex(vector["hex"]), tuple(expected.values())
    wire.check_whole(lambda: ask.begin(fields["ser"]), frame.lstrip(b"\xfe"), values)
    wire.check_byte_by_byte(lambda: ask.begin(fields["ser"]), frame, values)
    wire.check_noise(lambda: ask.begin(fields["ser"]), frame, values, found=True)
    wire.check_flips(lambda: ask.begin(fields["ser"]), frame, values)


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v["direction"] == "request" and v["fields"]["di"] in {"901F", "810A"}],
    ids=lambda vector: vector["name"],
)  # fmt: skip
def test_our_requests_are_the_published_ones(vector):
    fields = vector["fields"]
    spec = {"id": fields["di"], "field": "address"}
    if fields["di"] == "901F":
        spec = {"id": "901F", "field": "uint", "at": 3, "size": 4}
    more = {"meter_type": fields["meter_type"], "di_order": fields["di_byte_order"]}
    ask = ask_of(spec, address=fields["address"], limits={"wake": fields["preamble_fe"]}, **more)
    request = ask.begin(fields["ser"]).request
    assert request == bytes.fromhex(vector["hex"])
    assert len(request) == ask.request_size
    assert DRIVER.request_size(request) == len(request)


def test_a_published_frame_with_a_wrong_sum_gives_nothing():
    (vector,) = [vector for vector in VECTORS if not vector["fields"]["valid"]]
    exchange = ask_of(TOTAL, address="78330011223344").begin(0)
    assert wire.fed(exchange, [bytes.fromhex(vector["hex"])]) is NEED_DATA
    assert isinstance(exchange.end(), BadChecksum)


# --- what a value is, and what is none


@pytest.mark.parametrize(
    ("total", "value"),
    [
        ("56 34 12 00 2A", "12.3456"),
        ("56 34 12 00 2B", "123.456"),
        ("56 34 12 00 2C", "1234.56"),
        ("56 34 12 00 2D", "12345.6"),
        ("56 34 12 00 2E", "123456"),
        ("99 99 99 99 2E", "99999999"),
        ("FF FF FF FF 2C", NoValue.NOT_AVAILABLE),
        ("00 A0 01 00 2C", NoValue.NOT_BCD),
        ("FF 23 01 00 2C", NoValue.NOT_BCD),
        ("00 23 01 00 29", NoValue.UNKNOWN_CODE),
        ("00 23 01 00 05", NoValue.UNKNOWN_CODE),  # kWh
        ("00 23 01 00 35", NoValue.UNKNOWN_CODE),  # m3/h is no total
        ("00 23 01 00 00", NoValue.UNKNOWN_CODE),
        ("FF FF FF FF FF", NoValue.UNKNOWN_CODE),
    ],
)  # fmt: skip
def test_the_unit_code_counts_at_every_reading(total, value):
    assert value_of(record(total=total)) == (value if isinstance(value, NoValue) else Decimal(value))
    settlement = value_of(record(settlement=total), {"id": "901F", "field": "settlement_total"})
    assert settlement == (value if isinstance(value, NoValue) else Decimal(value))


@pytest.mark.parametrize(("decimals", "value"), [(0, "17.047"), (1, "1.7047"), (2, "0.17047"), (3, "0.017047")])
def test_litres_are_converted_only_where_the_profile_knows_their_decimals(decimals, value):
    reply = record(total="47 70 01 00 29")
    assert value_of(reply, litre_decimals=decimals) == Decimal(value)
    assert value_of(reply) is NoValue.UNKNOWN_CODE
    assert value_of(record(), litre_decimals=decimals) == 123  # a meter of that make in m3


def test_status_bits_are_cut_from_the_byte_sent_first():
    reply = record(status="27 C1")
    assert value_of(reply, STATUS) == 0xC127
    assert value_of(reply, STATUS, bits=[0, 1]) == 3
    assert value_of(reply, STATUS, bits=[2, 2]) == 1
    assert value_of(reply, STATUS, bits=[5, 5]) == 1
    assert value_of(reply, STATUS, bits=[8, 15]) == 0xC1


def test_a_makers_own_record_is_read_by_place():
    """The ultrasonic variant of the sheet's section 7: total 4, fraction 3, velocity 3, temperature 1."""
    reply = summed("68 10 01 00 00 05 08 00 00 81 16 90 1F 00 56 34 12 00 78 56 34 03 02 01 25" + " 00" * 8)
    assert value_of(reply, {"id": "901F", "field": "bcd", "at": 3, "size": 4}) == 123456
    assert value_of(reply, {"id": "901F", "field": "bcd", "at": 7, "size": 3}) == 345678
    assert value_of(reply, {"id": "901F", "field": "uint", "at": 13, "size": 1}) == 0x25
    assert value_of(reply) is NoValue.UNKNOWN_CODE  # the standard layout takes nothing from it


def test_a_shorter_record_gives_the_fields_that_are_complete():
    reply = summed("68 10 01 00 00 05 08 00 00 81 08 90 1F 00 00 23 01 00 2C")
    assert value_of(reply) == 123
    assert value_of(reply, STATUS) is NoValue.NOT_AVAILABLE


def test_a_months_settlement_is_a_record_of_its_own():
    items = [DRIVER.item(TOTAL), DRIVER.item({"id": "D120", "field": "settlement_total"}), DRIVER.item(STATUS)]
    asks = DRIVER.plan(ADDRESS, [(item,) for item in items], {})
    assert [[item.field for item in ask.items] for ask in asks] == [["total", "status"], ["settlement_total"]]
    reply = summed("68 10 01 00 00 05 08 00 00 81 08 20 D1 00 00 00 12 00 2C")
    wire.check_whole(lambda: asks[1].begin(0), reply, (Decimal(1200),))


# --- what a profile may say


@pytest.mark.parametrize(
    ("spec", "key", "code"),
    [
        ({"field": "total"}, "id", "spec.missing-key"),
        ({"id": "901F"}, "field", "spec.missing-key"),
        ({"id": "901", "field": "total"}, "id", "spec.cjt188-hex"),
        ({"id": "90 1F", "field": "total"}, "id", "spec.cjt188-hex"),
        ({"id": "D120", "field": "total"}, "id", "spec.choice"),
        ({"id": "901F", "field": "flow"}, "field", "spec.choice"),
        ({**TOTAL, "meter_type": "20"}, "meter_type", "spec.choice"),
        ({**TOTAL, "meter_type": "1"}, "meter_type", "spec.cjt188-hex"),
        ({**TOTAL, "di_order": "abcd"}, "di_order", "spec.choice"),
        ({**TOTAL, "at": 3}, "at", "spec.cjt188-only-with"),
        ({**TOTAL, "bits": [0, 1]}, "bits", "spec.bits"),
        ({**STATUS, "bits": [0, 16]}, "bits", "spec.bits"),
        ({**STATUS, "bits": [2, 1]}, "bits", "spec.bits"),
        ({**STATUS, "litre_decimals": 1}, "litre_decimals", "spec.cjt188-only-with"),
        ({**TOTAL, "litre_decimals": 4}, "litre_decimals", "spec.choice"),
        ({"id": "901F", "field": "bcd"}, "size", "spec.cjt188-size"),
        ({"id": "901F", "field": "bcd", "size": 9, "at": 3}, "size", "spec.cjt188-size"),
        ({"id": "901F", "field": "bcd", "size": 4, "at": 2}, "at", "spec.cjt188-place"),
        ({**TOTAL, "register": 1}, "register", "spec.unknown-key"),
    ],
)
def test_a_wrong_entry_names_its_key(spec, key, code):
    with pytest.raises(SpecError) as caught:
        DRIVER.item(spec)
    assert (caught.value.key, caught.value.code) == (key, code)


@pytest.mark.parametrize("address", ["1", "0000080500001", "000008050000011", "0000080500000A", "99999999999999", ""])
def test_an_address_has_fourteen_digits_and_is_not_the_broadcast(address):
    with pytest.raises(SpecError) as caught:
        DRIVER.plan(address, (), {})
    assert caught.value.key == "address"


@pytest.mark.parametrize("limits", [{"wake": -1}, {"wake": 21}, {"wake": True}, {"max_registers": 3}])
def test_limits_are_checked(limits):
    with pytest.raises(SpecError):
        DRIVER.plan(ADDRESS, (), limits)


def test_modbus_tcp_is_no_line_for_it_and_a_sum_needs_one_record():
    with pytest.raises(SpecError):
        CjtDriver(framing="tcp").plan(ADDRESS, (), {})
    parts = (DRIVER.item(TOTAL), DRIVER.item({"id": "D120", "field": "settlement_total"}))
    with pytest.raises(SpecError):
        DRIVER.plan(ADDRESS, [parts], {})


# --- the meter's side


def test_a_recorded_exchange_answers_as_the_meter_did():
    request = bytes.fromhex("68 10 01 00 00 05 08 00 00 01 03 90 1F 00 39 16")
    memory = DRIVER.recall(request, b"\xfe\xfe" + REPLY)
    assert list(memory) == [ADDRESS]
    assert DRIVER.answer(request, memory) == REPLY
    assert DRIVER.answer(bytes.fromhex("68 10 AA AA AA AA AA AA AA 01 03 90 1F 00 D1 16"), memory) == REPLY
    assert DRIVER.answer(request[:-2] + b"\0\x16", memory) == b""
    assert DRIVER.answer(summed("68 11 01 00 00 05 08 00 00 01 03 90 1F 00"), memory) == b""  # a hot water meter
    assert DRIVER.answer(summed("68 10 02 00 00 05 08 00 00 01 03 90 1F 00"), memory) == b""
    refused = DRIVER.answer(summed("68 10 01 00 00 05 08 00 00 01 03 D1 20 00"), memory)
    assert refused[9] == 0xC1


@pytest.mark.parametrize(
    ("request_hex", "reply", "kind"),
    [
        ("68 10 01 00 00 05 08 00 00 01 03 90 1F 00", REPLY[:-2] + b"\0\x16", BadChecksum),
        ("68 10 02 00 00 05 08 00 00 01 03 90 1F 00", REPLY, WrongAddress),
        ("68 10 01 00 00 05 08 00 00 01 03 D1 20 00", REPLY, Malformed),
        ("68 10 01 00 00 05 08 00 00 03 03 81 0A 00", REPLY, Malformed),
        ("68 10 01 00 00 05 08 00 00 04 03 90 1F 00", REPLY, Malformed),
        ("68 10 01 00 00 05 08 00 00 01 03 90 1F 00", b"\xfe", Malformed),
    ],
)  # fmt: skip
def test_a_recording_that_is_no_question_and_its_answer_is_refused(request_hex, reply, kind):
    with pytest.raises(kind):
        DRIVER.recall(summed(request_hex), reply)


@given(
    number=st.integers(0, 10**8 - 1), bits=st.integers(0, 3), decimals=st.sampled_from([None, 0, 2, 3]),
)  # fmt: skip
def test_what_a_simulated_meter_shows_is_read_back(number, bits, decimals):
    more = {} if decimals is None else {"litre_decimals": decimals}
    total, valve = DRIVER.item({**TOTAL, **more}), DRIVER.item({**STATUS, "bits": [0, 1]})
    other = DRIVER.item({**STATUS, "bits": [2, 15]})
    value = Decimal(number) / 100
    image = {}
    other.put(image, other.encode(Decimal(0x3FFF)))
    for item, shown in ((total, value), (valve, Decimal(bits))):
        item.put(image, item.encode(shown))
    (ask,) = DRIVER.plan(ADDRESS, [(total,), (valve,), (other,)], {})
    exchange = ask.begin(1)
    reply = exchange.receive(DRIVER.answer(exchange.request, {ADDRESS: image}))
    assert reply.values[1:] == (bits, 0x3FFF)
    if decimals is None:
        assert reply.values[0] == value
    else:
        assert 0 <= value - reply.values[0] < 1  # the last digit of the unit that holds it


@pytest.mark.parametrize("how", list(NoValue))
def test_spoilt_bytes_decode_to_what_they_are_called(how):
    for spec in (TOTAL, STATUS, {"id": "901F", "field": "bcd", "at": 3, "size": 4}):
        item = DRIVER.item(spec)
        data = item.spoilt(how)
        assert data is None or item.decode(data) is how
    assert DRIVER.item(TOTAL).spoilt(NoValue.NOT_A_NUMBER) is None


@given(head=st.binary(max_size=40))
def test_any_head_of_a_request_has_a_length_or_none_yet(head):
    size = DRIVER.request_size(head)
    assert size is None or size > 0
    DRIVER.answer(head, {ADDRESS: {}})


def test_a_meter_finds_a_request_behind_noise():
    request = ask_of(TOTAL).begin(1).request
    for noise in (b"", b"\xfe", b"\x00\x68\xff"):
        assert DRIVER.request_size(noise + request) == len(noise + request)
        assert DRIVER.answer(noise + request, {ADDRESS: {"901F": b""}})
    assert [DRIVER.request_size(request[:size]) for size in (0, 4, 5, 14)] == [None] * 4
    assert DRIVER.request_size(request[:15]) == len(request)
    assert DRIVER.request_size(b"\x01\x03\x00\x00\x00\x02\xc4\x0b") == 8  # never one of ours
