"""A Modbus TCP endpoint, or a transparent serial server (RTU over TCP): one loop, several connections."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import select
import socket
import time
from dataclasses import dataclass, field

from simulators.meters.answering import Answering, Pending
from simulators.meters.line_settings import SimulatedLineSettings
from simulators.meters.record import LineStats

_BACKLOG = 64
_READ_BYTES = 4096
_MOST_UNFINISHED = 1024  # bytes without a complete request: not our protocol
_IDLE_S = 0.5


@dataclass(order=True, slots=True)
class _Answer:
    """An answer that goes to `connection` at monotonic second `at`."""

    at: float
    number: int
    connection: socket.socket = field(compare=False)
    pending: Pending = field(compare=False)


class TcpLine:
    """The port and the loop of one TCP line. Listens at once (raises OSError); `run` is its thread's body."""

    def __init__(self, settings: SimulatedLineSettings, answering: Answering, stats: LineStats) -> None:
        assert settings.tcp is not None
        self._settings = settings
        self._answering = answering
        self._stats = stats
        self._listener = socket.create_server(settings.tcp, backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._connections: dict[int, tuple[socket.socket, bytearray]] = {}
        self._answers: list[_Answer] = []
        self._numbers = itertools.count()
        self.port: int = self._listener.getsockname()[1]

    @property
    def place(self) -> str:
        """`HOST:PORT` as clients connect to it."""
        assert self._settings.tcp is not None
        return f"{self._settings.tcp[0]}:{self.port}"

    def run(self) -> None:
        """Serves until `stop` is called, then closes everything."""
        try:
            while True:
                watched = [self._wake, self._listener.fileno(), *self._connections]
                ready = select.select(watched, [], [], self._sleep_s())[0]
                for descriptor in ready:
                    if descriptor == self._wake:
                        return
                    if descriptor == self._listener.fileno():
                        self._accept()
                    else:
                        self._hear(descriptor)
                self._answer()
        finally:
            for connection, _ in self._connections.values():
                connection.close()
            self._listener.close()
            os.close(self._wake)

    def stop(self) -> None:
        """Ends `run` soon; from any thread."""
        os.eventfd_write(self._wake, 1)

    def _sleep_s(self) -> float:
        return max(0.0, self._answers[0].at - time.monotonic()) if self._answers else _IDLE_S

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            most = self._settings.max_connections
            if most is not None and len(self._connections) >= most:
                self._stats.refused_connections += 1
                connection.close()
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[connection.fileno()] = (connection, bytearray())

    def _hear(self, descriptor: int) -> None:
        connection, buffer = self._connections[descriptor]
        now = time.monotonic()
        try:
            data = connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._stats.bytes_in += len(data)
        buffer += data
        while requests := self._answering.requests(bytes(buffer)):
            del buffer[: len(requests[0].data)]
            self._stats.requests += 1
            self._stats.first_s = self._stats.first_s or now
            answers = self._answering.attempts(requests, None, now)
            self._stats.unanswered += not any(pending.attempt.delay_s is not None for pending in answers)
            for pending in answers:
                delay_s = pending.attempt.delay_s
                if delay_s is not None:
                    heapq.heappush(self._answers, _Answer(now + delay_s, next(self._numbers), connection, pending))
        if not data or len(buffer) > _MOST_UNFINISHED:
            self._stats.garbage_bytes += len(buffer)
            self._drop(connection)

    def _answer(self) -> None:
        """Sends every answer whose moment has come."""
        while self._answers and self._answers[0].at <= time.monotonic():
            answer = heapq.heappop(self._answers)
            pending, connection = answer.pending, answer.connection
            frame = self._answering.fix(pending)
            if not frame or connection.fileno() < 0:
                self._stats.unanswered += 1
                continue
            pending.first_s = pending.free_s = time.monotonic()
            try:
                sent = connection.send(frame)
            except OSError:
                sent = 0
            if sent < len(frame):  # gone, or it asks without ever reading
                self._stats.unanswered += 1
                self._drop(connection)
                continue
            self._stats.late_s += pending.first_s - answer.at
            self._stats.latest_s = max(self._stats.latest_s, pending.first_s - answer.at)
            self._answering.answered(pending, pending.first_s)

    def _drop(self, connection: socket.socket) -> None:
        self._connections.pop(connection.fileno(), None)
        connection.close()
