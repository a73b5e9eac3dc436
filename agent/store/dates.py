"""From a round's number to its date: boots and eras. Pure.

Strategy: a row carries boot time, which nobody sets. A `boot` row says from which number on that boot counts; an `era`
row what to add, from which number on. Rows are only appended: dating a boot late is one era beginning at its first
number, a step of the clock is one beginning at the next. Of two that begin at the same number the newer one holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Boot(NamedTuple):
    """From number `first` on rounds belong to this boot (`/proc/sys/kernel/random/boot_id`)."""

    first: int
    boot_id: str


class Era(NamedTuple):
    """From number `first` on, within this boot: UTC ms since 1970 = boot_ms + offset_ms, as `source` said."""

    first: int
    boot_id: str
    offset_ms: int
    source: str


class Dates:
    """The offsets of all numbers, from the rows of both tables in the order they were appended."""

    def __init__(self, boots: Iterable[Boot], eras: Iterable[Era]) -> None:
        self.boots = tuple(sorted({boot.first: boot for boot in boots}.values()))
        self._eras = {(era.boot_id, era.first): era for era in eras}  # the newer of two wins
        self._starts: list[int] = []
        self._offsets: list[int | None] = []
        for index, boot in enumerate(self.boots):
            self._add(boot, self.boots[index + 1].first if index + 1 < len(self.boots) else None)

    def _add(self, boot: Boot, end: int | None) -> None:
        eras = self.eras_of(boot.boot_id)
        before = [era for era in eras if era.first <= boot.first]
        self._starts.append(boot.first)
        self._offsets.append(before[-1].offset_ms if before else None)
        for era in eras:
            if era.first > boot.first and (end is None or era.first < end):
                self._starts.append(era.first)
                self._offsets.append(era.offset_ms)

    def eras_of(self, boot_id: str) -> Sequence[Era]:
        """The eras in force of a boot, by first number."""
        return sorted(era for (boot, _), era in self._eras.items() if boot == boot_id)

    def spell(self, number: int) -> tuple[int | None, int | None]:
        """The offset in ms that dates `number` (None: none yet) and the first number to which it no longer applies."""
        at = bisect_right(self._starts, number)
        until = self._starts[at] if at < len(self._starts) else None
        return (self._offsets[at - 1] if at else None), until

    def offset_of(self, boot_id: str, number: int) -> int | None:
        """The offset in ms of a moment of `boot_id` when `number` was the next to be given; None without a date."""
        before = [era for era in self.eras_of(boot_id) if era.first <= number]
        return before[-1].offset_ms if before else None

    def spells_from(self, number: int) -> tuple[tuple[int, int | None, int | None], ...]:
        """The stretches of numbers from that of `number` on: (first, first of the next or None, offset or None)."""
        if not self._starts:  # a file that was just made
            return ()
        ends = [*self._starts[1:], None]
        spells = zip(self._starts, ends, self._offsets, strict=True)
        return tuple(spells)[max(0, bisect_right(self._starts, number) - 1) :]
