"""Where an intake's account stood at an hour, and what lies between two such hours. Pure.

Strategy: everything in a closing is cumulative since the account began, and its boundary is settled once for both
sides. So a period is the difference of two closings, and periods add up to the last digit.
Source of the body: `agent.intakes.closing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from agent.derive.exact import CONTEXT, ZERO
from agent.derive.uncertainty import Groups, Tally, gained
from agent.reports.report import Counts, Edge, Shown

BEGAN = "began"  # the method of a boundary before the account's first reading
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A closing as read. `tally` and `counts` as `agent.intakes` writes them, cumulative; `last` is the highest number
    of the rounds around the hour.
    """

    edge: Edge
    shown: Mapping[str, Shown]
    tally: Mapping[str, Any]
    counts: Mapping[str, Any]
    last: int

    @property
    def at_ms(self) -> int:
        """The hour, UTC ms."""
        return self.edge.at_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Between two closings. `u_m3` is k = 1, without the boundaries; `volumes` m³ by coefficient, of them `expired`
    what flowed when it was no longer valid.
    """

    counts: Counts = field(default_factory=lambda: Counts(flags={}, levels={}))
    u_m3: Decimal = ZERO
    volumes: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    expired: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))


def standing_of(at_ms: int, revision: int, body: Mapping[str, Any]) -> Standing:
    """A closing from its row. Raises: KeyError, ValueError for another form."""
    settled, before, after = body["settled"], body.get("before", _NOTHING), body.get("after", _NOTHING)
    edge = Edge(
        at_ms=at_ms,
        volume_m3=Decimal(settled["volume"]),
        energy_kwh=_optional(settled.get("energy")),
        pumping_kwh=_optional(settled.get("pumping")),
        method=settled["method"],
        offset_ms=settled["offset_ms"],
        bracket_ms=settled["bracket_ms"],
        doubt_m3=Decimal(settled["doubt"]),
        is_known=not body.get("unknown", False),
        before=before.get("id", ""),
        after=after.get("id", ""),
        revision=revision,
    )
    return Standing(
        edge=edge,
        shown={meter: _shown(ends) for meter, ends in body["registers"].items()},
        tally=body["tally"],
        counts=body["counts"],
        last=max(before.get("number", 0), after.get("number", 0)),
    )


def _shown(ends: Mapping[str, Any]) -> Shown:
    before, after = ends.get("before", _NOTHING), ends.get("after", _NOTHING)
    return Shown(
        before=before.get("id", ""),
        before_ms=before.get("at_ms"),
        before_value=_optional(before.get("register")),
        after=after.get("id", ""),
        after_ms=after.get("at_ms"),
        after_value=_optional(after.get("register")),
    )


def _optional(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def began(at_ms: int, first: Standing) -> Standing:
    """The beginning of an account at 0, for a period in which it began."""
    has_energy = first.edge.energy_kwh is not None
    edge = Edge(
        at_ms=at_ms,
        volume_m3=ZERO,
        energy_kwh=ZERO if has_energy else None,
        pumping_kwh=ZERO if has_energy else None,
        method=BEGAN,
        offset_ms=0,
        bracket_ms=0,
        doubt_m3=ZERO,
        is_known=True,
        before="",
        after="",
        revision=0,
    )
    return Standing(edge=edge, shown={}, tally={}, counts={}, last=0)


def between(before: Standing, after: Standing) -> Gain:
    """What the account gained from one closing to a later one."""
    shares = gained(_groups(before.tally), _groups(after.tally))
    volumes = {name: volume for name, volume in shares.get("volumes", _NOTHING).items() if name and volume}
    counts = _counts(difference(before.counts, after.counts))
    expired = shares.get("expired", _NOTHING)
    return Gain(counts=counts, u_m3=Tally(shares).uncertainty_m3(), volumes=volumes, expired=expired)


def difference(before: Any, after: Any) -> Any:
    """What cumulative figures gained: numbers and decimal texts subtracted, mappings key by key, absent ones 0."""
    match after:
        case Mapping():
            return {key: difference(None if before is None else before.get(key), value) for key, value in after.items()}
        case int():
            return after - (before or 0)
        case str():
            return CONTEXT.subtract(Decimal(after), Decimal(before or 0))
    raise TypeError(f"{after!r} is no cumulative figure")


def _groups(tally: Mapping[str, Any]) -> Groups:
    return {group: {name: Decimal(text) for name, text in sums.items()} for group, sums in tally.items()}


def _counts(found: Mapping[str, Any]) -> Counts:
    return Counts(
        expected=found.get("expected", 0),
        good=found.get("good", 0),
        flags={word: count for word, count in sorted(found.get("flags", _NOTHING).items()) if count},
        levels={level: count for level, count in sorted(found.get("qc", _NOTHING).items()) if count},
        starts=found.get("runs", 0),
        run_h=None if found.get("unseen") else found.get("run_h"),
        swaps=found.get("swaps", 0),
        rollovers=found.get("rollovers", 0),
        gaps=found.get("gaps", 0),
    )
