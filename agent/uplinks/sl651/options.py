"""What an SL 651 uplink is told, once judged: plain data. The keys that say so are in settings.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agent.uplinks.sl651_wire.codes import WATER_INTAKE, Dialect, Encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementForm:
    """How a quantity is sent: identifier (one byte, or FF and another), digits and decimals; None: as table C.1."""

    identifier: bytes
    digits: int | None = None
    decimals: int | None = None


TOTAL = ElementForm(identifier=b"\xff\x2b", digits=12, decimals=0)  # what public platforms use; the standard has none


@dataclass(frozen=True, slots=True, kw_only=True)
class WireOptions:
    """One station towards one centre: addresses, encoding, link mode, elements.

    `station` 10 hex digits, `password` 4, `centre` 1…255. `mode` 1 or 2. `totals` is the form of the running total by
    channel; `extras` further quantities of a channel (0: the station's own) and their form. `offset_min` is the zone of
    all times, minutes east of UTC; `packet_base` that of packet numbers in the ASCII encoding, 16 or 10.
    """

    station: str
    centre: int = 1
    password: str = "0000"  # noqa: S105 - what most centres leave it at
    encoding: Encoding = Encoding.BINARY
    mode: int = 2
    station_class: int = WATER_INTAKE
    flow_decimals: int = 6
    totals: Mapping[int, ElementForm] = field(default_factory=lambda: MappingProxyType({1: TOTAL}))
    extras: Mapping[tuple[int, str], ElementForm] = field(default_factory=lambda: MappingProxyType({}))
    is_sign_counted: bool = True
    text_encoding: str = "gbk"
    offset_min: int = 480
    timeout_s: float = 20.0
    keepalive_s: float = 40.0
    packet_bytes: int = 256
    longest: int = 4095
    answers_broadcast: bool = False
    checks_password: bool = True
    packet_base: int = 16

    @property
    def dialect(self) -> Dialect:
        """What the codec has to know of this platform."""
        return Dialect(
            sign_counted=self.is_sign_counted, text_encoding=self.text_encoding, packet_base=self.packet_base
        )
