"""What every uplink that sends composed reports is told, whatever its protocol: plain data, durations in ms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from agent.report.compose import Limit
from agent.report.content import Kind

QUANTITIES = ("flow_rate", "volume_withdrawn", "volume_hour", "pressure", "level", "depth_to_water")
"""What a report holds of each intake, as far as it has it, where the section says nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreOptions:
    """One centre: where it is, what it gets and how often, what it may order.

    `intakes` maps the channel to the intake. `wire` is the protocol's own part. `backlog_per_min` are frames of data
    that is late, `late_ms` the age up to which a report counts as in time.
    """

    type: str
    host: str
    port: int
    backup: tuple[str, int] | None
    station: str
    intakes: Mapping[int, str]
    every_ms: int
    kinds: tuple[Kind, ...]
    jitter_ms: int
    backlog_per_min: int
    sends_derived: bool
    allows_sets: bool
    trusts_clock: bool
    reconnect_max_ms: int
    late_ms: int
    wire: Any
    limits: Mapping[tuple[int, str], Limit] = field(default_factory=lambda: MappingProxyType({}))
    uniform_step_ms: int = 300_000
    enters_values: bool = False  # what a person entered goes as the intake's total then, not as text
    stored_ms: int = 300_000  # between the values of a stored series, where the platform has not set it
    supply: str | None = None  # the meter that shows the station's supply voltage
    quantities: tuple[str, ...] = QUANTITIES

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Main and backup address."""
        main = (self.host, self.port)
        return (main,) if self.backup is None else (main, self.backup)
