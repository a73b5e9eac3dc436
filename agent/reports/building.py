"""From what was read to the report: every figure of an intake over a period. Pure.

Strategy: a period is the difference of two settled boundaries, its rows those between, so rows add up to the period and
periods to longer ones, to the last digit. Uncertainty comes from the shares (a coefficient's error is common to all of
them) and from the pump that may have started or stopped unseen inside a boundary's bracket.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise

from agent.derive.exact import ONE, PERCENT, ZERO, exact, local_day, rounded_m3
from agent.intakes.settings import IntakeSettings, Permit
from agent.reports.closings import Standing, began, edge_of
from agent.reports.facts import Facts, IntakeFacts
from agent.reports.periods import Gain, between, boundary_doubt_m3
from agent.reports.report import Edge, IntakeReport, PermitUse, Register, Report, Row, Shown, Status
from agent.reports.spans import Span, SpanKind
from agent.reports.validity import certificate_states, coefficients_used, withheld_m3

COVERAGE = Decimal(2)  # k of every uncertainty that a report states
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
    settings, span = given.settings, facts.span
    standings = _with_beginning(given, span)
    edges = [edge_of(standing) for standing in standings]
    begin, end = (edges[0], edges[-1]) if len(edges) > 1 else (None, None)
    gain = between(standings[0], standings[-1]) if len(standings) > 1 else Gain()
    rows = _rows(given, standings, edges, facts)
    volume = None if begin is None or end is None else end.volume_m3 - begin.volume_m3
    withheld = sum((row.withheld_m3 for row in rows), ZERO)
    pumping = _step(begin, end, "pumping_kwh")
    low, high = _tc_range(rows)
    return IntakeReport(
        name=settings.name,
        code=settings.code,
        title=settings.title,
        well_code=_well_code(given),
        source=settings.source,
        aquifer=settings.aquifer,
        use=settings.use_on(local_day(span.end_ms - 1, facts.zone)),
        method="converted" if settings.is_converted else "metered",
        begin=begin,
        end=end,
        volume_m3=volume,
        voucher_m3=None if volume is None else volume if accepted_expired else volume - withheld,
        withheld_m3=withheld,
        u_m3=_expanded_m3(gain, begin, end, settings, _share(volume, pumping)),
        energy_kwh=_step(begin, end, "energy_kwh"),
        pumping_kwh=pumping,
        excluded_kwh=_less(_step(begin, end, "energy_kwh"), pumping),
        completeness_pct=_percent(Decimal(gain.counts.good), Decimal(gain.counts.expected)),
        on_time_pct=given.on_time_pct,
        final_pct=given.final_pct,
        counts=gain.counts,
        days_by_flag=dict(sorted(Counter(flag for row in rows for flag in row.flags).items())),
        days_by_level={str(level): count for level, count in sorted(Counter(row.level for row in rows).items())},
        registers=_registers(given),
        coefficients=coefficients_used(given, gain, facts),
        tc_low=low,
        tc_high=high,
        certificates=certificate_states(settings, local_day(span.end_ms - 1, facts.zone)),
        permit=_permit(given, standings, facts),
        anomalies=given.anomalies,
        declarations=given.declarations,
        photos=given.photos,
        archive_version=given.archive_version,
        rows=rows,
    )


def _with_beginning(given: IntakeFacts, span: Span) -> tuple[Standing, ...]:
    """The closings, with the account's beginning at 0 in front when it lies inside the period."""
    if given.has_begun or not given.standings:
        return given.standings
    return (began(span.begin_ms, given.standings[0]), *given.standings)


