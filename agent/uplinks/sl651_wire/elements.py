"""Elements of SL 651-2014: identifiers, data definitions, and numbers in decimal-coded bytes. Pure.

Numbers are exact: Decimals of any length, cut towards zero where a field has fewer decimals, never rounded.

Source: SL 651-2014 6.6.3.2 (table 26: data definition), 6.6.3.3 (sign), 6.6.4.4 d (missing),
annex C (table C.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from agent.uplinks.sl651_wire.codes import STANDARD, Dialect

MOST_BYTES, MOST_DECIMALS = 31, 7  # table 26: five and three bits
_DECIMAL_BITS = 3
NEGATIVE: Final = 0xFF  # 6.6.3.3 a
EXTENDED: Final = b"\xff"  # table 26: an extension byte follows
STEP: Final = b"\x04"
STATUS: Final = b"\x45"
BATCH: Final = b"\xfd"
RAIN_ARRAY: Final = b"\xf4"
_LEVEL_ARRAYS = range(0xF5, 0xFD)
_ARRAY_VALUES = 12  # one per five minutes of an hour


class Fill(StrEnum):
    """A value that is missing is filled with one of these bytes; AA is accepted from others, never sent."""

    FF = "FF"
    AA = "AA"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of table C.1: `digits` without the point, `decimals` of them behind it; none for what is no number."""

    name: str
    unit: str
    digits: int = 0
    decimals: int = 0


def _numbered(first: int, name: str, unit: str, digits: int, decimals: int) -> dict[int, Kind]:
    """Eight channels of one element."""
    return {first + at: Kind(f"{name}{at + 1}", unit, digits, decimals) for at in range(8)}


# fmt: off
_ROWS = {
    0x01: ("AC", "m2", 8, 2), 0x02: ("AI", "°C", 3, 1), 0x03: ("C", "°C", 3, 1), 0x04: ("DRxnn", "", 6, 0),
    0x05: ("DT", "h.min", 4, 2), 0x06: ("ED", "mm", 5, 1), 0x07: ("EJ", "mm", 5, 1), 0x08: ("FL", "hPa", 5, 0),
    0x09: ("GH", "m", 5, 2), 0x0A: ("GN", "", 3, 0), 0x0B: ("GS", "", 1, 0), 0x0C: ("GT", "", 3, 0),
    0x0D: ("GTP", "°C", 3, 1), 0x0E: ("H", "m", 6, 2), 0x0F: ("HW", "m", 5, 2), 0x10: ("M10", "%", 4, 1),
    0x11: ("M20", "%", 4, 1), 0x12: ("M30", "%", 4, 1), 0x13: ("M40", "%", 4, 1), 0x14: ("M50", "%", 4, 1),
    0x15: ("M60", "%", 4, 1), 0x16: ("M80", "%", 4, 1), 0x17: ("M100", "%", 4, 1), 0x18: ("MST", "%", 4, 1),
    0x19: ("NS", "", 2, 0), 0x1A: ("P1", "mm", 5, 1), 0x1B: ("P2", "mm", 5, 1), 0x1C: ("P3", "mm", 5, 1),
    0x1D: ("P6", "mm", 5, 1), 0x1E: ("P12", "mm", 5, 1), 0x1F: ("PD", "mm", 5, 1), 0x20: ("PJ", "mm", 5, 1),
    0x21: ("PN01", "mm", 5, 1), 0x22: ("PN05", "mm", 5, 1), 0x23: ("PN10", "mm", 5, 1), 0x24: ("PN30", "mm", 5, 1),
    0x25: ("PR", "mm", 5, 1), 0x26: ("PT", "mm", 6, 1), 0x27: ("Q", "m3/s", 9, 3), 0x30: ("QA", "m3/s", 9, 3),
    0x31: ("QZ", "m3/s", 9, 3), 0x32: ("SW", "10^4 t", 11, 3), 0x33: ("UC", "", 2, 0), 0x34: ("UE", "", 2, 0),
    0x35: ("US", "m/s", 4, 1), 0x36: ("VA", "m/s", 5, 3), 0x37: ("VJ", "m/s", 5, 3), 0x38: ("VT", "V", 4, 2),
    0x39: ("Z", "m", 7, 3), 0x3A: ("ZB", "m", 7, 3), 0x3B: ("ZU", "m", 7, 3), 0x44: ("SQ", "kg/m3", 9, 3),
    0x45: ("ZT", "", 0, 0), 0x46: ("pH", "", 4, 2), 0x47: ("DO", "mg/L", 4, 1), 0x48: ("COND", "µS/cm", 5, 0),
    0x49: ("TURB", "°", 3, 0), 0x4A: ("CODMN", "mg/L", 4, 1), 0x4B: ("REDOX", "mV", 5, 1), 0x4C: ("NH4N", "mg/L", 6, 2),
    0x4D: ("TP", "mg/L", 5, 3), 0x4E: ("TN", "mg/L", 5, 2), 0x4F: ("TOC", "mg/L", 4, 2), 0x50: ("CU", "mg/L", 7, 4),
    0x51: ("ZN", "mg/L", 6, 4), 0x52: ("SE", "mg/L", 7, 5), 0x53: ("AS", "mg/L", 7, 5), 0x54: ("THG", "mg/L", 7, 5),
    0x55: ("CD", "mg/L", 7, 5), 0x56: ("PB", "mg/L", 7, 5), 0x57: ("CHLA", "mg/L", 4, 2), 0x70: ("VTA", "V", 4, 1),
    0x71: ("VTB", "V", 4, 1), 0x72: ("VTC", "V", 4, 1), 0x73: ("VIA", "A", 4, 1), 0x74: ("VIB", "A", 4, 1),
    0x75: ("VIC", "A", 4, 1), 0xF4: ("DRP", "mm", 0, 1), 0xFD: ("DATA", "", 0, 0),
}
# fmt: on
KINDS: Mapping[bytes, Kind] = MappingProxyType(
    {
        bytes([guide]): kind
        for guide, kind in (
            {guide: Kind(*row) for guide, row in _ROWS.items()}
            | _numbered(0x28, "Q", "m3/s", 9, 3)
            | _numbered(0x3C, "Z", "m", 7, 3)
            | _numbered(0x58, "WP", "kPa", 5, 2)
            | _numbered(0x60, "SYL", "m3", 11, 3)
            | _numbered(0x68, "SBL", "m3/h", 10, 2)
            | _numbered(0xF5, "DRZ", "m", 0, 2)
        ).items()
    }
)
IDENTIFIERS: Mapping[str, bytes] = MappingProxyType({kind.name: guide for guide, kind in KINDS.items()})


