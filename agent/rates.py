"""How many of a centre's reports were due, came, and came in time: 到报率, 及时率. From the outbox's rows."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from agent.clock import Clock
from agent.report.content import Kind
from agent.report.options import CentreOptions
from agent.report.slots import Intervals
from agent.store.book_reader import BookReader
from agent.store.outbox_reader import OutboxReader
from agent.uplinks.registry import CENTRES
from agent.uplinks.reporting.commands import PARAMETER

_MOST_SLOTS = 50_000  # a month of minutes
_TENTH = Decimal("0.1")


def intervals_of(book: BookReader, name: str, options: CentreOptions) -> Intervals:
    """How often this centre's reports were due: as configured now, and as the centre has set it since."""
    in_force, values = CENTRES[options.type].in_force(), dict[str, str]()
    changes: list[tuple[int, int]] = []
    for row in book.ledger(PARAMETER, name):
        values |= row.body["values"]
        since_ms = row.entered_ms if row.entered_ms is not None else changes[-1][0] if changes else 0
        changes.append((since_ms, in_force(values).every_ms or options.every_ms))
    return Intervals(options.every_ms, changes)


def rates_of(
    reader: OutboxReader, name: str, options: CentreOptions, *, intervals: Intervals, timezone: str, clock: Clock
) -> dict[str, Any]:
    """`expected` slots of this local month, `on_time_pct` and `final_pct` of them acknowledged; None before a slot.

    A new uplink's month begins with its first report; a slot is expected when its time to come has passed.
    """
    nothing: dict[str, Any] = {"expected": 0, "on_time_pct": None, "final_pct": None}
    kinds = [kind for kind in options.kinds if kind is not Kind.MANUAL]
    if not clock.synced or not kinds:
        return nothing
    zone, now = ZoneInfo(timezone), clock.now()
    month_ms = _ms(now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    first_ms = reader.first_slot(name, kinds[0].value)
    if first_ms is None:
        return nothing
    begin_ms = max(month_ms, first_ms)
    until_ms = _ms(now) - options.late_ms
    expected = len(intervals.between(begin_ms - 1, until_ms, zone, most=_MOST_SLOTS))
    if not expected:
        return nothing
    rates = reader.rates(name, kinds[0].value, begin_ms, until_ms, options.late_ms)
    return {
        "expected": expected,
        "on_time_pct": str((Decimal(100 * rates.on_time) / expected).quantize(_TENTH)),
        "final_pct": str((Decimal(100 * rates.accepted) / expected).quantize(_TENTH)),
    }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
