"""How long a meter is waited for, from what it showed: timeouts, breaker, a line's budget for probing the dead. Pure.

All times are seconds of one monotonic clock, given by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_LEAST_TIMEOUT_S = 0.1
_DELAY_FACTOR = 3.0
_DELAY_MARGIN_S = 0.05
_FLOOR_RISE = 0.002  # share of the excess by which the smallest delay rises per poll: a meter may become slower
_WORST_DECAY = 0.999
_FAILURES_TO_OPEN = 2
_PROBE_COSTS = 10.0  # first probe after ten times what a failed poll costs, then doubling
_LONGEST_PROBE_S = 60.0
_PROBE_SHARE = 0.02
_PROBE_MOST_S = 1.0
_BUDGET_DEBT_S = 1.0  # second tries are made without asking the budget: many at once must not stop all probes
_SHORT_PROBE_LEAST_S = 0.2
_SHORT_PROBE_FACTOR = 4.0
_PROBE_CYCLE = 5  # of five probes three are short


@dataclass(slots=True)
class Delay:
    """What is known of a meter's answer delay (end of request to first byte)."""

    least_s: float | None = None
    worst_s: float = 0.0

    def seen(self, delay_s: float) -> None:
        """Takes in one measured delay."""
        if self.least_s is None or delay_s < self.least_s:
            self.least_s = delay_s
        else:
            self.least_s += _FLOOR_RISE * (delay_s - self.least_s)
        self.worst_s = max(delay_s, self.worst_s * _WORST_DECAY)

    def timeout_s(self, configured_s: float) -> float:
        """How long to wait for the first byte: the configured time until it has answered, then from its own delays."""
        if self.least_s is None:
            return configured_s
        derived = max(_LEAST_TIMEOUT_S, _DELAY_FACTOR * self.worst_s + _DELAY_MARGIN_S)
        return min(derived, max(configured_s, self.worst_s + _DELAY_MARGIN_S))


@dataclass(slots=True)
class Breaker:
    """Stops a meter that fails from costing its neighbours: open after two failures, then growing probes."""

    failures: int = 0
    probe_at_s: float = 0.0
    _pause_s: float = 0.0
    _probes: int = 0

    @property
    def is_open(self) -> bool:
        """Only probes are sent."""
        return self.failures >= _FAILURES_TO_OPEN

    @property
    def is_probe_short(self) -> bool:
        """Whether the next probe waits only as long as this line's meters usually take."""
        return self._probes % _PROBE_CYCLE not in {0, 3}

    def failed(self, now_s: float, cost_s: float, *, is_known: bool = True) -> None:
        """A poll that cost `cost_s` of line time got no answer.

        `is_known`: not one that never gave any though it was given all the time; that one gets no second try.
        """
        self.failures += 1 if is_known else _FAILURES_TO_OPEN
        if self.is_open:
            self._pause_s = min(_LONGEST_PROBE_S, 2 * self._pause_s or _PROBE_COSTS * cost_s)
            self._probes += 1
            self.probe_at_s = now_s + self._pause_s

    def succeeded(self) -> None:
        """The meter answered."""
        self.failures, self._pause_s, self._probes = 0, 0.0, 0


def short_probe_s(worst_delay_on_line_s: float) -> float:
    """The short timeout of a probe."""
    return max(_SHORT_PROBE_LEAST_S, _SHORT_PROBE_FACTOR * worst_delay_on_line_s)


@dataclass(slots=True)
class Budget:
    """A token bucket of line time, in seconds: `share` of the time that passes, saved up to `most_s`."""

    share: float
    most_s: float
    saved_s: float = field(init=False)
    _filled_at_s: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.saved_s = self.most_s

    def refill(self, now_s: float) -> None:
        """Adds the share of the time that has passed."""
        if self._filled_at_s is not None:
            self.saved_s = min(self.most_s, self.saved_s + self.share * (now_s - self._filled_at_s))
        self._filled_at_s = now_s

    def can_pay(self, now_s: float) -> bool:
        """Whether there is anything left."""
        self.refill(now_s)
        return self.saved_s > 0

    def pay(self, cost_s: float) -> None:
        """Books what was spent; the bucket may go below zero, by a second at most, and then recovers."""
        self.saved_s = max(-_BUDGET_DEBT_S, self.saved_s - cost_s)


def probe_budget() -> Budget:
    """What pays for all probes of a line that do not fit in its pauses."""
    return Budget(share=_PROBE_SHARE, most_s=_PROBE_MOST_S)
