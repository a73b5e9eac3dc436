"""Every retry policy of the agent, by name (tenacity). Waiting itself is `Clock.wait`, which a stop can end."""

from __future__ import annotations

from tenacity import RetryCallState, Retrying, wait_random_exponential
from tenacity.wait import wait_base

RECONNECT_FIRST_S = 0.2
STABLE_S = 10.0  # a connection that lived this long was a good one; a shorter one counts as a failed attempt


class Backoff:
    """Growing waits of one policy, and the way back to its beginning after a success."""

    def __init__(self, policy: wait_base) -> None:
        self._policy = policy
        self._state = RetryCallState(Retrying(), None, (), {})

    def next_s(self) -> float:
        """Seconds to wait before the next attempt."""
        wait_s = float(self._policy(self._state))
        self._state.attempt_number += 1
        return wait_s

    def reset(self) -> None:
        """The next failure is a first one again."""
        self._state.attempt_number = 1


def reconnecting(most_s: float) -> Backoff:
    """Full jitter between 0 and a bound that doubles from 0.2 s to `most_s`.

    The stations of a province that lost the same platform thereby return spread over `most_s`, not in one second.
    """
    return Backoff(wait_random_exponential(multiplier=RECONNECT_FIRST_S, max=most_s))


def refused(most_s: float) -> Backoff:
    """The waits after a platform refused what it was given: full jitter from 1 s to `most_s`."""
    return Backoff(wait_random_exponential(multiplier=1.0, max=most_s))
