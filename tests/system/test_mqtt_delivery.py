"""Delivery to a real broker: both protocol versions, encodings, limits, state and will."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.faults import FaultCode
from tests.forwarding import Rig, until
from tests.mosquitto import Mosquitto, Subscriber, make_passwords
from tests.proxy import Proxy


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


@pytest.mark.parametrize("protocol", [5, 3])
def test_every_committed_round_reaches_the_broker_once(tmp_path: Path, broker: Mosquitto, protocol: int):
    with Subscriber(broker.port) as platform, Rig(tmp_path, broker.port, protocol=protocol) as rig:
        rig.add(300)
        until(lambda: rig.store.committed == 300, 5, "commit")
        rig.start()
        rig.delivered()
        rig.add(50)
        rig.delivered()
        ids = rig.ids()
        until(lambda: set(platform.ids()) == ids, 5, "receipt")
    assert set(platform.ids().values()) == {1}
    for _, each in platform.rounds:
        assert each["values"] == {"volume_forward": each["id"].split("-")[1], "flow_rate": "1.50", "status": []}
    assert platform.content_types == {"application/json" if protocol == 5 else None}


@pytest.mark.parametrize("protocol", [5, 3])
def test_compressed_messages_hold_the_same_and_are_a_fraction_of_the_size(
    tmp_path: Path, broker: Mosquitto, protocol: int
):
    with (
        Subscriber(broker.port) as platform,
        Rig(tmp_path, broker.port, protocol=protocol, encoding="json+zlib") as rig,
    ):
        rig.add(500)
        until(lambda: rig.store.committed == 500, 5, "commit")
        rig.start()
        until(lambda: len(platform.ids()) == 500, 5, "receipt")
    assert platform.content_types == {"application/json+zlib" if protocol == 5 else None}
    plain = sum(len(zlib.decompress(payload)) for payload in platform.payloads)
    assert sum(map(len, platform.payloads)) < plain / 5


def test_the_state_is_retained_and_says_online_then_offline(tmp_path: Path, broker: Mosquitto):
    with Rig(tmp_path, broker.port) as rig:
        rig.start()
        until(lambda: rig.forwarder.snapshot()["state"] == "connected", 5, "connection")
        with Subscriber(broker.port) as late:
            until(lambda: len(late.states) == 1, 5, "retained state")
            rig.stop()
            until(lambda: len(late.states) == 2, 5, "farewell")
    assert late.states == [
        {"station": "pumphouse-12", "state": "online"},
        {"station": "pumphouse-12", "state": "offline"},
    ]


def test_the_last_will_says_offline_when_the_agent_dies(tmp_path: Path, broker: Mosquitto):
    with Subscriber(broker.port) as platform, Proxy(broker.port) as proxy, Rig(tmp_path, proxy.port) as rig:
        rig.start()
        until(lambda: len(platform.states) == 1, 5, "online")
        proxy.refuse(True)
        until(lambda: len(platform.states) == 2, 5, "will")
        proxy.refuse(False)
        until(lambda: len(platform.states) == 3, 5, "online again")
    assert [state["state"] for state in platform.states[:3]] == ["online", "offline", "online"]


def test_the_receive_maximum_of_the_broker_is_kept(tmp_path: Path):
    with (
        Mosquitto(tmp_path, extra="allow_anonymous true\nmax_inflight_messages 2") as broker,
        Subscriber(broker.port) as platform,
        Rig(tmp_path, broker.port) as rig,
    ):
        rig.add(2000)
        until(lambda: rig.store.committed == 2000, 5, "commit")
        rig.start()
        until(lambda: len(platform.ids()) == 2000, 10, "receipt")
        assert not [name for name, _ in rig.log.events if name == "uplink.lost"]


def test_the_largest_packet_of_the_broker_is_kept(tmp_path: Path):
    with (
        Mosquitto(tmp_path, extra="allow_anonymous true\nmax_packet_size 1500") as broker,
        Subscriber(broker.port) as platform,
        Rig(tmp_path, broker.port) as rig,
    ):
        rig.add(300)
        until(lambda: rig.store.committed == 300, 5, "commit")
        rig.start()
        until(lambda: len(platform.ids()) == 300, 10, "receipt")
        assert not [name for name, _ in rig.log.events if name == "uplink.lost"]
    assert max(map(len, platform.payloads)) <= 1500


def test_a_broker_that_hangs_up_on_large_messages_gets_smaller_ones(tmp_path: Path):
    with (
        Mosquitto(tmp_path, extra="allow_anonymous true\nmessage_size_limit 3000") as broker,
        Subscriber(broker.port) as platform,
        Rig(tmp_path, broker.port) as rig,
    ):
        rig.add(300)
        until(lambda: rig.store.committed == 300, 5, "commit")
        rig.start()
        until(lambda: len(platform.ids()) == 300, 10, "receipt")
        assert (FaultCode.UPLINK_PARKED, "uplink/cloud") not in rig.faults.open


def test_two_agents_with_one_client_id_see_a_fault(tmp_path: Path, broker: Mosquitto):
    (tmp_path / "second").mkdir()
    with (
        Rig(tmp_path, broker.port, client_id="twin") as one,
        Rig(tmp_path / "second", broker.port, client_id="twin") as two,
    ):
        one.start()
        until(lambda: one.forwarder.snapshot()["state"] == "connected", 5, "connection")
        two.start()
        evidence = one.trouble()
    assert evidence["trouble"] == "CLOSED"  # this broker tells no more


@pytest.mark.parametrize("protocol", [5, 3])
def test_a_wrong_password_is_refused_by_name_and_mended_without_a_restart(tmp_path: Path, protocol: int):
    make_passwords(tmp_path / "passwords", station="right")
    (tmp_path / "mqtt.pw").write_text("wrong\n", encoding="utf-8")
    extra = f"allow_anonymous false\npassword_file {tmp_path / 'passwords'}"
    with (
        Mosquitto(tmp_path, extra=extra) as broker,
        Rig(
            tmp_path,
            broker.port,
            protocol=protocol,
            username="station",
            password_file=str(tmp_path / "mqtt.pw"),
        ) as rig,
    ):
        rig.add(3)
        rig.start()
        assert rig.trouble()["trouble"] in {"NOT_AUTHORIZED", "BAD_CREDENTIALS"}
        assert rig.forwarder.snapshot()["state"] == "refused"
        assert "wrong" not in json.dumps(rig.log.events, default=str)
        (tmp_path / "mqtt.pw").write_text("right\n", encoding="utf-8")
        rig.delivered()
        assert not rig.faults.open


def test_a_stop_with_the_broker_away_ends_in_time_and_keeps_what_is_owed(tmp_path: Path, broker: Mosquitto):
    with Rig(tmp_path, broker.port) as rig:
        rig.start()
        until(lambda: rig.forwarder.snapshot()["state"] == "connected", 5, "connection")
        broker.freeze()
        rig.add(10)
        until(lambda: rig.store.committed == 10, 5, "commit")
        began = time.monotonic()
        rig.stop()
        assert time.monotonic() - began < 12
        assert rig.forwarder.snapshot()["backlog_rounds"] == 10
        broker.thaw()


def test_rounds_of_a_boot_without_a_date_wait_for_it_and_later_ones_do_not(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agent.forward.forwarder._HELD_S", 0.2)
    clock = SystemClock("nobody")
    with Subscriber(broker.port) as platform, Rig(tmp_path, broker.port, clock=clock) as rig:
        rig.start()
        until(lambda: rig.forwarder.snapshot()["state"] == "connected", 5, "connection")
        rig.add(30)
        until(lambda: rig.store.committed == 30, 5, "commit")
        assert rig.forwarder.snapshot()["backlog_rounds"] == 30
        assert not platform.rounds
        rig.store.date_boot(clock.offset_ms, "manual")
        rig.delivered()
        until(lambda: set(platform.ids()) == rig.ids(), 5, "receipt")
