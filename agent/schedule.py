"""When something is due next, on a grid of whole multiples of its period. Pure; all times are whole milliseconds."""

from __future__ import annotations

from dataclasses import dataclass


def slot_at(now_ms: int, period_ms: int) -> int:
    """The slot that `now_ms` lies in: the last whole multiple of the period at or before it."""
    return now_ms - now_ms % period_ms


@dataclass(slots=True)
class Turn:
    """Whose turn it is when: one thing with a period. `due_ms` is the slot it is due for, on the caller's clock."""

    period_ms: int
    due_ms: int
    skipped: int = 0

    def taken(self, now_ms: int) -> None:
        """The turn for `due_ms` was taken, starting at `now_ms`: the next one is the next slot after now.

        Slots that began and passed meanwhile are skipped and counted, never queued.
        """
        following = slot_at(now_ms, self.period_ms) + self.period_ms
        self.skipped += max(0, (following - self.due_ms) // self.period_ms - 1)
        self.due_ms = following

    def shifted(self, now_ms: int) -> None:
        """The clock was set: the grid begins anew at the next slot."""
        self.due_ms = slot_at(now_ms, self.period_ms) + self.period_ms
