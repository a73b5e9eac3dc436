"""Dead meters and their neighbours on one bus."""

from __future__ import annotations

import time
from pathlib import Path

from bench.bus import slots
from bench.physics import read_s
from tests.system.processes import until
from tests.system.station import BULK, PLAIN, Site

BAUD = 9600
TURNAROUND_S = 0.009
REGISTERS = 10
SECONDS = 120.0 if BULK else 15.0
DEAD = (2, 6, 11, 15, 20)


def test_five_dead_meters_of_twenty_cost_the_others_no_slot(tmp_path: Path) -> None:
    one_s = read_s(REGISTERS, BAUD, TURNAROUND_S)
    period_ms = round(20 * one_s / 0.7 * 1000)  # the bus is 70 % busy when all answer
    with Site(tmp_path, poll=f"{period_ms}ms") as site:
        site.serial("bus", baud=BAUD, strict=True, latency="9ms")
        site.profile("ten", {quantity: register for register, quantity in enumerate(PLAIN[:REGISTERS])})
        for unit in range(1, 21):
            values = dict.fromkeys(PLAIN[:REGISTERS], str(unit))
            mischief = [{"kind": "dead"}] if unit in DEAD else []
            site.meter(f"meter-{unit:02d}", "bus", "ten", unit, values=values, mischief=mischief)
        site.write()
        meters = site.start_meters()
        daemon = site.start_daemon().ready()
        dead_places = {f"meter/meter-{unit:02d}" for unit in DEAD}
        until(
            lambda: dead_places <= {place for code, place in daemon.faults() if code == "METER-NO-REPLY"},
            60,
            "the dead meters are known",
        )
        since_s = time.monotonic()
        time.sleep(SECONDS)
        until_s = time.monotonic()
        busy = daemon.status()["lines"]["bus"]["busy"]
        assert daemon.stop() == 0
        meters.stop()
        missed, lateness_ms = slots(site.served(), since_s, until_s, period_ms / 1000, one_s)
        assert missed == 0
        assert busy > 0.4
        # 1 % on an idle machine (make bench prints it); here the tests share the processor with each other.
        assert sum(lateness_ms) / len(lateness_ms) < 0.05 * period_ms
