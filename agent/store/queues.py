"""What each uplink still owes its platform, and what the platform refused for good.

Strategy: the sets of ranges are in memory and ride on commits of rounds, at most once a second. A row that is late
repeats some rounds after a kill, it never loses one. The uplink's own thread computes its set; what happens behind its
back (parked rounds put back, rounds evicted at the disk floor) is merged into the set it hands over next.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass

from agent.clock import Clock
from agent.model import Ranges
from agent.store import cursors

CURSOR_EVERY_S = 1.0

Statement = tuple[str, tuple[object, ...]]
"""SQL and its parameters; every one may be repeated without changing the result."""

_KEEP = "INSERT OR REPLACE INTO uplink VALUES (?, ?, ?)"
_PARK = "INSERT OR REPLACE INTO parked VALUES (?, ?, ?)"
_FORGET_PARKED = "DELETE FROM parked WHERE uplink = ?"
_UNPARK = _FORGET_PARKED + " AND number = ?"
_FORGET = "DELETE FROM uplink WHERE name = ?"


@dataclass(slots=True)
class _Queue:
    """One uplink's state; `pending` are changes its own thread has not seen, None while it has no thread."""

    ranges: Ranges
    since: int
    parked: Ranges = ()
    pending: list[Callable[[Ranges], Ranges]] | None = None
    changed: bool = False


class Queues:
    """All uplinks' sets; safe to call from every thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._queues: dict[str, _Queue] = {}
        self._statements: list[Statement] = []
        self._written_s = clock.monotonic() - CURSOR_EVERY_S

    def load(self, connection: sqlite3.Connection, deleted: Ranges) -> None:
        """Takes up the sets of a file that was just opened, without the numbers deleted from it."""
        for name, text, since in connection.execute("SELECT name, ranges, since FROM uplink"):
            ranges = cursors.loads(text)
            for first, last in deleted:
                ranges = cursors.subtract(ranges, first, last or first)
            self._queues[name] = _Queue(ranges, since)
        for name, number in connection.execute("SELECT uplink, number FROM parked ORDER BY uplink, number").fetchall():
            if cursors.holds(deleted, number):  # a kill came between what deleted it and the end of its row
                self._statements.append((_UNPARK, (name, number)))
                continue
            queue = self._queues.setdefault(name, _Queue((), number))
            queue.parked = _extended(queue.parked, number)

    def begin(self, name: str, first: int) -> Ranges:
        """The set of `name`; a new uplink owes everything from `first` on."""
        with self._lock:
            queue = self._queues.get(name)
            if queue is None:
                queue = self._queues[name] = _Queue(((first, None),), first)
                self._statements.append((_KEEP, (name, cursors.dumps(queue.ranges), first)))
            queue.pending = []
            return queue.ranges

    def keep(self, name: str, ranges: Ranges) -> Ranges:
        """Takes the uplink's new set and gives it back with the changes it had not seen."""
        with self._lock:
            queue = self._queues.get(name)
            if queue is None:
                queue = self._queues[name] = _Queue((), ranges[0][0] if ranges else 0)
            for change in queue.pending or ():
                ranges = change(ranges)
            queue.pending = []
            ranges = cursors.bounded(ranges)
            queue.changed |= queue.ranges != ranges
            queue.ranges = ranges
            return ranges

    def ranges(self, name: str) -> Ranges:
        """The set as last kept. Raises KeyError."""
        return self._queues[name].ranges

    def names(self) -> tuple[str, ...]:
        """All uplinks that have a queue, the removed ones too."""
        return tuple(self._queues)

    def owed(self) -> Ranges:
        """What any platform has not accepted: not acknowledged, or parked."""
        with self._lock:
            queues = tuple(self._queues.values())
            return cursors.union(*(queue.ranges for queue in queues), *(queue.parked for queue in queues))

    def park(self, name: str, number: int, reason: str) -> None:
        """Lists `number` as refused for good; the uplink takes it out of its own set."""
        with self._lock:
            queue = self._queues.setdefault(name, _Queue((), number))
            queue.parked = cursors.union(queue.parked, ((number, number),))
            self._statements.append((_PARK, (name, number, reason)))

    def has_parked(self, name: str) -> bool:
        """Whether anything is listed as refused for good, on disk or about to be."""
        queue = self._queues.get(name)
        return queue is not None and bool(queue.parked)

    def retry(self, name: str, number: int | None) -> int:
        """Puts one parked number, or all, back into the set; gives how many. Raises KeyError.

        The set is written with what leaves the list: a kill between two commits must not find the number in neither.
        """
        with self._lock:
            queue = self._queues[name]
            if number is not None and not cursors.holds(queue.parked, number):
                raise KeyError(number)
            back = queue.parked if number is None else ((number, number),)
            for first, last in back:
                self._change(queue, _adder(first, last or first))
                queue.parked = cursors.without(queue.parked, first, last or first)
            self._statements.append((_KEEP, (name, cursors.dumps(queue.ranges), queue.since)))
            self._statements.append((_FORGET_PARKED, (name,)) if number is None else (_UNPARK, (name, number)))
            return sum((last or first) - first + 1 for first, last in back)

    def drop(self, name: str, top: int) -> int:
        """Forgets an uplink; gives how many rounds up to `top` it still owed. Raises KeyError."""
        with self._lock:
            queue = self._queues.pop(name)
            self._statements += [(_FORGET, (name,)), (_FORGET_PARKED, (name,))]
            return cursors.count(queue.ranges, top)

    def evict(self, first: int, last: int) -> None:
        """Takes numbers that are no longer in the file out of every set."""
        with self._lock:
            for queue in self._queues.values():
                self._change(queue, _subtracter(first, last))
                queue.parked = cursors.without(queue.parked, first, last)
            self._statements.append(("DELETE FROM parked WHERE number BETWEEN ? AND ?", (first, last)))

    def has_news(self) -> bool:
        """Whether a commit of its own is worth while."""
        return bool(self._statements) or any(queue.changed for queue in tuple(self._queues.values()))

    def take(self, *, every: bool) -> list[Statement]:
        """What to write with the next commit, given once; sets at most once a second unless `every`."""
        now_s = self._clock.monotonic()
        with self._lock:
            statements, self._statements = self._statements, []
            if not every and now_s - self._written_s < CURSOR_EVERY_S:
                return statements
            for name, queue in self._queues.items():
                if queue.changed:
                    statements.append((_KEEP, (name, cursors.dumps(queue.ranges), queue.since)))
                    queue.changed = False
                    self._written_s = now_s
            return statements

    def retake(self) -> None:
        """Lets the next `take` write every set again, into a file that replaces a damaged one."""
        with self._lock:
            for queue in self._queues.values():
                queue.changed = True

    def _change(self, queue: _Queue, change: Callable[[Ranges], Ranges]) -> None:
        ranges = change(queue.ranges)
        queue.changed |= ranges != queue.ranges
        queue.ranges = ranges
        if queue.pending is not None:
            queue.pending.append(change)


def _adder(first: int, last: int) -> Callable[[Ranges], Ranges]:
    return lambda ranges: cursors.add(ranges, first, last)


def _subtracter(first: int, last: int) -> Callable[[Ranges], Ranges]:
    return lambda ranges: cursors.subtract(ranges, first, last)


def _extended(parked: Ranges, number: int) -> Ranges:
    """`parked` with a number above all of its own."""
    if parked and parked[-1][1] == number - 1:
        return (*parked[:-1], (parked[-1][0], number))
    return (*parked, (number, number))
