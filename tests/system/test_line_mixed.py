"""Meters of four protocols and settings on one bus, each with its own period."""

from __future__ import annotations

import json
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

from agent.model import StoredRound
from bench.mixed import SETTINGS, bus
from tests.system.processes import until
from tests.system.station import BULK, Site

MODBUS_SLOW, POWER, MODBUS_FAST, WATER = SETTINGS
PERIODS_MS = {  # when all are due at once, the bus is busy for 0.9 s
    f"{MODBUS_SLOW.name}-1": 2000,
    f"{MODBUS_SLOW.name}-2": 2000,
    f"{POWER.name}-1": 2000,
    f"{MODBUS_FAST.name}-1": 2000,
    f"{MODBUS_FAST.name}-2": 2000,
    f"{WATER.name}-1": 4000,
}
DEAD = f"{POWER.name}-1"
SECONDS = 60.0 if BULK else 8.0  # before and after the death


def shown(meter: str) -> dict[str, Decimal]:
    (setting,) = (each for each in SETTINGS if meter.startswith(each.name))
    return {quantity: Decimal(text) for quantity, text in setting.shown}


def values(found: StoredRound) -> dict[str, Decimal | None]:
    return {
        quantity: None if text is None else Decimal(text)
        for quantity, text in zip(found.layout.quantities, found.texts, strict=True)
    }


def check_slots(stored: list[StoredRound], meter: str, since_ms: float, until_ms: float) -> None:
    """Every slot that lies wholly in the window is stored once, with the right values."""
    period_ms = PERIODS_MS[meter]
    slots = range(int(since_ms // period_ms + 1) * period_ms, int(until_ms // period_ms) * period_ms, period_ms)
    assert len(slots) > 0
    rounds = [found for found in stored if found.layout.meter == meter and found.slot_ms in slots]
    assert Counter(found.slot_ms for found in rounds) == Counter(slots), meter
    for found in rounds:
        assert (values(found), found.quality) == (shown(meter), None), meter


def test_four_protocols_and_settings_on_one_bus_keep_every_slot_though_one_meter_dies(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        bus(site)
        for name, period_ms in PERIODS_MS.items():
            (setting,) = (each for each in SETTINGS if name.startswith(each.name))
            assert setting.add(site, int(name[-1]), poll=f"{period_ms}ms") == name
        site.write()
        meters = site.start_meters()
        daemon = site.start_daemon().ready()
        until(lambda: {found.layout.meter for found in site.stored()} == PERIODS_MS.keys(), 15, "all were polled once")

        since_ms = time.time() * 1000
        skipped = {name: meter["skipped"] for name, meter in daemon.status()["meters"].items()}
        time.sleep(SECONDS)
        died_ms = time.time() * 1000
        meters.order(meter=DEAD, mischief=[{"kind": "dead"}])
        time.sleep(SECONDS)
        until_ms = time.time() * 1000
        status = daemon.status()
        assert daemon.stop() == 0
        meters.stop()

        stored = site.stored()
        for name in PERIODS_MS.keys() - {DEAD}:
            check_slots(stored, name, since_ms, until_ms)
            assert status["meters"][name]["skipped"] == skipped[name], name
        check_slots(stored, DEAD, since_ms, died_ms)
        assert {(fault["code"], fault["place"]) for fault in status["faults"] if fault["place"] != "uplink/cloud"} == {
            ("METER-NO-REPLY", f"meter/{DEAD}")
        }
        counted = json.loads(meters.counters.read_text(encoding="utf-8"))["lines"]["bus"]
        wrong = ("early", "dropped", "collided", "wrong_baud", "garbage_bytes")
        assert {name: counted[name] for name in wrong} == dict.fromkeys(wrong, 0)
        after_ms = died_ms + PERIODS_MS[DEAD]
        silent = [found for found in stored if found.layout.meter == DEAD and (found.at_ms or 0) > after_ms]
        assert silent, "what a dead meter was asked for is stored as missing"
        assert {(values(found)["energy_import"], str(found.quality)) for found in silent} == {
            (None, str({"energy_import": ("NO_REPLY",)}))
        }
