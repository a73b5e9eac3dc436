"""Raw values to quantities: exact decimals, or no value and the reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

from agent.entries import Entry, Factor, FlagTest
from agent.model import QualityMap, Reason, Value
from agent.quantities import QUANTITIES
from drivers.contract import Item, NoValue, RawValue
from drivers.octets import float_step

_EXACT = Context(prec=60)  # digits: a 64-bit total times two unit factors stays exact
_ZERO = Decimal(0)
_LARGEST_POWER = 12  # a live exponent beyond this is no meter's

Missing = NoValue | Reason
Raws = Mapping[Any, RawValue | Reason]
"""Item to its raw value, or to the reason why its request gave none."""


def bundles(entries: Sequence[Entry]) -> list[tuple[Item, ...]]:
    """What has to be read, each tuple by one request: the parts of a quantity together, all else alone."""
    found: dict[tuple[Item, ...], None] = {}
    for entry in entries:
        if entry.parts:
            found[tuple(part.item for part in entry.parts)] = None
        found.update({(factor.item,): None for factor in entry.factors})
        found.update({(test.item,): None for test in entry.flags})
    return list(found)


def flag_names(entries: Sequence[Entry]) -> tuple[str, ...]:
    """The flags a status value can have, in the order of their first mention: bit 0 first."""
    return tuple(dict.fromkeys(test.flag for entry in entries for test in entry.flags))


def values(entries: Sequence[Entry], raws: Raws) -> tuple[tuple[Value, ...], dict[str, tuple[str, ...]]]:
    """One value per entry, and for each that is missing the reasons.

    `raws` maps items to their raw value, or to the reason why their request gave none.
    """
    found: list[Value] = []
    quality: dict[str, tuple[str, ...]] = {}
    with localcontext(_EXACT):
        for entry in entries:
            value = _flags(entry.flags, raws) if entry.flags else _number(entry, raws)
            if isinstance(value, NoValue | Reason):
                quality[entry.quantity] = (value.value,)
                found.append(None)
            else:
                found.append(value)
    return tuple(found), quality


def codes(entries: Sequence[Entry], raws: Raws) -> dict[Any, Decimal]:
    """The live unit and multiplier codes as read, by item: a change of one of them is an event, not water."""
    found = {}
    for entry in entries:
        for factor in entry.factors:
            raw = raws.get(factor.item)
            if isinstance(raw, Decimal):
                found[factor.item] = raw
    return found


def with_changes(
    entries: Sequence[Entry], quality: QualityMap, before: Mapping[Any, Decimal], codes: Mapping[Any, Decimal]
) -> QualityMap:
    """The quality with SETTING_CHANGED on every quantity of which a live unit or multiplier is not what it was."""
    changed = {item for item, code in codes.items() if before.get(item, code) != code}
    if not changed:
        return quality
    scaled = [entry.quantity for entry in entries if any(each.item in changed for each in entry.factors)]
    return {**quality, **{name: (*quality.get(name, ()), Reason.SETTING_CHANGED.value) for name in scaled}}


def coarsening(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The totals that are, at least in part, binary floating point: their step grows with them."""
    totals = (entry for entry in entries if QUANTITIES[entry.quantity].is_total)
    return tuple(entry for entry in totals if any(part.item.kind[0] == "f" for part in entry.parts))


def step(entry: Entry, raws: Raws) -> Decimal | None:
    """How much the total jumps at least from one value to the next now, in its unit; None where it has no value."""
    with localcontext(_EXACT):
        factor = abs(entry.scale)
        for each in entry.factors:
            times = multiplier(each, raws)
            if not isinstance(times, Decimal):
                return None
            factor *= abs(times)
        largest = _ZERO
        for part in entry.parts:
            raw = raws[part.item]
            if not isinstance(raw, Decimal):
                return None
            if part.item.kind[0] == "f":
                largest = max(largest, float_step(part.item.kind, raw) * abs(part.scale))
        return largest * factor


def is_coarse(entry: Entry, found_step: Decimal) -> bool:
    """Whether that step has grown beyond the last digit the display shows."""
    return found_step > Decimal(1).scaleb(-entry.digits)


def _number(entry: Entry, raws: Raws) -> Decimal | Missing:
    total = _ZERO
    for part in entry.parts:
        raw = raws[part.item]
        if not isinstance(raw, Decimal):
            return raw
        total += raw * part.scale
    for factor in entry.factors:
        times = multiplier(factor, raws)
        if not isinstance(times, Decimal):
            return times
        total *= times
    return total * entry.scale + entry.offset


def multiplier(factor: Factor, raws: Raws) -> Decimal | Missing:
    """What a live unit or multiplier code stands for; UNKNOWN_CODE where the profile does not know it."""
    raw = raws[factor.item]
    if not isinstance(raw, Decimal):
        return raw
    if factor.codes is not None:
        whole = int(raw) if raw == raw.to_integral_value() else None
        return Reason.UNKNOWN_CODE if whole is None else factor.codes.get(whole, Reason.UNKNOWN_CODE)
    if factor.power_of_ten:
        return Decimal(1).scaleb(int(raw)) if abs(raw) <= _LARGEST_POWER else Reason.UNKNOWN_CODE
    return raw


def _flags(tests: Sequence[FlagTest], raws: Raws) -> frozenset[str] | Missing:
    held = set()
    for test in tests:
        raw = raws[test.item]
        if not isinstance(raw, Decimal):
            return raw
        if _holds(test, int(raw)):
            held.add(test.flag)
    return frozenset(held)


def _holds(test: FlagTest, number: int) -> bool:
    if test.bit is not None:
        return bool(number >> test.bit & 1)
    if test.equals is not None:
        return number == test.equals
    return number != test.not_equals
