"""The protocols that a simulated centre speaks: how its dialogues are made, how its orders are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from simulators.platforms.centre import sl651, sl651_options, sl651_orders, szy206, szy206_orders
from simulators.platforms.centre.behaviour import Protocol
from simulators.platforms.centre.contract import CentreDialogue, Downlink, Memory
from simulators.platforms.centre.refusals import OrderError


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One protocol. `options()` are its defaults; `settings` read what of them may change while a centre runs."""

    options: Callable[[], Any]
    dialogue: Callable[[Any, Memory], CentreDialogue]
    downlink: Callable[[list[str]], Downlink]
    settings: Mapping[str, Callable[[str], Any]]


KINDS: Mapping[Protocol, Kind] = MappingProxyType(
    {
        Protocol.SL651: Kind(
            options=sl651_options.Sl651Options,
            dialogue=sl651.Sl651Centre,
            downlink=sl651_orders.downlink_of,
            settings=sl651_options.SETTINGS,
        ),
        Protocol.SZY206: Kind(
            options=szy206.Szy206Options,
            dialogue=szy206.Szy206Centre,
            downlink=szy206_orders.downlink_of,
            settings=szy206.SETTINGS,
        ),
    }
)


def setting_of(text: str, protocol: Protocol) -> tuple[str, Any]:
    """Name and value of `NAME VALUE`. Raises OrderError."""
    name, _, value = text.partition(" ")
    settings = KINDS[protocol].settings
    if name not in settings:
        raise OrderError("option", value=name, known=", ".join(settings))
    try:
        return name, settings[name](value.strip())
    except ValueError as error:
        raise OrderError("option-value", name=name, value=value.strip(), allowed=error) from error
