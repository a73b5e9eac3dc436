"""Whether a database is complete and unaltered: the chain walked from end to end, and what people want to know of it.

Strategy: a walk holds one seal's rounds at a time, on a snapshot, so that a running agent goes on meanwhile. A file
comes from a stranger: whatever it holds, the verdict names the place and the walk goes on. The chain proves that
nothing was altered since it was sealed. That the seals are the station's own, the signatures say; that none was made
anew later, only a head that somebody else has kept.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from agent.closings_check import altered_closings
from agent.model import Ranges
from agent.signing import fingerprint, is_signed_by, signed_text
from agent.store import cursors
from agent.store.database import connect_read_only, primary_code
from agent.store.dates import Boot, Dates, Era
from agent.store.proofs import Checked, Row, walk
from agent.store.seals import COVERED, Seal, newest

MOST_BREAKS = 100
"""Breaks that are listed; more are counted."""

_SCHEMA = 3  # the first with a chain
_OURS = {"round", "epoch", "layout", "meta"}  # since the first schema
_FARTHEST = 1 << 62


class Break(NamedTuple):
    """Where a file is not what was sealed.

    `code` says what it is: CHANGED, MISSING or ADDED rows, a SEAL or PROOF itself, KEPT (a round that never goes is
    gone), a CLOSING that is not what the sealed reading of its hour told (`key`: that round), a head whose HEAD_HASH,
    HEAD_SIGNATURE, HEAD_KEY or HEAD_SEAL does not fit, UNREADABLE; of a package a MEMBER that its manifest does not
    name so, or `key` bytes BEFORE, BETWEEN or BEHIND its members, the PACKING of one, its end CUT off. `table` and
    `key` say which row; of a round `round_id`, `at_ms` (UTC ms) and `meter`, as far as they are known; hashes in hex.
    """

    code: str
    table: str
    key: int
    seal: int
    expected: str = ""
    found: str = ""
    round_id: str = ""
    at_ms: int | None = None
    meter: str = ""


class Stretch(NamedTuple):
    """Rounds first…last that are not there, and the dates around them (UTC ms)."""

    first: int
    last: int
    from_ms: int | None
    to_ms: int | None


class Head(NamedTuple):
    """A signed head as the file holds it: `state` is GOOD or the code of what is wrong."""

    day: str
    seal: int
    key: str
    state: str


class Salvage(NamedTuple):
    """What a damaged file once cost: the seal that says so, rounds lost, seals that no longer give their hash."""

    seal: int
    lost: tuple[tuple[int, int], ...]
    broken: tuple[int, ...]


@dataclass(slots=True)
class Verdict:
    """What was found. Rounds `first` to `last` are sealed, of which `stored` are there."""

    seals: int = 0
    first: int = 0
    last: int = 0
    hash: str = ""
    stored: int = 0
    unsealed: int = 0
    unsealed_rows: int = 0
    deleted: list[Stretch] = field(default_factory=list)
    absent: int = 0  # of a package: sealed rounds that were not exported
    salvages: list[Salvage] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)
    held: str = ""  # of a head kept elsewhere: SAME, or the code of the break
    breaks: list[Break] = field(default_factory=list)
    more: int = 0  # breaks that are not listed

    @property
    def is_whole(self) -> bool:
        """Complete and unaltered: nothing is broken, and no salvage lost anything."""
        return not self.breaks and not any(each.lost or each.broken for each in self.salvages)


class NoChainError(Exception):
    """The file is a database of ours, from before there was a chain."""


class NotOursError(Exception):
    """The file is a database of something else, or none; with "bare", one without tables, copied without its log."""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A snapshot of a database, its texts exactly as they lie there, whatever they are.

    Raises FileNotFoundError, NotOursError, NoChainError, sqlite3.DatabaseError for one that is damaged.
    """
    try:
        found = connect_read_only(path)
    except sqlite3.DatabaseError as error:
        if primary_code(error) == sqlite3.SQLITE_NOTADB:
            raise NotOursError from error
        raise
    with closing(found) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        connection.execute("BEGIN")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables >= _OURS:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            raise NotOursError("bare" if pages and not tables else "")
        if connection.execute("PRAGMA user_version").fetchone()[0] < _SCHEMA:
            raise NoChainError
        yield connection


