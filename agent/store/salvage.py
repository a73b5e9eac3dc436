"""A broken file: what can be read of it goes into a new one, the file itself is set aside.

Strategy: SQLite reads what it still can, from both ends of each table; what it does not reach is taken from the bare
pages. The new file is built under a name of its own; when it is complete it is renamed to `.salvaged`, and from then on
every start finishes the exchange of the files. Rounds keep their numbers, and with their row of the epoch table their
ids, so that nothing already delivered comes again under another name; the new file's own epoch begins above every
number that was ever seen.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from agent.model import INTAKE, Layout, Ranges
from agent.store import cursors, layouts
from agent.store.database import STEPS_A_BEAT, connect, connect_read_only, side
from agent.store.packing import pack_raw, unpack, unpack_quality, unpack_raw
from agent.store.pages import Bytes, Pages, Row
from agent.store.seals import SALVAGE
from agent.whole import sync

_BUILDING = ".salvaging"
_COMPLETE = ".salvaged"
_FARTHEST = 1 << 40  # no file holds this many rounds
_EPOCH_DIGITS = 8
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_TABLES = (
    *("boot", "era", "layout", "uplink", "parked", "fault", "counter", "epoch", "confirmation"),
    *("ledger", "account", "closing", "event", "seal", "proof", "keep", "outbox", "composing"),
)
_SHAPES: Mapping[str, tuple[Any, ...]] = {  # the columns behind the key, of the tables that bare pages give
    "round": (int, int, bytes, str | None, bytes),
    "layout": (str, str, str, str, str, str, str, int, bytes),
    "confirmation": (str, str, str, str, str, str, str, int, str, int),
    "ledger": (str, str, int | None, str, str, int, str, int),
    "event": (str, str, str, str, str, int, int | None, int, int, int, str),
    "seal": (int, int, int, int, int, int, str, str, str, bytes),
    "proof": (bytes,),
    "outbox": (str, str, int, str, int, str, str, str, int, int | None),
    "era": (int, str, int, str, int),
    "boot": (int, str),
    "epoch": (str,),
}
_NUMBERS = (  # where a number can be read that was given once
    "SELECT max(first) FROM boot",
    "SELECT max(first) FROM era",
    "SELECT max(began_round) - 1 FROM fault",
    "SELECT max(ended_round) - 1 FROM fault",
    "SELECT max(round) - 1 FROM confirmation",
    "SELECT max(number) FROM parked",
    "SELECT max(first) - 1 FROM epoch",
    "SELECT max(number) FROM round",
    "SELECT max(number) FROM counter",
    "SELECT max(round) - 1 FROM ledger",
    "SELECT max(number) FROM account",
    "SELECT max(number) FROM closing",
    "SELECT max(last) FROM event",
    "SELECT max(last) FROM seal",
    "SELECT max(last) FROM keep",
)


class Salvaged(NamedTuple):
    """Where the broken file is now, and how many rounds of it live on."""

    aside: Path
    rounds: int


def new_epoch() -> str:
    """Eight hex digits for a new file."""
    return secrets.token_hex(_EPOCH_DIGITS // 2)


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
    sync(path.parent)
    return Salvaged(finish(path, now), rounds)


def go_above(connection: sqlite3.Connection, least: int) -> None:
    """Gives a new file its epoch, and lets numbers go on above `least`, which a file that is gone has given.

    A kill or a power cut leaves it undone or done.
    """
    first = _first(connection, "SELECT max(first) FROM epoch")
    deleted = cursors.loads(_meta(connection, "deleted") or "[]")
    stored = _first(connection, "SELECT max(number) FROM round") or 0
    top = max(stored, (first or 1) - 1, deleted[-1][1] or 0 if deleted else 0)
    if first is not None and top >= least:
        return
    connection.execute("BEGIN IMMEDIATE")
    if first is None:
        connection.execute("INSERT INTO epoch VALUES (?, ?)", (max(top, least) + 1, new_epoch()))
    if top < least:
        gone = cursors.union(deleted, ((top + 1, least),))
        _note_losses(connection, gone, deleted, _meta(connection, SALVAGE))
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('deleted', ?)", (cursors.dumps(gone),))
    connection.execute("COMMIT")


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
    sync(path.parent)
    return aside


def _fill(target: sqlite3.Connection, path: Path, least: int, beat: Callable[[], None]) -> int:
    """Copies what can be read, in one transaction; gives the number of rounds."""
    target.set_progress_handler(beat, STEPS_A_BEAT)
    target.execute("BEGIN IMMEDIATE")
    deleted: Ranges = ()
    earlier: str | None = None
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(connect_read_only(path)) as source:
        deleted = cursors.loads(_meta(source, "deleted") or "[]")
        for table in _TABLES:
            _copy(target, table, _rows(source, table))
        known = layouts.read(target)
        _copy(target, "round", (row for row in _rows(source, "round") if _is_whole(row, known)))
        target.execute("INSERT INTO meta VALUES ('evicted', ?)", (_meta(source, "evicted") or "0",))
        earlier = _meta(source, SALVAGE)
    seen = _copy_pages(target, path, deleted, beat)
    top = max(least, seen, *(_first(target, query) or 0 for query in _NUMBERS), _top_of_queues(target))
    stored = _stored(target)
    gone = cursors.free(stored, 1, top)
    _note_losses(target, gone, deleted, earlier)
    target.execute("INSERT OR REPLACE INTO meta VALUES ('deleted', ?)", (cursors.dumps(gone),))
    target.execute("INSERT INTO epoch VALUES (?, ?)", (top + 1, new_epoch()))
    if stored and not _first(target, "SELECT count(*) FROM uplink"):  # nobody knows any more who had what: all again
        target.execute("INSERT OR REPLACE INTO meta VALUES ('owed_from', ?)", (str(stored[0][0]),))
    target.execute("COMMIT")
    return cursors.count(stored, top)


def _note_losses(target: sqlite3.Connection, gone: Ranges, deleted: Ranges, earlier: str | None) -> None:
    """What the next seal says: the rounds that are gone without retention; `earlier`: what no seal has said yet."""
    lost = gone
    for first, last in deleted:
        lost = cursors.without(lost, first, last or first)
    if earlier is not None:
        lost = cursors.union(lost, cursors.loads(json.dumps(json.loads(earlier)["lost"])))
    target.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (SALVAGE, f'{{"lost":{cursors.dumps(lost)}}}'))


def _copy(target: sqlite3.Connection, table: str, rows: Iterable[Sequence[Any]]) -> None:
    for row in rows:
        marks = ", ".join("?" * len(row))
        with contextlib.suppress(
            sqlite3.IntegrityError
        ):  # a row that broke its own table's rules is part of the damage
            target.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608  # our own table names


def _rows(source: sqlite3.Connection, table: str) -> Iterator[Sequence[Any]]:
    """A table's rows up to the first that cannot be read, then from the end down to the last that cannot."""
    for order in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.DatabaseError):
            yield from source.execute(f"SELECT * FROM {table} ORDER BY 1 {order}")  # noqa: S608  # our own table names
            return


