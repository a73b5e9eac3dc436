"""The items of reports by kind of data: which codec, under which key, in which edition and byte order. Pure.

Source: SZY206, data items; flow blocks as platforms differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from agent.uplinks.szy206_wire.codecs import Codec, Flow, Keyed, Number, Record, Wind
from agent.uplinks.szy206_wire.names import (
    STORED_KINDS,
    THRESHOLD_KINDS,
    ByteOrder,
    Dialect,
    Edition,
    FlowBlock,
    Kind,
)

SIGN_HALF_BYTE: Final = 0xF0
SIGN_BIT: Final = 0x80

VOLUME: Final = Number(5, sign=SIGN_BIT)
LEVEL: Final = Number(4, 3, SIGN_HALF_BYTE)
PRESSURE: Final = Number(4, 2)
VOLTAGE: Final = Number(2, 2)
ENERGY: Final = Number(4, 2)
SOIL: Final = Number(2, 1)
DEPTH: Final = Number(2)
RAIN_THRESHOLD: Final = Number(1, 1)
WIND_SPEED: Final = Number(3, 2)

# Kinds whose item is one number in either edition: its key in reports, its codec, its unit in stored series.
_NUMBERS: Mapping[int, tuple[str, Number, str]] = MappingProxyType(
    {
        Kind.RAIN: ("rains_mm", Number(3, 1), "mm"),
        Kind.LEVEL: ("levels_m", LEVEL, "m"),
        Kind.VELOCITY: ("velocities_m_s", Number(3, 3, SIGN_HALF_BYTE), "m/s"),
        Kind.GATE: ("gates_m", Number(3, 2), "m"),
        Kind.POWER: ("powers_kw", Number(3), "kW"),
        Kind.AIR_PRESSURE: ("air_pressures_hpa", Number(3), "hPa"),
        Kind.WATER_TEMPERATURE: ("water_temps_c", Number(2, 1), "C"),
        Kind.EVAPORATION: ("evaporations_mm", Number(3, 1), "mm"),
        Kind.PRESSURE: ("pressures_kpa", PRESSURE, "kPa"),
    }
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The codecs under one edition (never `auto`) and one platform's habits."""

    edition: Edition
    dialect: Dialect

    @property
    def is_2021(self) -> bool:
        """Whether the 2021 edition holds."""
        return self.edition is Edition.SLT427

    @property
    def high_first(self) -> bool:
        """Whether numbers begin with their highest pair of digits."""
        return self.dialect.byte_order is ByteOrder.HIGH

    def number(self, number: Number) -> Number:
        """The number in this byte order."""
        return replace(number, high_first=self.high_first)

    def flow(self, key: str) -> Flow:
        """An instant flow under `key`."""
        return Flow(key, self.is_2021, self.high_first)

    def meter(self) -> Codec:
        """What one water meter has in a report."""
        instant, volume = self.flow("instant"), Keyed("cumulative_m3", self.number(VOLUME))
        parts: dict[FlowBlock, tuple[Codec, ...]] = {
            FlowBlock.A: (instant, volume),
            FlowBlock.B: (volume,),
            FlowBlock.C: (volume, instant),
            FlowBlock.D: (instant,),
        }
        return Record(parts[self.dialect.flow_block])

    def item(self, kind: int) -> tuple[str, Codec] | None:
        """Key and codec of the items of a kind; None for kinds that have none, or not one of fixed size."""
        if kind in _NUMBERS:
            key, number, _ = _NUMBERS[kind]
            return key, self.number(number)
        match kind:
            case Kind.FLOW:
                return "meters", self.meter()
            case Kind.WIND if self.is_2021:
                return "energies_kwh", self.number(ENERGY)
            case Kind.WIND:
                return "winds", Wind(self.high_first)
            case Kind.SOIL:
                return "soil_moistures", self._soil()
        return None

    def _soil(self) -> Codec:
        if not self.is_2021:
            return self.number(SOIL)
        return Record((Keyed("moisture", self.number(SOIL)), Keyed("depth_cm", self.number(DEPTH))))

    def stored(self, kind: int) -> tuple[Codec, str] | None:
        """Codec and unit of the records of a stored series, by its own kind code; None where they are not known."""
        if kind >= len(STORED_KINDS):
            return None
        match STORED_KINDS[kind]:
            case Kind.FLOW:
                return self.number(VOLUME), "m3 cumulative"
            case Kind.WIND:
                return Wind(self.high_first), "m/s"
            case Kind.SOIL:
                return self._soil(), "%"
            case Kind.QUALITY:
                return None
            case own:
                _, number, unit = _NUMBERS[own]
                return self.number(number), unit

    def threshold(self, kind: int) -> Codec | None:
        """Codec of `threshold` of a kind (20H's own code); None where it is not known."""
        if kind >= len(THRESHOLD_KINDS):
            return None
        own = THRESHOLD_KINDS[kind]
        if own is Kind.FLOW:
            return self.flow("threshold")
        wind = ENERGY if self.is_2021 else WIND_SPEED
        number = {Kind.RAIN: RAIN_THRESHOLD, Kind.WIND: wind, Kind.SOIL: SOIL}.get(own)
        if number is None and own in _NUMBERS:
            number = _NUMBERS[own][1]
        return None if number is None else Keyed("threshold", self.number(number))
