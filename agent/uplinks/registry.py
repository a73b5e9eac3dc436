"""The platforms, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from drivers.named import Named, part_at

if TYPE_CHECKING:  # whoever judges a file needs no uplinks, and whoever runs them not what judges
    from agent.clock import Clock
    from agent.form.fields import UplinkSection
    from agent.report.in_force import InForce
    from agent.settings import Station
    from agent.uplinks.contract import Uplink
    from agent.uplinks.dialogue import Dialogue


@dataclass(frozen=True, slots=True)
class UplinkKind:
    """Where an uplink of one type and its model are; each is read in when it is needed."""

    maker: str
    settings: str

    def make(self, name: str, *, settings: Any, station: Station, clock: Clock) -> Uplink:
        """The uplink `name`, not connected yet."""
        uplink: Uplink = part_at(self.maker)(name, settings=settings, station=station, clock=clock)
        return uplink


UPLINKS: Mapping[str, UplinkKind] = MappingProxyType(
    {"mqtt": UplinkKind("agent.uplinks.mqtt.uplink:MqttUplink", "agent.uplinks.mqtt.settings:MqttSettings")}
)


@dataclass(frozen=True, slots=True)
class CentreKind:
    """Where a centre of one type has its parts, which are read in only by stations that have such a centre."""

    package: str
    maker: str
    model: str

    def dialogue(self) -> Callable[..., Dialogue]:
        """Makes the dialogue of a connection from options, what the centre has set, `next_serial`, `last_serial`."""
        found: Callable[..., Dialogue] = part_at(f"{self.package}.dialogue:{self.maker}")
        return found

    def in_force(self) -> Callable[[Mapping[str, str]], InForce]:
        """Says what the centre's settings change."""
        found: Callable[[Mapping[str, str]], InForce] = part_at(f"{self.package}.parameters:in_force")
        return found

    def is_acceptable(self) -> Callable[[str, str], bool]:
        """Says whether a setting is taken."""
        found: Callable[[str, str], bool] = part_at(f"{self.package}.parameters:is_acceptable")
        return found

    def defaults(self) -> Callable[[Any], Mapping[str, str]]:
        """Says what a centre reads of parameters that it has not set, from the options."""
        found: Callable[[Any], Mapping[str, str]] = part_at(f"{self.package}.parameters:defaults")
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


def settings_models() -> Mapping[str, type[UplinkSection]]:
    """What `config.load` judges an uplink's section by, according to its `type`."""
    streams = {name: kind.settings for name, kind in UPLINKS.items()}
    return Named(streams | {name: kind.settings for name, kind in CENTRES.items()})
