"""Two thousand stations on one simulated platform, without loss; `make test` takes a tenth of them."""

from __future__ import annotations

import os
import resource
import threading
import time

import pytest

from agent.uplinks.sl651.options import WireOptions as Sl651Options
from agent.uplinks.szy206.options import WireOptions as Szy206Options
from simulators.platforms.centre.server import CentreServer
from simulators.stations.behaviour import shares_of
from simulators.stations.crowd import Crowd
from simulators.stations.links import Link, Sl651Link, Szy206Link
from simulators.stations.making import many
from simulators.stations.station import Plan
from simulators.stations.tally import Tally

BULK = os.environ.get("QUSHUI_BULK", "0") not in {"", "0"}
STATIONS = 2000 if BULK else 200
REPORTS = 3
LONGEST_S = 300.0 if BULK else 60.0
FRAMES = {"sl651": 1, "szy206": 3}  # of a report: SZY206 sends flow, level and pressure apart


def link_of(protocol: str) -> Link:
    if protocol == "sl651":
        return Sl651Link(Sl651Options(station="4302810001", timeout_s=20.0))
    return Szy206Link(Szy206Options(station="4302810100", timeout_s=10.0))


@pytest.mark.parametrize("protocol", ["sl651", "szy206"])
def test_stations_in_their_thousands_report_without_loss(protocol: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * STATIONS + 500)), hard))
    tally = Tally()
    first = {"sl651": "4302810001", "szy206": "4302810100"}[protocol]
    stations = many(
        STATIONS, link=link_of(protocol), first=first, plan=Plan(every_s=0.0, reports=REPORTS), tally=tally,
        shares=shares_of(["split:5", "cut:5", "noise:5", "reconnect:5"]), spread_s=STATIONS / 200,
    )  # fmt: skip
    with CentreServer(protocol) as centre:
        end = threading.Event()
        watchdog = threading.Timer(LONGEST_S, end.set)
        watchdog.start()
        began_s = time.monotonic()
        Crowd(("127.0.0.1", centre.port), stations, tally).run(end.is_set)
        watchdog.cancel()
        assert not end.is_set(), f"not over after {time.monotonic() - began_s:.0f} s: {tally.as_json()}"
        taken = centre.acknowledged()
    assert (tally.acknowledged, tally.unanswered, tally.refused) == (STATIONS * REPORTS, 0, 0)
    assert len({each.station for each in taken}) == STATIONS
    assert len(taken) == STATIONS * REPORTS * FRAMES[protocol]
