"""When a well's pump runs over an irrigation season: waterings with pauses between, runs of hours within. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from simulators.plant_long import Turn

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def irrigation(
    begin_ms: int, end_ms: int, chance: Random, *, speeds: tuple[float, float] = (1.0, 1.0)
) -> Iterator[Turn]:
    """Runs from one local midnight to another.

    A watering takes 4 to 8 days with one run of 4 to 10 h a day, some days a second one of 2 to 4 h in the evening; 2
    to 7 days lie between. Each run serves another part of the field, so its valves are open 0.7 to 1; a converter turns
    the pump at a speed within `speeds`, another one for each run.
    """
    day_ms = begin_ms + chance.randrange(1, 4) * DAY_MS
    while day_ms < end_ms - DAY_MS:
        for _ in range(chance.randrange(4, 9)):
            if day_ms >= end_ms - DAY_MS:
                return
            yield _run(day_ms + _minutes(chance, 5 * 60, 8 * 60), _minutes(chance, 4 * 60, 10 * 60), chance, speeds)
            if chance.random() < 0.3:  # noqa: PLR2004 - three evenings in ten
                yield _run(day_ms + _minutes(chance, 19 * 60, 20 * 60), _minutes(chance, 120, 225), chance, speeds)
            day_ms += DAY_MS
        day_ms += chance.randrange(2, 8) * DAY_MS


def _run(begin_ms: int, length_ms: int, chance: Random, speeds: tuple[float, float]) -> Turn:
    return Turn(begin_ms, begin_ms + length_ms, opening=chance.uniform(0.7, 1.0), speed=chance.uniform(*speeds))


def _minutes(chance: Random, low: int, high: int) -> int:
    """A time of so many minutes, to the second."""
    return round(chance.uniform(low, high) * 60) * 1000