def definition(size: int, decimals: int) -> int:
    """The data-definition byte of `size` bytes (0…31) with `decimals` (0…7)."""
    if not (0 <= size <= MOST_BYTES and 0 <= decimals <= MOST_DECIMALS):
        raise ValueError(f"{size} bytes with {decimals} decimals: at most {MOST_BYTES} and {MOST_DECIMALS}")
    return size << _DECIMAL_BITS | decimals


def default_definition(identifier: bytes) -> int:
    """The data definition of a positive number in table C.1. Raises KeyError for what is not in it."""
    if identifier == STATUS:
        return definition(4, 0)
    if array_size(identifier):
        return 0x60 if identifier == RAIN_ARRAY else 0xC0  # table C.1: fixed
    kind = KINDS[identifier]
    return definition(_bytes_for(kind.digits), kind.decimals)


def size_of(defined: int) -> int:
    """Data bytes a definition announces."""
    return defined >> _DECIMAL_BITS


def decimals_of(defined: int) -> int:
    """Decimals a definition announces."""
    return defined & MOST_DECIMALS


def array_size(identifier: bytes) -> int:
    """Bytes of a one-hour array, whatever its definition says; 0 for what is none."""
    if identifier == RAIN_ARRAY:
        return _ARRAY_VALUES
    return 2 * _ARRAY_VALUES if len(identifier) == 1 and identifier[0] in _LEVEL_ARRAYS else 0


@dataclass(frozen=True, slots=True)
class Element:
    """An element or parameter as sent: `identifier` one byte, or FF and an extension byte; `data` sign included."""

    identifier: bytes
    definition: int
    data: bytes

    @property
    def kind(self) -> Kind | None:
        """Its row of table C.1; None for reserved and extended identifiers."""
        return KINDS.get(self.identifier)

    @property
    def size(self) -> int:
        """Bytes, as its definition says; of a one-hour array its fixed size."""
        return array_size(self.identifier) or size_of(self.definition)

    @property
    def decimals(self) -> int:
        """Decimals, as its definition says; 0 of a one-hour array."""
        return 0 if array_size(self.identifier) else decimals_of(self.definition)

    @property
    def value(self) -> Decimal | Fill | None:
        """The number; a Fill where it is missing; None where the bytes are no decimal digits."""
        return number_of(self.data, self.decimals)

    def encode(self) -> bytes:
        """Identifier, definition, data."""
        return self.identifier + bytes([self.definition]) + self.data


