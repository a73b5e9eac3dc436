"""The demo's books: what the agent stored, what the platform has, what the meters served. Read from the three files."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from simulators.platforms.mqtt_archive import Archive
from simulators.truth import WrongValue, wrong_values


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
    stored, unsettled, evicted = _stored(store) if store.exists() else ({}, {}, 0)
    with closing(Archive(received)) as archive:
        rounds = list(archive.rounds())
        repeated = archive.totals()["repeated"]
    arrived = {each.id for each in rounds}
    return Books(
        stored=len(stored) + evicted,
        acknowledged={
            uplink: sum(not _within(number, ranges) for number in stored.values())
            for uplink, ranges in unsettled.items()
        },
        lost=sum(name not in arrived for name in stored) + evicted,
        repeated=repeated,
        wrong=wrong_values(rounds, truth),
    )


Ranges = list[tuple[int, int | None]]


def _stored(store: Path) -> tuple[dict[str, int], dict[str, Ranges], int]:
    """Ids of the stored rounds and their numbers; per uplink what is not acknowledged; how many were evicted unsent."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database:
        epochs = database.execute("SELECT first, epoch FROM epoch ORDER BY first").fetchall()
        numbers = [number for (number,) in database.execute("SELECT number FROM round ORDER BY number")]
        uplinks = database.execute("SELECT name, ranges FROM uplink").fetchall()
        parked = database.execute("SELECT uplink, number FROM parked").fetchall()
        evicted = database.execute("SELECT value FROM meta WHERE name = 'evicted'").fetchone()
    names = {f"{_epoch_of(number, epochs)}-{number}": number for number in numbers}
    unsettled: dict[str, Ranges] = {name: [(first, last) for first, last in json.loads(text)] for name, text in uplinks}
    for name, number in parked:
        unsettled[name].append((number, number))
    return names, unsettled, int(evicted[0]) if evicted else 0


def _epoch_of(number: int, epochs: list[tuple[int, str]]) -> str:
    return next(epoch for first, epoch in reversed(epochs) if first <= number)


def _within(number: int, ranges: Ranges) -> bool:
    return any(first <= number and (last is None or number <= last) for first, last in ranges)
