"""Reporting and quality: the kinds of their section of the format."""

from __future__ import annotations

from decimal import Decimal

from agent.derive.exact import ONE
from agent.rules import compliance, series
from tests.etw.inputs import BadCase, kind


@kind
def upload_rate(i):
    rate = compliance.upload_rate(
        scheduled=i.count("scheduled", least=1), on_time=i.count("unique_on_time"), late=i.count("unique_late")
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
        permit_m3=i.above0("permit_m3"),
        used_m3=i.num("ytd_m3"),
        mean_m3_per_day=i.num("trailing_30d_avg_m3_per_day"),
        days_left=i.least0("days_left"),
        levels_pct=i.wholes("levels_pct"),
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
        most_m3=i.above0("q4_m3h"),  # in one hour
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
        duration_h=i.above0("dt_h"),
        abs_tol_m3=i.least0("abs_tol_m3", Decimal("0.5")),
        rel_tol_suspect=i.least0("rel_tol_suspect", Decimal("0.10")),
        rel_tol_fail=i.least0("rel_tol_fail", Decimal("0.25")),
    )


RULES = {rule.__name__: rule for rule in (huge_value, long_zero, frozen_flow, flow_total_consistency)}
