"""From what was read to the report: every figure of an intake over a period. Pure.

Strategy: a period is the difference of two settled boundaries, its rows those between, so rows add up to the period and
periods to longer ones, to the last digit. Uncertainty comes from the shares (a coefficient's error is common to all of
them) and from the pump that may have started or stopped unseen beside a boundary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise
from typing import Any

from agent.derive.boundary import Method
from agent.derive.exact import ONE, PERCENT, ZERO, exact, local_day, rounded_m3
from agent.derive.flags import Flag, Qartod
from agent.derive.uncertainty import COVERAGE
from agent.intakes.settings import IntakeSettings, Permit
from agent.reports.closings import Gain, Standing, began, between
from agent.reports.facts import Facts, IntakeFacts
from agent.reports.report import Edge, IntakeReport, PermitUse, Register, Report, Row, Shown, Status
from agent.reports.spans import Span, SpanKind
from agent.reports.validity import certificates, coefficients_used, withheld_m3

_PERCENT_STEP = Decimal("0.01")
_TC_DIGITS = 4  # significant digits of an observed m³/kWh
_NOT_SHOWN = Shown(before="", before_ms=None, before_value=None, after="", after_ms=None, after_value=None)
_QUARTERS, _MONTHS = 4, 12


def report_of(facts: Facts, *, accepted_expired: bool = False) -> Report:
    """The draft of a report. `accepted_expired`: what expired coefficients made counts in the voucher's total."""
    return Report(
        span=facts.span,
        station=facts.station,
        station_name=facts.station_name,
        timezone=facts.timezone,
        status=Status.DRAFT,
        version=0,
        reason="",
        who="",
        made_ms=facts.made_ms,
        software=facts.software,
        config_sha256=facts.config_sha256,
        seal=facts.seal,
        accepted_expired=accepted_expired,
        intakes=tuple(_intake(each, facts, accepted_expired=accepted_expired) for each in facts.intakes),
    )


def _intake(given: IntakeFacts, facts: Facts, *, accepted_expired: bool) -> IntakeReport:
    settings, day = given.settings, local_day(facts.span.end_ms - 1, facts.zone)
    standings = _with_beginning(given, facts.span)
    begin, end = (standings[0].edge, standings[-1].edge) if len(standings) > 1 else (None, None)
    gain = between(standings[0], standings[-1]) if len(standings) > 1 else Gain()
    rows = tuple(_row(given, *pair, facts) for pair in pairwise(standings))
    volume = _volume(begin, end)
    withheld = sum((row.withheld_m3 for row in rows), ZERO)
    voucher = volume if volume is None or accepted_expired else volume - withheld
    energy, pumping = _step(begin, end, "energy_kwh"), _step(begin, end, "pumping_kwh")
    low, high = _tc_range(rows)
    return IntakeReport(
        **_named(settings, day),
        **_counted(gain, rows),
        well_code=_well_code(given),
        begin=begin,
        end=end,
        volume_m3=volume,
        voucher_m3=voucher,
        withheld_m3=withheld,
        u_m3=None if voucher is None or volume is None else _share_m3(_expanded_m3(gain, begin, end), voucher, volume),
        energy_kwh=energy,
        pumping_kwh=pumping,
        excluded_kwh=None if energy is None or pumping is None else energy - pumping,
        on_time_pct=_cut(given.on_time_pct),
        final_pct=_cut(given.final_pct),
        registers=_registers(given, standings),
        coefficients=coefficients_used(given, gain, day),
        tc_low=low,
        tc_high=high,
        certificates=certificates(settings, day),
        permit=_permit(given, standings, facts),
        anomalies=given.anomalies,
        declarations=given.declarations,
        photos=given.photos,
        archive_version=given.archive_version,
        rows=rows,
    )


def _named(settings: IntakeSettings, day: date) -> dict[str, Any]:
    """What the intake is, on the last day of the period."""
    return {
        "name": settings.name,
        "code": settings.code,
        "title": settings.title,
        "source": settings.source,
        "aquifer": settings.aquifer,
        "use": settings.use_on(day),
        "method": "converted" if settings.is_converted else "metered",
    }


def _counted(gain: Gain, rows: Sequence[Row]) -> dict[str, Any]:
    """Counts of the period, and of its rows by word and by level."""
    flags, levels = Counter(flag for row in rows for flag in row.flags), Counter(row.level for row in rows)
    return {
        "counts": gain.counts,
        "completeness_pct": _percent(Decimal(gain.counts.good), Decimal(gain.counts.expected)),
        "days_by_flag": dict(sorted(flags.items())),
        "days_by_level": {str(level): count for level, count in sorted(levels.items())},
    }


def _with_beginning(given: IntakeFacts, span: Span) -> tuple[Standing, ...]:
    """The closings, with the account's beginning at 0 in front when it lies inside the period."""
    if given.has_begun or not given.standings:
        return given.standings
    return (began(span.begin_ms, given.standings[0]), *given.standings)


