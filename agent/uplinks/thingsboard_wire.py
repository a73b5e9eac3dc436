"""Rounds as ThingsBoard takes them over MQTT: its gateway API, or its device API with one device for the station. Pure.

Strategy: numbers go as JSON numbers, since charts and rules need them, with every digit that the reading has; what the
platform makes of them (a double) is its own. A value that is missing is left out and its reasons stand under the name
QUANTITY_quality, so that a chart has a gap, never a 0. A repeated round has its time and
keys and overwrites itself.

Source: ThingsBoard reference, "MQTT Gateway API" and "MQTT Device API": topics, {"ts": ms, "values": {…}}.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Final

from agent.model import Layout, StoredRound
from agent.quantities import STATUS
from agent.uplinks.mqtt_wire import SOURCE_KEYS

GATEWAY: Final = "thingsboard"
DEVICE: Final = "thingsboard-device"
TELEMETRY = MappingProxyType({GATEWAY: "v1/gateway/telemetry", DEVICE: "v1/devices/me/telemetry"})
CONNECT: Final = "v1/gateway/connect"
_SUFFIX = "_quality"


def device_name(station: str, meter: str) -> str:
    """What a meter or intake is called at the platform, whose device names are unique beyond one station."""
    return f"{station}/{meter}"


def connect_payload(device: str) -> bytes:
    """The message that announces a device behind the gateway."""
    return json.dumps({"device": device}).encode("ascii")


class ThingsBoardComposer:
    """Composes batches in one of the two forms."""

    def __init__(self, station: str, form: str) -> None:
        """`form` is GATEWAY or DEVICE."""
        self._station = station
        self._is_gateway = form == GATEWAY

    def devices(self, rounds: Iterable[StoredRound]) -> list[str]:
        """The devices that a batch is about, in order; none in the device form, where the connection is the device."""
        if not self._is_gateway:
            return []
        return list(dict.fromkeys(device_name(self._station, each.layout.meter) for each in rounds))

    def payload(self, rounds: Iterable[StoredRound], resent: Iterable[bool]) -> bytes:
        """The bytes of one message; every round must have a date. `resent` has no place in this form."""
        del resent
        if not self._is_gateway:
            return _joined([_entry(each, f"{each.layout.meter}_") for each in rounds], "[", "]")
        found: dict[str, list[str]] = {}
        for each in rounds:
            found.setdefault(device_name(self._station, each.layout.meter), []).append(_entry(each, ""))
        return _joined([f"{json.dumps(name)}:[{','.join(entries)}]" for name, entries in found.items()], "{", "}")


def _joined(texts: list[str], begin: str, end: str) -> bytes:
    return f"{begin}{','.join(texts)}{end}".encode("ascii")


def _entry(each: StoredRound, prefix: str) -> str:
    """One round: its time, and its values under keys that begin with `prefix`."""
    values = {f"{prefix}id": json.dumps(each.id)}
    for quantity, text in zip(each.layout.quantities, each.texts, strict=True):
        if text is not None:
            values[prefix + quantity] = _flags(each.layout, text) if quantity == STATUS else text
    for quantity, reasons in (each.quality or {}).items():
        values[prefix + quantity + _SUFFIX] = json.dumps("+".join(reasons))
    if each.proof is not None:
        known: dict[str, Any] = json.loads(each.proof)
        values |= {prefix + key: json.dumps(known[key]) for key in SOURCE_KEYS if key in known}
    listed = ",".join(f"{json.dumps(key)}:{value}" for key, value in values.items())
    return f'{{"ts":{each.at_ms},"values":{{{listed}}}}}'


def _flags(layout: Layout, text: str) -> str:
    mask = int(text)
    return json.dumps([name for bit, name in enumerate(layout.flags) if mask >> bit & 1])
