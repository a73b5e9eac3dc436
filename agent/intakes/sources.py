"""From an intake's settings and what its meters said to what `derive` works on: sites, observations, run times.

Rules about values: one that is OUT_OF_RANGE is not used; NEGATIVE_DELTA is only a remark here, since the counter state
machine judges falls by itself; any other remark (UNCONFIRMED) goes on to what is derived. An energy register is taken
as the profile gives it, in kWh of the meter; CT × PT is applied once, here, unless the register is primary, and so it
is to a power that the same meter tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from agent.derive.coefficient import Coefficient
from agent.derive.convert import Accuracy, Pump
from agent.derive.counter import energy_register
from agent.derive.energy import PumpSet, multiplier
from agent.derive.exact import MS_PER_HOUR, ONE, ZERO, exact, hours
from agent.derive.ledger import Ledger
from agent.derive.metered import MeteredSite, water_register
from agent.derive.physics import KPA_PER_MPA
from agent.derive.site import Observation, Site
from agent.intakes.outcome import Heard
from agent.intakes.settings import Channel, EnergySource, IntakeSettings, PumpSource, WaterSource
from agent.intakes.track import Place
from agent.model import Reason

DEFAULT_PERIOD_MS = MS_PER_HOUR // 60
_Q4_OF_Q3 = Decimal("1.25")  # ISO 4064-1
_Q4_OF_RATED = Decimal("1.3")  # metering guideline §7
_FASTEST_M_S = Decimal(10)  # in any pipe
_QUARTER_PI = Decimal("0.7854")
_SECONDS_PER_HOUR = 3600
_MM_PER_M = 1000
_ANY_Q4_M3H = Decimal(2500)  # DN 300 at the fastest, where nothing is known
CHECK = "check/"  # how the key of a register begins that only checks
_ENERGY_EXPORT = "energy_export"


def period_ms(settings: IntakeSettings, meter: str) -> int:
    """How often a meter is polled."""
    return settings.periods_ms.get(meter, DEFAULT_PERIOD_MS)


@exact
def q4_m3h(settings: IntakeSettings) -> Decimal:
    """The most that can flow, m³/h: Q4, else from Q3, from the pumps' rated flow, from the pipe; never unknown."""
    flows, dn_mm = settings.range, settings.pipe.dn_mm
    if flows.q4_m3h:
        return flows.q4_m3h
    if flows.q3_m3h:
        return flows.q3_m3h * _Q4_OF_Q3
    rated = [pump.rated_m3h for pump in settings.energy.pumps] if settings.energy is not None else []
    known = [flow for flow in rated if flow]
    if known and len(known) == len(rated):
        return sum(known, ZERO) * _Q4_OF_RATED
    if dn_mm:
        return _QUARTER_PI * (dn_mm / _MM_PER_M) ** 2 * _FASTEST_M_S * _SECONDS_PER_HOUR
    return _ANY_Q4_M3H


def metered_site(source: WaterSource, settings: IntakeSettings) -> MeteredSite:
    """A flow meter as `derive_metered` sees it."""
    register = water_register(
        source.meter,
        digits=source.digits,
        step=source.step_m3,
        q4_m3h=q4_m3h(settings),
        back_m3h=source.back_m3h,
        factor=source.factor,
    )
    return MeteredSite(register=register, class_pct=source.class_pct, period_ms=period_ms(settings, source.meter))


def factor_of(energy: EnergySource) -> Decimal:
    """What a step of the energy register stands for in primary kWh."""
    return multiplier(energy.ct_ratio, energy.pt_ratio, register_is_primary=energy.register_is_primary)


def converted_site(energy: EnergySource, settings: IntakeSettings, records: Iterable[Coefficient]) -> Site:
    """The energy meter as `derive` sees it, with the coefficients that count. Raises: OutOfDomain."""
    known, factor = list(records), factor_of(energy)
    pumps = (
        Pump(id=pump.id, running_kw=pump.running_kw, ledger=ledger_of(pump, known, settings)) for pump in energy.pumps
    )
    return Site(
        register=energy_register(
            energy.meter,
            digits=energy.digits,
            step=energy.step_kwh,
            factor=factor,
            rated_kw=energy.rated_kw,
            overload_factor=energy.overload_factor,
        ),
        load=PumpSet(
            rated_kw=energy.rated_kw,
            pump_on_fraction=energy.pump_on_fraction,
            aux_kw=energy.aux_kw,
            standby_kw=energy.standby_kw,
        ),
        pumps=tuple(pumps),
        accuracy=Accuracy(
            class_pct=energy.class_pct, ct_class_pct=energy.ct_class_pct, step_kwh=energy.step_kwh * factor
        ),
        period_ms=period_ms(settings, energy.meter),
    )


