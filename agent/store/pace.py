"""When to commit: as soon as the lines pause, so that a commit holds what belongs together and nothing waits long."""

from __future__ import annotations

import threading

from agent.clock import Clock
from agent.store.waiting import BOUND, Waiting

HOLD_S = 1.0
"""The longest a round waits for company before its commit begins."""

_MANY = BOUND // 2  # commit without waiting for a pause, so that lines never meet the bound while the disk keeps up
_LOOK_S = 0.01


class Pace:
    """Knows who polls and since when something waits; safe to call from every thread."""

    def __init__(self, clock: Clock, waiting: Waiting) -> None:
        self.committed_s = clock.monotonic()
        self._clock = clock
        self._waiting = waiting
        self._first_s = 0.0
        self._is_fresh = True  # no round was committed since the start: the first one waits for nobody
        self._polling: set[str] = set()

    def begin_poll(self, line: str) -> None:
        """The line is inside a poll: what waits may wait for its round."""
        self._polling.add(line)

    def end_poll(self, line: str) -> None:
        """The line pauses."""
        self._polling.discard(line)

    def first_came(self) -> None:
        """Something waits, after nothing did."""
        self._first_s = self._clock.monotonic()

    def committed(self, rounds: int) -> None:
        """A commit of so many rounds has ended."""
        self._is_fresh &= not rounds
        self.committed_s = self._clock.monotonic()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was committed for longer than a round may wait."""
        return self._clock.monotonic() - self.committed_s > HOLD_S

    def hold(self, stop: threading.Event) -> None:
        """Waits until the lines pause: nobody polls and nothing came for a look; at most `HOLD_S`."""
        seen = 0
        while not (self._is_fresh or stop.is_set() or self._waiting.hurry.is_set()):
            is_pause = self._waiting.next == seen and not self._polling
            is_late = self._clock.monotonic() - self._first_s >= HOLD_S
            if is_pause or is_late or len(self._waiting) >= _MANY:
                return
            seen = self._waiting.next
            self._clock.wait(self._waiting.hurry, _LOOK_S)
