"""The chain: seals over everything that a figure rests on, each over the hash of the one before.

Strategy: every covered row has a digest, SHA-256 over its columns with their types and lengths, so that no two
contents share one serialisation. A seal covers consecutive rounds and all rows of the small tables since the seal
before; its hash is over that seal's hash, its own columns, one digest over the rounds' digests and one over the
rows'. Rounds may go: the digest over them stays in the seal, and the small rows remain provable. A seal is cut in the
transaction that commits what it covers, every `MOST_ROUNDS` rounds, every hour of rounds, at each declaration, before
unsealed rounds are deleted, and at a clean stop. Rounds are digested as they come from memory, so that a row changed
on disk before its seal is found too; after a start those since the last seal are digested from their rows.
The format is described for auditors in docs/reference/chain.en.md, whose words a test implements a second time.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

MOST_ROUNDS = 1000
"""Rounds of one seal; also how many a kill may leave unsealed."""

HOUR_MS = 3_600_000
MARK_BYTES = 4
DIGEST_BYTES = 32
COVERED = ("epoch", "boot", "era", "layout", "ledger")
"""The small tables, in the order in which their rows' digests follow one another."""

SALVAGE = "salvage"
"""The row of table `meta` in which a salvaged file says what it lost, until a seal says it."""

_AT_ONCE = 20_000  # rounds of an older file that one transaction seals
_ROUND = struct.Struct(">cI5scqcqcqcI").pack  # the name and all columns up to the body's length
_INTEGER = struct.Struct(">cq").pack
_SIZED = struct.Struct(">cI").pack
_NULL = b"n"
_EXACT = "surrogateescape"  # a verifier reads texts that are no UTF-8 so, and they give back their bytes
SELECT_ROUNDS = "SELECT number, layout, boot_ms, body, quality, raw FROM round"
_QUERIES = {
    "epoch": "SELECT first, epoch FROM epoch WHERE first > ? AND first <= ? ORDER BY first",
    "boot": "SELECT id, first, boot_id FROM boot WHERE id > ? AND id <= ? ORDER BY id",
    "era": "SELECT id, first, boot_id, offset_ms, source, set_boot_ms FROM era WHERE id > ? AND id <= ? ORDER BY id",
    "layout": "SELECT id, meter, profile, version, protocol, address, quantities, flags, period_ms, requests"
    " FROM layout WHERE id > ? AND id <= ? ORDER BY id",
    "ledger": "SELECT id, kind, subject, at_ms, body, who, round, boot, ms"
    " FROM ledger WHERE id > ? AND id <= ? ORDER BY id",
}
_TOPS = (
    "SELECT ifnull((SELECT max(id) FROM boot), 0), ifnull((SELECT max(id) FROM era), 0),"
    " ifnull((SELECT max(id) FROM layout), 0), ifnull((SELECT max(id) FROM ledger), 0)"
)
SELECT_SEALS = "SELECT id, first, last, boot, era, layout, ledger, rounds, note, hash, marks FROM seal"
_NEWEST = SELECT_SEALS + " ORDER BY id DESC LIMIT 1"
_NEXT = SELECT_SEALS + " WHERE id >= ? ORDER BY id LIMIT 1"
_INSERT = "INSERT INTO seal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UNSEALED = SELECT_ROUNDS + " WHERE number >= ? AND number < ? ORDER BY number LIMIT ?"
_HEADED = "SELECT max(json_extract(body, '$.seal')) FROM ledger WHERE kind = 'head'"
_FARTHEST = (1 << 62) - 1

RoundRow = tuple[int, int, int, bytes, str | None, bytes]


class Seal(NamedTuple):
    """A row of table `seal`."""

    id: int
    first: int
    last: int
    boot: int
    era: int
    layout: int
    ledger: int
    rounds: str
    note: str
    hash: str
    marks: bytes

    @property
    def size(self) -> int:
        """How many rounds it covers."""
        return self.last - self.first + 1

    def top(self, table: str) -> int:
        """The highest key of one of the `COVERED` tables that this seal and those before it cover."""
        return self.last if table == "epoch" else int(getattr(self, table))


BEGINNING = Seal(0, 1, 0, 0, 0, 0, 0, "", "", "", b"")
"""What stands before the first seal."""


