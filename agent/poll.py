"""Polls the meters of one line: whose turn it is, what is asked, what becomes of failures. One thread per line.

Strategy: living meters first, by the slot they are due for; probes of failing ones last and out of a small budget. A
poll that got no answer is tried once more, but only when a late answer to it can no longer be taken for that of another
question: RTU answers carry no number, so the meter is left alone for a while and the others go on.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from agent.clock import Clock
from agent.faults import FaultCode, FaultSink
from agent.line.guests import Guest, Guests
from agent.line.line import Line, Transaction
from agent.line.meter import PolledMeter, Sweep
from agent.line.ports import LineDownError, LineHeldError
from agent.line.turns import Choice, Turns
from agent.model import Round
from agent.schedule import Turn

_LONGEST_WAIT_S = 2.0  # so that the beat shows life
_FIRST_REOPEN_S, _LAST_REOPEN_S = 0.2, 5.0
_UNANSWERED_TO_RECONNECT = 3  # a TCP connection on which nobody answers any more is made anew
_OVERBOOKED_SLOTS = 3
_SUMMARY_S = 3600.0


class RoundSink(Protocol):
    """Where rounds go; the store."""

    def append(self, found: Round) -> int:
        """Numbers and queues a round."""
        ...

    def begin_poll(self, line: str) -> None:
        """This line is inside a burst."""
        ...

    def end_poll(self, line: str) -> None:
        """This line pauses: a good moment to commit."""
        ...


@dataclass(frozen=True, slots=True)
class _Order:
    """A `read` asked for from outside, served between rounds."""

    meter: str
    answer: Future[dict[str, Any]]


class Poller:
    """The life of one line."""

    def __init__(
        self,
        name: str,
        *,
        line: Line,
        meters: Sequence[PolledMeter],
        sink: RoundSink,
        clock: Clock,
        faults: FaultSink,
        log: Any,
        stagger_ms: int = 0,
    ) -> None:
        self.name = name
        self._line = line
        self._meters = {meter.name: meter for meter in meters}
        self._sink = sink
        self._clock = clock
        self._faults = faults
        self._log = log.bind(line=name)
        self._stagger_ms = stagger_ms
        self._turns = Turns(meters, timeout_s=line.timeout_s)
        self._is_overbooked = True  # may have been said by an earlier run: the first turns tell
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._guests = Guests(line)
        self._wake = threading.Event()
        self._grid_ms = self._grid_offset_ms()
        self._down_detail = ""
        self._reopen_s = _FIRST_REOPEN_S
        self._reopen_at_s = 0.0
        self._unanswered = 0
        self._is_bursting = False
        self._began_s = self._summed_s = clock.monotonic()

    def nudge(self) -> None:
        """Ends a pause: an order waits, or the daemon stops."""
        self._wake.set()

    def read(self, meter: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """One poll now, between the rounds, as `qushui read` shows it. Raises TimeoutError."""
        order = _Order(meter, Future())
        self._orders.put(order)
        self.nudge()
        return order.answer.result(timeout_s)

    def ask(self, guest: Guest, timeout_s: float) -> tuple[int, Transaction]:
        """One question to anybody on this line, in a pause. Raises TimeoutError, LineDownError."""
        self._guests.invite(guest)
        self.nudge()
        try:
            return guest.answer.result(timeout_s)
        except TimeoutError:
            guest.answer.cancel()
            raise

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Polls until `stop` is set."""
        now_ms = self._now_ms()
        for meter in self._meters.values():
            meter.turn = Turn(period_ms=meter.period_ms, due_ms=now_ms)
        try:
            while not stop.is_set():
                beat()
                self._serve()
                self._follow_clock()
                self._sum_up()
                wait_s = self._step()
                if wait_s > 0:
                    self._burst(False)
                    self._clock.wait(self._wake, min(wait_s, _LONGEST_WAIT_S))
                    self._wake.clear()
        finally:
            self._burst(False)
            self._line.close()

    def _sum_up(self) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._summed_s >= _SUMMARY_S:
            self._summed_s = now_s
            self._log.info("line.summarised", **self.snapshot())

    def _step(self) -> float:
        """Does what is due; returns the seconds until something may be due."""
        now_s = self._clock.monotonic()
        if not self._line.is_open:
            if now_s < self._reopen_at_s:
                self._guests.dismiss(LineDownError(self._down_detail))
                return self._reopen_at_s - now_s
            if not self._open():
                return 0.0
        if self._guests.is_waiting and self._has_hosted(now_s):
            return 0.0
        choice = self._turns.next(now_s, self._now_ms())
        if choice is None:
            return self._turns.wait_s(now_s, self._now_ms())
        self._burst(True)
        try:
            self._poll(choice)
        except LineDownError as error:
            self._went_down(error)
        return 0.0

    def _burst(self, on: bool) -> None:
        if on != self._is_bursting:
            self._is_bursting = on
            (self._sink.begin_poll if on else self._sink.end_poll)(self.name)

    # --- whose turn it is

    def _grid_offset_ms(self) -> int:
        return (self._clock.offset_ms if self._clock.synced else 0) - self._stagger_ms

    def _now_ms(self) -> int:
        return self._clock.boot_ms() + self._grid_ms

    def _follow_clock(self) -> None:
        grid_ms = self._grid_offset_ms()
        if grid_ms != self._grid_ms:
            self._grid_ms = grid_ms
            for meter in self._meters.values():
                meter.turn.shifted(self._now_ms())

    def _has_hosted(self, now_s: float) -> bool:
        """Puts the question of a guest, where the living meters leave room for it."""
        pause_s = self._turns.pause_s(now_s, self._now_ms())
        if not self._guests.may_ask(now_s, pause_s=pause_s):
            return False
        self._burst(False)
        try:
            address, trusted_again_s = self._guests.ask(pause_s=pause_s)
        except LineDownError as error:
            self._went_down(error)
            return True
        for meter in self._meters.values():
            if meter.address == address:  # its late answer must not be taken for that to a poll
                meter.ready_at_s = max(meter.ready_at_s, trusted_again_s)
        return True

    # --- one poll

    def _poll(self, choice: Choice) -> None:
        meter = choice.meter
        is_failing = meter.breaker.failures > 0
        meter.asked_at_s = began_s = self._clock.monotonic()
        now_ms = self._now_ms()
        if not meter.is_unfinished or meter.turn.due_ms <= now_ms:
            if not is_failing:
                self._note_lateness(meter, now_ms)
            meter.turn.taken(now_ms)
        sweep = meter.sweep(self._line, timeout_s=choice.wait_s)
        cost_s = self._clock.monotonic() - began_s
        if is_failing:
            self._turns.spent(cost_s, choice)
        self._judge(choice, sweep, cost_s)

    def _judge(self, choice: Choice, sweep: Sweep, cost_s: float) -> None:
        """Books a sweep: a round, another try, or the breaker."""
        meter = choice.meter
        if sweep.is_later and meter.may_try_later():
            meter.postpone(self._clock.monotonic())
            return
        if not sweep.is_clean and sweep.is_unanswered:
            self._book_unanswered(choice, sweep, cost_s)
            if meter.breaker.failures == 1 and not meter.is_unfinished:
                meter.is_unfinished = True
                return
        else:
            meter.breaker.succeeded()
            self._unanswered = 0
        meter.is_unfinished = False
        self._log.debug("round.finished", meter=meter.name, duration_ms=round(1000 * cost_s), reasons=sweep.quality)
        meter.report(sweep, self._faults, around=self._around(meter))
        self._sink.append(meter.round_of(sweep, self._clock))

    def _around(self, meter: PolledMeter) -> dict[str, object]:
        """The line, and how many of the others on it answer: then the line itself is right."""
        others = [each for each in self._meters.values() if each is not meter]
        answering = sum(each.rounds > 0 and not each.breaker.failures for each in others)
        return {"line": self.name, "answering": answering, "others": len(others)} if others else {"line": self.name}

    def _book_unanswered(self, choice: Choice, sweep: Sweep, cost_s: float) -> None:
        meter = choice.meter
        is_known = meter.delay.least_s is not None or choice.wait_s is not None
        meter.ready_at_s = sweep.trusted_again_s
        meter.breaker.failed(self._clock.monotonic(), cost_s, is_known=is_known)
        meter.probe_at_s = max(meter.breaker.probe_at_s, sweep.trusted_again_s)
        self._unanswered += 1
        if not self._line.is_serial and self._unanswered % _UNANSWERED_TO_RECONNECT == 0:
            self._line.close()

    def _note_lateness(self, meter: PolledMeter, now_ms: int) -> None:
        """Says once when a line cannot keep its periods, and takes it back when all turns come in time again."""
        late_ms = now_ms - meter.turn.due_ms
        meter.late(late_ms)
        place = f"line/{self.name}"
        if meter.is_overbooked(_OVERBOOKED_SLOTS):
            self._is_overbooked = True
            evidence = {"meter": meter.name, "period_ms": meter.period_ms, "late_ms": late_ms}
            self._faults.raised(FaultCode.LINE_OVERBOOKED, place, **evidence)
        elif self._is_overbooked and not any(each.is_late for each in self._meters.values()):
            self._is_overbooked = False
            self._faults.cleared(FaultCode.LINE_OVERBOOKED, place)

    # --- the port

    def _open(self) -> bool:
        try:
            self._line.open()
        except LineDownError as error:
            self._went_down(error)
            return False
        self._reopen_s = _FIRST_REOPEN_S
        if self._down_detail:
            self._down_detail = ""
            self._log.info("line.opened")
        for code in (FaultCode.LINE_DOWN, FaultCode.LINE_HELD):
            self._faults.cleared(code, f"line/{self.name}")
        return True

    def _went_down(self, error: LineDownError) -> None:
        """Says so, gives each meter one round that says why it has no values, and plans the next try."""
        self._line.close()
        place = f"line/{self.name}"
        if isinstance(error, LineHeldError):
            self._faults.raised(FaultCode.LINE_HELD, place, holder=error.holder, detail=error.detail)
        else:
            self._faults.raised(FaultCode.LINE_DOWN, place, detail=error.detail)
        is_news = not self._down_detail
        self._down_detail = error.detail
        for meter in self._meters.values():
            meter.is_unfinished = False
            if meter.turn.due_ms <= self._now_ms():
                meter.turn.taken(self._now_ms())
            if is_news:
                self._sink.append(meter.round_without_line(self._clock))
        self._reopen_at_s = self._clock.monotonic() + self._reopen_s
        self._reopen_s = min(_LAST_REOPEN_S, 2 * self._reopen_s)

    # --- from outside

    def _serve(self) -> None:
        while not self._orders.empty():
            order = self._orders.get()
            try:
                order.answer.set_result(read_now(self.name, self._line, self._meters[order.meter], self._clock))
            except LineDownError as error:
                self._went_down(error)
                order.answer.set_exception(error)

    def snapshot(self) -> dict[str, Any]:
        """The line as `status` shows it."""
        passed_s = max(self._clock.monotonic() - self._began_s, 0.001)
        return {
            "state": "open" if self._line.is_open else "down",
            "busy": round(min(1.0, self._line.busy_s / passed_s), 3),
            "polls": sum(meter.rounds for meter in self._meters.values()),
            "skipped": sum(meter.turn.skipped for meter in self._meters.values()),
            "detail": self._down_detail,
        }

    def meters(self) -> dict[str, dict[str, Any]]:
        """The line's meters as `status` shows them, without their last round (the store has that)."""
        return {name: {"line": self.name, **meter.snapshot()} for name, meter in self._meters.items()}


def read_now(line_name: str, line: Line, meter: PolledMeter, clock: Clock) -> dict[str, Any]:
    """One poll now: every exchange with its bytes, and the values. Raises LineDownError."""
    line.open()
    sweep = meter.sweep(line, timeout_s=max(line.timeout_s, meter.delay.timeout_s(line.timeout_s)))
    meter.ready_at_s = sweep.trusted_again_s
    return {"meter": meter.name, "line": line_name, **meter.told(sweep, clock)}
