"""The meter protocols, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from drivers.cjt188 import CjtDriver
from drivers.contract import Driver
from drivers.modbus import ModbusDriver
from drivers.modbus_search import is_whole_modbus, modbus_calls
from drivers.raw import IsWhole
from drivers.search import Call

DRIVERS: Mapping[str, Callable[..., Driver]] = MappingProxyType({"modbus": ModbusDriver, "cjt188": CjtDriver})
"""Protocol name to what makes its driver: called with `framing` ("rtu" or "tcp") and `cost` (WireCost)."""

SEARCHES: Mapping[str, Callable[..., tuple[Call, ...]]] = MappingProxyType({"modbus": modbus_calls})
"""Protocol name to what finds its meters: called with `framing` and `numbers`, the addresses to try."""

ENDS: Mapping[str, IsWhole] = MappingProxyType({"modbus": is_whole_modbus})
"""Protocol name to what tells that an answer is complete; one that has none is waited for to the end of its time."""