def digest(table: str, columns: Iterable[object]) -> bytes:
    """SHA-256 of a row: the table's name and the columns in the schema's order, each with type and length.

    NULL: `n`; integer: `i` and 8 bytes, two's complement; text: `t`, 4 bytes of length, UTF-8; blob: `b`, 4 bytes of
    length, the bytes. Numbers are big-endian.
    """
    name = table.encode("ascii")
    parts = [_SIZED(b"t", len(name)), name]
    for each in columns:
        match each:
            case None:
                parts.append(_NULL)
            case int():
                parts.append(_INTEGER(b"i", each))
            case str():
                text = each.encode("utf-8", _EXACT)
                parts += (_SIZED(b"t", len(text)), text)
            case bytes():
                parts += (_SIZED(b"b", len(each)), each)
            case _:
                raise TypeError(f"{table}: {type(each).__name__}")
    return sha256(b"".join(parts)).digest()


def round_digest(row: RoundRow) -> bytes:
    """`digest` of a round, at a third of the time."""
    number, layout, boot_ms, body, quality, raw = row
    if quality is None:
        reasons = _NULL
    else:
        text = quality.encode("utf-8", _EXACT)
        reasons = _SIZED(b"t", len(text)) + text
    head = _ROUND(b"t", 5, b"round", b"i", number, b"i", layout, b"i", boot_ms, b"b", len(body))
    return sha256(b"".join((head, body, reasons, _SIZED(b"b", len(raw)), raw))).digest()


