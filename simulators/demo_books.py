"""The demo's books: what the agent stored, what the platform has, what the meters served. Read from the three files."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from simulators.platforms.mqtt_archive import Archive, ReceivedRound
from simulators.platforms.mqtt_payload import milliseconds_of
from simulators.truth import WrongValue, series, wrong_values


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """What an intake says was withdrawn between its first and its last reading, and the true water of that time, m³."""

    intake: str
    origin: str
    volume_m3: Decimal
    true_m3: Decimal

    def as_text(self) -> dict[str, str]:
        """As a sentence wants it."""
        error = (self.volume_m3 / self.true_m3 - 1) * 100 if self.true_m3 else Decimal(0)
        volume, true = (f"{each:.3f}" for each in (self.volume_m3, self.true_m3))
        return {"intake": self.intake, "volume": volume, "true": true, "error": f"{error:+.1f}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Rounds stored by the agent, acknowledged per platform, lost (stored, and not at the platform), repeated there.

    `wrong` are readings at the platform that are other than what the meter served; `withdrawn` the intakes' water.
    """

    stored: int
    acknowledged: dict[str, int]
    lost: int
    repeated: int
    wrong: tuple[WrongValue, ...]
    withdrawn: tuple[Withdrawn, ...] = ()

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
        withdrawn=tuple(_withdrawn(rounds, truth)),
    )


def _withdrawn(rounds: Sequence[ReceivedRound], truth: Path) -> Iterator[Withdrawn]:
    """Each intake's water beside what the meters on the plant's pipe counted meanwhile, which is exact."""
    totals: dict[str, list[tuple[int, Decimal]]] = {}
    for found in rounds:
        value = found.values.get("volume_withdrawn")
        if found.source and found.at is not None and isinstance(value, str):
            totals.setdefault(found.meter, []).append((milliseconds_of(found.at), Decimal(value)))
    origins = {found.meter: str(found.source.get("origin", "")) for found in rounds if found.source}
    with truth.open(encoding="ascii") as lines:
        counted = series(lines, _EXACT_METER, "volume_forward")
    for intake, readings in sorted(totals.items()):
        seen = [each for each in readings if counted and counted[0][0] <= each[0] <= counted[-1][0]]
        (first_ms, first), (last_ms, last) = min(seen, default=(0, Decimal(0))), max(seen, default=(0, Decimal(0)))
        if last_ms > first_ms:  # before and after what the exact meter counted nobody knows the truth
            true_m3 = _at(counted, last_ms) - _at(counted, first_ms)
            yield Withdrawn(intake=intake, origin=origins[intake], volume_m3=last - first, true_m3=true_m3)


def _at(counted: Sequence[tuple[int, Decimal]], at_ms: int) -> Decimal:
    """What the meter stood at, straight between two answers; `at_ms` is not outside of them."""
    after = max(1, bisect_left(counted, at_ms, key=lambda each: each[0]))
    (ms_0, value_0), (ms_1, value_1) = counted[after - 1], counted[after]
    return value_0 + (value_1 - value_0) * (at_ms - ms_0) / (ms_1 - ms_0)


_EXACT_METER = "field-flow"  # polled every second, and never disturbed in the demo
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
