"""Evaluates a file of electricity-to-water cases with the product's own functions.

    python -m tests.etw_cases FILE.json

One line per case; exit 0 when all lie within their tolerance, 1 when one does not, 2 when the file is broken.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.derive import boundary, energy, fit, physics, region
from agent.derive.coefficient import Coefficient, state_on
from agent.derive.exact import MS_PER_HOUR, ONE, ZERO, exact, hours, instant_ms, not_negative, positive
from agent.derive.ledger import Force, Timeline
from agent.derive.models import (
    EXTRAPOLATION_LIMIT,
    Fixed,
    Sensed,
    Slice,
    is_extrapolated,
    two_phase_total,
)
from agent.derive.uncertainty import COVERAGE, Share, terms_of
from agent.rules import compliance, series

ALWAYS_ALLOWED = Decimal("1e-9")
EXACT_KEYS = {"n_used", "rejected_indices", "level_reached", "n_for_new_rel_error"}  # of type int, whatever `tol` says
REQUIRED = object()


class BrokenFile(Exception):
    """The file is not a file of cases."""


class BadCase(Exception):
    """The case asks for something that is not defined."""


class Inputs:
    """The inputs of a case, by name and type. Whatever is missing or of another type is named."""

    def __init__(self, values):
        if not isinstance(values, dict):
            raise BadCase("inputs: not an object")
        self._values = values

    def raw(self, name, default=REQUIRED):
        if name in self._values:
            return self._values[name]
        if default is REQUIRED:
            raise BadCase(f"{name}: missing")
        return default

    def num(self, name, default=REQUIRED):
        value = self.raw(name, default)
        return value if value is None and default is None else number(name, value)

    def least0(self, name, default=REQUIRED):
        return not_negative(name, self.num(name, default))

    def above0(self, name, default=REQUIRED):
        return positive(name, self.num(name, default))

    def whole(self, name, default=REQUIRED):
        value = self.num(name, default)
        if value != int(value):
            raise BadCase(f"{name}: {value} is not a whole number")
        return int(value)

    def count(self, name, default=REQUIRED, *, least=0):
        value = self.whole(name, default)
        if value < least:
            raise BadCase(f"{name}: {value} is below {least}")
        return value

    def truth(self, name, default):
        value = self.raw(name, default)
        if not isinstance(value, bool):
            raise BadCase(f"{name}: {value!r} is not true or false")
        return value

    def text(self, name):
        value = self.raw(name)
        if not isinstance(value, str):
            raise BadCase(f"{name}: {value!r} is not a text")
        return value

    def items(self, name, width=None):
        value = self.raw(name)
        if not isinstance(value, list):
            raise BadCase(f"{name}: not a list")
        if width is not None and any(not isinstance(item, list) or len(item) != width for item in value):
            raise BadCase(f"{name}: not a list of {width} values each")
        return value

    def nums(self, name):
        return [number(name, value) for value in self.items(name)]

    def rows(self, name, width):
        return [tuple(number(name, value) for value in row) for row in self.items(name, width)]

    def readings(self, name):
        return sorted((moment(name, at), number(name, value)) for at, value in self.items(name, 2))

    def time(self, name, default=REQUIRED):
        value = self.raw(name, default)
        return None if value is None else moment(name, value)

    def day(self, name):
        return day(name, self.raw(name))

    def inner(self, name):
        return Inputs(self.raw(name))

    def inners(self, name):
        return [Inputs(item) for item in self.items(name)]


def number(name, value):
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BadCase(f"{name}: {value!r} is not a number")
    value = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not value.is_finite():
        raise BadCase(f"{name}: {value} is not a number")
    return value


def moment(name, text):
    try:
        return instant_ms(datetime.fromisoformat(text))
    except (TypeError, ValueError) as error:
        raise BadCase(f"{name}: {text!r} is not a time with its offset") from error


def day(name, text):
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise BadCase(f"{name}: {text!r} is not a day") from error


def ratio_of(name, numerator, denominator):
    return numerator / positive(name, denominator)


KINDS: dict[str, Callable[[Inputs], dict]] = {}


def kind(function):
    KINDS[function.__name__] = function
    return function


# Conversion and physics


@kind
def unit_conversion_pcc(i):
    return {"tc_m3_per_kwh": [physics.tc_from_pcc(pcc) for pcc in i.nums("pcc_kwh_per_acre_foot")]}


@kind
def tc_from_rates(i):
    flow_m3h = physics.LITRE_PER_S_IN_M3H * positive("flow_l_per_s", i.num("flow_l_per_s"))
    head_m = positive("tdh_m", i.num("tdh_m"))
    tc = physics.tc_from_rates(flow_m3h, i.num("power_kw"))
    specific = physics.specific_energy(tc)
    return {
        "tc_m3_per_kwh": tc,
        "specific_energy_kwh_per_m3": specific,
        "kwh_per_ml_per_m": physics.kwh_per_ml_per_m(specific, head_m),
        "eta_overall": physics.eta_of(flow_m3h, head_m, i.num("power_kw")),
    }


@kind
def volume_from_rate_time(i):
    volume = physics.GPM_IN_M3H * i.least0("flow_gpm") * i.least0("run_hours")
    return {"volume_m3": volume, "volume_acre_feet": volume / physics.ACRE_FOOT_M3}


@kind
def lift_energy(i):
    eta = i.num("eta_overall")
    return {
        "energy_kwh": physics.energy_to_lift(i.least0("mass_tonnes"), eta, i.least0("lift_m")),  # 1 t is 1 m³
        "tc_m3_per_kwh_at_reference_head": physics.tc_from_head(eta, i.num("reference_head_m")),
    }


@kind
def power_from_flow_head(i):
    flow_m3h = physics.GPM_IN_M3H * i.above0("flow_gpm")
    power = physics.energy_to_lift(flow_m3h, pump_and_motor(i), physics.FOOT_M * i.above0("tdh_ft"))
    return {"power_kw": power, "tc_m3_per_kwh": physics.tc_from_rates(flow_m3h, power)}


def pump_and_motor(i):
    return physics.efficiency("pump_eff", i.num("pump_eff")) * physics.efficiency("motor_eff", i.num("motor_eff"))


@kind
def physical_constant(i):
    eta, head_ft, constant = (
        pump_and_motor(i),
        positive("tdh_ft", i.num("tdh_ft")),
        i.above0("rule_constant_gal_ft_per_kwh"),
    )
    gallons = constant * i.least0("energy_kwh") * eta / head_ft
    return {
        "volume_gal_rule": gallons,
        "volume_m3_rule": gallons * physics.US_GALLON_M3,
        "volume_m3_physical": physics.volume_from_head(i.num("energy_kwh"), eta, head_ft * physics.FOOT_M),
        "rule_constant_si_m3_m_per_kwh": constant * physics.US_GALLON_M3 * physics.FOOT_M,
    }


@kind
def pcc_from_head(i):
    pcc = i.num("source_constant") * i.num("tdh_ft") / positive("ope_pct", i.num("ope_pct"))
    eta = i.num("ope_pct") / 100
    return {
        "pcc_kwh_per_acre_foot": pcc,
        "tc_m3_per_kwh_source_constant": physics.tc_from_pcc(pcc),
        "tc_m3_per_kwh_physical": physics.tc_from_head(eta, i.num("tdh_ft") * physics.FOOT_M),
    }


@kind
def physical_from_published_pump(i):
    volume = physics.GPM_IN_M3H * i.least0("flow_gpm") * i.least0("run_hours")
    head_m, used = i.num("tdh_ft") * physics.FOOT_M, i.num("energy_kwh")
    return {
        "volume_m3_from_flow": volume,
        "tc_m3_per_kwh": ratio_of("energy_kwh", volume, used),
        "volume_m3_physical": physics.volume_from_head(used, i.num("eta_overall"), head_m),
        "eta_back_calculated": physics.eta_of(volume, head_m, used),
    }


@kind
def performance_criterion(i):
    eta = i.num("whp_h_per_kwh") * physics.HORSEPOWER_KW
    return {"eta_overall": eta, "tc_m3_per_kwh": physics.tc_from_head(eta, i.num("tdh_m"))}


@kind
def performance_from_field_data(i):
    head_ft = i.num("lift_ft") + i.least0("discharge_psi") * i.above0("ft_per_psi")
    whp = physics.water_horsepower(i.num("flow_gpm"), head_ft)
    power = whp / positive("whp_h_per_kwh", i.num("whp_h_per_kwh"))
    tc = physics.tc_from_rates(physics.GPM_IN_M3H * i.num("flow_gpm"), power)
    return {"tdh_ft": head_ft, "whp": whp, "expected_power_kw": power, "tc_m3_per_kwh": tc}


@kind
def physical_volume(i):
    head_m = physics.total_dynamic_head_m(
        level_depth_m=i.num("static_level_m"),
        drawdown_m=i.num("drawdown_m", 0),
        discharge_height_m=i.num("discharge_height_m", 0),
        pressure_mpa=i.num("pressure_mpa", 0),
        friction_m=i.least0("friction_m", ZERO),
    )
    eta = i.num("eta_overall")
    volume = physics.volume_from_head(i.least0("energy_kwh"), eta, head_m)
    return {"tdh_m": head_m, "tc": physics.tc_from_head(eta, head_m), "volume_m3": volume}


# Registers and electrical side


@kind
def meter_constant_power(i):
    ratios = positive("ct_ratio", i.num("ct_ratio", 1)) * positive("pt_ratio", i.num("pt_ratio", 1))
    power = energy.pulse_power_kw(i.above0("kh_wh_per_rev"), i.least0("revolutions"), i.num("seconds"), ratios)
    return {"power_kw": power}


def register_energy(i, factor):
    before, after = i.num("register_prev_kwh"), i.num("register_curr_kwh")
    if after < before:
        raise BadCase(f"register_curr_kwh: {after} is below register_prev_kwh {before}")
    return (after - before) * factor


@kind
def ct_multiplier(i):
    ct = energy.ratio("ct", i.num("ct_primary_a"), i.num("ct_secondary_a"))
    primary = i.truth("register_is_primary", False)
    factor = energy.multiplier(ct, i.num("pt_ratio", 1), register_is_primary=primary)
    return {"multiplier": factor, "energy_kwh": register_energy(i, factor)}


@kind
def ct_pt_multiplier(i):
    ct = energy.ratio("ct", i.num("ct_primary_a"), i.num("ct_secondary_a"))
    pt = energy.ratio("pt", i.num("pt_primary_v"), i.num("pt_secondary_v"))
    factor = energy.multiplier(ct, pt, register_is_primary=i.truth("register_is_primary", False))
    return {"ct_ratio": ct, "pt_ratio": pt, "multiplier": factor, "energy_kwh": register_energy(i, factor)}


@kind
def register_delta(i):
    primary = i.truth("register_is_primary", False)
    factor = energy.multiplier(i.num("ct_ratio", 1), i.num("pt_ratio", 1), register_is_primary=primary)
    overload = positive("overload_factor", i.num("overload_factor", energy.OVERLOAD_FACTOR))
    limit = positive("rated_kw", i.num("rated_kw")) * positive("dt_h", i.num("dt_h")) * overload
    capacity = Decimal(10) ** int(positive("digits_int", Decimal(i.whole("digits_int"))))
    delta = energy.register_delta(i.num("prev"), i.num("curr"), capacity=capacity, factor=factor, limit_kwh=limit)
    return {"delta_register": delta.register, "energy_kwh": delta.energy_kwh, "flags": list(delta.flags)}


@kind
def meter_swap(i):
    event = i.inner("event")
    swap = energy.Swap(
        event.num("old_final"), event.num("old_multiplier"), event.num("new_initial"), event.num("new_multiplier")
    )
    used = energy.swap_energy(i.inner("prev").num("register"), swap, i.inner("curr").num("register"))
    return {"energy_kwh": used, "volume_m3": tc_volume(i.num("tc"), used), "flags": ["METER_SWAP"]}


def tc_volume(tc, used):
    whole = Slice(used, ONE, date.min, ZERO, Sensed())
    return Fixed(tc=tc).convert(whole).volume_m3


@kind
def aux_load(i):
    net, flags = energy.without_aux(i.least0("energy_total_kwh"), i.num("dt_h"), i.num("aux_constant_kw"))
    return {"energy_pumping_kwh": net, "volume_m3": tc_volume(i.num("tc"), net), "flags": list(flags)}


@kind
def multi_pump_one_meter(i):
    pumps = i.inners("pumps")
    shares = [energy.RunShare(pump.num("run_h"), pump.num("kw")) for pump in pumps]
    parts, flags = energy.apportioned(i.least0("energy_total_kwh"), shares)
    volumes = [tc_volume(pump.num("tc"), part) for pump, part in zip(pumps, parts, strict=True)]
    return {"energy_split_kwh": list(parts), "volume_m3": sum(volumes, ZERO), "flags": list(flags)}


@kind
def reverse_energy(i):
    if i.raw("basis", "forward") != "forward":
        raise BadCase(f"basis: {i.raw('basis')!r} is not forward")
    factor = positive("multiplier", i.num("multiplier", 1))
    step = i.num("forward_curr") - i.num("forward_prev")
    if step < 0:
        raise BadCase("forward_curr: below forward_prev")
    flags = ["REVERSE_ENERGY"] if i.num("reverse_curr") > i.num("reverse_prev") else []
    return {"energy_kwh": step * factor, "volume_m3": tc_volume(i.num("tc"), step * factor), "flags": flags}


# Volume models and coefficients


@kind
def fixed_tc_volume(i):
    readings, factor = i.items("readings", 2), positive("multiplier", i.num("multiplier", 1))
    readings = [(moment("readings", at), number("readings", value)) for at, value in readings]
    if len(readings) < 2:
        raise BadCase(f"readings: {len(readings)}, 2 or more make an interval")
    pumps = energy.PumpSet(
        rated_kw=positive("rated_kw", i.num("rated_kw")),
        pump_on_fraction=i.least0("pump_on_fraction", energy.PUMP_ON_FRACTION),
    )
    total, pumped = ZERO, ZERO
    for (begin_ms, before), (end_ms, after) in pairwise(readings):
        if after < before:
            raise BadCase(f"readings: {after} is below {before}")
        used = (after - before) * factor
        total += used
        positive("Δt", Decimal(end_ms - begin_ms))
        pumped += energy.pumping(used, end_ms - begin_ms, pumps).energy_kwh
    return {
        "energy_total_kwh": total,
        "energy_pumping_kwh": pumped,
        "non_pumping_kwh": total - pumped,
        "volume_m3": tc_volume(i.num("tc"), pumped),
    }


@kind
def piecewise_tc_volume(i):
    begin_ms, end_ms = (moment("interval", at) for at in i.items("interval"))
    used = i.least0("energy_kwh")
    positive("interval", Decimal(end_ms - begin_ms))
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
            model=Fixed(tc=segment.num("tc")), u_rel=ZERO,
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
    drop_m3, drop_kwh = i.least0("drop_volume_m3_per_start"), i.num("drop_energy_kwh_per_start")
    used = positive("energy_kwh", i.num("energy_kwh"))
    volume, flags = two_phase_total(starts, drop_m3, drop_kwh, i.above0("tc_stable"), used)
    return {
        "volume_m3": volume,
        "tc_drop": ratio_of("drop_energy_kwh_per_start", drop_m3, drop_kwh),
        "tc_composite": volume / used,
        "flags": list(flags),
    }


@kind
def affine_head_volume(i):
    points = [(point.num("level_depth_m"), point.num("tc")) for point in i.inners("calibration")]
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
    factor = positive("multiplier", i.num("multiplier", 1))
    settled = boundary.settle_period(i.readings("readings"), bounds, factor=factor, max_bracket_ms=bracket_ms)
    return {
        "start_register": settled.start.value,
        "end_register": settled.end.value,
        "energy_kwh": settled.energy_kwh,
        "volume_m3": tc_volume(i.num("tc"), settled.energy_kwh),
        "boundary_method": settled.method,
        "flags": list(settled.flags),
        "boundary_offset_h": [settled.start.offset_h, settled.end.offset_h],
    }


# Calibration, statistics, uncertainty


@kind
def calibration_fit(i):
    runs = [fit.CalibrationRun(*run) for run in i.rows("runs_energy_kwh_volume_m3", 2)]
    fitted = fit.calibrate(runs, u_ref_rel=i.num("u_ref_rel"), mad_k=i.num("mad_k", None))
    return {
        "n_used": len(fitted.kept),
        "rejected_indices": list(fitted.rejected),
        "tc_ratio_of_sums": fitted.tc,
        "tc_mean_of_ratios": fitted.mean_ratio,
        "s_ratio": fitted.s_ratio,
        "cv_pct": fit.percent(fitted.cv),
        "u_a": fitted.u_a,
        "ci95_half_width": fitted.ci95,
        "u_combined": fitted.u_combined,
        "u_combined_rel_pct": fit.percent(fitted.u_combined_rel),
    }


@kind
def wls_fit(i):
    return fit.fit_weighted(i.rows("runs_energy_volume_u", 3))._asdict()


@kind
def sample_size(i):
    z = i.num("z")
    cv = region.implied_cv(i.whole("n"), i.num("rel_error"), z=z)
    return {"implied_cv": cv, "n_for_new_rel_error": region.wells_needed(cv, i.num("new_rel_error"), z=z)}


@kind
def regional_uncertainty(i):
    cv, n = i.num("between_well_cv"), i.whole("n_typical_wells")
    return {
        "u_rel_single_well_pct": fit.percent(region.single_well_rel(cv, n)),
        "u_rel_total_pct": fit.percent(region.total_rel(cv, n, Decimal(i.whole("m_wells_in_total")))),
    }


@kind
def aggregate_difference_interval(i):
    return {"interval_pct": list(region.coverage_interval(i.num("mean_pct"), i.num("sd_pct"), i.num("k", 2)))}


@kind
def uncertainty(i):
    used = positive("energy_kwh", i.num("energy_kwh"))
    volume = tc_volume(i.num("tc"), used)
    terms = terms_of(
        Share(
            coefficient="",
            meter="",
            volume_m3=volume,
            energy_kwh=used,
            u_tc=i.least0("u_tc_rel"),
            age_years=i.least0("age_years"),
            drift_per_year=i.least0("drift_per_year"),
            u_model=i.least0("u_model_rel", ZERO),
            class_pct=i.least0("meter_class_pct"),
            ct_class_pct=i.least0("ct_class_pct", ZERO),
            step_kwh=i.least0("register_lsb_kwh_primary"),
        )
    )
    listed = {name: fit.percent(value) for name, value in terms._asdict().items() if name != "model"}
    return {
        "volume_m3": volume,
        "u_rel_pct": fit.percent(terms.combined),
        "u_m3": volume * terms.combined,
        "U_k2_m3": COVERAGE * volume * terms.combined,
        "components_rel_pct": listed,
    }


# Reporting and quality


@kind
def upload_rate(i):
    rate = compliance.upload_rate(
        scheduled=i.whole("scheduled"), on_time=i.whole("unique_on_time"), late=i.whole("unique_late")
    )
    return {
        "on_time_rate_pct": rate.on_time_pct,
        "final_rate_pct": rate.final_pct,
        "meets_95_on_time": rate.meets_on_time,
        "meets_95_final": rate.meets_final,
    }


@kind
def permit_prewarn(i):
    return compliance.prewarning(
        permit_m3=i.num("permit_m3"),
        used_m3=i.num("ytd_m3"),
        mean_m3_per_day=i.num("trailing_30d_avg_m3_per_day"),
        days_left=i.num("days_left"),
        levels_pct=[int(level) for level in i.nums("levels_pct")],
    )._asdict()


@kind
def qc_rule(i):
    name = i.text("rule")
    if name not in RULES:
        raise BadCase(f"rule: {name!r} is not a known rule")
    return {"flags": [int(level) for level in RULES[name](i)]}


def huge_value(i):
    return series.huge_value(
        i.nums("hourly_volume_m3"),
        most_m3=i.num("q4_m3h"),  # in one hour
        suspect_factor=i.above0("suspect_factor", ONE),
        fail_factor=i.above0("fail_factor", Decimal("1.2")),
    )


def long_zero(i):
    return series.long_zero(
        i.nums("daily_volume_m3"),
        i.nums("daily_energy_kwh"),
        pump_on_kwh=i.least0("pump_on_kwh"),
        suspect_days=i.count("suspect_days", 30, least=1),
        fail_with_energy=i.truth("fail_with_energy", True),
    )


def frozen_flow(i):
    return series.frozen_flow(
        i.nums("flow_m3h"),
        eps_m3h=i.least0("eps", Decimal("0.001")),
        suspect_count=i.count("suspect_count", 4, least=1),
        fail_count=i.count("fail_count", 8, least=1),
        pump_running=i.truth("pump_running", True),
    )


def flow_total_consistency(i):
    return series.flow_total_consistency(
        i.nums("flow_m3h"),
        i.nums("total_m3"),
        duration_h=i.num("dt_h"),
        abs_tol_m3=i.least0("abs_tol_m3", Decimal("0.5")),
        rel_tol_suspect=i.least0("rel_tol_suspect", Decimal("0.10")),
        rel_tol_fail=i.least0("rel_tol_fail", Decimal("0.25")),
    )


RULES = {rule.__name__: rule for rule in (huge_value, long_zero, frozen_flow, flow_total_consistency)}


@exact
def evaluate(case) -> dict:
    """All outputs of the case's kind. Raises: BadCase, OutOfDomain, which name what is wrong."""
    name = case.get("kind")
    if name not in KINDS:
        raise BadCase(f"kind: {name!r} is not a known kind")
    return KINDS[name](Inputs(case.get("inputs")))


