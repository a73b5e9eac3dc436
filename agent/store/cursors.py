"""The sets of round numbers an uplink still owes: subtract, join, add back. Pure.

Strategy: a set is closed ranges, ascending, disjoint and not adjacent; None as an end means open. A link that flaps
leaves a range each time, so a set is kept to `MOST_RANGES` by joining across the smallest settled hole: that repeats
the hole (same ids), it never loses a round.
"""

from __future__ import annotations

import json

from agent.model import Ranges

MOST_RANGES = 32
_OPEN = 1 << 62  # stands for the open end inside this module; no number gets there


def subtract(ranges: Ranges, first: int, last: int) -> Ranges:
    """`ranges` without first…last, which are settled; bounded."""
    return bounded(without(ranges, first, last))


def without(ranges: Ranges, first: int, last: int) -> Ranges:
    """`ranges` without first…last, exactly."""
    kept: list[tuple[int, int | None]] = []
    for low, high in ranges:
        end = _OPEN if high is None else high
        if end < first or low > last:
            kept.append((low, high))
            continue
        if low < first:
            kept.append((low, first - 1))
        if end > last:
            kept.append((last + 1, high))
    return tuple(kept)


def add(ranges: Ranges, first: int, last: int | None) -> Ranges:
    """`ranges` with first…last put back (last None: everything from first on); bounded."""
    return bounded(_joined((*ranges, (first, last))))


def bounded(ranges: Ranges) -> Ranges:
    """The same set, or one that repeats a little, of at most `MOST_RANGES` ranges."""
    kept = list(ranges)
    while len(kept) > MOST_RANGES:
        at = min(range(len(kept) - 1), key=lambda i: kept[i + 1][0] - (kept[i][1] or _OPEN))
        kept[at : at + 2] = [(kept[at][0], kept[at + 1][1])]
    return tuple(kept)


def union(*sets: Ranges) -> Ranges:
    """What any of the sets holds, not bounded."""
    return _joined(tuple(each for ranges in sets for each in ranges))


def holds(ranges: Ranges, number: int) -> bool:
    """Whether `number` is in the set."""
    return any(low <= number and (high is None or number <= high) for low, high in ranges)


def count(ranges: Ranges, top: int) -> int:
    """How many numbers up to and including `top` the set holds."""
    return sum(max(0, min(top, _OPEN if high is None else high) - low + 1) for low, high in ranges)


def free(ranges: Ranges, first: int, last: int) -> tuple[tuple[int, int], ...]:
    """The parts of first…last that are not in the set, ascending."""
    gaps: list[tuple[int, int]] = []
    for low, high in ranges:
        if first > last or low > last:
            break
        if low > first:
            gaps.append((first, low - 1))
        first = max(first, (_OPEN if high is None else high) + 1)
    if first <= last:
        gaps.append((first, last))
    return tuple(gaps)


def dumps(ranges: Ranges) -> str:
    """The set as the text of its row."""
    return json.dumps(ranges, separators=(",", ":"))


def loads(text: str) -> Ranges:
    """The inverse of `dumps`."""
    return tuple((low, high) for low, high in json.loads(text))


def _joined(ranges: Ranges) -> Ranges:
    """Ascending and disjoint, neighbours joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted((low, _OPEN if high is None else high) for low, high in ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple((low, None if high == _OPEN else high) for low, high in joined)
