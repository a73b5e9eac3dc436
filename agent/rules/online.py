"""Whether an intake has to report on-line, and whether it does. Source: metering guideline §1.1 rows 6–8, §1.5."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from agent.intakes.settings import IntakeSettings, SourceType

SILENT_MS = 86_400_000  # ours: a platform that has acknowledged nothing for a day is no on-line reporting
_USERS = frozenset({"industry", "domestic", "service"})
_ALWAYS = frozenset({"transfer"})
_HEADS = frozenset({"irrigation_head"})


class Obliged(NamedTuple):
    """Why: `what` it is (`annual_m3`, `area_mu`, or the category alone), how much of it, and from how much on."""

    what: str
    amount: Decimal | None = None
    threshold: Decimal | None = None


def obliged(settings: IntakeSettings) -> Obliged | None:
    """Why this intake has to report on-line; None where it has not.

    Takers for industry, households and services by source and permitted volume, heads of irrigation districts by
    area (0 as threshold: all of them), works that transfer water always. Farm wells and recycled water never.
    """
    given = settings.obligation
    if given.category in _ALWAYS:
        return Obliged(given.category)
    if given.category in _HEADS:
        if given.head_mu == 0 or (given.area_mu is not None and given.area_mu >= given.head_mu):
            return Obliged("area_mu", given.area_mu, given.head_mu)
        return None
    annual_m3 = None if settings.permit is None else settings.permit.annual_m3
    if given.category not in _USERS or annual_m3 is None or settings.source is SourceType.RECYCLED:
        return None
    threshold = given.surface_m3 if settings.source is SourceType.SURFACE else given.ground_m3
    return Obliged("annual_m3", annual_m3, threshold) if annual_m3 >= threshold else None


def is_online(oldest_unacknowledged_ms: int | None, now_ms: int) -> bool:
    """Whether a platform takes what it is sent: nothing has been waiting for its word for a day. Times in UTC ms."""
    return oldest_unacknowledged_ms is None or now_ms - oldest_unacknowledged_ms < SILENT_MS
