"""What a serial bus allows: the arithmetic the figures are compared with. Independent of the agent's own planner."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

REQUEST_CHARACTERS = 8
REPLY_OVERHEAD_CHARACTERS = 5
SILENCE_CHARACTERS = 3.5
FAST_SILENCE_S = 0.00175  # above 19 200 baud the standard fixes the silence
BITS_8N1 = 10


def character_s(baud: int, bits: int = BITS_8N1) -> float:
    return bits / baud


def silence_s(baud: int, bits: int = BITS_8N1) -> float:
    return FAST_SILENCE_S if baud > 19200 else SILENCE_CHARACTERS * character_s(baud, bits)


def read_s(registers: int, baud: int, turnaround_s: float) -> float:
    """One request and its reply, with the meter's turnaround and the silence before the next request."""
    characters = REQUEST_CHARACTERS + REPLY_OVERHEAD_CHARACTERS + 2 * registers
    return characters * character_s(baud) + turnaround_s + silence_s(baud)


def best_s(registers: Sequence[int], baud: int, turnaround_s: float) -> float:
    """The shortest time that reads these registers: every way to cut them into contiguous reads is tried.

    Only gaps are worth a cut, so all subsets of the gaps are.
    """
    ordered = sorted(registers)
    gaps = [index for index, (low, high) in enumerate(pairwise(ordered), start=1) if high - low > 1]
    best = float("inf")
    for chosen in product((False, True), repeat=len(gaps)):
        cuts = [0, *(gap for gap, cut in zip(gaps, chosen, strict=True) if cut), len(ordered)]
        spans = [ordered[high - 1] - ordered[low] + 1 for low, high in pairwise(cuts)]
        best = min(best, sum(read_s(span, baud, turnaround_s) for span in spans))
    return best
