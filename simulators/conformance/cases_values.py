"""What the registers mean: numbers, the declared word order, and totals that only grow and follow the flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

from agent.decode import values as decoded
from agent.entries import Entry, Part
from agent.quantities import QUANTITIES
from drivers.contract import NoValue
from drivers.octets import order_indices
from simulators.conformance.session import Reading, Session
from simulators.conformance.verdict import (
    PROFILE,
    TOTALS_FALL,
    TOTALS_FLOW,
    TOTALS_STAND,
    WHOLE_AND_FRACTION,
    Case,
    Finding,
    differs,
    failed,
    passed,
    undecided,
)

_ORDERS = ("abcd", "cdab", "badc", "dcba")
_PLAUSIBLE = (Decimal("1e-6"), Decimal("1e9"))  # a float outside it, and not 0, is rarely a meter's
_STEADY = Decimal("0.05")  # the flow's spread, of its mean
_LEAST_STEPS = 10  # of the total, for a verdict on it (R9 asks for more than 5)
_FLOOR_M3 = Decimal("0.5")  # R10: below it a difference is none; also where the total's own step is not known
_PASSES, _FAILS = Decimal("0.10"), Decimal("0.25")  # R10, of what the flow carried
_SECONDS_PER_HOUR = 3600
_NO_NUMBER = (NoValue.NOT_A_NUMBER, NoValue.NOT_BCD)


def _text(value: Decimal) -> str:
    return f"{value.normalize():f}"


def numbers(session: Session) -> Finding:
    """Every quantity of the profile is a number of the kind that the profile says."""
    if not session.good():
        return undecided("no-frame")
    shown: dict[str, tuple[str, Reading]] = {}
    for reading in session.readings():
        for quantity, reasons in reading.quality.items():
            if any(reason in _NO_NUMBER for reason in reasons):
                return failed("no-number", reading.heard, quantity=quantity, why=reasons[0])
            shown[quantity] = reasons[0], reading
    if shown:
        quantity, (why, reading) = next(iter(shown.items()))
        return differs("no-value", reading.heard, quantity=quantity, why=why)
    return passed("all-numbers", session.readings()[-1].heard[:1], total=len(session.profile.entries))


def in_range(session: Session) -> Finding:
    """Values lie within what the profile says they can be."""
    values = list(_values(session))
    for entry, value, reading in values:
        low_ok = entry.low is None or value >= entry.low
        if not low_ok or not (entry.high is None or value <= entry.high):
            limits = f"{entry.low} … {entry.high}"
            return differs("out-of-range", reading.heard, quantity=entry.quantity, value=_text(value), limit=limits)
    if not any(entry.low is not None or entry.high is not None for entry, _, _ in values):
        return undecided("no-range")
    return passed("within-range", session.readings()[-1].heard[:1], total=len(values))


def _values(session: Session) -> Iterator[tuple[Entry, Decimal, Reading]]:
    if session.good():
        for reading in session.readings():
            for entry in session.profile.entries:
                value = reading.values[entry.quantity]
                if isinstance(value, Decimal):
                    yield entry, value, reading


def word_order(session: Session) -> Finding:
    """Values are plausible in the declared order of words and bytes, and in no other. Never a failure."""
    if not session.good():
        return undecided("no-frame")
    reading = session.readings()[-1]
    raws = reading.raws
    clear: list[str] = []
    for entry in session.profile.entries:
        if not any(_is_wide(part.item) for part in entry.parts):
            continue
        fitting = [order for order in _ORDERS if _is_plausible(entry, raws, order)]
        declared = [order for order in _ORDERS if _in_order(entry, order) == entry]
        if not declared or not any(order in fitting for order in _ORDERS):
            continue
        if declared[0] not in fitting:
            return differs(
                "other-order", reading.heard, quantity=entry.quantity, declared=declared[0], fitting=" ".join(fitting)
            )
        if fitting == declared[:1]:
            clear.append(entry.quantity)
    if not clear:
        return undecided("order-open")
    return passed("order-clear", reading.heard, quantities=", ".join(clear))


def _is_wide(item: Any) -> bool:
    return bool(item.count > 1)


def _in_order(entry: Entry, order: str) -> Entry:
    parts = tuple(replace(part, item=_reordered(part.item, order)) for part in entry.parts)
    return replace(entry, parts=parts)


def _reordered(item: Any, order: str) -> Any:
    if not _is_wide(item):
        return item
    indices = order_indices(order, 2 * item.count)
    assert indices is not None
    return replace(item, order=indices)


def _is_plausible(entry: Entry, raws: Any, order: str) -> bool:
    """Whether the same bytes, read in `order`, make a number that this quantity can be. Zero says nothing: no."""
    turned = dict(raws)
    for part in entry.parts:
        raw = raws.get(part.item)
        if not isinstance(raw, Decimal):
            return False
        if _is_wide(part.item):
            item = _reordered(part.item, order)
            number = item.decode(part.item.encode(raw))
            if isinstance(number, Decimal) and part.item.kind[0] == "f" and not _is_float_of_a_meter(number):
                return False
            turned[item] = number
    (value,), _ = decoded([_in_order(entry, order)], turned)
    if not isinstance(value, Decimal) or value == 0:
        return False
    return (entry.low is None or value >= entry.low) and (entry.high is None or value <= entry.high)


def _is_float_of_a_meter(number: Decimal) -> bool:
    return number == 0 or _PLAUSIBLE[0] <= abs(number) <= _PLAUSIBLE[1]


def whole_and_fraction(session: Session) -> Finding:
    """The fraction of a total in two parts is less than one of its whole units, at every reading."""
    pairs = [pair for entry in session.profile.entries if (pair := _whole_and_fraction(entry)) is not None]
    if not pairs or not session.good():
        return undecided("no-frame" if pairs else "no-fraction")
    for reading in session.readings():
        for entry, whole, fraction in pairs:
            raw = reading.raws.get(fraction.item)
            if isinstance(raw, Decimal) and abs(raw * fraction.scale) >= abs(whole.scale):
                return failed("fraction-too-big", reading.heard, quantity=entry.quantity, value=_text(raw))
    return passed("fraction-fits", session.readings()[-1].heard[:1], total=len(session.readings()))


def _whole_and_fraction(entry: Entry) -> tuple[Entry, Part, Part] | None:
    """The two parts of such a total; two registers of equal rank, as of two tariffs, are none."""
    if len(entry.parts) != 2:  # noqa: PLR2004 - whole and fraction
        return None
    whole, fraction = entry.parts
    is_whole = whole.item.kind[0] != "f"
    is_less = fraction.item.kind[0] == "f" or abs(fraction.scale) < abs(whole.scale)
    return (entry, whole, fraction) if is_whole and is_less else None


def never_fall(session: Session) -> Finding:
    """Counters do not fall from one reading to the next."""
    counters = [entry.quantity for entry in session.profile.entries if QUANTITIES[entry.quantity].counter]
    if not counters or not session.good():
        return undecided("no-frame" if counters else "no-total")
    readings = session.readings()
    for quantity in counters:
        held = [(value, each) for each in readings if isinstance(value := each.values[quantity], Decimal)]
        for (before, first), (after, second) in pairwise(held):
            if after < before:
                evidence = [*first.heard, *second.heard]
                return failed("fell", evidence, quantity=quantity, before=_text(before), after=_text(after))
    return passed("never-fell", readings[-1].heard[:1], total=len(readings), quantities=", ".join(counters))


def follows_flow(session: Session) -> Finding:
    """A total grows by flow x time, where the flow is steady and long enough for the total's last digit."""
    names = {entry.quantity: entry for entry in session.profile.entries}
    if not session.good() or not {"flow_rate", "volume_forward"} <= set(names):
        return undecided("no-flow")
    points = [point for reading in session.readings() if (point := _point(reading)) is not None]
    if len(points) < 2:  # noqa: PLR2004 - a beginning and an end
        return undecided("no-flow")
    flows = [flow for _, flow, _ in points]
    mean = sum(flows, Decimal(0)) / len(flows)
    if mean <= 0 or max(flows) - min(flows) > _STEADY * mean:
        return undecided("flow-unsteady", least=_text(min(flows)), most=_text(max(flows)))
    seconds = Decimal(str(round(points[-1][0] - points[0][0], 3)))
    expected = mean * seconds / _SECONDS_PER_HOUR
    grown = points[-1][2] - points[0][2]
    shown: dict[str, Any] = {
        "flow": _text(mean.quantize(Decimal("0.001"))),
        "seconds": _text(seconds),
        "expected": _text(expected.quantize(Decimal("0.0001"))),
        "grown": _text(grown),
    }
    step = _step(names["volume_forward"], session.readings()[-1].raws)
    fits = grown > 0 and abs(grown - expected) <= _PASSES * expected
    if not fits and expected < (_FLOOR_M3 if step is None else _LEAST_STEPS * step):
        return undecided("too-little", **shown)
    return _flow_verdict(session, expected, grown, step or Decimal(0), shown)


