"""Which rows go, and when: by age, by the size of the file, at the disk floor.

Strategy: rows go in blocks, inside a transaction that inserts, so that deleting never needs room of its own. What a
frozen report or an event rests on never goes. Rows that
every platform has accepted go by age or size; rows that one still waits for go only when the disk is at its floor and
the file has no free pages left to write into, oldest first, and are counted in a Fault. At the floor the file thus
stops growing but is not emptied: free pages are used again, whoever else fills the disk. What was deleted is remembered
as ranges, in rows that only a deletion touches: numbers are never given twice, and counting needs no scan. No age is
believed before the date has stood for a day: a year that was typed wrong would make everything old.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.clock import Clock
from agent.model import Ranges
from agent.store import cursors, proofs, seals
from agent.store.database import PAGE_BYTES
from agent.store.dates import Dates
from agent.store.reserve import Reserve

BLOCK = 1000
_AGE_EVERY_S = 60.0
_STANDS_S = 86_400.0  # so long somebody has to see that a date is wrong
_SAME_DATE_MS = 3_600_000  # smaller steps make nothing old
_SPARE_PAGES = 16  # what a commit needs beside its rows
_ALLOWED_BYTES = 1 << 20  # up to this the file may grow even at the floor: emptying it would not help the disk
_ALLOWED_SHARE = 4  # as long as this many times as much is free


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """What one transaction deletes: closed ranges, and how many rows of them a platform still waited for."""

    ranges: tuple[tuple[int, int], ...]
    unsent: int


NOTHING = Purge(ranges=(), unsent=0)


class Retention:
    """Decides and deletes; used by the thread that commits. Durations in seconds, sizes in bytes."""

    def __init__(self, path: Path, *, clock: Clock, keep_s: float, max_bytes: int, free_bytes: int) -> None:
        self.reserve = Reserve(path)
        self._clock = clock
        self._keep_ms = round(keep_s * 1000)
        self._max_bytes = max_bytes
        self.floor_bytes = free_bytes
        self._aged_s = clock.monotonic() - _AGE_EVERY_S
        self._offset_ms, self._dated_s = clock.offset_ms, clock.monotonic()  # the date, and since when it stands
        self.deleted: Ranges = ()
        self.kept: Ranges = ()  # never deleted, whatever the disk says
        self.evicted = 0

    def load(self, connection: sqlite3.Connection) -> None:
        """Takes up what was deleted from a file that was just opened."""
        meta = dict(connection.execute("SELECT name, value FROM meta"))
        self.deleted = cursors.loads(meta.get("deleted", "[]"))
        kept = connection.execute("SELECT first, last FROM keep").fetchall()
        self.kept = cursors.union(self.kept, tuple(kept))
        self.evicted = int(meta.get("evicted", "0"))

    def is_at_floor(self) -> bool:
        """Whether the file must not grow: less is free than shall stay free, or the disk was full and nearly is."""
        return self.reserve.is_spent or self.reserve.free_bytes() < self.floor_bytes

    def keep(self, first: int, last: int) -> None:
        """Rounds first…last stay for good: a frozen report or an event rests on them."""
        self.kept = cursors.union(self.kept, ((first, last),))

    def stored(self, committed: int) -> int:
        """How many rounds the file holds."""
        return committed - cursors.count(self.deleted, committed)

    def plan(
        self,
        connection: sqlite3.Connection,
        *,
        committed: int,
        incoming: int,
        owed: Callable[[], Ranges],
        dates: Dates,
        full: bool,
    ) -> Purge:
        """What to delete in the transaction that inserts `incoming` rows; `full`: the last one found no room."""
        size = max(BLOCK, 2 * incoming)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
        if full or (self.is_at_floor() and unused < self._need(pages - unused, committed, incoming)):
            return self._make_room(connection, owed(), committed, size, least=2 * incoming if full else 1)
        if (pages - unused) * PAGE_BYTES > self._max_bytes:
            return self._whole(self._block(connection, owed(), committed, size))
        if self._is_dated() and self._clock.monotonic() - self._aged_s >= _AGE_EVERY_S:
            block = self._whole(self._block(connection, owed(), committed, size))
            if block.ranges and self._is_old(connection, block.ranges[-1][1], dates):
                return block
            self._aged_s = self._clock.monotonic()
        return NOTHING

    def _is_dated(self) -> bool:
        """Whether the date is known and has stood for long enough."""
        if not self._clock.synced or abs(self._clock.offset_ms - self._offset_ms) > _SAME_DATE_MS:
            self._offset_ms, self._dated_s = self._clock.offset_ms, self._clock.monotonic()
        return self._clock.monotonic() - self._dated_s >= _STANDS_S

    def execute(self, connection: sqlite3.Connection, purge: Purge) -> None:
        """Deletes inside the caller's transaction: a kill, power cut or full disk leaves it all undone or all done.

        The proof of what goes stays (`proofs.spare`); all of it must be sealed.
        """
        deleted = self.deleted
        proofs.spare(connection, purge.ranges)
        for first, last in purge.ranges:
            connection.execute("DELETE FROM round WHERE number BETWEEN ? AND ?", (first, last))
            deleted = cursors.union(deleted, ((first, last),))
        rows = [("deleted", cursors.dumps(deleted)), ("evicted", str(self.evicted + purge.unsent))]
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def done(self, purge: Purge) -> None:
        """The transaction with `purge` was committed."""
        self.deleted = cursors.union(self.deleted, purge.ranges)
        self.evicted += purge.unsent

    def _need(self, used_pages: int, committed: int, incoming: int) -> int:
        """Free pages with which this commit and the next one do not make the file grow; 0 while it is small."""
        if used_pages * PAGE_BYTES < min(_ALLOWED_BYTES, self.reserve.free_bytes() // _ALLOWED_SHARE):
            return 0
        pages_per_row = used_pages / max(BLOCK, self.stored(committed))
        return _SPARE_PAGES + round(2 * incoming * pages_per_row)

    def _make_room(
        self, connection: sqlite3.Connection, owed: Ranges, committed: int, size: int, *, least: int
    ) -> Purge:
        """The oldest settled rows; where there are not `least` of them, also the oldest that a platform waits for."""
        settled = self._block(connection, owed, committed, size)
        count = _rows(settled)
        if count >= least:
            return Purge(ranges=settled, unsent=0)
        size = min(size, max(least, self.stored(committed) // 2)) - count
        oldest = self._block(connection, settled, committed, size)
        return Purge(ranges=(*settled, *oldest), unsent=_rows(oldest))

    def _block(
        self, connection: sqlite3.Connection, owed: Ranges, committed: int, size: int
    ) -> tuple[tuple[int, int], ...]:
        """The oldest `size` stored numbers that are neither owed nor kept for good, as ranges.

        Some more where a seal would else be cut in two: the proof of a half costs a tenth of what its rounds do.
        """
        block: list[tuple[int, int]] = []
        for first, last in cursors.free(cursors.union(owed, self.deleted, self.kept), 1, committed):
            end = min(last, first + size - 1)
            if end < last:
                seal = seals.seal_of(connection, end)
                end = end if seal is None else min(last, seal.last)
            block.append((first, end))
            size -= end - first + 1
            if size <= 0:
                break
        return tuple(block)

    @staticmethod
    def _whole(block: tuple[tuple[int, int], ...]) -> Purge:
        """The block, or nothing while it is too small to be worth its pages."""
        return Purge(ranges=block, unsent=0) if _rows(block) >= BLOCK else NOTHING

    def _is_old(self, connection: sqlite3.Connection, number: int, dates: Dates) -> bool:
        """Whether round `number` is past its age; one without a date is at least as old as the next that has one."""
        for first, _, offset_ms in dates.spells_from(number):
            if offset_ms is None:
                continue
            query = "SELECT boot_ms FROM round WHERE number >= ? ORDER BY number LIMIT 1"
            row = connection.execute(query, (max(first, number),)).fetchone()
            return (
                row is not None and row[0] + offset_ms < self._clock.boot_ms() + self._clock.offset_ms - self._keep_ms
            )
        return False


def _rows(block: tuple[tuple[int, int], ...]) -> int:
    return sum(last - first + 1 for first, last in block)
