"""Runs made from known wells give those wells back; runs that are not good enough are refused with every reason.

Expected values: the worked examples and rules of the sheet on water from electricity (its sections 3.3, 6, 7, 9.4, 11).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from agent.calibration.drafting import Naming, drafted, rounded
from agent.calibration.fitting import MODELS, fitted
from agent.calibration.remarks import Reference
from agent.calibration.report import as_html
from agent.calibration.result import Fit, NotFitted, Site
from agent.calibration.runs import Table, table_of
from agent.calibration.telling import lines_of, told
from agent.derive.models import AffineLevel, Curve, Dated, Fixed, Physical, Regional, TwoPhase
from agent.derive.physics import K_M3_M_PER_KWH
from agent.derive.records import coefficient_from, record_of
from agent.messages import LANGUAGES, Messages

CERTIFIED = Reference(u_rel=Decimal("0.01"), name="DN100", certificate="LL-1", valid_until=date(2027, 3, 1))
HEADS = (Decimal(30), Decimal(45))
NEAR = Decimal("1e-9")


def site(**more: Any) -> Site:
    return Site(**{"reference": CERTIFIED, "step_kwh": Decimal("0.01"), "heads": HEADS, **more})


def table(columns: str, *rows: str) -> Table:
    dated = (f"2026-05-{at:02} 08:00,2026-05-{at:02} 09:30,{row}" for at, row in enumerate(rows, 1))
    return table_of("\n".join([f"start,end,{columns}", *dated]).encode(), "runs.csv")


def codes(fit: Fit, *, refusing: bool = True) -> set[str]:
    return {each.code for each in fit.remarks if each.refuses is refusing}


GOOD = ("20,44.1,31", "20,43.9,31", "20,44.0,31", "20,44.2,31", "20,43.8,31")


def test_the_coefficient_is_the_ratio_of_sums_with_students_interval() -> None:
    fit = fitted("fixed", table("energy_kwh,volume_m3,depth_m", *GOOD), site())
    assert isinstance(fit.model, Fixed)
    assert fit.model.tc == Decimal("2.2")
    assert fit.is_accepted
    (group,) = fit.groups
    s = (Decimal("0.00025") / 4).sqrt()  # ratios 2.205, 2.195, 2.2, 2.21, 2.19
    assert abs(group.result.s_ratio - s) < NEAR
    half = Decimal("2.776445105") * s / Decimal(5).sqrt()  # t(0.975, 4)
    assert abs(group.result.ci95 - half) < NEAR
    few = half / 2 / Decimal("2.2")
    assert abs(fit.u_rel - (few * few + Decimal("0.0001")).sqrt()) < NEAR


def test_an_outlier_is_dropped_and_named_and_a_second_one_refuses() -> None:
    fit = fitted("fixed", table("energy_kwh,volume_m3,depth_m", *GOOD, "20,40,31"), site())
    assert [fit.runs[at].label for at in fit.rejected] == ["6"]
    assert fit.is_accepted
    worse = fitted("fixed", table("energy_kwh,volume_m3,depth_m", *GOOD, "20,40,31", "20,39,31"), site())
    assert [worse.runs[at].label for at in worse.rejected] == ["7"]
    assert "OUTLIERS_REMAIN" in codes(worse)
    (remark,) = (each for each in worse.remarks if each.code == "OUTLIERS_REMAIN")
    assert [worse.runs[at].label for at in remark.runs] == ["6"]


@pytest.mark.parametrize(
    ("rows", "more", "code"),
    [
        (("20,44,31", "20,44.1,31"), {}, "TOO_FEW_RUNS"),
        (("1.9,4.2,31", "1.9,4.19,31", "1.9,4.2,31"), {}, "ENERGY_TOO_SMALL"),  # 200 steps of 0.01 kWh are 2 kWh
        (("20,44,31", "20,47,31", "20,41,31"), {}, "SCATTER_TOO_WIDE"),
        (("20,42.7,31", "20,43.3,31", "20,44,31", "20,44.6,31", "20,45.2,31"), {}, "RANGE_TOO_WIDE"),
        (GOOD, {"reference": Reference(u_rel=Decimal("0.011"), certificate="x", valid_until=date(2027, 1, 1))},
         "REFERENCE_TOO_UNCERTAIN"),
        (GOOD, {"reference": Reference(u_rel=Decimal("0.01"))}, "NO_CERTIFICATE"),
        (GOOD, {"reference": Reference(u_rel=Decimal("0.01"), certificate="x")}, "CERTIFICATE_UNDATED"),
        (GOOD, {"reference": Reference(u_rel=Decimal("0.01"), certificate="x", valid_until=date(2026, 5, 4))},
         "CERTIFICATE_EXPIRED"),
        (GOOD, {"heads": (Decimal(3), Decimal(5))}, "HEAD_REFUSED"),  # 0.15·K/5 = 11
    ],
)  # fmt: skip
def test_runs_that_are_not_good_enough_are_refused(rows: tuple[str, ...], more: dict[str, Any], code: str) -> None:
    fit = fitted("fixed", table("energy_kwh,volume_m3,depth_m", *rows), site(**more))
    assert code in codes(fit)
    assert not fit.is_accepted


def test_a_run_has_to_last_half_an_hour_and_to_say_so() -> None:
    short = table_of(b"minutes,energy_kwh,volume_m3\n29,20,44\n31,20,44\n31,20,44\n", "runs.csv")
    assert "RUN_TOO_SHORT" in codes(fitted("fixed", short, site()))
    unsaid = table_of(b"energy_kwh,volume_m3\n20,44\n20,44\n20,44\n", "runs.csv")
    assert "DURATION_UNKNOWN" in codes(fitted("fixed", unsaid, site()))


def test_what_should_be_looked_at_refuses_nothing() -> None:
    rows = ("10,27,14", "20,49,14", "30,71,14", "40,93,14")  # V = 5 + 2.2·E: scatter, and an intercept
    fit = fitted("fixed", table("energy_kwh,volume_m3,power_kw", *rows), site(heads=None))
    assert {"DRAWDOWN", "LEVEL_UNKNOWN", "POWER_DIFFERS", "HEADS_UNKNOWN"} <= codes(fit, refusing=False)


def test_one_over_tc_is_a_line_over_depth() -> None:
    """Tc 2.60 at 28 m and 2.00 at 40 m: e = 0.44231 at 34 m, Tc = 2.2609 (section 11, example 3)."""
    rows = ("20,52,28", "20,52,28", "20,40,40", "20,40,40")
    fit = fitted("affine_level", table("energy_kwh,volume_m3,depth_m", *rows), site())
    assert isinstance(fit.model, AffineLevel)
    assert abs(fit.model.specific_energy(Decimal(34)) - Decimal("0.442307692")) < NEAR
    assert fit.depths == (28, 40)
    assert fit.is_accepted
    assert abs(fit.eta - 1 / (fit.model.b * K_M3_M_PER_KWH)) < NEAR  # type: ignore[operator]
    assert not fitted("fixed", table("energy_kwh,volume_m3,depth_m", *rows), site()).is_accepted


def test_scatter_that_follows_the_level_says_so() -> None:
    rows = ("20,52,28", "20,51.9,28.1", "20,40,40", "20,40.1,39.9")
    fit = fitted("fixed", table("energy_kwh,volume_m3,depth_m", *rows), site())
    assert "TRY_LEVEL" in codes(fit, refusing=False)


def test_levels_too_close_for_their_scatter_make_no_line() -> None:
    rows = ("20,44,31", "20,44.3,31.1", "20,43.8,31.1", "20,44.2,31.2")
    assert "SLOPE_UNPROVEN" in codes(fitted("affine_level", table("energy_kwh,volume_m3,depth_m", *rows), site()))
    with pytest.raises(NotFitted, match="ONE_LEVEL"):
        fitted("affine_level", table("energy_kwh,volume_m3,depth_m", "20,44,31", "20,44,31", "20,44,31"), site())


def test_each_start_has_its_own_volume() -> None:
    """22 m³ and 8 kWh each, then 2.20 (section 11, example 4)."""
    columns = "energy_kwh,volume_m3,drop_energy_kwh,drop_volume_m3"
    rows = ("30,70.4,8,22", "40,92.4,8,22", "50,114.4,8,22")
    fit = fitted("two_phase", table(columns, *rows), site())
    assert isinstance(fit.model, TwoPhase)
    assert (fit.model.drop_volume_m3, fit.model.drop_energy_kwh, fit.model.tc_stable) == (22, 8, Decimal("2.2"))
    upside_down = ("30,60.4,8,12", "40,82.4,8,12", "50,104.4,8,12")  # 1.5 while falling, below the stable 2.2
    assert "DROP_BELOW_STABLE" in codes(fitted("two_phase", table(columns, *upside_down), site()))
    with pytest.raises(NotFitted, match="DROP"):
        fitted("two_phase", table(columns, "30,70.4,8,22", "40,92.4,41,22", "50,114.4,8,22"), site())


def test_the_efficiency_follows_from_every_runs_own_head() -> None:
    rows = []
    for depth, pressure in ((28, "0.1"), (35, "0.2"), (40, "0.15")):
        head = depth + 1 + Decimal(pressure) * Decimal("101.9716213")
        rows.append(f"20,{(K_M3_M_PER_KWH * Decimal('0.55') * 20 / head):.6f},{depth},{pressure}")
    more = site(discharge_height_m=Decimal(1))
    fit = fitted("physical", table("energy_kwh,volume_m3,depth_m,pressure_mpa", *rows), more)
    assert isinstance(fit.model, Physical)
    assert fit.model.has_gauge
    assert abs(fit.model.eta - Decimal("0.55")) < Decimal("1e-6")
    twice = [row.replace("20,", "5,", 1) for row in rows]
    assert "ETA_IMPOSSIBLE" in codes(
        fitted("physical", table("energy_kwh,volume_m3,depth_m,pressure_mpa", *twice), more)
    )


def test_seasons_and_operating_points_are_calibrations_of_their_own() -> None:
    rows = ("20,44,05-01", "20,44.1,05-01", "20,43.9,05-01", "20,40,09-01", "20,40.1,09-01", "20,39.9,09-01")
    dated = fitted("dated", table("energy_kwh,volume_m3,season", *rows), site())
    assert isinstance(dated.model, Dated)
    assert dated.model.steps == (((5, 1), Decimal("2.2")), ((9, 1), Decimal(2)))
    assert dated.is_accepted
    points = ("20,44,30", "20,44.1,30.2", "20,43.9,30", "20,50,40", "20,50.1,40", "20,49.9,40")
    curve = fitted("curve", table("energy_kwh,volume_m3,frequency_hz", *points), site(curve="tc_by_frequency"))
    assert isinstance(curve.model, Curve)
    assert [y for _, y in curve.model.points] == [Decimal("2.2"), Decimal("2.5")]


def test_a_stratum_is_the_ratio_of_sums_and_worth_what_its_wells_scatter() -> None:
    """Equal wells: u = CV·√(1 + 1/n) for one more (section 7), with t(0.975, 3)/2 for so few."""
    text = b"well,energy_kwh,volume_m3\nA,60,120\nA,40,100\nB,100,180\nC,100,260\nD,100,240\n"
    fit = fitted("regional", table_of(text, "wells.csv"), site(reference=Reference(u_rel=Decimal(0))))
    assert isinstance(fit.model, Regional)
    assert fit.model.tc == Decimal("2.25")
    assert [run.label for run in fit.runs] == ["A", "B", "C", "D"]
    cv = fit.groups[0].result.cv
    expected = Decimal("3.182446305") / 2 * cv * Decimal("1.25").sqrt()
    assert abs(fit.u_rel - expected) < NEAR
    many = fitted(
        "regional", table_of(text, "wells.csv"), site(reference=Reference(u_rel=Decimal(0)), wells=Decimal(20))
    )
    assert many.u_rel < fit.u_rel
    assert "WELLS_ALIKE" not in {remark.code for remark in fit.remarks}
    with pytest.raises(NotFitted, match="FEW_WELLS"):
        fitted("regional", table_of(b"well,energy_kwh,volume_m3\nA,60,120\nB,40,100\n", "wells.csv"), site())


def test_runs_without_a_well_are_no_stratum() -> None:
    """Five runs at one well say nothing of how wells differ."""
    with pytest.raises(NotFitted, match="COLUMN"):
        fitted("regional", table_of(b"energy_kwh,volume_m3\n60,120\n40,100\n50,90\n", "runs.csv"), site())


def test_few_wells_that_are_alike_prove_no_more_than_the_tier() -> None:
    """Tier D, section 9.4: u = 20 % (k = 1) at one untested well, at best; for a total of m wells in proportion."""
    rows = "".join(f"W{at},100,{200 + at % 3}\n" for at in range(12))
    text = f"well,energy_kwh,volume_m3\n{rows}".encode()
    exactly = site(reference=Reference(u_rel=Decimal(0)))
    fit = fitted("regional", table_of(text, "wells.csv"), exactly)
    assert abs(fit.u_rel - Decimal("0.2")) < NEAR
    (remark,) = (each for each in fit.remarks if each.code == "WELLS_ALIKE")
    assert remark.limit == "0.20"
    five = fitted("regional", table_of(text, "wells.csv"), replace(exactly, wells=Decimal(5)))
    m, n = Decimal(5), Decimal(12)
    assert abs(five.u_rel - Decimal("0.2") * ((1 / m + 1 / n) / (1 + 1 / n)).sqrt()) < NEAR
    thirty = text + "".join(f"V{at},100,{200 + at % 3}\n" for at in range(18)).encode()
    assert fitted("regional", table_of(thirty, "wells.csv"), exactly).u_rel < Decimal("0.01")


def test_uncertainties_of_the_runs_own_weigh_them() -> None:
    rows = ("20,44.1,0.2", "20,43.9,0.2", "20,44.0,0.2", "40,88.4,0.4")
    fit = fitted("fixed", table("energy_kwh,volume_m3,u_m3", *rows), site())
    assert fit.weighted is not None
    weights = [(Decimal(20), Decimal("44.1"), Decimal("0.2")), (Decimal(20), Decimal("43.9"), Decimal("0.2")),
               (Decimal(20), Decimal(44), Decimal("0.2")), (Decimal(40), Decimal("88.4"), Decimal("0.4"))]  # fmt: skip
    top = sum(e * v / u**2 for e, v, u in weights)
    bottom = sum(e * e / u**2 for e, _, u in weights)
    assert abs(fit.weighted.tc - top / bottom) < NEAR


TABLES = {
    "fixed": ("energy_kwh,volume_m3,depth_m", GOOD),
    "dated": ("energy_kwh,volume_m3,season", ("20,44,05-01", "20,44.1,05-01", "20,43.9,05-01")),
    "two_phase": ("energy_kwh,volume_m3,drop_energy_kwh,drop_volume_m3",
                  ("30,70.4,8,22", "40,92.5,8,22", "50,114.3,8,22")),
    "affine_level": ("energy_kwh,volume_m3,depth_m", ("20,52,28", "20,52.1,28", "20,40,40", "20,40.1,40")),
    "physical": ("energy_kwh,volume_m3,depth_m", ("20,100,31", "20,99.8,31", "20,100.2,31")),
    "curve": ("energy_kwh,volume_m3,power_kw", ("20,44,13", "20,44.1,13", "20,43.9,13", "22,50,15", "22,50.1,15",
                                                "22,49.9,15")),
    "regional": ("energy_kwh,volume_m3,well", ("20,44,A", "20,46,B", "20,42,C")),
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_every_model_becomes_a_record_a_page_and_a_text_in_both_languages(model: str) -> None:
    columns, rows = TABLES[model]
    found = table(columns, *rows)
    fit = fitted(model, found, site(heads=(Decimal(30), Decimal(60))))
    record = drafted(fit, site(), Naming(id="W7", well_code="W", delivery_mode="drip", valid_from=date(2026, 5, 14)))
    assert coefficient_from(record_of(record)) == record
    assert record.u_rel >= fit.u_rel
    assert record.basis.u_reference <= record.u_rel
    assert record.valid_to == date(2027, 5, 14)
    for lang in LANGUAGES:
        messages = Messages(lang)
        page = as_html(fit, found, {"well": "W<7>"}, messages)
        assert page.count("<circle") == len(fit.kept)
        assert "W&lt;7&gt;" in page
        assert "calibration." not in page
        assert not any("calibration." in line for line in lines_of(fit, found, messages))
    plain = told(fit, found, site(), record, Messages("en"))
    assert plain["accepted"] == fit.is_accepted
    assert len(plain["runs"]) == len(fit.runs)


def test_a_number_is_rounded_to_its_significant_digits_without_exponent() -> None:
    numbers = {"2.19945627": "2.19946", "0.000123456789": "0.000123457", "123456789": "123457000", "0": "0"}
    assert {text: f"{rounded(Decimal(text)):f}" for text in numbers} == numbers
    assert all(a != b for a, b in pairwise(numbers.values()))
