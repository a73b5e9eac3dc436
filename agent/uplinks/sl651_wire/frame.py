"""SL 651-2014 frames in both encodings: taken apart, checked, put together. Pure.

Strategy: `frame_at` looks at one place of a buffer and says: a sound frame; not all of it yet; or the first rule that
is broken, in the order a receiver meets them (direction, body start, length, end character, check sum, packet number).
Nothing is escaped on the wire, so only the length delimits a frame.

Source: SL 651-2014 6.2.3 (tables 11, 12), 6.4 (tables 16-19, ASCII), 6.5 (tables 20-23, HEX/BCD).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent.uplinks.sl651_wire.codes import (
    CONFIRMING,
    DOWN_ENDS,
    MULTI_DOWN_ENDS,
    STANDARD,
    STARTS,
    UP_ENDS,
    Control,
    Dialect,
    Direction,
    Encoding,
    FrameError,
)
from drivers.octets import crc16_register

LONGEST: Final = 4095  # 6.5.2, table 20: bytes of the body, a packet number included
_LENGTH_BITS = 0xFFF
_MARKS = {0x0: Direction.UP, 0x8: Direction.DOWN}
_MARK_OF = {direction: mark for mark, direction in _MARKS.items()}
_TABLES = {Encoding.BINARY: "6.5", Encoding.ASCII: "6.4"}


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields of an encoding are: sizes in bytes on the wire, offsets from the first one."""

    start: bytes
    mark_at: int  # direction and length
    body_at: int
    packet_size: int
    crc_size: int
    width: int  # characters per byte of the head


