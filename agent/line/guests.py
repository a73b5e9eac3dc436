"""Questions of others on a line that is polled: put between the polls, so that the meters keep their slots.

Strategy: a question fits into a pause, or it is paid for out of a small share of the line's time; on a bus that has no
pause it waits for its turn like a probe. One question at a time, whoever sent them. `invite` is called from any thread,
all else from the line's own.
"""

from __future__ import annotations

import queue
from concurrent.futures import Future
from dataclasses import dataclass, field

from agent.line.line import Line, Transaction
from agent.line.patience import Budget, Delay
from agent.line.ports import LineDownError, WireSettings
from drivers.contract import Ask

_AROUND_S = 0.06  # silence after no answer, and what schedulers add
_ANSWER_CHARACTERS = 20
_SHARE = 0.05  # of the line's time, for all guests together
_SAVED_S = 2.0
_MOST_SAVED_S = 1.5  # a question longer than that is asked when so much is saved
_PATIENCE_S = 5.0  # a bus without a pause for that long is a full one
_LEAST_DISTRUST_S = 1.0
_DISTRUST_TIMEOUTS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """One question: what is asked, how the meter is spoken to, who it is, and how long to wait for the first byte."""

    ask: Ask
    wire: WireSettings
    address: str
    wait_s: float
    answer: Future[tuple[int, Transaction]] = field(default_factory=Future)

    @property
    def cost_s(self) -> float:
        """Seconds of line time that it takes at most, save for a long answer that comes late."""
        wire = self.wire
        characters = self.ask.request_size + _ANSWER_CHARACTERS
        return characters * wire.character_s + self.wait_s + 2 * wire.silence_s + _AROUND_S


class Guests:
    """Those who wait on one line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._waiting: queue.SimpleQueue[Guest] = queue.SimpleQueue()
        self._first: Guest | None = None
        self._budget = Budget(share=_SHARE, most_s=_SAVED_S)
        self._paused_at_s: float | None = None

    def invite(self, guest: Guest) -> None:
        """Puts a question at the end of the queue; its `answer` is set when it was asked, or cannot be."""
        self._waiting.put(guest)

    @property
    def is_waiting(self) -> bool:
        """Somebody has a question."""
        while self._first is None and not self._waiting.empty():
            guest = self._waiting.get()
            if guest.answer.set_running_or_notify_cancel():  # else whoever asked has left
                self._first = guest
        return self._first is not None

    def may_ask(self, now_s: float, *, pause_s: float) -> bool:
        """Whether the first may ask now that no meter is due for `pause_s`; not above 0: one is."""
        self._budget.refill(now_s)
        if pause_s > 0 or self._paused_at_s is None:
            self._paused_at_s = now_s
        guest = self._first
        if guest is None:
            return False
        if guest.cost_s <= pause_s:
            return True
        if pause_s <= 0 and now_s - self._paused_at_s < _PATIENCE_S:
            return False
        return self._budget.saved_s >= min(guest.cost_s, _MOST_SAVED_S)

    def ask(self, *, pause_s: float) -> tuple[str, float]:
        """Asks the first one's question: the address asked, and until when (monotonic) a late answer may come from it.

        Raises LineDownError, as the guest is told too.
        """
        guest, self._first = self._first, None
        assert guest is not None, "asked only after may_ask"
        number, before_s = self._line.next_number(), self._line.busy_s
        try:
            found = self._line.transact(guest.ask.begin(number), guest.wire, Delay(), timeout_s=guest.wait_s)
        except LineDownError as error:
            guest.answer.set_exception(error)
            raise
        self._budget.pay(max(0.0, self._line.busy_s - before_s - max(0.0, pause_s)))
        guest.answer.set_result((number, found))
        if found.reply is not None or self._line.is_numbered:
            return guest.address, 0.0
        return guest.address, found.asked_s + max(_LEAST_DISTRUST_S, _DISTRUST_TIMEOUTS * self._line.timeout_s)

    def dismiss(self, error: LineDownError) -> None:
        """Tells all who wait that the line is away."""
        while self.is_waiting:
            guest, self._first = self._first, None
            assert guest is not None, "somebody waits"
            guest.answer.set_exception(error)
