"""The platforms, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel

from agent.uplinks.contract import Uplink
from agent.uplinks.mqtt.settings import MqttSettings
from agent.uplinks.mqtt.uplink import MqttUplink


@dataclass(frozen=True, slots=True)
class UplinkKind:
    """How an uplink of one type is described, and made (called with name, settings, station, clock)."""

    settings: type[BaseModel]
    make: Callable[..., Uplink]


UPLINKS: Mapping[str, UplinkKind] = MappingProxyType({"mqtt": UplinkKind(MqttSettings, MqttUplink)})

SETTINGS: Mapping[str, type[BaseModel]] = MappingProxyType({name: kind.settings for name, kind in UPLINKS.items()})
"""What `config.load` validates an uplink's section by, according to its `type`."""
