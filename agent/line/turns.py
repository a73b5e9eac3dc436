"""Whose turn it is on a line: the living by their slots, a failing meter in a pause, or last on a full bus.

`now_s` is monotonic time; `now_ms` the time of the slots' grid, on which the meters' turns count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.line.meter import PolledMeter
from agent.line.patience import short_probe_s
from agent.line.probing import Probing

_PROBE_LOOK_S = 0.05  # how often a failing meter that waits for budget or a pause is looked at
_FOREVER_S = 3600.0  # the pause of a line on which nobody else is polled
_LONGEST_PAUSE_S = 2.0  # so that the beat shows life
_LEAST_PAUSE_S = 0.0005


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to ask; `wait_s` is how long its first byte is waited for, None: as its own delays tell.

    `is_free`: a failing meter in a pause that it fits in.
    """

    meter: PolledMeter
    wait_s: float | None = None
    is_free: bool = False


class Turns:
    """Decides for one line. `timeout_s` is the configured wait for a meter that nobody knows yet."""

    def __init__(self, meters: Sequence[PolledMeter], *, timeout_s: float) -> None:
        self._meters = tuple(meters)
        self._timeout_s = timeout_s
        self._probing = Probing()

    def next(self, now_s: float, now_ms: int) -> Choice | None:
        """Whom to ask now; None when it is nobody's turn."""
        due_s = {meter.name: _due_s(meter, now_s, now_ms) for meter in self._meters if not meter.breaker.failures}
        due = [meter for meter in self._meters if due_s.get(meter.name, 1.0) <= 0]
        if due:
            self._probing.busy()
        else:
            self._probing.paused(now_s)
        failing = self._failing(now_s)
        if failing is None:
            self._probing.nobody()
        elif due:
            if self._probing.on_a_full_bus(now_s, oldest_turn_s=min(meter.asked_at_s for meter in due)):
                return Choice(failing, self._short_s() if self._is_stranger(failing) else self._wanted_s(failing))
        else:
            pause_s = min(due_s.values(), default=_FOREVER_S)
            wait = self._probing.wait_in_pause(now_s, wanted_s=self._wanted_s(failing), pause_s=pause_s)
            return None if wait is None else Choice(failing, wait.seconds, wait.is_free)
        return self._first_of(due) if due else None

    def _first_of(self, due: Sequence[PolledMeter]) -> Choice:
        meter = min(due, key=lambda meter: (0 if meter.is_unfinished else meter.turn.due_ms, meter.asked_at_s))
        # While others wait, a meter nobody has heard yet gets a short first wait; the long one comes in a pause.
        is_stranger = meter.delay.least_s is None and len(due) > 1
        return Choice(meter, self._short_s() if is_stranger else None)

    def _is_stranger(self, meter: PolledMeter) -> bool:
        """Nobody has heard it yet, and it has not been probed for long."""
        return meter.delay.least_s is None and not meter.breaker.is_open

    def _failing(self, now_s: float) -> PolledMeter | None:
        """The failing meter that waits longest to be asked."""
        waiting = [meter for meter in self._meters if meter.breaker.failures and _probe_s(meter) <= now_s]
        return min(waiting, key=_probe_s, default=None)

    def _wanted_s(self, meter: PolledMeter) -> float:
        """How long a failing meter should be waited for."""
        if meter.breaker.is_open and meter.breaker.is_probe_short:
            return self._short_s()
        return max(self._timeout_s, meter.delay.timeout_s(self._timeout_s))

    def _short_s(self) -> float:
        return short_probe_s(max(meter.delay.worst_s for meter in self._meters))

    def spent(self, cost_s: float, choice: Choice) -> None:
        """Books the time that a failing meter took."""
        self._probing.spent(cost_s, is_free=choice.is_free)

    def wait_s(self, now_s: float, now_ms: int) -> float:
        """Seconds until it may be somebody's turn."""
        waits = [_LONGEST_PAUSE_S]
        for meter in self._meters:
            if meter.breaker.failures:
                waits.append(max(_probe_s(meter) - now_s, _PROBE_LOOK_S))
            else:
                waits.append(_due_s(meter, now_s, now_ms))
        return max(min(waits), _LEAST_PAUSE_S)

    def pause_s(self, now_s: float, now_ms: int) -> float:
        """Seconds that the living leave free from now on; not above 0 while one of them is due."""
        living = (meter for meter in self._meters if not meter.breaker.failures)
        return min((_due_s(meter, now_s, now_ms) for meter in living), default=_FOREVER_S)


def _due_s(meter: PolledMeter, now_s: float, now_ms: int) -> float:
    """Seconds until a living meter may be polled; not above 0 when it is due."""
    left_s = 0.0 if meter.is_unfinished else (meter.turn.due_ms - now_ms) / 1000
    return max(left_s, meter.ready_at_s - now_s)


def _probe_s(meter: PolledMeter) -> float:
    """When a failing meter may be asked again, monotonic."""
    return max(meter.probe_at_s, meter.ready_at_s)
