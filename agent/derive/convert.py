"""From the pumping energy of one interval to its water: which pump, which coefficient, which model, how well known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from agent.derive.coefficient import EXPIRED_STATES, Coefficient
from agent.derive.energy import RunShare, apportioned, split_by_time, with_flags
from agent.derive.exact import ZERO, hours, local_day
from agent.derive.flags import Flag
from agent.derive.ledger import Choice, Ledger, Span, age_years
from agent.derive.models import Converted, Model, Sensed, Slice, TwoPhase
from agent.derive.state import Ends, OpenRun
from agent.derive.uncertainty import Share

_LEVELS_AGREE_M = Decimal(2)  # §9.3-8: over a gap, ends nearer than this give a mean
_BOTH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pump:
    """One pump on the energy meter: the power measured while it ran alone, and its coefficients."""

    id: str
    running_kw: Decimal
    ledger: Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """The energy meter's class and that of its CT in per cent (0: no CT), and one register step in primary kWh."""

    class_pct: Decimal
    ct_class_pct: Decimal
    step_kwh: Decimal


class Part(NamedTuple):
    """A part of an interval: one pump, one coefficient. `volume_m3` is not rounded; None when there is only energy."""

    pump: str
    begin_ms: int
    end_ms: int
    energy_kwh: Decimal
    volume_m3: Decimal | None
    coefficient: str
    model: str
    depth_m: Decimal | None
    head_m: Decimal | None
    share: Share | None


class Water(NamedTuple):
    """What an interval's pumping energy became. `drop_kwh` is what a run must use to be more than a short one."""

    parts: tuple[Part, ...]
    flags: tuple[Flag, ...]
    drop_kwh: Decimal | None


class Work(NamedTuple):
    """The interval to be converted: its bounds, what the sensors said, the installation that metered it."""

    begin_ms: int
    end_ms: int
    sensed: Sensed
    meter: str
    accuracy: Accuracy


def sensed(begin: Ends, end: Ends, *, is_gap: bool, is_partial: bool) -> Sensed:
    """What the two ends say about the interval between them (§9.3-8).

    The ends at which the pump ran are preferred, since a resting level or pressure says nothing about pumping. Over a
    gap both ends must speak; levels that differ by 2 m or more give no mean, only how far they are apart.
    """
    ends = [at for at in (begin, end) if at.is_running is not False] or [begin, end]
    depth_m = _mean([at.depth_m for at in ends], needed=_BOTH if is_gap and len(ends) == _BOTH else 1)
    change_m = None
    if is_gap and len(ends) == _BOTH and begin.depth_m is not None and end.depth_m is not None:
        apart_m = abs(begin.depth_m - end.depth_m)
        change_m = apart_m if apart_m >= _LEVELS_AGREE_M else None
    return Sensed(
        depth_m=depth_m,
        pressure_mpa=_mean([at.pressure_mpa for at in ends], needed=1),
        frequency_hz=_mean([at.frequency_hz for at in ends], needed=1),
        depth_change_m=change_m,
        is_partial=is_partial,
    )


def _mean(values: Sequence[Decimal | None], *, needed: int) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, ZERO) / len(known) if len(known) >= needed else None


def split_by_pump(
    energy_kwh: Decimal, pumps: Sequence[Pump], run_h: Mapping[str, Decimal]
) -> tuple[tuple[Decimal, ...] | None, tuple[Flag, ...]]:
    """Each pump's share of the energy; None when several pumps may have used it and nobody knows how long each ran."""
    if len(pumps) == 1:
        return (energy_kwh,), ()
    if energy_kwh == 0:
        return (ZERO,) * len(pumps), ()
    shares = [RunShare(run_h.get(pump.id, ZERO), pump.running_kw) for pump in pumps]
    if all(share.run_h == 0 for share in shares):
        return None, (Flag.NOT_APPORTIONED,)
    return apportioned(energy_kwh, shares)


def convert(work: Work, pump: Pump, energy_kwh: Decimal, run: OpenRun | None) -> Water:
    """The water of one pump's share of an interval; its parts lie one after another."""
    zone = pump.ledger.zone
    duration_ms = max(0, work.end_ms - work.begin_ms)
    run_kwh = ZERO if run is None else run.energy_kwh
    begin_day = local_day(work.begin_ms if duration_ms else work.end_ms, zone)
    whole = Slice(energy_kwh, hours(duration_ms), begin_day, run_kwh, work.sensed)
    spans = pump.ledger.timeline.spans(work.begin_ms, work.end_ms, whole)
    energies, flags = split_by_time(energy_kwh, [span.end_ms - span.begin_ms for span, _ in spans])
    parts: list[Part] = []
    drop_kwh: Decimal | None = None
    for (span, choice), part_kwh in zip(spans, energies, strict=True):
        part = Slice(part_kwh, hours(span.end_ms - span.begin_ms), local_day(span.begin_ms, zone), run_kwh, work.sensed)
        found, done = _part(work, pump, span, choice, part)
        parts.append(done)
        flags = with_flags(flags, choice.flags, () if found is None else found.flags)
        run_kwh += part_kwh
        drop_kwh = _drop_kwh(choice)
    return Water(tuple(parts), flags, drop_kwh)


def _drop_kwh(choice: Choice) -> Decimal | None:
    model: Model | None = None if choice.coefficient is None else choice.coefficient.model
    return model.drop_energy_kwh if isinstance(model, TwoPhase) else None


def _part(work: Work, pump: Pump, span: Span, choice: Choice, part: Slice) -> tuple[Converted | None, Part]:
    record = choice.coefficient
    if record is None:
        nothing = Part(pump.id, span.begin_ms, span.end_ms, part.energy_kwh, None, "", "", None, None, None)
        return None, nothing
    found = record.model.convert(part)
    share = Share(
        coefficient=record.name,
        meter=work.meter,
        volume_m3=found.volume_m3,
        energy_kwh=part.energy_kwh,
        u_tc=record.u_rel,
        age_years=age_years(record, span.begin_ms, span.end_ms, pump.ledger.zone),
        drift_per_year=record.drift_per_year,
        u_model=_spread(record, found),
        class_pct=work.accuracy.class_pct,
        ct_class_pct=work.accuracy.ct_class_pct,
        step_kwh=work.accuracy.step_kwh,
        reference=record.basis.reference,
        u_reference=record.basis.u_reference,
        is_expired=record.state_on(local_day(span.begin_ms, pump.ledger.zone)) in EXPIRED_STATES,
    )
    return found, Part(
        pump=pump.id,
        begin_ms=span.begin_ms,
        end_ms=span.end_ms,
        energy_kwh=part.energy_kwh,
        volume_m3=found.volume_m3,
        coefficient=record.name,
        model=record.model.name,
        depth_m=found.depth_m,
        head_m=found.head_m,
        share=share,
    )


def _spread(record: Coefficient, found: Converted) -> Decimal:
    """u_model: the record's own word, where it has one, unless a level that is not known well makes it worse."""
    return found.spread if record.u_model is None else max(record.u_model, _doubt(found))


def _doubt(found: Converted) -> Decimal:
    doubtful = (Flag.HEAD_ESTIMATED, Flag.HEAD_EXTRAPOLATED)
    return found.spread if any(flag in doubtful for flag in found.flags) else ZERO
