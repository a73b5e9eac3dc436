"""The demo's books: what the agent stored, what the platform has, what the meters served. Read from the three files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.platforms.mqtt_payload import milliseconds_of
from simulators.truth import Journal, WrongValue

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Rounds stored by the agent, acknowledged per platform, lost (stored, and not at the platform), repeated there.

    `wrong` are readings at the platform that are other than what the meter served.
    """

    stored: int
    acknowledged: dict[str, int]
    lost: int
    repeated: int
    wrong: tuple[WrongValue, ...]

    @property
    def are_balanced(self) -> bool:
        """Something was measured, nothing is missing, nothing is wrong."""
        return self.stored > 0 and self.lost == 0 and not self.wrong

    def as_json(self) -> str:
        """One line for machines."""
        return json.dumps(
            {
                "stored": self.stored,
                "acknowledged": self.acknowledged,
                "lost": self.lost,
                "repeated": self.repeated,
                "wrong_values": len(self.wrong),
            }
        )


def balanced(*, store: Path, received: Path, truth: Path) -> Books:
    """The books of three files that nobody writes any more; a store that was never made holds nothing."""
    stored, unsent, evicted = _stored(store) if store.exists() else ({}, {}, 0)
    rounds = {name: (meter, at, content, copies) for name, meter, at, content, copies in _received(received)}
    with truth.open(encoding="ascii") as lines:
        journal = Journal(lines)
    wrong: list[WrongValue] = []
    for name, (meter, at, content, _) in rounds.items():
        wrong += journal.wrong_values(name, meter, milliseconds_of(at or ""), content["values"])
    return Books(
        stored=len(stored) + evicted,
        acknowledged={
            uplink: sum(not _within(number, ranges) for number in stored.values()) for uplink, ranges in unsent.items()
        },
        lost=sum(name not in rounds for name in stored) + evicted,
        repeated=sum(copies > 1 for _, _, _, copies in rounds.values()),
        wrong=tuple(wrong),
    )


def told(wrong: WrongValue) -> str:
    """A wrong reading in one line."""
    return f"{wrong.id}/{wrong.quantity} {wrong.meter} {wrong.at_ms}: {wrong.value}, served {list(wrong.served)}"


Ranges = list[list[int | None]]


def _stored(store: Path) -> tuple[dict[str, int], dict[str, Ranges], int]:
    """Ids of the stored rounds and their numbers; per uplink the numbers not acknowledged; how many were evicted unsent."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database:
        epochs = database.execute("SELECT first, epoch FROM epoch ORDER BY first").fetchall()
        numbers = [number for (number,) in database.execute("SELECT number FROM round ORDER BY number")]
        uplinks = database.execute("SELECT name, ranges FROM uplink").fetchall()
        evicted = database.execute("SELECT value FROM meta WHERE name = 'evicted'").fetchone()
    names = {f"{_epoch_of(number, epochs)}-{number}": number for number in numbers}
    return names, {name: json.loads(ranges) for name, ranges in uplinks}, int(evicted[0]) if evicted else 0


def _epoch_of(number: int, epochs: list[tuple[int, str]]) -> str:
    return next(epoch for first, epoch in reversed(epochs) if first <= number)


def _received(received: Path) -> Iterator[tuple[str, str, str | None, dict[str, Any], int]]:
    with closing(sqlite3.connect(f"file:{received}?mode=ro", uri=True)) as database:
        for epoch, number, meter, at, content, copies in database.execute(
            "SELECT epoch, number, meter, at, content, copies FROM round"
        ):
            yield f"{epoch}-{number}", meter, at, json.loads(content), copies


def _within(number: int, ranges: Ranges) -> bool:
    return any(first is not None and first <= number and (last is None or number <= last) for first, last in ranges)
