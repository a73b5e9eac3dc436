"""How a Modbus answer is wrapped, so that a simulated meter can wrap a wrong one soundly."""

from __future__ import annotations

from typing import Protocol

from drivers.octets import crc16

_MBAP_BYTES = 7  # Modbus messaging on TCP/IP V1.0b, 3.1.3: transaction, protocol, length, unit
_FLIPPED = 0x55


class Envelope(Protocol):
    """A framing: address and body in, frame out, and back."""

    def opened(self, frame: bytes) -> tuple[int, bytes]:
        """Address and body (PDU) of a sound frame."""
        ...

    def closed(self, like: bytes, address: int, pdu: bytes) -> bytes:
        """A sound frame around another address and body; what the framing adds is as in the frame `like`."""
        ...

    def spoilt(self, frame: bytes) -> bytes:
        """The frame with what proves it sound made wrong."""
        ...


class RtuEnvelope:
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


class TcpEnvelope:
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


ENVELOPES: dict[str, Envelope] = {"rtu": RtuEnvelope(), "tcp": TcpEnvelope()}
