"""A broker stopped in mid-burst, a black hole, a slow link: nothing is lost, and live data stay ahead."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tests.forwarding import Rig, until
from tests.mosquitto import Mosquitto, Subscriber
from tests.proxy import Proxy


def test_a_broker_frozen_in_mid_burst_costs_nothing(tmp_path: Path):
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port) as platform, Rig(tmp_path, broker.port) as rig:
        rig.start()
        rig.add(3000)
        until(lambda: len(platform.ids()) > 0, 5, "first messages")
        broker.freeze()
        rig.add(2000)
        until(lambda: rig.forwarder.snapshot()["state"] == "connecting", 8, "silence noticed")
        broker.thaw()
        rig.delivered(15)
        until(lambda: set(platform.ids()) == rig.ids(), 5, "receipt")
    assert_repeats_say_so(platform)


def test_a_broker_killed_in_mid_burst_gets_everything_it_did_not_acknowledge(tmp_path: Path):
    with (
        Mosquitto(tmp_path) as broker,
        Subscriber(broker.port) as platform,
        Proxy(broker.port) as proxy,
        Rig(tmp_path, proxy.port) as rig,
    ):
        rig.start()
        rig.add(3000)
        until(lambda: rig.forwarder.snapshot()["acknowledged"] != 0, 5, "first receipts")
        broker.kill()
        proxy.refuse(True)
        until(lambda: rig.forwarder.snapshot()["state"] == "connecting", 5, "loss noticed")
        acknowledged = int(str(rig.forwarder.snapshot()["acknowledged"]))
        platform.ready.clear()
        rig.add(1000)
        broker.start()
        assert platform.ready.wait(5)
        proxy.refuse(False)
        rig.delivered(15)
        until(lambda: len(rig.ids() - set(platform.ids())) <= acknowledged, 5, "receipt")
    assert_repeats_say_so(platform)


def test_a_black_hole_of_seven_seconds_loses_nothing_and_live_data_come_first(tmp_path: Path):
    with (
        Mosquitto(tmp_path) as broker,
        Subscriber(broker.port) as platform,
        Proxy(broker.port) as proxy,
        Rig(tmp_path, proxy.port) as rig,
    ):
        rig.start()
        rig.add(10)
        rig.delivered()
        proxy.hole(True)
        for _ in range(70):
            rig.add(5)
            time.sleep(0.1)
        assert rig.forwarder.snapshot()["state"] == "connecting", "5 s without progress"
        returned = time.monotonic()
        proxy.hole(False)
        until(lambda: platform.rounds[-1][0] > returned, 5, "first data")
        back_s = platform.rounds[-1][0] - returned
        rig.add(5)
        rig.delivered()
        until(lambda: set(platform.ids()) == rig.ids(), 5, "receipt")
    print(f"first data {back_s:.2f} s after the return")
    assert_repeats_say_so(platform)


def test_a_slow_link_after_an_outage_drains_its_backlog_behind_live_data(tmp_path: Path):
    """64 kbit/s and 100 ms; 3 kB/s of live data; an outage that leaves 45 kB, 5.6 s of the link's time."""
    with (
        Mosquitto(tmp_path) as broker,
        Subscriber(broker.port) as platform,
        Proxy(broker.port, rate_bit_s=64_000, latency_s=0.1) as proxy,
        Rig(tmp_path, proxy.port) as rig,
    ):
        added: dict[int, float] = {}
        stop = threading.Event()

        def poll() -> None:
            while not stop.wait(0.5):
                for _ in range(7):  # a round takes 205 bytes
                    rig.add(1)
                    added[rig._count] = time.monotonic()

        poller = threading.Thread(target=poll)
        rig.start()
        until(lambda: rig.forwarder.snapshot()["state"] == "connected", 5, "connection")
        poller.start()
        proxy.hole(True)
        rig.add(120)
        time.sleep(6.5)
        proxy.hole(False)
        returned = time.monotonic()
        until(lambda: bool(platform.rounds), 10, "first data")
        until(lambda: rig.forwarder._lanes.owed[0][0] > 180, 30, "backlog drained")
        drained = time.monotonic()
        stop.set()
        poller.join()
        rig.delivered()
        until(lambda: set(platform.ids()) == rig.ids(), 5, "receipt")
    first = {}
    for moment, each in platform.rounds:
        first.setdefault(int(each["id"].split("-")[1]), moment)
    live = sorted(first[number] - at for number, at in added.items() if returned + 1 < at < drained)
    print(f"drained in {drained - returned:.1f} s, live median {live[len(live) // 2]:.2f} s, most {live[-1]:.2f} s")
    overtaken = [number for number, at in added.items() if at < returned - 1.5 and first[number] > returned + 4.5]
    assert overtaken, "the end of the backlog arrives behind live data"
    assert live[len(live) // 2] < 3.0
    assert sum(platform.ids().values()) - len(platform.ids()) < 60, "the link is not given up while it moves"
    assert_repeats_say_so(platform)


def test_a_link_cut_in_the_middle_of_a_frame_repeats_and_loses_nothing(tmp_path: Path):
    with (
        Mosquitto(tmp_path) as broker,
        Subscriber(broker.port) as platform,
        Proxy(broker.port) as proxy,
        Rig(tmp_path, proxy.port) as rig,
    ):
        rig.add(2000)
        until(lambda: rig.store.committed == 2000, 5, "commit")
        proxy.cut_after(60_001)
        rig.start()
        rig.delivered()
        until(lambda: set(platform.ids()) == rig.ids(), 5, "receipt")
    assert proxy.connections == 2
    assert_repeats_say_so(platform)


def assert_repeats_say_so(platform: Subscriber) -> None:
    seen: dict[str, dict[str, object]] = {}
    for _, each in platform.rounds:
        content = {key: value for key, value in each.items() if key != "resent"}
        if each["id"] in seen:
            assert each["resent"]
            assert content == seen[each["id"]]
        seen[each["id"]] = content
