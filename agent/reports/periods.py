"""What an account gained between two closings: its counts, its shares by coefficient, its uncertainty. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from agent.derive.boundary import Boundary, Method
from agent.derive.exact import ZERO, exact
from agent.derive.uncertainty import Groups, Tally, gained
from agent.intakes.settings import IntakeSettings
from agent.reports.closings import BEGAN, Standing, difference
from agent.reports.report import Counts, Edge

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Between two closings. `u_m3` is k = 1, without the boundaries; `volumes` m³ by coefficient."""

    counts: Counts = field(default_factory=lambda: Counts(flags={}, levels={}))
    u_m3: Decimal = ZERO
    volumes: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))


def between(before: Standing, after: Standing) -> Gain:
    """What the account gained from one closing to a later one."""
    shares = gained(_groups(before.tally), _groups(after.tally))
    volumes = {name: volume for name, volume in shares.get("volumes", _NOTHING).items() if volume}
    counts = _counts(difference(before.counts, after.counts))
    return Gain(counts=counts, u_m3=Tally(shares).uncertainty_m3(), volumes=volumes)


def _counts(found: Mapping[str, Any]) -> Counts:
    return Counts(
        expected=found.get("expected", 0),
        good=found.get("good", 0),
        flags={word: count for word, count in sorted(found.get("flags", _NOTHING).items()) if count},
        levels={level: count for level, count in sorted(found.get("qc", _NOTHING).items()) if count},
        starts=found.get("runs", 0),
        run_h=found.get("run_h"),
        swaps=found.get("swaps", 0),
        rollovers=found.get("rollovers", 0),
        gaps=found.get("gaps", 0),
    )


def _groups(tally: Mapping[str, Any]) -> Groups:
    return {group: {name: Decimal(text) for name, text in sums.items()} for group, sums in tally.items()}


@exact
def boundary_doubt_m3(edge: Edge, settings: IntakeSettings, tc: Decimal) -> Decimal:
    """What a pump that started or stopped unseen beside the boundary adds, m³, k = 1: rated power, or Q4, times the
    bracket or the offset, evenly distributed. 0 for a reading on the boundary and where the account began.
    """
    if edge.method in (BEGAN, Method.READ):
        return ZERO
    boundary = Boundary(edge.volume_m3, Method(edge.method), edge.offset_ms, edge.bracket_ms)
    if settings.is_converted:
        return ZERO if settings.energy is None else boundary.doubt_kwh(settings.energy.rated_kw) * tc
    return boundary.doubt_kwh(settings.range.q4_m3h or settings.range.q3_m3h or ZERO)
