"""A total in floating point moves in steps that grow with it; beyond the display's last digit that is a fault.

Steps by hand: binary32 has 24 significant bits, so that from 2^n to 2^(n+1) its step is 2^(n-23); binary64 has 53.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agent import decode
from agent.entries import Entry
from agent.faults import FaultCode
from agent.form.nodes import read_text
from agent.line.line import Transaction
from agent.line.meter import Asked, PolledMeter, Sweep
from agent.line.ports import WireSettings
from agent.profiles import Library, read_profile
from drivers.octets import float_step
from drivers.registry import DRIVERS
from tests.fakes import KeptFaults

LIBRARY = Library(drivers=DRIVERS)


@pytest.mark.parametrize(
    ("kind", "number", "step"),
    [
        ("f32", "8388608", "1"),  # 2^23
        ("f32", "8388607.5", "0.5"),
        ("f32", "16777215", "1"),
        ("f32", "16777216", "2"),  # 2^24: the first number whose successor is missing
        ("f32", "-16777216", "2"),
        ("f32", "1", "0.00000011920928955078125"),  # 2^-23
        ("f32", "131072", "0.015625"),  # 2^17: 2^-6
        ("f64", "1000000000", "0.00000011920928955078125"),  # below 2^30: 2^-23
        ("f64", "9007199254740992", "2"),  # 2^53
    ],
)
def test_the_step_of_a_float_is_exact(kind: str, number: str, step: str) -> None:
    assert float_step(kind, Decimal(number)) == Decimal(step)


def entry(text: str) -> Entry:
    head = "profile: own\ntitle: {zh: 自有, en: own}\nsource: own manual\nprotocol: modbus\nitems:\n"
    (found,) = read_profile(read_text(head + text, "own.yaml"), "own", DRIVERS).entries
    return found


def step_of(found: Entry, *numbers: str) -> Decimal | None:
    items = [part.item for part in found.parts] + [factor.item for factor in found.factors]
    raws: dict[Any, Any] = dict(zip(items, map(Decimal, numbers), strict=True))
    return decode.step(found, raws)


def test_the_step_is_in_the_unit_of_the_quantity() -> None:
    litres = entry("  - {quantity: volume_forward, table: holding, register: 0, type: f32, scale: 0.001}\n")
    assert decode.coarsening([litres]) == (litres,)
    assert step_of(litres, "16777216") == Decimal("0.002")
    live = entry(
        "  - {quantity: volume_forward, table: holding, register: 0, type: f32,"
        " times: [{register: 9, type: u16, codes: {1: 0.001, 2: 1000}}]}\n"
    )
    assert step_of(live, "16777216", "2") == 2000
    assert step_of(live, "16777216", "7") is None, "a unit code that nobody knows has no step"


@pytest.mark.parametrize(("digits", "total", "is_coarse"), [
    (0, "16777215", False),
    (0, "16777216", True),
    (1, "1048576", True),  # 2^20: 0.125
    (1, "1048575", False),  # 0.0625
    (3, "16384", True),  # 2^14: 2^-9
    (3, "8191", False),  # below 2^13: 2^-11
])  # fmt: skip
def test_the_last_digit_of_the_display_is_the_measure(digits: int, total: str, is_coarse: bool) -> None:
    found = entry(f"  - {{quantity: volume_forward, table: holding, register: 0, type: f32, digits: {digits}}}\n")
    step = step_of(found, total)
    assert step is not None
    assert decode.is_coarse(found, step) is is_coarse


def test_only_the_fraction_of_an_integer_and_a_fraction_is_a_float() -> None:
    total = LIBRARY.load("l-mag").entry("volume_forward")
    assert total is not None
    assert step_of(total, "1000000000", "0.5", "1") == Decimal(2) ** -24


@pytest.mark.parametrize("name", ["mag8000", "mjk-magflux", "arkon-mags1", "abb-b23", "acrel-adl400"])
def test_totals_of_whole_numbers_are_not_watched(name: str) -> None:
    assert decode.coarsening(LIBRARY.load(name).entries) == ()


def test_a_flow_may_be_as_coarse_as_it_likes() -> None:
    flow = entry("  - {quantity: flow_rate, table: holding, register: 0, type: f32}\n")
    assert decode.coarsening([flow]) == ()


def test_the_fault_names_the_step_and_ends_with_a_finer_one() -> None:
    total = entry("  - {quantity: volume_forward, table: holding, register: 0, type: f32, scale: 0.001}\n")
    (ask,) = DRIVERS["modbus"](framing="rtu").plan("1", decode.bundles([total]), {})
    meter = PolledMeter(
        name="main",
        profile="own",
        version="0",
        protocol="modbus",
        address="1",
        wire=WireSettings(baud=9600, parity="none", stop_bits=1, extra_silence_s=0.0),
        serial={},
        period_ms=1000,
        entries=[total],
        asks=[ask],
    )
    answered = Asked(ask, Transaction(reply=None, error=None, asked_s=0.0, at_s=0.0, received=b""), 1, None)
    faults = KeptFaults()
    place = (FaultCode.METER_TOTAL_COARSE, "meter/main")
    for litres, is_raised in (("16777216000", True), ("8388608000", False), ("17179869184", True)):
        meter.report(Sweep(done=[answered], raws={total.parts[0].item: Decimal(litres)}), faults)
        assert (place in faults.open) is is_raised
    assert faults.open[place] == {"quantity": "volume_forward", "step": "2.048", "unit": "m3"}