# Comparing


def agrees(expected, got, tol, key=""):
    """Whether a result lies within the case's tolerance of what is expected."""
    match expected:
        case dict():
            return isinstance(got, dict) and all(k in got and agrees(v, got[k], tol, k) for k, v in expected.items())
        case list():
            if not isinstance(got, list) or len(got) != len(expected):
                return False
            if key == "flags" and all(isinstance(word, str) for word in expected):
                return sorted(expected) == sorted(got)
            return all(agrees(want, have, tol, key) for want, have in zip(expected, got, strict=True))
        case None | bool() | str():
            return got == expected and isinstance(got, bool) == isinstance(expected, bool)
        case _:
            return (
                isinstance(got, int | float | Decimal) and not isinstance(got, bool) and near(expected, got, tol, key)
            )


def near(expected, got, tol, key):
    expected, got = number(key, expected), number(key, got)
    if key in EXACT_KEYS or key == "flags":
        return got == expected
    allowed = max(tol.get("abs", ZERO), tol.get("rel", ZERO) * abs(expected)) + ALWAYS_ALLOWED
    return abs(got - expected) <= allowed


def shown(value) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda decimal: round(float(decimal), 9))


def judge(case) -> tuple[bool, str]:
    """Whether the case holds, and its line."""
    tol = {name: number(f"tol.{name}", value) for name, value in (case.get("tol") or {}).items()}
    try:
        got = evaluate(case)
        ok = agrees(case["expected"], got, tol)
        result = shown({name: got.get(name) for name in case["expected"]})
    except (BadCase, ArithmeticError, LookupError, TypeError, ValueError) as error:
        ok, result = False, f"refused: {error}"
    tolerance = shown(case["tol"]) if case.get("tol") else "exact"
    verdict, expected = "ok" if ok else "FAIL", shown(case["expected"])
    return ok, f"{verdict:<4} {case['id']} {case['kind']}: {result}, expected {expected}, {tolerance}"


