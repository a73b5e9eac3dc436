"""Values in the data of DL/T 645 frames: numbers, dates, names, texts and status words, or why they are none. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from types import MappingProxyType

from drivers.contract import NoValue, RawValue
from drivers.octets import bcd_bytes, bcd_number

_SIGN = 0x80  # the top bit of the last byte
_CENTURY = 2000
_BLOCK_END = 0xAA  # 1997: after each item of a block, or once at its end
_SATURDAY = 6


def number(data: bytes, *, signed: bool) -> RawValue:
    """The whole number in decimal-coded bytes, lowest first; all FF is what a meter says that has no such value."""
    if not data.strip(b"\xff"):
        return NoValue.NOT_AVAILABLE
    is_negative = signed and bool(data[-1] & _SIGN)
    plain = data[:-1] + bytes([data[-1] & ~_SIGN]) if is_negative else data
    digits = bcd_number(plain[::-1])
    if digits is None:
        return NoValue.NOT_BCD
    return Decimal(-digits if is_negative else digits)


def number_bytes(value: Decimal, size: int, *, signed: bool) -> bytes:
    """Decimal-coded bytes, lowest first; a fraction is cut toward zero. Raises ValueError when it does not fit."""
    whole = int(value)
    data = bytearray(bcd_bytes(abs(whole) if signed else whole, size)[::-1])
    if signed:
        if data[-1] & _SIGN:
            raise ValueError(f"{value} does not fit {2 * size} signed decimal digits")
        data[-1] |= _SIGN if whole < 0 else 0
    return bytes(data)


def digits(data: bytes) -> str | None:
    """The digits of a name in printed order, leading zeros kept; None when they are not decimal."""
    text = data[::-1].hex()
    return text if text.isdigit() else None


def day(data: bytes) -> date | None:
    """The date in DD MM YY, years 20YY; None when there is no such day."""
    text = digits(data)
    with contextlib.suppress(ValueError):
        if text is not None:
            return date(_CENTURY + int(text[:2]), int(text[2:4]), int(text[4:]))
    return None


def clock_time(data: bytes) -> time | None:
    """The time in ss mm hh, or mm hh; None when there is no such time."""
    text = digits(data if len(data) == 3 else b"\0" + data)  # noqa: PLR2004 - with seconds
    with contextlib.suppress(ValueError):
        if text is not None:
            return time(int(text[:2]), int(text[2:4]), int(text[4:]))
    return None


def moment(data: bytes) -> datetime | None:
    """Date and time in [ss] mm hh DD MM YY; None when there is no such moment."""
    on, at = day(data[-3:]), clock_time(data[:-3])
    return None if on is None or at is None else datetime.combine(on, at)


def moment_bytes(at: datetime) -> bytes:
    """A local time as ss mm hh DD MM YY."""
    return bytes.fromhex(f"{at:%S%M%H%d%m%y}")


def weekday(data: bytes) -> int | None:
    """0 Sunday … 6 Saturday; None for any other number."""
    return data[0] if data[0] <= _SATURDAY else None


def text(data: bytes) -> str | None:
    """The text whose last character comes first, without NUL and blanks at its ends; None when it is all FF."""
    if not data.strip(b"\xff"):
        return None
    return data[::-1].decode("ascii", errors="replace").strip("\0 ")


def cut(data: bytes, size: int, most: int, *, has_ends: bool) -> tuple[list[bytes], bytes]:
    """The complete items of a block, `most` at most (0: no limit), and what is left over.

    `has_ends`: an AA directly after an item is no data (1997); AA never begins an item.
    """
    items: list[bytes] = []
    while len(data) >= size and (not most or len(items) < most):
        items.append(data[:size])
        data = data[size:]
        if has_ends and data[:1] == bytes([_BLOCK_END]):
            data = data[1:]
    return items, data


def word_bits(identifier: int, word: int) -> dict[str, bool | str | None]:
    """The meaning of status word 1…7: every name, set or not; a choice by its name, None where it has none."""
    found: dict[str, bool | str | None] = {}
    for name, place in _WORDS[identifier].items():
        if isinstance(place, int):
            found[name] = bool(word >> place & 1)
        else:
            bit, choices = place
            found[name] = choices[word >> bit & 3]
    return found


_Choice = tuple[int, tuple[str | None, ...]]
_PHASE: Mapping[str, int | _Choice] = {
    "voltage_lost": 0, "under_voltage": 1, "over_voltage": 2, "current_lost": 3, "over_current": 4, "overload": 5,
    "power_reverse": 6, "phase_broken": 7, "no_current": 8,
}  # fmt: skip
_WORDS: Mapping[int, Mapping[str, int | _Choice]] = MappingProxyType({
    1: {
        "demand_by_block": 1, "clock_battery_low": 2, "readout_battery_low": 3, "active_power_reverse": 4,
        "reactive_power_reverse": 5, "control_circuit_fault": 8, "security_chip_fault": 9, "program_fault": 12,
        "memory_fault": 13, "overdraft": 14, "clock_fault": 15,
    },
    2: {
        "active_power_reverse_a": 0, "active_power_reverse_b": 1, "active_power_reverse_c": 2,
        "reactive_power_reverse_a": 4, "reactive_power_reverse_b": 5, "reactive_power_reverse_c": 6,
    },
    3: {
        "second_day_periods": 0, "supply": (1, ("main", "auxiliary", "battery", None)), "programming_enabled": 3,
        "relay_open": 4, "second_year_zones": 5, "relay_command_open": 6, "trip_warning": 7,
        "prepaid": (8, ("none", "energy", "money", None)), "second_tariff_set": 10, "second_step_set": 11,
    },
    4: _PHASE,
    5: _PHASE,
    6: _PHASE,
    7: {
        "voltage_sequence_reverse": 0, "current_sequence_reverse": 1, "voltage_unbalance": 2, "current_unbalance": 3,
        "auxiliary_supply_lost": 4, "power_down": 5, "demand_exceeded": 6, "power_factor_low": 7,
        "severe_current_unbalance": 8, "cover_open": 9, "terminal_cover_open": 10,
    },
})  # fmt: skip  # status words 1…7: name to its bit, or to the lower of two bits and their four meanings

ERRORS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "2007": (
        "other", "no_requested_data", "password_or_unauthorised", "speed_cannot_change", "too_many_year_zones",
        "too_many_day_periods", "too_many_tariffs", "reserved",
    ),
    "1997": (
        "illegal_data", "di_wrong", "password_wrong", "reserved", "too_many_year_zones", "too_many_day_periods",
        "too_many_tariffs", "reserved",
    ),
})  # fmt: skip  # the names of the bits of ERR, lowest first


def error_names(edition: str, err: int) -> list[str]:
    """The names of the bits set in the ERR byte, lowest first."""
    return [name for bit, name in enumerate(ERRORS[edition]) if err >> bit & 1]