def verify(
    connection: sqlite3.Connection,
    *,
    key: str | None = None,
    head: Mapping[str, Any] | None = None,
    exported: tuple[int, int] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Verdict:
    """Walks the whole chain; `progress` hears the rounds of each seal.

    `key`: the fingerprint or public key (hex) that the newest head must bear; `head`: one that was kept elsewhere;
    `exported`: the numbers that a package holds, all others are known to be elsewhere.
    """
    return _Verifying(connection, key, head, exported).run(progress)


class _Verifying:
    def __init__(
        self,
        connection: sqlite3.Connection,
        key: str | None,
        head: Mapping[str, Any] | None,
        exported: tuple[int, int] | None,
    ) -> None:
        self._connection = connection
        self._key = key
        self._head = head
        self._exported = exported or (1, _FARTHEST)
        self._verdict = Verdict()
        self._waived: dict[int, str] = {}
        self._lost: Ranges = ()
        self._deleted: Ranges = ()

    def run(self, progress: Callable[[int], None]) -> Verdict:
        verdict = self._verdict
        try:
            self._load()
            for checked in walk(self._connection):
                self._look(checked)
                progress(checked.seal.size)
            self._look_behind()
            self._look_at_heads()
        except sqlite3.DatabaseError as error:
            self._broken(Break("UNREADABLE", "", 0, verdict.seals, found=str(error)))
        return verdict

    def _load(self) -> None:
        """What salvages and retention say of rounds that are not there."""
        query = "SELECT id, note FROM seal WHERE note != '' ORDER BY id"
        for number, note in self._connection.execute(query):
            with suppress(ValueError, KeyError, TypeError, AttributeError):  # else its seal is broken, and says so
                told = json.loads(note)
                lost = tuple((int(first), int(last)) for first, last in told["lost"])
                broken = {int(seal): str(found) for seal, found in told["broken"].items()}
                self._verdict.salvages.append(Salvage(number, lost, tuple(broken)))
                self._waived |= broken
                self._lost = cursors.union(self._lost, lost)
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'deleted'").fetchone()
        with suppress(ValueError, TypeError):
            self._deleted = cursors.loads(row[0]) if row else ()

    # --- one seal

    def _look(self, checked: Checked) -> None:
        verdict, seal, before = self._verdict, checked.seal, checked.before
        verdict.seals += 1
        verdict.first = verdict.first or (seal.first if seal.size else 0)
        verdict.last, verdict.hash = seal.last, seal.hash
        verdict.stored += checked.stored
        if seal.id in self._waived and (self._waived[seal.id] == checked.found or self._is_thinned(before, seal)):
            return
        for row in checked.rows:
            self._tell(seal, row)
        if not checked.is_whole and not checked.rows:
            self._broken(Break("SEAL", "seal", seal.id, seal.id, seal.hash, checked.found))
        self._look_at_gaps(checked)

    def _is_thinned(self, before: Seal, seal: Seal) -> bool:
        """Whether retention took rounds whose own seal a salvage had lost: the next seal proves them no longer."""
        gone = self._deleted
        for first, end in self._lost:
            gone = cursors.without(gone, first, end or first)
        return any(first < seal.first and (end or first) > before.last for first, end in gone)

    def _look_at_gaps(self, checked: Checked) -> None:
        """Rounds that are gone must have been deleted by retention, or not been exported."""
        seal = checked.seal
        if checked.stored == seal.size or any(row.table in {"round", "seal"} for row in checked.rows):
            return
        known = cursors.union(self._deleted, ((1, self._exported[0] - 1), (self._exported[1] + 1, None)))
        for first, last in cursors.free(known, seal.first, seal.last):
            query = "SELECT count(*) FROM round WHERE number BETWEEN ? AND ?"
            (stored,) = self._connection.execute(query, (first, last)).fetchone()
            if stored < last - first + 1:
                self._broken(self._round("MISSING", self._first_absent(first, last), seal.id))

    def _first_absent(self, first: int, last: int) -> int:
        query = "SELECT number FROM round WHERE number BETWEEN ? AND ? ORDER BY number"
        for (number,) in self._connection.execute(query, (first, last)):
            if number != first:
                break
            first += 1
        return first

    def _tell(self, seal: Seal, row: Row) -> None:
        if row.table == "round":
            code = "MISSING" if not row.found else "CHANGED" if row.expected else "ADDED"
            found = self._round(code, row.key, seal.id)
            self._broken(found._replace(expected=row.expected, found=row.found))
            return
        code = {"seal": "SEAL", "proof": "PROOF"}.get(row.table, "CHANGED" if row.found else "MISSING")
        if code == "CHANGED" and not row.expected:
            code = "ADDED"
        self._broken(Break(code, row.table, row.key, seal.id, row.expected, row.found))

    # --- behind the last seal, and beside the chain

    def _look_behind(self) -> None:
        verdict, last = self._verdict, newest(self._connection)
        query = "SELECT count(*) FROM round WHERE number > ?"
        (verdict.unsealed,) = self._connection.execute(query, (last.last,)).fetchone()
        for table in COVERED:
            name = "first" if table == "epoch" else "id"
            query = f"SELECT count(*) FROM {table} WHERE {name} > ?"  # noqa: S608  # our own table names
            (rows,) = self._connection.execute(query, (last.top(table),)).fetchone()
            verdict.unsealed_rows += rows if table != "epoch" else 0  # a new file's epoch begins above all rounds
            query = f"SELECT {name} FROM {table} WHERE {name} < 1"  # noqa: S608  # our own table names
            for (number,) in self._connection.execute(query):
                self._broken(Break("ADDED", table, number, 0))
        for (number,) in self._connection.execute("SELECT number FROM round WHERE number < 1"):
            self._broken(Break("ADDED", "round", number, 0))
        gone = self._deleted
        for first, end in self._lost:
            gone = cursors.without(gone, first, end or first)
        for first, end in cursors.union(gone):
            low, high = max(first, self._exported[0]), min(end or first, self._exported[1], last.last)
            if low <= high:
                verdict.deleted.append(Stretch(low, high, self._at_ms(low - 1), self._at_ms(high + 1)))
        verdict.absent = cursors.count(((1, self._exported[0] - 1), (self._exported[1] + 1, None)), last.last)
        self._look_at_kept()
        for each in altered_closings(self._connection, self._dates().spell):
            found = self._round("CLOSING", each.number, 0)
            self._broken(found._replace(table="closing", expected=each.told, found=each.found, at_ms=each.at_ms))

    def _look_at_kept(self) -> None:
        known = cursors.union(self._lost, ((1, self._exported[0] - 1), (self._exported[1] + 1, None)))
        for first, last in self._connection.execute("SELECT DISTINCT first, last FROM keep ORDER BY first"):
            for low, high in cursors.free(known, first, last):
                query = "SELECT count(*) FROM round WHERE number BETWEEN ? AND ?"
                if self._connection.execute(query, (low, high)).fetchone()[0] < high - low + 1:
                    self._broken(self._round("KEPT", self._first_absent(low, high), 0))

    # --- heads

    def _look_at_heads(self) -> None:
        verdict = self._verdict
        public: dict[str, bytes] = {}
        for body in self._bodies("key"):
            with suppress(ValueError, KeyError, TypeError):
                raw = bytes.fromhex(body["public"])
                public[fingerprint(raw)] = raw
                verdict.keys.append(fingerprint(raw))
        given = _public_of(self._key)
        if given is not None:
            public[fingerprint(given)] = given
        for body in self._bodies("head"):
            state = self._judge(body, public)
            verdict.heads.append(Head(_text(body, "day"), _number(body, "seal"), _text(body, "key"), state))
            if state != "GOOD":
                expected, found = _text(body, "hash"), self._hash(_number(body, "seal"))
                self._broken(Break(state, "ledger", 0, _number(body, "seal"), expected, found))
        wanted = None if self._key is None else fingerprint(given) if given else self._key
        if wanted is not None and (not verdict.heads or verdict.heads[-1].key != wanted):
            found = verdict.heads[-1].key if verdict.heads else ""
            self._broken(Break("HEAD_KEY", "ledger", 0, 0, wanted, found))
        if self._head is not None:
            state = self._judge(self._head, public)
            verdict.held = "SAME" if state == "GOOD" else state
            if state != "GOOD":
                number = _number(self._head, "seal")
                self._broken(Break(state, "head", 0, number, _text(self._head, "hash"), self._hash(number)))

    def _judge(self, body: Mapping[str, Any], public: Mapping[str, bytes]) -> str:
        stored = self._hash(_number(body, "seal"))
        if not stored:
            return "HEAD_SEAL"
        if stored != _text(body, "hash"):
            return "HEAD_HASH"
        signer = public.get(_text(body, "key"))
        if signer is None:
            return "HEAD_KEY"
        try:
            signature = bytes.fromhex(_text(body, "signature"))
        except ValueError:
            return "HEAD_SIGNATURE"
        return "GOOD" if is_signed_by(signer, signed_text(body), signature) else "HEAD_SIGNATURE"

    def _hash(self, seal: int) -> str:
        row = self._connection.execute("SELECT hash FROM seal WHERE id = ?", (seal,)).fetchone()
        return "" if row is None else str(row[0])

    def _bodies(self, kind: str) -> Iterator[Mapping[str, Any]]:
        for (text,) in self._connection.execute("SELECT body FROM ledger WHERE kind = ? ORDER BY id", (kind,)):
            try:
                body = json.loads(text)
            except ValueError:
                body = None
            if isinstance(body, dict):
                yield body

    # --- words

    def _broken(self, found: Break) -> None:
        if len(self._verdict.breaks) < MOST_BREAKS:
            self._verdict.breaks.append(found)
        else:
            self._verdict.more += 1

    def _round(self, code: str, number: int, seal: int) -> Break:
        """A break at a round, with what can be said of it, or of its neighbours."""
        query = "SELECT epoch FROM epoch WHERE first <= ? ORDER BY first DESC LIMIT 1"
        epoch = self._connection.execute(query, (number,)).fetchone() or ("",)
        query = "SELECT meter FROM layout WHERE id = (SELECT layout FROM round WHERE number = ?)"
        meter = self._connection.execute(query, (number,)).fetchone() or ("",)
        at_ms = self._at_ms(number)
        return Break(code, "round", number, seal, "", "", f"{epoch[0]}-{number}", at_ms, meter[0])

    def _at_ms(self, number: int) -> int | None:
        """The date of a round; of one that is not there the date of the next before it."""
        query = "SELECT number, boot_ms FROM round WHERE number <= ? ORDER BY number DESC LIMIT 1"
        row = self._connection.execute(query, (number,)).fetchone()
        if row is None:
            return None
        offset_ms, _ = self._dates().spell(row[0])
        return None if offset_ms is None else int(row[1]) + offset_ms

    def _dates(self) -> Dates:
        boots = self._connection.execute("SELECT first, boot_id FROM boot ORDER BY id")
        eras = self._connection.execute("SELECT first, boot_id, offset_ms, source FROM era ORDER BY id")
        return Dates(map(Boot._make, boots), map(Era._make, eras))


def _public_of(key: str | None) -> bytes | None:
    """The public key, where `key` is one."""
    with suppress(ValueError, TypeError):
        raw = bytes.fromhex(key or "")
        return raw if len(raw) == 32 else None  # noqa: PLR2004 - RFC 8032
    return None


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _number(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    return value if isinstance(value, int) and abs(value) < _FARTHEST else 0