def _row(given: IntakeFacts, before: Standing, after: Standing, facts: Facts) -> Row:
    gain, start, stop = between(before, after), before.edge, after.edge
    flags = set(gain.counts.flags)
    is_offset = Method.NEAREST in (start.method, stop.method)
    flags |= {Flag.BOUNDARY_OFFSET} if is_offset else set()
    levels = [int(level) for level in gain.counts.levels]
    volume = _volume(start, stop)
    return Row(
        begin_ms=before.at_ms,
        end_ms=after.at_ms,
        volume_m3=volume,
        energy_kwh=_step(start, stop, "energy_kwh"),
        pumping_kwh=_step(start, stop, "pumping_kwh"),
        expected=gain.counts.expected,
        good=gain.counts.good,
        flags=tuple(sorted(flags)),
        level=int(Qartod.MISSING) if volume is None or not levels else max(levels),
        withheld_m3=withheld_m3(given, gain, volume, local_day(before.at_ms, facts.zone), is_offset=is_offset),
    )


def _volume(begin: Edge | None, end: Edge | None) -> Decimal | None:
    """The water between two boundaries; None where one of them is not known."""
    if begin is None or end is None or not (begin.is_known and end.is_known):
        return None
    return end.volume_m3 - begin.volume_m3


def _step(begin: Edge | None, end: Edge | None, name: str) -> Decimal | None:
    start, stop = getattr(begin, name, None), getattr(end, name, None)
    return None if start is None or stop is None else stop - start


@exact
def _percent(part: Decimal, whole: Decimal) -> Decimal | None:
    return None if not whole else (PERCENT * part / whole).quantize(_PERCENT_STEP)


def _cut(percent: Decimal | None) -> Decimal | None:
    """Cut, so that 94.999 is not told as the 95 that is asked for."""
    return None if percent is None else percent.quantize(_PERCENT_STEP, ROUND_DOWN)


@exact
def _expanded_m3(gain: Gain, begin: Edge | None, end: Edge | None) -> Decimal:
    doubts = [edge.doubt_m3 for edge in (begin, end) if edge is not None]
    return rounded_m3(COVERAGE * sum((part * part for part in (gain.u_m3, *doubts)), ZERO).sqrt())


@exact
def _share_m3(u_m3: Decimal, part_m3: Decimal, whole_m3: Decimal) -> Decimal:
    """The uncertainty of a part of a volume: its errors are common, so they are in proportion."""
    return rounded_m3(u_m3 * part_m3 / whole_m3) if part_m3 != whole_m3 else u_m3


@exact
def _tc_range(rows: Iterable[Row]) -> tuple[Decimal | None, Decimal | None]:
    """The least and the largest m³ per kWh of the rows in which the pump ran, to four significant digits."""
    ratios = [row.volume_m3 / row.pumping_kwh for row in rows if row.pumping_kwh and row.volume_m3]
    found = [ratio.quantize(ONE.scaleb(ratio.adjusted() - _TC_DIGITS + 1)) for ratio in ratios]
    return min(found, default=None), max(found, default=None)


def _well_code(given: IntakeFacts) -> str:
    return next((record.well_code for record in reversed(given.coefficients)), "")


def _registers(given: IntakeFacts, standings: Sequence[Standing]) -> tuple[Register, ...]:
    """Every meter that the water rests on, with its registers at both ends."""
    settings = given.settings
    begin, end = (standings[0].shown, standings[-1].shown) if standings else ({}, {})
    found = [(each.meter, each.quantity, each.serial, ONE, ONE, each.factor) for each in settings.water]
    if settings.is_converted and (energy := settings.energy) is not None:
        multiplier = ONE if energy.register_is_primary else energy.ct_ratio * energy.pt_ratio
        channel = (energy.meter, energy.quantity, energy.serial)
        found.append((*channel, energy.ct_ratio, energy.pt_ratio, multiplier))
    return tuple(
        Register(
            meter=meter,
            quantity=quantity,
            serial=serial,
            ct_ratio=ct_ratio,
            pt_ratio=pt_ratio,
            is_primary=multiplier == ONE,
            multiplier=multiplier,
            begin=begin.get(meter, _NOT_SHOWN),
            end=end.get(meter, _NOT_SHOWN),
        )
        for meter, quantity, serial, ct_ratio, pt_ratio, multiplier in found
    )


def _permit(given: IntakeFacts, standings: Sequence[Standing], facts: Facts) -> PermitUse:
    """The permit's use, from the year's beginning (or the account's, in its first year) to the end of the period."""
    permit = given.settings.permit or Permit(number="")
    first = ZERO if given.year is None else given.year.edge.volume_m3
    used = standings[-1].edge.volume_m3 - first if standings else None
    return PermitUse(
        number=permit.number,
        holder=permit.holder,
        valid_until="" if permit.valid_until is None else permit.valid_until.isoformat(),
        annual_m3=permit.annual_m3,
        plan_m3=_plan(permit.plan_m3, facts.span),
        used_m3=used,
        used_pct=None if used is None or not permit.annual_m3 else _percent(used, permit.annual_m3),
    )


def _plan(parts: Sequence[Decimal], span: Span) -> Decimal | None:
    """What the plan allows in the period, where it says so for periods of this length."""
    month = date.fromisoformat(span.first_day).month
    quarter = (month - 1) // 3
    if span.kind is SpanKind.QUARTER and len(parts) == _QUARTERS:
        return parts[quarter]
    if span.kind is SpanKind.QUARTER and len(parts) == _MONTHS:
        return sum(parts[3 * quarter : 3 * quarter + 3], ZERO)
    if span.kind is SpanKind.MONTH and len(parts) == _MONTHS:
        return parts[month - 1]
    return None
