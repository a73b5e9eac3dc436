"""Registers and electrical side: the kinds of their section of the format."""

from __future__ import annotations

from decimal import Decimal

from agent.derive import energy
from agent.derive.exact import ZERO
from tests.etw.inputs import BadCase, kind, tc_volume


@kind
def meter_constant_power(i):
    ratios = i.above0("ct_ratio", 1) * i.above0("pt_ratio", 1)
    power = energy.pulse_power_kw(i.above0("kh_wh_per_rev"), i.least0("revolutions"), i.above0("seconds"), ratios)
    return {"power_kw": power}


def register_energy(i, factor):
    before, after = i.num("register_prev_kwh"), i.num("register_curr_kwh")
    if after < before:
        raise BadCase(f"register_curr_kwh: {after} is below register_prev_kwh {before}")
    return (after - before) * factor


@kind
def ct_multiplier(i):
    ct = energy.ratio("ct", i.above0("ct_primary_a"), i.above0("ct_secondary_a"))
    primary = i.truth("register_is_primary", False)
    factor = energy.multiplier(ct, i.num("pt_ratio", 1), register_is_primary=primary)
    return {"multiplier": factor, "energy_kwh": register_energy(i, factor)}


@kind
def ct_pt_multiplier(i):
    ct = energy.ratio("ct", i.above0("ct_primary_a"), i.above0("ct_secondary_a"))
    pt = energy.ratio("pt", i.above0("pt_primary_v"), i.above0("pt_secondary_v"))
    factor = energy.multiplier(ct, pt, register_is_primary=i.truth("register_is_primary", False))
    return {"ct_ratio": ct, "pt_ratio": pt, "multiplier": factor, "energy_kwh": register_energy(i, factor)}


@kind
def register_delta(i):
    primary = i.truth("register_is_primary", False)
    factor = energy.multiplier(i.num("ct_ratio", 1), i.num("pt_ratio", 1), register_is_primary=primary)
    limit = i.above0("rated_kw") * i.above0("dt_h") * i.above0("overload_factor", energy.OVERLOAD_FACTOR)
    capacity = Decimal(10) ** i.count("digits_int", least=1)
    before, after = shown(i, "prev", capacity), shown(i, "curr", capacity)
    delta = energy.register_delta(before, after, capacity=capacity, factor=factor, limit_kwh=limit)
    return {"delta_register": delta.register, "energy_kwh": delta.energy_kwh, "flags": list(delta.flags)}


def shown(i, name, capacity):
    value = i.least0(name)
    if value >= capacity:
        raise BadCase(f"{name}: {value} is not below {capacity}, which the register cannot show")
    return value


@kind
def meter_swap(i):
    before, event, after = i.inner("prev"), i.inner("event"), i.inner("curr")
    if not before.time("t") <= event.time("t") <= after.time("t"):
        raise BadCase("event.t: not between prev.t and curr.t")
    swap = energy.Swap(
        event.num("old_final"), event.above0("old_multiplier"), event.num("new_initial"), event.above0("new_multiplier")
    )
    used = energy.swap_energy(before.num("register"), swap, after.num("register"))
    return {"energy_kwh": used, "volume_m3": tc_volume(i.num("tc"), used), "flags": ["METER_SWAP"]}


@kind
def aux_load(i):
    net, flags = energy.without_aux(i.least0("energy_total_kwh"), i.above0("dt_h"), i.least0("aux_constant_kw"))
    return {"energy_pumping_kwh": net, "volume_m3": tc_volume(i.num("tc"), net), "flags": list(flags)}


@kind
def multi_pump_one_meter(i):
    pumps = i.inners("pumps")
    shares = [energy.RunShare(pump.least0("run_h"), pump.least0("kw")) for pump in pumps]
    if not any(share.run_h * share.running_kw for share in shares):
        raise BadCase("pumps: the sum of run_h × kw is not above 0")
    parts, flags = energy.apportioned(i.least0("energy_total_kwh"), shares)
    volumes = [tc_volume(pump.num("tc"), part) for pump, part in zip(pumps, parts, strict=True)]
    return {"energy_split_kwh": list(parts), "volume_m3": sum(volumes, ZERO), "flags": list(flags)}


@kind
def reverse_energy(i):
    if i.raw("basis", "forward") != "forward":
        raise BadCase(f"basis: {i.raw('basis')!r} is not forward")
    factor = i.above0("multiplier", 1)
    step = i.num("forward_curr") - i.num("forward_prev")
    if step < 0:
        raise BadCase("forward_curr: below forward_prev")
    flags = ["REVERSE_ENERGY"] if i.num("reverse_curr") > i.num("reverse_prev") else []
    return {"energy_kwh": step * factor, "volume_m3": tc_volume(i.num("tc"), step * factor), "flags": flags}
