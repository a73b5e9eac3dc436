"""Which settings of an SZY206 centre take effect here, which are only kept, and which are refused. Pure.

In effect: the interval of flow reports (A1H, bit 2; else the shortest set one), the limits of level (17H), pressure
(18H) and flow (1FH), the changes that are reported at once and the interval of stored series (20H), the work mode (12H:
in query/response nothing is reported, and what is due waits), and the password (96H). Kept and read back: the kinds of
data (A0H). Refused: another address (10H), which would cut it off, and a work mode that no table has.

Source: SZY206, AFN details of 12H, 17H, 18H, 1FH, 20H, A0H, A1H.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from agent.report.compose import Limit
from agent.report.in_force import InForce, is_interval
from agent.report.options import CentreOptions
from agent.uplinks.szy206_wire.names import THRESHOLD_KINDS, Afn, Kind
from agent.uplinks.szy206_wire.words import Mode

_MINUTE_MS = 60_000
_FLOW_BIT = "2"
_MODE = f"{Afn.SET_MODE:02X}"
_SECONDS = 3600
_ASKED_BITS: Mapping[str, int] = MappingProxyType(  # of the kinds delivered on a real-time query (A0H)
    {"flow_rate": 2, "volume_withdrawn": 2, "level": 1, "velocity": 3, "power": 5, "temperature": 8, "pressure": 14}
)
_QUANTITIES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.FLOW: ("flow_rate", "volume_withdrawn"),  # of the first the change is, of the second the stored series
        Kind.LEVEL: ("level",),
        Kind.PRESSURE: ("pressure",),
        Kind.VELOCITY: ("velocity",),
        Kind.POWER: ("power",),
        Kind.WATER_TEMPERATURE: ("temperature",),
    }
)


def in_force(values: Mapping[str, str]) -> InForce:
    """What the settings of a centre change; those that make no sense change nothing."""
    fields = {name: json.loads(text) for name, text in values.items() if text.startswith("{")}
    limits: dict[tuple[int, str], Limit] = {}
    for name, key, quantity, unit in (
        (Afn.SET_LEVEL_LIMITS, "level_limits", "level", "m"),
        (Afn.SET_PRESSURE_LIMITS, "pressure_limits", "pressure", "kpa"),
    ):
        for channel, each in enumerate(fields.get(f"{name:02X}", {}).get(key, ()), 1):
            limits[channel, quantity] = Limit(low=_number(each[f"low_{unit}"]), high=_number(each[f"high_{unit}"]))
    for channel, each in enumerate(fields.get(f"{Afn.SET_FLOW_LIMITS:02X}", {}).get("flow_limits", ()), 1):
        value = _number(each["value"])
        if value is not None:
            limits[channel, "flow_rate"] = Limit(high=_in_hours(value, each))
    stored_ms = _add_thresholds(fields, limits)
    every_ms = _interval(fields.get(f"{Afn.SET_INTERVALS:02X}", {}))
    is_polled = fields.get(_MODE, {}).get("work_mode") == Mode.QUERY
    return InForce(every_ms=every_ms, limits=limits, stored_ms=stored_ms, is_polled=is_polled)


def defaults(options: CentreOptions) -> dict[str, str]:
    """What is read of parameters that the centre has not set: the interval of flow reports, what is asked for."""
    minutes = options.every_ms // _MINUTE_MS
    bits = sorted({bit for quantity, bit in _ASKED_BITS.items() if quantity in options.quantities})
    found = {
        Afn.SET_INTERVALS: {"kinds_bits": [int(_FLOW_BIT)], "intervals_min": {_FLOW_BIT: minutes}},
        Afn.SET_KINDS: {"kinds_bits": bits},
    }
    return {f"{afn:02X}": json.dumps(fields) for afn, fields in found.items()}


def is_acceptable(name: str, value: str) -> bool:
    """Whether a setting is taken: it cannot cut the station off, and an interval lies on the wall clock."""
    if name == f"{Afn.SET_ADDRESS:02X}":
        return False
    if name == _MODE:
        return json.loads(value)["work_mode"] in set(Mode)
    if name.startswith(f"{Afn.SET_THRESHOLD:02X}/"):
        return bool(json.loads(value)["kind"] < len(THRESHOLD_KINDS))
    return name != f"{Afn.SET_INTERVALS:02X}" or _interval(json.loads(value)) is not None


def _add_thresholds(fields: Mapping[str, Any], limits: dict[tuple[int, str], Limit]) -> dict[tuple[int, str], int]:
    """The changes that are reported at once; gives the intervals of stored series (an interval of 0 is none)."""
    stored_ms: dict[tuple[int, str], int] = {}
    for name, each in fields.items():
        if not name.startswith(f"{Afn.SET_THRESHOLD:02X}/") or each["kind"] >= len(THRESHOLD_KINDS):
            continue
        channel, quantities = max(1, each["sensor_no"]), _QUANTITIES.get(THRESHOLD_KINDS[each["kind"]], ())
        for quantity in quantities:
            if each["storage_interval_min"]:
                stored_ms[channel, quantity] = each["storage_interval_min"] * _MINUTE_MS
        change = _number(each.get("threshold"))
        if quantities and change:
            key = (channel, quantities[0])
            limits[key] = replace(limits.get(key, Limit()), change=_in_hours(change, each))
    return stored_ms


def _in_hours(value: Decimal, fields: Mapping[str, Any]) -> Decimal:
    """A flow in m3/h; what has no unit stays as it is."""
    return value * _SECONDS if fields.get("unit") == "m3/s" else value


def _interval(fields: Mapping[str, Any]) -> int | None:
    minutes = {bit: int(each) for bit, each in fields.get("intervals_min", {}).items() if each and int(each)}
    if not minutes:
        return None
    every_ms = minutes.get(_FLOW_BIT, min(minutes.values())) * _MINUTE_MS
    return every_ms if is_interval(every_ms) else None


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
