"""What the chain says of a file as it is now, and the proofs that stay when rounds are deleted.

Strategy: one walk over the seals recomputes each from the rows below it and from the stored hash of the one before,
so that a break stays where it is. `qushui verify` tells people what the walk found; salvage asks it which seals a
broken file has cost. A round that retention deleted is stood in for by its digest (table `proof`) while others of its
seal are there, afterwards by the seal's own digest over all of them.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from agent.store.seals import (
    BEGINNING,
    DIGEST_BYTES,
    MARK_BYTES,
    MOST_ROUNDS,
    SELECT_ROUNDS,
    SELECT_SEALS,
    Seal,
    digest,
    hash_of,
    round_digest,
    rows_since,
    seal_of,
)

UNKNOWN = bytes(DIGEST_BYTES)
"""Stands in a proof for a round that was lost before the proof was made."""

_MOST_STRAYS = 100  # of rounds that no seal covers, those that are named
_ROUNDS = SELECT_ROUNDS + " WHERE number BETWEEN ? AND ? ORDER BY number"
_COUNT = "SELECT count(*) FROM round WHERE number BETWEEN ? AND ?"
_ABOVE = SELECT_SEALS + " WHERE first > ? AND last >= first ORDER BY id LIMIT 1"
_NEXT = SELECT_SEALS + " WHERE id > ? ORDER BY id LIMIT 1"


# --- before rounds are deleted


def spare(connection: sqlite3.Connection, ranges: Iterable[tuple[int, int]]) -> None:
    """Keeps the proof of the rounds in `ranges`, which are sealed and about to be deleted in this transaction."""
    going: dict[int, int] = {}  # how many rounds of each seal
    touched: dict[int, Seal] = {}
    for first, last in ranges:
        seal = seal_of(connection, first) or _after(connection, first)
        while seal is not None and seal.first <= last:
            touched[seal.id] = seal
            (rounds,) = connection.execute(_COUNT, (max(first, seal.first), min(last, seal.last))).fetchone()
            going[seal.id] = going.get(seal.id, 0) + rounds
            row = connection.execute(_NEXT, (seal.id,)).fetchone()
            seal = None if row is None else Seal(*row)
    for number, rounds in going.items():
        if rounds:
            _spare(connection, touched[number], rounds)


def _after(connection: sqlite3.Connection, number: int) -> Seal | None:
    """The first seal whose rounds lie above `number`: its own were in a hole."""
    row = connection.execute(_ABOVE, (number,)).fetchone()
    return None if row is None else Seal(*row)


def _spare(connection: sqlite3.Connection, seal: Seal, going: int) -> None:
    """One seal of which `going` rounds go."""
    (stored,) = connection.execute(_COUNT, (seal.first, seal.last)).fetchone()
    known = _proof(connection, seal)
    is_whole = stored == seal.size if known is None else UNKNOWN not in _pieces(known, DIGEST_BYTES)
    if going == stored and is_whole:  # the seal's own digest over all of them is enough from now on
        connection.execute("UPDATE seal SET marks = ? WHERE id = ?", (seal.marks[seal.size * MARK_BYTES :], seal.id))
        connection.execute("DELETE FROM proof WHERE seal = ?", (seal.id,))
    elif known is None:
        digests = [UNKNOWN] * seal.size
        for row in connection.execute(_ROUNDS, (seal.first, seal.last)):
            digests[row[0] - seal.first] = round_digest(row)
        connection.execute("INSERT INTO proof VALUES (?, ?)", (seal.id, b"".join(digests)))


def _proof(connection: sqlite3.Connection, seal: Seal) -> bytes | None:
    row = connection.execute("SELECT digests FROM proof WHERE seal = ?", (seal.id,)).fetchone()
    return None if row is None else row[0]


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# --- what the chain says


class Row(NamedTuple):
    """A row that is not as it was sealed: its table and key, and digests in hex, as far as they are known."""

    table: str
    key: int
    expected: str
    found: str


class Checked(NamedTuple):
    """A seal against what is below it.

    `found`: its hash as it comes out now. `stored`: rounds that are there; `deleted`: rounds whose digests stand in.
    `rows`: the rows that differ, as far as the marks tell; `found` of a row that is missing is "".
    """

    seal: Seal
    before: Seal
    found: str
    stored: int
    deleted: int
    rows: tuple[Row, ...]

    @property
    def is_whole(self) -> bool:
        """Whether everything is as it was sealed."""
        return self.found == self.seal.hash and not self.rows


def walk(connection: sqlite3.Connection) -> Iterator[Checked]:
    """Each seal in turn; holds no more than one seal's rounds. Raises sqlite3.Error for a file that cannot be read."""
    before = BEGINNING
    for columns in connection.execute(SELECT_SEALS + " ORDER BY id"):
        seal = Seal(*columns)
        yield _checked(connection, before, seal)
        before = seal


