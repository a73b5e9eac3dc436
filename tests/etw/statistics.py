"""Calibration, statistics, uncertainty: the kinds of their section of the format."""

from __future__ import annotations

from decimal import Decimal

from agent.derive import fit, region
from agent.derive.exact import ZERO
from agent.derive.uncertainty import COVERAGE, Share, terms_of
from tests.etw.inputs import kind, tc_volume


@kind
def calibration_fit(i):
    runs = [fit.CalibrationRun(*run) for run in i.rows("runs_energy_kwh_volume_m3", 2)]
    fitted = fit.calibrate(runs, u_ref_rel=i.least0("u_ref_rel"), mad_k=i.num("mad_k", None))
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
    z = i.above0("z")
    cv = region.implied_cv(i.count("n", least=1), i.above0("rel_error"), z=z)
    return {"implied_cv": cv, "n_for_new_rel_error": region.wells_needed(cv, i.above0("new_rel_error"), z=z)}


@kind
def regional_uncertainty(i):
    cv, n = i.least0("between_well_cv"), i.count("n_typical_wells", least=1)
    return {
        "u_rel_single_well_pct": fit.percent(region.single_well_rel(cv, n)),
        "u_rel_total_pct": fit.percent(region.total_rel(cv, n, Decimal(i.count("m_wells_in_total", least=1)))),
    }


@kind
def aggregate_difference_interval(i):
    return {"interval_pct": list(region.coverage_interval(i.num("mean_pct"), i.least0("sd_pct"), i.least0("k", 2)))}


@kind
def uncertainty(i):
    used = i.above0("energy_kwh")
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
