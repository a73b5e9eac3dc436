"""What a simulated centre received and said, in SQLite: stations, frames, reports, answers, violations.

What a station sends is on record before anything is answered; an acknowledgement once its last byte was handed to the
network, never before. Without a path the rows lie in a temporary file that vanishes with the process, so memory stays
flat. It outlives a kill of the process, not a power cut: a test tool has no use for that price.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.platforms.centre.contract import Answered, Heard, Parcel, Posed, Report, Unanswered, Wrong

_MOST_VIOLATIONS = 100_000  # different ones; further ones are only counted
_TABLES = """
CREATE TABLE IF NOT EXISTS station (
    station TEXT PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    connections INTEGER NOT NULL DEFAULT 0,
    is_online INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS frame (
    number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, station TEXT NOT NULL, is_up INTEGER NOT NULL,
    function TEXT NOT NULL, hex TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS report (
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, station TEXT NOT NULL, function TEXT NOT NULL,
    serial INTEGER NOT NULL, observed TEXT NOT NULL, sent TEXT NOT NULL, content TEXT NOT NULL, fields TEXT NOT NULL,
    arrived_ms INTEGER NOT NULL, copies INTEGER NOT NULL, acks INTEGER NOT NULL, how TEXT NOT NULL, acked_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reply (
    number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, report TEXT NOT NULL, how TEXT NOT NULL, settled TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS asked (
    number INTEGER PRIMARY KEY, asked_ms INTEGER NOT NULL, station TEXT NOT NULL, name TEXT NOT NULL,
    state TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS answer (
    number INTEGER PRIMARY KEY, asked INTEGER NOT NULL, at_ms INTEGER NOT NULL, fields TEXT NOT NULL, hex TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS violation (
    station TEXT NOT NULL, code TEXT NOT NULL, clause TEXT NOT NULL, arguments TEXT NOT NULL,
    is_failed INTEGER NOT NULL, first_ms INTEGER NOT NULL, times INTEGER NOT NULL, hex TEXT NOT NULL,
    PRIMARY KEY (station, code, clause, arguments)
) STRICT, WITHOUT ROWID;
"""
_REPORT = "station, function, serial, observed, sent, content, fields, arrived_ms, copies, acks, how, key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A report as it is on record. `copies` counts its arrivals, `acks` the acknowledgements that went out whole.

    `how` are the words of the first of them, "" before. `values` by name: text, None, or a list of samples.
    """

    station: str
    function: str
    serial: int
    observed: str
    sent: str
    values: Mapping[str, Any]
    fields: Mapping[str, Any]
    arrived_ms: int
    copies: int
    acks: int
    how: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An order: `state` waiting, answered or unanswered; with the fields of each frame of its answer."""

    number: int
    station: str
    name: str
    state: str
    answers: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What broke a rule or differed, how often, and the bytes that showed it first (hex)."""

    station: str
    code: str
    clause: str
    arguments: Mapping[str, Any]
    is_failed: bool
    times: int
    hex: str


class Archive:
    """The rows of one centre, owned by whoever holds its lock. `path` None: a temporary file.

    `is_read_only`: an archive that is there, whose centre may be running. Raises sqlite3.Error where it is none.
    """

    def __init__(self, path: Path | None = None, *, is_read_only: bool = False) -> None:
        name = "" if path is None else f"{path.resolve().as_uri()}?mode={'ro' if is_read_only else 'rwc'}"
        self._database = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)
        if not is_read_only:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.executescript(_TABLES)
            self._database.execute("UPDATE station SET is_online = 0")
        self._violations = int(self._one("SELECT count(*) FROM violation"))
        self._numbers = int(self._one("SELECT coalesce(max(number), 0) FROM report"))
        self.first_order = int(self._one("SELECT coalesce(max(number), 0) + 1 FROM asked"))

    # --- what happened

    def heard(self, event: Heard, at_ms: int) -> None:
        """A sound frame of a station."""
        self._frame(at_ms, event.station, True, event.function, event.data)

    def spoke(self, parcel: Parcel, at_ms: int) -> None:
        """A parcel that has gone whole; what it settled is acknowledged from now on."""
        self._frame(at_ms, parcel.station, False, parcel.name, parcel.data)
        if parcel.about:
            row = (at_ms, parcel.about, parcel.name, json.dumps(parcel.settles))
            self._do("INSERT INTO reply (at_ms, report, how, settled) VALUES (?, ?, ?, ?)", row)
        for key in parcel.settles:
            self._do(
                "UPDATE report SET how = CASE acks WHEN 0 THEN ? ELSE how END, acked_ms = coalesce(acked_ms, ?),"
                " acks = acks + 1 WHERE key = ?",
                (parcel.name.removeprefix("ack "), at_ms, key),
            )

    def report(self, found: Report, at_ms: int) -> bool:
        """Keeps a report; False where it was on record: another copy of it."""
        if self._do("UPDATE report SET copies = copies + 1 WHERE key = ?", (found.key,)):
            return False
        self._numbers += 1
        row = (found.key, self._numbers, found.station, found.function, found.serial, found.observed, found.sent)
        texts = (_text(found.values), _text(found.fields))
        self._do("INSERT INTO report VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, '', NULL)", (*row, *texts, at_ms))
        return True

    def seen(self, station: str, at_ms: int, state: str) -> None:
        """A station spoke; `state` is its last word about itself, "" leaves it."""
        self._do(
            "INSERT INTO station (station, first_ms, last_ms, state) VALUES (?1, ?2, ?2, ?3)"
            " ON CONFLICT (station) DO UPDATE SET last_ms = ?2, state = CASE ?3 WHEN '' THEN state ELSE ?3 END",
            (station, at_ms, state),
        )

    def online(self, station: str, *, is_online: bool) -> None:
        """A station's connection stands, or went."""
        change = "is_online = 1, connections = connections + 1" if is_online else "is_online = 0"
        self._do(f"UPDATE station SET {change} WHERE station = ?", (station,))  # noqa: S608 - one of two texts

    def posed(self, event: Posed, at_ms: int) -> None:
        """An order was given."""
        row = (event.order, at_ms, event.station, event.name)
        self._do("INSERT OR IGNORE INTO asked VALUES (?, ?, ?, ?, 'waiting')", row)

    def answered(self, event: Answered, at_ms: int) -> None:
        """An order's answer, or one frame of it."""
        row = (event.order, at_ms, _text(event.fields), event.data.hex().upper())
        self._do("INSERT INTO answer (asked, at_ms, fields, hex) VALUES (?, ?, ?, ?)", row)
        self._do("UPDATE asked SET state = 'answered' WHERE number = ?", (event.order,))

    def unanswered(self, event: Unanswered) -> None:
        """An order was given up."""
        self._do("UPDATE asked SET state = 'unanswered' WHERE number = ?", (event.order,))

    def wrong(self, event: Wrong, at_ms: int) -> bool:
        """A violation; False where the same is on record already."""
        key = (event.station, event.code, event.clause, _text(event.arguments))
        again = "UPDATE violation SET times = times + 1 WHERE station = ? AND code = ? AND clause = ? AND arguments = ?"
        if self._do(again, key) or self._violations >= _MOST_VIOLATIONS:
            return False
        self._violations += 1
        row = (*key, event.is_failed, at_ms, event.data.hex().upper())
        self._do("INSERT INTO violation VALUES (?, ?, ?, ?, ?, ?, 1, ?)", row)
        return True

    # --- what is on record

    def reports(self, station: str | None = None, *, last: int | None = None) -> list[Received]:
        """Reports in the order they came; the last ones of a station where that is asked."""
        where, arguments = ("WHERE station = ?", (station,)) if station else ("", ())
        limit = -1 if last is None else last
        query = f"SELECT {_REPORT} FROM report {where} ORDER BY number DESC LIMIT {limit}"  # noqa: S608 - own texts
        return [_received(row) for row in reversed(self._database.execute(query, arguments).fetchall())]

    def exchanges(self, station: str | None = None) -> list[Exchange]:
        """Orders and what was answered, oldest first."""
        rows = self._database.execute("SELECT number, station, name, state FROM asked ORDER BY number").fetchall()
        return [
            Exchange(number=number, station=of, name=name, state=state, answers=tuple(self._answers(number)))
            for number, of, name, state in rows
            if station in {None, of}
        ]

    def violations(self, station: str | None = None) -> list[Violation]:
        """What broke a rule or differed, in the order it was first seen."""
        query = (
            "SELECT station, code, clause, arguments, is_failed, times, hex FROM violation"
            " ORDER BY first_ms, station, code"
        )
        return [
            Violation(
                station=of,
                code=code,
                clause=clause,
                arguments=json.loads(text),
                is_failed=bool(is_failed),
                times=times,
                hex=proof,
            )
            for of, code, clause, text, is_failed, times, proof in self._database.execute(query)
            if station in {None, of}
        ]

    def stations(self) -> list[dict[str, Any]]:
        """Stations: when they were heard, whether they are there, how much they reported."""
        query = (
            "SELECT s.station, s.first_ms, s.last_ms, s.is_online, s.connections, s.state, count(r.key), "
            "coalesce(sum(r.acks > 0), 0) FROM station s LEFT JOIN report r ON r.station = s.station"
            " GROUP BY s.station ORDER BY s.station"
        )
        names = ("station", "first_ms", "last_ms", "is_online", "connections", "state", "reports", "acknowledged")
        return [dict(zip(names, row, strict=True)) for row in self._database.execute(query)]

    def frames(self, *, last: int) -> list[tuple[int, str, bool, str, str]]:
        """The last frames: time, station, whether it came from it, function, hex."""
        query = "SELECT at_ms, station, is_up, function, hex FROM frame ORDER BY number DESC LIMIT ?"
        rows = self._database.execute(query, (last,)).fetchall()
        return [(at_ms, station, bool(is_up), function, text) for at_ms, station, is_up, function, text in rows[::-1]]

    def totals(self) -> dict[str, int]:
        """Counts of everything."""
        reports = self._database.execute(
            "SELECT count(*), coalesce(sum(copies > 1), 0), coalesce(sum(copies), 0), coalesce(sum(acks > 0), 0)"
            " FROM report"
        ).fetchone()
        asked = dict(self._database.execute("SELECT state, count(*) FROM asked GROUP BY state").fetchall())
        wrong = dict(self._database.execute("SELECT is_failed, count(*) FROM violation GROUP BY is_failed").fetchall())
        return {
            "stations": int(self._one("SELECT count(*) FROM station")),
            **dict(zip(("reports", "repeated", "copies", "acknowledged"), reports, strict=True)),
            "orders": sum(asked.values()),
            "answered": asked.get("answered", 0),
            "unanswered": asked.get("unanswered", 0),
            "failed": wrong.get(1, 0),
            "differs": wrong.get(0, 0),
        }

    def commit(self) -> None:
        """Makes everything so far outlive this process."""
        if self._database.in_transaction:
            self._database.execute("COMMIT")

    def close(self) -> None:
        """Commits and closes."""
        self.commit()
        self._database.close()

    def _answers(self, order: int) -> Iterator[Mapping[str, Any]]:
        for (text,) in self._database.execute("SELECT fields FROM answer WHERE asked = ? ORDER BY number", (order,)):
            yield json.loads(text)

    def _frame(self, at_ms: int, station: str, is_up: bool, function: str, data: bytes) -> None:
        row = (at_ms, station, is_up, function, data.hex().upper())
        self._do("INSERT INTO frame (at_ms, station, is_up, function, hex) VALUES (?, ?, ?, ?, ?)", row)

    def _do(self, statement: str, row: tuple[Any, ...]) -> int:
        """Rows that were changed."""
        if not self._database.in_transaction:
            self._database.execute("BEGIN")
        return self._database.execute(statement, row).rowcount

    def _one(self, query: str) -> Any:
        return self._database.execute(query).fetchone()[0]


def _received(row: tuple[Any, ...]) -> Received:
    named = dict(zip(_REPORT.replace("content", "values").split(", "), row, strict=True))
    return Received(**named | {name: json.loads(named[name]) for name in ("values", "fields")})


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
