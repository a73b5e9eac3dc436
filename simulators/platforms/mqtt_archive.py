"""What the simulated platform received, in SQLite: one row per round, and how often it came.

A message is acknowledged only after `commit`, so an acknowledged round outlives a kill of the receiver. It does not
outlive a power cut of the receiver's machine: a test tool has no use for that price. Without a path the rows lie in
a temporary file that vanishes with the process, so memory stays flat.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from simulators.platforms.mqtt_payload import Complaint, Fall, PublishedRound

_COMPLAINT_ROWS = 1000  # the first ones tell the story; further ones are only counted
_GAPS_SHOWN = 20

_TABLES = """
CREATE TABLE IF NOT EXISTS round (
    epoch TEXT NOT NULL, number INTEGER NOT NULL, station TEXT NOT NULL, meter TEXT NOT NULL, at TEXT, slot TEXT,
    resent INTEGER NOT NULL, content TEXT NOT NULL, arrived_ms INTEGER NOT NULL, copies INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (epoch, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS complaint (
    number INTEGER PRIMARY KEY, arrived_ms INTEGER NOT NULL, code TEXT NOT NULL, id TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS state (
    station TEXT PRIMARY KEY, payload TEXT NOT NULL, arrived_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS head (
    number INTEGER PRIMARY KEY, station TEXT NOT NULL, payload TEXT NOT NULL, arrived_ms INTEGER NOT NULL,
    UNIQUE (station, payload)
) STRICT;
"""

_INSERT = "INSERT OR IGNORE INTO round VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)"
_SELECT = "SELECT station, meter, at, slot, content FROM round WHERE epoch = ? AND number = ?"


class ReceivedRound(NamedTuple):
    """A round as it was received. Values are decimal text, flags or None; `source` is that of an intake's reading."""

    id: str
    meter: str
    at: str | None
    values: Mapping[str, str | list[str] | None]
    source: Mapping[str, object] = MappingProxyType({})


class Archive:
    """The rows of one receiver, owned by its thread. `path` None: a temporary file."""

    def __init__(self, path: Path | None = None) -> None:
        self._database = sqlite3.connect("" if path is None else path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(_TABLES)
        self._complaints = self._one("SELECT count(*) FROM complaint")

    def keep(
        self, station: str, rounds: Sequence[PublishedRound], arrived_ms: int
    ) -> tuple[list[PublishedRound], list[Complaint]]:
        """Keeps rounds not seen before and counts the others' copies: the new ones, and repeats that were changed.

        A repeat may differ in `resent`; one that is `resent` may bring another date, and the last date stays.
        """
        self._begin()
        fresh: list[PublishedRound] = []
        changed: list[Complaint] = []
        for each in rounds:
            row = (each.epoch, each.number, station, each.meter, each.at, each.slot, each.resent, _content(each))
            if self._database.execute(_INSERT, (*row, arrived_ms)).rowcount:
                fresh.append(each)
            else:
                changed += self._repeat(station, each)
        return fresh, changed

    def complain(self, complaints: Sequence[Complaint], arrived_ms: int) -> None:
        """Keeps the first complaints for reading."""
        for each in complaints[: max(0, _COMPLAINT_ROWS - self._complaints)]:
            self._begin()
            self._complaints += 1
            row = (arrived_ms, each.code, each.id, each.detail)
            self._database.execute("INSERT INTO complaint (arrived_ms, code, id, detail) VALUES (?, ?, ?, ?)", row)

    def set_state(self, station: str, payload: str, arrived_ms: int) -> None:
        """Keeps a station's last state."""
        self._begin()
        self._database.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", (station, payload, arrived_ms))

    def add_head(self, station: str, payload: str, arrived_ms: int) -> None:
        """Keeps every signed head of a station's chain: what others hold nobody can make anew."""
        self._begin()
        row = (station, payload, arrived_ms)
        self._database.execute("INSERT OR IGNORE INTO head (station, payload, arrived_ms) VALUES (?, ?, ?)", row)

    def commit(self) -> None:
        """Makes everything so far outlive this process."""
        if self._database.in_transaction:
            self._database.execute("COMMIT")

    def close(self) -> None:
        """Commits and closes."""
        self.commit()
        self._database.close()

    def totals(self) -> dict[str, int]:
        """`rounds` kept, `repeated` rounds among them, and `copies` received in all."""
        row = self._database.execute("SELECT count(*), sum(copies > 1), sum(copies) FROM round").fetchone()
        return {"rounds": row[0], "repeated": row[1] or 0, "copies": row[2] or 0}

    def sequences(self) -> list[dict[str, Any]]:
        """Per epoch: first and last number, how many are missing between them, and the first missing ranges."""
        query = "SELECT epoch, min(number), max(number), count(*) FROM round GROUP BY epoch ORDER BY epoch"
        return [
            {
                "epoch": epoch,
                "first": first,
                "last": last,
                "missing": last - first + 1 - count,
                "gaps": self._gaps(epoch),
            }
            for epoch, first, last, count in self._database.execute(query).fetchall()
        ]

    def states(self) -> dict[str, str]:
        """The last state of each station, as it was published."""
        return dict(self._database.execute("SELECT station, payload FROM state").fetchall())

    def heads(self) -> dict[str, list[str]]:
        """The signed heads of each station, as they were published, oldest first."""
        found: dict[str, list[str]] = {}
        for station, payload in self._database.execute("SELECT station, payload FROM head ORDER BY number"):
            found.setdefault(station, []).append(payload)
        return found

    def rounds(self) -> Iterator[ReceivedRound]:
        """All rounds by epoch and number, with the date that came last."""
        for epoch, number, meter, at, content in self._database.execute(
            "SELECT epoch, number, meter, at, content FROM round ORDER BY epoch, number"
        ):
            held = json.loads(content)
            yield ReceivedRound(f"{epoch}-{number}", meter, at, held["values"], held.get("source", {}))

    def _begin(self) -> None:
        if not self._database.in_transaction:
            self._database.execute("BEGIN")

    def _repeat(self, station: str, found: PublishedRound) -> list[Complaint]:
        key = (found.epoch, found.number)
        self._database.execute("UPDATE round SET copies = copies + 1 WHERE epoch = ? AND number = ?", key)
        before = self._database.execute(_SELECT, key).fetchone()
        now = (station, found.meter, found.at, found.slot, _content(found))
        if found.resent and before[2:4] != now[2:4]:
            self._database.execute(
                "UPDATE round SET at = ?, slot = ? WHERE epoch = ? AND number = ?", (found.at, found.slot, *key)
            )
            before = (*before[:2], *now[2:4], before[4])
        names = ("station", "meter", "at", "slot", "content")
        wrong = [f"{name}: {old} then {new}" for name, old, new in zip(names, before, now, strict=True) if old != new]
        return [Complaint(Fall.CHANGED_REPEAT, found.id, "; ".join(wrong))] if wrong else []

    def _gaps(self, epoch: str) -> list[list[int]]:
        query = (
            "SELECT number + 1, following - 1 FROM (SELECT number, lead(number) OVER (ORDER BY number) AS following"
            " FROM round WHERE epoch = ?) WHERE following > number + 1 LIMIT ?"
        )
        return [list(gap) for gap in self._database.execute(query, (epoch, _GAPS_SHOWN))]

    def _one(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])


def _content(found: PublishedRound) -> str:
    content: dict[str, object] = {"values": found.values, "quality": found.quality}
    if found.source:
        content["source"] = found.source
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
