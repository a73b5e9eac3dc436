"""What a run of simulated stations adds up to, in a fixed amount of memory. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

_LEAST_S = 0.0001
_STEP = math.log(1.02)  # two percent a bin: figures are so exact
_BINS = 1000  # up to about eleven hours


@dataclass(slots=True)
class Latencies:
    """Seconds from a report's first send to its acknowledgement, as counts by bins."""

    count: int = 0
    most_s: float = 0.0
    _bins: list[int] = field(default_factory=lambda: [0] * _BINS)

    def add(self, s: float) -> None:
        """One more."""
        at = 0 if s <= _LEAST_S else min(_BINS - 1, 1 + int(math.log(s / _LEAST_S) / _STEP))
        self._bins[at] += 1
        self.count += 1
        self.most_s = max(self.most_s, s)

    def quantile_s(self, share: float) -> float | None:
        """The latency that `share` of all keep; None without any. Never less than it was, at most 2 % more."""
        if not self.count:
            return None
        wanted, seen = math.ceil(share * self.count), 0
        for at, number in enumerate(self._bins):
            seen += number
            if seen >= wanted:
                return min(self.most_s, _LEAST_S * math.exp(at * _STEP))
        return self.most_s


@dataclass(slots=True)
class Tally:
    """Counts of one run. `reports` were begun, `sent` counts frames of them with repeats."""

    stations: int = 0
    connections: int = 0
    failed_connections: int = 0
    lost: int = 0  # connections that the platform ended
    reports: int = 0
    sent: int = 0
    acknowledged: int = 0
    unconfirmed: int = 0  # sent in a mode that knows no acknowledgement
    unanswered: int = 0
    refused: int = 0  # have no form in this protocol
    wrongly_acknowledged: int = 0
    asked: int = 0
    violations: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    connect_error: int = 0  # errno of the last connection that could not be made

    @property
    def is_good(self) -> bool:
        """Whether all that had to be acknowledged was, and nothing else."""
        return not (self.unanswered or self.wrongly_acknowledged)

    def as_json(self) -> dict[str, Any]:
        """The counts and latencies in ms."""
        names = (name for name in self.__slots__ if name not in {"latencies", "connect_error"})
        shown = {"p50": self.latencies.quantile_s(0.5), "p99": self.latencies.quantile_s(0.99)}
        shown["most"] = self.latencies.most_s if self.latencies.count else None
        return {name: getattr(self, name) for name in names} | {
            "latency_ms": {name: None if s is None else round(s * 1000, 1) for name, s in shown.items()}
        }
