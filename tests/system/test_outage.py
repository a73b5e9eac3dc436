"""The three ways a link goes away: silent, refusing, and a broker stopped in mid-burst."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from agent.model import StoredRound
from tests.proxy import Proxy
from tests.system.processes import Collector, Daemon, until
from tests.system.station import BULK, TWENTY, Site

OUTAGE_S = 60.0 if BULK else 8.0
PERIOD_MS = 200
METERS = 6


def _site(directory: Path) -> Site:
    site = Site(directory, poll=f"{PERIOD_MS}ms")
    site.profile("five", {quantity: register for register, quantity in enumerate(TWENTY[:5])})
    for index in range(METERS):
        site.tcp(f"lan-{index}")
        site.meter(f"meter-{index}", f"lan-{index}", "five", values=dict.fromkeys(TWENTY[:5], str(index)))
    return site


def _through_an_outage(
    site: Site, collector: Collector, away: Callable[[], object], back: Callable[[], object]
) -> None:
    """Runs the daemon before, during and after an outage; checks what must hold after each kind of it."""
    daemon = site.start_daemon().ready()
    until(lambda: collector.count() > METERS, 20, "readings arrive before the outage")
    first = site.committed() + 1
    away()
    time.sleep(OUTAGE_S)
    last = site.committed()
    back()
    returned_s = time.monotonic()
    until(lambda: _drained(daemon), 60, "the backlog has drained")
    until(lambda: any(at_s > returned_s for at_s, _, _ in collector.lines()), 30, "readings arrive after the outage")
    time.sleep(1.0)
    assert daemon.stop() == 0
    delivery = site.delivery(collector)
    assert delivery.missing == []
    assert delivery.different == []
    assert delivery.unmarked_repeats == []
    _polling_never_paused([one for one in site.stored() if first <= one.number <= last])
    _order_is_kept(collector, range(first, last + 1))


def _drained(daemon: Daemon) -> bool:
    uplink = daemon.status()["uplinks"]["cloud"]
    return bool(uplink["state"] == "connected" and uplink["backlog_rounds"] < 2 * METERS)


def _polling_never_paused(outage: list[StoredRound]) -> None:
    """Each meter was polled in (nearly) every slot of the outage: a busy machine may cost one here and there."""
    by_meter: dict[str, list[int]] = {}
    for one in outage:
        assert one.at_ms is not None
        by_meter.setdefault(one.layout.meter, []).append(one.at_ms)
    assert len(by_meter) == METERS
    slots = OUTAGE_S * 1000 / PERIOD_MS
    for times in by_meter.values():
        assert len(times) > 0.9 * slots
        assert max(later - earlier for earlier, later in pairwise(times)) < 10 * PERIOD_MS


def _order_is_kept(collector: Collector, numbers: range) -> None:
    """Within the backlog the first arrivals of each meter are in the order in which they were read."""
    arrived: dict[str, list[int]] = {}
    seen: set[int] = set()
    for one in collector.rounds():
        number = int(one["id"].partition("-")[2])
        if number in numbers and number not in seen:
            seen.add(number)
            arrived.setdefault(one["meter"], []).append(number)
    for meter, order in arrived.items():
        assert order == sorted(order), f"{meter} arrived out of order"


@pytest.mark.parametrize("kind", ["silent", "refused"])
def test_a_link_that_goes_away_costs_no_reading_and_no_poll(tmp_path: Path, kind: str) -> None:
    with _site(tmp_path) as site, Proxy(target_port=site.broker_port) as proxy:
        site.uplink(proxy.port)
        site.write()
        site.start_meters()
        site.start_broker()
        collector = site.start_collector()
        link = proxy.hole if kind == "silent" else proxy.refuse
        _through_an_outage(site, collector, lambda: link(True), lambda: link(False))


def test_a_broker_stopped_in_mid_burst_costs_no_reading_and_no_poll(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        site.write()
        site.start_meters()
        broker = site.start_broker()
        collector = site.start_collector()
        _through_an_outage(site, collector, broker.stop, site.start_broker)
