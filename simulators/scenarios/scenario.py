"""A scenario: a site, its pump house over weeks or months, what is declared, the rounds an account hears, the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import NamedTuple

from agent.intakes.outcome import Declared, Heard
from agent.intakes.settings import IntakeSettings
from simulators.plant_long import MICRO, LongPlant
from simulators.plant_meters import Instrument


class Fixture(NamedTuple):
    """A meter by the name it has in the settings."""

    meter: str
    make: Callable[[], Instrument]


Change = Callable[[Iterator[Heard]], Iterator[Heard]]
"""What goes wrong between plant and account: rounds in, rounds out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`raises` are the rules that must find something, `follows` those that then cannot be kept from it.

    Polls are `period_ms` apart from `begin_ms` (in it) to `end_ms` (in it), all meters at the same time, in order.
    """

    name: str
    seed: int
    settings: IntakeSettings
    declarations: tuple[Declared, ...]
    plant: LongPlant
    fixtures: Sequence[Fixture]
    begin_ms: int
    end_ms: int
    period_ms: int
    raises: frozenset[str] = frozenset()
    follows: frozenset[str] = frozenset()
    changes: tuple[Change, ...] = field(default=())

    @property
    def rounds(self) -> Iterator[Heard]:
        """All rounds in the order of their numbers, made anew each time, and the same each time."""
        heard: Iterator[Heard] = self._heard()
        for change in self.changes:
            heard = change(heard)
        for number, each in enumerate(heard, 1):
            yield each._replace(number=number, id=f"51a0{self.seed & 0xFFFF:04x}-{number}")

    def true_m3(self, begin_ms: int | None = None, end_ms: int | None = None) -> Decimal:
        """The water that was really withdrawn between two times, from the first to the last poll unless told."""
        times = (self.begin_ms if begin_ms is None else begin_ms, self.end_ms if end_ms is None else end_ms)
        first, last = self.plant.moments(times)
        return Decimal(last.volume_micro - first.volume_micro) / MICRO

    def _heard(self) -> Iterator[Heard]:
        chance = Random(self.seed << 8 | 1)
        meters = [(fixture.meter, fixture.make()) for fixture in self.fixtures]
        fittings = {at_ms for _, meter in meters for at_ms in meter.times_ms}
        polls = range(self.begin_ms, self.end_ms + 1, self.period_ms)
        for moment in self.plant.moments(merged(polls, fittings)):
            is_poll = (moment.at_ms - self.begin_ms) % self.period_ms == 0
            for name, meter in meters:
                if is_poll or moment.at_ms in meter.times_ms:
                    values = meter.read(moment, chance)
                    if is_poll:
                        yield Heard(0, "", name, moment.at_ms, values, {})


def merged(polls: Iterable[int], fittings: Iterable[int]) -> list[int]:
    """All times once, ascending."""
    return sorted({*polls, *fittings})
