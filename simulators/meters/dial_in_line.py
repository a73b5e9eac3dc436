"""Meters behind a simulated 4G DTU that dials in: registers, shows that it lives, is transparent in between.

What the meters say goes into whatever connection there is then, as a real DTU does it: an answer to a question of the
last connection may come through the next one.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import select
import socket
import time
from collections.abc import Callable
from functools import partial
from random import Random

from simulators.meters.answering import Answering, Pending
from simulators.meters.line_settings import SimulatedDtu, SimulatedLineSettings
from simulators.meters.record import LineStats

_CONNECT_S = 1.0
_READ_BYTES = 4096
_MOST_UNFINISHED = 1024  # bytes without a complete request: not our protocol
_IDLE_S = 0.5
_SLOW_S = 0.05  # between the bytes of a slow registration
_PIECE_S = 0.03  # between the pieces of an answer with a heartbeat in its middle
_OVERSIZE = 4096
_GARBAGE = 24
_DATA_BITS = 8


class DialInLine:
    """The loop of one DTU and its meters; `run` is its thread's body."""

    def __init__(self, settings: SimulatedLineSettings, answering: Answering, stats: LineStats) -> None:
        assert settings.dial_in is not None
        self._dtu: SimulatedDtu = settings.dial_in
        self._answering = answering
        self._stats = stats
        self._character_s = (1 + _DATA_BITS + (settings.parity != "none") + settings.stop_bits) / settings.baud
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._connection: socket.socket | None = None
        self._half_open: list[socket.socket] = []
        self._buffer = b""
        self._has_answered = False
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._chance = Random(settings.name)

    def run(self) -> None:
        """Dials and serves until `stop` is called, then hangs up."""
        self._later(0, self._dial)
        try:
            while True:
                watched = [self._wake] if self._connection is None else [self._wake, self._connection.fileno()]
                ready = select.select(watched, [], [], self._sleep_s())[0]
                if self._wake in ready:
                    return
                if ready:
                    self._hear()
                while self._due and self._due[0][0] <= time.monotonic():
                    heapq.heappop(self._due)[2]()
        finally:
            self._hang_up()
            for connection in self._half_open:
                connection.close()
            os.close(self._wake)

    def stop(self) -> None:
        """Ends `run` soon; from any thread."""
        os.eventfd_write(self._wake, 1)

    def _sleep_s(self) -> float:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else _IDLE_S

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), action))

    # --- the connection

    def _dial(self) -> None:
        try:
            connection = socket.create_connection(self._dtu.server, _CONNECT_S)
        except OSError:
            self._later(self._dtu.redial_s, self._dial)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection, self._buffer, self._has_answered = connection, b"", False
        self._stats.dialled += 1
        self._register()
        if self._dtu.heartbeat:
            self._later(self._dtu.every_s, lambda: self._beat(connection))
        if self._dtu.drop_s is not None:
            self._later(self._dtu.drop_s, lambda: self._drop(connection))

    def _register(self) -> None:
        registration, behaviour = self._dtu.registration, self._dtu.behaviour
        if "registration_never" in behaviour:
            return
        if "registration_garbage" in behaviour:
            registration = self._chance.randbytes(_GARBAGE)
        elif "registration_oversize" in behaviour:
            registration = b"x" * _OVERSIZE + registration
        if "registration_slow" in behaviour:
            for place in range(len(registration)):
                self._later(place * _SLOW_S, partial(self._send, registration[place : place + 1]))
        elif registration:
            self._send(registration)

    def _beat(self, connection: socket.socket) -> None:
        if connection is self._connection:
            self._send(self._dtu.heartbeat)
            self._later(self._dtu.every_s, lambda: self._beat(connection))

    def _drop(self, connection: socket.socket) -> None:
        """The network lets go of the connection: at once, or without telling the far end."""
        if connection is not self._connection:
            return
        if "duplicate" in self._dtu.behaviour:
            self._half_open.append(connection)
            self._connection = None
            self._dial()
        else:
            self._hang_up()
            self._later(self._dtu.redial_s, self._dial)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, data: bytes) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):  # its end is seen where it is read
                self._connection.send(data)

    # --- questions and answers

    def _hear(self) -> None:
        assert self._connection is not None
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            self._later(self._dtu.redial_s, self._dial)
            return
        self._stats.bytes_in += len(data)
        self._later(self._dtu.air_s, lambda: self._take(data))

    def _take(self, data: bytes) -> None:
        """The meters hear what came through the air."""
        self._buffer += data
        now = time.monotonic()
        while requests := self._answering.requests(self._buffer):
            size = len(requests[0].data)
            self._buffer = self._buffer[size:]
            self._stats.requests += 1
            self._stats.first_s = self._stats.first_s or now
            answers = self._answering.attempts(requests, None, now)
            self._stats.unanswered += not any(pending.attempt.delay_s is not None for pending in answers)
            for pending in answers:
                if pending.attempt.delay_s is not None:
                    self._later(size * self._character_s + pending.attempt.delay_s, self._answering_of(pending))
        if len(self._buffer) > _MOST_UNFINISHED:
            self._stats.garbage_bytes += len(self._buffer)
            self._buffer = b""

    def _answering_of(self, pending: Pending) -> Callable[[], None]:
        def fix() -> None:
            frame = self._answering.fix(pending)
            self._later(len(frame) * self._character_s + self._dtu.air_s, lambda: self._answer(pending, frame))

        return fix

    def _answer(self, pending: Pending, frame: bytes) -> None:
        if not frame or self._connection is None:
            self._stats.unanswered += 1
            return
        dtu, behaviour = self._dtu, self._dtu.behaviour
        pending.first_s = pending.free_s = time.monotonic()
        if "registration_glued" in behaviour and not self._has_answered:
            frame = dtu.registration + frame
        self._has_answered = True
        if "heartbeat_glued" in behaviour:
            frame = dtu.heartbeat + frame + dtu.heartbeat
        if "heartbeat_inside" in behaviour:
            half = len(frame) // 2
            self._send(frame[:half])
            self._later(_PIECE_S, lambda: self._send(dtu.heartbeat))
            self._later(2 * _PIECE_S, lambda: self._send(frame[half:]))
        else:
            self._send(frame)
        self._answering.answered(pending, pending.first_s)
