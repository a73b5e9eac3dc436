"""When a well's pump runs over an irrigation season: waterings with pauses between, runs of hours within. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from simulators.plant_long import Turn

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
_EVENINGS = 0.3  # of the days of a watering, with a second run


class Irrigation:
    """Each run serves another part of the field, so its valves are open otherwise, within `openings`, and a converter
    turns the pump at another speed, within `speeds`.
    """

    def __init__(
        self, chance: Random, *, openings: tuple[float, float] = (0.7, 1.0), speeds: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        self._chance = chance
        self._openings = openings
        self._speeds = speeds

    def turns(self, begin_ms: int, end_ms: int) -> Iterator[Turn]:
        """Runs from one local midnight to another.

        A watering takes 4 to 8 days with one run of 4 to 10 h a day, some days a second one of 2 to 4 h in the evening;
        2 to 7 days lie between.
        """
        chance = self._chance
        day_ms = begin_ms + chance.randrange(1, 4) * DAY_MS
        while day_ms < end_ms - DAY_MS:
            for _ in range(chance.randrange(4, 9)):
                if day_ms >= end_ms - DAY_MS:
                    return
                yield self._turn(day_ms + self._time(5, 8), self._time(4, 10))
                if chance.random() < _EVENINGS:
                    yield self._turn(day_ms + self._time(19, 20), self._time(2, 3.75))
                day_ms += DAY_MS
            day_ms += chance.randrange(2, 8) * DAY_MS

    def _turn(self, begin_ms: int, length_ms: int) -> Turn:
        opening, speed = self._chance.uniform(*self._openings), self._chance.uniform(*self._speeds)
        return Turn(begin_ms, begin_ms + length_ms, opening=opening, speed=speed)

    def _time(self, low_h: float, high_h: float) -> int:
        """A time between these hours, to the second, in ms."""
        return round(self._chance.uniform(low_h, high_h) * 3600) * 1000