def rows_since(connection: sqlite3.Connection, before: Seal, seal: Seal) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The rows of the small tables between two seals, as table and columns, in the order of the chain."""
    for table in COVERED:
        for row in connection.execute(_QUERIES[table], (before.top(table), seal.top(table))):
            yield table, row


def hash_of(before: Seal, seal: Seal, rounds: str, rows: Iterable[bytes]) -> str:
    """The hash of `seal` (whose own `rounds`, `hash` and `marks` are not looked at).

    `rounds`: SHA-256 over the digests of its rounds, hex; `rows`: the digests of its rows.
    """
    over_rows = sha256(b"".join(rows)).hexdigest()
    tops = (seal.boot, seal.era, seal.layout, seal.ledger)
    columns = (before.hash, seal.id, seal.first, seal.last, *tops, rounds, over_rows, seal.note)
    return digest("seal", columns).hex()


def marks_of(digests: Iterable[bytes]) -> bytes:
    """The marks of rows with these digests."""
    return b"".join([each[:MARK_BYTES] for each in digests])


def newest(connection: sqlite3.Connection) -> Seal:
    """The last seal; `BEGINNING` when there is none."""
    row = connection.execute(_NEWEST).fetchone()
    return BEGINNING if row is None else Seal(*row)


def seal_of(connection: sqlite3.Connection, number: int) -> Seal | None:
    """The seal that covers round `number`, found by halving; None when none does (yet)."""
    low, high = 1, newest(connection).id
    while low <= high:
        middle = (low + high) // 2
        seal = Seal(*connection.execute(_NEXT, (middle,)).fetchone())
        if seal.last < number:
            low = seal.id + 1
        elif seal.first > number:
            high = middle - 1
        else:
            return seal
    return None


@dataclass(slots=True)
class _Tail:
    """The last seal and the digests of the rounds after it."""

    seal: Seal
    first: int = 0
    first_ms: int = 0
    last_ms: int = 0
    digests: list[bytes] = field(default_factory=list)
    is_behind: bool = True  # rounds on disk may not be among the digests

    @property
    def next(self) -> int:
        """The number that would follow."""
        return self.first + len(self.digests) if self.digests else self.seal.last + 1

    def copy(self) -> _Tail:
        return _Tail(self.seal, self.first, self.first_ms, self.last_ms, list(self.digests), self.is_behind)


class Sealing:
    """Cuts seals; used by the thread that commits, inside its transactions.

    `load` after each opening of the file; `begin`, `cut` … inside a transaction, `done` after its COMMIT. A transaction
    that failed leaves nothing behind: the next `begin` starts from what was committed.
    """

    def __init__(self, waivers: Callable[[sqlite3.Connection], dict[str, str]]) -> None:
        """`waivers` says of a salvaged file which seals no longer give their hash, and what they give instead."""
        self._waivers = waivers
        self._committed = _Tail(BEGINNING)
        self._work = self._committed

    @property
    def newest(self) -> Seal:
        """The last committed seal."""
        return self._committed.seal

    @property
    def has_tail(self) -> bool:
        """Whether committed rounds are unsealed."""
        return bool(self._committed.digests) or self._committed.is_behind

    def load(self, connection: sqlite3.Connection) -> None:
        """Takes up where the file's chain ends; the rounds after it are digested with the next commit."""
        self._committed = _Tail(newest(connection))

    def begin(self) -> None:
        """A transaction begins."""
        self._work = self._committed.copy()

    def done(self) -> None:
        """The transaction was committed."""
        self._committed = self._work

    def reach(self, connection: sqlite3.Connection, number: int) -> None:
        """Sees to it that every stored round up to `number` is sealed, before some are deleted."""
        while self._work.seal.last < number:
            before = self._work.next
            self.cut(connection, wanted=True)
            if self._work.next == before:
                return

    def cut(self, connection: sqlite3.Connection, rounds: Sequence[RoundRow] = (), *, wanted: bool = False) -> None:
        """Takes in the rounds that this transaction inserted, and seals what is due; with `wanted`, all.

        A kill, power cut or full disk leaves seals and rounds together as they were before, or both after.
        """
        work = self._work
        if work.is_behind:
            if note := self._note(connection):
                self._seal(connection, note)
            end = rounds[0][0] if rounds else _FARTHEST
            behind = connection.execute(_UNSEALED, (work.next, end, _AT_ONCE)).fetchall()
            self._take(connection, behind)
            work.is_behind = len(behind) == _AT_ONCE
        if not work.is_behind:
            self._take(connection, rounds)
        (declared,) = connection.execute("SELECT max(id) FROM ledger").fetchone()
        is_hour = bool(work.digests) and abs(work.last_ms - work.first_ms) >= HOUR_MS
        if is_hour or (declared or 0) > work.seal.ledger or (wanted and work.digests):
            self._seal(connection)

    def _take(self, connection: sqlite3.Connection, rounds: Sequence[RoundRow]) -> None:
        """Digests rounds; a hole in their numbers, and a full seal, are borders."""
        work, at = self._work, 0
        while at < len(rounds):
            number, _, boot_ms, *_ = rounds[at]
            if number < work.next:  # written a second time, after a COMMIT that had not seemed to succeed
                at += 1
                continue
            if number > work.next and work.digests:
                self._seal(connection)
            if not work.digests:
                work.first, work.first_ms = number, boot_ms
            end = _run_end(rounds, at, min(len(rounds), at + MOST_ROUNDS - len(work.digests)))
            work.digests += map(round_digest, rounds[at:end])
            work.last_ms = rounds[end - 1][2]
            at = end
            if len(work.digests) == MOST_ROUNDS:
                self._seal(connection)

    def _seal(self, connection: sqlite3.Connection, note: str = "") -> None:
        work, before = self._work, self._work.seal
        number = before.id + 1
        if note:  # the last seals may be lost, and others may hold their heads: their numbers are not given again
            number = max(before.id, connection.execute(_HEADED).fetchone()[0] or 0) + 1
        first = work.first if work.digests else before.last + 1
        last = first + len(work.digests) - 1
        tops = [max(pair) for pair in zip(connection.execute(_TOPS).fetchone(), before[3:7], strict=True)]
        rounds = sha256(b"".join(work.digests)).hexdigest()
        boot, era, layout, ledger = tops
        seal = Seal(number, first, last, boot, era, layout, ledger, rounds, note, "", b"")
        rows = [digest(table, row) for table, row in rows_since(connection, before, seal)]
        sealed = seal._replace(hash=hash_of(before, seal, rounds, rows), marks=marks_of((*work.digests, *rows)))
        connection.execute(_INSERT, sealed)
        work.seal = sealed
        work.digests.clear()

    def _note(self, connection: sqlite3.Connection) -> str:
        """What the next seal has to say of a salvage; "" without one. Reads the whole file then."""
        row = connection.execute("SELECT value FROM meta WHERE name = ?", (SALVAGE,)).fetchone()
        if row is None:
            return ""
        connection.execute("DELETE FROM meta WHERE name = ?", (SALVAGE,))
        told = {**json.loads(row[0]), "broken": self._waivers(connection)}
        return json.dumps(told, sort_keys=True, separators=(",", ":"))


def _run_end(rounds: Sequence[RoundRow], at: int, end: int) -> int:
    """The index behind those from `at` on, before `end`, whose numbers follow one another."""
    first = rounds[at][0] - at
    while rounds[end - 1][0] != first + end - 1:
        end -= 1
    return end
