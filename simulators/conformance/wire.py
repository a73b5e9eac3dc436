"""A port with exact moments: a transmission begins when it is told to, and every piece heard has its time.

Moments are monotonic seconds. A request is given to the system at once; on a serial line its last bit has passed
(bytes x character time) later at the earliest. What a buffer or a scheduler adds makes an answer look later, never
earlier: whoever looks too early is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import termios
import time
from typing import Protocol

import serial

from simulators.meters.pacing import character_s, silence_s

_READ_BYTES = 4096
_SPIN_S = 0.0004  # a sleeping process may wake up so late
_CONNECT_S = 3.0
_PR_SET_TIMERSLACK = 29  # prctl(2)
_TIMER_SLACK_NS = 1000
_PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


class WireError(OSError):
    """The port cannot be had, or went away."""


class Wire(Protocol):
    """What the tests need of a port. Every method raises WireError when it is away."""

    character_s: float
    silence_s: float

    def send(self, data: bytes, at_s: float) -> float:
        """Begins to send `data` at `at_s`, or at once when that has passed; the moment it began."""
        ...

    def read(self, until_s: float) -> bytes:
        """What has arrived, at the latest at `until_s`; b"" when nothing came till then."""
        ...

    def renew(self) -> None:
        """A new connection where there is such a thing."""
        ...

    def close(self) -> None:
        """Lets go of the port."""
        ...


def be_punctual() -> None:
    """Lets this thread wake up within microseconds of the moment it asked for."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS, 0, 0, 0)


def wait_until(at_s: float) -> None:
    """Sleeps, and spins over the last moment."""
    left_s = at_s - time.monotonic()
    if left_s > _SPIN_S:
        time.sleep(left_s - _SPIN_S)
    while time.monotonic() < at_s:
        pass


class SerialWire:
    """A serial port, opened exclusively. `extra_silence_s` is what the profile adds to the standard's silence.

    Raises:
        WireError: there is no such port, or another program has it.
    """

    def __init__(self, path: str, *, baud: int, parity: str, stop_bits: int, extra_silence_s: float = 0.0) -> None:
        self.character_s = character_s(baud, parity, stop_bits)
        self.silence_s = silence_s(baud, self.character_s) + extra_silence_s
        try:
            self._port = serial.Serial(path, baudrate=baud, stopbits=stop_bits, exclusive=True, timeout=0)
        except (OSError, ValueError) as error:
            raise WireError(str(error)) from error
        self._fd = self._port.fileno()
        try:
            self._port.parity = _PARITIES[parity]
        except (OSError, ValueError, termios.error) as error:
            # A pseudo-terminal keeps no parity and says so; on a real UART it would be a lie to go on.
            if not os.ttyname(self._fd).startswith("/dev/pts/"):
                self.close()
                raise WireError(f"{path}: {error}") from error
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            self._port.set_low_latency_mode(True)  # an adapter without that switch works as well, only later

    def send(self, data: bytes, at_s: float) -> float:
        """Begins to send at `at_s`; the moment it began."""
        wait_until(at_s)
        began_s = time.monotonic()
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise WireError(str(error)) from error
        return began_s

    def read(self, until_s: float) -> bytes:
        """What has arrived, at the latest at `until_s`."""
        return _read(self._fd, until_s)

    def renew(self) -> None:
        """A port has no connections."""

    def close(self) -> None:
        """Lets go of the port."""
        with contextlib.suppress(OSError):
            self._port.close()


class TcpWire:
    """A connection to a Modbus TCP meter, or to a serial server before one.

    Raises:
        WireError: nothing accepts a connection there.
    """

    character_s = 0.0
    silence_s = 0.0

    def __init__(self, host: str, port: int, *, extra_silence_s: float = 0.0) -> None:
        self.silence_s = extra_silence_s
        self._address = (host, port)
        self._connect()

    def _connect(self) -> None:
        try:
            self._socket = socket.create_connection(self._address, _CONNECT_S)
        except OSError as error:
            raise WireError(f"{self._address[0]}:{self._address[1]}: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes, at_s: float) -> float:
        """Begins to send at `at_s`; the moment it began."""
        wait_until(at_s)
        began_s = time.monotonic()
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise WireError(str(error)) from error
        return began_s

    def read(self, until_s: float) -> bytes:
        """What has arrived, at the latest at `until_s`. Raises WireError when the far end has hung up."""
        return _read(self._socket.fileno(), until_s)

    def renew(self) -> None:
        """Hangs up and connects again."""
        self.close()
        self._connect()

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()


def _read(fd: int, until_s: float) -> bytes:
    try:
        if not select.select([fd], [], [], max(0.0, until_s - time.monotonic()))[0]:
            return b""
        data = os.read(fd, _READ_BYTES)
    except (OSError, ValueError) as error:
        raise WireError(str(error)) from error
    if not data:
        raise WireError("closed by the far end")
    return data
