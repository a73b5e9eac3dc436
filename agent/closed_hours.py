"""Which round told how an hour of an intake closed, while somebody waits to hear that it arrived.

Strategy: an hour may close long after its time (a meter that was silent, a boot that was dated late), so nothing about
its reading's number follows from its date, and to search for an hour that has not closed would be to read the whole
file. What was stored since the last look is gone over instead, a bounded piece each time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from agent.store.book_reader import BookReader

_PIECE = 50_000  # rounds of one look


class Hour(NamedTuple):
    """A full hour of an intake, by its end in UTC ms."""

    intake: str
    at_ms: int


class ClosedHours:
    """The readings that closed hours, by what was stored up to round `passed`."""

    def __init__(self, numbers: Mapping[Hour, int], passed: int | None) -> None:
        """Goes on from what was kept; `passed` None: begins with what is stored from now on."""
        self.numbers = dict(numbers)
        self.passed = passed

    def look(self, reader: BookReader) -> None:
        """Takes in what was stored since; of an hour told again the first reading counts. Raises as `reader`."""
        committed = reader.rounds.committed()
        if self.passed is None:
            self.passed = committed
        last = min(committed, self.passed + _PIECE)
        for intake, at_ms, number in reader.closing_readings(self.passed + 1, last):
            self.numbers.setdefault(Hour(intake, at_ms), number)
        self.passed = last

    def keep(self, hours: Collection[Hour]) -> None:
        """Forgets all other hours."""
        self.numbers = {hour: number for hour, number in self.numbers.items() if hour in hours}
