"""When a line may spend time on a meter that does not answer: after the others, where it fits, out of a budget. Pure.

Strategy: the living have a slot to keep, the failing have none. So a failing meter is asked in a pause of the line, for
no longer than the pause lasts; once in a while for longer, since a slow meter would otherwise never be found again. A
full bus has no pause: there its turn comes when all others have had theirs. All times are seconds of one monotonic
clock, given by the caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.line.patience import Budget, probe_budget

_AROUND_S = 0.1  # what a poll takes beside the wait: the request, the silence after an error
_LEAST_WAIT_S = 0.2  # a shorter wait proves nothing
_FRESH_S = 0.1  # a pause that began within this is as long as pauses get
_PATIENCE_S = 5.0  # a bus without a pause for that long is a full one; else it only catches up
_OVERRUN_FACTOR = 50.0  # after running over by a wait, that many waits without


class Wait(NamedTuple):
    """How long a failing meter is waited for; free: inside a pause, where it costs nobody anything."""

    seconds: float
    is_free: bool


@dataclass(slots=True)
class Probing:
    """Decides for one line; `budget` pays while others have slots to keep."""

    budget: Budget = field(default_factory=probe_budget)
    _candidate_since_s: float = math.inf
    _paused_since_s: float = math.inf
    _paused_at_s: float = -math.inf
    _no_overrun_before_s: float = -math.inf

    def nobody(self) -> None:
        """No failing meter waits to be asked."""
        self._candidate_since_s = math.inf

    def paused(self, now_s: float) -> None:
        """No other meter is due now."""
        self._paused_since_s = min(self._paused_since_s, now_s)
        self._paused_at_s = now_s

    def busy(self) -> None:
        """Another meter is due now."""
        self._paused_since_s = math.inf

    def on_a_full_bus(self, now_s: float, *, oldest_turn_s: float) -> bool:
        """Whether a failing meter goes before those due: long no pause, and everybody's turn since it began to wait.

        `oldest_turn_s`: when the one of them that waits longest was asked last.
        """
        if not self.budget.can_pay(now_s):
            return False
        since_s = self._candidate_since_s = min(self._candidate_since_s, now_s)
        return self._paused_at_s < since_s <= oldest_turn_s and now_s - since_s >= _PATIENCE_S

    def wait_in_pause(self, now_s: float, *, wanted_s: float, pause_s: float) -> Wait | None:
        """How long a failing meter may be waited for in a pause that lasts `pause_s` more; None: not in this one."""
        self._candidate_since_s = min(self._candidate_since_s, now_s)
        if wanted_s + _AROUND_S <= pause_s:
            return Wait(wanted_s, is_free=True)
        if now_s - self._paused_since_s > _FRESH_S:
            return None
        if now_s >= self._no_overrun_before_s and self.budget.can_pay(now_s):
            self._no_overrun_before_s = now_s + _OVERRUN_FACTOR * wanted_s
            return Wait(wanted_s, is_free=False)
        shorter_s = pause_s - _AROUND_S
        return Wait(shorter_s, is_free=True) if shorter_s >= _LEAST_WAIT_S else None

    def spent(self, cost_s: float, *, is_free: bool = False) -> None:
        """A failing meter was asked, which took `cost_s`; in a pause that it fits in nobody pays for it."""
        if not is_free:
            self.budget.pay(cost_s)
        self._candidate_since_s = math.inf
