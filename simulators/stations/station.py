"""One simulated station without I/O: the product's own dialogue, a well's reports, and its misbehaviour.

The owner of the sockets calls `opened`, `received`, `tick`, `closed`, sends `pieces` and looks at `wake_s`. Memory of a
station is that of its dialogue and of one report.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from agent.uplinks.dialogue import (
    Acknowledged,
    Asked,
    Delivery,
    Dialogue,
    Happening,
    Moment,
    Over,
    Refused,
    Step,
    Unanswered,
    Violation,
)
from simulators.stations.behaviour import UNANSWERED, Behaviour, Extras, Piece, pieces_of
from simulators.stations.content import answer_of, content_of
from simulators.stations.links import Link
from simulators.stations.tally import Tally

_LAST_SERIAL = 65_535
_CONNECTIONS = 2  # a report that these many connections left unanswered is given up
_BACKOFF_S = (0.2, 1.0, 5.0, 15.0, 30.0)
_MOST_FAILURES = 6  # connections in a row that could not be made or were ended by the platform; then all is given up
_MOST_PIECES = 20_000
_LEAST_SLOT_MS = 1000  # two reports of a station differ in time: the tag of SZY206 has seconds
_NOTHING = 4  # hex digits of a station number


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What all stations of a run do. `every_s` 0: the next report as soon as the last is settled.

    `reports` each, 0 without end; `begin_ms` is the slot of the first (UTC ms); `pace_s` lies between single bytes.
    """

    every_s: float = 60.0
    reports: int = 1
    begin_ms: int = 0
    pace_s: float = 60.0

    @property
    def step_ms(self) -> int:
        """Between the slots of two reports."""
        return max(_LEAST_SLOT_MS, round(self.every_s * 1000))


@dataclass(slots=True)
class _Report:
    """The report that is on its way or owed."""

    number: int
    serial: int
    due_s: float
    sent_s: float | None = None
    tries: int = 0
    connections: int = 0