def _rows(
    given: IntakeFacts, standings: Sequence[Standing], edges: Sequence[Edge | None], facts: Facts
) -> tuple[Row, ...]:
    rows = []
    for (before, after), (start, stop) in zip(pairwise(standings), pairwise(edges), strict=True):
        if start is None or stop is None:
            continue
        gain = between(before, after)
        volume = stop.volume_m3 - start.volume_m3
        flags = {flag for flag, count in gain.counts.flags.items() if count}
        flags |= {"BOUNDARY_OFFSET"} if "nearest" in (start.method, stop.method) else set()
        levels = [int(level) for level, count in gain.counts.levels.items() if count and level != "9"]
        rows.append(
            Row(
                begin_ms=before.at_ms,
                end_ms=after.at_ms,
                day=local_day(before.at_ms, facts.zone).isoformat(),
                volume_m3=volume,
                energy_kwh=_step(start, stop, "energy_kwh"),
                pumping_kwh=_step(start, stop, "pumping_kwh"),
                expected=gain.counts.expected,
                good=gain.counts.good,
                flags=tuple(sorted(flags)),
                level=max(levels) if levels else 9,
                withheld_m3=withheld_m3(given, gain, local_day(before.at_ms, facts.zone)),
            )
        )
    return tuple(rows)


def _step(begin: Edge | None, end: Edge | None, name: str) -> Decimal | None:
    return _less(None if end is None else getattr(end, name), None if begin is None else getattr(begin, name))


def _less(value: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if value is None or other is None else value - other


@exact
def _percent(part: Decimal, whole: Decimal) -> Decimal | None:
    return None if not whole else (PERCENT * part / whole).quantize(_PERCENT_STEP)


@exact
def _share(volume: Decimal | None, energy: Decimal | None) -> Decimal:
    """The m³ per kWh of the period; 0 without energy."""
    return volume / energy if volume is not None and energy else ZERO


@exact
def _expanded_m3(
    gain: Gain, begin: Edge | None, end: Edge | None, settings: IntakeSettings, tc: Decimal
) -> Decimal | None:
    if begin is None or end is None:
        return None
    doubts = [boundary_doubt_m3(edge, settings, tc) for edge in (begin, end)]
    return rounded_m3(COVERAGE * sum((part * part for part in (gain.u_m3, *doubts)), ZERO).sqrt())


@exact
def _tc_range(rows: Iterable[Row]) -> tuple[Decimal | None, Decimal | None]:
    """The least and the largest m³ per kWh of the rows in which the pump ran, to four significant digits."""
    ratios = [row.volume_m3 / row.pumping_kwh for row in rows if row.pumping_kwh and row.volume_m3]
    found = [ratio.quantize(ONE.scaleb(ratio.adjusted() - _TC_DIGITS + 1)) for ratio in ratios]
    return min(found, default=None), max(found, default=None)


def _well_code(given: IntakeFacts) -> str:
    return next((record.well_code for record in reversed(given.coefficients)), given.settings.code)


def _registers(given: IntakeFacts) -> tuple[Register, ...]:
    """Every meter that the water rests on, with its registers at both ends."""
    settings = given.settings
    found = [
        _register(given, (source.meter, source.quantity), source.serial, (ONE, ONE), source.factor)
        for source in settings.water
    ]
    if (energy := settings.energy) is not None:
        ratios = (energy.ct_ratio, energy.pt_ratio)
        multiplier = ONE if energy.register_is_primary else energy.ct_ratio * energy.pt_ratio
        found.append(_register(given, (energy.meter, energy.quantity), energy.serial, ratios, multiplier))
    return tuple(found)


def _register(
    given: IntakeFacts, channel: tuple[str, str], serial: str, ratios: tuple[Decimal, Decimal], multiplier: Decimal
) -> Register:
    begin, end = given.shown.get(channel, (_NOT_SHOWN, _NOT_SHOWN))
    return Register(
        meter=channel[0],
        quantity=channel[1],
        serial=serial,
        ct_ratio=ratios[0],
        pt_ratio=ratios[1],
        is_primary=multiplier == ONE,
        multiplier=multiplier,
        begin=begin,
        end=end,
    )


def _permit(given: IntakeFacts, standings: Sequence[Standing], facts: Facts) -> PermitUse:
    """The permit's use, from the year's beginning (or the account's, in its first year) to the end of the period."""
    permit = given.settings.permit or Permit(number="")
    last = edge_of(standings[-1]) if standings else None
    first = ZERO
    if given.year is not None and (edge := edge_of(given.year)) is not None:
        first = edge.volume_m3
    used = None if last is None else last.volume_m3 - first
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
