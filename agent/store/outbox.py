"""The reports that wait for a platform's own acknowledgement: composed once, numbered once, sent until it comes.

Strategy: what waits is few and lies in memory without its content; content is read when it is sent. The rows of a slot
and how far composing has come are written in one transaction, so composing twice changes nothing, and no report is sent
before it is on disk. Sends and acknowledgements ride on later commits: to lose one repeats a report with its serial
number, never loses one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from typing import NamedTuple

from agent.store.queues import Statement

LAST_SERIAL = 65_535
_SKIPPED = 16  # serial numbers of answers may not have reached the disk before the process ended
_ROW = "INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', '', 0, NULL)"
_CURSOR = "INSERT OR REPLACE INTO composing VALUES (?, ?, ?, ?)"
_WAITING = "SELECT id, uplink, kind, slot_ms, variant, serial, tries FROM outbox WHERE state = 'waiting' ORDER BY id"


class NewReport(NamedTuple):
    """A report that was composed: its content as JSON."""

    kind: str
    slot_ms: int
    variant: str
    body: str


class Waiting(NamedTuple):
    """A report that no acknowledgement came for yet; `tag` is its row."""

    tag: int
    uplink: str
    kind: str
    slot_ms: int
    variant: str
    serial: int
    tries: int


class Composed(NamedTuple):
    """How far an uplink's reports are composed: round number and slot (UTC ms, 0: none)."""

    number: int
    slot_ms: int