class SimulatedStation:
    """Station number `place` of a run, with `address` (10 hex digits).

    `pieces` are to be sent in order; `connect_s` is when it may connect; `wants_to_close`: once all pieces are out.
    """

    def __init__(
        self,
        place: int,
        address: str,
        *,
        link: Link,
        plan: Plan,
        tally: Tally,
        behaviours: frozenset[Behaviour] = frozenset(),
        connect_s: float = 0.0,
    ) -> None:
        is_nobody = Behaviour.WRONG_ADDRESS in behaviours
        self.place = place
        self.address = address[:-_NOTHING] + "0" * _NOTHING if is_nobody else address
        self.behaviours = behaviours
        self.pieces: deque[Piece] = deque()
        self.wants_to_close = False
        self.is_done = False
        self.connect_s = connect_s
        self._link = link
        self._plan = plan
        self._tally = tally
        self._dialogue: Dialogue | None = None
        self._report: _Report | None = None
        self._is_in_flight = False
        self._number = 0  # reports begun
        self._serial = 0
        self._first_s: float | None = None
        self._failures = 0
        self._held = bytearray()  # answers that it takes no notice of yet
        self._parameters: dict[str, str] = {}

    @property
    def wake_s(self) -> float:
        """When `tick` is wanted, while connected."""
        if self._dialogue is None or self.wants_to_close:  # what is left to say then goes at the pieces' own pace
            return math.inf
        due_s = self._due_s() if self._dialogue.is_ready else math.inf
        return min(self._dialogue.deadline_s, due_s)

    @property
    def is_expected(self) -> bool:
        """Whether a platform has to acknowledge what it sends."""
        return not self.behaviours & UNANSWERED

    # --- the owner's calls

    def opened(self, now: Moment) -> None:
        """The connection stands."""
        self._first_s = now.s if self._first_s is None else self._first_s
        self._tally.connections += 1
        self._held.clear()
        self.wants_to_close = False
        self.pieces.clear()
        is_forged = Behaviour.WRONG_PASSWORD in self.behaviours
        self._dialogue = self._link.dialogue(self.address, self._next_serial, is_forged=is_forged)
        self._take(self._dialogue.opened(now), now)
        self._go_on(now)

    def received(self, data: bytes, now: Moment) -> None:
        """Bytes came."""
        if self._dialogue is None:
            return
        self._tally.bytes_in += len(data)
        report = self._report
        if Behaviour.RESEND in self.behaviours and self._is_in_flight and report is not None and report.tries == 1:
            self._held += data
            return
        if self._held:
            data = bytes(self._held) + data
            self._held.clear()
        self._take(self._dialogue.receive(data, now), now, is_report=self._is_in_flight)
        self._go_on(now)

    def tick(self, now: Moment) -> None:
        """Something is due."""
        if self._dialogue is None:
            return
        if now.s >= self._dialogue.deadline_s:
            step = self._dialogue.tick(now)
            if step.data and self._report is not None:
                self._report.tries += self._is_in_flight
            self._take(step, now, is_report=self._is_in_flight)
        self._go_on(now)

    def closed(self, now: Moment, *, is_lost: bool) -> None:
        """The connection is gone, or could not be made; what was not acknowledged is owed."""
        was_open = self._dialogue is not None
        self._dialogue = None
        self.pieces.clear()
        if was_open:
            self._tally.lost += is_lost
            if self._report is not None and self._is_in_flight:
                self._report.connections += 1
                self._give_up_or_keep(self._report)
        else:
            self._tally.failed_connections += 1
        self._is_in_flight = False
        is_wanted = was_open and not is_lost
        self.connect_s = now.s + (0.0 if is_wanted else _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)])
        self._failures += not is_wanted
        if self._plan.reports and self._failures >= _MOST_FAILURES:
            left = self._plan.reports - self._number + (self._report is not None)
            self._tally.unanswered += left * self.is_expected
            self.is_done = True

    def farewell(self, now: Moment) -> None:
        """Says goodbye."""
        if self._dialogue is not None:
            self._take(self._dialogue.farewell(now), now)

    # --- inside

    def _due_s(self) -> float:
        """When the next report, or the one that is owed, may go; infinity after the last."""
        if self._report is not None:
            return self._report.due_s
        if self._plan.reports and self._number >= self._plan.reports:
            return math.inf
        return (self._first_s or 0.0) + self._number * self._plan.every_s

    def _go_on(self, now: Moment) -> None:
        """Sends the next report where one is due, or ends."""
        while self._dialogue is not None and self._dialogue.is_ready and not self.wants_to_close:
            due_s = self._due_s()
            if due_s == math.inf:
                self.is_done = True
                return
            if now.s < due_s:
                return
            if self._report is None:
                self._report = _Report(self._number, self._next_serial(), due_s)
                self._number += 1
                self._tally.reports += 1
            self._send(self._dialogue, self._report, now)

    def _send(self, dialogue: Dialogue, report: _Report, now: Moment) -> None:
        slot_ms = self._plan.begin_ms + report.number * self._plan.step_ms
        report.sent_s = now.s if report.sent_s is None else report.sent_s
        content = content_of(self.place, slot_ms)
        step = dialogue.send(
            Delivery(tag=report.number, serial=report.serial, content=content, tries=report.tries), now
        )
        report.tries += 1
        self._is_in_flight = True
        self._take(step, now, is_report=True)

    def _take(self, step: Step, now: Moment, *, is_report: bool = False) -> None:
        """Puts frames on their way, and settles what happened."""
        report = self._report
        is_first = report is not None and report.tries == 1 and report.connections == 0
        for frame in step.data:
            self._tally.sent += is_report
            found: tuple[Piece, ...] = (Piece(frame),)
            if self.behaviours:
                extras = self._extras(now)
                is_spoilt = is_report and frame != extras.idle  # a link test is answered among reports, and is none
                if is_spoilt or Behaviour.SILENT in self.behaviours:
                    found = pieces_of(frame, self.behaviours, extras, is_first=is_first)
            if len(self.pieces) < _MOST_PIECES:
                self.pieces.extend(found)
        for happening in step.happenings:
            self._settle(happening, now)

    def _extras(self, now: Moment) -> Extras:
        return Extras(
            idle=self._link.idle(self.address, max(1, self._serial), now.at_ms or 0),
            oversize=self._link.oversize(self.address),
            pace_s=self._plan.pace_s,
        )

    def _settle(self, happening: Happening, now: Moment) -> None:
        match happening:
            case Acknowledged(confirmed=confirmed):
                self._acknowledged(now, is_confirmed=confirmed)
            case Refused():
                self._tally.refused += 1
                self._report, self._is_in_flight = None, False
            case Unanswered() | Over():
                self.wants_to_close = True
            case Asked():
                self._tally.asked += 1
                result = answer_of(self.place, happening, self._parameters, now.at_ms or 0)
                assert self._dialogue is not None
                self._take(self._dialogue.answer(happening.token, result, now), now)
            case Violation():
                self._tally.violations += 1

    def _acknowledged(self, now: Moment, *, is_confirmed: bool) -> None:
        report = self._report
        if report is None:
            return
        self._report, self._is_in_flight = None, False
        self._failures = 0
        if not is_confirmed:
            self._tally.unconfirmed += 1
            return
        self._tally.acknowledged += 1
        self._tally.wrongly_acknowledged += Behaviour.WRONG_PASSWORD in self.behaviours
        self._tally.latencies.add(now.s - (now.s if report.sent_s is None else report.sent_s))
        if Behaviour.RECONNECT in self.behaviours:
            self.wants_to_close = True

    def _give_up_or_keep(self, report: _Report) -> None:
        """A report that some connections left unanswered is given up; a cut one was never whole on the first."""
        if report.connections < _CONNECTIONS + (Behaviour.CUT in self.behaviours):
            return
        self._report = None
        self._tally.unanswered += self.is_expected
        if self._plan.reports and self._number >= self._plan.reports:
            self.is_done = True

    def _next_serial(self) -> int:
        self._serial = self._serial % _LAST_SERIAL + 1
        return self._serial
