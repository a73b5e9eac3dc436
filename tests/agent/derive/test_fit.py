"""Calibration: what the runs say, why they may not do, and the statistics behind both."""

from __future__ import annotations

import pytest

from agent.derive.exact import OutOfDomain
from agent.derive.fit import (
    CalibrationRun,
    Objection,
    calibrate,
    fit_level,
    fit_weighted,
    intercept_remark,
    judged,
    outliers,
    with_reference,
)
from agent.derive.region import effective_wells, single_well_rel, total_rel, wells_needed, wells_needed_unknown_cv
from agent.derive.student import quantile_975
from tests.agent.derive.sites import D

GOOD = [("12.4", "27.52"), ("12.65", "27.9"), ("12.3", "27.41"), ("12.55", "27.66"), ("12.48", "27.75")]


def runs(*pairs, minutes=45):
    return [CalibrationRun(D(str(energy)), D(str(volume)), D(minutes)) for energy, volume in pairs]


STEP_KWH = D("0.01")
REFERENCE = D("0.01")


def objections(given, *, u_ref=REFERENCE):
    fitted = calibrate(given, u_ref_rel=u_ref)
    return {finding.objection: finding for finding in judged(given, fitted, u_ref_rel=u_ref, step_kwh=STEP_KWH)}


@pytest.mark.parametrize(
    ("degrees", "t"),  # published tables, three decimals
    [
        (1, "12.706"),
        (2, "4.303"),
        (3, "3.182"),
        (4, "2.776"),
        (5, "2.571"),
        (9, "2.262"),
        (30, "2.042"),
        (120, "1.980"),
    ],
)
def test_students_t_is_that_of_the_tables(degrees, t):
    assert abs(quantile_975(degrees) - D(t)) <= D("0.0005")


def test_good_runs_are_accepted_without_a_word():
    assert objections(runs(*GOOD)) == {}


def test_the_record_of_few_runs_carries_half_the_95_percent_interval():
    fitted = calibrate(runs(*GOOD), u_ref_rel=D("0.01"))
    # t(4)·s/√5/2 = 0.0067816 with the reference's 0.0221609: 0.023175 of 2.216095
    assert abs(fitted.u_rel - D("0.0104577")) < D("0.000001")
    assert fitted.u_rel > fitted.u_combined_rel
    many = calibrate(runs(*(GOOD * 2)), u_ref_rel=D("0.01"))
    assert many.u_rel == many.u_combined_rel


def test_two_runs_are_too_few():
    found = objections(runs(*GOOD[:2]))[Objection.TOO_FEW_RUNS]
    assert (found.found, found.limit, found.refuses) == (2, 3, True)


def test_one_run_has_no_scatter():
    with pytest.raises(OutOfDomain):
        calibrate(runs(GOOD[0]), u_ref_rel=D("0.01"))


@pytest.mark.parametrize(("energy", "volume"), [(0, 1), (1, 0), (-1, 1)])
def test_a_run_without_energy_or_water_is_refused(energy, volume):
    with pytest.raises(OutOfDomain):
        calibrate(runs(*GOOD, (energy, volume)), u_ref_rel=D("0.01"))


def test_a_short_run_is_named():
    given = [*runs(*GOOD[:4]), *runs(GOOD[4], minutes=29)]
    assert objections(given)[Objection.RUN_TOO_SHORT].runs == (4,)


def test_a_run_of_few_register_steps_is_named():
    found = objections(runs(*GOOD, ("1.99", "4.41")))[Objection.ENERGY_TOO_SMALL]
    assert (found.found, found.limit, found.runs) == (D("1.99"), 2, (5,))


def test_scatter_and_range_have_their_limits():
    wide = objections(runs((10, 20), (10, 21), (10, "20.5"), (10, "19.9")))
    assert Objection.SCATTER_TOO_WIDE not in wide
    assert Objection.RANGE_TOO_WIDE in wide  # 1.1 of 20.35 is 5.4 %
    wider = objections(runs((10, 20), (10, 22), (10, "20.5"), (10, "19")))
    assert Objection.SCATTER_TOO_WIDE in wider


def test_a_poor_reference_is_refused():
    assert Objection.REFERENCE_TOO_UNCERTAIN in objections(runs(*GOOD), u_ref=D("0.0101"))


