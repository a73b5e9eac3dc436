"""The meter protocols, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from drivers.contract import Driver
from drivers.modbus import ModbusDriver

DRIVERS: Mapping[str, Callable[..., Driver]] = MappingProxyType({"modbus": ModbusDriver})
"""Protocol name to what makes its driver: called with `framing` ("rtu" or "tcp") and `cost` (WireCost)."""