class Outbox:
    """All uplinks' reports; safe to call from every thread. `take` gives what the next commit writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, Waiting] = {}  # by tag
        self._composed: dict[str, Composed] = {}
        self._serials: dict[str, int] = {}
        self._last = 0  # tag given
        self._taken = 0  # tag in the commit that is under way
        self._durable = 0  # tag on disk
        self._parked: dict[str, set[int]] = {}  # tags by uplink
        self._statements: list[Statement] = []
        self._tries: dict[int, int] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Takes up those of a file that was just opened."""
        with self._lock:
            self._waiting = {row[0]: Waiting(*row) for row in connection.execute(_WAITING)}
            self._parked = {}
            for uplink, tag in connection.execute("SELECT uplink, id FROM outbox WHERE state = 'parked'"):
                self._parked.setdefault(uplink, set()).add(tag)
            self._last = connection.execute("SELECT ifnull(max(id), 0) FROM outbox").fetchone()[0]
            self._taken = self._durable = self._last
            for uplink, number, slot_ms, serial in connection.execute("SELECT * FROM composing"):
                self._composed[uplink] = Composed(number, slot_ms)
                self._serials[uplink] = serial + _SKIPPED

    def composed(self, uplink: str) -> Composed | None:
        """How far this uplink's reports are composed; None for a new one."""
        return self._composed.get(uplink)

    def add(self, uplink: str, reports: Sequence[NewReport], composed: Composed) -> None:
        """Numbers reports and notes how far composing has come; on disk with the next commit, all of it or nothing."""
        with self._lock:
            for report in reports:
                self._last += 1
                serial = self._next_serial(uplink)
                self._waiting[self._last] = Waiting(self._last, uplink, *report[:3], serial, 0)
                self._statements.append((_ROW, (self._last, uplink, *report[:3], serial, report.body)))
            self._composed[uplink] = composed
            self._statements.append((_CURSOR, (uplink, *composed, self._serials.get(uplink, 0))))

    def next_serial(self, uplink: str) -> int:
        """A serial number for a message that is no row: an answer."""
        with self._lock:
            return self._next_serial(uplink)

    def last_serial(self, uplink: str) -> int:
        """The serial number given last; 1 before the first."""
        with self._lock:
            return (max(1, self._serials.get(uplink, 0)) - 1) % LAST_SERIAL + 1

    def _next_serial(self, uplink: str) -> int:
        serial = self._serials[uplink] = self._serials.get(uplink, 0) % LAST_SERIAL + 1
        return serial

    def waiting(self, uplink: str) -> list[Waiting]:
        """What is on disk and this platform has not acknowledged, in the order of composing."""
        with self._lock:
            return [each for each in self._waiting.values() if each.uplink == uplink and each.tag <= self._durable]

    def sent(self, tag: int) -> None:
        """A report was sent on one more connection."""
        with self._lock:
            row = self._waiting[tag]
            self._waiting[tag] = row._replace(tries=row.tries + 1)
            self._tries[tag] = row.tries + 1

    def accepted(self, tag: int, at_ms: int) -> None:
        """The platform said that it has it."""
        self._done(tag, "UPDATE outbox SET state = 'accepted', done_ms = ?, tries = ? WHERE id = ?", at_ms)

    def parked(self, tag: int, reason: str) -> None:
        """It can never be sent as it is."""
        uplink = self._done(tag, "UPDATE outbox SET state = 'parked', reason = ?, tries = ? WHERE id = ?", reason)
        if uplink is not None:
            self._parked.setdefault(uplink, set()).add(tag)

    def has_parked(self, uplink: str) -> bool:
        """Whether this uplink has reports that were set aside, on disk or about to be."""
        return bool(self._parked.get(uplink))

    def forget(self, tag: int) -> None:
        """There is no such row: its slot was composed before."""
        with self._lock:
            self._waiting.pop(tag, None)

    def _done(self, tag: int, statement: str, value: object) -> str | None:
        """Takes a row out of those that wait; gives its uplink, None when it was gone."""
        with self._lock:
            row = self._waiting.pop(tag, None)
            if row is None:
                return None
            self._tries.pop(tag, None)
            self._statements.append((statement, (value, row.tries, tag)))
            return row.uplink

    def retry(self, row: Waiting) -> bool:
        """Puts a parked report back; False where that was done before, which the disk may not know yet."""
        with self._lock:
            parked = self._parked.get(row.uplink, set())
            if row.tag not in parked:
                return False
            parked.discard(row.tag)
            self._waiting[row.tag] = row
            self._statements.append(("UPDATE outbox SET state = 'waiting', reason = '' WHERE id = ?", (row.tag,)))
            return True

    def drop(self, uplink: str) -> int:
        """Forgets the reports of a removed uplink; gives how many still waited."""
        with self._lock:
            mine = [tag for tag, row in self._waiting.items() if row.uplink == uplink]
            for tag in mine:
                del self._waiting[tag]
            self._parked.pop(uplink, None)
            self._composed.pop(uplink, None)
            self._serials.pop(uplink, None)
            self._statements += [(statement, (uplink,)) for statement in _DROP]
            return len(mine)

    def names(self) -> frozenset[str]:
        """Every uplink that has composed, removed ones too."""
        return frozenset(self._composed)

    def purge(self, before_ms: int) -> None:
        """Lets go of what was acknowledged before that time."""
        with self._lock:
            self._statements.append(("DELETE FROM outbox WHERE state = 'accepted' AND done_ms < ?", (before_ms,)))

    @property
    def is_on_disk(self) -> bool:
        """Whether everything that was added has been committed; while it has not, nothing should be added."""
        return self._durable >= self._last

    def has_news(self) -> bool:
        """Whether `take` would give statements."""
        return bool(self._statements or self._tries)

    def take(self) -> list[Statement]:
        """The statements of the next commit, given once."""
        with self._lock:
            found, self._statements = self._statements, []
            found += [("UPDATE outbox SET tries = ? WHERE id = ?", (tries, tag)) for tag, tries in self._tries.items()]
            self._tries.clear()
            self._taken = self._last
            return found

    def restated(self) -> list[Statement]:
        """How far composing has come, once more, for a file that replaces a damaged one; the rows were salvaged."""
        with self._lock:
            return [(_CURSOR, (name, *each, self._serials.get(name, 0))) for name, each in self._composed.items()]

    def settled(self) -> None:
        """What `take` gave is on disk."""
        self._durable = self._taken


_DROP = ("DELETE FROM outbox WHERE uplink = ?", "DELETE FROM composing WHERE uplink = ?")
