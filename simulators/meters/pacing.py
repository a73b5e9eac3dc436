"""When a byte is on a serial wire, and when its receiver gets to see it. Pure arithmetic on monotonic seconds.

Every moment follows from the first one by multiplication, never by adding up waits: a paced line does not drift.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor

SILENCE_CHARACTERS = 3.5  # Modbus over serial line V1.02, 2.5.1.1: t3.5 between frames
FAST_BAUD = 19200  # the same: above this rate the silence is fixed
FAST_SILENCE_S = 0.00175
USB_PACKET_BYTES = 62  # FTDI AN232B-04: a 64-byte packet carries 2 bytes of status
_START_AND_DATA_BITS = 9  # one start bit, eight data bits


def character_s(baud: int, parity: str, stop_bits: int) -> float:
    """Seconds one character takes. `parity` is `none`, `even` or `odd`."""
    return (_START_AND_DATA_BITS + (parity != "none") + stop_bits) / baud


def silence_s(baud: int, one_character_s: float) -> float:
    """Seconds of silence that separate two frames."""
    return FAST_SILENCE_S if baud > FAST_BAUD else SILENCE_CHARACTERS * one_character_s


@dataclass(frozen=True, slots=True)
class Delivery:
    """Bytes that the receiver gets at monotonic second `at`."""

    at: float
    data: bytes


class PlainReceiver:
    """A receiver that sees each byte when its last bit has passed."""

    def deliveries(self, start: float, one_character_s: float, data: bytes) -> Iterator[Delivery]:
        """The deliveries of `data` whose first bit is on the wire at `start`."""
        for number in range(len(data)):
            yield Delivery(start + (number + 1) * one_character_s, data[number : number + 1])


class UsbReceiver:
    """A USB adapter with a latency timer: it hands over what has arrived at each tick, and when a packet is full.

    The timer runs freely and starts again with each full packet, as an FTDI chip's does.
    """

    def __init__(self, timer_s: float, *, phase: float = 0.0) -> None:
        self._timer_s = timer_s
        self._phase = phase

    def deliveries(self, start: float, one_character_s: float, data: bytes) -> Iterator[Delivery]:
        """The deliveries of `data` whose first bit is on the wire at `start`; calls must come in time order."""
        waiting = bytearray()
        tick = self._tick_after(start)
        for number in range(len(data)):
            at = start + (number + 1) * one_character_s
            if at > tick:
                if waiting:
                    yield Delivery(tick, bytes(waiting))
                    waiting.clear()
                tick = self._tick_after(at)
            waiting.append(data[number])
            if len(waiting) == USB_PACKET_BYTES:
                yield Delivery(at, bytes(waiting))
                waiting.clear()
                self._phase, tick = at, at + self._timer_s
        if waiting:
            yield Delivery(tick, bytes(waiting))

    def _tick_after(self, at: float) -> float:
        return self._phase + (floor((at - self._phase) / self._timer_s) + 1) * self._timer_s
