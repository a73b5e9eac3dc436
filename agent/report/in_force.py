"""What a centre's settings change about its reports: how often they go, and what is reported at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agent.report.compose import Limit

_DAY_MS = 86_400_000
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """`every_ms` None: as configured. What `limits` say of a channel and quantity comes before what is configured.

    `stored_ms`: how far apart the values of a stored series are, by channel and quantity. `is_polled`: the station
    answers and reports nothing by itself. `additional_ms`: how often an additional report goes beside the timed ones,
    None: only when there is a reason.
    """

    every_ms: int | None = None
    limits: Mapping[tuple[int, str], Limit] = field(default_factory=lambda: MappingProxyType({}))
    stored_ms: Mapping[tuple[int, str], int] = field(default_factory=lambda: MappingProxyType({}))
    is_polled: bool = False
    additional_ms: int | None = None


def is_interval(every_ms: int) -> bool:
    """Whether reports can go that often: whole minutes that divide a day, so that slots lie on the wall clock."""
    return every_ms >= _MINUTE_MS and every_ms % _MINUTE_MS == 0 and _DAY_MS % every_ms == 0
