"""The meter protocols, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from drivers.named import Named

if TYPE_CHECKING:
    from drivers.contract import Driver
    from drivers.raw import RawProtocol
    from drivers.search import Call

DRIVERS: Mapping[str, Callable[..., Driver]] = Named(
    {
        "modbus": "drivers.modbus:ModbusDriver",
        "cjt188": "drivers.cjt188:CjtDriver",
        "dlt645": "drivers.dlt645:Dlt645Driver",
    }
)
"""Protocol name to what makes its driver: called with `framing` ("rtu" or "tcp") and `cost` (WireCost)."""

SEARCHES: Mapping[str, Callable[..., tuple[Call, ...]]] = Named(
    {
        "modbus": "drivers.modbus_search:modbus_calls",
        "dlt645": "drivers.dlt645_search:dlt645_calls",
        "cjt188": "drivers.cjt188_search:cjt188_calls",
    }
)
"""Protocol name to what finds its meters: called with `framing` and `numbers`, the addresses to try."""

RAW: Mapping[str, RawProtocol] = Named(
    {
        "modbus": "drivers.modbus_search:RAW_MODBUS",
        "dlt645": "drivers.dlt645_search:RAW_DLT645",
        "cjt188": "drivers.cjt188_search:RAW_CJT188",
    }
)
"""Protocol name to what a line must know of requests that another process has made."""
