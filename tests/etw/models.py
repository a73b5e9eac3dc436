"""Volume models and coefficients: the kinds of their section of the format."""

from __future__ import annotations

from datetime import UTC, date
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.derive import boundary, energy, fit, physics
from agent.derive.coefficient import Coefficient, state_on
from agent.derive.exact import MS_PER_HOUR, ONE, ZERO, hours, positive
from agent.derive.ledger import Force, Timeline
from agent.derive.models import (
    EXTRAPOLATION_LIMIT,
    Fixed,
    Sensed,
    Slice,
    is_extrapolated,
    two_phase_total,
)
from tests.etw.inputs import BadCase, day, kind, moment, number, tc_volume


@kind
def fixed_tc_volume(i):
    readings, factor = i.items("readings", 2), i.above0("multiplier", 1)
    readings = [(moment("readings", at), number("readings", value)) for at, value in readings]
    if len(readings) < 2:
        raise BadCase(f"readings: {len(readings)}, 2 or more make an interval")
    pumps = energy.PumpSet(
        rated_kw=i.above0("rated_kw"),
        pump_on_fraction=i.least0("pump_on_fraction", energy.PUMP_ON_FRACTION),
    )
    total, pumped = ZERO, ZERO
    for (begin_ms, before), (end_ms, after) in pairwise(readings):
        if after < before:
            raise BadCase(f"readings: {after} is below {before}")
        used = (after - before) * factor
        total += used
        if end_ms <= begin_ms:
            raise BadCase("readings: their times do not ascend")
        pumped += energy.pumping(used, end_ms - begin_ms, pumps).energy_kwh
    return {
        "energy_total_kwh": total,
        "energy_pumping_kwh": pumped,
        "non_pumping_kwh": total - pumped,
        "volume_m3": tc_volume(i.num("tc"), pumped),
    }


@kind
def piecewise_tc_volume(i):
    bounds = [moment("interval", at) for at in i.items("interval")]
    if len(bounds) != 2 or bounds[0] >= bounds[1]:
        raise BadCase("interval: not a beginning and a later end")
    (begin_ms, end_ms), used = bounds, i.least0("energy_kwh")
    whole = Slice(used, hours(end_ms - begin_ms), date.min, ZERO, Sensed())
    spans = timeline(i.inners("segments"), begin_ms, end_ms).spans(begin_ms, end_ms, whole)
    durations = [span.end_ms - span.begin_ms for span, _ in spans]
    parts, flags = energy.split_by_time(used, durations, first_kwh=i.num("energy_at_boundary_kwh", None))
    volume = ZERO
    for (_, choice), part in zip(spans, parts, strict=True):
        volume += choice.coefficient.model.convert(whole._replace(energy_kwh=part)).volume_m3
    names = [choice.coefficient.name for _, choice in spans]
    return {"energy_split_kwh": list(parts), "volume_m3": volume, "flags": list(flags), "provenance": names}


def timeline(segments, begin_ms, end_ms):
    """The segments as the product's coefficients, which must cover the interval."""
    forces = []
    for segment in segments:
        record = Coefficient(
            id=segment.text("id"), version=segment.whole("version"), well_code="", delivery_mode="open_outlet",
            model=Fixed(tc=segment.above0("tc")), u_rel=ZERO,
        )  # fmt: skip
        forces.append(Force(record, None, segment.time("valid_from", None), segment.time("valid_to", None)))
    reached = begin_ms
    for force in sorted(forces, key=lambda force: (force.begin_ms is not None, force.begin_ms)):
        if force.begin_ms is None or force.begin_ms <= reached:
            reached = end_ms if force.end_ms is None else max(reached, force.end_ms)
    if reached < end_ms:
        raise BadCase("segments: they do not cover the interval")
    return Timeline(forces, zone=UTC)


@kind
def two_phase_volume(i):
    starts = i.count("starts")
    drop_m3, drop_kwh = i.least0("drop_volume_m3_per_start"), i.above0("drop_energy_kwh_per_start")
    used = i.above0("energy_kwh")
    volume, flags = two_phase_total(starts, drop_m3, drop_kwh, i.above0("tc_stable"), used)
    return {
        "volume_m3": volume,
        "tc_drop": drop_m3 / drop_kwh,
        "tc_composite": volume / used,
        "flags": list(flags),
    }


@kind
def affine_head_volume(i):
    points = [(point.num("level_depth_m"), point.above0("tc")) for point in i.inners("calibration")]
    if len({depth_m for depth_m, _ in points}) < 2:
        raise BadCase("calibration: not two different depths or more")
    model = fit.fit_level(points).model
    depth_m = i.num("level_depth_m")
    specific = positive("specific_energy", model.specific_energy(depth_m))
    part = Slice(i.least0("energy_kwh"), ONE, date.min, ZERO, Sensed(depth_m=depth_m))
    outside = is_extrapolated(depth_m, *model.depths, i.least0("extrapolation_limit_frac", EXTRAPOLATION_LIMIT))
    return {
        "specific_energy": specific,
        "tc": physics.specific_energy(specific),
        "volume_m3": model.convert(part).volume_m3,
        "flags": ["HEAD_EXTRAPOLATED"] if outside else [],
    }


@kind
def coefficient_state(i):
    bounds = i.day("valid_from"), i.day("valid_to")
    limits = {"warn_days": i.count("warn_days", 30), "grace_days": i.count("grace_days", 90)}
    return {"states": [state_on(day("at", at), *bounds, **limits) for at in i.items("at")]}


@kind
def quarter_report(i):
    try:
        zone = ZoneInfo(i.text("tz"))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadCase(f"tz: {i.text('tz')!r} is not a known time zone") from error
    bounds = boundary.quarter(i.text("quarter")).bounds_ms(zone)
    bracket_ms = int(i.least0("max_bracket_h", Decimal(2)) * MS_PER_HOUR)
    series, factor = i.readings("readings"), i.above0("multiplier", 1)
    if any(after < before for (_, before), (_, after) in pairwise(series)):
        raise BadCase("readings: they fall; no swap or rollover lies inside")
    settled = boundary.settle_period(series, bounds, factor=factor, max_bracket_ms=bracket_ms)
    return {
        "start_register": settled.start.value,
        "end_register": settled.end.value,
        "energy_kwh": settled.energy_kwh,
        "volume_m3": tc_volume(i.num("tc"), settled.energy_kwh),
        "boundary_method": settled.method,
        "flags": list(settled.flags),
        "boundary_offset_h": [settled.start.offset_h, settled.end.offset_h],
    }
