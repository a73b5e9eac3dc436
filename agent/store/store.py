"""The store: rounds are numbered and queued by the lines, committed in groups by one thread.

Strategy: `append` numbers a round under a lock and returns, since a card's fsync takes 5–200 ms and the bus must not
wait for it. The store's thread commits what waits when the lines pause, at the latest a second after the first waiting
round: group commit, not the layout, decides how many bytes the disk gets. Numbers are committed in the order they were
given, so `committed` is a complete description of what is on disk; nothing above it exists for anyone else. Dates,
queues and faults ride along. A batch is kept until its COMMIT returned, whatever the disk does meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from agent.clock import Clock
from agent.faults import FaultCode
from agent.model import Ranges, Round
from agent.store.calendar import Calendar
from agent.store.confirmations import Confirmations
from agent.store.counters import Counters
from agent.store.database import Lock, is_damage, side
from agent.store.faults import FaultLog
from agent.store.layouts import Layouts
from agent.store.packing import pack, pack_quality, pack_raw
from agent.store.queues import Queues, Statement
from agent.store.retention import Retention
from agent.store.salvage import new_epoch
from agent.store.writer import Batch, RoundRow, Writer

BOUND = 1000
"""Rounds that may wait; then the lines wait."""

HOLD_S = 1.0
"""The longest a round waits for company before its commit begins."""

_MANY = BOUND // 2  # commit without waiting for a pause, so that lines never meet the bound while the disk keeps up
_LOOK_S = 0.01
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
        self.faults = FaultLog(clock=clock, log=log, next_number=lambda: self._next)
        self.confirmations = Confirmations(clock=clock, next_number=lambda: self._next)
        self._clock = clock
        self._log = log
        self._retention = Retention(path, clock=clock, keep_s=keep_s, max_bytes=max_bytes, free_bytes=free_bytes)
        self._writer = Writer(
            path, clock=clock, log=log, retention=self._retention, faults=self.faults, restate=self._restated
        )
        self._queues = Queues(clock)
        self._counters = Counters(clock)
        self._held: Lock | None = None
        self._lock = threading.Lock()  # numbering and what waits
        self._disk = threading.Lock()  # the writer
        self._rounds: list[RoundRow] = []
        self._statements: list[Statement] = []
        self._layouts = Layouts()
        self._calendar = Calendar()
        self._next = 1
        self._owed_from: int | None = None
        self._committed = 0
        self._first_s = 0.0
        self._committed_s = clock.monotonic()
        self._is_fresh = True  # no round was committed since the start: the first one waits for nobody
        self._is_redated = False
        self._kept: Batch | None = None  # its COMMIT has not returned yet
        self._slow_s = clock.monotonic()  # when a line last had to wait
        self._polling: set[str] = set()
        self._work = threading.Event()  # something waits, after nothing did
        self._hurry = threading.Event()  # the queue is full
        self._room = threading.Event()
        self._subscribers: list[int] = []

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
        (first,) = connection.execute("SELECT max(first) FROM epoch").fetchone()
        if first is None:
            connection.execute("INSERT INTO epoch VALUES (1, ?)", (new_epoch(),))
            first = 1
        self._retention.load(connection)
        (last,) = connection.execute("SELECT max(number) FROM round").fetchone()
        deleted = self._retention.deleted
        self._committed = max(last or 0, first - 1, deleted[-1][1] or 0 if deleted else 0)
        self._next = self._committed + 1
        self._statements = self._calendar.load(connection, self._clock.boot_id, self._next)
        row = connection.execute("SELECT value FROM meta WHERE name = 'owed_from'").fetchone()
        self._owed_from = int(row[0]) if row else None
        self._queues.load(connection, deleted)
        self._counters.load(connection, self._layouts.load(connection), self._committed)
        self.faults.load(connection)
        self.confirmations.load(connection)

    def close(self) -> None:
        """Commits everything that waits and closes; after it a kill or a power cut loses nothing.

        With a disk that refuses, what was not committed is gone, and logged.
        """
        if self._writer.is_open and self.flush():
            self._writer.seal()
        self._release()

    def _release(self) -> None:
        self._writer.close()
        if self._held is not None:
            self._held.close()
            self._held = None
        for descriptor in self._subscribers:
            os.close(descriptor)
        self._subscribers.clear()

    def append(self, polled: Round, *, beat: Callable[[], None] | None = None) -> int:
        """Numbers the round and queues it; the number is on disk once `committed` has reached it.

        Until then a kill or power cut loses it, and its number is given again. Waits while `BOUND` rounds wait, calling
        `beat` each second (Fault STORE-SLOW); never drops. Raises ValueError for values that do not fit the layout.
        """
        layout = polled.layout
        body, quality = pack(layout, polled.values), pack_quality(layout, polled.quality)
        raw = pack_raw(polled.raw)
        is_slow = False
        while True:
            with self._lock:
                if len(self._rounds) < BOUND:
                    number = self._next
                    self._next += 1
                    self._rounds.append(
                        (number, self._layouts.number(layout, self._statements), polled.boot_ms, body, quality, raw)
                    )
                    self._counters.note(layout, body, quality)
                    is_first = len(self._rounds) == 1
                    break
                self._room.clear()
            self._hurry.set()
            self._slow_s = self._clock.monotonic()
            if not is_slow:
                is_slow = True
                self.faults.raised(FaultCode.STORE_SLOW, _PLACE, waiting=BOUND, meter=layout.meter)
            self._clock.wait(self._room, _ROOM_S)
            if beat is not None:
                beat()
        if is_first:
            self._first_s = self._clock.monotonic()
            self._work.set()
        return number

    def begin_poll(self, line: str) -> None:
        """The line is inside a poll: what waits may wait for its round."""
        self._polling.add(line)

    def end_poll(self, line: str) -> None:
        """The line pauses."""
        self._polling.discard(line)

    def last_values(self, meter: str) -> dict[str, str]:
        """The last good decimal text of each counter of this meter, from before the start and since."""
        with self._lock:
            return self._counters.texts(meter)

    def date_boot(self, offset_ms: int, source: str, *, step: bool = False) -> None:
        """Dates this boot: UTC ms since 1970 = boot_ms + `offset_ms`, as `source` said.

        The first date holds for the whole boot, its earlier rounds included; another one, or `step`, for the rounds
        from the next on; the same once more changes nothing. Rides on the next commit: a kill before loses it, and
        the next start says it again.
        """
        with self._lock:
            boot_id, at_ms = self._clock.boot_id, self._clock.boot_ms()
            news = self._calendar.date(boot_id, self._next, offset_ms, source, step=step, at_ms=at_ms)
            self._statements += news
            self._is_redated |= bool(news)

    @property
    def committed(self) -> int:
        """The highest number on disk; every number up to it is there, or was deleted by retention."""
        return self._committed

    def subscribe(self) -> int:
        """A non-blocking eventfd, written after each commit; closed by `close`."""
        descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._subscribers.append(descriptor)
        return descriptor

    def unsubscribe(self, descriptor: int) -> None:
        """Closes what `subscribe` gave."""
        self._subscribers.remove(descriptor)
        os.close(descriptor)

    def begin_cursor(self, name: str, *, since_ms: int | None = None) -> Ranges:
        """The set `name` owes, as it was kept; a new uplink owes what follows from now on.

        `since_ms` (UTC, since 1970): a new uplink owes what is stored from that date on. Rides on the commit of the
        first round that it owes.
        """
        stored = self._next if self._owed_from is None else self._owed_from
        if since_ms is not None and name not in self._queues.names():
            with self._disk:
                stored = self._writer.first_since(since_ms, self._calendar.dates, stored)
        with self._lock:  # no commit comes between the next number and the row that says who waits for it
            return self._queues.begin(name, min(stored, self._next))

    def keep_cursor(self, uplink: str, ranges: Ranges) -> Ranges:
        """Keeps the set of unacknowledged numbers; gives it back with what changed behind the uplink's back.

        To be used from then on: parked numbers put back are in it, evicted ones are not. Rides on the next commit, at
        most once a second; a kill or power cut before repeats rounds under the same ids, and loses none.
        """
        return self._queues.keep(uplink, ranges)

    def park(self, uplink: str, number: int, reason: str) -> None:
        """Lists a number as refused for good; the uplink takes it out of its set. Rides on the next commit."""
        self._queues.park(uplink, number, reason)

    def retry_parked(self, uplink: str, number: int | None = None) -> int:
        """Puts one parked number, or all, back into the uplink's set; gives how many. Raises KeyError for others."""
        return self._queues.retry(uplink, number)

    def drop(self, uplink: str) -> int:
        """Forgets the queue of a removed uplink; gives how many rounds it still owed. Raises KeyError.

        The rounds stay until retention takes them. Rides on the next commit: a kill before brings the queue back.
        """
        return self._queues.drop(uplink, self._committed)

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
            "waiting": len(self._rounds),
            "evicted": self._retention.evicted,
        }

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Commits until `stop`, then once more; returns when all is on disk or the disk has refused three times."""
        self._writer.beat = beat
        while not stop.is_set():
            beat()
            self._clock.wait(self._work, _IDLE_S)
            self._work.clear()
            if self._rounds:
                self._hold(stop)
            if self._is_due():
                self._commit_stubbornly(stop, beat)
        for _ in range(_LAST_TRIES):
            if self.flush():
                return

    def _hold(self, stop: threading.Event) -> None:
        """Waits until the lines pause: nobody polls and nothing came for a look; at most `HOLD_S`."""
        seen = 0
        while not (self._is_fresh or stop.is_set() or self._hurry.is_set()):
            is_pause = self._next == seen and not self._polling
            is_late = self._clock.monotonic() - self._first_s >= HOLD_S
            if is_pause or is_late or len(self._rounds) >= _MANY:
                return
            seen = self._next
            self._clock.wait(self._hurry, _LOOK_S)

    def _is_due(self) -> bool:
        """Rounds are always due after their hold; what only rides along, when nothing was committed for a second."""
        if self._rounds or self._kept is not None:
            return True
        has_news = self._is_redated or any(each.has_news() for each in (self._queues, self.faults, self.confirmations))
        return has_news and self._clock.monotonic() - self._committed_s > HOLD_S

    def _commit_stubbornly(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        retry_s = _FIRST_RETRY_S
        while not self.commit() and not stop.is_set():
            beat()
            self._clock.wait(stop, retry_s)
            retry_s = min(2 * retry_s, _LAST_RETRY_S)

    def flush(self) -> bool:
        """Commits everything that waits, from the caller's thread; false when the disk refused.

        After true a kill or a power cut loses nothing that was appended before the call; after false all of it still
        waits.
        """
        is_retry = self._kept is not None
        is_done = self.commit(every=True)
        if is_done and (is_retry or self.faults.has_news()):  # what came behind a kept batch; what this commit cleared
            is_done = self.commit(every=True)
        if not is_done:
            self._log.error("store.flush_failed", waiting=len(self._rounds))
        return is_done

    def commit(self, *, every: bool = False) -> bool:
        """One transaction now, from the caller's thread; false when the disk refused, and then the batch is kept.

        `every`: cursors, counts and counters too that would wait for a later one.

        A kill or power cut before COMMIT returns loses all of the batch, afterwards nothing; a full disk loses nothing.
        """
        with self._disk:
            batch = self._kept if self._kept is not None else self._take(every=every)
            if batch.is_empty():
                return True
            self._kept = batch
            try:
                self._writer.write(batch, committed=self._committed, owed=self._queues.owed, dates=self._calendar.dates)
            except (sqlite3.Error, OSError) as error:
                self._writer.recover(error)
                return False
            self._kept = None
            self._settle(batch)
        return True

    def _take(self, *, every: bool) -> Batch:
        with self._lock:
            rounds, self._rounds = self._rounds, []
            top = self._next - 1
            counters = self._counters.statements(top, every=every)
            statements, self._statements = [*self._statements, *counters], []
            self._is_redated = False
        self._room.set()
        self._hurry.clear()
        statements += [*self._queues.take(every=every), *self.confirmations.take()]
        return Batch(rounds=rounds, statements=statements, faults=self.faults.take(every=every), top=top)

    def _settle(self, batch: Batch) -> None:
        """What others may know after a COMMIT."""
        self._committed = batch.top
        self._is_fresh &= not batch.rounds
        self._committed_s = self._clock.monotonic()
        for first, last in batch.purge.ranges if batch.purge.unsent else ():
            self._queues.evict(first, last)
        if self._committed_s - self._slow_s >= _CALM_S:
            self.faults.cleared(FaultCode.STORE_SLOW, _PLACE)
        for descriptor in self._subscribers:
            with contextlib.suppress(BlockingIOError):  # it is full of commits nobody has read: it wakes all the same
                os.eventfd_write(descriptor, 1)

    def _restated(self) -> list[Statement]:
        """Everything known here that a salvaged file may lack."""
        with self._lock:
            self._queues.retake()
            self._counters.retake()
            return [*self._layouts.restated(), *self._calendar.restated(), *self.confirmations.restated()]