def read(path: Path) -> list[dict]:
    """The cases of a file. Raises: BrokenFile."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal, parse_constant=_no_constant)
    except (OSError, ValueError) as error:
        raise BrokenFile(f"{path}: {error}") from error
    cases = content.get("cases") if isinstance(content, dict) else None
    if not isinstance(cases, list):
        raise BrokenFile(f"{path}: no list of cases")
    for index, case in enumerate(cases):
        wanted = {"id": str, "kind": str, "inputs": dict, "expected": dict}
        if not isinstance(case, dict) or any(not isinstance(case.get(key), form) for key, form in wanted.items()):
            raise BrokenFile(f"{path}: case {index} has not all of id, kind, inputs, expected")
        _judge_tolerance(f"{path}: case {case['id']}", case.get("tol") or {})
    return cases


def _no_constant(name):
    raise ValueError(f"{name} is not a number")


def _judge_tolerance(place, tol):
    is_number = {name: isinstance(value, int | Decimal) and value >= 0 for name, value in tol.items()} if isinstance(
        tol, dict
    ) else {"tol": False}  # fmt: skip
    if not set(is_number) <= {"abs", "rel"} or not all(is_number.values()):
        raise BrokenFile(f"{place}: tol is not abs, rel or both, 0 or more")


def main(arguments: list[str]) -> int:
    """The exit status."""
    if len(arguments) != 1:
        print("usage: python -m tests.etw_cases FILE.json", file=sys.stderr)
        return 2
    try:
        cases = read(Path(arguments[0]))
    except BrokenFile as error:
        print(error, file=sys.stderr)
        return 2
    verdicts = [judge(case) for case in cases]
    for _, line in verdicts:
        print(line)
    failed = sum(not ok for ok, _ in verdicts)
    print(f"{len(cases)} cases, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
