"""What an account counts: scheduled and good readings, words, quality levels, runs. Cumulative, hour by hour.

Strategy: what happens is counted for the hour it ends in; an hour that closes takes its counts with it. So a period is
the difference of two closings, whenever they were written. A reading on the hour belongs to the hour that begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from agent.derive.crosscheck import Run
from agent.derive.exact import ONE, ZERO, exact
from agent.derive.flags import Flag, Qartod

Counts = Mapping[str, Decimal]

EXPECTED, GOOD = "expected", "good"
RUNS, RUN_H, SWAPS, ROLLOVERS, GAPS = "runs", "run_h", "swaps", "rollovers", "gaps"
UNSEEN = "unseen"  # runs between readings too far apart to see starts and stops
_FLAG, _LEVEL = "flags/", "qc/"
_WHOLE = (EXPECTED, GOOD, RUNS, SWAPS, ROLLOVERS, GAPS)
_NONE: Counts = MappingProxyType({})
_NO_SLOTS: Mapping[str, int] = MappingProxyType({})
_NO_HOURS: Mapping[str, Counts] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """`base` counts until the last closed hour, `later` what came after it, by the end of its hour (UTC ms).

    `mark_ms` is until when readings were expected so far; `slots` the last slot of each meter that gave a good one.
    """

    base: Counts = field(default_factory=lambda: _NONE)
    later: Mapping[str, Counts] = field(default_factory=lambda: _NO_HOURS)
    mark_ms: int | None = None
    slots: Mapping[str, int] = field(default_factory=lambda: _NO_SLOTS)

    def began(self, at_ms: int) -> Counting:
        """Readings are expected from here on, if not yet."""
        return self if self.mark_ms is not None else replace(self, mark_ms=at_ms)

    def rewound(self, at_ms: int) -> Counting:
        """After times that were wrong: what was counted stays, and readings are expected from here on."""
        base = self.base
        for counts in self.later.values():
            base = added(base, counts)
        return Counting(base=base, mark_ms=at_ms)

    def read(self, meter: str, at_ms: int, period_ms: int, hour_ms: int) -> Counting:
        """A meter's register gave a good reading, which counts once for its slot."""
        slot = at_ms // period_ms
        if slot <= self.slots.get(meter, -1):
            return self
        return replace(self.plus(hour_ms, {GOOD: ONE}), slots={**self.slots, meter: slot})

    def plus(self, hour_ms: int, counts: Counts) -> Counting:
        """Adds counts to the hour that ends then."""
        key = str(hour_ms)
        return replace(self, later={**self.later, key: added(self.later.get(key, _NONE), counts)})

    @exact
    def closed(self, at_ms: int, periods_ms: Mapping[str, int]) -> Counting:
        """With every hour until then in `base`, and the readings that `periods_ms` (by meter) expect until then."""
        base, later = self.base, {}
        for key, counts in self.later.items():
            if int(key) <= at_ms:
                base = added(base, counts)
            else:
                later[key] = counts
        if self.mark_ms is not None and self.mark_ms < at_ms:
            expected = sum(_slots(self.mark_ms, at_ms, each, is_first=not self.base) for each in periods_ms.values())
            base = added(base, {EXPECTED: Decimal(expected)})
        return replace(self, base=base, later=later, mark_ms=at_ms)


def _slots(begin_ms: int, end_ms: int, period_ms: int, *, is_first: bool) -> int:
    """The slots in a time; the account's first one may have begun before it."""
    first = begin_ms // period_ms if is_first else -(-begin_ms // period_ms)
    return -(-end_ms // period_ms) - first


@exact
def added(counts: Counts, more: Counts) -> Counts:
    """Both together."""
    return {name: counts.get(name, ZERO) + more.get(name, ZERO) for name in {**counts, **more}}


def of_interval(flags: Iterable[Flag], level: Qartod, ended: Iterable[Run]) -> Counts:
    """What one interval counts: its words, its level, the runs that ended with it."""
    words, runs = list(flags), list(ended)
    counts = {f"{_FLAG}{flag}": ONE for flag in words} | {f"{_LEVEL}{int(level)}": ONE}
    if Flag.ROLLOVER in words:
        counts[ROLLOVERS] = ONE
    if Flag.GAP in words:
        counts[GAPS] = ONE
    return added(counts, of_runs(runs))


def of_runs(runs: Iterable[Run]) -> Counts:
    """How many runs, and how long; apart from them those of which that is not known."""
    lengths = [run.pumped_h for run in runs]
    known = [each for each in lengths if each is not None]
    counts = {RUNS: Decimal(len(known)), RUN_H: sum(known, ZERO)} if known else {}
    return counts | ({UNSEEN: Decimal(len(lengths) - len(known))} if len(known) < len(lengths) else {})


def body_of(counts: Counts) -> dict[str, Any]:
    """The counts as a closing has them: whole numbers, hours as decimal text, words and levels by name."""
    body: dict[str, Any] = {name: int(counts.get(name, ZERO)) for name in _WHOLE}
    if counts.get(UNSEEN):
        body[UNSEEN] = int(counts[UNSEEN])
    body[RUN_H] = f"{counts.get(RUN_H, ZERO):.6f}"
    for group in (_FLAG, _LEVEL):
        named = {name.removeprefix(group): int(value) for name, value in counts.items() if name.startswith(group)}
        body[group[:-1]] = named
    return body
