"""Simulated electricity meters: every packaged DL/T 645 profile serves what it is told to show, also beside Modbus."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent import decode
from agent.model import Value
from agent.profiles import Library
from agent.quantities import STATUS
from agent.settings import Profile
from drivers.contract import Reply
from drivers.registry import DRIVERS
from simulators.meters.envelope import envelope_of
from simulators.meters.image import MeterImage
from simulators.meters.inverse import CannotShowError
from tests.simulators.far_end import SerialClient, counted, meter, packaged, read_request, serial

ADDRESS = "000000000012"
NAMES = [name for name in Library(drivers=DRIVERS).names() if name.startswith("dlt645-")]


def read_back(image: MeterImage, made: Profile, limits: dict[str, Any]) -> dict[str, Value]:
    """What the agent makes of the meter, through plan, request, reply and decode."""
    driver = DRIVERS[made.protocol]()
    raws: dict[Any, Any] = {}
    for ask in driver.plan(ADDRESS, decode.bundles(made.entries), limits):
        exchange = ask.begin(0)
        reply = exchange.receive(driver.answer(exchange.request, {ADDRESS: image.memory()}))
        assert isinstance(reply, Reply)
        raws |= dict(zip(ask.items, reply.values, strict=True))
    values, _ = decode.values(made.entries, raws)
    return dict(zip([entry.quantity for entry in made.entries], values, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_meter_shows_what_it_is_told_in_blocks_and_one_by_one(name: str) -> None:
    made = packaged(name)
    shown: dict[str, Any] = {
        entry.quantity: Decimal(number + 1) * entry.scale * 7
        for number, entry in enumerate(made.entries)
        if entry.parts
    }
    if made.entry(STATUS) is not None:
        shown[STATUS] = frozenset({"relay_open"})
    image = MeterImage(made.entries, shown)
    for limits in ({}, {"blocks": False}, {"wake": 0}):
        assert read_back(image, made, limits) == shown
    assert image.values == shown


def test_a_number_finer_than_the_last_digit_is_cut_and_one_too_big_is_refused() -> None:
    image = MeterImage(packaged("dlt645-2007").entries, {"energy_import": "1234.567", "power": "-5.12345"})
    assert image.values["energy_import"] == Decimal("1234.56")
    assert abs(Decimal("-5.12345") - Decimal(str(image.values["power"]))) < Decimal("0.0001")
    for quantity, value in (("energy_import", "1000000"), ("energy_import", "-0.01"), ("power", "80")):
        with pytest.raises(CannotShowError):
            image.set(quantity, value)


def test_meters_of_both_protocols_share_a_bus_and_each_hears_its_own(tmp_path: Path) -> None:
    power = meter("power", ADDRESS, profile=packaged("dlt645-2007"), values={"energy_import": "0.26"})
    water = meter("water", "104", values={"flow_rate": "2.5"})  # 104 is 68, with which the others' frames begin
    driver = DRIVERS["dlt645"]()
    (ask,) = driver.plan(ADDRESS, [(driver.item({"id": "00010000"}),)], {})
    request = ask.begin(0).request
    with serial(tmp_path / "a", water, power) as line, SerialClient(line.path) as client:
        assert len(client.ask(read_request(104, 0, 4), 13)) == 13
        for cut in (0, 1, 5, 9, 15):  # however the request arrives
            client.send(request[:cut])
            reply = ask.begin(0).receive(client.ask(request[cut:], len(request) + 4))
            assert isinstance(reply, Reply)
            assert reply.values == (Decimal(26),)
        stats = counted(line, 6)
        assert (stats.answered, stats.meters, stats.garbage_bytes) == (6, {"water": 1, "power": 5}, 0)


def test_wrong_answers_are_soundly_wrapped() -> None:
    driver = DRIVERS["dlt645"]()
    (ask,) = driver.plan(ADDRESS, [(driver.item({"id": "00010000"}),)], {})
    frame = driver.answer(ask.begin(0).request, {ADDRESS: {"00010000": b"\x26\0\0\0"}})
    envelope = envelope_of("dlt645", "rtu")
    assert envelope.other_address(frame, None)[5:7] == b"\x13\0"
    assert envelope.refused(frame, 2)[4 + 8 : 4 + 11] == bytes.fromhex("D1 01 35")
    assert envelope.other_function(frame)[4 + 8] == 0x92
    assert envelope.other_count(frame, 1)[4 + 9] == 10
    assert envelope.other_count(envelope.refused(frame, 2), 1) == envelope.refused(frame, 2)
    spoilt = envelope.spoilt(frame)
    assert (spoilt[:-2], spoilt[-1:]) == (frame[:-2], frame[-1:])
    assert spoilt != frame
