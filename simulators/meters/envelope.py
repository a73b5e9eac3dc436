"""How each protocol wraps an answer, so that a simulated meter can give a wrong one that is soundly wrapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from drivers.octets import crc16
from simulators.meters.envelope_cjt188 import Cjt188Envelope
from simulators.meters.envelope_dlt645 import Dlt645Envelope

_MBAP_BYTES = 7  # Modbus messaging on TCP/IP V1.0b, 3.1.3: transaction, protocol, length, unit
_FLIPPED = 0x55
_OTHER_FUNCTION = {1: 2, 2: 1, 3: 4, 4: 3}  # the neighbouring table
_EXCEPTION_BIT = 0x80  # Modbus application protocol V1.1b3, 7
_MOST_DATA = 250


class Envelope(Protocol):
    """A sound answer in, a sound answer out that is not the right one; or one whose check sum does not fit."""

    def spoilt(self, frame: bytes) -> bytes:
        """The frame with what proves it sound made wrong."""
        ...

    def refused(self, frame: bytes, code: int) -> bytes:
        """A refusal in its place, with the protocol's own error code."""
        ...

    def other_function(self, frame: bytes) -> bytes:
        """The answer to another kind of question."""
        ...

    def other_count(self, frame: bytes, more: int) -> bytes:
        """The answer with so many registers (or bytes) more, or fewer; a refusal stays as it is."""
        ...

    def other_address(self, frame: bytes, address: int | None) -> bytes:
        """The answer of the meter at `address`, by default the next one."""
        ...


class PlainEnvelope:
    """Of an unknown protocol: what cannot be made wrong soundly is made unsound."""

    def spoilt(self, frame: bytes) -> bytes:
        """The frame with another last byte."""
        return frame[:-1] + bytes([frame[-1] ^ _FLIPPED])

    def refused(self, frame: bytes, code: int) -> bytes:  # noqa: ARG002 - how it refuses is not known
        """An unsound frame."""
        return self.spoilt(frame)

    def other_function(self, frame: bytes) -> bytes:
        """An unsound frame."""
        return self.spoilt(frame)

    def other_count(self, frame: bytes, more: int) -> bytes:  # noqa: ARG002 - where it counts is not known
        """An unsound frame."""
        return self.spoilt(frame)

    def other_address(self, frame: bytes, address: int | None) -> bytes:  # noqa: ARG002 - where it stands is not known
        """An unsound frame."""
        return self.spoilt(frame)


class ModbusEnvelope:
    """A framing of Modbus: address and body (PDU) in, frame out, and back."""

    def opened(self, frame: bytes) -> tuple[int, bytes]:
        """Address and body of a sound frame."""
        raise NotImplementedError

    def closed(self, like: bytes, address: int, pdu: bytes) -> bytes:
        """A sound frame around another address and body; what the framing adds is as in the frame `like`."""
        raise NotImplementedError

    def refused(self, frame: bytes, code: int) -> bytes:
        """An exception with this code."""
        address, pdu = self.opened(frame)
        return self.closed(frame, address, bytes([pdu[0] | _EXCEPTION_BIT, code]))

    def other_function(self, frame: bytes) -> bytes:
        """The same data from the neighbouring table."""
        address, pdu = self.opened(frame)
        return self.closed(frame, address, bytes([_OTHER_FUNCTION.get(pdu[0], pdu[0])]) + pdu[1:])

    def other_count(self, frame: bytes, more: int) -> bytes:
        """So many registers more, or fewer."""
        address, pdu = self.opened(frame)
        if pdu[0] & _EXCEPTION_BIT:
            return frame
        size = min(max(0, pdu[1] + 2 * more), _MOST_DATA)
        return self.closed(frame, address, bytes([pdu[0], size]) + pdu[2 : 2 + size].ljust(size, b"\0"))

    def other_address(self, frame: bytes, address: int | None) -> bytes:
        """From another address."""
        own, pdu = self.opened(frame)
        return self.closed(frame, (own + 1) % 256 if address is None else address, pdu)


class RtuEnvelope(ModbusEnvelope):
    """Address, body, CRC."""

    def opened(self, frame: bytes) -> tuple[int, bytes]:
        """Address and body of a sound frame."""
        return frame[0], frame[1:-2]

    def closed(self, like: bytes, address: int, pdu: bytes) -> bytes:  # noqa: ARG002 - an RTU frame has no number
        """A frame with the right CRC around another address and body."""
        frame = bytes([address]) + pdu
        return frame + crc16(frame)

    def spoilt(self, frame: bytes) -> bytes:
        """The frame with a wrong CRC."""
        return frame[:-1] + bytes([frame[-1] ^ _FLIPPED])


class TcpEnvelope(ModbusEnvelope):
    """Header with transaction number, protocol 0, length and unit; then the body."""

    def opened(self, frame: bytes) -> tuple[int, bytes]:
        """Unit and body of a sound frame."""
        return frame[_MBAP_BYTES - 1], frame[_MBAP_BYTES:]

    def closed(self, like: bytes, address: int, pdu: bytes) -> bytes:
        """A frame of the same transaction around another unit and body."""
        return like[:4] + (len(pdu) + 1).to_bytes(2, "big") + bytes([address]) + pdu

    def spoilt(self, frame: bytes) -> bytes:
        """The frame with a wrong protocol identifier: Modbus TCP has no check sum of its own."""
        return frame[:3] + bytes([frame[3] ^ _FLIPPED]) + frame[4:]


def _modbus(framing: str) -> Envelope:
    return RtuEnvelope() if framing == "rtu" else TcpEnvelope()


ENVELOPES: Mapping[str, Callable[[str], Envelope]] = MappingProxyType(
    {"modbus": _modbus, "dlt645": lambda _framing: Dlt645Envelope(), "cjt188": lambda _framing: Cjt188Envelope()}
)
"""Protocol to what makes its envelope, called with the framing; a protocol that is not here has the plain one."""


def envelope_of(protocol: str, framing: str) -> Envelope:
    """The envelope of a protocol."""
    return ENVELOPES[protocol](framing) if protocol in ENVELOPES else PlainEnvelope()
