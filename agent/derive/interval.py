"""`derive`: one round of an intake metered by electricity, or one event, to an interval with its water (§9.3).

Strategy: a pure step. The same inputs in the same order give the same intervals and totals to the last digit, whenever
they are derived and whether or not the state went through its text in between. An interval's volume is rounded once,
half-even, to 10⁻⁶ m³, and the total is the sum of those; what was not booked stays between the counter's baseline and
the next booked reading. Rounds come dated and in the order in which they were stored.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from agent.derive.counter import Booking, CounterState, Decided, Replaced, Shown, advance, settle
from agent.derive.energy import Pumping, pumping, with_flags
from agent.derive.exact import ZERO, exact, rounded_kwh, rounded_m3
from agent.derive.flags import Flag
from agent.derive.site import Interval, Observation, Site
from agent.derive.state import Ends, Sample, Standby, State
from agent.derive.uncertainty import uncertainty_m3
from agent.derive.water import Pumped, pumped


@exact
def derive(site: Site, given: Observation | Replaced | Decided, state: State) -> tuple[tuple[Interval, ...], State]:
    """The interval that ends with this round or event, if any, and the state for the next one.

    A round without the energy register only brings the sensors up to date. The first reading ever ends no interval.
    """
    if not isinstance(given, Observation):
        booking, counter = settle(site.register, given, state.counter)
        if booking is None:
            return (), replace(state, counter=counter, begin=_ends(site, given.at_ms, state))
        return _step(site, booking, counter, state, is_event=True)
    state = _heard(given, state)
    flags: tuple[Flag, ...] = ()
    if given.export is not None:
        if state.export is not None and given.export > state.export:
            flags = (Flag.REVERSE_ENERGY,)
        state = replace(state, export=given.export)
    if given.register is None:
        pending = with_flags(state.counter.pending, flags)
        return (), replace(state, counter=replace(state.counter, pending=pending)) if flags else state
    shown = Shown(given.at_ms, given.register, given.source)
    booking, counter = advance(site.register, shown, state.counter)
    if booking is None:
        return (), replace(state, counter=counter, begin=_ends(site, given.at_ms, state), seen_ms=given.at_ms)
    return _step(site, booking._replace(flags=with_flags(booking.flags, flags)), counter, state)


def _heard(given: Observation, state: State) -> State:
    """The state with what the sensors said; run times add up until they are used."""

    def sample(value: Decimal | None, before: Sample | None) -> Sample | None:
        return before if value is None else Sample(value, given.at_ms)

    run_h = dict(state.run_h)
    for pump, ran_h in given.run_h.items():
        run_h[pump] = run_h.get(pump, ZERO) + ran_h
    return replace(
        state,
        depth=sample(given.depth_m, state.depth),
        pressure=sample(given.pressure_mpa, state.pressure),
        frequency=sample(given.frequency_hz, state.frequency),
        power=sample(given.power_kw, state.power),
        run_h=run_h,
    )


def _ends(site: Site, at_ms: int, state: State) -> Ends:
    """What the sensors say at this time, as far as their word still holds."""

    def fresh(sample: Sample | None) -> Decimal | None:
        return sample.value if sample is not None and abs(at_ms - sample.at_ms) <= site.sensor_age_ms else None

    power_kw = fresh(state.power)
    return Ends(
        depth_m=fresh(state.depth),
        pressure_mpa=fresh(state.pressure),
        frequency_hz=fresh(state.frequency),
        is_running=None if power_kw is None else power_kw >= site.load.threshold_kw,
    )


def _step(
    site: Site, booking: Booking, counter: CounterState, state: State, *, is_event: bool = False
) -> tuple[tuple[Interval, ...], State]:
    """The interval of a booking, and the state after it."""
    at_ms = booking.end.at_ms
    ends = _ends(site, at_ms, state)
    is_gap = not is_event and state.seen_ms is not None and at_ms - state.seen_ms > site.gap_ms
    booking = booking._replace(flags=with_flags(booking.flags, (Flag.GAP,) if is_gap else ()))
    after = replace(state, counter=counter, seen_ms=state.seen_ms if is_event else at_ms)
    if counter.baseline is not state.counter.baseline:
        after = replace(after, begin=ends, run_h={})
    if booking.amount is None:
        return (_unbooked(booking, after),), after
    load = _load(site, booking, ends, state)
    water = pumped(site, booking, load, ends, state)
    after = replace(
        after,
        runs=water.runs,
        standby=_standby(load, booking, state.standby, is_quiet=is_gap or is_event),
        energy_kwh=state.energy_kwh + booking.amount,
        pumping_kwh=state.pumping_kwh + rounded_kwh(load.energy_kwh),
        volume_m3=state.volume_m3 + (water.volume_m3 or ZERO),
    )
    return (_booked(booking, load, water, after),), after


def _load(site: Site, booking: Booking, ends: Ends, state: State) -> Pumping:
    """The interval's energy that lifted water; all of it where the time between is not known."""
    assert booking.amount is not None
    duration_ms = booking.end.at_ms - booking.begin.at_ms
    if duration_ms <= 0:
        return Pumping(booking.amount, booking.amount, ())
    standby_kw = state.standby.power_kw if site.load.standby_kw is None else site.load.standby_kw
    seen_running = bool(state.begin.is_running or ends.is_running)
    return pumping(
        booking.amount,
        duration_ms,
        site.load,
        standby_kw=standby_kw,
        seen_running=seen_running,
        step_kwh=site.accuracy.step_kwh,
    )


def _standby(load: Pumping, booking: Booking, before: Standby, *, is_quiet: bool) -> Standby:
    """What the interval teaches about standby: nothing after a silence or an event, or with the auxiliary load off."""
    duration_ms = booking.end.at_ms - booking.begin.at_ms
    if is_quiet or duration_ms <= 0 or load.energy_kwh > 0 or Flag.AUX_EXCEEDS_TOTAL in load.flags:
        return before.ran()
    return before.idled(load.net_kwh, duration_ms)


def _unbooked(booking: Booking, after: State) -> Interval:
    """An interval that books nothing, for the sake of its words."""
    return Interval(
        begin=booking.begin,
        end=booking.end,
        multiplier=booking.factor,
        energy_kwh=None,
        pumping_kwh=None,
        volume_m3=None,
        u_m3=None,
        flags=booking.flags,
        parts=(),
        sensed=None,
        total_energy_kwh=after.energy_kwh,
        total_volume_m3=after.volume_m3,
        ended=(),
    )


def _booked(booking: Booking, load: Pumping, water: Pumped, after: State) -> Interval:
    """An interval with its energy and, as far as there is a coefficient, its water."""
    shares = [part.share for part in water.parts if part.share is not None]
    return _unbooked(booking, after)._replace(
        energy_kwh=booking.amount,
        pumping_kwh=rounded_kwh(load.energy_kwh),
        volume_m3=water.volume_m3,
        u_m3=None if water.volume_m3 is None else rounded_m3(uncertainty_m3(shares)),
        flags=with_flags(booking.flags, load.flags, water.flags),
        parts=water.parts,
        sensed=water.sensed,
        ended=water.ended,
    )
