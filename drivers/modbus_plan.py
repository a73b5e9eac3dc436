"""Which fields share a read: the cheapest cut, within what this meter allows. Pure.

Strategy: a dynamic programme over the sorted fields. One more request costs its turnaround and silences, one register
too many only its characters; so gaps are bridged as far as that is cheaper, and the meter's own limits allow it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivers.contract import SpecError, WireCost
from drivers.modbus_item import ModbusItem

MOST_REGISTERS = 125  # application protocol 6.3
_KEYS = ("max_registers", "max_gap", "even")

Unit = tuple[ModbusItem, ...]
"""Fields that must come from one reply."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one meter allows: registers per read and between fields (None: any), even addresses and counts only."""

    max_registers: int
    max_gap: int | None
    even: bool


def limits_of(limits: Mapping[str, Any]) -> Limits:
    """The profile's section `limits`. Raises SpecError."""
    for key, value in limits.items():
        if key not in _KEYS:
            raise SpecError(key, "spec.unknown-key", value=key, allowed=" ".join(_KEYS))
        least, most = {"max_registers": (1, MOST_REGISTERS), "max_gap": (0, MOST_REGISTERS)}.get(key, (False, True))
        if not isinstance(value, int) or isinstance(value, bool) != (key == "even") or not least <= value <= most:
            allowed = "true false" if key == "even" else f"{least}…{most}"
            raise SpecError(key, "spec.choice", value=str(value), allowed=allowed)
    return Limits(limits.get("max_registers", MOST_REGISTERS), limits.get("max_gap"), limits.get("even", False))


def start_of(unit: Unit) -> int:
    """The lowest address of a unit."""
    return min(item.register for item in unit)


def end_of(unit: Unit) -> int:
    """The first address behind a unit."""
    return max(item.end for item in unit)


def grouped(units: Sequence[Unit], *, cost: WireCost, most: int, gap: int) -> list[Sequence[Unit]]:
    """Cheapest cut of the sorted units into reads: best[n] is the least cost of the first n."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for last in range(1, len(units) + 1):
        candidates: list[tuple[float, int]] = []
        start, end = start_of(units[last - 1]), 0
        for first in range(last - 1, -1, -1):
            if start - end_of(units[first]) > gap and first < last - 1:
                break
            start, end = min(start, start_of(units[first])), max(end, end_of(units[first]))
            if end - start > most and first < last - 1:
                break
            price = cost.request_s + cost.register_s * (end - start)
            candidates.append((best[first][0] + price, first))
        best.append(min(candidates))
    groups: list[Sequence[Unit]] = []
    last = len(units)
    while last:
        groups.insert(0, units[best[last][1] : last])
        last = best[last][1]
    return groups
