"""The check sum of SL 651 frames, also of any part of a stream in constant time. Pure.

Strategy: a receiver must try many places of a hostile stream. Summing each candidate anew would cost its length each
time, up to 4 kB for every few bytes. The sum is linear: the register after bytes a…b follows from the registers at a
and at b of one running sum, advanced by b-a zero bytes, which thirteen table look-ups do.

Source: SL 651-2014, tables 16 and 20: x16 + x15 + x2 + 1 over all bytes in front of it; the start value FFFF and the
reflected form are those of every published frame.
"""

from __future__ import annotations

from array import array
from functools import cache

from drivers.octets import CRC_START, CRC_TABLE

_DOUBLINGS = 13  # a frame has less than 2^13 bytes

_Table = tuple[int, ...]


@cache
def _zeros() -> tuple[tuple[_Table, _Table], ...]:
    """For each power of two: what that many zero bytes make of the low and of the high byte of a register."""
    low, high = CRC_TABLE, tuple(range(256))
    powers = [(low, high)]
    for _ in range(_DOUBLINGS - 1):
        low, high = (
            tuple(low[register & 0xFF] ^ high[register >> 8] for register in low),
            tuple(low[register & 0xFF] ^ high[register >> 8] for register in high),
        )
        powers.append((low, high))
    return tuple(powers)


def _advanced(register: int, count: int) -> int:
    """The register after `count` zero bytes."""
    for low, high in _zeros():
        if not count:
            break
        if count & 1:
            register = low[register & 0xFF] ^ high[register >> 8]
        count >>= 1
    return register


class RunningCrc:
    """The running sum over a window of a stream: two bytes of memory per byte."""

    def __init__(self) -> None:
        self._registers = array("H", [0])

    def extend(self, data: bytes) -> None:
        """Take further bytes."""
        register = self._registers[-1]
        registers = []
        for byte in data:
            register = register >> 8 ^ CRC_TABLE[(register ^ byte) & 0xFF]
            registers.append(register)
        self._registers.extend(registers)

    def drop(self, count: int) -> None:
        """Forget the first `count` bytes."""
        del self._registers[:count]

    def of(self, first: int, end: int) -> int:
        """The check sum of the bytes from `first` up to but without `end`; at most 8191 bytes."""
        return _advanced(self._registers[first] ^ CRC_START, end - first) ^ self._registers[end]
