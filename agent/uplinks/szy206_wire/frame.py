"""One SZY206 frame: 68 L 68, user data, check byte, 16. Pure.

L counts user data, except in image frames (61H and 83H from the station), where it counts KiB of image data. Such a
frame is recognised by its end and check byte at the distance that its own block length announces, and not at L + 5.

Source: SZY206 / SL/T 427-2021, frame format; control field; address field.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from agent.uplinks.szy206_wire.crc import crc8
from agent.uplinks.szy206_wire.names import IMAGES, ContentError, FrameError

START: Final = 0x68
END: Final = 0x16
HEAD: Final = 3  # 68 L 68
TAIL: Final = 2  # CS 16
ADDRESS: Final = 5
FIRST_FCB: Final = 3  # a new exchange begins with it
MOST_USER_DATA: Final = 255
_LEAST = 1 + ADDRESS + 1  # C, A, AFN
_UP, _SPLIT = 0x80, 0x40  # control byte: DIR, DIV
_FCB_SHIFT, _FUNCTION = 4, 0x0F
_KIB = 1024
_BLOCK_LENGTH = 2
MOST_FRAME: Final = HEAD + _LEAST + 1 + _BLOCK_LENGTH + 0xFFFF + TAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame. `body` is what stands between AFN and check byte: data, password, time tag.

    `func` is the type code 0...15, `address` the 5 bytes as sent, `fcb` 0...3; `divs` counts a split message down to 1
    and is None where the message is whole. `is_image`: L counts KiB.
    """

    is_up: bool
    func: int
    address: bytes
    afn: int
    body: bytes = b""
    fcb: int = FIRST_FCB
    divs: int | None = None
    is_image: bool = False

    @property
    def control(self) -> int:
        """The control byte."""
        division = 0 if self.divs is None else _SPLIT
        return (_UP if self.is_up else 0) | division | self.fcb << _FCB_SHIFT | self.func

    @property
    def user_data(self) -> bytes:
        """What the check byte covers."""
        divs = b"" if self.divs is None else bytes([self.divs])
        return bytes([self.control]) + divs + self.address + bytes([self.afn]) + self.body

    @property
    def length(self) -> int:
        """The byte L."""
        if self.is_image:
            return kib(self.block_length)
        return len(self.user_data)

    @property
    def block_length(self) -> int:
        """Bytes of image data that an image frame announces."""
        return int.from_bytes(self.body[:_BLOCK_LENGTH], "little")

    @property
    def check(self) -> int:
        """The check byte."""
        return crc8(self.user_data)

    def to_bytes(self) -> bytes:
        """The frame as sent. Raises ContentError for more user data than L can say, or a field that does not fit."""
        if len(self.address) != ADDRESS or not (0 <= self.fcb <= FIRST_FCB and 0 <= self.func <= _FUNCTION):
            raise ContentError(f"address {self.address.hex()}, FCB {self.fcb} or type {self.func} does not fit")
        if not self.is_image and len(self.user_data) > MOST_USER_DATA:
            raise ContentError(f"{len(self.user_data)} bytes of user data, a frame takes {MOST_USER_DATA}")
        if self.is_image and self.block_length != len(self.body) - _BLOCK_LENGTH:
            raise ContentError(f"a block of {self.block_length} bytes with {len(self.body) - _BLOCK_LENGTH}")
        data = self.user_data
        return bytes([START, self.length, START]) + data + bytes([crc8(data), END])

    def resent(self) -> Frame | None:
        """The same frame for the next try; None when the exchange has failed.

        Source: SZY206, FCB: counted down on each repeat; 0 is the end (three sends: 3, 2, 1).
        """
        return replace(self, fcb=self.fcb - 1) if self.fcb > 1 else None


def kib(size: int) -> int:
    """`size` bytes in whole KiB, begun ones included."""
    return -(-size // _KIB)


def image_size(head: bytes) -> int | None:
    """The size of the image frame that begins with `head`; None where it is none or `head` too short to say.

    At most 15 bytes are looked at. Start bytes are not checked.
    """
    if len(head) <= HEAD or not head[HEAD] & _UP:
        return None
    afn = HEAD + 1 + (1 if head[HEAD] & _SPLIT else 0) + ADDRESS
    if len(head) < afn + 1 + _BLOCK_LENGTH or head[afn] not in IMAGES:
        return None
    block = int.from_bytes(head[afn + 1 : afn + 1 + _BLOCK_LENGTH], "little")
    return afn + 1 + _BLOCK_LENGTH + block + TAIL if block and kib(block) == head[1] else None


def least_user_data(control: int) -> int:
    """Bytes of user data that a frame with this control byte has at least."""
    return _LEAST + (1 if control & _SPLIT else 0)


def taken_apart(data: bytes, *, is_image: bool) -> Frame:
    """The frame in `data`, whose start, size, check byte and end are known to be right."""
    control = data[HEAD]
    split = bool(control & _SPLIT)
    at = HEAD + 1 + (1 if split else 0)
    return Frame(
        is_up=bool(control & _UP),
        func=control & _FUNCTION,
        fcb=control >> _FCB_SHIFT & FIRST_FCB,
        divs=data[HEAD + 1] if split else None,
        address=data[at : at + ADDRESS],
        afn=data[at + ADDRESS],
        body=data[at + ADDRESS + 1 : -TAIL],
        is_image=is_image,
    )


def parse(data: bytes) -> Frame:
    """The frame that `data` is, whole and alone.

    Raises:
        FrameError: start, length, check byte or end are wrong; bytes are missing or too many.
    """
    if not data or data[0] != START:
        raise FrameError("start", received=data[:1].hex().upper())
    if len(data) < HEAD:
        raise FrameError("cut", size=len(data), expected=HEAD + _LEAST + TAIL)
    if data[2] != START:
        raise FrameError("second_start", received=f"{data[2]:02X}")
    length = data[1]
    size = length + HEAD + TAIL
    if len(data) != size or not _is_sound(data):
        image = image_size(data)
        if image == len(data) and _is_sound(data):
            return taken_apart(data, is_image=True)
    _check(data, size)
    return taken_apart(data, is_image=False)


def _is_sound(data: bytes) -> bool:
    return data[-1] == END and crc8(data[HEAD:-TAIL]) == data[-TAIL]


def _check(data: bytes, size: int) -> None:
    """Raises FrameError with what a frame of `size` bytes lacks, or an image frame where it can only be one."""
    length = data[1]
    least = least_user_data(data[HEAD]) if len(data) > HEAD else _LEAST
    image = image_size(data) if length < least or len(data) > size else None
    if length < least and image is None:
        raise FrameError("short", length=length, least=least)
    size = image or size
    if len(data) < size:
        raise FrameError("cut", size=len(data), expected=size)
    if len(data) > size:
        raise FrameError("length", size=len(data), expected=size, length=length)
    if data[-1] != END:
        raise FrameError("end", received=f"{data[-1]:02X}")
    expected = crc8(data[HEAD:-TAIL])
    if expected != data[-TAIL]:
        raise FrameError("checksum", expected=f"{expected:02X}", received=f"{data[-TAIL]:02X}")