def _copy_pages(target: sqlite3.Connection, path: Path, deleted: Ranges, beat: Callable[[], None]) -> int:
    """Adds the rows that lie in the pages, first those of the small tables, which say what the rounds mean.

    Gives the highest number that any round had, those included that nothing can be made of.
    """
    top = 0
    with _mapped(path) as file, _mapped(side(path, "-wal")) as log:
        pages = Pages(file, log, beat)
        for row in pages.rows():
            table = _table_of(row)
            if table is not None and table != "round":
                _copy(target, table, [(row[0], *row[2:])])
        known = layouts.read(target)
        for row in pages.rows():
            if _table_of(row) == "round" and 0 < row[0] < _FARTHEST:
                found = (row[0], *row[2:])
                top = max(top, row[0])
                if _is_whole(found, known) and not cursors.holds(deleted, row[0]):
                    _copy(target, "round", [found])
    return top


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[Bytes]:
    """The bytes of a file, without reading them all at once; none when there is no such file."""
    if not path.exists() or not path.stat().st_size:
        yield b""
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def _table_of(row: Row) -> str | None:
    """Whose row this is, by its shape: the number, the empty place of the key, the other columns."""
    if row[1:2] != (None,):
        return None
    columns = row[2:]
    for table, shape in _SHAPES.items():
        if len(shape) == len(columns) and all(map(isinstance, columns, shape)):
            return None if table == "epoch" and len(columns[0]) != _EPOCH_DIGITS else table
    return None


def _is_whole(row: Sequence[Any], known: Mapping[int, Layout]) -> bool:
    """Whether a round's layout is known and values, reasons and replies fit it: a torn page must become no number."""
    number, layout_number, _, body, quality, raw = row
    layout = known.get(layout_number)
    if layout is None or number <= 0:
        return False
    texts = unpack(body)
    if len(texts) != len(layout.quantities) or not all(text is None or _DECIMAL.fullmatch(text) for text in texts):
        return False
    try:
        replies = unpack_raw(raw)
        if pack_raw(replies) != raw:  # the last one is cut short
            return False
        if layout.protocol == INTAKE:
            json.loads(replies[0])
        return quality is None or bool(unpack_quality(layout, quality))
    except (ValueError, IndexError):
        return False


def _meta(connection: sqlite3.Connection, name: str) -> str | None:
    try:
        row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    except sqlite3.DatabaseError:
        return None
    return None if row is None else str(row[0])


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
