"""Registers from values: the inverse of decoding, against the frames that stand in the profiles."""

from __future__ import annotations

import struct
import threading
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import decode
from agent.settings import Profile
from drivers.contract import Reply
from drivers.registry import DRIVERS
from simulators.meters.image import MeterImage
from tests.simulators.far_end import packaged, profile

PROFILES = ("tuf2000", "l-mag", "mag6000", "eastron-sdm630")


def holding(image: MeterImage, register: int, count: int, table: str = "holding") -> str:
    words = image.memory()[table]
    return b"".join(words[register + at].to_bytes(2, "big") for at in range(count)).hex(" ").upper()


def read_back(image: MeterImage, made: Profile) -> dict[str, object]:
    """What the agent makes of the registers, through plan, request, reply and decode."""
    driver = DRIVERS[made.protocol]()
    raws: dict[Any, Any] = {}
    for ask in driver.plan("1", decode.bundles(made.entries), {**made.limits, "max_gap": 0}):
        exchange = ask.begin(0)
        reply = exchange.receive(driver.answer(exchange.request, {"1": image.memory()}))
        assert isinstance(reply, Reply)
        raws |= dict(zip(ask.items, reply.values, strict=True))
    values, _ = decode.values(made.entries, raws)
    return dict(zip([entry.quantity for entry in made.entries], values, strict=True))


# The bytes below are those of the profiles' own frames, made by hand from the makers' tables.


def test_a_tuf2000_shows_its_totals_as_integer_and_fraction_times_the_multiplier_set() -> None:
    values = {"volume_forward": "123456.725", "volume_reverse": "0.85", "volume_net": "123455.875"}
    image = MeterImage(packaged("tuf2000").entries, values, preset={"holding": {1437: 0, 1438: 2}})
    assert holding(image, 8, 4) == "D6 87 00 12 00 00 3E 80"
    assert holding(image, 12, 4) == "00 08 00 00 00 00 3F 00"
    assert holding(image, 24, 4) == "D6 7E 00 12 00 00 3F 40"
    assert holding(image, 1437, 2) == "00 00 00 02"


def test_a_tuf2000_set_to_litres_times_ten_shows_litres() -> None:
    image = MeterImage(
        packaged("tuf2000").entries, {"volume_forward": "23.455"}, preset={"holding": {1437: 1, 1438: 4}}
    )
    assert holding(image, 8, 4) == "09 29 00 00 00 00 3F 00"


def test_a_meter_whose_units_nobody_chose_shows_the_quantity_in_its_own_unit() -> None:
    tuf = MeterImage(packaged("tuf2000").entries, {"volume_forward": "28785.5"})
    assert holding(tuf, 1437, 2) == "00 00 00 03"  # m3, x 1
    lmag = MeterImage(packaged("l-mag").entries, {"flow_rate": "-625.5", "volume_forward": "28785.5"})
    assert holding(lmag, 4128, 2, "input") == "00 05 00 01"  # m3/h, m3
    assert holding(lmag, 4112, 2, "input") == "C4 1C 60 00"
    assert holding(lmag, 4120, 4, "input") == "00 00 70 71 3F 00 00 00"


def test_a_mag6000_shows_cubic_metres_per_second_and_the_direction_of_its_totalizers() -> None:
    values = {"flow_rate": "45", "volume_forward": "1234567.891", "volume_reverse": "0.25", "status": ["error_pending"]}
    image = MeterImage(packaged("mag6000").entries, values)
    assert holding(image, 3002, 2) == "3C 4C CC CD"
    assert holding(image, 3014, 8) == "41 32 D6 87 E4 18 93 75 3F D0 00 00 00 00 00 00"
    assert (image.memory()["holding"][2101], image.memory()["holding"][2103]) == (1, 0)
    assert holding(image, 3200, 1) == "00 02"


def test_flags_set_the_bits_and_words_that_mean_them() -> None:
    tuf = MeterImage(packaged("tuf2000").entries, {"status": ["no_signal", "empty_pipe"]})
    assert holding(tuf, 71, 1) == "00 09"
    lmag = MeterImage(packaged("l-mag").entries, {"status": "empty_pipe"})
    assert [lmag.memory()["input"][4130 + at] for at in range(4)] == [0, 0, 1, 0]
    made = profile(
        {
            "quantity": "status",
            "table": "holding",
            "register": 7,
            "type": "u16",
            "flags": [{"flag": "empty_pipe", "equals": 0x55}, {"flag": "battery_low", "bit": 3}],
        }
    )
    assert MeterImage(made.entries, {"status": ["empty_pipe"]}).memory()["holding"][7] == 0x55
    assert MeterImage(made.entries, {"status": ["battery_low"]}).memory()["holding"][7] == 0x08
    with pytest.raises(ValueError, match="together"):
        MeterImage(made.entries, {"status": ["empty_pipe", "battery_low"]})
    with pytest.raises(ValueError, match="sim-no-flag"):
        MeterImage(made.entries, {"status": ["reverse_flow"]})


def test_bits_of_one_register_do_not_disturb_each_other() -> None:
    made = profile(
        {"quantity": "level", "table": "holding", "register": 5, "type": "u16", "bits": [0, 7]},
        {"quantity": "pressure", "table": "holding", "register": 5, "type": "u16", "bits": [8, 15], "missing": []},
    )
    image = MeterImage(made.entries, {"level": 17, "pressure": 3})
    assert image.memory()["holding"][5] == 0x0311
    image.set("level", 255)
    assert image.memory()["holding"][5] == 0x03FF
    with pytest.raises(ValueError, match="sim-too-big"):
        image.set("level", 256)
    assert image.memory()["holding"][5] == 0x03FF


