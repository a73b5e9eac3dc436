"""What the tests of simulated meters share: profiles, lines, and clients that see raw bytes and when they came."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import termios
import time
import tty
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from agent.profiles import Library
from agent.settings import Profile
from drivers.octets import crc16
from drivers.registry import DRIVERS
from simulators.meters.bus import SimulatedLine
from simulators.meters.line_settings import SimulatedLineSettings
from simulators.meters.meter import SimulatedMeter
from simulators.meters.record import LineStats, Observer

QUIET_S = 0.25  # that long without a byte: nothing comes

COUNTERS = (
    {"quantity": "volume_forward", "table": "holding", "register": 0, "type": "u32", "scale": 0.01},
    {"quantity": "flow_rate", "table": "holding", "register": 2, "type": "f32"},
)


def packaged(name: str) -> Profile:
    return Library(drivers=DRIVERS).load(name)


def profile(*items: dict[str, Any], baud: int = 9600, parity: str = "none") -> Profile:
    """A profile of these items."""
    document = {
        "profile": "made-up",
        "title": {"zh": "试", "en": "test"},
        "source": "tests",
        "protocol": "modbus",
        "line": {"baud": baud, "parity": parity},
        "items": list(items or COUNTERS),
    }
    text = yaml.safe_dump(document, allow_unicode=True)
    return Library(drivers=DRIVERS, texts={"made-up": text}).load("made-up")


def block(count: int) -> Profile:
    """A profile of one number of 4 registers and zeros up to `count` registers: read it whole."""
    return profile(
        {"quantity": "volume_forward", "table": "holding", "register": 0, "type": "u64"},
        {"quantity": "flow_rate", "table": "holding", "register": count - 1, "type": "u16"},
    )


def meter(name: str = "m1", address: str = "1", **more: Any) -> SimulatedMeter:
    return SimulatedMeter(name, **{"profile": profile(), "address": address, **more})


def serial(path: Path, *meters: SimulatedMeter, observers: Sequence[Observer] = (), **more: Any) -> SimulatedLine:
    settings = SimulatedLineSettings(name="bus", pty=path, **more)
    return SimulatedLine(settings, meters or (meter(),), observers=observers)


def tcp(*meters: SimulatedMeter, observers: Sequence[Observer] = (), **more: Any) -> SimulatedLine:
    settings = SimulatedLineSettings(name="lan", tcp=("127.0.0.1", 0), **{"latency_s": 0.0, **more})
    return SimulatedLine(settings, meters or (meter(),), observers=observers)


def read_request(address: int, register: int, count: int, *, function: int = 3) -> bytes:
    """An RTU read request."""
    body = bytes([address, function]) + register.to_bytes(2, "big") + count.to_bytes(2, "big")
    return body + crc16(body)


def registers_in(reply: bytes) -> bytes:
    """The data of an RTU reply."""
    return reply[3:-2]


def counted(line: SimulatedLine, requests: int) -> LineStats:
    """The counters once so many requests are done with: a client has its answer before it is counted."""
    for _ in range(200):
        stats = line.stats()
        done = stats.answered + stats.unanswered + stats.dropped + stats.collided + stats.wrong_baud
        if done >= requests:
            return stats
        time.sleep(0.005)
    raise AssertionError(f"not {requests} requests: {line.stats()}")


class SerialClient:
    """A raw client on a pseudo-terminal."""

    def __init__(self, path: str, baud: int = 9600) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        attributes = termios.tcgetattr(self.fd)
        attributes[4] = attributes[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def send(self, data: bytes) -> float:
        """Writes; when, in monotonic seconds."""
        at = time.monotonic()
        os.write(self.fd, data)
        return at

    def chunks(self, size: int, *, within_s: float = 5.0, quiet_s: float = QUIET_S) -> list[tuple[float, bytes]]:
        """What comes until `size` bytes are there, or nothing for `quiet_s` (before the first byte: `within_s`)."""
        found: list[tuple[float, bytes]] = []
        while sum(len(data) for _, data in found) < size:
            if not select.select([self.fd], [], [], quiet_s if found else within_s)[0]:
                break
            data = os.read(self.fd, 4096)
            found.append((time.monotonic(), data))
        return found

    def ask(self, request: bytes, size: int, **waits: float) -> bytes:
        """The bytes that come for a request."""
        self.send(request)
        return b"".join(data for _, data in self.chunks(size, **waits))


def ask_tcp(port: int, request: bytes, *, within_s: float = 1.0) -> bytes:
    """All that comes for a request on a connection of its own until it is quiet, or closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        found = b""
        connection.settimeout(within_s)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while data := connection.recv(4096):
                found += data
                connection.settimeout(0.05)
        return found