def waivers(connection: sqlite3.Connection, beat: Callable[[], None]) -> dict[str, str]:
    """Which seals do not give their hash, by their id, and what they give: what a broken file has cost."""
    found: dict[str, str] = {}
    for checked in walk(connection):
        beat()
        if checked.found != checked.seal.hash:
            found[str(checked.seal.id)] = checked.found
    return found


def _checked(connection: sqlite3.Connection, before: Seal, seal: Seal) -> Checked:
    if not 0 <= seal.size <= MOST_ROUNDS:  # no seal of ours
        return Checked(seal, before, "", 0, 0, (Row("seal", seal.id, seal.hash, ""),))
    wrong: list[Row] = []
    over, stored = sha256(), 0
    for row in connection.execute(_ROUNDS, (before.last + 1, seal.first - 1)):  # after the loss of a seal, or added
        over.update(found := _digest_of_round(row))
        stored += 1
        if len(wrong) < _MOST_STRAYS:
            wrong.append(Row("round", row[0], "", found.hex()))
    digests = [UNKNOWN] * seal.size
    for row in connection.execute(_ROUNDS, (seal.first, seal.last)):
        digests[row[0] - seal.first] = _digest_of_round(row)
        stored += 1
    known = _proof(connection, seal)
    is_gone = not stored and known is None
    there = seal.size - digests.count(UNKNOWN)
    if known is not None:
        digests, contradicting = _filled(seal, digests, _pieces(known, DIGEST_BYTES))
        wrong += contradicting
    over.update(b"".join(each for each in digests if each != UNKNOWN))
    rounds = seal.rounds if is_gone else over.hexdigest()
    rows = [(table, int(row[0]), digest(table, row)) for table, row in rows_since(connection, before, seal)]
    hash_found = hash_of(before, seal, rounds, (each for _, _, each in rows))
    marked = _marked(seal, [] if is_gone else digests, rows)
    if (rounds, hash_found) != (seal.rounds, seal.hash):
        wrong += marked
    if rounds != seal.rounds or (hash_found != seal.hash and not wrong) or (marked and not wrong):
        wrong.append(Row("seal", seal.id, seal.hash, hash_found))
    deleted = seal.size if is_gone else seal.size - there - digests.count(UNKNOWN)
    return Checked(seal, before, hash_found, stored, deleted, tuple(wrong))


def _digest_of_round(row: Sequence[Any]) -> bytes:
    try:
        return round_digest(row)  # type: ignore[arg-type]  # what a stranger's file holds is not known
    except (TypeError, AttributeError, struct.error):
        return digest("round", row)


def _filled(seal: Seal, digests: list[bytes], proof: list[bytes]) -> tuple[list[bytes], list[Row]]:
    """The digests, those of deleted rounds taken from the proof; and what contradicts it."""
    if len(proof) != seal.size:
        return digests, [Row("proof", seal.id, "", "")]
    wrong = [
        Row("proof", seal.id, there.hex(), kept.hex())
        for there, kept in zip(digests, proof, strict=True)
        if UNKNOWN not in {there, kept} and there != kept
    ]
    filled = [kept if there == UNKNOWN else there for there, kept in zip(digests, proof, strict=True)]
    return filled, wrong


def _marked(seal: Seal, digests: list[bytes], rows: list[tuple[str, int, bytes]]) -> list[Row]:
    """The rows whose digests do not begin with their marks."""
    there = [("round", seal.first + at, each) for at, each in enumerate(digests)] + rows
    marks = _pieces(seal.marks, MARK_BYTES)
    if len(marks) == seal.size + len(rows) and not digests:  # wholly lost, not deleted: the marks are still there
        marks = marks[seal.size :]
    wrong = []
    for at in range(max(len(there), len(marks))):
        table, key, found = there[at] if at < len(there) else ("row", 0, UNKNOWN)
        mark = marks[at] if at < len(marks) else b""
        if found[:MARK_BYTES] != mark:
            is_missing = found == UNKNOWN
            wrong.append(Row(table, key, mark.hex(), "" if is_missing else found.hex()))
            if table != "round":  # what follows has moved
                break
    return wrong
