"""A paced RS-485 bus on a pseudo-terminal: one loop, absolute deadlines.

The client writes a request at once; on the wire its last bit passes (bytes * character time) after the first one
began. From there everything has its moment: the turnaround, and each byte of the answer. The loop sleeps until
shortly before the next moment, lets the processor spin over the rest where it matters (the first and the last byte of
an answer), and gives the client every byte whose moment has come. When it is late it catches up; moments never move.
While an answer is on the wire the loop still listens: a request that comes then collides with it and is lost.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import select
import time
from dataclasses import dataclass, field

from simulators.meters.answering import Answering, Pending
from simulators.meters.line_settings import SimulatedLineSettings
from simulators.meters.meter import SimulatedMeter
from simulators.meters.pacing import PlainReceiver, UsbReceiver, character_s, silence_s
from simulators.meters.pty_port import PtyPort
from simulators.meters.record import LineStats

_SPIN_S = 0.0002  # a sleeping thread may wake up so late
_ALERT_S = 0.0005  # so long after the silence a good client has begun its next request: we are awake when it does
_IDLE_S = 0.5


@dataclass(order=True, slots=True)
class _Event:
    """What happens at monotonic second `at`: bytes to deliver, or the registers to fix (no bytes)."""

    at: float
    number: int
    data: bytes = field(compare=False, default=b"")
    pending: Pending | None = field(compare=False, default=None)
    is_first: bool = field(compare=False, default=False)
    is_last: bool = field(compare=False, default=False)


@dataclass(slots=True)
class _Incoming:
    """What has come of a request: when it began, and when its last bit has passed."""

    data: bytes
    began_s: float
    end_s: float
    early: bool
    collided: bool


class SerialLine:
    """The port and the loop of one serial line. Opens at once (raises OSError); `run` is its thread's body."""

    def __init__(self, settings: SimulatedLineSettings, answering: Answering, stats: LineStats) -> None:
        assert settings.pty is not None
        self._settings = settings
        self._answering = answering
        self._stats = stats
        self._port = PtyPort(settings.pty)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        timer_s = settings.usb_timer_s
        self._receiver = PlainReceiver() if timer_s is None else UsbReceiver(timer_s)
        self._events: list[_Event] = []
        self._numbers = itertools.count()
        self._incoming: _Incoming | None = None
        self._wire_end_s = -math.inf  # last bit of anything on the wire
        self._answer_end_s = -math.inf  # last bit of an answer
        self._silence_s = 0.0  # needed after it

    @property
    def place(self) -> str:
        """The path that clients open."""
        return str(self._port.path)

    def run(self) -> None:
        """Serves until `stop` is called, then removes the link and hangs up."""
        watched = [self._port.fileno(), self._wake]
        try:
            while True:
                ready = select.select(watched, [], [], self._sleep_s())[0]
                if self._wake in ready:
                    return
                if ready:
                    self._hear(time.monotonic())
                self._act()
        finally:
            self._port.close()
            os.close(self._wake)

    def stop(self) -> None:
        """Ends `run` soon; from any thread."""
        os.eventfd_write(self._wake, 1)

    def _sleep_s(self) -> float:
        now = time.monotonic()
        if self._events:
            event = self._events[0]
            return max(0.0, event.at - now - _spin_s(event))
        expected_s = self._wire_end_s + self._silence_s
        if now > expected_s + _ALERT_S:
            return _IDLE_S
        return max(0.0, expected_s - now - _SPIN_S)

    def _hear(self, now: float) -> None:
        """Takes in what the client wrote; its first bit is on the wire now."""
        data = self._port.read()
        if not data:
            return
        baud = self._port.baud()
        character = self._character_s(baud)
        self._stats.bytes_in += len(data)
        incoming = self._incoming
        if incoming is not None and now > incoming.end_s + self._silence_s:  # a silence ends a frame, whole or not
            self._stats.garbage_bytes += len(incoming.data)
            incoming = None
        if incoming is None:
            early = now < self._wire_end_s + self._silence_s
            incoming = _Incoming(b"", now, now, early, now < self._answer_end_s)
        begin_s = max(incoming.end_s, now)
        incoming.data += data
        incoming.end_s = begin_s + len(data) * character
        self._wire_end_s = max(self._wire_end_s, incoming.end_s)
        self._silence_s = silence_s(baud or self._settings.baud, character)
        if self._settings.echo:
            for delivery in self._receiver.deliveries(begin_s, character, data):
                self._push(_Event(delivery.at, next(self._numbers), delivery.data))
        self._incoming = incoming
        while self._incoming is not None and self._take_request(self._incoming, baud):
            pass

    def _take_request(self, incoming: _Incoming, baud: int) -> bool:
        """Takes one complete request out of `incoming`; false when there is none (yet)."""
        requests = self._answering.requests(incoming.data)
        if not requests:
            return False
        stats, size = self._stats, len(requests[0].data)
        stats.first_s = stats.first_s or incoming.began_s
        stats.requests += 1
        stats.early += incoming.early
        answers: list[Pending] = []
        if incoming.collided:
            stats.collided += 1
        elif incoming.early and self._settings.strict:
            stats.dropped += 1
        elif not self._answering.hears(baud):
            stats.wrong_baud += 1
        else:
            answers = self._answering.attempts(requests, baud, incoming.began_s)
            stats.unanswered += not any(pending.attempt.delay_s is not None for pending in answers)
        for pending in answers:
            pending.early = incoming.early
            self._expect(pending, incoming.end_s, baud)
        rest = incoming.data[size:]
        stats.garbage_bytes += 0 if answers else len(rest)
        glued = _Incoming(rest, incoming.end_s, incoming.end_s, early=True, collided=False)
        self._incoming = glued if rest and answers else None
        return True

    def _expect(self, pending: Pending, end_s: float, baud: int) -> None:
        """Sets the moment at which this meter fixes its registers and begins to answer."""
        delay_s, meter = pending.attempt.delay_s, pending.attempt.meter
        if delay_s is None:
            return
        pending.character_s = self._character_s(baud, meter)
        longer_s = len(pending.attempt.request) * (pending.character_s - self._character_s(baud))
        self._push(_Event(end_s + longer_s + delay_s, next(self._numbers), pending=pending))

    def _character_s(self, baud: int, meter: SimulatedMeter | None = None) -> float:
        settings = self._settings
        parity = settings.parity if meter is None or meter.parity is None else meter.parity
        stop_bits = settings.stop_bits if meter is None or meter.stop_bits is None else meter.stop_bits
        return character_s(baud or settings.baud, parity, stop_bits)

    def _act(self) -> None:
        """Does everything whose moment has come or is about to."""
        while self._events:
            event = self._events[0]
            if event.at - time.monotonic() > _spin_s(event):
                return
            while time.monotonic() < event.at:
                pass
            if event.data:
                self._deliver()
            else:
                self._begin(heapq.heappop(self._events))

    def _begin(self, event: _Event) -> None:
        """The meter fixes its registers and begins to send."""
        pending = event.pending
        assert pending is not None
        frame = self._answering.fix(pending)
        if not frame:
            self._stats.unanswered += 1
            return
        end_s = event.at + len(frame) * pending.character_s
        self._wire_end_s = max(self._wire_end_s, end_s)
        self._answer_end_s = max(self._answer_end_s, end_s)
        pending.first_s = event.at + pending.character_s
        deliveries = list(self._receiver.deliveries(event.at, pending.character_s, frame))
        pending.free_s = max(deliveries[-1].at, end_s + self._silence_s)
        for place, delivery in enumerate(deliveries):
            last = place == len(deliveries) - 1
            self._push(_Event(delivery.at, next(self._numbers), delivery.data, pending, place == 0, last))

    def _deliver(self) -> None:
        """Gives the client every byte whose moment has come, in one write."""
        due: list[_Event] = []
        now = time.monotonic()
        while self._events and self._events[0].data and self._events[0].at <= now:
            due.append(heapq.heappop(self._events))
        now = time.monotonic()
        self._port.write(b"".join(event.data for event in due))
        for event in due:
            if event.pending is None:
                continue
            if event.is_first and self._settings.usb_timer_s is None:
                event.pending.first_s = now
            if event.is_last:
                self._stats.late_s += now - event.at
                self._stats.latest_s = max(self._stats.latest_s, now - event.at)
                if self._settings.usb_timer_s is None:
                    self._wire_end_s = max(self._wire_end_s, now)
                self._answering.answered(event.pending, now)

    def _push(self, event: _Event) -> None:
        heapq.heappush(self._events, event)


def _spin_s(event: _Event) -> float:
    return _SPIN_S if event.is_first or event.is_last else 0.0
