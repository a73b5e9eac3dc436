"""What the values of SZY206 orders look like: the range of each key, as a codec takes it. Pure.

Source: SZY206, data items; set and query details. The codecs' own bounds: an order may be one that no table has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

_VOLUME, _FLOW = 7_999_999_999, Decimal("999999.999")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers from `low` to `high`."""

    low: int | Decimal
    high: int | Decimal

    def takes(self, value: Any) -> bool:
        """Whether it is one of them."""
        return isinstance(value, int | Decimal) and self.low <= value <= self.high

    def __str__(self) -> str:
        """As it is shown, the same in every language."""
        return f"{self.low}…{self.high}"


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of a pattern; `shown` says which."""

    pattern: str
    shown: str

    def takes(self, value: Any) -> bool:
        """Whether it is one of them."""
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        """As it is shown, the same in every language."""
        return self.shown


_YEAR, _MONTH, _DAY = "20[0-9]{2}", "(0[1-9]|1[0-2])", "(0[1-9]|[12][0-9]|3[01])"
_HOUR, _SIXTIETH = "([01][0-9]|2[0-3])", "[0-5][0-9]"
_DATE = f"{_YEAR}-{_MONTH}-{_DAY}"
_BYTE = Numbers(0, 255)
RANGES: Final[Mapping[str, Numbers | Texts]] = MappingProxyType(
    {
        "func": Numbers(0, 15),
        "new_admin": Texts("[0-9A-Fa-f]{6}", "000000…999999"),
        "new_station": Numbers(0, 65_535),
        "work_mode": _BYTE,
        "recharge_m3": Numbers(0, 99_999_999),
        "remaining_alarm_m3": Numbers(0, 999_999),
        "base_m": Numbers(Decimal("-7999.99"), Decimal("7999.99")),
        "low_m": Numbers(0, Decimal("99.99")),
        "high_m": Numbers(0, Decimal("99.99")),
        "low_kpa": Numbers(0, Decimal("999999.99")),
        "high_kpa": Numbers(0, Decimal("999999.99")),
        "base_m3": Numbers(-_VOLUME, _VOLUME),
        "value": Numbers(-_FLOW, _FLOW),
        "unit": Texts("m3/h|m3/s", "m3/h, m3/s"),
        "kind": Numbers(0, 15),
        "sensor_no": Numbers(0, 15),
        "storage_interval_min": _BYTE,
        "quota_m3": Numbers(0, 9_999_999_999),
        "reset": _BYTE,
        "clear_bits": Numbers(0, 7),
        "device_no": Numbers(0, 15),
        "device_kind": Texts("pump|valve/gate", "pump, valve/gate"),
        "new_pw_hex": Texts("[0-9A-Fa-f]{4}", "0000…FFFF"),
        "kinds_bits": Numbers(0, 15),
        "intervals_min": Numbers(0, 9999),
        "link": Texts("F0 login|F1 logout|F2 keep-alive|[0-9A-Fa-f]{2}", "00…FF"),
        "clock": Texts(f"{_DATE}T{_HOUR}:{_SIXTIETH}:{_SIXTIETH}", "2000-01-01T00:00:00…2099-12-31T23:59:59"),
        "weekday": Numbers(0, 7),
    }
)
"""By key; of a list, of each entry. `threshold` depends on its kind and edition, `start` and `end` on their AFN."""
PERIODS: Final[Mapping[bool, Texts]] = MappingProxyType(
    {
        True: Texts(f"{_DATE}T{_HOUR}", "2000-01-01T00…2099-12-31T23"),
        False: Texts(f"{_MONTH}-{_DAY}T{_HOUR}:{_SIXTIETH}", "01-01T00:00…12-31T23:59"),
    }
)
"""Of a stored series (True), of reports in memory (False)."""
LAST_INTERVAL: Final = 13
"""The last kind of data that has an interval."""


def leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The single values under a key: those of a list, of a map by their own keys; intervals go by number."""
    if isinstance(value, list):
        for each in value:
            yield from leaves(key, each)
    elif isinstance(value, dict):
        for own, each in value.items():
            yield from leaves(key if key == "intervals_min" else own, each)
    else:
        yield key, value
