"""The stations of a run: their addresses, their misbehaviour, when they connect, the time of their first report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from simulators.stations.behaviour import Behaviour, Share, of_station
from simulators.stations.links import Link
from simulators.stations.station import Plan, SimulatedStation
from simulators.stations.tally import Tally

_CHINA = timezone(timedelta(hours=8))
_SECOND_MS = 1000


def many(
    count: int,
    *,
    link: Link,
    first: str,
    plan: Plan,
    tally: Tally,
    shares: Sequence[Share] = (),
    spread_s: float = 0.0,
    late_s: float = 86400.0,
) -> list[SimulatedStation]:
    """`count` stations from the address `first` on, that connect within `spread_s`.

    Those of the behaviour LATE report for times `late_s` ago.
    """
    found = []
    begin_ms = first_slot_ms(plan)
    for place in range(count):
        behaviours = of_station(shares, place)
        late_ms = round(late_s * 1000) if Behaviour.LATE in behaviours else 0
        found.append(
            SimulatedStation(
                place,
                link.numbered(first, place),
                link=link,
                plan=replace(plan, begin_ms=_this_month(begin_ms - late_ms)),
                tally=tally,
                behaviours=behaviours,
                connect_s=spread_s * place / count,
            )
        )
    return found


def first_slot_ms(plan: Plan) -> int:
    """Now in whole seconds; so far back where reports follow faster than their slots that none lies ahead."""
    now_ms = time.time_ns() // 1_000_000 // _SECOND_MS * _SECOND_MS
    is_fast = plan.step_ms > plan.every_s * 1000
    return now_ms - plan.reports * plan.step_ms * is_fast


def _this_month(at_ms: int) -> int:
    """Not before this month, in China: the short time tag of SZY206 has no month."""
    now = datetime.now(_CHINA)
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return max(at_ms, round(begin.timestamp() * 1000))
