"""A broken file: what can be read of it goes into a new one, the file itself is set aside.

Strategy: the new file is built under a name of its own; when it is complete it is renamed to `.salvaged`, and from then
on every start finishes the exchange of the files. Rounds keep their numbers, and with their row of the epoch table
their ids, so that nothing already delivered comes again under another name; the new file's own epoch begins above every
number that was ever seen. A hole in the file is crossed by looking for the next number that can be read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from agent.model import Layout, Ranges
from agent.store import cursors
from agent.store.database import STEPS_A_BEAT, connect, connect_read_only, side
from agent.store.packing import layout_of, unpack

_BUILDING = ".salvaging"
_COMPLETE = ".salvaged"
_FARTHEST = 1 << 40  # no file holds this many rounds
_TABLES = ("boot", "era", "layout", "uplink", "parked", "fault", "counter", "epoch")
_NUMBERS = (  # where a number can be read that was given once
    "SELECT max(first) FROM boot",
    "SELECT max(first) FROM era",
    "SELECT max(began_round) - 1 FROM fault",
    "SELECT max(ended_round) - 1 FROM fault",
    "SELECT max(number) FROM parked",
    "SELECT max(first) - 1 FROM epoch",
    "SELECT max(number) FROM round",
    "SELECT max(number) FROM counter",
)


class Salvaged(NamedTuple):
    """Where the broken file is now, and how many rounds of it live on."""

    aside: Path
    rounds: int


def new_epoch() -> str:
    """Eight hex digits for a new file."""
    return secrets.token_hex(4)


def replace(path: Path, *, least: int, now: datetime, beat: Callable[[], None]) -> Salvaged:
    """Builds a new file from the broken one and exchanges them; numbers go on above `least` and all that were seen.

    A kill or a power cut leaves the broken file in place until the new one is complete, and then a start that finishes
    the exchange. A full disk raises sqlite3.Error or OSError with nothing lost. The broken file is never deleted.
    """
    building = side(path, _BUILDING)
    for suffix in ("", "-wal", "-shm"):
        side(building, suffix).unlink(missing_ok=True)
    target = connect(building)
    try:
        rounds = _fill(target, path, least, beat)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        target.close()
    building.rename(side(path, _COMPLETE))
    _sync(path.parent)
    return Salvaged(finish(path, now), rounds)


def is_unfinished(path: Path) -> bool:
    """Whether a kill came between building the new file and exchanging the two."""
    return side(path, _COMPLETE).exists()


def finish(path: Path, now: datetime) -> Path:
    """Exchanges the broken file and the complete new one; may be interrupted and begun again at every step."""
    aside = side(path, f".damaged-{now:%Y%m%dT%H%M%S}")
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            side(path, suffix).rename(side(aside, suffix))
    side(path, _COMPLETE).rename(path)
    _sync(path.parent)
    return aside


def _fill(target: sqlite3.Connection, path: Path, least: int, beat: Callable[[], None]) -> int:
    """Copies what can be read, in one transaction; gives the number of rounds."""
    target.set_progress_handler(beat, STEPS_A_BEAT)
    target.execute("BEGIN IMMEDIATE")
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(connect_read_only(path)) as source:
        for table in _TABLES:
            _copy(target, table, _rows(source, table))
        _copy(target, "round", _sound_rounds(target, source))
        evicted = _first(source, "SELECT value FROM meta WHERE name = 'evicted'")
        target.execute("INSERT INTO meta VALUES ('evicted', ?)", (str(evicted or 0),))
    top = max(least, *(_first(target, query) or 0 for query in _NUMBERS), _top_of_queues(target))
    stored = _stored(target)
    deleted = cursors.free(stored, 1, top)
    target.execute("INSERT OR REPLACE INTO meta VALUES ('deleted', ?)", (cursors.dumps(deleted),))
    target.execute("INSERT INTO epoch VALUES (?, ?)", (top + 1, new_epoch()))
    if stored and not _first(target, "SELECT count(*) FROM uplink"):  # nobody knows any more who had what: all again
        target.execute("INSERT OR REPLACE INTO meta VALUES ('owed_from', ?)", (str(stored[0][0]),))
    target.execute("COMMIT")
    return cursors.count(stored, top)


def _copy(target: sqlite3.Connection, table: str, rows: Iterator[Sequence[Any]]) -> None:
    for row in rows:
        marks = ", ".join("?" * len(row))
        with contextlib.suppress(
            sqlite3.IntegrityError
        ):  # a row that broke its own table's rules is part of the damage
            target.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608  # our own table names


def _rows(source: sqlite3.Connection, table: str) -> Iterator[Sequence[Any]]:
    """The rows of a small table up to the first that cannot be read, then from the end down to the last that cannot."""
    for order in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.DatabaseError):
            yield from source.execute(f"SELECT * FROM {table} ORDER BY 1 {order}")  # noqa: S608  # our own table names
            return


def _sound_rounds(target: sqlite3.Connection, source: sqlite3.Connection) -> Iterator[Sequence[Any]]:
    """The rounds whose layout is known and whose body fits it."""
    layouts = {row[0]: layout_of(row[1:]) for row in target.execute("SELECT * FROM layout")}
    return (row for row in _rounds(source) if row[1] in layouts and _fits(layouts[row[1]], row[3]))


def _fits(layout: Layout, body: bytes) -> bool:
    return len(unpack(body)) == len(layout.quantities)


def _rounds(source: sqlite3.Connection) -> Iterator[Sequence[Any]]:
    """Every readable round in the order of numbers."""
    after: int | None = 0
    while after is not None:
        try:
            for row in source.execute("SELECT * FROM round WHERE number > ? ORDER BY number", (after,)):
                yield row
                after = row[0]
        except sqlite3.DatabaseError:
            after = _beyond_hole(source, after or 0)
        else:
            return


def _beyond_hole(source: sqlite3.Connection, bad: int) -> int | None:
    """The smallest number above `bad` from which on reading works again, less one; None when there is none."""
    step = 1
    while not _is_readable(source, bad + step):
        if step > _FARTHEST:
            return None
        step *= 2
    low, high = bad + step // 2, bad + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_readable(source, middle) else (middle, high)
    return high


def _is_readable(source: sqlite3.Connection, after: int) -> bool:
    try:
        source.execute("SELECT * FROM round WHERE number > ? ORDER BY number LIMIT 1", (after,)).fetchone()
    except sqlite3.DatabaseError:
        return False
    return True


def _first(connection: sqlite3.Connection, query: str) -> int | None:
    try:
        row = connection.execute(query).fetchone()
    except sqlite3.DatabaseError:
        return None
    return None if row is None or row[0] is None else int(row[0])


def _top_of_queues(target: sqlite3.Connection) -> int:
    """The highest number an uplink has settled."""
    sets = [cursors.loads(text) for (text,) in target.execute("SELECT ranges FROM uplink")]
    return max((ranges[-1][0] - 1 for ranges in sets if ranges), default=0)


def _stored(target: sqlite3.Connection) -> Ranges:
    """The numbers that are there."""
    ranges: list[tuple[int, int]] = []
    for (number,) in target.execute("SELECT number FROM round ORDER BY number"):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return tuple(ranges)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
