"""The DL/T 645 driver against published frames, and every answer that is not the one asked for."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import (
    NEED_DATA,
    BadChecksum,
    Malformed,
    NoValue,
    Refusal,
    Refused,
    Reply,
    SpecError,
    WireError,
    WrongAddress,
)
from drivers.dlt645 import AddressAsk, Dlt645Ask, Dlt645Driver, broadcast_time, meter_clock
from tests import wire
from tests.drivers.test_dlt645_frame import made

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "dlt645.json").read_text(encoding="utf-8"), parse_float=Decimal
)
DRIVER = Dlt645Driver()
ADDRESS = "123456789012"
SIZES = {"kWh": 4, "CNY": 4, "V": 2, "A": 3, "kW": 3, "": 2, "Hz": 2, "imp/kWh": 3}  # bytes of a number, by the sheet
DECIMALS = {"kWh": 2, "CNY": 2, "V": 1, "A": 3, "kW": 4, "": 3, "Hz": 2, "imp/kWh": 0}
COUNTS = {"1D000001"}  # three bytes, no decimals


def ask_of(*specs: dict[str, Any], address: str = ADDRESS, **limits: Any) -> Dlt645Ask:
    items = [DRIVER.item(spec) for spec in specs]
    (ask,) = DRIVER.plan(address, [(item,) for item in items], limits)
    return ask


def asked(*identifiers: str, **more: Any) -> Dlt645Ask:
    return ask_of(*({"id": identifier} for identifier in identifiers), **more)


def vector_ask(fields: dict[str, Any]) -> tuple[Dlt645Ask, tuple[Any, ...]]:
    """The question that the frame of a vector answers, and its raw values by the sheet."""
    identifier = fields["di"]
    values = fields.get("values", [fields.get("value")])
    decimals = 0 if identifier in COUNTS else DECIMALS[fields["unit"]]
    size = 3 if identifier in COUNTS else SIZES[fields["unit"]]
    specs = [{"id": identifier, "place": place} for place in range(len(values))]
    if "values" in fields:
        specs = [{**spec, "size": size, "signed": fields["unit"] in {"A", "kW"}} for spec in specs]
    missing = NoValue.NOT_BCD if fields.get("bcd_valid") is False else NoValue.NOT_AVAILABLE
    raws = tuple(missing if value is None else Decimal(value).scaleb(decimals) for value in values)
    return ask_of(*specs, address=fields["address"]), raws


READINGS = [v for v in VECTORS if v["fields"]["valid"] and v["fields"].keys() & {"value", "values"}]


@pytest.mark.parametrize("vector", READINGS, ids=lambda vector: vector["name"])
def test_every_published_reading_comes_out_in_each_of_four_ways(vector: dict[str, Any]) -> None:
    fields = vector["fields"]
    ask, raws = vector_ask(fields)
    if "seq" in fields:
        ask = ask.following(b"")
    frame = bytes.fromhex(vector["hex"])
    sound = frame[fields["preamble_fe"] :]
    wire.check_whole(lambda: ask.begin(0), sound, raws)
    for reply in (sound, frame):
        wire.check_byte_by_byte(lambda: ask.begin(0), reply, raws)
        wire.check_noise(lambda: ask.begin(0), reply, raws, found=True)
        wire.check_flips(lambda: ask.begin(0), reply, raws)


def test_requests_are_the_published_ones() -> None:
    for vector in VECTORS:
        fields = vector["fields"]
        if vector["direction"] == "request" and fields["control"] in {"01", "11"}:
            ask = ask_of({"id": fields["di"], "size": 4}, address=fields["address"], wake=fields["preamble_fe"])
            assert ask.request == bytes.fromhex(vector["hex"])
            assert ask.request_size == len(ask.request)


def test_the_question_for_the_address_and_its_answers() -> None:
    ask = AddressAsk()
    assert ask.request == bytes.fromhex("FE FE FE FE 68 AA AA AA AA AA AA 68 13 00 DF 16")
    for vector in VECTORS:
        if "meter_address" in vector["fields"]:
            frame = bytes.fromhex(vector["hex"])
            outcome = wire.fed(ask.begin(0), [frame])
            assert isinstance(outcome, Reply)
            (value,) = outcome.values
            assert isinstance(value, Decimal)
            assert AddressAsk.address_of(value) == vector["fields"]["meter_address"]
            wire.check_byte_by_byte(lambda: ask.begin(0), frame, outcome.values)
            wire.check_flips(lambda: ask.begin(0), frame, outcome.values)


def test_the_broadcast_of_the_time_is_the_published_one_and_never_planned() -> None:
    frame = broadcast_time(datetime.fromisoformat("2017-06-05T10:22:51"), wake=0)
    assert frame == bytes.fromhex("68 99 99 99 99 99 99 68 08 06 84 55 43 38 39 4A 4B 16")
    with pytest.raises(SpecError, match="address"):
        asked("00010000", address="999999999999")


def test_a_meters_clock_is_read_as_date_and_time() -> None:
    date, time = asked("04000101"), asked("04000102")
    on = wire.values_of(date.begin(0).receive(made("91", "01010004 01110116")))
    at = wire.values_of(time.begin(0).receive(made("91", "02010004 325318")))
    assert (on, at) == ((Decimal(20160111),), (Decimal(185332),))
    assert meter_clock(Decimal(20160111), Decimal(5332)) == datetime.fromisoformat("2016-01-11T00:53:32")
    assert wire.values_of(time.begin(0).receive(made("91", "02010004 325324"))) == (NoValue.NOT_BCD,)


# --- refusals and foreign frames


@pytest.mark.parametrize(("err", "code"), [("02", 2), ("01", 1), ("06", 6)])
def test_a_refusal_is_told_by_its_bits(err: str, code: int) -> None:
    refused = wire.fed(asked("00010000").begin(0), [made("D1", err)])
    assert isinstance(refused, Refused)
    assert (refused.code, refused.kind) == (code, Refusal.NEVER)
    assert ("no_requested_data" in refused.detail) == bool(code & 2)
    refused_1997 = wire.fed(asked("9010").begin(0), [made("C1", err)])
    assert isinstance(refused_1997, Refused)
    assert ("di_wrong" in refused_1997.detail) == bool(code & 2)


def test_a_flipped_bit_never_makes_a_refusal_or_another_one() -> None:
    for sound in (made("D1", "02"), made("91", "00000100 56341200"), made("D1", "04", preamble="FE FE")):
        for at in range(8 * len(sound)):
            flipped = bytearray(sound)
            flipped[at // 8] ^= 1 << at % 8
            outcome = wire.fed(asked("00010000").begin(0), [bytes(flipped)])
            if isinstance(outcome, Refused):
                assert (at // 8 < 2, outcome.code) == (True, 4), "only the wake-up bytes may change"


def test_a_refused_block_is_asked_for_one_by_one() -> None:
    ask = asked("02010100", "02010200", "02010300")
    assert ask.identifier == "0201FF00"
    refused = wire.fed(ask.begin(0), [made("D1", "02")])
    assert isinstance(refused, Refused)
    assert refused.kind is Refusal.NARROWER
    assert [part.identifier for part in ask.parts()] == ["02010100", "02010200", "02010300"]
    assert all(part.parts() == (part,) for part in ask.parts())


def test_a_late_answer_in_front_of_the_right_one_is_passed_over() -> None:
    late, right = made("91", "00000303 112233"), made("91", "00000100 56341200")
    assert wire.values_of(asked("00010000").begin(0).receive(late + right)) == (Decimal(123456),)


@pytest.mark.parametrize(
    ("frames", "kind", "said"),
    [
        (made("91", "00000200 56341200"), Malformed, "00020000 came"),
        (made("91", "00000100 56341200", address="13 90 78 56 34 12"), WrongAddress, "123456789013 answered"),
        (made("11", "00000100"), Malformed, "echoes"),
        (made("91", "00000100 5634"), Malformed, "2 bytes of value"),
        (made("93", "129078563412"), Malformed, "control code 93"),
        (made("81", "1090 56341200"), Malformed, "control code 81"),
        (made("91", "00000100 56341200")[:-3] + b"\0\0\x16", BadChecksum, "check sum"),
        (made("91", "00000100 56341200")[:-1], Malformed, "no whole frame"),
        (b"\xfe" * 5, Malformed, "5 bytes"),
    ],
    ids=["late", "neighbour", "echo", "short", "other function", "other edition", "garbled", "cut", "wake-up only"],
)
def test_what_is_no_answer_is_named_at_the_deadline(frames: bytes, kind: type[WireError], said: str) -> None:
    exchange = asked("00010000").begin(0)
    assert exchange.receive(frames) is NEED_DATA
    error = exchange.end()
    assert isinstance(error, kind)
    assert said in error.detail


def test_silence_proves_nothing() -> None:
    assert asked("00010000").begin(0).end() is None


def test_values_that_are_none_say_why_in_spite_of_a_right_check_sum() -> None:
    def value(plain: str, identifier: str = "00010000") -> Any:
        return wire.values_of(asked(identifier).begin(0).receive(made("91", plain)))[0]

    assert value("00000100 FFFFFFFF") is NoValue.NOT_AVAILABLE
    assert value("00000100 0000000A") is NoValue.NOT_BCD
    assert value("00000000 FFFFFFFF", "00000000") is NoValue.NOT_AVAILABLE
    assert value("00000000 00000080", "00000000") == 0
    assert value("03050004 FFFF", "04000503") is NoValue.NOT_AVAILABLE
    assert value("03050004 0A0F", "04000503") == 0x0F0A, "bits are no digits"


def test_a_wildcard_takes_any_address_and_a_shortened_one_those_that_fit() -> None:
    frame = made("91", "00000100 56341200")
    for address in ("AAAAAAAAAAAA", "AAAAAAAA9012", "AA3456789012"):
        assert wire.values_of(asked("00010000", address=address).begin(0).receive(frame)) == (Decimal(123456),)
    exchange = asked("00010000", address="AAAAAAAA9013").begin(0)
    assert exchange.receive(frame) is NEED_DATA
    assert isinstance(exchange.end(), WrongAddress)


# --- follow-up frames


def test_an_answer_in_several_frames_goes_on_until_what_is_wanted_is_there() -> None:
    first, last = (bytes.fromhex(v["hex"]) for v in VECTORS if v["fields"].get("more") is not None)
    ask = asked("00010000", "00010200", address="000012345678")
    assert ask.identifier == "0001FF00"
    reply = ask.begin(0).receive(first)
    assert isinstance(reply, Reply)
    follow = reply.follow
    assert follow is not None
    exchange = follow.begin(0)
    assert exchange.request == b"\xfe" * 4 + made("12", "00FF0100 01", address="78 56 34 12 00 00")
    outcome = exchange.receive(last)
    assert isinstance(outcome, Reply)
    assert (outcome.values, outcome.follow) == ((Decimal(12345678), Decimal(4433)), None)
    enough = asked("00010000", "00010100", address="000012345678").begin(0).receive(first)
    assert isinstance(enough, Reply)
    assert (enough.values, enough.follow) == ((Decimal(12345678), Decimal(2211)), None)


def test_a_repeated_follow_up_frame_is_not_taken_for_the_next_one() -> None:
    ask = asked("00010000", "00010200").following(b"\0" * 4).following(b"\0" * 8)
    exchange = ask.begin(0)
    assert exchange.receive(made("92", "00FF0100 34120000 01")) is NEED_DATA
    assert isinstance(exchange.end(), Malformed)
    assert wire.values_of(ask.begin(0).receive(made("92", "00FF0100 34120000 02"))) == (Decimal(0), Decimal(1234))


def test_frames_end_at_number_255_and_in_1997_there_is_no_number() -> None:
    ask = asked("00010000", "00013F00")
    for _ in range(255):
        ask = ask.following(b"")
    reply = ask.begin(0).receive(made("B2", "00FF0100 01000000 FF"))
    assert isinstance(reply, Reply)
    assert reply.follow is None
    assert reply.values[1] is NoValue.NOT_AVAILABLE
    old = asked("9010", "9012").following(bytes.fromhex("01000000 02000000"))
    assert old.request[4:] == made("02", "1F90")
    assert wire.values_of(old.begin(0).receive(made("82", "1F90 03000000 AA"))) == (Decimal(1), Decimal(3))


# --- items and plans


@pytest.mark.parametrize(
    ("spec", "key", "code"),
    [
        ({}, "id", "spec.missing-key"),
        ({"id": 9010}, "id", "spec.dlt645-id"),
        ({"id": "901"}, "id", "spec.dlt645-id"),
        ({"id": "0001000G"}, "id", "spec.dlt645-id"),
        ({"id": "04000306"}, "id", "spec.dlt645-size"),
        ({"id": "04000306", "size": 9}, "size", "spec.dlt645-size"),
        ({"id": "04000306", "size": True}, "size", "spec.dlt645-size"),
        ({"id": "00010000", "type": "u16"}, "type", "spec.choice"),
        ({"id": "00010000", "signed": 1}, "signed", "spec.choice"),
        ({"id": "04000503", "signed": True}, "signed", "spec.dlt645-type"),
        ({"id": "04000101", "size": 4}, "size", "spec.dlt645-type"),
        ({"id": "00010000", "place": 64}, "place", "spec.choice"),
        ({"id": "00010000", "digits": 8}, "digits", "spec.unknown-key"),
    ],
)
def test_a_wrong_entry_is_named_by_its_key(spec: dict[str, Any], key: str, code: str) -> None:
    with pytest.raises(SpecError) as error:
        DRIVER.item(spec)
    assert (error.value.key, error.value.code) == (key, code)


@pytest.mark.parametrize("address", ["12", "12345678901", "1234567890123", "12AA56789012", "ABCDEF123456", ""])
def test_an_address_is_twelve_digits(address: str) -> None:
    with pytest.raises(SpecError, match="address"):
        DRIVER.plan(address, (), {})


@pytest.mark.parametrize("limits", [{"wake": 17}, {"wake": True}, {"blocks": 0}, {"max_registers": 4}])
def test_limits_are_checked(limits: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(limits))):
        DRIVER.plan(ADDRESS, (), limits)


def test_it_is_no_modbus_tcp() -> None:
    with pytest.raises(SpecError, match="framing"):
        Dlt645Driver(framing="tcp").plan(ADDRESS, (), {})


def test_what_shares_a_block_is_one_question_and_the_rest_is_not() -> None:
    identifiers = ["00010000", "00020000", "02010100", "02010300", "02030000", "04000501", "04000503", "B611", "B612"]
    bundles = [(DRIVER.item({"id": identifier}),) for identifier in identifiers]
    planned = [ask.identifier for ask in DRIVER.plan(ADDRESS, bundles, {})]
    assert planned == ["00010000", "00020000", "0201FF00", "02030000", "040005FF", "B61F"]
    assert [ask.identifier for ask in DRIVER.plan(ADDRESS, bundles, {"blocks": False})] == identifiers
    assert DRIVER.plan(ADDRESS, [*bundles, *bundles], {}) == DRIVER.plan(ADDRESS, bundles, {})


def test_parts_of_one_total_come_from_one_answer_or_not_at_all() -> None:
    tariffs = tuple(DRIVER.item({"id": f"00010{tariff}00"}) for tariff in range(1, 5))
    (ask,) = DRIVER.plan(ADDRESS, [tariffs], {})
    assert (ask.identifier, ask.parts()) == ("0001FF00", (ask,))
    for limits, bundle in (({"blocks": False}, tariffs), ({}, (tariffs[0], DRIVER.item({"id": "00020000"})))):
        with pytest.raises(SpecError, match="too-wide"):
            DRIVER.plan(ADDRESS, [bundle], limits)


@given(
    number=st.integers(-(10**7) + 1, 10**7 - 1),
    address=st.integers(0, 10**12 - 1).filter(lambda n: n != 999999999999),
    signed=st.booleans(),
)
def test_any_number_that_fits_is_read_back_exactly(number: int, address: int, signed: bool) -> None:
    item = DRIVER.item({"id": "00FE0000", "size": 4, "signed": signed})
    if number < 0 and not signed:
        with pytest.raises(ValueError, match="fit"):
            item.encode(Decimal(number))
        return
    (ask,) = DRIVER.plan(f"{address:012d}", [(item,)], {})
    image: dict[str, Any] = {}
    item.put(image, item.encode(Decimal(number)))
    assert item.taken(image) == item.encode(Decimal(number))
    reply = DRIVER.answer(ask.request, {f"{address:012d}": image})
    assert wire.values_of(ask.begin(0).receive(reply)) == (Decimal(number),)


# --- the meter's side


def test_a_meter_answers_what_it_has_and_says_what_it_has_not() -> None:
    image = {"00010000": bytes.fromhex("56341200"), "00010100": bytes.fromhex("01000000")}
    memory = {ADDRESS: image}
    assert DRIVER.answer(asked("00010000").request, memory) == b"\xfe" * 4 + made("91", "00000100 56341200")
    assert DRIVER.answer(made("11", "00FF0100"), memory) == made("91", "00FF0100 56341200 01000000")
    assert DRIVER.answer(made("11", "00000200"), memory) == made("D1", "02")
    assert DRIVER.answer(made("13", "", address="AA " * 6), memory) == made("93", "129078563412")
    assert DRIVER.answer(made("14", "0101000402000000"), memory) == made("D4", "04")
    for silent in (
        made("11", "00000100", address="13 90 78 56 34 12"),
        made("11", "00000100")[:-2] + b"\0\x16",
        made("01", "1090"),
        made("08", "512210050617", address="99 " * 6),
        made("91", "00000100 56341200"),
        b"",
    ):
        assert DRIVER.answer(silent, memory) == b""


def test_a_meter_with_small_frames_is_read_to_the_end() -> None:
    image = {f"00010{tariff}00": bytes([tariff, 0, 0, 0]) for tariff in range(5)} | {"most": 13}
    ask = asked("00010000", "00010400")
    values, frames = (), 0
    while ask is not None:
        reply = ask.begin(0).receive(DRIVER.answer(ask.request, {ADDRESS: image}))
        assert isinstance(reply, Reply)
        values, ask, frames = reply.values, reply.follow, frames + 1  # type: ignore[assignment]
    assert (values, frames) == ((Decimal(0), Decimal(4)), 3)


def test_a_request_is_cut_out_of_a_stream_with_noise() -> None:
    request = asked("00010000").request
    for size in range(len(request)):
        assert (DRIVER.request_size(request[:size]) or size + 1) > size or size == 0
    assert DRIVER.request_size(request + b"\x01\x02") == len(request)
    assert DRIVER.request_size(b"\x01\x03\x00" + request) == 3 + len(request)
    assert DRIVER.request_size(bytes.fromhex("01 03 00 00 00 02 C4 0B")) == 8


def test_recorded_exchanges_prove_their_memory_and_others_are_refused() -> None:
    question, told = made("11", "00000100"), made("91", "00000100 56341200")
    assert DRIVER.recall(question, b"\xfe" + told) == {ADDRESS: {"00010000": bytes.fromhex("56341200")}}
    follow = DRIVER.recall(made("12", "00FF0100 01"), made("92", "00FF0100 33440000 01"))
    assert follow == {ADDRESS: {"0001FF00+1": bytes.fromhex("33440000")}}
    block = {"0001FF00": bytes.fromhex("78563412 11220000"), **follow[ADDRESS]}
    reply = DRIVER.answer(made("11", "00000200"[:4] + "0100"), {ADDRESS: block})
    assert reply == made("91", "00000100 78563412")
    assert DRIVER.answer(made("11", "00020100"), {ADDRESS: block}) == made("91", "00020100 33440000")
    for wrong, error in (
        (made("91", "00000200 56341200"), Malformed),
        (made("91", "00000100 56341200", address="13 90 78 56 34 12"), WrongAddress),
        (told[:-2] + b"\0\x16", BadChecksum),
        (made("D1", "02"), Refused),
        (b"\0\0", Malformed),
    ):
        with pytest.raises(error):
            DRIVER.recall(question, wrong)
    with pytest.raises(Malformed):
        DRIVER.recall(made("13", ""), told)
