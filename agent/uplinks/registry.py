"""The platforms, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agent.report.in_force import InForce
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
    """Where a centre of one type has its parts, which are read in only by stations that have such a centre."""

    package: str
    maker: str
    model: str

    def dialogue(self) -> Callable[..., Dialogue]:
        """Makes the dialogue of a connection from options, what the centre has set, `next_serial`, `last_serial`."""
        found: Callable[..., Dialogue] = _named(f"{self.package}.dialogue:{self.maker}")
        return found

    def in_force(self) -> Callable[[Mapping[str, str]], InForce]:
        """Says what the centre's settings change."""
        found: Callable[[Mapping[str, str]], InForce] = _named(f"{self.package}.parameters:in_force")
        return found

    def is_acceptable(self) -> Callable[[str, str], bool]:
        """Says whether a setting is taken."""
        found: Callable[[str, str], bool] = _named(f"{self.package}.parameters:is_acceptable")
        return found

    def defaults(self) -> Callable[[Any], Mapping[str, str]]:
        """Says what a centre reads of parameters that it has not set, from the options."""
        found: Callable[[Any], Mapping[str, str]] = _named(f"{self.package}.parameters:defaults")
        return found

    @property
    def settings(self) -> str:
        """Where its model is."""
        return f"{self.package}.settings:{self.model}"


CENTRES: Mapping[str, CentreKind] = MappingProxyType(
    {
        "sl651": CentreKind("agent.uplinks.sl651", "sl651_dialogue", "Sl651Settings"),
        "szy206": CentreKind("agent.uplinks.szy206", "szy206_dialogue", "Szy206Settings"),
    }
)


class _Models(Mapping[str, "type[UplinkSection]"]):
    """The models by type; each is loaded when it is asked for, since a station has few of them."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)

    def __getitem__(self, name: str) -> type[UplinkSection]:
        model: type[UplinkSection] = _named(self._places[name])
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places


def settings_models() -> Mapping[str, type[UplinkSection]]:
    """What `config.load` judges an uplink's section by, according to its `type`."""
    streams = {name: kind.settings for name, kind in UPLINKS.items()}
    return _Models(streams | {name: kind.settings for name, kind in CENTRES.items()})


def _named(place: str) -> Any:
    """What `module:name` names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
