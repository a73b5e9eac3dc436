"""Frames of CJ/T 188 as bytes: found behind noise, taken apart, built. Pure.

Strategy: a frame has one start byte, which also occurs inside addresses and data. So each 68 is a candidate, taken only
when its length fits, its end byte is there and the sum is right; otherwise the search goes on one byte later.

Source: CJ/T 188-2004, the data link layer (frame, control code, data identifier); 2018 sends the identifier low byte
first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType

START, END, WAKE_UP = 0x68, 0x16, 0xFE
HEADER_SIZE = 11  # start, type, seven bytes of address, control, length
FRAME_SIZE = 13  # of a frame without data: header, sum, end
ADDRESS_SIZE = 7
HEAD_SIZE = 3  # of DATA: identifier and serial number
FROM_METER, ERROR, MORE = 0x80, 0x40, 0x20  # bits of the control code
_FUNCTION = 0x1F
READ, READ_ADDRESS = 0x01, 0x03
ANY = 0xAA  # as meter type, and seven times as address: whoever hears it
ANY_ADDRESS = "AA" * ADDRESS_SIZE
WATER = range(0x10, 0x1A)  # meter types 10…19: cold, hot, drinking, reclaimed water

READING = 0x901F
ADDRESS = 0x810A
CLOCK = 0x907F
MONTHS = range(0xD120, 0xD12C)  # settlement of last month … of twelve months ago
VALVE = 0xA017
NEW_ADDRESS = 0xA018
HIGH_FIRST, LOW_FIRST = "high_first", "low_first"
_HIGH_BYTES = frozenset({0x81, 0x90, 0xA0, 0xA1, 0xD1, 0xD2, 0xD3, 0xD4})  # of every identifier there is
_KNOWN = frozenset({READING, CLOCK, *MONTHS, *range(0x8102, 0x8107), ADDRESS, *range(0xA010, 0xA01A)})
_KNOWN_FAMILIES = frozenset({0xA1, 0xD2, 0xD3, 0xD4})  # 2018: configuration and frozen records

CUBIC_METRES = 0x2C
LITRES = 0x29  # its decimals are each maker's own
VOLUME_FACTORS = MappingProxyType({0x2A: Decimal("0.01"), 0x2B: Decimal("0.1"), 0x2C: Decimal(1), 0x2D: Decimal(10),
                                   0x2E: Decimal(100)})  # fmt: skip  # unit code: m3 for one
REGISTER_SIZE = 5  # four bytes of digits and the unit code
REGISTER_DECIMALS = 2  # XXXXXX.XX
MOST_LITRE_DECIMALS = 3


@dataclass(frozen=True)
class Frame:
    """A frame from its start byte on, complete; whether it is sound says `is_sound`."""

    raw: bytes

    @property
    def is_sound(self) -> bool:
        """The end byte is there and the sum fits."""
        return self.raw[-1] == END and self.sum == self.raw[-2]

    @property
    def sum(self) -> int:
        """The check sum that the bytes have."""
        return sum(self.raw[:-2]) & 0xFF

    @property
    def meter_type(self) -> int:
        """The type byte T."""
        return self.raw[1]

    @property
    def address(self) -> str:
        """14 characters as printed on the meter: the byte sent last comes first."""
        return self.raw[8:1:-1].hex().upper()

    @property
    def control(self) -> int:
        """The control code with all its bits."""
        return self.raw[9]

    @property
    def function(self) -> int:
        """The control code without direction, error and follow-up bits."""
        return self.control & _FUNCTION

    @property
    def is_from_meter(self) -> bool:
        """An answer, also one that refuses."""
        return bool(self.control & FROM_METER)

    @property
    def is_error(self) -> bool:
        """A refusal."""
        return bool(self.control & ERROR)

    @property
    def data(self) -> bytes:
        """All of DATA."""
        return self.raw[HEADER_SIZE:-2]

    @property
    def has_identifier(self) -> bool:
        """DATA begins with an identifier and a serial number."""
        return not self.is_error and len(self.data) >= HEAD_SIZE

    @cached_property
    def identifier(self) -> tuple[int, str]:
        """The data identifier as written, and the order in which it was sent. Only where `has_identifier`."""
        return identifier_of(self.data[:2])

    @property
    def serial(self) -> int:
        """The serial number. Only where `has_identifier`."""
        return self.data[2]


def frame_at(buffer: bytes | bytearray, at: int) -> Frame | None:
    """The complete frame that begins at `at`, sound or not; None while bytes are missing."""
    if at + FRAME_SIZE > len(buffer):
        return None
    end = at + FRAME_SIZE + buffer[at + HEADER_SIZE - 1]
    return None if end > len(buffer) else Frame(bytes(buffer[at:end]))


def sound_frames(buffer: bytes | bytearray) -> Iterator[tuple[int, Frame]]:
    """Every sound frame and where it begins; they do not overlap."""
    at = buffer.find(START)
    while at >= 0:
        frame = frame_at(buffer, at)
        is_sound = frame is not None and frame.is_sound
        if frame is not None and is_sound:
            yield at, frame
        at = buffer.find(START, at + (len(frame.raw) if frame is not None and is_sound else 1))


def built(meter_type: int, address: str, control: int, data: bytes) -> bytes:
    """A sound frame; `address` as printed."""
    body = bytes([START, meter_type, *reversed(bytes.fromhex(address)), control, len(data)]) + data
    return body + bytes([sum(body) & 0xFF, END])


def identifier_of(sent: bytes) -> tuple[int, str]:
    """The identifier in two bytes as they were sent, and their order: both occur, whatever the meter's age.

    The high byte tells: only the first can be one, or only the second; else the order that gives a known identifier.
    """
    high_first, low_first = int.from_bytes(sent, "big"), int.from_bytes(sent, "little")
    is_first, is_second = sent[0] in _HIGH_BYTES, sent[1] in _HIGH_BYTES
    if is_first == is_second:
        is_second = _is_known(low_first) and not _is_known(high_first)
        is_first = not is_second
    return (high_first, HIGH_FIRST) if is_first else (low_first, LOW_FIRST)


def identifier_bytes(identifier: int, order: str) -> bytes:
    """The two bytes of an identifier as they are sent."""
    return identifier.to_bytes(2, "big" if order == HIGH_FIRST else "little")


def _is_known(identifier: int) -> bool:
    return identifier in _KNOWN or identifier >> 8 in _KNOWN_FAMILIES


def digits_of(sent: bytes) -> int | None:
    """The number in decimal-coded bytes, lowest first; None when a half-byte is above 9."""
    text = sent[::-1].hex()
    return int(text) if text.isdigit() else None


def is_blank(sent: bytes) -> bool:
    """All FF: the meter does not have it."""
    return sent == b"\xff" * len(sent)


def litre_factor(decimals: int) -> Decimal:
    """m3 for one digit of a register with unit code 29, whose maker gives it `decimals` decimals."""
    return Decimal(1).scaleb(-3 - decimals)


def digit_factor(unit: int, litre_decimals: int | None) -> Decimal | None:
    """m3 for one digit of a register with this unit code; None for a unit that is no volume, or whose worth is open."""
    if unit == LITRES:
        return None if litre_decimals is None else litre_factor(litre_decimals)
    factor = VOLUME_FACTORS.get(unit)
    return None if factor is None else factor.scaleb(-REGISTER_DECIMALS)
