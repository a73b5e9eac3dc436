"""What the outbox holds: contents to send, rates, what is parked. On a connection of its own, as `Reader`."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from agent.store.outbox import Waiting
from agent.store.reader import Reader

_COUNTS = (
    "SELECT count(*), sum(accepted), sum(parked), sum(on_time) FROM (SELECT min(state = 'accepted') AS accepted,"
    " max(state = 'parked') AS parked, min(state = 'accepted' AND done_ms <= slot_ms + ?) AS on_time FROM outbox"
    " WHERE uplink = ? AND kind = ? AND slot_ms BETWEEN ? AND ? GROUP BY slot_ms)"
)
_ROWS = "SELECT id, uplink, kind, slot_ms, variant, serial, tries, state, reason, done_ms FROM outbox WHERE uplink = ?"
_ACCEPTED = (
    "SELECT slot_ms, min(done_ms) FROM outbox WHERE uplink = ? AND state = 'accepted' AND slot_ms >= ?"
    " AND kind IN (SELECT value FROM json_each(?)) GROUP BY slot_ms"
)


class Rates(NamedTuple):
    """Slots of one kind: composed, acknowledged, parked, acknowledged in time; one with several reports needs all."""

    composed: int
    accepted: int
    parked: int
    on_time: int


class OutboxRow(NamedTuple):
    """A row without its content."""

    waiting: Waiting
    state: str
    reason: str
    done_ms: int | None


class OutboxReader:
    """Used by one thread at a time. Raises sqlite3.Error as SQLite does; FileNotFoundError before the first start."""

    def __init__(self, path: Path, *, on_damage: Callable[[], None] | None = None) -> None:
        """`on_damage` as for `Reader`."""
        self._reader = Reader(path, on_damage=on_damage)
        self._query = self._reader.query

    def close(self) -> None:
        """Closes the connection; a later call opens it again."""
        self._reader.close()

    def body(self, tag: int) -> str | None:
        """The content of a report; None where there is no such row."""
        rows = self._query("SELECT body FROM outbox WHERE id = ?", (tag,))
        return str(rows[0][0]) if rows else None

    def first_slot(self, uplink: str, kind: str) -> int | None:
        """The first slot that a report of this kind is for, UTC ms; None without one."""
        found = self._query("SELECT min(slot_ms) FROM outbox WHERE uplink = ? AND kind = ?", (uplink, kind))[0][0]
        return None if found is None else int(found)

    def rates(self, uplink: str, kind: str, since_ms: int, until_ms: int, within_ms: int) -> Rates:
        """The slots of that time for which a report of one kind was composed; in time: so many ms after the slot."""
        row = self._query(_COUNTS, (within_ms, uplink, kind, since_ms, until_ms))[0]
        return Rates(*(int(each or 0) for each in row))

    def counts(self, uplink: str) -> dict[str, int]:
        """How many reports are in each state."""
        query = "SELECT state, count(*) FROM outbox WHERE uplink = ? GROUP BY state"
        return {str(state): int(count) for state, count in self._query(query, (uplink,))}

    def rows(self, uplink: str, *, state: str | None = None, limit: int = 1000) -> list[OutboxRow]:
        """The newest rows of an uplink, newest first."""
        clause, parameters = ("", ()) if state is None else (" AND state = ?", (state,))
        found = self._query(f"{_ROWS}{clause} ORDER BY slot_ms DESC, id DESC LIMIT ?", (uplink, *parameters, limit))
        return [OutboxRow(Waiting(*row[:7]), *row[7:]) for row in found]

    def accepted(self, uplink: str, kinds: Collection[str], since_ms: int) -> dict[int, int]:
        """When reports of these kinds were first acknowledged, by slot from `since_ms` on; all UTC ms."""
        return dict(self._query(_ACCEPTED, (uplink, since_ms, json.dumps(list(kinds)))))

    def oldest_waiting(self, uplink: str) -> int | None:
        """The oldest slot of which a report waits, UTC ms; None where none does."""
        query = "SELECT min(slot_ms) FROM outbox WHERE uplink = ? AND state = 'waiting'"
        found = self._query(query, (uplink,))[0][0]
        return None if found is None else int(found)

    def uplinks(self) -> tuple[str, ...]:
        """Every uplink that has composed reports."""
        return tuple(name for (name,) in self._query("SELECT uplink FROM composing ORDER BY uplink", ()))
