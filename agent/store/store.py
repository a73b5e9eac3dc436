"""The store: rounds are numbered and queued by the lines, committed in groups by one thread.

Strategy: `append` numbers a round under a lock and returns, since a card's fsync takes 5–200 ms and the bus must not
wait for it. The store's thread commits what waits when the lines pause, at the latest a second after the first waiting
round: group commit, not the layout, decides how many bytes the disk gets. Numbers are committed in the order they were
given, so `committed` is a complete description of what is on disk; nothing above it exists for anyone else. Dates,
queues and faults ride along. A batch is kept until its COMMIT returned, whatever the disk does meanwhile.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from structlog.typing import FilteringBoundLogger

from agent.clock import Clock
from agent.faults import FaultCode
from agent.model import Ranges, Round
from agent.store import salvage
from agent.store.book import Intake
from agent.store.books import Books
from agent.store.confirmations import Confirmations
from agent.store.database import Lock, is_damage, side
from agent.store.faults import FaultLog
from agent.store.findings import FaultOf
from agent.store.ledger import Ledger
from agent.store.ledger import statements as ledger_statements
from agent.store.outbox import Outbox
from agent.store.pace import Pace
from agent.store.queues import Queues, Statement
from agent.store.retention import Retention
from agent.store.seals import Seal
from agent.store.subscribers import Subscribers
from agent.store.waiting import BOUND, Packed, Waiting
from agent.store.writer import Batch, Writer

_IDLE_S = 0.2
_ROOM_S = 1.0
_CALM_S = 10.0  # STORE-SLOW ends when no line had to wait for so long
_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 5.0
_LAST_TRIES = 3  # at a stop, with a disk that refuses
_PLACE = "store"


class Store:
    """Everything that is kept. Safe to call from every thread; `run` is the body of the store's own."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        log: FilteringBoundLogger,
        keep_s: float,
        max_bytes: int,
        free_bytes: int,
    ) -> None:
        """`keep_s`: age in seconds, `max_bytes`: size of the file, `free_bytes`: what must stay free on the disk."""
        self.path = path
        self._waiting = Waiting(clock)
        self._pace = Pace(clock, self._waiting)
        self.begin_poll, self.end_poll = self._pace.begin_poll, self._pace.end_poll
        self.last_values, self.counters_begun = self._waiting.last_values, self._waiting.counters_begun
        self.faults = FaultLog(clock=clock, log=log, next_number=lambda: self._waiting.next)
        self.confirmations = Confirmations(clock=clock, next_number=lambda: self._waiting.next)
        self.ledger = Ledger(clock=clock, next_number=lambda: self._waiting.next, begin=self._waiting.begin_counter)
        self.outbox = Outbox()
        self._clock = clock
        self._log = log
        self._retention = Retention(path, clock=clock, keep_s=keep_s, max_bytes=max_bytes, free_bytes=free_bytes)
        self._books = Books(path, clock=clock, log=log, faults=self.faults, on_damage=self.suspect)
        self._writer = Writer(
            path,
            clock=clock,
            log=log,
            retention=self._retention,
            faults=self.faults,
            restate=self._restated,
            least=lambda: self._books.totals.number,
        )
        self._queues = Queues(clock)
        self._held: Lock | None = None
        self._disk = threading.Lock()  # the writer
        self._owed_from: int | None = None
        self._committed = 0
        self._kept: Batch | None = None  # its COMMIT has not returned yet
        self._slow_s = clock.monotonic()  # when a line last had to wait
        self._work = threading.Event()  # something waits, after nothing did
        self._subscribers = Subscribers()
        self.subscribe, self.unsubscribe = self._subscribers.add, self._subscribers.remove

    def open(self, *, beat: Callable[[], None] | None = None) -> None:
        """Opens or creates the file and takes up where it ends; a sound file is not scanned.

        A damaged one is set aside and salvaged (Fault STORE-DAMAGED), which may take minutes and calls `beat`.
        Raises StoreHeldError, and OSError (SchemaTooNewError too) when the place or the file cannot be used.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._held = Lock(side(self.path, ".lock"))
        self._retention.reserve.keep()
        try:
            self._load_sound(beat)
            if not self._writer.is_new:
                self.faults.cleared(FaultCode.STORE_DAMAGED, _PLACE)  # a person has seen to it, or at least restarted
        except sqlite3.Error as error:
            self._release()
            raise OSError(f"{self.path}: {error}") from error
        except BaseException:
            self._release()
            raise

    def _load_sound(self, beat: Callable[[], None] | None) -> None:
        connection = self._writer.open(beat)
        try:
            self._load(connection)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._load(self._writer.replace(str(error)))

    def _load(self, connection: sqlite3.Connection) -> None:
        salvage.go_above(connection, self._books.totals.number)
        (first,) = connection.execute("SELECT max(first) FROM epoch").fetchone()
        self._retention.load(connection)
        (last,) = connection.execute("SELECT max(number) FROM round").fetchone()
        deleted = self._retention.deleted
        self._committed = max(last or 0, first - 1, deleted[-1][1] or 0 if deleted else 0)
        row = connection.execute("SELECT value FROM meta WHERE name = 'owed_from'").fetchone()
        self._owed_from = int(row[0]) if row else None
        self._waiting.load(connection, self._committed)
        self._queues.load(connection, deleted)
        for each in (self.faults, self.confirmations, self.ledger, self.outbox):
            each.load(connection)

    def close(self) -> None:
        """Commits everything that waits and closes; after it a kill or a power cut loses nothing.

        With a disk that refuses, what was not committed is gone, and logged.
        """
        if self._writer.is_open and self.flush():
            self._writer.seal()
        self._release()

    def _release(self) -> None:
        self._books.close()
        self._writer.close()  # the last one to leave moves the log into the file
        if self._held is not None:
            self._held.close()
            self._held = None
        self._subscribers.close()

    def append(self, polled: Round, *, at_ms: int | None = None, beat: Callable[[], None] | None = None) -> int:
        """Numbers the round and queues it; the number is on disk once `committed` has reached it.

        Until then a kill or power cut loses it, and its number is given again. Waits while `BOUND` rounds wait, calling
        `beat` each second (Fault STORE-SLOW); never drops. `at_ms` (UTC) dates what was not read now, in place of
        `boot_ms`. Raises ValueError for values that do not fit the layout, UndatedError for `at_ms` while this boot has
        no date.
        """
        packed = Packed.of(polled, at_ms)
        is_slow = False
        while (number := self._waiting.add(packed)) is None:
            self._slow_s = self._clock.monotonic()
            if not is_slow:
                is_slow = True
                self.faults.raised(FaultCode.STORE_SLOW, _PLACE, waiting=BOUND, meter=polled.layout.meter)
            self._clock.wait(self._waiting.room, _ROOM_S)
            if beat is not None:
                beat()
        if len(self._waiting) == 1:
            self._pace.first_came()
        self._work.set()
        return number

    def declare(self, kind: str, subject: str, at_ms: int | None, body: Mapping[str, Any], who: str) -> int:
        """Adds to the ledger what counts from `at_ms` (UTC ms; None: for no time); gives the row's number.

        Rides on the next commit: a kill or power cut before loses it. `flush` makes sure.
        """
        number = self.ledger.add(kind, subject, at_ms, body, who)
        self._log.info("ledger.declared", id=number, kind=kind, subject=subject, counts_from_ms=at_ms, who=who)
        return number

    def keep_books(self, intakes: Iterable[Intake], *, fault_of: FaultOf) -> None:
        """From now on the water of these intakes is accounted for, by the store's thread, from all stored rounds on.

        Their readings are rounds like any other. Accounts go on from where they were left, here or beside the file.
        """
        with self._disk:
            self._books.keep(intakes, fault_of=fault_of)
        self._work.set()

    def date_boot(self, offset_ms: int, source: str, *, step: bool = False) -> None:
        """Dates this boot: UTC ms since 1970 = boot_ms + `offset_ms`, as `source` said.

        The first date holds for the whole boot, its earlier rounds included; another one, or `step`, for the rounds
        from the next on; the same once more changes nothing. Rides on the next commit: a kill before loses it, and
        the next start says it again.
        """
        self._waiting.date(offset_ms, source, step=step)

    @property
    def committed(self) -> int:
        """The highest number on disk; every number up to it is there, or was deleted by retention."""
        return self._committed

    def begin_cursor(self, name: str, *, since_ms: int | None = None) -> Ranges:
        """The set `name` owes, as it was kept; a new uplink owes what follows from now on.

        `since_ms` (UTC, since 1970): a new uplink owes what is stored from that date on. Rides on the commit of the
        first round that it owes.
        """
        stored = self._waiting.next if self._owed_from is None else self._owed_from
        if since_ms is not None and name not in self._queues.names():
            with self._disk:
                stored = self._writer.first_since(since_ms, self._waiting.dates, stored)
        with self._waiting.lock:  # no commit comes between the next number and the row that says who waits for it
            return self._queues.begin(name, min(stored, self._waiting.next))

    def keep_cursor(self, uplink: str, ranges: Ranges) -> Ranges:
        """Keeps the set of unacknowledged numbers; gives it back with what changed behind the uplink's back.

        To be used from then on: parked numbers put back are in it, evicted ones are not. Rides on the next commit, at
        most once a second; a kill or power cut before repeats rounds under the same ids, and loses none.
        """
        return self._queues.keep(uplink, ranges)

    def park(self, uplink: str, number: int, reason: str) -> None:
        """Lists a number as refused for good; the uplink takes it out of its set. Rides on the next commit."""
        self._queues.park(uplink, number, reason)

    def has_parked(self, uplink: str) -> bool:
        """Whether anything is listed as refused for good."""
        return self._queues.has_parked(uplink)

    def retry_parked(self, uplink: str, number: int | None = None) -> int:
        """Puts one parked number, or all, back into the uplink's set; gives how many. Raises KeyError for others."""
        return self._queues.retry(uplink, number)

    def drop(self, uplink: str) -> int:
        """Forgets the queue of a removed uplink; gives how many rounds it still owed. Raises KeyError.

        The rounds stay until retention takes them. Rides on the next commit: a kill before brings the queue back.
        """
        return self._queues.drop(uplink, self._committed)

    def keep(self, first: int, last: int, reason: str) -> None:
        """Rounds first…last are never deleted, from the next commit on; `reason`: what rests on them."""
        self._waiting.also(("INSERT OR IGNORE INTO keep VALUES (?, ?, ?)", (first, last, reason)))
        self._retention.keep(first, last)

    @property
    def head(self) -> str | None:
        """The newest signed head of the chain, canonical JSON; its seal is on disk, its row with the next commit."""
        return self.ledger.head

    @property
    def newest_seal(self) -> Seal:
        """The last seal on disk."""
        return self._writer.newest_seal

    @property
    def is_seal_due(self) -> bool:
        """Whether what `seal_soon` asked for is still to come."""
        return self._writer.is_seal_wanted

    def seal_soon(self) -> None:
        """Has everything sealed that is committed, with the next commit or within some seconds."""
        self._writer.is_seal_wanted = True

    def suspect(self) -> None:
        """A reader found the file damaged: it is checked, and salvaged if need be, before the next commit."""
        self._writer.suspect()
        self._work.set()

    def snapshot(self) -> dict[str, object]:
        """What `qushui status` shows; sizes in bytes."""
        return {
            "path": str(self.path),
            "rounds": self._retention.stored(self._committed),
            "bytes": self._writer.bytes(),
            "free_bytes": self._retention.reserve.free_bytes(),
            "committed": self._committed,
            "waiting": len(self._waiting),
            "evicted": self._retention.evicted,
        }

    def accounts(self) -> dict[str, dict[str, object]]:
        """The same of the intakes' accounts."""
        return self._books.snapshot(self._committed)

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Commits until `stop`, then once more; returns when all is on disk or the disk has refused three times."""
        self._writer.beat = beat
        while not stop.is_set():
            beat()
            self._clock.wait(self._work, _IDLE_S)
            self._work.clear()
            if len(self._waiting):
                self._pace.hold(stop)
            if self._is_due():
                self._commit_stubbornly(stop, beat)
        for _ in range(_LAST_TRIES):
            if self.flush():
                return

    def _is_due(self) -> bool:
        """Rounds are always due after their hold; what only rides along, when nothing was committed for a second."""
        if len(self._waiting) or self._kept is not None or self._books.is_behind:
            return True
        sources = (self._waiting, self._queues, self.faults, self.confirmations, self.ledger, self.outbox)
        has_news = self._writer.is_seal_wanted or any(each.has_news() for each in sources)
        return has_news and self._pace.is_quiet

    def _commit_stubbornly(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        retry_s = _FIRST_RETRY_S
        while not self.commit() and not stop.is_set():
            beat()
            self._clock.wait(stop, retry_s)
            retry_s = min(2 * retry_s, _LAST_RETRY_S)

    def flush(self) -> bool:
        """Commits everything that waits, from the caller's thread; false when the disk refused.

        After true no kill or power cut loses what was appended before the call; after false all of it still waits.
        """
        is_retry = self._kept is not None
        is_done = self.commit(every=True)
        if is_done and (is_retry or self.faults.has_news()):  # what came behind a kept batch; what this commit cleared
            is_done = self.commit(every=True)
        if not is_done:
            self._log.error("store.flush_failed", waiting=len(self._waiting))
        return is_done

    def commit(self, *, every: bool = False) -> bool:
        """One transaction now, from the caller's thread; false when the disk refused, and then the batch is kept.

        `every`: cursors, counts and counters too that would wait for a later one.
        A kill or power cut before COMMIT returns loses all of the batch, afterwards nothing; a full disk loses nothing.
        """
        with self._disk:
            batch = self._kept if self._kept is not None else self._take(every=every)
            if batch.is_empty():
                self._writer.seal_if_wanted()
                return True
            self._kept = batch
            try:
                self._writer.write(batch, committed=self._committed, owed=self._queues.owed, dates=self._waiting.dates)
            except (sqlite3.Error, OSError) as error:
                self._writer.recover(error)
                return False
            self._kept = None
            self._settle(batch)
        return True

    def _take(self, *, every: bool) -> Batch:
        """What waits, and what follows from it for the intakes."""
        taken = self._waiting.take(every=every)
        batch = Batch(rounds=taken.rounds, statements=taken.statements, faults=[], top=taken.top)
        ledger = self.ledger.take()
        layouts, gone = self._waiting.layouts, self._retention.deleted[-1][1] if self._retention.deleted else 0
        told = self._books.step(taken, ledger, layouts=layouts, committed=self._committed, gone=gone or 0)
        if told is not None and (told.derived or told.anew):
            later = self._waiting.join(told.derived, told.anew)
            self._books.joined(later, taken.top, layouts)
            batch.rounds += later.rounds
            batch.statements += later.statements
            batch.top = later.top
        batch.statements += [*self._queues.take(every=every), *self.confirmations.take(), *ledger_statements(ledger)]
        batch.statements += self.outbox.take()
        if told is not None:
            batch.statements += [*told.statements, *self._books.states(every=every)]
        batch.faults = self.faults.take(every=every)
        return batch

    def _settle(self, batch: Batch) -> None:
        """What others may know after a COMMIT."""
        self._committed = batch.top
        self._books.settle(batch.top)
        self.outbox.settled()
        self._pace.committed(len(batch.rounds))
        for first, last in batch.purge.ranges if batch.purge.unsent else ():
            self._queues.evict(first, last)
        if self._clock.monotonic() - self._slow_s >= _CALM_S:
            self.faults.cleared(FaultCode.STORE_SLOW, _PLACE)
        self._subscribers.wake()

    def _restated(self) -> list[Statement]:
        """Everything known here that a salvaged file may lack."""
        self._queues.retake()
        sources = (self._waiting, self.confirmations, self.ledger, self.outbox, self._books)
        return [statement for each in sources for statement in each.restated()]
