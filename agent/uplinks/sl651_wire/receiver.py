"""Frames out of a byte stream: feed what arrived, get what is whole. Pure.

Strategy: the head of the buffer is always a place where a frame may begin. Not whole yet: wait. Broken: drop one byte,
not the frame, and look for the next start, so that a wrong length or a false start never swallows what stands behind
it. The buffer never holds more than one frame's worth. The check sum of a candidate costs the same however long the
candidate is (`crc.py`), so a hostile stream costs time in proportion to its bytes.

A false start with a great length delays the sound frames behind it until enough bytes have come. The connection's
owner cures that with `idle()` when nothing has come for a while: what waits then is no frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from agent.uplinks.sl651_wire.codes import STANDARD, Dialect, Encoding, FrameError
from agent.uplinks.sl651_wire.crc import RunningCrc
from agent.uplinks.sl651_wire.frame import LONGEST, Frame, encoding_at, frame_at, next_start, size_at

EITHER: Final = (Encoding.BINARY, Encoding.ASCII)
_CLAUSES: Final = {Encoding.BINARY: "6.5.2", Encoding.ASCII: "6.4.2"}  # the tables of a frame's bytes
_SLICE = 4096  # bytes taken at once, so that the buffer stays small whatever is fed


class Receiver:
    """One direction of one connection.

    `encodings`: those that are looked for, one or `EITHER`. `longest`: LEN above it is refused, 1…4095.
    """

    def __init__(
        self, *, encodings: tuple[Encoding, ...] = EITHER, longest: int = LONGEST, dialect: Dialect = STANDARD
    ) -> None:
        self.skipped = 0  # bytes that belonged to no frame
        self.broken = 0  # candidates whose end character or check sum was wrong
        self.last_error: FrameError | None = None  # what the latest of them broke
        self._encodings = encodings
        self._longest = longest
        self._dialect = dialect
        self._buffer = bytearray()
        self._crc = RunningCrc()

    @property
    def waiting(self) -> int:
        """Bytes that may be the beginning of a frame; at most one frame's worth."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole with `data`, in the order they came."""
        found: list[Frame] = []
        for at in range(0, len(data), _SLICE):
            part = data[at : at + _SLICE]
            self._buffer += part
            self._crc.extend(part)
            found += [frame for _, frame in self._taken()]
        return found

    def idle(self) -> list[Frame]:
        """Nothing has come for long: what waits is given up, and what stands whole behind it is returned."""
        found: list[Frame] = []
        while self._buffer:
            self._drop(1)
            self.skipped += 1
            found += [frame for _, frame in self._taken()]
        return found

    def _taken(self) -> Iterator[tuple[int, Frame]]:
        """Whole frames with their offsets; afterwards the buffer begins where a frame may."""
        at = 0
        while (start := next_start(self._buffer, at, self._encodings)) < len(self._buffer):
            self.skipped += start - at
            at = start
            try:
                frame = frame_at(self._buffer, at, longest=self._longest, crc_of=self._crc.of, dialect=self._dialect)
            except FrameError as error:
                self._note(error)
                at += 1
                self.skipped += 1
                continue
            if frame is None:
                self._drop(at)
                return
            yield at, frame
            at += size_at(self._buffer, at)
        self.skipped += len(self._buffer) - at
        self._drop(len(self._buffer))

    def _note(self, error: FrameError) -> None:
        if error.code in {"sl651_end", "sl651_crc", "sl651_crc_order", "sl651_packet"}:
            self.broken += 1
            self.last_error = error

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._crc.drop(count)


def first_frame(data: bytes, *, dialect: Dialect = STANDARD) -> tuple[int, Frame]:
    """The first sound frame in `data` and where it begins.

    Raises:
        FrameError: there is none; says what the first candidate lacks.
    """
    crc = RunningCrc()
    crc.extend(data)
    first: FrameError | None = None
    at = -1
    while (at := next_start(data, at + 1, EITHER)) < len(data):
        try:
            frame = frame_at(data, at, crc_of=crc.of, dialect=dialect)
        except FrameError as error:
            first = first or error
            continue
        if frame is not None:
            return at, frame
        clause = _CLAUSES[encoding_at(data, at)]
        first = first or FrameError("incomplete", clause, size=len(data) - at, expected=size_at(data, at))
    raise first or FrameError("no_start", "6.2.2", size=len(data))


def only_frame(data: bytes, *, dialect: Dialect = STANDARD) -> Frame:
    """The sound frame that the whole of `data` is.

    Raises:
        FrameError: there is none, or further bytes stand before or behind it.
    """
    before, frame = first_frame(data, dialect=dialect)
    size = size_at(data, before)
    if size != len(data):
        after = len(data) - before - size
        raise FrameError("around", _CLAUSES[frame.encoding], size=size, before=before, after=after)
    return frame
