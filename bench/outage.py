"""Rows of the outages: what is lost, how soon live data are back, and a slow link."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.figures import Bench, Figure
from bench.running import lan, longest_pause_s, middle, naive, percentile, settle, simulated
from tests.proxy import Proxy
from tests.system.processes import Collector, Process, until
from tests.system.station import Site

METERS = 10
VALUES = 10
METERS_SLOW = 5  # of 20 values, each second: about 3 kB/s
SLOW_BIT_S = 64_000
LIVE_S = 1.0  # a reading that arrives within this is live
SETTLING_S = 2.0  # the link is back, the connection may not be yet


Away = Callable[[Proxy, bool], None]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one outage cost one program."""

    expected: int
    lost: int
    repeated: int
    return_s: float
    pause_s: float


def _outage(bench: Bench, name: str, *, with_naive: bool, seconds: float, away: Away, kill: bool = False) -> _Outcome:
    """Polls each second through an outage (the quick run: four times a second); with `kill`, kill -9 in its middle."""
    poll_s = 1.0 if bench.full else 0.25
    site = lan(
        bench.site(f"{name}-{'naive' if with_naive else 'qushui'}"), METERS, poll=f"{poll_s * 1000:g}ms", values=VALUES
    )
    with site, Proxy(target_port=site.broker_port) as proxy:
        site.uplink(proxy.port)
        with simulated(site) as meters:
            site.start_broker()
            collector = site.start_collector()

            def start() -> Process:
                return naive(site, poll_s, port=proxy.port) if with_naive else site.start_daemon()

            process = start()
            settle(process, 3.0)
            gone_s = time.monotonic()
            away(proxy, True)
            settle(process, seconds / 2)
            if kill:
                process.kill()
                process = start()
            settle(process, seconds / 2)
            away(proxy, False)
            back_s = time.monotonic()
            settle(process, 8.0 if with_naive else 6.0)
            process.stop()
            settle(collector, 1.0)
            meters.stop()
            return _outcome(site, collector, gone_s, back_s, with_naive=with_naive)


def _outcome(site: Site, collector: Collector, gone_s: float, back_s: float, *, with_naive: bool) -> _Outcome:
    served, came = site.served(), collector.stamped()
    live = [arrived_s for arrived_s, _, at_s in came if arrived_s > back_s and arrived_s - at_s < LIVE_S]
    return_s = min(live, default=float("inf")) - back_s
    pause_s = longest_pause_s(served, gone_s, back_s)
    if with_naive:
        return _Outcome(len(served), max(0, len(served) - len(came)), 0, return_s, pause_s)
    ids = [one["id"] for _, one, _ in came]
    stored = {one.id for one in site.stored()}
    return _Outcome(len(stored), len(stored - set(ids)), len(ids) - len(set(ids)), return_s, pause_s)


def _rows(bench: Bench, name: str, title: str, away: Away, *, kill: bool = False) -> list[Figure]:
    seconds = bench.length_s(10, 60)
    ours = _outage(bench, name, with_naive=False, seconds=seconds, away=away, kill=kill)
    theirs = _outage(bench, name, with_naive=True, seconds=seconds, away=away, kill=kill)
    note = f"{ours.expected} rounds stored, {ours.repeated} repeated; longest pause of polling {ours.pause_s:.2f} s"
    return [
        Figure(
            name=f"lost-{name}",
            title=f"rounds lost: {title}, {seconds:.0f} s",
            unit="rounds",
            target="0",
            limit=0,
            qushui=ours.lost,
            naive=theirs.lost,
            note=note,
            more={
                "repeated": ours.repeated,
                "pause_s": ours.pause_s,
                "expected": ours.expected,
                "expected_naive": theirs.expected,
            },
        ),
        Figure(
            name=f"return-{name}",
            title=f"first live data after {title} (reconnect_max 1s)",
            unit="s",
            target="≤ 2",
            qushui=ours.return_s,
            naive=theirs.return_s,
        ),
    ]


def silent(bench: Bench) -> list[Figure]:
    return _rows(bench, "silent", "silent link loss", Proxy.hole)


def refused(bench: Bench) -> list[Figure]:
    return _rows(bench, "refused", "refused connections", Proxy.refuse)


def killed(bench: Bench) -> list[Figure]:
    return _rows(bench, "killed", "refused connections and kill -9", Proxy.refuse, kill=True)


def slow_link(bench: Bench) -> list[Figure]:
    """64 kbit/s with 3 kB/s of live data; an outage; then the backlog must not hold up the live data."""
    site = lan(bench.site("slow-link"), METERS_SLOW, poll="1s", values=20)
    outage_s = bench.length_s(15, 60)
    with site, Proxy(target_port=site.broker_port, rate_bit_s=SLOW_BIT_S) as proxy:
        site.uplink(proxy.port)
        with simulated(site):
            site.start_broker()
            collector = site.start_collector()
            daemon = site.start_daemon()
            settle(daemon, 5.0)
            proxy.hole(True)
            settle(daemon, outage_s)
            missed = {one.id for one in site.stored()} - {one["id"] for one in collector.rounds()}
            proxy.hole(False)
            back_s = time.monotonic()
            until(lambda: missed <= {one["id"] for one in collector.rounds()}, 6 * outage_s, "the backlog has drained")
            drained_s = time.monotonic() - back_s
            settle(daemon, 2.0)
            daemon.stop(20)
            settle(collector, 1.0)
            came = collector.stamped()
            stored = {one.id for one in site.stored()}
    delays = [arrived_s - at_s for arrived_s, _, at_s in came if back_s + SETTLING_S < at_s < back_s + drained_s]
    size = sum(message.size for message in collector.messages()) / max(1, len(came))
    lost = len(stored - {one["id"] for _, one, _ in came})
    live_kb = METERS_SLOW * size / 1000
    note = f"live {live_kb:.1f} kB/s, median {middle(delays):.2f} s; backlog of {len(missed)} done in {drained_s:.0f} s"
    title = f"64 kbit/s link, {outage_s:.0f} s outage"
    return [
        Figure(name="slow-lost", title=f"{title}: rounds lost", unit="rounds", target="0", limit=0, qushui=lost),
        Figure(
            name="slow-live",
            title=f"{title}: live latency while the backlog drains, p99",
            unit="s",
            target="≤ 3",
            qushui=percentile(delays, 99),
            note=note,
            more={"p50_s": middle(delays), "drained_s": drained_s},
        ),
    ]
