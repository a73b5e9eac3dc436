"""Centres over a real daemon: from a simulated meter's register to the centre's own table, whatever the centre does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from simulators.platforms.centre.server import CentreServer
from tests.ports import free_port
from tests.system.processes import SCRIPTS, Daemon, until
from tests.system.station import Site

STATION_SL651, STATION_SZY206 = "3301060001", "4302810007"


@contextmanager
def pump_house(directory: Path, **uplinks: dict[str, Any]) -> Iterator[Site]:
    """A meter read five times a second, and the centres; an additional report with each cubic metre of flow more."""
    site = Site(directory, poll="200ms")
    site.profile("water", {"volume_forward": 0, "flow_rate": 1})
    site.tcp("lan")
    site.meter("main-flow", "lan", "water", values={"volume_forward": "1000", "flow_rate": "5"})
    site.intakes["well-3"] = {"code": "4302810001", "source": "ground", "water": {"meter": "main-flow", "step_m3": 1}}
    site.uplinks = {}
    for name, settings in uplinks.items():
        common = {"host": "127.0.0.1", "intakes": {1: "well-3"}, "reconnect_max": "1s", "jitter": "0ms",
                  "backlog": 6000, "additional": {1: {"flow_rate": {"change": 1}}}}  # fmt: skip
        site.uplinks[name] = {**common, **settings}
    site.write()
    with site:
        site.meter_process = site.start_meters()  # type: ignore[attr-defined]
        yield site


def sl651(port: int, **more: Any) -> dict[str, Any]:
    return {"type": "sl651", "port": port, "station": STATION_SL651, "timeout": "1s", **more}


def szy206(port: int, **more: Any) -> dict[str, Any]:
    return {"type": "szy206", "port": port, "station": STATION_SZY206, "timeout": "1s", **more}


def flows(site: Site, *values: int) -> None:
    """The flow changes, each change read before the next one."""
    for value in values:
        site.meter_process.order(meter="main-flow", set={"flow_rate": value})  # type: ignore[attr-defined]
        until(lambda: _flow(site) == value, 20, f"a flow of {value} is stored")  # noqa: B023


def _flow(site: Site) -> Decimal | None:
    found = [
        one for one in site.stored()[-20:] if one.layout.meter == "well-3" and "flow_rate" in one.layout.quantities
    ]
    text = found[-1].texts[found[-1].layout.quantities.index("flow_rate")] if found else None
    return None if text is None else Decimal(text)


def outbox(site: Site, name: str) -> dict[str, Any]:
    """What `qushui outbox --json` says of a centre."""
    argv = [str(each) for each in (SCRIPTS / "qushui", "outbox", "-c", site.config, "--json")]
    told = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    found: dict[str, Any] = told["centres"][name]
    return found


def settled(site: Site, daemon: Daemon, centre: CentreServer, name: str, least: int) -> None:
    """Everything that was composed is acknowledged, here and in the centre's own table."""

    def is_settled() -> bool:
        told = daemon.status()["uplinks"][name]
        return bool(told["backlog_rounds"] == 0) and centre.report()["acknowledged"] >= least

    until(is_settled, 60, f"{name} has acknowledged everything")
    until(lambda: outbox(site, name)["waiting"] == 0, 10, "the last word is on disk")
    told = outbox(site, name)
    assert told["acknowledged"] == told["stored"] >= least
    assert told["parked"] == []


STYLES_SL651 = (
    "normal", "eot", "ack", "never,normal", "late:1.5,normal", "late:1.5,previous-serial,normal", "wrong-serial,normal",
    "glued", "glued-query", "split", "reset,normal", "close,normal", "empty", "bad-crc,normal", "wrong-password,normal",
)  # fmt: skip
STYLES_SZY206 = (
    "normal", "with-tp", "never,normal", "late:1.5,normal", "glued", "glued-query", "split", "reset,normal",
    "close,normal", "bad-crc,normal", "wrong-address,normal", "wrong-fcb", "again:0.3,never,normal",
)  # fmt: skip


def test_whatever_a_centre_does_every_report_ends_acknowledged_as_its_own_table_shows(tmp_path: Path) -> None:
    """All behaviours at once, each at a centre of its own."""
    plans = [("sl651", ack) for ack in STYLES_SL651] + [("szy206", ack) for ack in STYLES_SZY206]
    centres = {f"c{at}": (kind, ack, CentreServer(kind, ack=ack)) for at, (kind, ack) in enumerate(plans)}
    uplinks = {}
    for name, (kind, _, server) in centres.items():
        server.__enter__()
        uplinks[name] = sl651(server.port) if kind == "sl651" else szy206(server.port)
    try:
        with pump_house(tmp_path, **uplinks) as site:
            daemon = site.start_daemon().ready()
            until(lambda: all(each["state"] == "connected" for each in daemon.status()["uplinks"].values()), 30, "all")
            until(lambda: _flow(site) == 5, 20, "the flow is stored")
            flows(site, 7, 9, 11)
            for name, (kind, ack, server) in centres.items():
                until(lambda: len(server.received()) >= 3, 60, f"{kind} {ack}: three reports came")  # noqa: B023
                settled(site, daemon, server, name, 3)
                _as_the_table_says(site, server, name, f"{kind} {ack}")
            assert daemon.stop() == 0
    finally:
        for _, _, server in centres.values():
            server.__exit__(None, None, None)


