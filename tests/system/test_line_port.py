"""The port: unplugged and plugged in again, missing at start, held by somebody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.system.processes import until
from tests.system.station import PLAIN, Site

HOLDER = """
import fcntl, sys, time
port = open(sys.argv[1], "r+b", buffering=0)
fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("held", flush=True)
time.sleep(600)
"""


def _site(directory: Path) -> Site:
    site = Site(directory, poll="200ms")
    site.serial("bus", baud=19200, latency="2ms")
    site.profile("two", dict(zip(PLAIN, (0, 1), strict=False)))
    site.meter("well", "bus", "two", 1, values=dict(zip(PLAIN, ("5", "6"), strict=False)))
    site.write()
    return site


def _good_rounds(site: Site) -> int:
    return sum(one.texts == ("5", "6") for one in site.stored())


def test_a_port_that_is_unplugged_and_plugged_in_again_is_opened_again(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        meters = site.start_meters()
        daemon = site.start_daemon().ready()
        until(lambda: _good_rounds(site) > 3, 20, "rounds are stored")
        meters.stop()
        until(lambda: ("LINE-DOWN", "line/bus") in daemon.faults(), 20, "it says that the port is away")
        before = _good_rounds(site)
        site.start_meters()
        until(lambda: _good_rounds(site) > before + 3, 30, "rounds are stored again")
        until(lambda: ("LINE-DOWN", "line/bus") not in daemon.faults(), 10, "the fault is cleared")
        assert daemon.stop() == 0
        missing = [one for one in site.stored() if one.texts == (None, None)]
        assert missing, "the outage leaves a round that says why there is no value"
        assert all(set((one.quality or {}).values()) <= {("LINE_DOWN",), ("NO_REPLY",)} for one in missing)


def test_a_port_that_is_missing_at_start_is_waited_for(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        daemon = site.start_daemon().ready()
        until(lambda: ("LINE-DOWN", "line/bus") in daemon.faults(), 20, "it says that the port is not there")
        site.start_meters()
        until(lambda: _good_rounds(site) > 2, 30, "rounds are stored")
        assert daemon.stop() == 0


def test_a_port_that_another_process_holds_is_said_with_its_name_and_taken_when_free(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        site.start_meters()
        port = site.lines["bus"]["port"]
        with subprocess.Popen([sys.executable, "-c", HOLDER, port], stdout=subprocess.PIPE) as holder:
            try:
                assert holder.stdout is not None
                assert holder.stdout.readline() == b"held\n"
                daemon = site.start_daemon().ready()
                until(lambda: ("LINE-HELD", "line/bus") in daemon.faults(), 20, "it says that the port is held")
                evidence = next(one for one in daemon.status()["faults"] if one["code"] == "LINE-HELD")["evidence"]
                assert str(holder.pid) in str(evidence), "the holder is named"
                assert "python" in str(evidence)
                assert _good_rounds(site) == 0
            finally:
                holder.kill()
        until(lambda: _good_rounds(site) > 2, 30, "the port is taken when it is free")
        until(lambda: ("LINE-HELD", "line/bus") not in daemon.faults(), 10, "the fault is cleared")
        assert daemon.stop() == 0
