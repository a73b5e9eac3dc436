"""Water that a meter counts itself: the same counter state machine, the same totals, without a coefficient."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple

from agent.derive.counter import Booking, CounterSettings, CounterState, Decided, Replaced, Shown, advance, settle
from agent.derive.energy import with_flags
from agent.derive.exact import ONE, ZERO, OutOfDomain, exact, positive, rounded_m3
from agent.derive.flags import Flag, Qartod, worst
from agent.derive.text import from_text, to_text
from agent.derive.uncertainty import Share, uncertainty_m3

Q4_FACTOR = Decimal("1.2")  # metering rule R3: above 1.2·Q4·Δt no meter can have counted it
FORM = 1


def water_register(
    name: str,
    *,
    digits: int,
    step: Decimal,
    q4_m3h: Decimal,
    back_m3h: Decimal = ZERO,
    factor: Decimal = ONE,
) -> CounterSettings:
    """The settings of a water meter's register in m³. `back_m3h` is the flow at which it can turn back, 0 if none."""
    return CounterSettings(
        name=name,
        digits=digits,
        step=step,
        factor=positive("factor", factor),
        most_per_h=positive("q4_m3h", q4_m3h) * Q4_FACTOR,
        implausible=Flag.JUMPED,
        back_per_h=back_m3h,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredSite:
    """A water meter: its register, its class in per cent, how often it is read."""

    register: CounterSettings
    class_pct: Decimal
    period_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredState:
    """What the next reading needs of the earlier ones. `volume_m3` is the sum of booked steps, each rounded once."""

    form: int = FORM
    counter: CounterState = field(default_factory=CounterState)
    seen_ms: int | None = None
    volume_m3: Decimal = ZERO

    def to_text(self) -> str:
        """The state as one line of JSON."""
        return to_text(self)

    @staticmethod
    def from_text(text: str) -> MeteredState:
        """The state that `to_text` wrote. Raises: OutOfDomain when it is of another form, or no state at all."""
        try:
            state = from_text(MeteredState, text)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise OutOfDomain("state", text[:40], "the text of a state") from error
        if state.form != FORM:
            raise OutOfDomain("form", state.form, str(FORM))
        return state


class MeteredInterval(NamedTuple):
    """What lies between two readings. `volume_m3` and `u_m3` (k = 1) are None when nothing is booked."""

    begin: Shown
    end: Shown
    volume_m3: Decimal | None
    u_m3: Decimal | None
    flags: tuple[Flag, ...]
    share: Share | None
    total_m3: Decimal

    @property
    def level(self) -> Qartod:
        """The quality of its volume: what its words mean, or missing."""
        return Qartod.MISSING if self.volume_m3 is None else worst(self.flags)


@exact
def derive_metered(
    site: MeteredSite, given: Shown | Replaced | Decided, state: MeteredState
) -> tuple[tuple[MeteredInterval, ...], MeteredState]:
    """The interval that ends with this reading or event, if any, and the state for the next one."""
    is_event = not isinstance(given, Shown)
    if isinstance(given, Shown):
        booking, counter = advance(site.register, given, state.counter)
    else:
        booking, counter = settle(site.register, given, state.counter)
    seen_ms = state.seen_ms if is_event else given.at_ms
    after = replace(state, counter=counter, seen_ms=seen_ms)
    if booking is None:
        return (), after
    silent_ms = 0 if is_event or state.seen_ms is None else given.at_ms - state.seen_ms
    gap = (Flag.GAP,) if silent_ms > site.period_ms + site.period_ms // 2 else ()
    share = None if booking.amount is None else _share(site, booking, state)
    volume_m3 = None if share is None else share.volume_m3
    after = replace(after, volume_m3=after.volume_m3 + (volume_m3 or ZERO))
    interval = MeteredInterval(
        begin=booking.begin,
        end=booking.end,
        volume_m3=volume_m3,
        u_m3=None if share is None else rounded_m3(uncertainty_m3([share])),
        flags=with_flags(booking.flags, gap),
        share=share,
        total_m3=after.volume_m3,
    )
    return (interval,), after


def _share(site: MeteredSite, booking: Booking, state: MeteredState) -> Share:
    """The volume with the meter's class and its register's two end readings; nothing else stands between."""
    assert booking.amount is not None
    volume_m3 = rounded_m3(booking.amount)
    name = f"{site.register.name}#{state.counter.replacements}"
    return Share(
        coefficient=name,
        meter=name,
        volume_m3=volume_m3,
        energy_kwh=volume_m3,  # m³ per m³: the step of the register is a step of the volume
        u_tc=ZERO,
        age_years=ZERO,
        drift_per_year=ZERO,
        u_model=ZERO,
        class_pct=site.class_pct,
        ct_class_pct=ZERO,
        step_kwh=site.register.step * booking.factor,
    )
