"""Reads what water accounts rest on and what they gave: declarations, closings, events, seals, and single rounds.

Strategy: a connection of its own, as `Reader`, which it uses for whatever needs dates and ids. Reports read a quarter's
closings, which are few; rounds are looked up one by one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from agent.intakes.outcome import OPEN
from agent.intakes.withdrawing import WITHDRAWAL
from agent.model import INTAKE, MANUAL, StoredRound
from agent.store.ledger import COLUMNS
from agent.store.reader import Reader

_CLOSINGS = (
    "SELECT at_ms, revision, number, body, state FROM closing AS c WHERE intake = ? AND at_ms BETWEEN ? AND ?"
    " AND revision = (SELECT max(revision) FROM closing WHERE intake = c.intake AND at_ms = c.at_ms) AND body != ?"
    " ORDER BY at_ms"
)
_REACH = (  # each of them alone is a look at one end of the key; together in one SELECT they read every row
    "SELECT (SELECT min(at_ms) FROM closing WHERE intake = ?1), (SELECT max(at_ms) FROM closing WHERE intake = ?1)"
)
_REVISIONS = (
    "SELECT at_ms, revision, number, body, state FROM closing WHERE intake = ? AND at_ms = ? AND body != ?"
    " ORDER BY revision"
)
_TOLD = (
    "SELECT number FROM round WHERE number BETWEEN ? AND ? AND boot_ms = ?"
    " AND layout IN (SELECT id FROM layout WHERE protocol = ? AND meter = ? AND period_ms = ?)"
    " ORDER BY number DESC LIMIT 1"
)
_OF_AN_HOUR = "volume_hour"  # what a closing reading has, and no other
_CLOSING_READINGS = (
    "SELECT number, boot_ms, (SELECT meter FROM layout WHERE id = round.layout) FROM round WHERE number BETWEEN ? AND ?"
    " AND layout IN (SELECT id FROM layout WHERE protocol = ? AND instr(quantities, ?)) ORDER BY number"
)
_REACHES = (  # a midnight to begin from, or nothing derived since
    "SELECT 1 WHERE EXISTS"
    " (SELECT 1 FROM closing AS c WHERE intake = ?1 AND state IS NOT NULL AND at_ms <= ?2 AND number >= ?3"
    " AND revision = (SELECT max(revision) FROM closing WHERE intake = c.intake AND at_ms = c.at_ms))"
    " OR NOT EXISTS (SELECT 1 FROM closing WHERE intake = ?1 AND at_ms >= ?2)"
)
_EVENTS = (
    "SELECT rule, version, intake, subject, quantity, began_ms, ended_ms, level, first, last, body FROM event"
    " WHERE (?1 IS NULL OR intake = ?1) AND (?2 IS NULL OR ended_ms IS NULL OR ended_ms >= ?2)"
    " AND (?3 IS NULL OR began_ms < ?3) AND (NOT ?4 OR ended_ms IS NULL) ORDER BY began_ms, id"
)
_LEDGER = f"SELECT {COLUMNS} FROM ledger WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR subject = ?2) ORDER BY id"  # noqa: S608  # our own columns
_SEAL = "SELECT id, first, last, boot, era, layout, ledger, hash FROM seal WHERE first <= ? ORDER BY id DESC LIMIT 1"
_MEASURED = (  # numbers and times rise together but for what was entered or derived later
    "SELECT number, boot_ms FROM round WHERE number >= ? AND number < ?"
    " AND layout IN (SELECT id FROM layout WHERE protocol NOT IN (?, ?)) ORDER BY number LIMIT 1"
)
_NEWEST = (
    "SELECT number FROM round WHERE number BETWEEN ? AND ? AND boot_ms <= ?"
    " AND layout IN (SELECT id FROM layout WHERE meter = ?) ORDER BY boot_ms DESC, number DESC LIMIT 1"
)
_BEHIND = 2000  # rounds that may follow one and still be older than it: what waited in memory together
_WINDOWS = (5000, 100_000, 1 << 62)  # how far back a meter's last round is looked for
_PIECE, _MOST_PIECES = 20_000, 200  # rounds that are gone back over: two months of twenty meters and their intakes
_END = 1 << 62


class LedgerRow(NamedTuple):
    """A declaration. `at_ms`: from when it counts (None: for no time); `entered_ms`: when it was made, None undated;
    `round`: the number that the next round got then.
    """

    id: int
    kind: str
    subject: str
    at_ms: int | None
    body: dict[str, Any]
    who: str
    entered_ms: int | None
    round: int


class ClosingRow(NamedTuple):
    """Where an intake stood at the full hour `at_ms`; `number` is the last round before, `state` set at midnight."""

    at_ms: int
    revision: int
    number: int
    body: dict[str, Any]
    state: str | None

    @property
    def is_open(self) -> bool:
        """Whether the hour was closed and is open again."""
        return "open" in self.body


class ClosingReading(NamedTuple):
    """The round that told how an intake closed the full hour `at_ms` (UTC ms)."""

    intake: str
    at_ms: int
    number: int


class EventRow(NamedTuple):
    """What a rule found; `ended_ms` None: it goes on. `first` and `last` are the rounds that show it."""

    rule: str
    version: str
    intake: str
    subject: str
    quantity: str
    began_ms: int
    ended_ms: int | None
    level: int
    first: int
    last: int
    body: dict[str, Any]


class SealRow(NamedTuple):
    """A link of the chain: rounds `first` to `last`, the highest id of each table that it covers, its hash in hex."""

    id: int
    first: int
    last: int
    boot: int
    era: int
    layout: int
    ledger: int
    hash: str


class BookReader:
    """Used by one thread at a time. Raises sqlite3.Error as SQLite does; FileNotFoundError before the first start."""

    def __init__(self, path: Path, *, on_damage: Callable[[], None] | None = None) -> None:
        """`on_damage` as for `Reader`."""
        self.rounds = Reader(path, on_damage=on_damage)

    def close(self) -> None:
        """Closes the connection; a later call opens it again."""
        self.rounds.close()

    def ledger(self, kind: str | None = None, subject: str | None = None) -> list[LedgerRow]:
        """The declarations in the order they were made."""
        found = self.rounds.query(_LEDGER, (kind, subject))
        moment = self.rounds.moment
        return [LedgerRow._make((*row[:4], json.loads(row[4]), row[5], moment(*row[6:]), row[6])) for row in found]

    def withdrawn(self) -> dict[int, int]:
        """The declarations that count no longer, each with the number of the one that withdrew it."""
        return {row.body["id"]: row.id for row in self.ledger(WITHDRAWAL)}

    def closings(self, intake: str, from_ms: int, to_ms: int, *, with_open: bool = False) -> list[ClosingRow]:
        """Those of the full hours from `from_ms` to `to_ms`, both included, ascending; the newest revision of each.

        Hours that were closed and are open again only `with_open`.
        """
        found = self.rounds.query(_CLOSINGS, (intake, from_ms, to_ms, "" if with_open else OPEN))
        return [_closing(row) for row in found]

    def closing(self, intake: str, at_ms: int) -> ClosingRow | None:
        """The newest revision of one full hour; None while it is not closed."""
        return next(iter(self.closings(intake, at_ms, at_ms)), None)

    def reach(self, intake: str) -> tuple[int, int] | None:
        """The first and the last full hour that the intake has closed, UTC ms; None before the first."""
        first_ms, last_ms = self.rounds.query(_REACH, (intake,))[0]
        return None if first_ms is None else (first_ms, last_ms)

    def revisions(self, intake: str, at_ms: int) -> list[ClosingRow]:
        """All revisions of one full hour, the first one first, without those that only opened it again."""
        return [_closing(row) for row in self.rounds.query(_REVISIONS, (intake, at_ms, OPEN))]

    def told(self, intake: str, at_ms: int, period_ms: int, first: int, last: int = _END) -> StoredRound | None:
        """The newest reading of an intake dated exactly `at_ms` (UTC ms), of the rounds from `first` on, to `last`."""
        last = min(last, first + _WINDOWS[1])
        for begin, end, offset_ms in reversed(self.rounds.spells()):
            top = last if end is None else min(last, end - 1)
            if offset_ms is None or top < max(first, begin):
                continue
            where = (max(first, begin), top, at_ms - offset_ms, INTAKE, intake, period_ms)
            for (number,) in self.rounds.query(_TOLD, where):
                return self._round(number)[0]
        return None

    def closing_readings(self, first: int, last: int) -> list[ClosingReading]:
        """The dated readings with which intakes closed an hour, of rounds `first` to `last`, by number."""
        rows = self.rounds.query(_CLOSING_READINGS, (first, last, INTAKE, _OF_AN_HOUR))
        spells = self.rounds.spells()[::-1]  # rows first: a date that comes in between belongs to later rounds
        found = []
        for number, boot_ms, intake in rows:
            offset_ms = next(offset_ms for begin, _, offset_ms in spells if begin <= number)
            if offset_ms is not None:
                found.append(ClosingReading(intake, boot_ms + offset_ms, number))
        return found

    def reaches_back(self, intake: str, at_ms: int) -> bool:
        """Whether the intake's water can be derived anew from `at_ms` (UTC ms) on: its rounds since are stored."""
        gone = self.rounds.gone()
        return not gone or bool(self.rounds.query(_REACHES, (intake, at_ms, gone)))

    def events(
        self,
        intake: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        *,
        open_only: bool = False,
    ) -> list[EventRow]:
        """What went on at some time from `from_ms` to before `to_ms`, by beginning."""
        found = self.rounds.query(_EVENTS, (intake, from_ms, to_ms, open_only))
        return [EventRow._make((*row[:-1], json.loads(row[-1]))) for row in found]

    def seal_of(self, number: int) -> SealRow | None:
        """The link of the chain that covers a round; None while it is not sealed."""
        for row in self.rounds.query(_SEAL, (number,)):
            if row[1] <= number <= row[2]:
                return SealRow._make(row)
        return None

    def find(self, round_id: str) -> StoredRound | None:
        """The round of an id, EPOCH-NUMBER; None when it is not stored."""
        _, _, number = round_id.partition("-")
        if not number.isascii() or not number.isdigit() or int(number) >= _END:
            return None
        return next((each for each in self._round(int(number)) if each.id == round_id), None)

    def at(self, meter: str, at_ms: int, since_ms: int | None = None) -> StoredRound | None:
        """The newest round of a meter, or an intake, dated at or before `at_ms` and not before `since_ms` (UTC ms).

        What was entered or derived long after its date is not looked for in the boot of that date, and is found in a
        later one. Without `since_ms` a meter that has been silent for long costs a walk through all rounds since.
        """
        best: StoredRound | None = None
        for first, end, offset_ms in reversed(self.rounds.spells()):
            if offset_ms is None:
                continue
            boot_ms = at_ms - offset_ms
            after = self._first_after(first, end or self.rounds.committed() + 1, boot_ms)
            top = after - 1 + _BEHIND
            begun = first if since_ms is None else self._first_after(first, after, since_ms - 1 - offset_ms)
            low = max(first, begun - _BEHIND)
            found = self._newest(meter, low, top if end is None else min(top, end - 1), boot_ms)
            is_near = found is not None and (since_ms is None or (found.at_ms or 0) >= since_ms)
            if found is not None and is_near and (best is None or (found.at_ms or 0) > (best.at_ms or 0)):
                best = found
            has_been = bool(self.rounds.query(_MEASURED, (first, after, INTAKE, MANUAL)))
            if has_been and (best is not None or begun > first):  # in boots before this one everything is older
                break
        return best

    def back(self, meter: str, at_ms: int) -> Iterator[StoredRound]:
        """The rounds of a meter dated at or before `at_ms` (UTC ms), from the newest back, as far as is worth while.

        A meter that gave no answer has rounds without values.
        """
        newest = self.at(meter, at_ms)
        if newest is None:
            return
        yield newest
        last = newest.number - 1
        for _ in range(_MOST_PIECES):
            for each in reversed(self.rounds.rounds(last - _PIECE + 1, last, limit=_PIECE, meters=[meter])):
                if each.at_ms is not None and each.at_ms <= at_ms:
                    yield each
            last -= _PIECE
            if last <= 0:
                return

    def _newest(self, meter: str, first: int, top: int, boot_ms: int) -> StoredRound | None:
        for window in _WINDOWS:
            for (number,) in self.rounds.query(_NEWEST, (max(first, top - window), top, boot_ms, meter)):
                return self._round(number)[0]
            if top - window <= first:
                break
        return None

    def _first_after(self, first: int, end: int, boot_ms: int) -> int:
        """The first number from `first` to before `end` that was measured after `boot_ms`; `end` when none was."""
        low, high = first, end
        while low < high:
            middle = (low + high) // 2
            row = next(iter(self.rounds.query(_MEASURED, (middle, high, INTAKE, MANUAL))), None)
            if row is None or row[1] > boot_ms:
                high = middle
            else:
                low = row[0] + 1
        return low

    def _round(self, number: int) -> list[StoredRound]:
        return self.rounds.rounds(number, number, limit=1)


def _closing(row: tuple[Any, ...]) -> ClosingRow:
    at_ms, revision, number, body, state = row
    return ClosingRow(at_ms, revision, number, json.loads(body), state)
