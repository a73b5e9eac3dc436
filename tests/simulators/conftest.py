"""Fixtures of several files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulators.platforms.mqtt import MqttPlatform
from tests.simulators.mqtt_clients import running


@pytest.fixture
def platform() -> Iterator[MqttPlatform]:
    with running() as found:
        yield found
