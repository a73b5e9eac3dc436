"""The meter protocols, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from drivers.cjt188 import CjtDriver
from drivers.cjt188_search import RAW_CJT188, cjt188_calls
from drivers.contract import Driver
from drivers.dlt645 import Dlt645Driver
from drivers.dlt645_search import RAW_DLT645, dlt645_calls
from drivers.modbus import ModbusDriver
from drivers.modbus_search import RAW_MODBUS, modbus_calls
from drivers.raw import RawProtocol
from drivers.search import Call

DRIVERS: Mapping[str, Callable[..., Driver]] = MappingProxyType(
    {"modbus": ModbusDriver, "cjt188": CjtDriver, "dlt645": Dlt645Driver}
)
"""Protocol name to what makes its driver: called with `framing` ("rtu" or "tcp") and `cost` (WireCost)."""

SEARCHES: Mapping[str, Callable[..., tuple[Call, ...]]] = MappingProxyType(
    {"modbus": modbus_calls, "dlt645": dlt645_calls, "cjt188": cjt188_calls}
)
"""Protocol name to what finds its meters: called with `framing` and `numbers`, the addresses to try."""

RAW: Mapping[str, RawProtocol] = MappingProxyType({"modbus": RAW_MODBUS, "dlt645": RAW_DLT645, "cjt188": RAW_CJT188})
"""Protocol name to what a line must know of requests that another process has made."""
