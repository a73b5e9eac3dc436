"""Conversion and physics: the kinds of their section of the format."""

from __future__ import annotations

from agent.derive import physics
from agent.derive.exact import ZERO, positive
from tests.etw.inputs import kind


@kind
def unit_conversion_pcc(i):
    return {"tc_m3_per_kwh": [physics.tc_from_pcc(pcc) for pcc in i.nums("pcc_kwh_per_acre_foot")]}


@kind
def tc_from_rates(i):
    flow_m3h = physics.LITRE_PER_S_IN_M3H * i.above0("flow_l_per_s")
    head_m = i.above0("tdh_m")
    tc = physics.tc_from_rates(flow_m3h, i.above0("power_kw"))
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
    eta = i.share("eta_overall")
    return {
        "energy_kwh": physics.energy_to_lift(i.least0("mass_tonnes"), eta, i.least0("lift_m")),  # 1 t is 1 m³
        "tc_m3_per_kwh_at_reference_head": physics.tc_from_head(eta, i.above0("reference_head_m")),
    }


@kind
def power_from_flow_head(i):
    flow_m3h = physics.GPM_IN_M3H * i.above0("flow_gpm")
    power = physics.energy_to_lift(flow_m3h, pump_and_motor(i), physics.FOOT_M * i.above0("tdh_ft"))
    return {"power_kw": power, "tc_m3_per_kwh": physics.tc_from_rates(flow_m3h, power)}


def pump_and_motor(i):
    return i.share("pump_eff") * i.share("motor_eff")


@kind
def physical_constant(i):
    eta, head_ft, constant = (
        pump_and_motor(i),
        i.above0("tdh_ft"),
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
    ope_pct, head_ft = i.above0("ope_pct"), i.above0("tdh_ft")
    pcc = i.above0("source_constant") * head_ft / ope_pct
    eta = physics.efficiency("ope_pct / 100", ope_pct / 100)
    return {
        "pcc_kwh_per_acre_foot": pcc,
        "tc_m3_per_kwh_source_constant": physics.tc_from_pcc(pcc),
        "tc_m3_per_kwh_physical": physics.tc_from_head(eta, head_ft * physics.FOOT_M),
    }


@kind
def physical_from_published_pump(i):
    volume = physics.GPM_IN_M3H * i.least0("flow_gpm") * i.least0("run_hours")
    head_m, used = i.above0("tdh_ft") * physics.FOOT_M, i.above0("energy_kwh")
    return {
        "volume_m3_from_flow": volume,
        "tc_m3_per_kwh": volume / used,
        "volume_m3_physical": physics.volume_from_head(used, i.share("eta_overall"), head_m),
        "eta_back_calculated": physics.eta_of(volume, head_m, used),
    }


@kind
def performance_criterion(i):
    eta = physics.efficiency("whp_h_per_kwh in kW/kW", i.num("whp_h_per_kwh") * physics.HORSEPOWER_KW)
    return {"eta_overall": eta, "tc_m3_per_kwh": physics.tc_from_head(eta, i.above0("tdh_m"))}


@kind
def performance_from_field_data(i):
    head_ft = i.num("lift_ft") + i.least0("discharge_psi") * i.above0("ft_per_psi")
    flow_gpm = i.above0("flow_gpm")
    whp = physics.water_horsepower(flow_gpm, positive("lift_ft + discharge_psi × ft_per_psi", head_ft))
    power = whp / i.above0("whp_h_per_kwh")
    tc = physics.tc_from_rates(physics.GPM_IN_M3H * flow_gpm, power)
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
    eta, head_m = i.share("eta_overall"), positive("tdh_m", head_m)
    volume = physics.volume_from_head(i.least0("energy_kwh"), eta, head_m)
    return {"tdh_m": head_m, "tc": physics.tc_from_head(eta, head_m), "volume_m3": volume}
