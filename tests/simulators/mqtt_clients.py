"""A simulated MQTT platform that runs, and clients of paho whose callbacks end in queues."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from simulators.platforms.mqtt import MqttPlatform

TOPIC = "qushui/pumphouse-12/rounds"
PATIENCE_S = 10.0
VERSIONS = pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5], ids=["3.1.1", "5.0"])


def a_round(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"9f3c2a71-{number}",
        "meter": "main-flow",
        "at": "2026-11-21T08:00:07.412+08:00",
        "slot": "2026-11-21T08:00:00+08:00",
        "resent": False,
        "values": {"volume_forward": "1234.56", "flow_rate": None},
        "quality": {"flow_rate": ["NO_REPLY"]},
    } | changes


def payload(*rounds: dict[str, Any]) -> bytes:
    return json.dumps(rounds).encode()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.01)


@contextmanager
def running(**settings: Any) -> Iterator[MqttPlatform]:
    platform, stop = MqttPlatform(**settings), threading.Event()
    thread = threading.Thread(target=platform.run, args=(stop,))
    thread.start()
    try:
        yield platform
    finally:
        stop.set()
        platform.wake()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        platform.close()


class Client:
    """A paho client whose callbacks end in queues."""

    def __init__(self, platform: MqttPlatform, version: int, *, name: str = "", will: bytes | None = None) -> None:
        self.connected: queue.Queue[Any] = queue.Queue()
        self.ended: queue.Queue[Any] = queue.Queue()
        self.published: queue.Queue[tuple[int, int]] = queue.Queue()
        self.messages: queue.Queue[Any] = queue.Queue()
        self.subscribed: queue.Queue[Any] = queue.Queue()
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, protocol=version)
        self.paho.on_connect = lambda _c, _u, _f, code, properties: self.connected.put((code, properties))
        self.paho.on_disconnect = lambda _c, _u, _f, code, _p: self.ended.put(code)
        self.paho.on_publish = lambda _c, _u, mid, code, _p: self.published.put((mid, code.value))
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_subscribe = lambda _c, _u, _m, codes, _p: self.subscribed.put([code.value for code in codes])
        if will is not None:
            self.paho.will_set("qushui/pumphouse-12/state", will, qos=1, retain=True)
        self.platform = platform

    def open(self) -> Client:
        self.paho.connect(*self.platform.address, keepalive=30)
        self.paho.loop_start()
        code, self.properties = self.connected.get(timeout=PATIENCE_S)
        assert not code.is_failure, code
        return self

    def send(self, data: bytes, *, topic: str = TOPIC, content_type: str | None = None) -> int:
        properties = None
        if content_type:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ContentType = content_type
        return self.paho.publish(topic, data, qos=1, properties=properties).mid

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


@contextmanager
def client(platform: MqttPlatform, version: int = paho.MQTTv5, **settings: Any) -> Iterator[Client]:
    opened = Client(platform, version, **settings).open()
    try:
        yield opened
    finally:
        opened.close()
