"""A small centre made from the fact sheets alone: sockets, frames by hand, answers as a test says. No product code."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType, TracebackType
from typing import Self

from tests.agent.uplinks.sl651_frames import witness
from tests.agent.uplinks.szy206_frames import check

Answers = Sequence["bytes | float | None"]
"""What goes back, in order: bytes, seconds to wait, None: the connection is closed."""


NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Sl651:
    """Frames of SL 651 as section 3 of the sheet lays them out."""

    @staticmethod
    def split(data: bytes) -> tuple[list[bytes], bytes]:
        """Whole uplink frames (17 + LEN bytes), and what is left."""
        found = []
        while len(data) >= 14:
            assert data[:2] == b"\x7e\x7e", data.hex()
            size = 17 + (int.from_bytes(data[11:13], "big") & 0xFFF)
            if len(data) < size:
                break
            assert int.from_bytes(data[size - 2 : size], "big") == witness(data[: size - 2])
            found.append(data[:size])
            data = data[size:]
        return found, data

    @staticmethod
    def down(like: bytes, payload: bytes, end: int, other: Mapping[str, bytes] = NOTHING, *, start: int = 2) -> bytes:
        """A down frame to the station that sent `like`: addresses swapped, its password and function, or `other`."""
        station, centre = other.get("station", like[3:8]), other.get("centre", like[2:3])
        password, function = other.get("password", like[8:10]), other.get("function", like[10:11])
        mark = (0x8000 | len(payload)).to_bytes(2, "big")
        data = b"\x7e\x7e" + station + centre + password + function + mark + bytes([start]) + payload + bytes([end])
        return data + witness(data).to_bytes(2, "big")

    @staticmethod
    def ack(
        like: bytes, *, end: int = 0x1B, serial: bytes | None = None, other: Mapping[str, bytes] = NOTHING
    ) -> bytes:
        """Section 9.1: the serial number of the report and the centre's time."""
        return Sl651.down(like, (serial or like[14:16]) + like[16:22], end, other)


class Szy206:
    """Frames of SZY206 as section 2 of the sheet lays them out."""

    @staticmethod
    def split(data: bytes) -> tuple[list[bytes], bytes]:
        """Whole frames (L + 5 bytes), and what is left."""
        found = []
        while len(data) >= 3:
            assert (data[0], data[2]) == (0x68, 0x68), data.hex()
            size = data[1] + 5
            if len(data) < size:
                break
            assert data[size - 2] == check(data[3 : size - 2])
            found.append(data[:size])
            data = data[size:]
        return found, data

    @staticmethod
    def down(
        like: bytes,
        afn: int,
        body: bytes = b"",
        *,
        control: int = 0x30,
        address: bytes | None = None,
        part: bytes = b"",
    ) -> bytes:
        """A down frame to the station that sent `like`; `part` counts the parts of a split one down."""
        data = bytes([control]) + part + (address or like[4:9]) + bytes([afn]) + body
        return bytes([0x68, len(data), 0x68]) + data + bytes([check(data), 0x16])

    @staticmethod
    def ack(like: bytes, *, afn: int | None = None, address: bytes | None = None) -> bytes:
        """Section 7.2: C = 30H, the AFN of the report, one byte of work mode."""
        return Szy206.down(like, like[9] if afn is None else afn, b"\1", address=address)


class RawCentre:
    """Listens, keeps every frame it was sent, answers each as `react` says. A context manager."""

    def __init__(self, protocol: type[Sl651 | Szy206], react: Callable[[bytes, RawCentre], Answers]) -> None:
        self.protocol = protocol
        self.react = react
        self.frames: list[bytes] = []
        self.connections = 0
        self.left: list[str] = []  # what went wrong on this side
        self._now: socket.socket | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5)
        self._listener.close()
        assert kind is not None or not self.left, self.left

    def send(self, data: bytes) -> None:
        """Begins something itself, on the connection that stands."""
        assert self._now is not None
        self._now.sendall(data)

    def _run(self) -> None:
        while not self._stop.is_set():
            with suppress(TimeoutError):
                connected, _ = self._listener.accept()
                self.connections += 1
                with connected, suppress(ConnectionError):
                    try:
                        self._serve(connected)
                    except AssertionError as error:
                        self.left.append(repr(error))

    def _serve(self, connected: socket.socket) -> None:
        connected.settimeout(0.02)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._now, rest = connected, b""
        while not self._stop.is_set():
            try:
                data = connected.recv(65_536)
            except TimeoutError:
                continue
            if not data:
                return
            frames, rest = self.protocol.split(rest + data)
            for frame in frames:
                self.frames.append(frame)
                for answer in self.react(frame, self):
                    if answer is None:
                        return
                    if isinstance(answer, float):
                        time.sleep(answer)
                    else:
                        connected.sendall(answer)
