"""Raw values become exact quantities, or nothing and the reason. Examples are the fact sheet's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agent import decode
from agent.entries import Entry, Factor, FlagTest, Part
from agent.model import Reason
from drivers.contract import NoValue
from drivers.modbus import ModbusDriver

DRIVER = ModbusDriver()


def item(register, kind="u16"):
    return DRIVER.item({"table": "holding", "register": register, "type": kind})


N, NF, MULTIPLIER, UNIT = item(8, "i32"), item(10, "f32"), item(1438), item(1437)
CODES = {n: Decimal(10) ** (n - 3) for n in range(8)}
TOTAL = Entry(
    quantity="volume_forward",
    parts=(Part(item=N), Part(item=NF)),
    factors=(Factor(item=MULTIPLIER, codes=CODES), Factor(item=UNIT, codes={0: Decimal(1), 1: Decimal("0.001")})),
)


def one(entry, **raws):
    (value,), quality = decode.values([entry], raws["raws"])
    return value, quality


@pytest.mark.parametrize(
    ("number", "fraction", "multiplier", "unit", "expected"),
    [
        ("1234", "0.56", 3, 0, "1234.56"),  # (N + Nf) x 10^(n-3) cubic metres
        ("1234", "0.56", 0, 0, "1.23456"),
        ("1234", "0.56", 7, 0, "12345600"),
        ("1234", "0.56", 3, 1, "1.23456"),  # litres
        ("999999999", "0.875", 3, 0, "999999999.875"),
    ],
)
def test_a_total_is_composed_exactly(number, fraction, multiplier, unit, expected):
    raws = {N: Decimal(number), NF: Decimal(fraction), MULTIPLIER: Decimal(multiplier), UNIT: Decimal(unit)}
    value, quality = one(TOTAL, raws=raws)
    assert (format(value.normalize(), "f"), quality) == (format(Decimal(expected).normalize(), "f"), {})


def test_a_code_the_profile_does_not_list_gives_no_value():
    raws = {N: Decimal(1), NF: Decimal(0), MULTIPLIER: Decimal(9), UNIT: Decimal(0)}
    assert one(TOTAL, raws=raws) == (None, {"volume_forward": ("UNKNOWN_CODE",)})


@pytest.mark.parametrize("reason", [NoValue.NOT_A_NUMBER, NoValue.NOT_AVAILABLE, NoValue.NOT_BCD, Reason.NO_REPLY])
def test_one_missing_part_makes_the_whole_missing_with_its_reason(reason):
    raws = {N: Decimal(1), NF: reason, MULTIPLIER: Decimal(3), UNIT: Decimal(0)}
    assert one(TOTAL, raws=raws) == (None, {"volume_forward": (reason.value,)})


def test_a_live_exponent_is_a_power_of_ten_within_reason():
    mantissa, exponent = item(8, "i32"), item(10, "i16")
    entry = Entry(
        quantity="volume_net", parts=(Part(item=mantissa),), factors=(Factor(item=exponent, power_of_ten=True),)
    )
    assert one(entry, raws={mantissa: Decimal(-12345), exponent: Decimal(-2)})[0] == Decimal("-123.45")
    assert one(entry, raws={mantissa: Decimal(1), exponent: Decimal(300)})[1] == {"volume_net": ("UNKNOWN_CODE",)}


def test_cubic_metres_a_second_become_cubic_metres_an_hour_exactly():
    entry = Entry(quantity="flow_rate", parts=(Part(item=NF),), scale=Decimal(3600))
    assert one(entry, raws={NF: Decimal("0.001")})[0] == Decimal("3.6")


def test_states_become_the_set_of_flags_that_hold():
    word, pipe = item(71), item(7)
    entry = Entry(
        quantity="status",
        flags=(
            FlagTest(item=word, flag="no_signal", bit=0),
            FlagTest(item=word, flag="empty_pipe", bit=3),
            FlagTest(item=pipe, flag="empty_pipe", equals=0x55),
            FlagTest(item=pipe, flag="meter_fault", not_equals=0xAA),
        ),
    )
    assert one(entry, raws={word: Decimal(0b1001), pipe: Decimal(0xAA)})[0] == {"no_signal", "empty_pipe"}
    assert one(entry, raws={word: Decimal(0), pipe: Decimal(0x55)})[0] == {"empty_pipe", "meter_fault"}
    assert one(entry, raws={word: NoValue.NOT_AVAILABLE, pipe: Decimal(0)}) == (None, {"status": ("NOT_AVAILABLE",)})
    assert decode.flag_names([entry]) == ("no_signal", "empty_pipe", "meter_fault")


def test_the_parts_of_a_total_are_one_bundle_and_the_rest_stand_alone():
    assert decode.bundles([TOTAL, TOTAL]) == [(N, NF), (MULTIPLIER,), (UNIT,)]
