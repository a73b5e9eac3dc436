"""Bytes as meters use them: check sums, decimal-coded digits, word orders, and the shortest text of a float. Pure."""

from __future__ import annotations

import struct
from decimal import Decimal

_CRC_POLYNOMIAL = 0xA001  # Modbus over serial line V1.02, 6.2.2: x16 + x15 + x2 + 1, reflected
_FLOAT32_DIGITS = (6, 7, 8, 9)  # IEEE 754: 9 significant digits always suffice for binary32


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        register = value
        for _ in range(8):
            register = register >> 1 ^ _CRC_POLYNOMIAL if register & 1 else register >> 1
        table.append(register)
    return tuple(table)


CRC_TABLE = _crc_table()
"""What one byte makes of the low byte of the register."""
CRC_START = 0xFFFF


def crc16_register(data: bytes) -> int:
    """The CRC register after `data`. Source: Modbus over serial line V1.02, 6.2.2; SL 651-2014, tables 16 and 20."""
    register = CRC_START
    for byte in data:
        register = register >> 8 ^ CRC_TABLE[(register ^ byte) & 0xFF]
    return register


def crc16(data: bytes) -> bytes:
    """The two CRC bytes of a Modbus RTU frame in the order they are sent (low byte first)."""
    return crc16_register(data).to_bytes(2, "little")


def has_sound_crc(frame: bytes) -> bool:
    """Whether the last two bytes are the CRC of those before them."""
    return len(frame) > 2 and crc16(frame[:-2]) == frame[-2:]  # noqa: PLR2004 - two bytes of CRC


def bcd_number(data: bytes) -> int | None:
    """The number in decimal-coded bytes, most significant first; None when a half-byte is above 9."""
    text = data.hex()
    return int(text) if text.isdigit() else None


def bcd_bytes(number: int, size: int) -> bytes:
    """`size` decimal-coded bytes, most significant first. Raises ValueError for a negative or too long number."""
    text = str(number)
    if number < 0 or len(text) > 2 * size:
        raise ValueError(f"{number} does not fit {2 * size} decimal digits")
    return bytes.fromhex(text.zfill(2 * size))


def float32_decimal(data: bytes) -> Decimal | None:
    """The decimal that binary32 `data` (big-endian) stands for by its shortest text; None for NaN and infinities."""
    number: float = struct.unpack(">f", data)[0]
    if number - number != 0:  # only NaN and the infinities differ from themselves minus themselves
        return None
    if number == 0:
        return Decimal(0)  # minus zero is zero
    for digits in _FLOAT32_DIGITS:
        text = f"{number:.{digits}g}"
        if struct.pack(">f", float(text)) == data:
            return Decimal(text)
    raise AssertionError("nine digits tell every binary32 apart")


def float64_decimal(data: bytes) -> Decimal | None:
    """The decimal that binary64 `data` (big-endian) stands for by its shortest text; None for NaN and infinities."""
    number: float = struct.unpack(">d", data)[0]
    if number - number != 0:
        return None
    return Decimal(repr(number)) if number else Decimal(0)


def float_step(kind: str, number: Decimal) -> Decimal:
    """From `number` to the next larger magnitude that binary `kind` (`f32` or `f64`) can hold, exactly."""
    size, code, integer = (4, ">f", ">I") if kind == "f32" else (8, ">d", ">Q")
    (bits,) = struct.unpack(integer, struct.pack(code, abs(float(number))))
    (following,) = struct.unpack(code, (bits + 1).to_bytes(size, "big"))
    (here,) = struct.unpack(code, bits.to_bytes(size, "big"))
    return Decimal(following) - Decimal(here)


def order_indices(order: str, size: int) -> tuple[int, ...] | None:
    """For each byte from the most significant on, where it stands on the wire; None when `order` names no such order.

    Letters name bytes, `a` the most significant; a two-letter or four-letter name stands for its pattern in longer
    types: `abcd` big-endian, `cdab` words reversed, `badc` bytes swapped inside words, `dcba` all reversed.
    """
    letters = "abcdefgh"[:size]
    if order in {"abcd", "cdab", "badc", "dcba"} and order != letters:
        order = {
            "abcd": letters,
            "dcba": letters[::-1],
            "cdab": "".join(letters[at : at + 2] for at in range(size - 2, -1, -2)),
            "badc": "".join(letters[at + 1] + letters[at] for at in range(0, size, 2)),
        }[order]
    if sorted(order) != list(letters):
        return None
    return tuple(order.index(letter) for letter in letters)