def _as_the_table_says(site: Site, server: CentreServer, name: str, what: str) -> None:
    reports = server.received()
    assert all(each.acks for each in reports), what
    assert len(reports) == outbox(site, name)["acknowledged"], what
    assert not [each for each in server.violations() if each.is_failed], (what, server.violations())
    if server.protocol == "sl651":
        found = [Decimal(each.values["Q1"]) for each in reports]
        assert found == [(Decimal(value) / 3600).quantize(Decimal("0.000001"), "ROUND_DOWN") for value in (7, 9, 11)]
    else:
        assert [Decimal(each.values["meters"][0]["instant"]) for each in reports] == [7, 9, 11]


@pytest.mark.parametrize("kind", ["sl651", "szy206"])
def test_a_report_is_repeated_after_a_kill_between_its_send_and_its_acknowledgement(tmp_path: Path, kind: str) -> None:
    with CentreServer(kind, ack="never") as centre:
        section = (sl651 if kind == "sl651" else szy206)(centre.port, timeout="10s")
        with pump_house(tmp_path, far=section) as site:
            daemon = site.start_daemon().ready()
            until(lambda: _flow(site) == 5, 20, "the flow is stored")
            flows(site, 7)
            assert centre.wait(lambda: len(centre.received()) == 1, 20)
            (before,) = centre.received()
            daemon.kill()
            centre.behave("normal")
            daemon = site.start_daemon().ready()
            settled(site, daemon, centre, "far", 1)
            found = centre.received()
            assert found[0].copies >= 2
            assert (found[0].serial, found[0].values) == (before.serial, before.values)
            assert len({each.key for each in found}) == len(found)
            assert daemon.stop() == 0


def test_the_backup_address_takes_over(tmp_path: Path) -> None:
    with CentreServer("sl651") as backup:
        section = sl651(free_port(), backup=f"127.0.0.1:{backup.port}")
        with pump_house(tmp_path, far=section) as site:
            daemon = site.start_daemon().ready()
            until(lambda: _flow(site) == 5, 20, "the flow is stored")
            flows(site, 8)
            settled(site, daemon, backup, "far", 1)
            assert daemon.stop() == 0


def test_a_restart_that_a_centre_orders_is_answered_and_loses_nothing(tmp_path: Path) -> None:
    """SZY206, 90 with 01: lines and uplinks begin anew in the same process; a second one at once is not carried out."""
    with CentreServer("szy206") as centre, pump_house(tmp_path, far=szy206(centre.port, sets=True)) as site:
        daemon = site.start_daemon().ready()
        until(lambda: _flow(site) == 5, 20, "the flow is stored")
        flows(site, 7)
        centre.send("90 reset=1")
        until(lambda: daemon.text().count("station.restarted") == 1, 20, "it begins anew")
        assert centre.answers()[-1].answers[0]["result"] == "done"
        until(lambda: daemon.status()["uplinks"]["far"]["state"] == "connected", 20, "it is there again")
        flows(site, 9)
        refused = daemon.text().count("command.refused")
        centre.send("90 reset=1")
        until(lambda: daemon.text().count("command.refused") > refused, 20, "not again so soon")
        flows(site, 11)
        settled(site, daemon, centre, "far", 3)
        assert daemon.text().count("station.restarted") == 1
        assert daemon.stop() == 0


def test_a_person_decides_between_the_platforms_time_and_ours(tmp_path: Path) -> None:
    """CLOCK-DISPUTED names both times; `qushui clock set` ends it. Nothing moves before."""
    section = {"sets": True, "clock": True}
    with CentreServer("sl651") as centre, pump_house(tmp_path, far=sl651(centre.port, **section)) as site:
        daemon = site.start_daemon().ready()
        until(lambda: bool(centre.online()), 20, "it is there")
        centre.send("4A at=260101000000")

        def disputed() -> list[dict[str, Any]]:
            return [each for each in daemon.status()["faults"] if each["code"] == "CLOCK-DISPUTED"]

        until(lambda: bool(disputed()), 20, "the platform is doubted")
        assert dict(disputed()[0]["evidence"])["centre_at"] == "2025-12-31T16:00:00+00:00"
        assert daemon.status()["clock"]["source"] == "host"
        now = datetime.fromisoformat(daemon.status()["clock"]["now"]).astimezone(timezone(timedelta(hours=8)))
        argv = [SCRIPTS / "qushui", "clock", "set", f"{now:%Y-%m-%d %H:%M:%S}", "-c", site.config]
        subprocess.run([str(each) for each in argv], check=True, capture_output=True)
        until(lambda: not disputed(), 10, "it is decided")
        assert daemon.stop() == 0
