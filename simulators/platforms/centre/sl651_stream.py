"""Frames of one station's stream, and a name for what is wrong with the bytes that are none. Pure.

Strategy: the codec's receiver finds the frames; the bytes of the last turn are kept beside it. Bytes that belonged to
no frame are named as precisely as they allow: a length that does not fit a check sum that does, the rule that the first
candidate breaks, a frame that stopped, and only then noise.
"""

from __future__ import annotations

from agent.uplinks.sl651_wire.codes import Dialect, FrameError
from agent.uplinks.sl651_wire.frame import Frame, size_at
from agent.uplinks.sl651_wire.receiver import Receiver, first_frame
from drivers.octets import crc16_register
from simulators.platforms.centre.contract import Wrong

_BINARY, _ASCII = b"\x7e\x7e", b"\x01"
_BINARY_REST, _ASCII_REST = 17, 29  # bytes of a frame besides its body
_BINARY_CRC, _ASCII_CRC = 2, 4
_LENGTH_BITS = 0x0FFF
_NOT_HEX = "sl651_not_hex"
_UNNAMED = frozenset({"sl651_no_start", "sl651_incomplete"})
_ANONYMOUS = ""  # whoever finds it says which station


def sent_as(frame: Frame, raw: bytes, dialect: Dialect) -> bytes:
    """The bytes of a frame as they stood in `raw`: an ASCII frame may have been sent in lower case."""
    encoded = frame.encode(dialect)
    if encoded in raw or encoded[:1] != _ASCII:
        return encoded
    at = raw.upper().find(encoded[:-_ASCII_CRC].upper())
    return raw[at : at + len(encoded)] if at >= 0 else encoded


class Stream:
    """One direction of one connection. `raw` are the bytes of the last turn, with those that waited before it."""

    def __init__(self, dialect: Dialect) -> None:
        self.raw = b""
        self._dialect = dialect
        self._receiver = Receiver(dialect=dialect)
        self._skipped = 0
        self._broken = 0

    @property
    def waiting(self) -> int:
        """Bytes that may be the beginning of a frame."""
        return self._receiver.waiting

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole with `data`."""
        self.raw = self._rest() + data
        return self._receiver.feed(data)

    def idle(self) -> list[Frame]:
        """Nothing more comes: what waits is given up; the frames that stand behind its beginning."""
        self.raw = self._rest()
        found = self._receiver.idle()
        self._skipped, self._broken = self._receiver.skipped, self._receiver.broken
        return found

    def trouble(self) -> Wrong | None:
        """What is wrong with the bytes since the last look; None where all were frames."""
        is_broken = self._receiver.broken > self._broken
        is_skipped = self._receiver.skipped > self._skipped
        self._skipped, self._broken = self._receiver.skipped, self._receiver.broken
        if not (is_broken or is_skipped):
            return None
        wrong_length = _wrong_length(self.raw)
        if wrong_length is not None:
            return wrong_length
        error = self._receiver.last_error if is_broken else self._first_error()
        if error is None:
            return Wrong(station=_ANONYMOUS, code="noise", clause="6.2.2", data=self.raw)
        clause = str(error.arguments["clause"])
        return Wrong(station=_ANONYMOUS, code=error.code, clause=clause, arguments=error.arguments, data=self.raw)

    def unfinished(self) -> Wrong:
        """What is said of the bytes that wait for a rest which does not come."""
        rest = self._rest()
        arguments = {"size": len(rest), "expected": size_at(rest, 0)}
        stopped = Wrong(
            station=_ANONYMOUS, code="unfinished", clause="sheet §3.4", arguments=arguments, is_failed=False, data=rest
        )
        return _wrong_length(rest) or stopped

    def _rest(self) -> bytes:
        return self.raw[len(self.raw) - self._receiver.waiting :]

    def _first_error(self) -> FrameError | None:
        """Why the first candidate is none, where there is a candidate."""
        try:
            first_frame(self.raw, dialect=self._dialect)
        except FrameError as error:
            is_other = error.code == _NOT_HEX and not self.raw.startswith(_ASCII)  # a 01 somewhere in other bytes
            return None if is_other or error.code in _UNNAMED else error
        return None


def _wrong_length(raw: bytes) -> Wrong | None:
    """A LEN that does not fit, where start, check sum and all else do: the bytes are one frame of another length."""
    if raw.startswith(_BINARY) and len(raw) > _BINARY_REST:
        said, real = int.from_bytes(raw[11:13], "big") & _LENGTH_BITS, len(raw) - _BINARY_REST
        received = raw[-_BINARY_CRC:].hex().upper()
        covered = raw[:-_BINARY_CRC]
    elif (
        raw.startswith(_ASCII)
        and len(raw) > _ASCII_REST
        and all(each in b"0123456789ABCDEFabcdef" for each in raw[19:23])
    ):
        said, real = int(raw[19:23], 16) & _LENGTH_BITS, len(raw) - _ASCII_REST
        received = raw[-_ASCII_CRC:].decode("ascii", "replace").upper()
        covered = raw[:-_ASCII_CRC]
    else:
        return None
    if said == real or f"{crc16_register(covered):04X}" != received:
        return None
    return Wrong(
        station=_ANONYMOUS,
        code="wrong_length",
        clause="6.5.2" if raw.startswith(_BINARY) else "6.4.2",
        arguments={"received": said, "expected": real},
        data=raw,
    )
