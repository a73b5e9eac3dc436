"""Wrong answers of a CJ/T 188 meter, soundly wrapped."""

from __future__ import annotations

from drivers.cjt188_wire import ADDRESS_SIZE, ERROR, HEAD_SIZE, Frame, built, sound_frames

_OTHER_FUNCTION = {0x01: 0x03, 0x03: 0x01}  # read, read address
_FUNCTION = 0x1F
_MOST_DATA = 0x64  # bytes of DATA in a reply
_FLIPPED = 0x55


class Cjt188Envelope:
    """Wake-up bytes stay as they are; the frame behind them changes."""

    def spoilt(self, frame: bytes) -> bytes:
        """The frame with a wrong check sum."""
        return frame[:-2] + bytes([frame[-2] ^ _FLIPPED]) + frame[-1:]

    def refused(self, frame: bytes, code: int) -> bytes:
        """A refusal: serial number and two status bytes, the first of them `code`."""
        _, sound = _sound(frame)
        return _other(frame, control=sound.control | ERROR, data=sound.data[2:HEAD_SIZE] + bytes([code, 0]))

    def other_function(self, frame: bytes) -> bytes:
        """The same data as the answer to another function."""
        _, sound = _sound(frame)
        return _other(frame, control=sound.control & ~_FUNCTION | _OTHER_FUNCTION.get(sound.function, 0x01))

    def other_count(self, frame: bytes, more: int) -> bytes:
        """So many times two bytes more (zeros) at the end of the data, or fewer."""
        _, sound = _sound(frame)
        if sound.is_error:
            return frame
        size = min(max(0, len(sound.data) + 2 * more), _MOST_DATA)
        return _other(frame, data=sound.data[:size].ljust(size, b"\0"))

    def other_address(self, frame: bytes, address: int | None) -> bytes:
        """From an address that differs in its last two digits: the next number there, or `address`."""
        _, sound = _sound(frame)
        last = int(sound.address[-2:]) + 1 if address is None else address
        return _other(frame, address=sound.address[: 2 * ADDRESS_SIZE - 2] + f"{last % 100:02d}")


def _sound(frame: bytes) -> tuple[int, Frame]:
    """The meter's answer in `frame`, and where it begins."""
    return next(sound_frames(frame))


def _other(frame: bytes, *, address: str | None = None, control: int | None = None, data: bytes | None = None) -> bytes:
    at, sound = _sound(frame)
    changed = built(
        sound.meter_type,
        sound.address if address is None else address,
        sound.control if control is None else control,
        sound.data if data is None else data,
    )
    return frame[:at] + changed
