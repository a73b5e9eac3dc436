"""What averages out over a period and what does not."""

from __future__ import annotations

from decimal import Decimal

from agent.derive.uncertainty import Share, Tally, seasonal_level_rel, terms_of, uncertainty_m3
from tests.agent.derive.sites import D

ONE = Share(
    coefficient="W7@4", meter="energy#0", volume_m3=D(7920), energy_kwh=D(3600), u_tc=D("0.03"), age_years=D("0.8"),
    drift_per_year=D("0.025"), u_model=D(0), class_pct=D(1), ct_class_pct=D("0.5"), step_kwh=D("0.2"),
)  # fmt: skip


def near(found, wanted, tolerance="0.01"):
    return abs(found - D(str(wanted))) <= D(tolerance)


def test_a_seasonal_range_counts_double_when_calibrated_at_its_end():
    """12 m at 40 m: 30 %; evenly spread within ±15 % from the middle, 8.66 %."""
    assert near(seasonal_level_rel(D(12), D(40), calibrated_at_end=False), "0.086603", "0.000001")
    assert near(seasonal_level_rel(D(12), D(40), calibrated_at_end=True), "0.173205", "0.000001")


def test_one_share_has_the_uncertainty_of_the_formula():
    assert near(uncertainty_m3([ONE]), "259.67")  # worked example 5 of the sheet
    assert near(uncertainty_m3([ONE]), terms_of(ONE).combined * 7920, "1e-9")


def test_more_intervals_of_one_coefficient_and_meter_do_not_shrink_it():
    hundred = [ONE._replace(volume_m3=ONE.volume_m3 / 100, energy_kwh=ONE.energy_kwh / 100)] * 100
    assert near(uncertainty_m3(hundred), uncertainty_m3([ONE]), "1e-9")


def test_register_steps_telescope_to_the_two_end_readings():
    coarse = ONE._replace(
        u_tc=D(0), class_pct=D(0), ct_class_pct=D(0), drift_per_year=D(0), step_kwh=D(6).sqrt(),
        volume_m3=D(20), energy_kwh=D(10),
    )  # fmt: skip
    assert near(uncertainty_m3([coarse] * 50), 2, "1e-9")  # 1 kWh at 2 m³/kWh, whatever the number of intervals


def test_independent_calibrations_add_in_quadrature_and_a_shared_meter_linearly():
    one = ONE._replace(
        volume_m3=D(100), energy_kwh=D(50), class_pct=D(0), ct_class_pct=D(0), step_kwh=D(0), age_years=D(0)
    )
    other = one._replace(coefficient="W7@5")
    assert near(uncertainty_m3([one, other]), D(18).sqrt(), "1e-9")
    shared = [share._replace(u_tc=D(0), class_pct=D(3).sqrt()) for share in (one, other)]
    assert near(uncertainty_m3(shared), 2, "1e-9")
    two_meters = [shared[0], shared[1]._replace(meter="energy#1")]
    assert near(uncertainty_m3(two_meters), D(2).sqrt(), "1e-9")


def test_a_shared_reference_meter_adds_linearly():
    one = ONE._replace(
        volume_m3=D(100), class_pct=D(0), ct_class_pct=D(0), step_kwh=D(0), age_years=D(0),
        u_tc=D("0.05"), reference="UF-12", u_reference=D("0.04"),
    )  # fmt: skip
    other = one._replace(coefficient="W8@1", meter="energy-8#0")
    # own parts 3 and 3 in quadrature, shared 4 + 4
    assert near(uncertainty_m3([one, other]), (D(18) + 64).sqrt(), "1e-9")


def test_age_counts_by_the_water_it_stands_for():
    young, old = ONE._replace(age_years=D(0)), ONE._replace(age_years=D("1.6"))
    assert near(uncertainty_m3([young, old]), uncertainty_m3([ONE, ONE]), "1e-9")


def test_a_share_without_energy_adds_nothing():
    tally = Tally()
    tally.add(ONE._replace(volume_m3=D(0), energy_kwh=D(0)))
    assert tally.uncertainty_m3() == 0
    tally.add(ONE)
    assert tally.uncertainty_m3() == uncertainty_m3([ONE])
    assert (tally.volume_m3, tally.energy_kwh) == (Decimal(7920), Decimal(3600))