_BINARY = _Layout(b"\x7e\x7e", mark_at=11, body_at=14, packet_size=3, crc_size=2, width=1)
_ASCII = _Layout(b"\x01", mark_at=19, body_at=24, packet_size=6, crc_size=4, width=2)
_LAYOUTS = {Encoding.BINARY: _BINARY, Encoding.ASCII: _ASCII}
LONGEST_FRAME: Final = _ASCII.body_at + LONGEST + 1 + _ASCII.crc_size
_ASCII_HEAD = 18  # characters from the addresses to the function code
_HEX_BASE = 16
_HEX = re.compile(rb"[0-9A-Fa-f]*")
_STARTS = {
    (Encoding.BINARY,): re.compile(rb"\x7e(?:\x7e|\Z)"),
    (Encoding.ASCII,): re.compile(rb"\x01(?:[0-9A-Fa-f]|\Z)"),
    (Encoding.BINARY, Encoding.ASCII): re.compile(rb"\x7e(?:\x7e|\Z)|\x01(?:[0-9A-Fa-f]|\Z)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame without what follows from the rest (length, check sum).

    `centre` 0…255; `station` 10 and `password` 4 hex digits, upper case; `payload` the body behind the packet number;
    `packet` (total, number), both 1…4095, in M3 only.
    """

    direction: Direction
    centre: int
    station: str
    password: str
    function: int
    end: Control
    payload: bytes
    packet: tuple[int, int] | None = None
    encoding: Encoding = Encoding.BINARY

    @property
    def start(self) -> Control:
        """The body start: SYN where a packet number follows."""
        return Control.STX if self.packet is None else Control.SYN

    @property
    def length(self) -> int:
        """LEN as sent: bytes between body start and end character."""
        return len(self.payload) + (0 if self.packet is None else _LAYOUTS[self.encoding].packet_size)

    @property
    def is_confirmation(self) -> bool:
        """Whether the centre says by it that something was delivered."""
        return self.direction is Direction.DOWN and self.end in CONFIRMING

    @property
    def is_follow_up(self) -> bool:
        """An uplink packet of M3 behind the first: a piece of a body, without serial number and time."""
        return self.direction is Direction.UP and self.packet is not None and self.packet[1] > 1

    def encode(self, dialect: Dialect = STANDARD) -> bytes:
        """The frame as sent.

        Raises:
            ValueError: when a field does not fit its place.
        """
        raw = self._checked(dialect)
        crc = crc16_register(raw)
        return raw + (crc.to_bytes(2, "big") if self.encoding is Encoding.BINARY else b"%04X" % crc)

    def crc(self, dialect: Dialect = STANDARD) -> int:
        """The check sum it has."""
        return crc16_register(self._checked(dialect))

    def _checked(self, dialect: Dialect) -> bytes:
        """What the check sum covers."""
        if self.length > LONGEST:
            raise ValueError(f"a body of {self.length} bytes; at most {LONGEST}")
        centre, station = bytes([self.centre]), bytes.fromhex(self.station)
        password = bytes.fromhex(self.password)
        if len(station) != 5 or len(password) != 2:  # noqa: PLR2004 - table 20
            raise ValueError(f"station {self.station}, password {self.password}: 10 and 4 hex digits wanted")
        mark = (_MARK_OF[self.direction] << 12 | self.length).to_bytes(2, "big")
        addresses = centre + station if self.direction is Direction.UP else station + centre
        head = addresses + password + bytes([self.function]) + mark
        layout = _LAYOUTS[self.encoding]
        if self.encoding is Encoding.ASCII:
            head = head.hex().upper().encode("ascii")
        numbers = b"" if self.packet is None else _packet_bytes(self.packet, self.encoding, dialect)
        return layout.start + head + bytes([self.start]) + numbers + self.payload + bytes([self.end])


def _packet_bytes(packet: tuple[int, int], encoding: Encoding, dialect: Dialect) -> bytes:
    total, number = packet
    if not 1 <= number <= total <= LONGEST:
        raise ValueError(f"packet {number} of {total}")
    if encoding is Encoding.BINARY:
        return (total << 12 | number).to_bytes(3, "big")
    is_hex = dialect.packet_base == _HEX_BASE
    text = f"{total:03X}{number:03X}" if is_hex else f"{total:03d}{number:03d}"
    if len(text) != _ASCII.packet_size:
        raise ValueError(f"packet {number} of {total} does not fit three decimal digits each")
    return text.encode("ascii")


def next_start(data: bytes | bytearray, at: int, encodings: tuple[Encoding, ...]) -> int:
    """Where from `at` on a frame may begin, if only with the last byte; the length of `data` when nowhere."""
    found = _STARTS[encodings].search(data, at)
    return len(data) if found is None else found.start()


def encoding_at(data: bytes | bytearray, at: int) -> Encoding:
    """The encoding of the frame that begins at `at`."""
    return Encoding.ASCII if data[at] == _ASCII.start[0] else Encoding.BINARY


def size_at(data: bytes | bytearray, at: int) -> int:
    """Bytes the frame that begins at `at` must have, as far as its length is there; else those of its head."""
    encoding = encoding_at(data, at)
    layout = _LAYOUTS[encoding]
    mark = bytes(data[at + layout.mark_at : at + layout.body_at - 1])
    if len(mark) < layout.body_at - 1 - layout.mark_at:
        return layout.body_at + 1 + layout.crc_size
    number = int(mark, 16) if encoding is Encoding.ASCII else int.from_bytes(mark, "big")
    return layout.body_at + (number & _LENGTH_BITS) + 1 + layout.crc_size


def frame_at(
    data: bytes | bytearray,
    at: int,
    *,
    longest: int = LONGEST,
    crc_of: Callable[[int, int], int] | None = None,
    dialect: Dialect = STANDARD,
) -> Frame | None:
    """The sound frame that begins at `at`; None while bytes of it are missing.

    `longest`: LEN above it is refused. `crc_of(first, end)`: the check sum of a part of `data`, where it is known.

    Raises:
        FrameError: the first rule that is broken.
    """
    encoding = encoding_at(data, at)
    layout, table = _LAYOUTS[encoding], _TABLES[encoding]
    head = bytes(data[at : at + layout.body_at])
    direction, length, start = _head(head, encoding, longest)
    size = layout.body_at + length + 1 + layout.crc_size
    if direction is None or start is None or len(data) - at < size:
        return None
    covered = at + size - layout.crc_size
    end = _end(data[covered - 1], direction, start, length)
    expected = crc16_register(bytes(data[at:covered])) if crc_of is None else crc_of(at, covered)
    received = bytes(data[covered : covered + layout.crc_size])
    _check_crc(expected, received, encoding)
    body = bytes(data[at + layout.body_at : covered - 1])
    packet = None
    if start is Control.SYN:
        packet = _packet(body[: layout.packet_size], encoding, dialect)
        body = body[layout.packet_size :]
    if length == 0 and direction is Direction.UP:
        raise FrameError("length", f"{table}.2", received=0, low=1, limit=longest)
    centre, station, password, function = _addresses(head[len(layout.start) :], direction, encoding)
    return Frame(
        direction=direction,
        centre=centre,
        station=station,
        password=password,
        function=function,
        end=end,
        payload=body,
        packet=packet,
        encoding=encoding,
    )


def _addresses(head: bytes, direction: Direction, encoding: Encoding) -> tuple[int, str, str, int]:
    """Centre, station, password and function behind the start; up the centre comes first, down the station."""
    plain = bytes.fromhex(head[:_ASCII_HEAD].decode("ascii")) if encoding is Encoding.ASCII else head
    centre, station = (plain[0], plain[1:6]) if direction is Direction.UP else (plain[5], plain[:5])
    return centre, station.hex().upper(), plain[6:8].hex().upper(), plain[8]


def _head(head: bytes, encoding: Encoding, longest: int) -> tuple[Direction | None, int, Control | None]:
    """Direction, LEN and body start as far as they are there; raises what is wrong already."""
    layout, clause = _LAYOUTS[encoding], f"{_TABLES[encoding]}.2"
    if encoding is Encoding.ASCII:
        digits = head[1 : layout.body_at - 1]
        hexadecimal = _HEX.match(digits)
        if hexadecimal is None or hexadecimal.end() < len(digits):
            wrong = 0 if hexadecimal is None else hexadecimal.end()
            raise FrameError("not_hex", clause, received=f"{digits[wrong]:02X}", offset=1 + wrong)
    mark = head[layout.mark_at : layout.mark_at + 1]
    if not mark:
        return None, 0, None
    nibble = int(mark, 16) if encoding is Encoding.ASCII else mark[0] >> 4
    if nibble not in _MARKS:
        raise FrameError("direction", clause, received=f"{nibble:X}")
    if len(head) < layout.body_at:
        return None, 0, None
    sent = head[layout.mark_at : layout.body_at - 1]
    length = _LENGTH_BITS & (int(sent, 16) if encoding is Encoding.ASCII else int.from_bytes(sent, "big"))
    if head[-1] not in STARTS:
        raise FrameError("body_start", "6.2.2", received=f"{head[-1]:02X}")
    start = Control(head[-1])
    low = layout.packet_size if start is Control.SYN else 0
    if not low <= length <= longest:
        raise FrameError("length", clause, received=length, low=low, limit=longest)
    return _MARKS[nibble], length, start


def _end(byte: int, direction: Direction, start: Control, length: int) -> Control:
    allowed = UP_ENDS if direction is Direction.UP else MULTI_DOWN_ENDS if start is Control.SYN else DOWN_ENDS
    if byte not in allowed:
        names = " ".join(f"{each.name}={each:02X}" for each in allowed)
        raise FrameError(
            "end", "6.2.2", received=f"{byte:02X}", expected=names, length=length, direction=direction.value
        )
    return Control(byte)


def _check_crc(expected: int, received: bytes, encoding: Encoding) -> None:
    text = received.hex().upper() if encoding is Encoding.BINARY else received.decode("ascii", "replace").upper()
    wanted = f"{expected:04X}"
    if text == wanted:
        return
    code = "crc_order" if text == wanted[2:] + wanted[:2] else "crc"
    raise FrameError(code, f"{_TABLES[encoding]}.2", expected=wanted, received=text)


def _packet(numbers: bytes, encoding: Encoding, dialect: Dialect) -> tuple[int, int]:
    clause = f"{_TABLES[encoding]}.3"
    if encoding is Encoding.BINARY:
        both = int.from_bytes(numbers, "big")
        total, number = both >> 12, both & _LENGTH_BITS
    else:
        try:
            total, number = int(numbers[:3], dialect.packet_base), int(numbers[3:], dialect.packet_base)
        except ValueError:
            raise FrameError("packet", clause, received=numbers.decode("ascii", "replace"), total="?") from None
    if not 1 <= number <= total:
        raise FrameError("packet", clause, received=number, total=total)
    return total, number