def ledger_of(pump: PumpSource, records: Sequence[Coefficient], settings: IntakeSettings) -> Ledger:
    """All versions of a pump's coefficients. Raises: OutOfDomain when they do not go together."""
    own = sorted((each for each in records if each.id in pump.coefficients), key=lambda each: (each.id, each.version))
    return Ledger(own, zone=settings.zone, has_gaps=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A register of an intake: a flow meter's (`water`) or an energy meter's (`energy`). `counts`: its water is the
    intake's; otherwise it only checks. `key` names it in the account's state.
    """

    key: str
    meter: str
    quantity: str
    counts: bool
    period_ms: int
    place: Place
    water: MeteredSite | None = None
    energy: Site | None = None


def sources_of(settings: IntakeSettings, records: Iterable[Coefficient]) -> tuple[Source, ...]:
    """The registers of an intake with the coefficients that count. Raises: OutOfDomain."""
    known = list(records)
    flows = [(source, True) for source in settings.water] + [(source, False) for source in settings.check_meters]
    found = [
        Source(
            key=f"{'water/' if counts else CHECK}{source.meter}/{source.quantity}",
            meter=source.meter,
            quantity=source.quantity,
            counts=counts,
            period_ms=period_ms(settings, source.meter),
            place=Place(settings.zone, q4_m3h(settings)),
            water=metered_site(source, settings),
        )
        for source, counts in flows
    ]
    energy = settings.energy
    if energy is not None:
        found.append(
            Source(
                key=f"{'energy/' if settings.is_converted else CHECK}{energy.meter}/{energy.quantity}",
                meter=energy.meter,
                quantity=energy.quantity,
                counts=settings.is_converted,
                period_ms=period_ms(settings, energy.meter),
                place=Place(settings.zone, energy.rated_kw),
                energy=converted_site(energy, settings, known),
            )
        )
    return tuple(found)


def number_in(heard: Heard, quantity: str) -> Decimal | None:
    """The number that a round gives for a quantity and that may be used."""
    value = heard.values.get(quantity)
    if not isinstance(value, Decimal) or Reason.OUT_OF_RANGE.value in heard.quality.get(quantity, ()):
        return None
    return value


def remarks_on(heard: Heard, quantity: str) -> tuple[str, ...]:
    """What is said about a used value and goes on to what is derived from it."""
    return tuple(word for word in heard.quality.get(quantity, ()) if word != Reason.NEGATIVE_DELTA.value)


def _said(heard: Heard, channel: Channel | None) -> Decimal | None:
    if channel is None or channel.meter != heard.meter:
        return None
    return number_in(heard, channel.quantity)


def _depth_m(heard: Heard, channel: Channel | None) -> Decimal | None:
    value = _said(heard, channel)
    if value is None or channel is None or channel.quantity != "level":
        return value
    return channel.datum_m - value


@exact
def observation(energy: EnergySource, heard: Heard, run_h: Mapping[str, Decimal]) -> Observation:
    """What a round says about an energy meter and what hangs on it."""
    is_meter = heard.meter == energy.meter
    power_kw, pressure_kpa = _said(heard, energy.power), _said(heard, energy.pressure)
    if power_kw is not None and is_meter:
        power_kw *= factor_of(energy)
    return Observation(
        at_ms=heard.at_ms,
        source=heard.id,
        register=number_in(heard, energy.quantity) if is_meter else None,
        export=number_in(heard, _ENERGY_EXPORT) if is_meter else None,
        power_kw=power_kw,
        frequency_hz=_said(heard, energy.frequency),
        depth_m=_depth_m(heard, energy.depth),
        pressure_mpa=None if pressure_kpa is None else pressure_kpa / KPA_PER_MPA,
        run_h=run_h,
    )


class Ran(NamedTuple):
    """Whether a pump ran when its channel last spoke, UTC ms."""

    is_running: bool
    at_ms: int


def run_times(
    energy: EnergySource, heard: Heard, before: Mapping[str, Ran]
) -> tuple[Mapping[str, Decimal], Mapping[str, Ran]]:
    """How long each pump ran since its channel last spoke, h, and what is now known.

    Between two words that agree the pump did what they say, between two that do not it ran half of the time.
    """
    run_h: dict[str, Decimal] = {}
    after = dict(before)
    for pump in energy.pumps:
        value = _said(heard, pump.running)
        if value is None or pump.running is None:
            continue
        now = Ran(value >= _threshold(energy, pump, pump.running), heard.at_ms)
        last = before.get(pump.id)
        if last is not None and heard.at_ms > last.at_ms:
            weight = Decimal(now.is_running + last.is_running) / 2
            run_h[pump.id] = hours(heard.at_ms - last.at_ms) * weight
        after[pump.id] = now
    return run_h, after


def _threshold(energy: EnergySource, pump: PumpSource, channel: Channel) -> Decimal:
    """From which value on the pump runs: a part of its running power; a part of its flow; anything, where unknown."""
    if channel.quantity == "power":
        factor = ONE if channel.meter != energy.meter else factor_of(energy)
        return energy.pump_on_fraction * pump.running_kw / factor
    if channel.quantity == "flow_rate" and pump.rated_m3h:
        return energy.pump_on_fraction * pump.rated_m3h
    return Decimal("1e-9")
