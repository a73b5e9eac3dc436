"""Serial ports and sockets towards meters: open, configure, read what is there, write. One thread owns one of them."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import serial
import serial.rs485

_READ_SIZE = 512
_CONNECT_TIMEOUT_S = 3.0
_LATE_BAUD = 19200  # Modbus over serial line V1.02, 2.5.1.1: above this rate the silence is fixed
_FIXED_SILENCE_S = 0.00175
_SILENT_CHARACTERS = 3.5
_PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
_DATA_BITS = 8
_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSettings:
    """How one meter is spoken to on a serial port: baud, parity (`none even odd`), stop bits, extra silence in s."""

    baud: int = 9600
    parity: str = "none"
    stop_bits: int = 1
    extra_silence_s: float = 0.0

    @property
    def character_s(self) -> float:
        """Duration of one character: start, eight data, parity and stop bits."""
        return (1 + _DATA_BITS + (self.parity != "none") + self.stop_bits) / self.baud

    @property
    def silence_s(self) -> float:
        """Silence between frames: 3.5 characters, 1.75 ms above 19 200 baud, and what the profile adds.

        Source: Modbus over serial line V1.02, 2.5.1.1.
        """
        standard = _FIXED_SILENCE_S if self.baud > _LATE_BAUD else _SILENT_CHARACTERS * self.character_s
        return standard + self.extra_silence_s


class LineDownError(Exception):
    """The port or the connection is away. `detail` says what the system said."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class LineHeldError(LineDownError):
    """Another process has the port; `holder` names it (pid and command)."""

    def __init__(self, detail: str, holder: str) -> None:
        super().__init__(detail)
        self.holder = holder


class Port(Protocol):
    """What a line needs of its port. Every method raises LineDownError when the port is away."""

    is_serial: bool

    def open(self) -> None:
        """Opens or connects, at most some seconds."""
        ...

    def close(self) -> None:
        """Lets go; safe to call twice."""
        ...

    def configure(self, wire: WireSettings) -> None:
        """Sets baud and parity where there are any."""
        ...

    def write(self, data: bytes) -> None:
        """Hands all of `data` to the system."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, waiting at most `timeout_s` for the first byte; b"" when nothing came."""
        ...


class SerialPort:
    """A serial device, opened exclusively."""

    is_serial = True

    def __init__(self, path: str, *, rs485: bool = False) -> None:
        self._path = path
        self._rs485 = rs485
        self._serial: serial.Serial | None = None
        self._fd = -1
        self._wire: WireSettings | None = None

    def open(self) -> None:
        """Opens with an exclusive lock. Raises LineHeldError naming who has it."""
        try:
            self._serial = serial.Serial(self._path, exclusive=True, timeout=0)
            if self._rs485:
                self._serial.rs485_mode = serial.rs485.RS485Settings()
        except (OSError, ValueError) as error:  # SerialException is an OSError; ValueError: the driver knows no RS-485
            self.close()
            holder = lock_holder(self._path)
            if holder and "lock" in str(error):
                raise LineHeldError(f"{self._path} is held by {holder}", holder) from error
            raise LineDownError(str(error)) from error
        self._fd = self._serial.fileno()
        self._wire = None
        try:
            self._serial.set_low_latency_mode(True)
        except (OSError, ValueError, NotImplementedError):
            return  # an adapter without that switch works as well, only later

    def close(self) -> None:
        """Lets go of the device and its lock."""
        if self._serial is not None:
            with contextlib.suppress(OSError):  # the device may have gone first
                self._serial.close()
            self._serial = None
            self._fd = -1

    def configure(self, wire: WireSettings) -> None:
        """Sets baud, parity and stop bits, each only when it differs."""
        if wire == self._wire or self._serial is None:
            return
        try:
            self._serial.baudrate = wire.baud
            self._serial.stopbits = wire.stop_bits
            self._serial.parity = _PARITIES[wire.parity]
        except (OSError, ValueError) as error:
            raise LineDownError(f"{self._path}: {error}") from error
        except termios.error as error:
            # A pseudo-terminal keeps no parity and says so; on a real UART it would be a lie to go on.
            if not os.ttyname(self._fd).startswith("/dev/pts/"):
                raise LineDownError(f"{self._path}: {error}") from error
        self._wire = wire

    def write(self, data: bytes) -> None:
        """Hands all of `data` to the kernel, which is done long before the last bit is on the wire."""
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise LineDownError(f"{self._path}: {error}") from error

    def read(self, timeout_s: float) -> bytes:
        """What has arrived. A vanished adapter shows as an error or as readable without data."""
        return _read(self._fd, timeout_s, self._path)


class TcpPort:
    """A connection to a Modbus TCP meter or to a serial device server."""

    is_serial = False

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._name = f"{host}:{port}"
        self._socket: socket.socket | None = None
        self._fd = -1

    def open(self) -> None:
        """Connects within 3 s."""
        try:
            connection = socket.create_connection(self._address, _CONNECT_TIMEOUT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.settimeout(_CONNECT_TIMEOUT_S)
        except OSError as error:
            raise LineDownError(f"{self._name}: {error}") from error
        self._socket = connection
        self._fd = connection.fileno()

    def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._fd = -1

    def configure(self, wire: WireSettings) -> None:
        """Nothing to set: the far end has the serial settings."""

    def write(self, data: bytes) -> None:
        """Sends all of `data`."""
        if self._socket is None:
            raise LineDownError(f"{self._name}: not connected")
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise LineDownError(f"{self._name}: {error}") from error

    def read(self, timeout_s: float) -> bytes:
        """What has arrived."""
        return _read(self._fd, timeout_s, self._name)


def _read(fd: int, timeout_s: float, name: str) -> bytes:
    try:
        readable, _, _ = select.select([fd], [], [], max(0.0, timeout_s))
        if not readable:
            return b""
        data = os.read(fd, _READ_SIZE)
    except (OSError, ValueError) as error:  # ValueError: the descriptor is closed
        if isinstance(error, OSError) and error.errno in {errno.EAGAIN, errno.EINTR}:
            return b""
        raise LineDownError(f"{name}: {error}") from error
    if not data:
        raise LineDownError(f"{name}: closed by the far end")
    return data


def lock_holder(path: str) -> str:
    """Who holds the file lock on `path`, as `pid 123 (command)`; empty when nobody does or it cannot be seen."""
    try:
        status = Path(path).stat()
        locks = _LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in locks:
        fields = line.split()
        if place in fields:
            pid = fields[fields.index(place) - 1]
            try:
                command = (
                    Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
            except OSError:
                command = "?"
            return f"pid {pid} ({command})"
    return ""
