"""Where an intake's account stood at an hour, and what lies between two such hours. Pure.

Strategy: everything in a closing is cumulative since the account began, so a period is a difference of two closings and
periods add up to the last digit. The boundary between two periods is settled once, from the readings around it, and
rounded once to 10⁻⁶ m³; the counts and shares belong to the last round before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from agent.derive.boundary import Boundary, settle_boundary
from agent.derive.exact import CONTEXT, ZERO, exact, rounded_kwh, rounded_m3
from agent.reports.report import Edge

BEGAN = "began"  # the method of a boundary before the account's first reading


class End(NamedTuple):
    """A reading beside the hour: its round, its time, the running totals with it."""

    number: int
    id: str
    at_ms: int
    volume_m3: Decimal
    energy_kwh: Decimal | None
    pumping_kwh: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A closing as read: `tally` and `counts` as `agent.intakes` writes them, cumulative."""

    at_ms: int
    revision: int
    number: int
    before: End | None
    after: End | None
    tally: Mapping[str, Any]
    counts: Mapping[str, Any]


def standing_of(at_ms: int, revision: int, number: int, body: Mapping[str, Any]) -> Standing:
    """A closing from its row."""
    return Standing(
        at_ms=at_ms,
        revision=revision,
        number=number,
        before=_end(body.get("before")),
        after=_end(body.get("after")),
        tally=body.get("tally", {}),
        counts=body.get("counts", {}),
    )


def _end(found: Mapping[str, Any] | None) -> End | None:
    if not found:
        return None
    energy, pumping = (None if found.get(name) is None else Decimal(found[name]) for name in ("energy", "pumping"))
    return End(found["number"], found["id"], found["at_ms"], Decimal(found["volume"]), energy, pumping)


def began(at_ms: int, first: Standing) -> Standing:
    """The beginning of an account at 0, for a period in which it began."""
    start = first.before or first.after
    has_energy = start is not None and start.energy_kwh is not None
    zero = End(0, "", at_ms, ZERO, ZERO if has_energy else None, ZERO if has_energy else None)
    return Standing(at_ms=at_ms, revision=0, number=0, before=zero, after=None, tally={}, counts={})


@exact
def edge_of(standing: Standing) -> Edge | None:
    """The settled boundary of a closing; None when there is no reading on either side."""
    ends = [end for end in (standing.before, standing.after) if end is not None]
    if not ends:
        return None
    volume = _settled(standing, [(end.at_ms, end.volume_m3) for end in ends])
    energies = [(end.at_ms, end.energy_kwh) for end in ends if end.energy_kwh is not None]
    pumpings = [(end.at_ms, end.pumping_kwh) for end in ends if end.pumping_kwh is not None]
    return Edge(
        at_ms=standing.at_ms,
        volume_m3=rounded_m3(volume.value),
        energy_kwh=rounded_kwh(_settled(standing, energies).value) if energies else None,
        pumping_kwh=rounded_kwh(_settled(standing, pumpings).value) if pumpings else None,
        method=volume.method if standing.number else BEGAN,
        offset_ms=volume.offset_ms,
        bracket_ms=volume.bracket_ms,
        before="" if standing.before is None else standing.before.id,
        after="" if standing.after is None else standing.after.id,
        revision=standing.revision,
    )


def _settled(standing: Standing, series: list[tuple[int, Decimal]]) -> Boundary:
    ascending = series if len(series) == 1 or series[0][0] < series[1][0] else series[-1:]
    return settle_boundary(ascending, standing.at_ms)


def difference(before: Any, after: Any) -> Any:
    """What cumulative figures gained: numbers and decimal texts subtracted, mappings key by key, absent ones 0."""
    match after:
        case Mapping():
            return {key: difference(None if before is None else before.get(key), value) for key, value in after.items()}
        case list() | tuple():
            earlier = before or [None] * len(after)
            return [difference(*pair) for pair in zip(earlier, after, strict=True)]
        case bool() | None:
            return after
        case int():
            return after - (before or 0)
        case str():
            return CONTEXT.subtract(Decimal(after), Decimal(before or 0))
        case Decimal():
            return CONTEXT.subtract(after, before or ZERO)
    raise TypeError(f"{after!r} is no cumulative figure")
