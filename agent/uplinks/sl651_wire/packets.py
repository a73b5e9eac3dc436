"""Bodies in several packets (M3), and the centre's answers to frames. Pure.

Strategy: the sender cuts the whole body, header included, and numbers the pieces; the receiver joins them before it
looks inside. One answer ends it: a confirmation with the last number, or one refusal for each packet that is missing.

Source: SL 651-2014 6.3.1.2 (modes), tables 18, 19, 22 and 23, 6.6.2.4 (serial numbers).
"""

from __future__ import annotations

from dataclasses import replace

from agent.uplinks.sl651_wire.body import header_of
from agent.uplinks.sl651_wire.codes import CONFIRMING, BodyError, Control, Direction, Encoding
from agent.uplinks.sl651_wire.frame import LONGEST, Frame
from agent.uplinks.sl651_wire.parts import Header

_MOST_BYTES = 1 << 20  # of a body in packets; a picture
_PER_PACKET = 256  # what published multi-packet frames carry behind the first's header


def split(frame: Frame, size: int = _PER_PACKET) -> list[Frame]:
    """`frame` in packets of at most `size` bytes each: ETB at all but the last.

    Raises:
        ValueError: more than 4095 packets.
    """
    pieces = [frame.payload[at : at + size] for at in range(0, len(frame.payload), size)]
    if len(pieces) > LONGEST:
        raise ValueError(f"{len(pieces)} packets; at most {LONGEST}")
    total = len(pieces)
    return [
        replace(frame, payload=piece, packet=(total, number), end=Control.ETX if number == total else Control.ETB)
        for number, piece in enumerate(pieces, 1)
    ]


def resent(packet: Frame) -> Frame:
    """A packet as it is sent again after NAK: it ends with ETX, whatever its place (6.3.1.2 c)."""
    return replace(packet, end=Control.ETX)


class Assembly:
    """The packets of one body of one station; at most `most_bytes` are kept."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._first: Frame | None = None
        self._pieces: dict[int, bytes] = {}
        self._size = 0

    @property
    def missing(self) -> list[int]:
        """Numbers of the packets that have not come; empty before the first one."""
        total = 0 if self._first is None or self._first.packet is None else self._first.packet[0]
        return [number for number in range(1, total + 1) if number not in self._pieces]

    def add(self, frame: Frame) -> Frame | None:
        """The whole frame, without packet number, once all have come; None before.

        A packet of another function, station or total begins a new body.

        Raises:
            BodyError: the body grew too long; what was kept is dropped.
        """
        if frame.packet is None:
            return frame
        total, number = frame.packet
        if self._first is None or _key(self._first) != _key(frame):
            self.clear()
            self._first = frame
        self._size += len(frame.payload) - len(self._pieces.get(number, b""))
        self._pieces[number] = frame.payload
        if self._size > self._most_bytes:
            size = self._size
            self.clear()
            raise BodyError("too_long", "6.5.3", size=size, limit=self._most_bytes)
        if len(self._pieces) < total:
            return None
        payload = b"".join(self._pieces[each] for each in range(1, total + 1))
        self.clear()
        return replace(frame, packet=None, payload=payload, end=Control.ETX)

    def clear(self) -> None:
        """Give up what has come."""
        self._first = None
        self._pieces = {}
        self._size = 0


def _key(frame: Frame) -> tuple[str, int, int]:
    return frame.station, frame.function, frame.packet[0] if frame.packet else 0


def confirmation(frame: Frame, *, sent: str, end: Control = Control.ESC, serial: int | None = None) -> Frame:
    """The centre's answer that `frame`, or the last packet of several, came: its serial number and `sent`, 12 digits.

    `end`: ACK after ETB; ESC (stay online) or EOT after ETX. `serial`: where the frame itself has none.
    """
    if end not in CONFIRMING:
        raise ValueError(f"{end.name} confirms nothing")
    packet = None if frame.packet is None else (frame.packet[0], frame.packet[0])
    return _answer(frame, end, packet, _serial(frame, serial), sent)


def refusal(frame: Frame, number: int, *, sent: str, serial: int | None = None) -> Frame:
    """The centre's answer that packet `number` is missing or bad; serial 0 where it is not known."""
    if frame.packet is None:
        raise ValueError("only a packet of several can be asked for again")
    return _answer(frame, Control.NAK, (frame.packet[0], number), _serial(frame, serial), sent)


def confirms(answer: Frame, frame: Frame) -> bool:
    """Whether `answer` says that `frame` was delivered: same station, function and serial number.

    A minimal answer (LEN 0) has no serial number and counts by station and function alone.
    """
    if not answer.is_confirmation or (answer.station, answer.function) != (frame.station, frame.function):
        return False
    if not answer.payload:
        return True
    said, asked = header_of(answer), header_of(frame)
    return said is not None and asked is not None and said.serial == asked.serial


def _serial(frame: Frame, serial: int | None) -> int:
    if serial is not None:
        return serial
    header = header_of(frame)
    return 0 if header is None else header.serial


def _answer(frame: Frame, end: Control, packet: tuple[int, int] | None, serial: int, sent: str) -> Frame:
    header = Header(serial, sent)
    is_binary = frame.encoding is Encoding.BINARY
    payload = header.encode() if is_binary else header.encode_text()
    return replace(frame, direction=Direction.DOWN, end=end, packet=packet, payload=payload)
