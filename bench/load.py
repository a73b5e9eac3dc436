"""Rows of the highest load: values carried per second for long, and how fast a backlog drains."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Bench, Figure
from bench.running import lan, naive, settle
from tests.system.processes import Collector, Process, until
from tests.system.station import Site

METERS = 80  # the shortest period is 10 ms: fewer could not ask for more than is aimed at
VALUES = 20
FARM = Path(__file__).with_name("farm.py")


def _first_port() -> int:
    """The first of `METERS` free ports in a row."""
    for first in range(21000, 31000, METERS):
        free = True
        for port in range(first, first + METERS):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                free = free and probe.connect_ex(("127.0.0.1", port)) != 0
        if free:
            return first
    raise RuntimeError("no free ports")


@contextmanager
def _farm(bench: Bench, name: str, poll: str) -> Iterator[tuple[Site, Process]]:
    """Meters of 20 registers that answer as fast as Python can."""
    first = _first_port()
    site = lan(bench.site(name), METERS, poll=poll, values=VALUES, ports=range(first, first + METERS))
    with site:
        site.write()
        farm = site.keep(
            Process(
                "farm", [sys.executable, FARM, str(first), str(METERS), site.directory / "farm.json"], site.directory
            )
        )
        yield site, farm


def sustained(bench: Bench) -> list[Figure]:
    """Polls as fast as the meters answer; counts what a subscriber behind the broker got."""
    seconds = bench.length_s(10, 60)
    reached, lost = {}, 0
    for who in ("qushui", "naive"):
        with _farm(bench, f"sustained-{who}", "10ms") as (site, farm):
            site.start_broker()
            collector = site.start_collector()
            process = naive(site, 0.0) if who == "naive" else site.start_daemon()
            settle(process, 3.0)
            began_s, before = time.monotonic(), collector.count()
            settle(process, seconds)
            reached[who] = (collector.count() - before) * VALUES / (time.monotonic() - began_s)
            farm.stop()
            if who == "qushui":
                settle(process, 1.0)
                process.stop(20)
                _quiet(collector)
                lost = len({one.id for one in site.stored()} - {one["id"] for one in collector.rounds()})
    return [
        Figure(
            name="sustained",
            title="sustained values/s, all on disk, all acknowledged",
            unit="values/s",
            target="≥ 100 000, slows, never drops",
            qushui=reached["qushui"],
            naive=reached["naive"],
            note=f"lost {lost}; meters, broker and subscriber share the machine; the naive script keeps nothing",
            more={"lost": lost},
        )
    ]


def drain(bench: Bench) -> list[Figure]:
    """Fills the store without a broker, then starts again with one while polling goes on each second."""
    rows = 50_000 if bench.full else int(15_000 * max(1.0, bench.scale))
    with _farm(bench, "drain", "10ms") as (site, _):
        daemon = site.start_daemon()
        until(lambda: site.committed() >= rows, 120, f"{rows} rounds are stored")
        daemon.stop(20)
        backlog = {one.id for one in site.stored()}
        for meter in site.meters.values():
            meter["poll"] = "1s"
        site.write()
        site.start_broker()
        collector = site.start_collector()
        daemon = site.start_daemon()
        until(lambda: collector.count() >= len(backlog), 120, "the backlog has drained")
        settle(daemon, 1.0)
        daemon.stop(20)
        _quiet(collector)
        messages = collector.messages()
    first_s, last_s, seen = 0.0, 0.0, set[str]()
    for message in messages:
        old = [one["id"] for one in message.rounds if one["id"] in backlog]
        if old:
            first_s, last_s = first_s or message.at_s, message.at_s
            seen.update(old)
    live_ms = _live_delays_ms(collector, backlog, last_s)
    values = len(seen) * VALUES
    return [
        Figure(
            name="drain",
            title="backlog drain, live data first",
            unit="values/s",
            target="≥ 1 000 000",
            qushui=values / max(1e-3, last_s - first_s),
            note=f"{values} values in {last_s - first_s:.2f} s, lost {len(backlog - seen)}, as the subscriber sees it; "
            f"live meanwhile late by at most {max(live_ms, default=0):.0f} ms",
            more={
                "lost": len(backlog - seen),
                "repeated": sum(len(m.rounds) for m in messages) - len({o["id"] for m in messages for o in m.rounds}),
            },
        )
    ]


def _live_delays_ms(collector: Collector, backlog: set[str], until_s: float) -> list[float]:
    """From a live reading to its arrival at the subscriber while the backlog drains."""
    return [
        1000 * (arrived_s - at_s)
        for arrived_s, one, at_s in collector.stamped()
        if one["id"] not in backlog and arrived_s <= until_s
    ]


def _quiet(collector: Collector) -> None:
    """Returns when nothing has come for half a second."""
    size = -1
    while (now := collector.file.stat().st_size) != size:
        size = now
        settle(collector, 0.5)
