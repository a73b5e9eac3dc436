"""A platform that speaks ThingsBoard's message forms behind a real broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client

from tests.forwarding import Rig, until
from tests.mosquitto import Mosquitto, Subscriber


class Platform(Subscriber):
    """Keeps every message by topic."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, Any]] = []
        super().__init__(port, topic="#")

    def _on_message(self, _client: Client, _userdata: Any, message: Any) -> None:
        self.messages.append((message.topic, json.loads(message.payload)))

    def on(self, topic: str) -> list[Any]:
        return [payload for each, payload in self.messages if each == topic]


def test_the_gateway_form_announces_each_device_before_its_values(tmp_path: Path):
    with Mosquitto(tmp_path) as broker, Platform(broker.port) as platform:
        with Rig(tmp_path, broker.port, format="thingsboard") as rig:
            rig.add(300)
            rig.start()
            rig.delivered()
            ids = rig.ids()
            until(lambda: _ids(platform.on("v1/gateway/telemetry")) == ids, 5, "receipt")
        assert platform.messages[0][0] == "v1/gateway/connect"
        devices = {device for payload in platform.on("v1/gateway/telemetry") for device in payload}
        assert {payload["device"] for payload in platform.on("v1/gateway/connect")} == devices
        assert {topic for topic, _ in platform.messages} == {"v1/gateway/connect", "v1/gateway/telemetry"}


@pytest.mark.parametrize("protocol", [5, 3])
def test_the_device_form_needs_one_topic_only(tmp_path: Path, protocol: int):
    with Mosquitto(tmp_path) as broker, Platform(broker.port) as platform:
        with Rig(tmp_path, broker.port, format="thingsboard-device", protocol=protocol) as rig:
            rig.add(50)
            rig.start()
            rig.delivered()
            until(lambda: sum(map(len, platform.on("v1/devices/me/telemetry"))) >= 50, 5, "receipt")
        assert {topic for topic, _ in platform.messages} == {"v1/devices/me/telemetry"}


def _ids(payloads: list[dict[str, list[Any]]]) -> set[str]:
    return {entry["values"]["id"] for payload in payloads for entries in payload.values() for entry in entries}
