"""What an account works with that it does not remember: settings, registers, coefficients, rules, the software."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from agent.derive.coefficient import Coefficient, plain_tc
from agent.derive.crosscheck import Run
from agent.derive.exact import ZERO
from agent.intakes.memory import Memory
from agent.intakes.settings import IntakeSettings
from agent.intakes.sources import Source
from agent.intakes.track import Booked, Track
from agent.rules.contract import Ran, Rules, Step


class Scene(NamedTuple):
    """`records` are the coefficients that count, by `id@version`."""

    settings: IntakeSettings
    sources: tuple[Source, ...]
    records: Mapping[str, Coefficient]
    rules: Rules | None
    software: str

    def track(self, memory: Memory, source: Source) -> Track:
        """What is remembered of a register."""
        return memory.tracks.get(source.key, Track())

    def total_m3(self, memory: Memory) -> Decimal:
        """The water of the intake since its account began."""
        volumes = (self.track(memory, source).totals.volume_m3 for source in self.sources if source.counts)
        return memory.retired.volume_m3 + sum(volumes, ZERO)


class Done(NamedTuple):
    """What one input did to one register; `remarks` are what was said about its reading."""

    source: Source
    booked: Booked
    remarks: tuple[str, ...] = ()

    @property
    def step(self) -> Step:
        """As the rules see it."""
        booked = self.booked
        return Step(
            meter=self.source.meter,
            quantity=self.source.quantity,
            begin_ms=booked.begin.at_ms,
            end_ms=booked.end.at_ms,
            volume_m3=booked.volume_m3,
            energy_kwh=booked.energy_kwh,
            pumping_kwh=booked.pumping_kwh,
            flags=booked.flags,
            held=booked.held,
        )


def ran(scene: Scene, memory: Memory, runs: Sequence[Run]) -> tuple[Ran, ...]:
    """Runs that have ended as the rules see them, with the coefficient that made their water."""
    found = []
    for run in runs:
        name = memory.comparison.used.get(run.pump, "")
        record = scene.records.get(name)
        tc = None if record is None else plain_tc(record.model)
        found.append(Ran(run, name, None if record is None else record.basis.p_run_kw, tc))
    return tuple(found)
