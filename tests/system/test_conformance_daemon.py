"""The agent itself, with its daemon, meter and intake, before `qushui-sim conformance station` of both protocols."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from simulators.conformance.link_runner import run
from simulators.conformance.station_cases import CASES
from simulators.conformance.station_link import StationLink
from simulators.conformance.verdict import Outcome, Verdict
from simulators.platforms.centre.behaviour import Protocol
from simulators.platforms.centre.protocols import KINDS
from tests.system.station import BULK, Site

OUTAGE_S = 75.0 if BULK else 0.0  # longer than a minute, the shortest interval of reports
STATION = {Protocol.SL651: "4302810001", Protocol.SZY206: "4302810100"}
LONGEST_S = 420.0 if BULK else 240.0


def _site(directory: Path, links: dict[Protocol, StationLink]) -> Site:
    site = Site(directory, poll="500ms")
    site.uplinks.clear()
    site.profile("water", {"volume_forward": 0, "flow_rate": 1, "pressure": 2})
    site.tcp("lan")
    site.meter("main-flow", "lan", "water", values={"volume_forward": "1000", "flow_rate": "5", "pressure": "250"})
    site.intakes["well-3"] = {"code": "4302810001", "source": "ground", "water": {"meter": "main-flow", "step_m3": 1}}
    for protocol, link in links.items():
        site.uplinks[protocol.value] = {
            "type": protocol.value, "host": "127.0.0.1", "port": link.address[1], "station": STATION[protocol],
            "password": "0000", "intakes": {1: "well-3"}, "every": "1m", "jitter": "0ms", "timeout": "2s",
            "keepalive": "3s", "reconnect_max": "1s",
        }  # fmt: skip
    site.write()
    return site


def _link(protocol: Protocol) -> StationLink:
    options = replace(KINDS[protocol].options(), timeout_s=3.0)
    link = StationLink(
        protocol=protocol, address=("127.0.0.1", 0), options=options, station=STATION[protocol], limit_s=3.0,
        report_s=90.0, repeat_s=6.0, idle_s=8.0, outage_s=OUTAGE_S,
    )  # fmt: skip
    link.listen()
    return link


def test_the_agents_own_stations_conform_in_both_protocols_at_once(tmp_path: Path) -> None:
    links = {protocol: _link(protocol) for protocol in Protocol}
    found: dict[Protocol, tuple[Outcome, ...]] = {}

    def judge(protocol: Protocol) -> None:
        found[protocol] = run(CASES[protocol], links[protocol])

    threads = [threading.Thread(target=judge, args=(protocol,), daemon=True) for protocol in links]
    with _site(tmp_path, links) as site:
        site.start_meters()
        daemon = site.start_daemon().ready()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONGEST_S)
        assert len(found) == len(links), "not over in time"
        assert daemon.stop() == 0
    for link in links.values():
        link.close()
    told = {
        (protocol.value, each.case.id): (each.finding.verdict, each.finding.reason, dict(each.finding.arguments))
        for protocol, outcomes in found.items()
        for each in outcomes
    }
    assert {name: each for name, each in told.items() if each[0] is Verdict.FAILED} == {}
    differing = {name[1] for name, each in told.items() if each[0] is Verdict.DIFFERS}
    # six decimals of flow are another definition than the table's, as the fact sheet advises
    assert differing <= {"station.elements", "station.status", "station.query-history", "station.query-elements"}
    passed = {name for name, each in told.items() if each[0] is Verdict.PASSED}
    for protocol in Protocol:
        for step in ("report", "repeat", "other-acknowledgement", "settled", "frames", "query-current", "reconnection"):
            assert (protocol.value, f"station.{step}") in passed
