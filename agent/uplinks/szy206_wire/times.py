"""Time tags and clocks in SZY206 frames. Pure.

Times are local without a zone. Day and month are checked one by one, not against a calendar: a reader shows what stands
there. The 5-byte time tag has neither month nor year; whoever uses it must know them.

Source: SZY206, time tag; AFN 11H, B1H, B2H. SL/T 427-2021, 7-byte time tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.uplinks.szy206_wire.codecs import Content, Unread, digits_of
from agent.uplinks.szy206_wire.names import ContentError

SHORT_TAG: Final = 5
LONG_TAG: Final = 7
_RANGES: Mapping[str, tuple[int, int]] = {
    "sec": (0, 59),
    "min": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "month": (1, 12),
    "year": (0, 99),
}
_SHORT = ("sec", "min", "hour", "day")
_SHORT_HIGH = ("day", "hour", "min", "sec")
_LONG = (*_SHORT, "month", "year")
_TIME = "20{year:02}-{month:02}-{day:02}T{hour:02}:{min:02}:{sec:02}"
_HOUR = "20{year:02}-{month:02}-{day:02}T{hour:02}"
_MINUTE = "{month:02}-{day:02}T{hour:02}:{min:02}"


def _parts(data: bytes, names: tuple[str, ...]) -> dict[str, int] | None:
    """The decimals in `data` by name; None where one is no decimal or out of its range."""
    parts: dict[str, int] = {}
    for name, byte in zip(names, data, strict=True):
        number = digits_of(bytes([byte]))
        low, high = _RANGES[name]
        if number is None or not low <= number <= high:
            return None
        parts[name] = number
    return parts


def _sent(parts: Mapping[str, int], names: tuple[str, ...]) -> bytes:
    for name in names:
        low, high = _RANGES[name]
        if not isinstance(parts[name], int) or not low <= parts[name] <= high:
            raise ContentError(f"{name} cannot be {parts[name]!r}")
    return bytes.fromhex("".join(f"{parts[name]:02d}" for name in names))


def _from_text(text: Any, form: str) -> dict[str, int]:
    pattern = re.sub(r"\{(\w+):02\}", r"(?P<\1>[0-9]{2})", form)
    match = re.fullmatch(pattern, text) if isinstance(text, str) else None
    if match is None:
        raise ContentError(f"{text!r} is no such time")
    return {name: int(digits) for name, digits in match.groupdict().items()}


def read_tag(data: bytes, *, high_first: bool) -> Content | None:
    """The time tag in 5 or 7 bytes; None where they are no valid time. `high_first`: the 5 bytes begin with the day."""
    if len(data) == LONG_TAG:
        parts = _parts(data[:-1], _LONG)
        return None if parts is None else {"time": _TIME.format(**parts), "delay_min": data[-1]}
    parts = _parts(data[:-1], _SHORT_HIGH if high_first else _SHORT)
    return None if parts is None else {name: parts[name] for name in _SHORT} | {"delay_min": data[-1]}


def write_tag(tag: Mapping[str, Any], *, high_first: bool) -> bytes:
    """The bytes of a time tag: 7 of one with `time`, else 5 (`sec min hour day`); both with `delay_min`."""
    if "time" in tag:
        sent = _sent(_from_text(tag["time"], _TIME), _LONG)
    else:
        sent = _sent(tag, _SHORT_HIGH if high_first else _SHORT)
    if tag["delay_min"] not in range(256):
        raise ContentError(f"a delay of {tag['delay_min']!r} minutes does not fit one byte")
    return sent + bytes([tag["delay_min"]])


@dataclass(frozen=True, slots=True)
class Clock:
    """A station's clock: second, minute, hour, day, weekday and month, year.

    The month stands in 5 bits as a decimal; 0AH...0CH, plain binary in one implementation, are read too. The weekday
    (1...7, 7 = Sunday, 0 = invalid) is passed on as it is.
    """

    size = 6
    _MONTH_AT = 4
    _BINARY_MONTHS = (0x0A, 0x0B, 0x0C)

    def read(self, data: bytes, unread: Unread) -> Content:
        """`clock` and `weekday`; `clock` is None where it is no time."""
        month = data[self._MONTH_AT] & 0x1F
        if month in self._BINARY_MONTHS:
            month += 6  # 0AH is 10H in decimals
        plain = data[: self._MONTH_AT] + bytes([month]) + data[self._MONTH_AT + 1 :]
        parts = _parts(plain, _LONG)
        if parts is None:
            unread.append(data.hex().upper())
        return {"clock": None if parts is None else _TIME.format(**parts), "weekday": data[self._MONTH_AT] >> 5}

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The bytes of `clock` and `weekday`."""
        if value["weekday"] not in range(8):
            raise ContentError(f"there is no weekday {value['weekday']!r}")
        sent = bytearray(_sent(_from_text(value["clock"], _TIME), _LONG))
        sent[self._MONTH_AT] |= value["weekday"] << 5
        return bytes(sent)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in text, of the parts that `names` lists in the order sent."""

    names: tuple[str, ...]
    form: str

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.names)

    def read(self, data: bytes, unread: Unread) -> str | None:
        """The text; None where it is no time."""
        parts = _parts(data, self.names)
        if parts is None:
            unread.append(data.hex().upper())
            return None
        return self.form.format(**parts)

    def write(self, value: Any) -> bytes:
        """The bytes of a text."""
        return _sent(_from_text(value, self.form), self.names)


HOUR: Final = Moment(("hour", "day", "month", "year"), _HOUR)  # B1H
MINUTE: Final = Moment(("min", "hour", "day", "month"), _MINUTE)  # B2H
