"""kill -9 at random moments, under load, with the broker coming and going."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.system.processes import Broker, until
from tests.system.station import BULK, TWENTY, Site

KILLS = 50 if BULK else 5
METERS = 8


def _site(directory: Path) -> Site:
    site = Site(directory, poll="50ms")
    site.profile("ten", {quantity: register for register, quantity in enumerate(TWENTY[:10])})
    for index in range(METERS):
        site.tcp(f"lan-{index}")
        values = {quantity: str(100 * index + place) for place, quantity in enumerate(TWENTY[:10])}
        site.meter(f"meter-{index}", f"lan-{index}", "ten", values=values)
    site.write()
    return site


def test_every_committed_reading_reaches_the_broker_unchanged_however_often_the_daemon_is_killed(
    tmp_path: Path,
) -> None:
    chance = random.Random(4711)
    with _site(tmp_path) as site:
        meters = site.start_meters()
        broker: Broker | None = site.start_broker()
        collector = site.start_collector()
        seen: dict[str, tuple[object, ...]] = {}
        for turn in range(KILLS):
            daemon = site.start_daemon()
            for index in range(METERS):
                meters.order(meter=f"meter-{index}", set={TWENTY[0]: 100 * index + turn})
            site.grows(1)
            time.sleep(chance.uniform(0.1, 1.0))
            if chance.random() < 0.5:
                broker = _turned(site, broker)
                time.sleep(chance.uniform(0.0, 0.6))
            daemon.kill()
            # What was committed before this kill and is on disk after it must stay as it is for good.
            for one in site.stored():
                assert seen.setdefault(one.id, (one.layout.meter, one.texts)) == (one.layout.meter, one.texts)
        if broker is None:
            site.start_broker()
        daemon = site.start_daemon().ready()
        until(lambda: daemon.status()["uplinks"]["cloud"]["backlog_rounds"] < 2 * METERS, 60, "the backlog has drained")
        assert daemon.stop() == 0
        delivery = site.delivery(collector)
        assert delivery.stored >= len(seen) > KILLS
        assert seen.keys() <= {one.id for one in site.stored()}
        numbers = [one.number for one in site.stored()]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a number was given and not kept"
        meters.stop()
        served = {(one.meter, words(one.reply[9:])) for one in site.served()}
        assert {(one.layout.meter, one.texts) for one in site.stored() if one.quality is None} <= served
        assert delivery.missing == []
        assert delivery.different == []
        assert delivery.unmarked_repeats == []


def words(data: bytes) -> tuple[str, ...]:
    """The registers of an answer as decimal text."""
    return tuple(str(int.from_bytes(data[at : at + 2], "big")) for at in range(0, len(data), 2))


def _turned(site: Site, broker: Broker | None) -> Broker | None:
    """The broker off when it was on, on when it was off."""
    if broker is None:
        return site.start_broker()
    broker.stop()
    return None
