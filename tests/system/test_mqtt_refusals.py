"""A platform that refuses, delays or drops acknowledgements: our simulated one, since Mosquitto cannot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.faults import FaultCode
from agent.uplinks.contract import Batch
from agent.uplinks.mqtt.settings import MqttSettings
from agent.uplinks.mqtt.uplink import MqttUplink
from simulators.platforms.mqtt import MqttPlatform
from tests.forwarding import STATION, Rig, stored, until

PLACE = "uplink/cloud"


@contextmanager
def platform() -> Iterator[MqttPlatform]:
    made = MqttPlatform()
    stop = threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        made.wake()
        thread.join(5)
        made.close()


def numbers(made: MqttPlatform) -> set[str]:
    return {each.id for each in made.rounds()}


@pytest.mark.parametrize("code", [0x80, 0x97])
def test_a_refusal_that_concerns_us_is_a_fault_until_it_ends_and_loses_nothing(tmp_path: Path, code: int):
    with platform() as made, Rig(tmp_path, made.address[1]) as rig:
        rig.start()
        until(lambda: rig.forwarder.snapshot()["state"] == "connected", 5, "connection")
        made.order({"ack": "refuse", "code": code})
        rig.add(20)
        until(lambda: (FaultCode.UPLINK_REFUSED, PLACE) in rig.faults.open, 5, "fault")
        assert rig.forwarder.snapshot()["state"] == "refused"
        made.order({"ack": "accept"})
        rig.delivered()
        until(lambda: not rig.faults.open, 5, "cleared")
        assert numbers(made) == rig.ids()
        assert not rig.forwarder.snapshot()["parked"]


@pytest.mark.parametrize("code", [0x90, 0x99])
def test_a_message_the_platform_will_never_take_is_halved_and_its_rounds_are_parked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
):
    monkeypatch.setattr("agent.forward.forwarder._HELD_S", 1.5)
    with platform() as made, Rig(tmp_path, made.address[1]) as rig:
        rig.start()
        until(lambda: rig.forwarder.snapshot()["state"] == "connected", 5, "connection")
        made.order({"ack": "refuse", "code": code})
        rig.add(3)
        until(lambda: rig.forwarder.snapshot()["parked"] == 3, 5, "parked")
        assert (FaultCode.UPLINK_PARKED, PLACE) in rig.faults.open
        made.order({"ack": "accept"})
        rig.add(5)
        rig.delivered()
        assert len(numbers(made)) == 5
        rig.store.retry_parked("cloud")
        until(lambda: len(numbers(made)) == 8, 5, "parked rounds, tried again")
        until(lambda: (FaultCode.UPLINK_PARKED, PLACE) not in rig.faults.open, 8, "cleared")


def test_acknowledgements_that_never_come_are_a_silent_link(tmp_path: Path):
    with platform() as made, Rig(tmp_path, made.address[1]) as rig:
        rig.start()
        until(lambda: rig.forwarder.snapshot()["state"] == "connected", 5, "connection")
        made.order({"ack": "drop", "times": 1})
        rig.add(2)
        rig.delivered(12)
        assert [keys["trouble"] for name, keys in rig.log.events if name == "uplink.lost"] == ["SILENT"]
        assert numbers(made) == rig.ids()


def test_late_acknowledgements_are_waited_for(tmp_path: Path):
    with platform() as made, Rig(tmp_path, made.address[1]) as rig:
        rig.start()
        until(lambda: rig.forwarder.snapshot()["state"] == "connected", 5, "connection")
        made.order({"ack": "delay", "seconds": 2})
        rig.add(5)
        rig.delivered()
        assert not [name for name, _ in rig.log.events if name == "uplink.lost"]


@pytest.mark.parametrize("protocol", [5, 3])
@pytest.mark.parametrize(
    ("code", "trouble", "fault"),
    [
        (0x86, "BAD_CREDENTIALS", FaultCode.UPLINK_REFUSED),
        (0x87, "NOT_AUTHORIZED", FaultCode.UPLINK_REFUSED),
        (0x85, "CLIENT_ID_REFUSED", FaultCode.UPLINK_REFUSED),
        (0x84, "PROTOCOL_REFUSED", FaultCode.UPLINK_REFUSED),
        (0x88, "SERVER_BUSY", FaultCode.UPLINK_DOWN),
    ],
)
def test_why_a_platform_does_not_let_us_in_is_told_apart(
    tmp_path: Path, protocol: int, code: int, trouble: str, fault: FaultCode
):
    with platform() as made, Rig(tmp_path, made.address[1], protocol=protocol) as rig:
        made.order({"connect": "refuse", "code": code})
        rig.add(1)
        rig.start()
        until(lambda: bool(rig.faults.open), 5, "fault")
        assert rig.faults.open[fault, PLACE]["trouble"] == trouble
        made.order({"connect": "accept"})
        rig.delivered()


def test_one_message_at_a_time_is_enough(tmp_path: Path):
    with platform() as made:
        made.order({"limits": {"receive_maximum": 1}})
        with Rig(tmp_path, made.address[1]) as rig:
            rig.add(500)
            until(lambda: rig.store.committed == 500, 5, "commit")
            rig.start()
            rig.delivered()
            assert numbers(made) == rig.ids()
            assert not [name for name, _ in rig.log.events if name == "uplink.lost"]


def test_a_round_larger_than_the_largest_packet_is_parked_and_said(tmp_path: Path):
    with platform() as made:
        made.order({"limits": {"maximum_packet_size": 250}})
        with Rig(tmp_path, made.address[1]) as rig:
            rig.add(2)
            rig.start()
            until(lambda: rig.forwarder.snapshot()["parked"] == 2, 5, "parked")
            evidence = rig.faults.open[FaultCode.UPLINK_PARKED, PLACE]
            assert str(evidence["reason"]).startswith("TOO_LARGE")


def test_bytes_that_have_not_left_are_counted_in_the_library_and_in_the_kernel(tmp_path: Path):
    settings = MqttSettings(url="mqtt://127.0.0.1:1", message_max="200kB").options()
    with platform() as made:
        settings = replace(settings, url=f"mqtt://127.0.0.1:{made.address[1]}")
        uplink = MqttUplink("cloud", settings=settings, station=STATION, clock=SystemClock("host"))
        uplink.open(3)
        made.order({"read": "stall"})
        handed = 0
        for tag in range(100):
            handed += uplink.send(Batch([stored(number) for number in range(1, 500)], [False] * 499), tag)
        assert 0 < uplink.unsent() <= handed + 100 * 64
        uplink.close()
        assert uplink.unsent() == 0


def test_a_broker_that_retains_nothing_is_not_asked_to(tmp_path: Path):
    with platform() as made, Rig(tmp_path, made.address[1]) as rig:
        made.order({"connect": "refuse", "code": 0x9A})
        rig.add(1)
        rig.start()
        assert rig.trouble()["trouble"] == "REFUSED"
        made.order({"connect": "accept"})
        rig.delivered()
        assert not rig.forwarder._uplink._may_retain
