"""What is measured against a duty: the upload rate and the permitted volume. Source: metering guideline M5 and R17."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from agent.derive.exact import PERCENT, OutOfDomain, exact, not_negative, positive

RATE_ASKED_PCT = Decimal(95)


class UploadRate(NamedTuple):
    """How much of what was scheduled arrived, in per cent: on time, and in the end."""

    on_time_pct: Decimal
    final_pct: Decimal

    @property
    def meets_on_time(self) -> bool:
        """Whether what came on time is enough, unrounded."""
        return self.on_time_pct >= RATE_ASKED_PCT

    @property
    def meets_final(self) -> bool:
        """Whether what came at all is enough, unrounded."""
        return self.final_pct >= RATE_ASKED_PCT


@exact
def upload_rate(*, scheduled: int, on_time: int, late: int) -> UploadRate:
    """The rate of records that count: unique and not rejected. Raises: OutOfDomain."""
    for name, count in (("on_time", on_time), ("late", late)):
        not_negative(name, Decimal(count))
    asked = positive("scheduled", Decimal(scheduled))
    return UploadRate(PERCENT * on_time / asked, PERCENT * (on_time + late) / asked)


class Prewarning(NamedTuple):
    """How near the permit is: used so far in per cent, the year's forecast in m³, the highest level reached."""

    used_pct: Decimal
    forecast_m3: Decimal
    level_reached: int | None
    forecast_exceeds: bool


@exact
def prewarning(
    *, permit_m3: Decimal, used_m3: Decimal, mean_m3_per_day: Decimal, days_left: Decimal, levels_pct: Iterable[int]
) -> Prewarning:
    """R17, and R18 with a plan in place of the permit: 即将超许可, 即将超计划. Raises: OutOfDomain without a permit."""
    if days_left < 0:
        raise OutOfDomain("days_left", days_left, "0 or more")
    used_pct = PERCENT * used_m3 / positive("permit_m3", permit_m3)
    forecast_m3 = used_m3 + mean_m3_per_day * days_left
    reached = [level for level in levels_pct if level <= used_pct]
    return Prewarning(used_pct, forecast_m3, max(reached, default=None), forecast_m3 > permit_m3)