def test_a_sign_in_a_register_of_its_own_follows_the_value() -> None:
    made = profile(
        {
            "quantity": "flow_rate",
            "table": "holding",
            "register": 99,
            "type": "u32",
            "scale": 0.001,
            "times": [{"register": 101, "type": "u16", "codes": {0: 1, 1: -1}}],
        }
    )
    image = MeterImage(made.entries, {"flow_rate": "12.5"})
    image.set("flow_rate", "-3.25")
    assert (image.memory()["holding"][100], image.memory()["holding"][101]) == (3250, 1)
    image.set("flow_rate", "3.25")
    assert (image.memory()["holding"][100], image.memory()["holding"][101]) == (3250, 0)


def test_a_live_exponent_keeps_the_decimals_of_the_value() -> None:
    made = profile(
        {
            "quantity": "volume_forward",
            "table": "holding",
            "register": 8,
            "type": "i32",
            "times": [{"register": 10, "type": "i16", "power_of_ten": True}],
        }
    )
    image = MeterImage(made.entries, {"volume_forward": "1234.56"})
    image.set("volume_forward", "1234.567")
    assert image.values["volume_forward"] == Decimal("1234.567")


def test_parts_of_a_total_are_split_exactly() -> None:
    nano = profile(
        {
            "quantity": "volume_forward",
            "table": "holding",
            "sum": [
                {"register": 3017, "type": "i32"},
                {"register": 3019, "type": "i32", "scale": "0.000000001"},
            ],
        }
    )  # MAG 8000
    image = MeterImage(nano.entries, {"volume_forward": "1234567.891234567"})
    assert bytes.fromhex(holding(image, 3017, 4)) == struct.pack(">ii", 1234567, 891234567)
    digits = profile(
        {
            "quantity": "energy_import",
            "table": "input",
            "scale": "0.01",
            "sum": [
                {"register": 0, "type": "bcd32", "scale": 10000},
                {"register": 2, "type": "bcd16"},
            ],
        }
    )
    image = MeterImage(digits.entries, {"energy_import": "9876543.21"})
    assert holding(image, 0, 3, "input") == "00 09 87 65 43 21"


def test_what_is_finer_than_the_last_digit_is_cut_and_values_say_so() -> None:
    image = MeterImage(profile().entries, {"volume_forward": "12.3499"})
    assert image.values["volume_forward"] == Decimal("12.34")


def test_a_value_that_does_not_fit_changes_nothing() -> None:
    image = MeterImage(profile().entries, {"volume_forward": "1.25"})
    before = image.snapshot
    for value in ("42949673", "-1", "abc", "NaN", "42949672.95"):  # the last one is all ones: "not available"
        with pytest.raises(ValueError):
            image.update({"flow_rate": 5, "volume_forward": value})
    with pytest.raises(KeyError):
        image.set("level", 1)
    assert image.snapshot is before


def test_values_that_were_not_given_are_zero_and_their_registers_are_there() -> None:
    for name in PROFILES:
        image = MeterImage(packaged(name).entries)
        assert all(value in (Decimal(0), frozenset()) for value in image.values.values()), name


def test_registers_between_those_of_the_profile_are_refused_or_zero() -> None:
    driver = DRIVERS["modbus"]()
    made = packaged("tuf2000")
    (ask,) = driver.plan("1", [(part.item,) for entry in made.entries[:2] for part in entry.parts], {})
    request = ask.begin(0).request
    assert driver.answer(request, {"1": MeterImage(made.entries).memory()})[1:3] == b"\x83\x02"
    assert driver.answer(request, {"1": MeterImage(made.entries, gaps=True).memory()})[1:3] == b"\x03\x0c"


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(PROFILES),
    numbers=st.lists(st.decimals("0", "2000000", places=3), min_size=30, max_size=30),
)
def test_an_exact_reader_gets_what_the_image_says_it_shows(name: str, numbers: list[Decimal]) -> None:
    made = packaged(name)
    plain = [entry for entry in made.entries if not entry.flags]
    wanted = {entry.quantity: number for entry, number in zip(plain, numbers, strict=False)}
    image = MeterImage(made.entries, wanted)
    assert read_back(image, made) == dict(image.values)
    for quantity, number in wanted.items():
        shown = image.values[quantity]
        assert isinstance(shown, Decimal)
        assert abs(shown - number) <= max(number * Decimal("1e-6"), Decimal("0.001"))


@settings(max_examples=100, deadline=None)
@given(number=st.decimals("0", "2000000000", places=6))
def test_integer_and_fraction_lose_nothing_of_a_total(number: Decimal) -> None:
    made = packaged("tuf2000")
    image = MeterImage(made.entries, {"volume_forward": number})
    assert image.values["volume_forward"] == number
    assert read_back(image, made)["volume_forward"] == number


def test_a_reader_never_sees_half_an_update() -> None:
    made = profile(
        {"quantity": "volume_forward", "table": "holding", "register": 0, "type": "u32"},
        {"quantity": "volume_reverse", "table": "holding", "register": 2, "type": "u32"},
    )
    image = MeterImage(made.entries)
    done = threading.Event()

    def count() -> None:
        for number in range(2000):
            image.update({"volume_forward": number, "volume_reverse": number})
        done.set()

    writer = threading.Thread(target=count)
    writer.start()
    seen = 0
    while not done.is_set():
        values = image.values
        assert values["volume_forward"] == values["volume_reverse"]
        seen += 1
    writer.join()
    assert seen
