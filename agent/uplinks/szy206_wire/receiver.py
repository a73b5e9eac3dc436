"""Frames out of a stream of bytes: bounded, and in step again after anything. Sans-I/O, pure.

Strategy: at a start byte, wait until the announced frame is there, check its end and check byte, take it whole; on
failure drop one byte and look for the next start. An image frame, whose L does not count bytes, is waited for as its
own block length says, so that nothing inside it is taken for a frame. Each candidate costs the same few steps,
whatever its size (see `crc`), so that hostile bytes cost no more than good ones. A damaged length can
announce bytes that never come: after a silence the owner calls `give_up`.
"""

from __future__ import annotations

from typing import Final

from agent.uplinks.szy206_wire import crc
from agent.uplinks.szy206_wire.frame import (
    END,
    HEAD,
    MOST_FRAME,
    START,
    TAIL,
    Frame,
    image_size,
    least_user_data,
    taken_apart,
)

_IMAGE_HEAD = 16  # as much as tells an image frame
_WAIT: Final = -1


class Receiver:
    """Collects bytes and gives frames. Holds at most one frame's bytes (64 kB for an image, else 260) between calls.

    `images`: whether image frames are expected; a station, which only sends them, needs none and waits for less.
    `dropped` counts the bytes that belonged to no frame.
    """

    def __init__(self, *, images: bool = True) -> None:
        self.dropped = 0
        self._images = images
        self._bytes = bytearray()
        self._running = bytearray(1)  # one longer than _bytes

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete; at most `MOST_FRAME`."""
        return len(self._bytes)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in order."""
        frames: list[Frame] = []
        for at in range(0, len(data), MOST_FRAME):
            chunk = data[at : at + MOST_FRAME]
            self._bytes += chunk
            crc.run_on(self._running, chunk)
            self._take(frames)
        return frames

    def give_up(self) -> list[Frame]:
        """The rest will not come: drops the frame that began, and gives those that stand whole behind its start."""
        frames: list[Frame] = []
        while self._bytes:
            self._drop(1, wasted=1)
            self._take(frames)
        return frames

    def _take(self, frames: list[Frame]) -> None:
        data = self._bytes
        at = 0
        while True:
            found = data.find(START, at)
            if found < 0:
                found = len(data)
            self.dropped += found - at
            at = found
            size, is_image = self._size(at)
            if size == _WAIT:
                break
            if size:
                frames.append(taken_apart(bytes(data[at : at + size]), is_image=is_image))
                at += size
            else:
                self.dropped += 1
                at += 1
        self._drop(at, wasted=0)

    def _size(self, at: int) -> tuple[int, bool]:
        """Size of the sound frame at `at` and whether it is an image; 0 where there is none, _WAIT to wait for more."""
        data = self._bytes
        held = len(data) - at
        if held <= HEAD:
            return (_WAIT, False) if held < HEAD or data[at + 2] == START else (0, False)
        if data[at + 2] != START:
            return 0, False
        length = data[at + 1]
        size = HEAD + length + TAIL
        if length >= least_user_data(data[at + HEAD]):
            if held < size:
                return _WAIT, False
            if self._is_sound(at, size):
                return size, False
        if not self._images:
            return 0, False
        return self._image(at, held)

    def _image(self, at: int, held: int) -> tuple[int, bool]:
        head = bytes(self._bytes[at : at + _IMAGE_HEAD])
        if held < _IMAGE_HEAD - 1 and head[HEAD] & 0x80 and head[1] <= MOST_FRAME >> 10:
            return _WAIT, False
        size = image_size(head)
        if size is None:
            return 0, False
        if held < size:
            return _WAIT, False
        return (size, True) if self._is_sound(at, size) else (0, False)

    def _is_sound(self, at: int, size: int) -> bool:
        data, end = self._bytes, at + size
        return data[end - 1] == END and data[end - TAIL] == crc.crc8_between(self._running, at + HEAD, end - TAIL)

    def _drop(self, count: int, *, wasted: int) -> None:
        self.dropped += wasted
        del self._bytes[:count]
        del self._running[:count]
