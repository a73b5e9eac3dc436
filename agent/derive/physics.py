"""Head, energy, volume: the physics behind a coefficient, and the units of the published figures.

V = K·η·E/H with K = 3.6·10⁶/(ρ g). η is wire to water, 0…1; heads and levels in m; powers in kW; flows in m³/h.
"""

from __future__ import annotations

from decimal import Decimal

from agent.derive.exact import CONTEXT, ONE, ZERO, OutOfDomain, exact, positive

DENSITY_KG_M3 = Decimal(1000)
GRAVITY_M_S2 = Decimal("9.80665")  # standard gravity, ISO 80000-3
K_M3_M_PER_KWH = CONTEXT.divide(Decimal(3_600_000), DENSITY_KG_M3 * GRAVITY_M_S2)  # 367.0978
HEAD_M_PER_MPA = CONTEXT.divide(Decimal(1_000_000), DENSITY_KG_M3 * GRAVITY_M_S2)  # 101.9716
KPA_PER_MPA = Decimal(1000)
LITRE_PER_S_IN_M3H = Decimal("3.6")
US_GALLON_M3 = Decimal("0.003785411784")  # 231 cubic inches
GPM_IN_M3H = 60 * US_GALLON_M3
FOOT_M = Decimal("0.3048")
ACRE_FOOT_M3 = Decimal("1233.4818")
HORSEPOWER_KW = Decimal("0.745699872")
GPM_FOOT_PER_HORSEPOWER = Decimal(3960)  # the definition of a water horsepower in the published pump tests
_ML_M3 = Decimal(1000)  # a megalitre


def efficiency(name: str, eta: Decimal) -> Decimal:
    """The efficiency, which must lie in 0…1 without 0. Raises: OutOfDomain."""
    if not 0 < eta <= 1:
        raise OutOfDomain(name, eta, "above 0 and at most 1")
    return eta


@exact
def tc_from_head(eta: Decimal, head_m: Decimal) -> Decimal:
    """The coefficient of a set of this efficiency at this head, m³/kWh."""
    return K_M3_M_PER_KWH * efficiency("eta", eta) / positive("head_m", head_m)


@exact
def volume_from_head(energy_kwh: Decimal, eta: Decimal, head_m: Decimal) -> Decimal:
    """The volume lifted with this energy, m³."""
    return K_M3_M_PER_KWH * efficiency("eta", eta) * energy_kwh / positive("head_m", head_m)


@exact
def energy_to_lift(volume_m3: Decimal, eta: Decimal, head_m: Decimal) -> Decimal:
    """The energy that lifts this volume, kWh; with m³/h it is the power in kW."""
    return volume_m3 * head_m / (K_M3_M_PER_KWH * efficiency("eta", eta))


@exact
def eta_of(volume_m3: Decimal, head_m: Decimal, energy_kwh: Decimal) -> Decimal:
    """Wire-to-water efficiency from what was lifted with what; with m³/h and kW as well."""
    return volume_m3 * head_m / (K_M3_M_PER_KWH * positive("energy_kwh", energy_kwh))


@exact
def total_dynamic_head_m(
    *,
    level_depth_m: Decimal,
    drawdown_m: Decimal = ZERO,
    discharge_height_m: Decimal = ZERO,
    pressure_mpa: Decimal = ZERO,
    friction_m: Decimal = ZERO,
) -> Decimal:
    """Total dynamic head without the velocity head.

    `level_depth_m` is the pumping level, or the static one with its `drawdown_m`. With a gauge, `discharge_height_m` is
    the gauge's own height and `friction_m` only what lies between pump and gauge (§3.2).
    """
    return level_depth_m + drawdown_m + discharge_height_m + pressure_mpa * HEAD_M_PER_MPA + friction_m


@exact
def tc_from_rates(flow_m3h: Decimal, power_kw: Decimal) -> Decimal:
    """The coefficient from flow and power at one time, m³/kWh."""
    return flow_m3h / positive("power_kw", power_kw)


@exact
def specific_energy(tc: Decimal) -> Decimal:
    """Specific energy in kWh/m³ of a coefficient in m³/kWh, and the other way round."""
    return ONE / positive("tc", tc)


@exact
def kwh_per_ml_per_m(specific_energy_kwh_per_m3: Decimal, head_m: Decimal) -> Decimal:
    """Energy per megalitre and metre of head, kWh."""
    return _ML_M3 * specific_energy_kwh_per_m3 / positive("head_m", head_m)


@exact
def tc_from_pcc(pcc_kwh_per_acre_foot: Decimal) -> Decimal:
    """The coefficient of a power conversion coefficient in kWh per acre-foot, m³/kWh (§2)."""
    return ACRE_FOOT_M3 / positive("pcc_kwh_per_acre_foot", pcc_kwh_per_acre_foot)


@exact
def water_horsepower(flow_gpm: Decimal, head_ft: Decimal) -> Decimal:
    """The hydraulic power of the American pump tests, whp."""
    return flow_gpm * head_ft / GPM_FOOT_PER_HORSEPOWER
