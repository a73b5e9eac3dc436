"""What the meters really served, and whether what a platform holds is that.

The journal has a line per answered request: when the registers were fixed (UTC ms) and everything they meant then. A
reading is right when the meter served exactly that number about then; a number that was right a little earlier is
wrong, and so is one that nobody served.
"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from agent.model import Value
from simulators.meters.record import Answered
from simulators.platforms.mqtt_archive import ReceivedRound
from simulators.platforms.mqtt_payload import milliseconds_of

EARLIER_MS = 250  # an image this much older than the reading is not its own
_SHOWN = 3
LATER_MS = 2000  # a round of several exchanges, and a machine that was busy elsewhere


class TruthLog:
    """An observer of simulated lines that keeps the journal. Each line is on record when the call returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="ascii", buffering=1)
        self._lock = threading.Lock()

    def __call__(self, answered: Answered) -> None:
        """Writes what was served."""
        at_ms = (time.time_ns() - time.monotonic_ns() + answered.at_ns) // 1_000_000
        values = {quantity: _plain(value) for quantity, value in answered.values.items()}
        line = json.dumps({"at_ms": at_ms, "meter": answered.meter, "values": values}) + "\n"
        with self._lock:
            self._file.write(line)

    def close(self) -> None:
        """Ends the journal."""
        with self._lock:
            self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongValue:
    """A published reading that the meter did not serve then. `served` are up to 3 values it did serve about then."""

    id: str
    meter: str
    quantity: str
    at: str | None
    value: object
    served: tuple[object, ...]


class Journal:
    """The journal read back, by meter and time."""

    def __init__(self, lines: Iterable[str]) -> None:
        found: dict[str, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
        for line in lines:
            if line.endswith("\n"):  # the last one may be in the middle of being written
                entry = json.loads(line)
                found[entry["meter"]].append((entry["at_ms"], entry["values"]))
        self._served = {meter: sorted(entries, key=lambda each: each[0]) for meter, entries in found.items()}

    def wrong_values(self, found: ReceivedRound) -> Iterator[WrongValue]:
        """Readings of a round that are other than what the meter served. A missing value is never wrong.

        An intake's reading is derived: no meter served it, so it is not judged here.
        """
        if found.source:
            return
        entries = self._served.get(found.meter, [])
        at_ms = 0 if found.at is None else milliseconds_of(found.at)
        first = bisect_left(entries, at_ms - EARLIER_MS, key=lambda each: each[0])
        last = bisect_left(entries, at_ms + LATER_MS, key=lambda each: each[0])
        for quantity, value in found.values.items():
            served = [entry.get(quantity) for _, entry in entries[first:last]]
            if value is not None and not any(_is_same(value, each) for each in served):
                yield WrongValue(
                    id=found.id,
                    meter=found.meter,
                    quantity=quantity,
                    at=found.at,
                    value=value,
                    served=tuple(served[:3]),
                )


def wrong_values(rounds: Iterable[ReceivedRound], journal: Path) -> tuple[WrongValue, ...]:
    """All wrong readings of the rounds, held against a journal's file. Raises OSError where there is none."""
    with journal.open(encoding="ascii") as lines:
        served = Journal(lines)
    return tuple(wrong for each in rounds for wrong in served.wrong_values(each))


def series(lines: Iterable[str], meter: str, quantity: str) -> list[tuple[int, Decimal]]:
    """What a meter served of a number, by time (UTC ms)."""
    entries = [json.loads(line) for line in lines if line.endswith("\n")]
    served = [(entry["at_ms"], entry["values"].get(quantity)) for entry in entries if entry["meter"] == meter]
    return sorted((at_ms, Decimal(value)) for at_ms, value in served if value is not None)


def _plain(value: Value) -> str | list[str] | None:
    match value:
        case Decimal():
            return f"{value:f}"
        case None:
            return None
        case flags:
            return sorted(flags)


def _is_same(value: object, served: object) -> bool:
    """Equal as numbers (12.50 is 12.5), or as sets of flags."""
    if isinstance(value, list) and isinstance(served, list):
        return sorted(value) == served
    try:
        return Decimal(str(value)) == Decimal(str(served))
    except InvalidOperation:
        return False