def test_outliers_are_dropped_farthest_first_one_in_five_and_the_rest_refuses():
    ratios = [D(r) for r in ("2.00", "2.01", "1.99", "2.00", "2.01", "2.40", "2.20", "1.99", "2.00")]
    assert outliers(ratios, D("3.5")) == ((5,), (6,))
    given = runs(*((10, ratio * 10) for ratio in ratios))
    fitted = calibrate(given, u_ref_rel=D("0.01"))
    assert fitted.rejected == (5,)
    assert objections(given)[Objection.OUTLIERS_REMAIN].runs == (6,)


def test_fewer_than_five_runs_drop_none():
    assert outliers([D(2), D("2.001"), D("1.999"), D(3)], D("3.5")) == ((), (3,))


def test_an_intercept_beyond_its_error_is_remarked():
    """V = 3 + 2·E: more water at the start. V = −3 + 2·E: standby or pipe filling."""
    noise = [D("0.01"), D("-0.01"), D("0.01"), D("-0.01"), D(0)]
    energies = [D(n) for n in (10, 20, 30, 40, 50)]
    above = [CalibrationRun(e, 3 + 2 * e + n) for e, n in zip(energies, noise, strict=True)]
    below = [CalibrationRun(e, -3 + 2 * e + n) for e, n in zip(energies, noise, strict=True)]
    through = [CalibrationRun(e, 2 * e + n) for e, n in zip(energies, noise, strict=True)]
    assert intercept_remark(above).objection is Objection.DRAWDOWN
    assert intercept_remark(below).objection is Objection.STANDBY_OR_FILLING
    assert not intercept_remark(below).refuses
    assert intercept_remark(through) is None
    assert intercept_remark([CalibrationRun(e, 2 * e) for e in energies]) is None


def test_a_level_fit_is_linear_in_specific_energy_and_implies_an_efficiency():
    """E = (depth + 5) / (K·0.55) lies on the line exactly."""
    k = D("367.0978")
    points = [(D(depth), k * D("0.55") / (depth + 5)) for depth in (28, 33, 40)]
    fitted = fit_level(points)
    assert abs(fitted.eta - D("0.55")) < D("0.0001")
    assert fitted.remarks == ()
    assert fitted.model.depths == (28, 40)
    assert abs(fitted.model.specific_energy(D(34)) - 39 / (k * D("0.55"))) < D("1e-12")


@pytest.mark.parametrize("tcs", [("2.6", "2.59"), ("2.0", "2.6")])
def test_a_slope_that_no_pump_has_is_remarked(tcs):
    fitted = fit_level([(D(28), D(tcs[0])), (D(40), D(tcs[1]))])
    assert fitted.remarks[0].objection is Objection.ETA_DOUBTFUL
    assert fitted.u_rel is None


def test_the_references_error_is_added_once_after_a_weighted_fit():
    fitted = fit_weighted([(D(10), D("21.8"), D("0.4")), (D(20), D("43.1"), D("0.6"))])
    assert with_reference(D(3), D("0.4"), D(10)) == 5
    assert fitted.u_reported >= fitted.u_internal


@pytest.mark.parametrize(
    ("cv", "needed"),  # the sheet's table for 5, 10, 15 and 20 %
    [("0.15", (35, 9, 4, 3)), ("0.20", (62, 16, 7, 4)), ("0.30", (139, 35, 16, 9)), ("0.40", (246, 62, 28, 16))],
)
def test_typical_wells_are_as_many_as_the_table_says(cv, needed):
    assert tuple(wells_needed(D(cv), D(e)) for e in ("0.05", "0.10", "0.15", "0.20")) == needed


@pytest.mark.parametrize(("known", "unknown", "cv", "error"), [
    (4, 7, "0.15", "0.15"), (9, 12, "0.30", "0.20"), (16, 18, "0.20", "0.10"), (28, 30, "0.40", "0.15"),
])  # fmt: skip
def test_wells_of_unknown_scatter_must_be_more(known, unknown, cv, error):
    assert wells_needed(D(cv), D(error)) == known
    assert wells_needed_unknown_cv(D(cv), D(error)) == unknown


def test_a_small_stratum_needs_fewer_wells():
    assert wells_needed(D("0.3"), D("0.1"), stratum=40) == 19  # 34.57 / (1 + 33.57/40)


def test_wells_of_unequal_energy_count_like_fewer():
    assert effective_wells([D(1)] * 10) == 10
    assert abs(effective_wells([D(10), D(1), D(1)]) - D(144) / D(102)) < D("1e-9")
    assert total_rel(D("0.3"), 20, D(60)) < single_well_rel(D("0.3"), 20)
