"""Wrong answers of a DL/T 645 meter, soundly wrapped."""

from __future__ import annotations

from drivers.dlt645_wire import ERROR, REPLY, Candidate, found, frame_bytes

_OTHER_FUNCTION = {0x11: 0x12, 0x12: 0x11, 0x01: 0x02, 0x02: 0x01, 0x13: 0x11}
_FUNCTION = 0x1F
_MOST_DATA = 200
_FLIPPED = 0x55


class Dlt645Envelope:
    """Wake-up bytes stay as they are; the frame behind them changes."""

    def spoilt(self, frame: bytes) -> bytes:
        """The frame with a wrong check sum."""
        return frame[:-2] + bytes([frame[-2] ^ _FLIPPED]) + frame[-1:]

    def refused(self, frame: bytes, code: int) -> bytes:
        """A refusal with this ERR byte."""
        return _other(frame, control=_sound(frame).raw[8] | ERROR, data=bytes([code]))

    def other_function(self, frame: bytes) -> bytes:
        """The same data as the answer to another function."""
        control = _sound(frame).raw[8]
        return _other(frame, control=control & ~_FUNCTION | _OTHER_FUNCTION.get(control & _FUNCTION, 0x11))

    def other_count(self, frame: bytes, more: int) -> bytes:
        """So many times two bytes more (zeros) at the end of the data, or fewer."""
        sound = _sound(frame)
        if sound.raw[8] & ERROR:
            return frame
        size = min(max(0, len(sound.data) + 2 * more), _MOST_DATA)
        return _other(frame, data=sound.data[:size].ljust(size, b"\0"))

    def other_address(self, frame: bytes, address: int | None) -> bytes:
        """From an address that differs in its last two digits: the next number there, or `address`."""
        sound = _sound(frame)
        last = int(sound.address[:1].hex()) + 1 if address is None else address
        return _other(frame, address=bytes.fromhex(f"{last % 100:02d}") + sound.address[1:])


def _sound(frame: bytes) -> Candidate:
    sound = found(frame)
    assert sound is not None, "the driver answers soundly"
    assert sound.raw[8] & REPLY
    return sound


def _other(
    frame: bytes, *, address: bytes | None = None, control: int | None = None, data: bytes | None = None
) -> bytes:
    sound = _sound(frame)
    changed = frame_bytes(
        sound.address if address is None else address,
        sound.raw[8] if control is None else control,
        sound.data if data is None else data,
    )
    return frame[: sound.at] + changed
