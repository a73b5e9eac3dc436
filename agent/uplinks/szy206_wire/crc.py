"""The check byte of SZY206 frames, also of any part of a stream in constant time. Pure.

Strategy: a receiver tries many places of a hostile stream, and an image is 64 kB long. The check byte is linear and
begins with 0: that of bytes a...b-1 follows from one running value at a and at b, the former moved on by b-a zero
bytes. Seventeen tables, each the one before applied twice, do that for any length.

Source: SZY206, check sequence: CRC-8, polynomial x8+x7+x6+x5+x2+1, start 0, over all user data.
"""

from __future__ import annotations

_POLYNOMIAL = 0xE5
_DOUBLINGS = 17  # a frame has less than 2^17 bytes


def _table() -> bytes:
    table = bytearray()
    for value in range(256):
        register = value
        for _ in range(8):
            register = (register << 1 ^ _POLYNOMIAL if register & 0x80 else register << 1) & 0xFF
        table.append(register)
    return bytes(table)


_TABLE = _table()


def _zeros() -> tuple[bytes, ...]:
    tables = [_TABLE]  # what one zero byte makes of a register
    while len(tables) < _DOUBLINGS:
        tables.append(tables[-1].translate(tables[-1]))
    return tuple(tables)


_ZEROS = _zeros()


def crc8(data: bytes) -> int:
    """The check byte of `data`."""
    register = 0
    for byte in data:
        register = _TABLE[register ^ byte]
    return register


def run_on(running: bytearray, data: bytes) -> None:
    """Appends to `running` (its last byte the value so far) the value behind each byte of `data`."""
    table = _TABLE
    register = running[-1]
    append = running.append
    for byte in data:
        register = table[register ^ byte]
        append(register)


def crc8_between(running: bytearray, first: int, last: int) -> int:
    """The check byte of the bytes first...last-1, where `running[n]` is the value in front of byte n."""
    register = running[first]
    count = last - first
    for table in _ZEROS:
        if count & 1:
            register = table[register]
        count >>= 1
    return register ^ running[last]
