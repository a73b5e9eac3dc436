"""The protocols that a simulated centre speaks: how its dialogues are made, how its orders are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from simulators.platforms.centre import sl651_orders, szy206_orders
from simulators.platforms.centre.behaviour import Protocol
from simulators.platforms.centre.contract import CentreDialogue, Downlink, Memory
from simulators.platforms.centre.sl651 import Sl651Centre, Sl651Options
from simulators.platforms.centre.szy206 import Szy206Centre, Szy206Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One protocol. `options()` are its defaults."""

    options: Callable[[], Any]
    dialogue: Callable[[Any, Memory], CentreDialogue]
    downlink: Callable[[list[str]], Downlink]


KINDS: Mapping[Protocol, Kind] = MappingProxyType(
    {
        Protocol.SL651: Kind(options=Sl651Options, dialogue=Sl651Centre, downlink=sl651_orders.downlink_of),
        Protocol.SZY206: Kind(options=Szy206Options, dialogue=Szy206Centre, downlink=szy206_orders.downlink_of),
    }
)
