"""The platforms, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agent.uplinks.contract import Uplink
from agent.uplinks.dialogue import Dialogue
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


@dataclass(frozen=True, slots=True)
class CentreKind:
    """How a centre of one type is spoken to: `dialogue` is called with its options, what centres have set, and
    `next_serial`; where its model is.
    """

    dialogue: str
    settings: str

    def load(self) -> Callable[..., Dialogue]:
        """What makes the dialogue; its codec is read in only by stations that have such a centre."""
        found: Callable[..., Dialogue] = _named(self.dialogue)
        return found


CENTRES: Mapping[str, CentreKind] = MappingProxyType(
    {
        "sl651": CentreKind(
            "agent.uplinks.sl651.dialogue:sl651_dialogue", "agent.uplinks.sl651.settings:Sl651Settings"
        ),
        "szy206": CentreKind(
            "agent.uplinks.szy206.dialogue:szy206_dialogue", "agent.uplinks.szy206.settings:Szy206Settings"
        ),
    }
)


def settings_models() -> dict[str, type[UplinkSection]]:
    """What `config.load` judges an uplink's section by, according to its `type`."""
    places = {name: kind.settings for name, kind in UPLINKS.items()}
    places |= {name: kind.settings for name, kind in CENTRES.items()}
    return {name: _named(place) for name, place in places.items()}


def _named(place: str) -> Any:
    """What `module:name` names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
