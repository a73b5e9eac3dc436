"""One Modbus frame taken apart for a person: its fields, or precisely what is wrong with it. Pure.

Strategy: the framing is checked first (check sum, or the header of Modbus TCP), then the body. Which side sent a frame
follows from its length and byte count; where both sides' rules fit, the caller must say. A frame whose check sum is
wrong is looked at again for what usually causes it: two bytes exchanged, bytes before or after, an end cut off.

Source: MODBUS Application Protocol Specification V1.1b3, section 6; MODBUS over Serial Line V1.02, 2.5.1;
MODBUS Messaging on TCP/IP V1.0b, 3.1.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from drivers.octets import crc16, has_sound_crc

_RTU_LEAST, _RTU_MOST = 4, 256  # Serial Line V1.02, 2.3: address, PDU of 1 to 253 bytes, two bytes of CRC
_TCP_LEAST, _TCP_MOST = 8, 260  # Messaging on TCP/IP V1.0b, 3.1.2: header of 7 bytes, PDU of 1 to 253 bytes
_TCP_HEADER = 7
_EXCEPTION_BIT = 0x80  # V1.1b3, 7: the function of an exception has its highest bit set
_ADDRESSES = 0x10000  # V1.1b3, 4.4: registers and coils are numbered from 0 to 65535
_NOISE_MOST = 8  # more bytes than that before a frame are not noise but another frame

_READ_BITS = frozenset({1, 2})
_READ_REGISTERS = frozenset({3, 4})
_WRITE_ONE = frozenset({5, 6})
_WRITE_MANY = frozenset({15, 16})
_WRITE_COIL, _WRITE_COILS = 5, 15
_COUNT_MOST = {1: 2000, 2: 2000, 3: 125, 4: 125, 15: 1968, 16: 123}  # V1.1b3, 6.1, 6.2, 6.3, 6.4, 6.11, 6.12
_COIL_VALUES = frozenset({b"\x00\x00", b"\xff\x00"})  # V1.1b3, 6.5


class Direction(StrEnum):
    """Which side sent the frame."""

    REQUEST = "request"
    REPLY = "reply"


class FrameError(Exception):
    """What is wrong with the frame: `code` names the sentence `frame.wrong.CODE` in locale/, `arguments` fill it."""

    def __init__(self, code: str, **arguments: str | int) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


class DirectionNeeded(Exception):
    """The frame is sound as a request and as a reply; only the caller knows which it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The fields of a sound frame; None where this kind of frame has no such field.

    `register` counts from 0; `count` is registers or coils; `data` are the carried bytes; `function` is without the
    exception bit; `direction` is None where request and reply are the same bytes (functions 5 and 6).
    """

    address: int
    function: int
    direction: Direction | None = None
    register: int | None = None
    count: int | None = None
    data: bytes | None = None
    exception: int | None = None
    crc: bytes | None = None
    transaction: int | None = None


def decode_rtu(frame: bytes, direction: Direction | None = None) -> Frame:
    """The fields of an RTU frame. Raises FrameError, or DirectionNeeded where `direction` is needed and None."""
    _check_size(frame, _RTU_LEAST, _RTU_MOST)
    if not has_sound_crc(frame):
        raise _why_unsound(frame)
    return replace(_decode_body(frame[0], frame[1:-2], direction), crc=frame[-2:])


def decode_tcp(frame: bytes, direction: Direction | None = None) -> Frame:
    """The fields of a Modbus TCP frame. Raises FrameError, or DirectionNeeded as `decode_rtu` does."""
    looks_like_rtu = len(frame) >= _RTU_LEAST and has_sound_crc(frame)
    if looks_like_rtu and (len(frame) <= _TCP_LEAST or int.from_bytes(frame[4:6], "big") != len(frame) - 6):
        raise FrameError("looks_like_rtu")
    _check_size(frame, _TCP_LEAST, _TCP_MOST)
    protocol, length = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
    if protocol != 0:
        raise FrameError("protocol", received=protocol)
    if length != len(frame) - 6:
        raise FrameError("length_field", received=length, expected=len(frame) - 6)
    return replace(_decode_body(frame[6], frame[_TCP_HEADER:], direction), transaction=int.from_bytes(frame[:2], "big"))


def rtu_size(frame: bytes) -> int | None:
    """The length an RTU reply announces by its function and byte count; None where it announces none."""
    function = frame[1]
    if function & _EXCEPTION_BIT:
        return 5
    if function in _READ_BITS | _READ_REGISTERS and len(frame) > 2:  # noqa: PLR2004 - address, function, byte count
        return frame[2] + 5
    return 8 if function in _WRITE_ONE | _WRITE_MANY else None


def _check_size(frame: bytes, least: int, most: int) -> None:
    if len(frame) < least:
        raise FrameError("too_short", size=len(frame), least=least)
    if len(frame) > most:
        raise FrameError("too_long", size=len(frame), most=most)


def _why_unsound(frame: bytes) -> FrameError:
    """The likeliest reason for a wrong check sum, the surest first."""
    expected, received = crc16(frame[:-2]), frame[-2:]
    if received == expected[::-1]:
        return FrameError("checksum_swapped", expected=_hex(expected), received=_hex(received))
    if _is_sound_tcp(frame):
        return FrameError("looks_like_tcp")
    for size in range(len(frame) - 1, _RTU_LEAST, -1):
        if has_sound_crc(frame[:size]):
            return FrameError("bytes_after", size=size, extra=len(frame) - size, rest=_hex(frame[size:]))
    for extra in range(1, min(_NOISE_MOST, len(frame) - _RTU_LEAST) + 1):
        if has_sound_crc(frame[extra:]):
            return FrameError("bytes_before", extra=extra, rest=_hex(frame[:extra]))
    announced = rtu_size(frame)
    if announced is not None and announced > len(frame) and len(frame) != 8:  # noqa: PLR2004 - eight bytes are a request
        return FrameError("cut", size=len(frame), expected=announced)
    return FrameError("checksum", expected=_hex(expected), received=_hex(received))


def _is_sound_tcp(frame: bytes) -> bool:
    if len(frame) <= _TCP_LEAST:  # shorter than any real message: every RTU read of two registers from 0 would fit
        return False
    try:
        decode_tcp(frame)
    except (FrameError, DirectionNeeded) as doubt:
        return isinstance(doubt, DirectionNeeded)
    return True


def _decode_body(address: int, pdu: bytes, direction: Direction | None) -> Frame:
    function, body = pdu[0], pdu[1:]
    if function & _EXCEPTION_BIT:
        return _decode_exception(address, function, body, direction)
    if function in _READ_BITS | _READ_REGISTERS:
        return _decode_read(address, function, body, direction)
    if function in _WRITE_ONE:
        _expect_size(body, 4)
        if function == _WRITE_COIL and body[2:] not in _COIL_VALUES:
            raise FrameError("coil_value", received=_hex(body[2:]))
        return Frame(address=address, function=function, direction=direction, register=_number(body, 0), data=body[2:])
    if function in _WRITE_MANY:
        return _decode_write(address, function, body, direction)
    if function == 0:
        raise FrameError("function_zero")
    return Frame(address=address, function=function, direction=direction, data=body)


def _decode_exception(address: int, function: int, body: bytes, direction: Direction | None) -> Frame:
    if direction is Direction.REQUEST:
        raise FrameError("request_exception", function=function)
    _expect_size(body, 1)
    return Frame(address=address, function=function & ~_EXCEPTION_BIT, direction=Direction.REPLY, exception=body[0])


def _decode_read(address: int, function: int, body: bytes, direction: Direction | None) -> Frame:
    if direction is None:
        direction = _read_direction(function, body)
    if direction is Direction.REQUEST:
        _expect_size(body, 4)
        register, count = _area(function, body)
        return Frame(address=address, function=function, direction=direction, register=register, count=count)
    if not body or body[0] != len(body) - 1:
        raise FrameError("byte_count", received=body[0] if body else 0, actual=max(0, len(body) - 1))
    if function in _READ_REGISTERS and body[0] % 2:
        raise FrameError("odd_bytes", received=body[0])
    words = body[0] // 2 if function in _READ_REGISTERS else None  # of coils only whole bytes are announced
    return Frame(address=address, function=function, direction=direction, count=words, data=body[1:])


def _read_direction(function: int, body: bytes) -> Direction:
    """The side that a read of this length comes from. Raises DirectionNeeded where both fit."""
    is_reply = bool(body) and body[0] == len(body) - 1 and not (function in _READ_REGISTERS and body[0] % 2)
    if len(body) != 4:  # noqa: PLR2004 - register and count
        return Direction.REPLY
    is_request = 1 <= _number(body, 2) <= _COUNT_MOST[function]
    if is_request and is_reply:
        raise DirectionNeeded
    return Direction.REPLY if is_reply else Direction.REQUEST


def _decode_write(address: int, function: int, body: bytes, direction: Direction | None) -> Frame:
    if direction is None:
        direction = Direction.REPLY if len(body) == 4 else Direction.REQUEST  # noqa: PLR2004 - register and count
    if direction is Direction.REPLY:
        _expect_size(body, 4)
        register, count = _area(function, body)
        return Frame(address=address, function=function, direction=direction, register=register, count=count)
    if len(body) < 6:  # noqa: PLR2004 - register, count, byte count, and at least one byte
        raise FrameError("body_size", expected=6, received=len(body))
    register, count = _area(function, body)
    carried = (count + 7) // 8 if function == _WRITE_COILS else 2 * count
    if not body[4] == carried == len(body) - 5:
        raise FrameError("write_size", count=count, expected=carried, received=body[4], actual=len(body) - 5)
    return Frame(address=address, function=function, direction=direction, register=register, count=count, data=body[5:])


def _area(function: int, body: bytes) -> tuple[int, int]:
    """Register and count. Raises FrameError where the standard forbids them."""
    register, count = _number(body, 0), _number(body, 2)
    if not 1 <= count <= _COUNT_MOST[function]:
        raise FrameError("count_range", count=count, most=_COUNT_MOST[function])
    if register + count > _ADDRESSES:
        raise FrameError("beyond_end", register=register, count=count)
    return register, count


def _expect_size(body: bytes, expected: int) -> None:
    if len(body) != expected:
        raise FrameError("body_size", expected=expected, received=len(body))


def _number(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 2], "big")


def _hex(data: bytes) -> str:
    return data.hex(" ").upper()
