"""What the agent asks on the wire: merged reads, and what it learns from a meter that refuses them."""

from __future__ import annotations

from pathlib import Path

from tests.system.processes import until
from tests.system.station import PLAIN, Site

ILLEGAL_ADDRESS = 2
SPLIT = ("METER-READ-SPLIT", "meter/well")


def test_four_registers_with_a_gap_of_ten_are_read_with_one_request(tmp_path: Path) -> None:
    with Site(tmp_path, poll="200ms") as site:
        site.serial("bus", strict=True, latency="5ms")
        site.profile("gap", dict(zip(PLAIN, (0, 1, 12, 13), strict=False)))
        site.meter("well", "bus", "gap", 7, values=dict(zip(PLAIN, ("1", "2", "3", "4"), strict=False)), gaps="zero")
        site.write()
        meters = site.start_meters()
        daemon = site.start_daemon()
        until(lambda: site.committed() >= 5, 20, "five rounds are committed")
        assert daemon.stop() == 0
        meters.stop()
        requests = {one.request[:6].hex(" ") for one in site.served()}
        assert requests == {"07 03 00 00 00 0e"}
        assert [one.texts for one in site.stored()] == [("1", "2", "3", "4")] * len(site.stored())


def test_a_merged_read_that_is_refused_is_split_for_good_and_said_once(tmp_path: Path) -> None:
    with Site(tmp_path, poll="200ms") as site:
        site.serial("bus", strict=True, latency="5ms")
        site.profile("gap", dict(zip(PLAIN, (0, 1, 12, 13), strict=False)))
        site.meter("well", "bus", "gap", 7, values=dict(zip(PLAIN, ("1", "2", "3", "4"), strict=False)))
        site.write()
        meters = site.start_meters()
        daemon = site.start_daemon().ready()
        until(lambda: site.committed() >= 6, 20, "six rounds are committed")
        faults = [one for one in daemon.status()["faults"] if (one["code"], one["place"]) == SPLIT]
        assert len(faults) == 1
        assert faults[0]["count"] == 1
        assert daemon.stop() == 0
        meters.stop()
        served = site.served()
        refused = [one for one in served if one.reply[1] & 0x80]
        assert [one.reply[2] for one in refused] == [ILLEGAL_ADDRESS], "it must not ask the same thing again"
        assert {one.request[2:6].hex(" ") for one in served[1:]} == {"00 00 00 02", "00 0c 00 02"}
        assert {one.texts for one in site.stored()} == {("1", "2", "3", "4")}
