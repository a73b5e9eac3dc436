"""Modbus frames as a tester needs them: wrong ones made on purpose, and whatever came, taken apart. Pure.

Nothing here can change a meter: the functions sent are the four reads, and one code that the standard assigns to
nothing. `is_harmless` judges every transmission once more, whatever made it.

Source: Modbus application protocol V1.1b3, 4.1, 5, 6.1-6.4, 7; over serial line V1.02, 2.3, 2.5.1; TCP/IP V1.0b, 3.1.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from drivers.octets import crc16, has_sound_crc

READS = frozenset({1, 2, 3, 4})  # application protocol 6.1-6.4
UNASSIGNED = 0x63  # application protocol 5: a public code of no function; four bits or more from every writing one
SENT = READS | {UNASSIGNED}
EXCEPTION_BIT = 0x80  # application protocol 7
BROADCAST = 0  # serial line 2.2
_MBAP_BYTES = 7  # TCP/IP 3.1.3: transaction, protocol, length, unit
_LEAST_RTU = 4  # address, function, CRC
_EXCEPTION_BYTES = 5
_FLIPPED = 0x55
_LONGEST_PDU = 253  # application protocol 4.1


def read_pdu(function: int, start: int, count: int) -> bytes:
    """A read of `count` from `start`; both are taken as they are, also where no meter can have them."""
    assert function in READS
    return bytes([function]) + start.to_bytes(2, "big") + count.to_bytes(2, "big")


def unassigned_pdu() -> bytes:
    """A request of a function that does not exist, as long as a read: meters that count bytes take it whole."""
    return bytes([UNASSIGNED, 0, 0, 0, 0])


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame found in what came, and the bytes around it.

    `head`: the three fields before the unit (Modbus TCP); `address`: as printed on the meter (DL/T 645, CJ/T 188).
    """

    unit: int
    function: int
    body: bytes
    before: bytes = b""
    after: bytes = b""
    head: tuple[int, int, int] | None = None
    address: str = ""

    @property
    def exception(self) -> int | None:
        """The code of an exception response; None for any other frame."""
        return self.body[0] if self.function & EXCEPTION_BIT and len(self.body) == 1 else None

    @property
    def registers(self) -> bytes | None:
        """The data of a read response whose byte count is right; None for any other frame."""
        is_read = not self.function & EXCEPTION_BIT and self.body and self.body[0] == len(self.body) - 1
        return self.body[1:] if is_read else None


class Framing(Protocol):
    """How a PDU travels."""

    overhead: int

    def closed(self, unit: int, pdu: bytes, number: int) -> bytes:
        """The request frame."""
        ...

    def spoilt(self, frame: bytes) -> tuple[bytes, ...]:
        """The frame with what proves it sound made wrong, in some ways."""
        ...

    def found(self, data: bytes) -> Seen | None:
        """The first sound frame in `data`."""
        ...

    def is_harmless(self, data: bytes) -> bool:
        """Whether a receiver can find nothing but reads (and the unassigned function) in `data`."""
        ...


class RtuFraming:
    """Address, PDU, CRC."""

    overhead = 3

    def closed(self, unit: int, pdu: bytes, number: int) -> bytes:  # noqa: ARG002 - an RTU frame has no number
        """The frame with its CRC."""
        frame = bytes([unit]) + pdu
        return frame + crc16(frame)

    def spoilt(self, frame: bytes) -> tuple[bytes, ...]:
        """Either byte of the CRC wrong, and both exchanged (the commonest mistake of makers)."""
        low, high = frame[-2], frame[-1]
        pairs = [(low ^ _FLIPPED, high), (low, high ^ _FLIPPED), (high, low)]
        return tuple(frame[:-2] + bytes(pair) for pair in pairs if pair != (low, high))

    def found(self, data: bytes) -> Seen | None:
        """The first sound frame, wherever it begins; else all of it, when its CRC fits."""
        for start in range(len(data) - _LEAST_RTU):
            is_exception = data[start + 1] & EXCEPTION_BIT
            size = _EXCEPTION_BYTES if is_exception else _EXCEPTION_BYTES + data[start + 2]
            frame = data[start : start + size]
            if len(frame) == size and has_sound_crc(frame):
                return _seen_rtu(frame, data[:start], data[start + size :])
        return _seen_rtu(data) if len(data) >= _LEAST_RTU and has_sound_crc(data) else None

    def is_harmless(self, data: bytes) -> bool:
        """The function of a sound frame counts; in anything else a sound frame is looked for at every place and of
        every length. Function 0 is none, and those with the top bit set are answers.
        """
        if has_sound_crc(data):
            return data[1] in SENT
        for start in range(len(data) - _LEAST_RTU + 1):
            function = data[start + 1]
            if function in SENT or function == 0 or function & EXCEPTION_BIT:
                continue
            if any(has_sound_crc(data[start:end]) for end in range(start + _LEAST_RTU, len(data) + 1)):
                return False
        return True


def _seen_rtu(frame: bytes, before: bytes = b"", after: bytes = b"") -> Seen:
    return Seen(frame[0], frame[1], frame[2:-2], before, after)


class TcpFraming:
    """Transaction, protocol 0, length, unit; then the PDU."""

    overhead = _MBAP_BYTES

    def closed(self, unit: int, pdu: bytes, number: int) -> bytes:
        """The frame of transaction `number` modulo 65536."""
        head = (number & 0xFFFF).to_bytes(2, "big") + bytes(2) + (len(pdu) + 1).to_bytes(2, "big")
        return head + bytes([unit]) + pdu

    def spoilt(self, frame: bytes) -> tuple[bytes, ...]:
        """Another protocol identifier: Modbus TCP has no check sum of its own."""
        return (frame[:2] + bytes([_FLIPPED, _FLIPPED]) + frame[4:],)

    def found(self, data: bytes) -> Seen | None:
        """The first frame, when it is complete."""
        if len(data) <= _MBAP_BYTES:
            return None
        transaction, protocol, length = (int.from_bytes(data[at : at + 2], "big") for at in (0, 2, 4))
        end = _MBAP_BYTES - 1 + length
        if not 2 <= length <= _LONGEST_PDU + 1 or len(data) < end:  # noqa: PLR2004 - unit and function at least
            return None
        head = (transaction, protocol, length)
        return Seen(data[6], data[7], data[8:end], b"", data[end:], head)

    def is_harmless(self, data: bytes) -> bool:
        """Follows the lengths as a receiver does. Also an unfinished frame and one of another protocol count."""
        while len(data) > _MBAP_BYTES:
            if data[_MBAP_BYTES] not in SENT:
                return False
            data = data[_MBAP_BYTES - 1 + int.from_bytes(data[4:6], "big") :]
        return True


FRAMINGS: dict[str, Framing] = {"rtu": RtuFraming(), "tcp": TcpFraming()}
