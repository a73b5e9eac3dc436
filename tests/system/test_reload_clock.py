"""A clock that nobody has set: readings are kept, held back, and dated once when the date is known."""

from __future__ import annotations

import time
from pathlib import Path

from tests.system.processes import Collector, until
from tests.system.station import Site


def _site(directory: Path, trust: str) -> Site:
    site = Site(directory, poll="200ms", trust=trust)
    site.profile("two", {"level": 0, "pressure": 1})
    site.tcp("lan")
    site.meter("well", "lan", "two", values={"level": "3", "pressure": "4"})
    site.write()
    return site


def _held(site: Site, collector: Collector) -> set[str]:
    """Runs until rounds without a date are stored; none of them may be published."""
    until(lambda: site.committed() >= 5, 20, "rounds are stored")
    stored = site.stored()
    assert all(one.at_ms is None for one in stored)
    time.sleep(1.5)
    assert collector.count() == 0, "a reading without a date must not be published"
    return {one.id for one in stored}


def _came(collector: Collector) -> set[str]:
    return {one["id"] for one in collector.rounds()}


def test_readings_of_an_unset_clock_are_held_and_dated_by_the_technician(tmp_path: Path) -> None:
    with _site(tmp_path, "ntp") as site:
        site.start_meters()
        site.start_broker()
        collector = site.start_collector()
        daemon = site.start_daemon(unsynced=True).ready()
        held = _held(site, collector)
        assert ("CLOCK-UNSET", "clock") in daemon.faults()
        daemon.ask("clock-set", at_ms=round(time.time() * 1000))
        until(lambda: _came(collector) >= held, 20, "what was held is published")
        assert ("CLOCK-UNSET", "clock") not in daemon.faults()
        assert daemon.stop() == 0
        delivery = site.delivery(collector)
        assert (delivery.missing, delivery.different) == ([], [])
        times = [one.at_ms for one in site.stored()]
        assert None not in times
        assert times == sorted(times, key=lambda at_ms: at_ms or 0)


def test_readings_of_an_unset_clock_are_dated_by_the_next_start_in_the_same_boot(tmp_path: Path) -> None:
    with _site(tmp_path, "ntp") as site:
        site.start_meters()
        site.start_broker()
        collector = site.start_collector()
        daemon = site.start_daemon(unsynced=True).ready()
        held = _held(site, collector)
        assert daemon.stop() == 0
        site.trust = "host"
        site.write()
        daemon = site.start_daemon().ready()
        until(lambda: _came(collector) >= held, 20, "what was held is published")
        assert daemon.stop() == 0
        delivery = site.delivery(collector)
        assert (delivery.missing, delivery.different) == ([], [])