def _flow_verdict(session: Session, expected: Decimal, grown: Decimal, step: Decimal, shown: dict[str, Any]) -> Finding:
    first, last = session.readings()[0], session.readings()[-1]
    evidence = [*first.heard, *last.heard]
    if grown == 0:
        return failed("stuck", evidence, clause=TOTALS_STAND, **shown)
    off = abs(grown - expected)
    if off <= max(2 * step, _PASSES * expected):
        return passed("flow-fits", evidence, **shown)
    if off <= _FAILS * expected:
        return differs("flow-near", evidence, **shown)
    return failed("flow-misses", evidence, **shown)


def _point(reading: Reading) -> tuple[float, Decimal, Decimal] | None:
    """When the total was read, the flow, and the total."""
    flow, total = reading.values["flow_rate"], reading.values["volume_forward"]
    if isinstance(flow, Decimal) and isinstance(total, Decimal):
        return reading.at["volume_forward"], flow, total
    return None


def _step(entry: Entry, raws: Any) -> Decimal | None:
    """The least by which a total of whole numbers can grow; None where a float hides it."""
    kinds: Sequence[str] = [part.item.kind for part in entry.parts]
    if any(kind[0] == "f" for kind in kinds):
        return None
    ones = {part.item: Decimal(0) for part in entry.parts}
    last = min(entry.parts, key=lambda part: abs(part.scale))
    (value,), _ = decoded([replace(entry, offset=Decimal(0))], {**raws, **ones, last.item: Decimal(1)})
    return abs(value) if isinstance(value, Decimal) else None


CASES = (
    Case(id="values.numbers", clause=PROFILE, run=numbers),
    Case(id="values.range", clause=PROFILE, run=in_range),
    Case(id="values.word-order", clause=PROFILE, run=word_order),
    Case(id="totals.whole-and-fraction", clause=WHOLE_AND_FRACTION, run=whole_and_fraction),
    Case(id="totals.never-fall", clause=TOTALS_FALL, run=never_fall),
    Case(id="totals.follow-flow", clause=TOTALS_FLOW, run=follows_flow),
)
