"""A register that rolled over is flagged until its intake has booked it, also by a daemon that is killed."""

from __future__ import annotations

from pathlib import Path

from tests.system.processes import Daemon, until
from tests.system.station import Site

FLAGGED, GOOD = ("NEGATIVE_DELTA",), ()


def newest(site: Site) -> tuple[str, tuple[str, ...]]:
    """What the total showed last, and what is said of it."""
    found = [each for each in site.stored() if each.layout.meter == "main-flow"][-1]
    return str(found.texts[0]), tuple((found.quality or {}).get("volume_forward", ()))


def faults(daemon: Daemon) -> set[str]:
    return {each["code"] for each in daemon.status()["faults"]}


def test_a_booked_rollover_ends_the_fault_and_a_kill_does_not_bring_it_back(tmp_path: Path) -> None:
    with Site(tmp_path, poll="200ms") as site:
        site.profile("water", {"volume_forward": 0})
        site.tcp("lan")
        site.meter("main-flow", "lan", "water", values={"volume_forward": "9999"})
        water = {"meter": "main-flow", "step_m3": 1, "digits": 4}
        site.intakes["well-3"] = {"code": "4302810001", "source": "ground", "water": water}
        site.write()
        meters = site.start_meters()
        daemon = site.start_daemon().ready()
        until(lambda: site.stored() and newest(site) == ("9999", GOOD), 20, "it is read")
        meters.order(meter="main-flow", set={"volume_forward": "0"})
        until(lambda: newest(site) == ("0", GOOD), 20, "the new register is the measure")
        fell = [each.quality for each in site.stored() if each.layout.meter == "main-flow" and each.texts[0] == "0"]
        assert fell[0] == {"volume_forward": FLAGGED}, "the round of the fall keeps its word"
        until(lambda: "METER-NEGATIVE-DELTA" not in faults(daemon), 10, "the fault ends")
        before = len(fell)
        daemon.kill()
        daemon = site.start_daemon().ready()
        until(
            lambda: sum(each.layout.meter == "main-flow" for each in site.stored()) > before + 3, 20, "it is read again"
        )
        assert newest(site) == ("0", GOOD)
        assert "METER-NEGATIVE-DELTA" not in faults(daemon)
