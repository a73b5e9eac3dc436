"""The platforms, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from agent.uplinks.contract import Uplink
from agent.uplinks.mqtt.uplink import MqttUplink

if TYPE_CHECKING:  # what judges sections is loaded only where a file is judged: it is large
    from agent.form.fields import UplinkSection


@dataclass(frozen=True, slots=True)
class UplinkKind:
    """How an uplink of one type is made (called with name, settings, station, clock); where its model is."""

    make: Callable[..., Uplink]
    settings: str


UPLINKS: Mapping[str, UplinkKind] = MappingProxyType(
    {"mqtt": UplinkKind(MqttUplink, "agent.uplinks.mqtt.settings:MqttSettings")}
)


def settings_models() -> dict[str, type[UplinkSection]]:
    """What `config.load` judges an uplink's section by, according to its `type`."""
    models = {}
    for name, kind in UPLINKS.items():
        module, _, model = kind.settings.partition(":")
        models[name] = getattr(import_module(module), model)
    return models
