"""What people and the agent declare about water: rows that are only ever added.

Strategy: a new row waits in memory for the next commit; whoever needs to be sure flushes the store. Only the rows of
this process stay in memory, to be told once more to a file that replaces a damaged one; older ones salvage finds.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent.clock import Clock
from agent.intakes.outcome import Declared
from agent.store.queues import Statement

BEGINS_ANEW = frozenset({"replacement", "decision"})
"""Kinds after which a register's next number is held against nothing that it showed before."""

COLUMNS = "id, kind, subject, at_ms, body, who, round, boot, ms"
_LAST = (  # those that salvage lost too
    "SELECT max(ifnull((SELECT max(id) FROM ledger), 0), ifnull((SELECT max(ledger) FROM seal), 0))"
)
_HEAD = "SELECT body FROM ledger WHERE kind = 'head' ORDER BY id DESC LIMIT 1"
_WRITE = "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

LedgerWrite = tuple[int, str, str, int | None, str, str, int, str, int]
"""A row as it is written: number, kind, subject, UTC ms, body, who; the next round's number, boot id, boot ms then."""


class Ledger:
    """Takes declarations; safe to call from every thread."""

    def __init__(
        self, *, clock: Clock, next_number: Callable[[], int], begin: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        """`begin` is told the meter and the quantity whose register begins anew."""
        self._begin = begin
        self._clock = clock
        self._next_number = next_number
        self._lock = threading.Lock()
        self._last = 0
        self._rows: list[LedgerWrite] = []  # of this process
        self._taken = 0  # of them
        self.head: str | None = None  # the newest signed head of the chain, for platforms

    def load(self, connection: sqlite3.Connection) -> None:
        """Goes on behind the rows of a file that was just opened."""
        (last,) = connection.execute(_LAST).fetchone()
        head = connection.execute(_HEAD).fetchone()
        with self._lock:
            self.head = self.head if head is None else str(head[0])
            self._last = max(self._last, last)

    def add(self, kind: str, subject: str, at_ms: int | None, body: Mapping[str, Any], who: str) -> int:
        """Adds a row that counts from `at_ms` (UTC ms; None: for no time) and gives its number.

        A kill or power cut before the next commit loses it.
        """
        if kind in BEGINS_ANEW and "quantity" in body:
            self._begin(subject, str(body["quantity"]))
        with self._lock:
            self._last += 1
            when = (self._next_number(), self._clock.boot_id, self._clock.boot_ms())
            text = canonical(body)
            self._rows.append((self._last, kind, subject, at_ms, text, who, *when))
            self.head = text if kind == "head" else self.head
            return self._last

    def has_news(self) -> bool:
        """Whether `take` would give rows."""
        return self._taken < len(self._rows)

    def take(self) -> list[LedgerWrite]:
        """The rows to write with the next commit, given once."""
        with self._lock:
            new, self._taken = self._rows[self._taken :], len(self._rows)
            return new

    def restated(self) -> list[Statement]:
        """The rows of this process once more, for a file that replaces a damaged one."""
        with self._lock:
            return statements(self._rows[: self._taken])


def statements(rows: Iterable[LedgerWrite]) -> list[Statement]:
    """What writes these rows."""
    return [(_WRITE, row) for row in rows]


def declared(row: LedgerWrite) -> Declared:
    """A row as accounts hear it."""
    number, kind, subject, at_ms, body, who, *_ = row
    return Declared(id=number, kind=kind, subject=subject, at_ms=at_ms, body=json.loads(body), who=who)


def canonical(body: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces: the same content is the same text."""
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
