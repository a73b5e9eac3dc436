"""Which boots and eras there are, and the rows that say so. The arithmetic is in dates.py.

Strategy: rows are only appended. A boot is written with the first commit of a process that runs in it; the first date
of a boot holds from its first number on, a later one from the next number on.
"""

from __future__ import annotations

import sqlite3

from agent.store.dates import Boot, Dates, Era
from agent.store.queues import Statement

_SAME_MS = 50  # two offsets nearer than this differ by rounding and slewing, not by a step
_BOOT = (  # a number that a seal covers is not given again, even where salvage lost its row
    "INSERT INTO boot SELECT 1 + max(ifnull((SELECT max(id) FROM boot), 0), ifnull((SELECT max(boot) FROM seal), 0)),"
    " ?, ?"
)
_ERA = (
    "INSERT INTO era SELECT 1 + max(ifnull((SELECT max(id) FROM era), 0), ifnull((SELECT max(era) FROM seal), 0)),"
    " ?, ?, ?, ?, ?"
)


class Calendar:
    """The dates of all rounds, as this process knows them; used under the store's own lock."""

    def __init__(self) -> None:
        self._boots: list[Boot] = []
        self._eras: list[tuple[Era, int]] = []  # with the boot time at which it was learned
        self.dates = Dates((), ())

    def load(self, connection: sqlite3.Connection, boot_id: str, number: int) -> list[Statement]:
        """Takes up what a file that was just opened knows; `number` is the next, in `boot_id`. Gives what is new."""
        self._boots = [Boot(*row) for row in connection.execute("SELECT first, boot_id FROM boot ORDER BY id")]
        query = "SELECT first, boot_id, offset_ms, source, set_boot_ms FROM era ORDER BY id"
        self._eras = [(Era(*row[:-1]), row[-1]) for row in connection.execute(query)]
        news: list[Statement] = []
        if not self._boots or self._boots[-1].boot_id != boot_id:
            self._boots.append(Boot(number, boot_id))
            news.append((_BOOT, self._boots[-1]))
        self._refresh()
        return news

    def date(
        self, boot_id: str, number: int, offset_ms: int, source: str, *, step: bool, at_ms: int
    ) -> list[Statement]:
        """A date for `boot_id`, learned at boot time `at_ms` when `number` was the next; nothing when it is known."""
        known = self.dates.offset_of(boot_id, number)
        if known is not None and not step and abs(known - offset_ms) <= _SAME_MS:
            return []
        first = min(boot.first for boot in self._boots if boot.boot_id == boot_id)
        era = Era(first if known is None else number, boot_id, offset_ms, source)
        self._eras.append((era, at_ms))
        self._refresh()
        return [(_ERA, (*era, at_ms))]

    def restated(self) -> list[Statement]:
        """All rows once more, for a file that replaces a damaged one."""
        return [*((_BOOT, boot) for boot in self._boots), *((_ERA, (*era, at_ms)) for era, at_ms in self._eras)]

    def _refresh(self) -> None:
        self.dates = Dates(self._boots, (era for era, _ in self._eras))
