"""How derived numbers are computed: in decimals of one fixed precision, so that every machine finds the same digits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import wraps
from typing import ParamSpec, TypeVar

# Fifty digits keep products of registers, ratios and coefficients exact; only quotients and roots are rounded.
CONTEXT = Context(prec=50, rounding=ROUND_HALF_EVEN)

VOLUME_STEP_M3 = Decimal("0.000001")  # an interval's volume is rounded once, half-even, to this
ENERGY_STEP_KWH = Decimal("0.000001")
MS_PER_HOUR = 3_600_000
ZERO = Decimal(0)
ONE = Decimal(1)
PERCENT = Decimal(100)
SQRT3 = CONTEXT.sqrt(Decimal(3))
SQRT6 = CONTEXT.sqrt(Decimal(6))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

P = ParamSpec("P")
R = TypeVar("R")


class OutOfDomain(ValueError):
    """A value for which a rule is not defined; `name` says which one."""

    def __init__(self, name: str, value: object, wanted: str) -> None:
        super().__init__(f"{name}: {value} is not {wanted}")
        self.name = name


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """The function, always computing in `CONTEXT`, whatever the thread that calls it has set."""

    @wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(CONTEXT):
            return function(*args, **kwargs)

    return computed


def positive(name: str, value: Decimal) -> Decimal:
    """The value, which must be above 0. Raises: OutOfDomain."""
    if not value.is_finite() or value <= 0:
        raise OutOfDomain(name, value, "above 0")
    return value


def not_negative(name: str, value: Decimal) -> Decimal:
    """The value, which must be 0 or more. Raises: OutOfDomain."""
    if not value.is_finite() or value < 0:
        raise OutOfDomain(name, value, "0 or more")
    return value


def rounded_m3(volume_m3: Decimal) -> Decimal:
    """A volume as it is booked: half-even to 10⁻⁶ m³."""
    return volume_m3.quantize(VOLUME_STEP_M3, context=CONTEXT)


def rounded_kwh(energy_kwh: Decimal) -> Decimal:
    """An energy that came out of a quotient, as it is added up: half-even to 10⁻⁶ kWh."""
    return energy_kwh.quantize(ENERGY_STEP_KWH, context=CONTEXT)


def hours(duration_ms: int) -> Decimal:
    """A duration in hours."""
    return CONTEXT.divide(Decimal(duration_ms), Decimal(MS_PER_HOUR))


def midnight_ms(day: date, zone: tzinfo) -> int:
    """When that local day begins, in UTC milliseconds since 1970."""
    return (datetime.combine(day, time(0), zone) - _EPOCH) // _MS


def utc(at_ms: int) -> datetime:
    """The instant, UTC ms since 1970, as an aware time."""
    return _EPOCH + at_ms * _MS


def local_day(at_ms: int, zone: tzinfo) -> date:
    """The local day that this instant lies in."""
    return utc(at_ms).astimezone(zone).date()


def instant_ms(at: datetime) -> int:
    """An aware time in UTC milliseconds since 1970. Raises: OutOfDomain when it names no offset."""
    if at.tzinfo is None:
        raise OutOfDomain("time", at.isoformat(), "a time with its offset")
    return (at - _EPOCH) // _MS
