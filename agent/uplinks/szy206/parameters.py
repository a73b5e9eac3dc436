"""Which settings of an SZY206 centre take effect here, which are only kept, and which are refused. Pure.

In effect: the interval of flow reports (A1H, bit 2; else the shortest set one), the limits of level (17H), pressure
(18H) and flow (1FH), the threshold of a change of flow (20H, kind 2), and the password (96H). Kept and read back: the
kinds of data (A0H), the work mode (12H), other thresholds. Refused: another address (10H), which would cut it off.

Source: SZY206, AFN details of 12H, 17H, 18H, 1FH, 20H, A0H, A1H.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agent.report.compose import Limit
from agent.report.in_force import InForce, is_interval
from agent.report.options import CentreOptions
from agent.uplinks.szy206_wire.names import Afn

_MINUTE_MS = 60_000
_FLOW_BIT = "2"
_FLOW_KIND = 2
_SECONDS = 3600


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
            limits[channel, "flow_rate"] = Limit(high=value * _SECONDS if each.get("unit") == "m3/s" else value)
    _add_thresholds(fields, limits)
    return InForce(every_ms=_interval(fields.get(f"{Afn.SET_INTERVALS:02X}", {})), limits=limits)


def defaults(options: CentreOptions) -> dict[str, str]:
    """What is read of parameters that the centre has not set: the interval of flow reports."""
    minutes = options.every_ms // _MINUTE_MS
    return {
        f"{Afn.SET_INTERVALS:02X}": json.dumps({"kinds_bits": [int(_FLOW_BIT)], "intervals_min": {_FLOW_BIT: minutes}})
    }


def is_acceptable(name: str, value: str) -> bool:
    """Whether a setting is taken: it cannot cut the station off, and an interval lies on the wall clock."""
    if name == f"{Afn.SET_ADDRESS:02X}":
        return False
    return name != f"{Afn.SET_INTERVALS:02X}" or _interval(json.loads(value)) is not None


def _add_thresholds(fields: Mapping[str, Any], limits: dict[tuple[int, str], Limit]) -> None:
    prefix = f"{Afn.SET_THRESHOLD:02X}/"
    for name, each in fields.items():
        if name.startswith(prefix) and each["kind"] == _FLOW_KIND:
            key = (max(1, each["sensor_no"]), "flow_rate")
            before = limits.get(key, Limit())
            limits[key] = Limit(low=before.low, high=before.high, change=_number(each.get("threshold")))


def _interval(fields: Mapping[str, Any]) -> int | None:
    minutes = {bit: int(each) for bit, each in fields.get("intervals_min", {}).items() if int(each)}
    if not minutes:
        return None
    every_ms = minutes.get(_FLOW_BIT, min(minutes.values())) * _MINUTE_MS
    return every_ms if is_interval(every_ms) else None


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
