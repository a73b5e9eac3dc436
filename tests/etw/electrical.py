"""Registers and electrical side: the kinds of their section of the format."""

from __future__ import annotations

from decimal import Decimal

from agent.derive import energy
from agent.derive.exact import ZERO, positive
from tests.etw.inputs import BadCase, kind, tc_volume


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
