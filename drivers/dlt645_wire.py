"""The frame of DL/T 645 (-1997 and -2007 alike): building it, and finding it in whatever arrived. Pure.

Strategy: 68 can stand in an address, in data and as a check sum, so a 68 is only a candidate when the seventh byte
after it is 68 too, and the frame counts only when its end byte and its check sum are right. After a rejected candidate
the search goes on one byte later, never behind it.

Source: DL/T 645-2007 and -1997, frame format; `docs/reference/dlt645.en.md` says how each point was checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

WAKE = 0xFE
START = 0x68
END = 0x16
LEAST_SIZE = 12  # start, six of address, start, control, length, check sum, end
MOST_DATA = 200  # in the reply to a read
REPLY = 0x80  # control, D7: sent by the meter
ERROR = 0x40  # D6
MORE = 0x20  # D5: more frames follow
FUNCTION = 0x1F  # D4…D0
_OFFSET = 0x33  # added to each byte of data by the sender
HEAD_SIZE = 10  # up to and with the length
_ADDRESS = slice(1, 7)

_HIDDEN = bytes((byte + _OFFSET) & 0xFF for byte in range(256))
_PLAIN = bytes((byte - _OFFSET) & 0xFF for byte in range(256))


@dataclass(frozen=True)
class Candidate:
    """Bytes that have the shape of a frame from the 68 at `at` on; `raw` holds what is there of it."""

    at: int
    raw: bytes

    @property
    def is_complete(self) -> bool:
        """Whether all bytes that its length announces are there."""
        return len(self.raw) > HEAD_SIZE and len(self.raw) == LEAST_SIZE + self.raw[9]

    @property
    def is_sound(self) -> bool:
        """Whether it is complete, with the right end byte and check sum."""
        return self.is_complete and self.raw[-1] == END and self.raw[-2] == self.sum

    @cached_property
    def sum(self) -> int:
        """What its check sum should be."""
        return sum(self.raw[:-2]) & 0xFF

    @cached_property
    def size(self) -> int | None:
        """Bytes it will have; None while its length is not there."""
        return LEAST_SIZE + self.raw[9] if len(self.raw) >= HEAD_SIZE else None

    @property
    def address(self) -> bytes:
        """Six bytes as on the wire, lowest first."""
        return self.raw[_ADDRESS]

    @property
    def control(self) -> int | None:
        """The control code; None when it is cut off."""
        return self.raw[8] if len(self.raw) >= HEAD_SIZE - 1 else None

    @cached_property
    def data(self) -> bytes:
        """The data without the 33H, in wire order."""
        return self.raw[HEAD_SIZE:-2].translate(_PLAIN)


def candidates(data: bytes, start: int = 0) -> Iterator[Candidate]:
    """Everything in `data` from `start` on that may be a frame, in order, also while it is incomplete."""
    at = data.find(START, start)
    while at >= 0:
        if at + 7 < len(data) and data[at + 7] == START:
            size = LEAST_SIZE + data[at + 9] if at + 9 < len(data) else HEAD_SIZE
            yield Candidate(at, data[at : at + size])
        at = data.find(START, at + 1)


def found(data: bytes) -> Candidate | None:
    """The first sound frame in `data`."""
    return next((candidate for candidate in candidates(data) if candidate.is_sound), None)


def wake_count(data: bytes, at: int) -> int:
    """How many FE stand directly before `at`."""
    return at - len(data[:at].rstrip(bytes([WAKE])))


def frame_bytes(address: bytes, control: int, data: bytes = b"") -> bytes:
    """A frame around plain `data`, which gets its 33H here; `address` as on the wire."""
    body = bytes([START]) + address + bytes([START, control, len(data)]) + data.translate(_HIDDEN)
    return body + bytes([sum(body) & 0xFF, END])


def address_text(address: bytes) -> str:
    """The twelve characters as printed on the meter, highest first."""
    return address[::-1].hex().upper()


def address_bytes(text: str) -> bytes:
    """Six bytes as on the wire. Raises ValueError."""
    return bytes.fromhex(text)[::-1]


def is_addressed(asked: bytes, own: bytes) -> bool:
    """Whether a question to `asked` concerns the meter `own`: byte by byte, AA standing for any."""
    return all(a in {b, 0xAA} for a, b in zip(asked, own, strict=True))