def number(
    identifier: bytes,
    value: Decimal | None,
    *,
    digits: int | None = None,
    decimals: int | None = None,
    dialect: Dialect = STANDARD,
) -> Element:
    """An element that carries a number; None is sent as FF.

    `digits`, `decimals` default to table C.1. Decimals beyond are cut; a value that needs more digits takes more bytes.

    Raises:
        ValueError: no finite number, or too long for 31 bytes.
        KeyError: an identifier that is not in table C.1 needs `digits` and `decimals`.
    """
    size, decimals = form(identifier, digits, decimals)
    if value is None:
        return Element(identifier, definition(size, decimals), bytes([NEGATIVE]) * size)
    data = number_bytes(value, decimals, size=size)
    counted = len(data) - (not dialect.sign_counted and data[:1] == bytes([NEGATIVE]))
    return Element(identifier, definition(counted, decimals), data)


def form(identifier: bytes, digits: int | None, decimals: int | None) -> tuple[int, int]:
    """Bytes and decimals of a positive number of `digits` and `decimals`, which default to table C.1."""
    if digits is None or decimals is None:
        kind = KINDS[identifier]
        digits = kind.digits if digits is None else digits
        decimals = kind.decimals if decimals is None else decimals
    return _bytes_for(digits), decimals


def number_bytes(value: Decimal, decimals: int, *, size: int) -> bytes:
    """`value` in decimal-coded bytes: at least `size`, more where needed, and FF in front of a negative one."""
    scaled = cut(value, decimals)
    text = str(abs(scaled))
    digits = bytes.fromhex(text.zfill(2 * max(size, _bytes_for(len(text)))))
    return bytes([NEGATIVE]) + digits if scaled < 0 else digits


def cut(value: Decimal, decimals: int) -> int:
    """`value` times 10^decimals without what stands behind that, exactly. Raises ValueError for what has no digits."""
    if not value.is_finite() or (value and value.adjusted() > 2 * MOST_BYTES):
        raise ValueError(f"{value} does not fit")
    if not value:
        return 0
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + decimals
    if -shift > len(digits):
        return 0
    whole = int("".join(map(str, digits)))
    scaled: int = whole * 10**shift if shift >= 0 else whole // 10**-shift
    return -scaled if sign else scaled


def number_of(data: bytes, decimals: int) -> Decimal | Fill | None:
    """The number in decimal-coded bytes; a Fill where all are FF or AA; None where a half-byte is no digit."""
    for fill in Fill:
        if data and data == bytes.fromhex(fill) * len(data):
            return fill
    is_negative = data[:1] == bytes([NEGATIVE])
    digits = data[is_negative:].hex()
    if not digits or not digits.isdecimal():
        return None
    whole = int(digits)
    return Decimal((int(is_negative and whole > 0), tuple(map(int, str(whole))), -decimals))


def number_text(value: Decimal) -> str:
    """The number with exactly its decimals, never in exponent form."""
    return f"{value:f}"


def array_values(element: Element) -> tuple[Decimal | None, ...]:
    """The values of a one-hour array in mm (F4) or m (F5-FC), None where invalid; twelve for each hour."""
    width, decimals = (1, 1) if element.identifier == RAIN_ARRAY else (2, 2)
    invalid = (1 << 8 * width) - 1
    values = (
        int.from_bytes(element.data[at : at + width], "big") for at in range(0, len(element.data) - width + 1, width)
    )
    return tuple(None if each == invalid else Decimal(each).scaleb(-decimals) for each in values)


def array(identifier: bytes, values: tuple[Decimal | None, ...]) -> Element:
    """A one-hour array; decimals are cut. Raises ValueError for a value that does not fit, or not twelve values."""
    width, decimals = (1, 1) if identifier == RAIN_ARRAY else (2, 2)
    invalid = (1 << 8 * width) - 1
    if len(values) != _ARRAY_VALUES:
        raise ValueError(f"{len(values)} values; an hour has {_ARRAY_VALUES}")
    numbers = [invalid if each is None else cut(each, decimals) for each in values]
    if any(not 0 <= each < invalid for each, value in zip(numbers, values, strict=True) if value is not None):
        raise ValueError(f"{values}: each must be 0 to {invalid - 1} steps")
    data = b"".join(each.to_bytes(width, "big") for each in numbers)
    return Element(identifier, default_definition(identifier), data)


def status(bits: frozenset[int] | set[int]) -> Element:
    """The status and alarm word with `bits` (0…31) set. Source: table 58."""
    word = sum(1 << bit for bit in bits)
    return Element(STATUS, default_definition(STATUS), word.to_bytes(4, "big"))


def bits_set(data: bytes) -> list[int]:
    """Numbers of all set bits, reserved ones too, ascending."""
    word = int.from_bytes(data, "big")
    return [bit for bit in range(8 * len(data)) if word >> bit & 1]


def _bytes_for(digits: int) -> int:
    return (digits + 1) // 2
