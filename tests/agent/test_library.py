"""The meter library: each packaged profile is served by a simulator, read back exactly, and known by its marks."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest

from agent import decode, fingerprint
from agent.entries import Mark
from agent.model import Value
from agent.profiles import Library
from agent.quantities import QUANTITIES, STATUS
from agent.settings import Profile
from drivers.contract import Driver, RawValue, Refused, Reply
from drivers.registry import DRIVERS
from simulators.meters.meter import SimulatedMeter

LIBRARY = Library(drivers=DRIVERS)
MODBUS = tuple(name for name in LIBRARY.names() if LIBRARY.load(name).protocol == "modbus")
ELECTRIC = tuple(name for name in MODBUS if LIBRARY.load(name).entry("energy_import") is not None)
MARKS = {name: LIBRARY.load(name).identify for name in MODBUS if LIBRARY.load(name).identify}
MARKED = tuple(MARKS)
ADDRESS = "7"


def raws_of(meter: SimulatedMeter, driver: Driver, bundles: Any) -> dict[Any, RawValue]:
    """Everything in `bundles` as the meter answers it, through plan, request and reply."""
    found: dict[Any, RawValue] = {}
    waiting = list(driver.plan(meter.address, bundles, meter.profile.limits))
    while waiting:
        ask = waiting.pop(0)
        exchange = ask.begin(0)
        try:
            reply = exchange.receive(meter.reply_to(exchange.request, driver))
        except Refused:
            assert len(ask.parts()) > 1, "a single field is refused"
            waiting += ask.parts()
            continue
        assert isinstance(reply, Reply)
        found |= dict(zip(ask.items, reply.values, strict=True))
    return found


def read(meter: SimulatedMeter) -> dict[str, Value]:
    profile = meter.profile
    raws = raws_of(meter, DRIVERS[profile.protocol](), decode.bundles(profile.entries))
    values, _ = decode.values(profile.entries, raws)
    return dict(zip((entry.quantity for entry in profile.entries), values, strict=True))


def expected(profile: Profile) -> list[dict[str, Any]]:
    """What the frames of the profile decode to: values that the registers can hold, from hand-made frames."""
    return [{quantity: value for quantity, value in test.expect.items() if value is not None} for test in profile.tests]


@pytest.mark.parametrize("name", MODBUS)
def test_every_packaged_meter_is_served_and_read_back_exactly(name: str) -> None:
    profile = LIBRARY.load(name)
    for values in expected(profile):
        found = read(SimulatedMeter("m", profile=profile, address=ADDRESS, values=values))
        for quantity, value in values.items():
            wanted = frozenset(value) if quantity == STATUS else Decimal(value)
            assert found[quantity] == wanted, quantity


@pytest.mark.parametrize("name", MARKED)
def test_a_simulated_meter_is_known_by_its_marks_at_its_own_address(name: str) -> None:
    profile = LIBRARY.load(name)
    meter = SimulatedMeter("m", profile=profile, address=ADDRESS)
    raws = raws_of(meter, DRIVERS[profile.protocol](), fingerprint.reads(profile.identify))
    assert fingerprint.fits(profile.identify, raws, address=ADDRESS)
    for mark in profile.identify:
        assert not fingerprint.fits([mark], {}, address=ADDRESS), "what was not read proves nothing"
        other = {mark.item: beyond(mark)}
        assert not fingerprint.fits(profile.identify, raws | other, address=ADDRESS)


def beyond(mark: Mark) -> Decimal:
    """A number for which the mark does not hold."""
    if mark.own_address:
        return Decimal(ADDRESS) + 1
    if mark.among:
        return Decimal(max(mark.among)) + 1
    return (mark.high or Decimal(0)) + 1


def test_the_library_holds_what_pump_houses_have() -> None:
    assert len(set(MODBUS) - set(ELECTRIC)) >= 25  # water and level
    assert len(ELECTRIC) >= 10


@pytest.mark.parametrize("name", MODBUS)
def test_a_profile_that_assumes_something_says_so_in_both_languages_and_names_its_quantities(name: str) -> None:
    profile = LIBRARY.load(name)
    assert bool(profile.unconfirmed) == bool(profile.doubtful)
    if profile.unconfirmed:
        assert profile.unconfirmed.keys() == {"zh", "en"}
        assert set(profile.doubtful) <= {entry.quantity for entry in profile.entries} - {STATUS}


@pytest.mark.parametrize("name", MODBUS)
def test_every_profile_says_in_its_own_file_what_the_maker_prints(name: str) -> None:
    """Each register has a comment: the printed number, or that of the source."""
    head, _, _ = LIBRARY.load(name).text.partition("\ntests:")
    lines = [line.strip() for line in head.splitlines() if "register:" in line]
    own = [line for line in lines if line.startswith(("- {quantity:", "- {table:", "register:", "sum:"))]
    assert own
    assert [line for line in own if "#" not in line] == []


DEEP = Decimal(10) ** 9  # m3: what no total may lose a unit up to


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("mag6000", "0.000001"),  # f64
        ("lanry-ultrawater", "0.000001"),  # f64
        ("mjk-magflux", "0.000000001"),  # u64
        ("mag8000", "0.000000001"),  # i32 and nano-units
        ("l-mag", "0.5"),  # u32 and an f32 fraction
        ("arkon-mags1", "0.001"),  # i32 and i32
        ("tuf2000", "0.5"),  # i32 and an f32 fraction
        ("abb-aquamaster3", "1"),  # u32
    ],
)
def test_exact_totals_lose_no_unit_up_to_a_thousand_million_cubic_metres(name: str, unit: str) -> None:
    profile = LIBRARY.load(name)
    for total in (DEEP - 1, DEEP - Decimal(unit), DEEP, DEEP - 12345678):
        meter = SimulatedMeter("m", profile=profile, address=ADDRESS, values={"volume_forward": total})
        assert read(meter)["volume_forward"] == total


@pytest.mark.parametrize("name", ["schneider-iem3000", "abb-b23", "siemens-pac2200"])
def test_exact_energies_lose_no_unit_up_to_a_thousand_million_kilowatt_hours(name: str) -> None:
    total = DEEP - Decimal("0.5")
    meter = SimulatedMeter("m", profile=LIBRARY.load(name), address=ADDRESS, values={"energy_import": total})
    assert read(meter)["energy_import"] == total


def test_every_flag_and_quantity_has_a_name_in_both_languages() -> None:
    for quantity in QUANTITIES.values():
        assert quantity.zh != quantity.en
        assert quantity.zh


SAME_MAP = {"krohne-ifc100": {"krohne-ifc300"}, "krohne-ifc300": {"krohne-ifc100"}}


def answers(meter: SimulatedMeter, marks: tuple[Mark, ...], driver: Driver) -> dict[Any, RawValue]:
    """What the meter answers of these marks, each asked for by itself; what it refuses is not there."""
    found: dict[Any, RawValue] = {}
    for bundle in fingerprint.reads(marks):
        (ask,) = driver.plan(ADDRESS, [bundle], {})
        exchange = ask.begin(0)
        with contextlib.suppress(Refused):
            reply = exchange.receive(meter.reply_to(exchange.request, driver))
            assert isinstance(reply, Reply)
            found |= dict(zip(ask.items, reply.values, strict=True))
    return found


@pytest.mark.parametrize("name", MODBUS)
def test_a_meter_is_not_taken_for_another_one(name: str) -> None:
    meter = SimulatedMeter("m", profile=LIBRARY.load(name), address=ADDRESS)
    driver = DRIVERS["modbus"]()
    fits = {
        other
        for other, marks in MARKS.items()
        if fingerprint.fits(marks, answers(meter, marks, driver), address=ADDRESS)
    }
    assert fits - {name} == SAME_MAP.get(name, set())
