"""Reads what is committed, on a connection of its own: for uplinks, the page and the command line.

Strategy: a backlog is read by the million, so rows become plain tuples, layouts and reasons are decoded once, and a
date is looked up once for each stretch of numbers that shares it. Rows are read before the dates: a boot that begins
in between is then known too soon, never too late. When a damaged file was exchanged, the next read opens the new one.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agent.model import INTAKE, Layout, QualityMap, Ranges, StoredRound
from agent.store import cursors
from agent.store.database import connect_read_only, is_damage, side
from agent.store.dates import Boot, Dates, Era
from agent.store.packing import layout_of, unpack_many, unpack_quality, unpack_raw

_ROUNDS = (  # one row of columns: sqlite3 lets go of the interpreter at each row, and fifty lines queue for it
    "SELECT group_concat(number), group_concat(layout), group_concat(boot_ms), group_concat(hex(body), ' '), "
    "group_concat(ifnull(quality, ''), ' ') "
    "FROM (SELECT number, layout, boot_ms, body, quality FROM round "
    "WHERE number BETWEEN ?1 AND ?2 {} ORDER BY number LIMIT ?3)"
)
_OF_METERS = (  # those they answered themselves
    "AND layout IN (SELECT id FROM layout WHERE protocol <> ?5 AND meter IN (SELECT value FROM json_each(?4)))"
)
_ROUNDS_OF_ALL, _ROUNDS_OF_METERS = _ROUNDS.format(""), _ROUNDS.format(_OF_METERS)
_LAST = "SELECT max(number) FROM round"
_NEWS = "SELECT (SELECT max(id) FROM boot), (SELECT max(id) FROM era), (SELECT max(first) FROM epoch)"
_FAULTS = (
    "SELECT code, place, count, evidence, began_round, began_boot, began_ms, ended_round, ended_boot, ended_ms"
    " FROM fault WHERE ended_round IS NULL OR ? ORDER BY id"
)
_UNACCEPTED = (
    "SELECT ranges, (SELECT json_group_array(number) FROM (SELECT number FROM parked WHERE uplink = name"
    " ORDER BY number)) FROM uplink WHERE name = ?"
)
_MOST_QUALITIES = 10_000


@dataclass(frozen=True, slots=True)
class FaultRow:
    """A fault as stored. Times in UTC ms since 1970, None without a date; `is_open` tells whether it has ended."""

    code: str
    place: str
    count: int
    evidence: dict[str, str]
    began_at_ms: int | None
    ended_at_ms: int | None
    is_open: bool


class Parked(NamedTuple):
    """A round a platform refused for good."""

    number: int
    reason: str


class Counts(NamedTuple):
    """What the file holds: rounds, the first and last of their numbers (0: none), rows evicted unsent, bytes."""

    rounds: int
    first: int
    last: int
    evicted: int
    bytes: int


class Reader:
    """Used by one thread at a time. Raises sqlite3.Error as SQLite does; FileNotFoundError before the first start."""

    def __init__(self, path: Path, *, on_damage: Callable[[], None] | None = None) -> None:
        """`on_damage` is called when the file turns out to be broken (`Store.suspect`), before the error is raised."""
        self._path = path
        self._on_damage = on_damage
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._forget()

    def _forget(self) -> None:
        self._layouts: dict[int, Layout] = {}
        self._qualities: dict[tuple[int, str], QualityMap] = {}
        self._news: tuple[int | None, ...] = ()
        self._dates = Dates((), ())
        self._epochs: list[tuple[int, str]] = []

    def close(self) -> None:
        """Closes the connection; a later call opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def epoch(self) -> str:
        """The epoch new rounds get: eight hex digits."""
        self.query(_LAST, ())
        self._refresh()
        return self._epochs[-1][1]

    def committed(self) -> int:
        """The highest number in the file; 0 when there is none yet."""
        return int(self.query(_LAST, ())[0][0] or 0)

    def rounds(self, first: int, last: int, *, limit: int, meters: Collection[str] | None = None) -> list[StoredRound]:
        """At most `limit` stored rounds of first…last, ascending; numbers that retention deleted are not among them.

        With `meters` only theirs, and no intake's. The quality maps are shared: not to be changed.
        """
        if meters is None:
            columns = self.query(_ROUNDS_OF_ALL, (first, last, limit))[0]
        else:
            columns = self.query(_ROUNDS_OF_METERS, (first, last, limit, json.dumps(list(meters)), INTAKE))[0]
        if columns[0] is None:
            return []
        self._refresh()
        found: list[StoredRound] = []
        until = epoch_until = 0
        offset_ms: int | None = None
        prefix = ""
        layouts, qualities, make = self._layouts, self._qualities, StoredRound._make
        numbers, layout_numbers, boots_ms = (map(int, column.split(",")) for column in columns[:3])
        bodies, texts = unpack_many(columns[3]), columns[4].split(" ")
        for number, layout_number, boot_ms, body, text in zip(
            numbers, layout_numbers, boots_ms, bodies, texts, strict=True
        ):
            if number >= until:
                offset_ms, end = self._dates.spell(number)
                until = last + 1 if end is None else end
            if number >= epoch_until:
                prefix, epoch_until = self._epoch_of(number, last + 1)
            layout = layouts.get(layout_number) or self._layout(layout_number)
            quality = None
            if text:
                quality = qualities.get((layout_number, text)) or self._quality(layout_number, text)
            at_ms = None if offset_ms is None else boot_ms + offset_ms
            found.append(make((number, f"{prefix}{number}", layout, at_ms, body, quality, None)))
        if any(layout.protocol == INTAKE for layout in {id(each[2]): each[2] for each in found}.values()):
            return [self._with_proof(each) if each.layout.protocol == INTAKE else each for each in found]
        return found

    def _with_proof(self, found: StoredRound) -> StoredRound:
        return found._replace(proof=self.raw(found.number)[0].decode("utf-8"))

    def raw(self, number: int) -> tuple[bytes, ...]:
        """The replies of a round, in the order of its layout's requests. Raises KeyError when it is not stored."""
        rows = self.query("SELECT raw FROM round WHERE number = ?", (number,))
        if not rows:
            raise KeyError(number)
        return unpack_raw(rows[0][0])

    def cursor(self, uplink: str) -> Ranges | None:
        """The numbers a platform has not acknowledged, as last written; None for a name without a queue."""
        rows = self.query("SELECT ranges FROM uplink WHERE name = ?", (uplink,))
        return cursors.loads(rows[0][0]) if rows else None

    def unaccepted(self, uplink: str) -> Ranges | None:
        """The numbers that a platform has not acknowledged or has refused; None for a name without a queue.

        Of one moment: a number goes from one to the other, and is never in neither.
        """
        rows = self.query(_UNACCEPTED, (uplink,))
        if not rows:
            return None
        ranges, parked = rows[0]
        return cursors.union(cursors.loads(ranges), tuple((number, number) for number in json.loads(parked)))

    def due(self, uplink: str) -> int:
        """How many stored rounds are acknowledged by this uplink, waiting or parked; 0 for a name without a queue."""
        rows = self.query("SELECT since FROM uplink WHERE name = ?", (uplink,))
        if not rows:
            return 0
        since, last = max(1, int(rows[0][0])), self.committed()
        return max(0, last - since + 1 - cursors.count(cursors.without(self._deleted(), 1, since - 1), last))

    def undated(self, first: int, last: int) -> int:
        """How many numbers of first…last have no date: those of a boot in which nobody told the time."""
        self.query(_LAST, ())
        self._refresh()
        found = 0
        for start, following, offset_ms in self._dates.spells_from(first):
            if offset_ms is None:
                end = last if following is None else min(last, following - 1)
                found += max(0, end - max(start, first) + 1)
        return found

    def spells(self) -> tuple[tuple[int, int | None, int | None], ...]:
        """All stretches of numbers: (first, first of the next or None, ms from boot time to UTC or None)."""
        self.query(_LAST, ())
        self._refresh()
        return self._dates.spells_from(0)

    def uplinks(self) -> tuple[str, ...]:
        """Every name that has a queue, those of removed uplinks too."""
        return tuple(name for (name,) in self.query("SELECT name FROM uplink ORDER BY name", ()))

    def parked(self, uplink: str) -> list[Parked]:
        """What a platform refused for good, by number."""
        rows = self.query("SELECT number, reason FROM parked WHERE uplink = ? ORDER BY number", (uplink,))
        return [Parked(*row) for row in rows]

    def faults(self, *, open_only: bool) -> list[FaultRow]:
        """The stored faults, oldest first."""
        rows = self.query(_FAULTS, (not open_only,))
        self._refresh()
        return [self._fault(*row) for row in rows]

    def counts(self) -> Counts:
        """How much is stored; needs no scan."""
        meta = dict(self.query("SELECT name, value FROM meta", ()))
        first = int(self.query("SELECT min(number) FROM round", ())[0][0] or 0)
        last = self.committed()
        deleted = cursors.count(self._deleted(), last)
        size = sum(
            side(self._path, suffix).stat().st_size for suffix in ("", "-wal") if side(self._path, suffix).exists()
        )
        return Counts(last - deleted, first, last, int(meta.get("evicted", "0")), size)

    def gone(self) -> int:
        """Up to this number rounds are missing that retention or a damage took; 0 for none."""
        deleted = self._deleted()
        return (deleted[-1][1] or 0) if deleted else 0

    def _deleted(self) -> Ranges:
        """The numbers that are no longer in the file."""
        rows = self.query("SELECT value FROM meta WHERE name = 'deleted'", ())
        return cursors.loads(rows[0][0]) if rows else ()

    def query(self, sql: str, parameters: tuple[object, ...]) -> list[Any]:
        """All rows of a query of this package's own."""
        try:
            return self._current().execute(sql, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            self.close()
            if is_damage(error) and self._on_damage is not None:
                self._on_damage()
            raise

    def _current(self) -> sqlite3.Connection:
        """The connection to the file that bears the name now."""
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:  # the moment in which a damaged file is exchanged
            if self._connection is None:
                raise
            return self._connection
        if self._connection is None or inode != self._inode:
            self.close()
            self._forget()
            connection = connect_read_only(self._path)
            if not connection.execute("PRAGMA user_version").fetchone()[0]:  # the first start is making it
                connection.close()
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
            self._connection = connection
            self._inode = inode
        return self._connection

    def _refresh(self) -> None:
        """Reads boots, eras and epochs again when there are new ones."""
        assert self._connection is not None
        news = self._connection.execute(_NEWS).fetchone()
        if news == self._news:
            return
        boots = self._connection.execute("SELECT first, boot_id FROM boot ORDER BY id")
        eras = self._connection.execute("SELECT first, boot_id, offset_ms, source FROM era ORDER BY id")
        self._dates = Dates(map(Boot._make, boots), map(Era._make, eras))
        self._epochs = self._connection.execute("SELECT first, epoch FROM epoch ORDER BY first").fetchall()
        self._news = news

    def _epoch_of(self, number: int, end: int) -> tuple[str, int]:
        """How the id of `number` begins, and the first number whose id may begin otherwise."""
        later = [first for first, _ in self._epochs if first > number]
        epoch = self._epochs[len(self._epochs) - len(later) - 1][1]
        return f"{epoch}-", min(later, default=end)

    def _layout(self, number: int) -> Layout:
        assert self._connection is not None
        row = self._connection.execute("SELECT * FROM layout WHERE id = ?", (number,)).fetchone()
        layout = self._layouts[number] = layout_of(row[1:])
        return layout

    def _quality(self, layout_number: int, text: str) -> QualityMap:
        if len(self._qualities) >= _MOST_QUALITIES:
            self._qualities.clear()
        quality = self._qualities[layout_number, text] = unpack_quality(self._layouts[layout_number], text)
        return quality

    def _fault(self, code: str, place: str, count: int, evidence: str, *moments: Any) -> FaultRow:
        began, ended = moments[:3], moments[3:]
        is_open = ended[0] is None
        return FaultRow(
            code,
            place,
            count,
            json.loads(evidence),
            self.moment(*began),
            None if is_open else self.moment(*ended),
            is_open,
        )

    def moment(self, number: int, boot_id: str, boot_ms: int) -> int | None:
        """The date (UTC ms) of a moment of a boot in which `number` was the next; None without one."""
        self._refresh()
        offset_ms = self._dates.offset_of(boot_id, number)
        return None if offset_ms is None else boot_ms + offset_ms
