"""The one connection that writes: transactions, and what happens when one fails.

Strategy: a batch is handed in and stays with the caller until its COMMIT returned; all its statements may be repeated.
On a full disk the reserve file is given back, and after some patience the oldest rows go. After any other error the
connection is closed, since after a failed fsync the kernel may call pages clean that are not on disk: the file is
opened anew, checked, and the log written out afresh. A file that is broken is set aside and salvaged.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from agent.clock import Clock
from agent.faults import FaultCode
from agent.model import Ranges
from agent.store import faults, proofs, salvage
from agent.store.database import connect, is_damage, is_sound, primary_code, side
from agent.store.dates import Dates
from agent.store.faults import FaultLog, FaultWrite
from agent.store.queues import Statement
from agent.store.retention import NOTHING, Purge, Retention
from agent.store.seals import Seal, Sealing
from agent.store.waiting import RoundRow

_ROUND = "INSERT OR REPLACE INTO round VALUES (?, ?, ?, ?, ?, ?)"
_AT_ONCE = 16  # rows of one statement: sqlite3 lets go of the interpreter at each step, and fifty lines queue for it
_ROUNDS = _ROUND + ", (?, ?, ?, ?, ?, ?)" * (_AT_ONCE - 1)
_PATIENCE_S = 3.0  # a disk may be full for a moment; after this, rows are given up
_PLACE = "store"


@dataclass(slots=True)
class Batch:
    """What one transaction writes. `top` is the highest number on disk once it is committed."""

    rounds: list[RoundRow]
    statements: list[Statement]
    faults: list[FaultWrite]
    top: int
    purge: Purge = field(default=NOTHING)

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.rounds or self.statements or self.faults)


class Writer:
    """Used by one thread at a time; the store sees to that."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        log: FilteringBoundLogger,
        retention: Retention,
        faults: FaultLog,
        restate: Callable[[], list[Statement]],
        least: Callable[[], int],
    ) -> None:
        """`restate` gives the statements that bring a salvaged file up to what this process knows.

        A salvaged file goes on above `least`, too: numbers that are known to have been given.
        """
        self.beat: Callable[[], None] = lambda: None  # called during whatever may take long
        self.path = path
        self._clock = clock
        self._log = log
        self._retention = retention
        self._faults = faults
        self._restate = restate
        self._least = least
        self._connection: sqlite3.Connection | None = None
        self._full_s: float | None = None  # since when the disk has been full, with no reserve left
        self._suspect = False
        self._broken = False
        self._committed = 0  # a salvaged file goes on above it
        self.is_seal_wanted = False  # the next commit seals all there is
        self._sealing = Sealing(lambda connection: proofs.waivers(connection, self.beat))
        self.is_new = False  # a salvaged file, not yet brought up to what this process knows

    @property
    def is_open(self) -> bool:
        """Whether `open` succeeded and `close` was not called; a connection lost to an error counts as open."""
        return self._connection is not None or self._suspect

    def open(self, beat: Callable[[], None] | None = None) -> sqlite3.Connection:
        """Opens the file, or a new one with what can be salvaged; no scan of a sound file.

        Raises OSError, SchemaTooNewError, sqlite3.OperationalError when the place cannot be written.
        """
        if beat is not None:
            self.beat = beat
        if salvage.is_unfinished(self.path):
            salvage.finish(self.path, self._clock.now())
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                return self.replace(str(error))
            if not self._retention.reserve.spend():
                raise
            self._connection = self._connect()  # on a full disk not even the log's index finds room
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self.path, log_bytes=self._retention.reserve.log_bytes())
        try:
            self._sealing.load(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Closes; SQLite writes the log into the file when no reader has it open. Loses nothing that was committed."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def suspect(self) -> None:
        """A reader found the file damaged: it is checked before the next transaction."""
        self._suspect = True

    def write(self, batch: Batch, *, committed: int, owed: Callable[[], Ranges], dates: Dates) -> None:
        """Commits `batch`; when it returns, a kill or a power cut no longer loses any of it.

        A kill or power cut before leaves all of it or nothing. A full disk leaves nothing of it and everything from
        before. Raises sqlite3.Error, OSError: call `recover`, then `write` with the same batch.
        """
        self._committed = committed
        connection = self._sound_connection()
        if self.is_new:
            self._retention.load(connection)
            batch.statements[:0] = self._restate()
            batch.faults[:0] = self._faults.retake()
            self.is_new = False
        connection.execute("BEGIN IMMEDIATE")
        self._sealing.begin()
        is_seal_wanted = self.is_seal_wanted
        try:
            batch.purge = self._retention.plan(
                connection,
                committed=committed,
                incoming=len(batch.rounds),
                owed=owed,
                dates=dates,
                full=self._full_s is not None and self._clock.monotonic() - self._full_s >= _PATIENCE_S,
            )
            if batch.purge.ranges:
                self._sealing.reach(connection, batch.purge.ranges[-1][1])
                self._retention.execute(connection, batch.purge)
            _insert(connection, batch.rounds)
            for statement, parameters in batch.statements:
                connection.execute(statement, parameters)
            faults.write(connection, batch.faults)
            self._sealing.cut(connection, batch.rounds, wanted=is_seal_wanted)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # the first error is the one that counts
                connection.execute("ROLLBACK")
            raise
        self._sealing.done()
        self.is_seal_wanted &= not is_seal_wanted
        self._settle(batch.purge)

    def _settle(self, purge: Purge) -> None:
        """Faults and counters after a commit."""
        self._faults.cleared(FaultCode.STORE_WRITE_FAILED, _PLACE)
        if purge.ranges:
            self._retention.done(purge)
            first, last = purge.ranges[0][0], purge.ranges[-1][1]
            self._log.info("store.purged", first=first, last=last, unsent=purge.unsent)
        if purge.unsent:
            evicted = self._retention.evicted
            self._faults.raised(FaultCode.STORE_EVICTED, _PLACE, rounds=evicted, first=first, last=last)
        self._retention.reserve.keep()
        if self._retention.is_at_floor():
            self._raise_full()
        else:
            self._faults.cleared(FaultCode.STORE_FULL, _PLACE)
            self._faults.cleared(FaultCode.STORE_EVICTED, _PLACE)
        self._full_s = None

    def _raise_full(self) -> None:
        free_bytes, floor_bytes = self._retention.reserve.free_bytes(), self._retention.floor_bytes
        self._faults.raised(FaultCode.STORE_FULL, _PLACE, free_bytes=free_bytes, floor_bytes=floor_bytes)

    def recover(self, error: Exception) -> None:
        """Prepares for the next try after `write` failed; raises nothing, the next try shows what helped.

        Deletes only the reserve file; a broken database is renamed, never deleted.
        """
        if isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_FULL:
            self._raise_full()
            if not self._retention.reserve.spend() and self._full_s is None:
                self._full_s = self._clock.monotonic()
            self._checkpoint()
            return
        code = getattr(error, "sqlite_errorname", type(error).__name__)
        self._faults.raised(FaultCode.STORE_WRITE_FAILED, _PLACE, error=str(error), sqlite=code)
        self.close()
        self._suspect = True
        self._broken = isinstance(error, sqlite3.Error) and is_damage(error)

    def _checkpoint(self) -> None:
        """Moves the log into the file, so that its room is used again; what cannot be moved stays in the log."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # the disk is full: the next transaction tells
                self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def _sound_connection(self) -> sqlite3.Connection:
        """The connection; after trouble a new one to a checked file. Raises sqlite3.Error, OSError."""
        if self._connection is not None and not self._suspect:
            return self._connection
        self.close()
        connection = self.open()
        if self._suspect:
            if self._broken or not is_sound(connection, self.beat):
                connection = self.replace("quick_check")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._suspect = self._broken = False
        return connection

    def replace(self, reason: str) -> sqlite3.Connection:
        """Sets the broken file aside under a dated name and starts a new one with what can be read of it.

        A kill, a power cut or a full disk on the way leaves the broken file under one of its names; until the new one
        is complete it has a name of its own, so that the next start begins again.
        """
        self.close()
        salvaged = salvage.replace(
            self.path, least=max(self._committed, self._least()), now=self._clock.now(), beat=self.beat
        )
        self._connection = self._connect()
        self.is_new = True
        proof = {"reason": reason, "aside": salvaged.aside.name, "salvaged": salvaged.rounds}
        self._faults.raised(FaultCode.STORE_DAMAGED, _PLACE, **proof)
        self._log.error("store.damaged", **proof)
        return self._connection

    def first_since(self, since_ms: int, dates: Dates, top: int) -> int:
        """The first stored number dated at or after `since_ms` (UTC ms since 1970); `top` when there is none."""
        if self._connection is None:
            return top
        query = "SELECT min(number) FROM round WHERE number >= ? AND number < ? AND boot_ms >= ?"
        for first, end, offset_ms in dates.spells_from(0):
            if offset_ms is not None:
                (number,) = self._connection.execute(query, (first, end or top, since_ms - offset_ms)).fetchone()
                if number is not None:
                    return int(number)
        return top

    @property
    def newest_seal(self) -> Seal:
        """The last committed seal."""
        return self._sealing.newest

    def seal_if_wanted(self) -> None:
        """Seals all there is when somebody asked for it and no rounds come with which it could be done."""
        if self.is_seal_wanted:
            self.is_seal_wanted = False
            self.seal()

    def seal(self) -> None:
        """Seals what is committed and not sealed yet, in a transaction of its own; where it fails, the next start does.

        A kill, a power cut or a full disk costs nothing.
        """
        if self._connection is None or not self._sealing.has_tail:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._sealing.begin()
            self._sealing.cut(self._connection, wanted=True)
            self._connection.execute("COMMIT")
            self._sealing.done()
        except sqlite3.Error as error:
            self._log.warning("store.not_sealed", error=str(error))
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def bytes(self) -> int:
        """Size of the file and its log."""
        return sum(_size(side(self.path, suffix)) for suffix in ("", "-wal"))


def _insert(connection: sqlite3.Connection, rounds: list[RoundRow]) -> None:
    whole = len(rounds) - len(rounds) % _AT_ONCE
    for at in range(0, whole, _AT_ONCE):
        connection.execute(_ROUNDS, tuple(chain.from_iterable(rounds[at : at + _AT_ONCE])))
    connection.executemany(_ROUND, rounds[whole:])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
