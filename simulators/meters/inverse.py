"""Decoding backwards: the raw numbers that make a meter show a value. Pure.

A number is value = (sum of parts * their scales) * factors * scale + offset. The factors' codes (unit codes, decimal
points) are chosen so that the value loses nothing, then the value is cut into its parts: whole numbers first, largest
scale first, and the rest into the fraction. A number finer than the last digit is cut there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from itertools import islice, product
from typing import Any

from agent.entries import Entry, Factor, FlagTest, Part
from agent.model import Value
from agent.quantities import QUANTITIES

Raws = dict[Any, Decimal]
"""Item to the raw number in its registers."""

_RESOLUTION = Decimal("0.001")  # what the last digit of a totalizer usually is worth, in m3 or kWh
_EXPONENTS = range(-9, 10)  # tried for a power of ten
_MOST_CHOICES = 4096  # combinations of factor codes tried for one value
_DIGITS = 60  # of intermediate results: every sum of registers is exact
_DUST = Decimal("1e-20")  # what a division may leave below a whole number


class CannotShowError(ValueError):
    """A meter cannot show this value: `code` names the sentence `form.CODE` in locale/, `arguments` fill it."""

    def __init__(self, code: str, **arguments: str) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


def meaning(entry: Entry, raws: Mapping[Any, Decimal]) -> Value:
    """What an exact reader gets for `entry`; None for a code that the profile does not list."""
    if entry.flags:
        return frozenset(test.flag for test in entry.flags if _holds(test, int(raws[test.item])))
    with localcontext() as context:
        context.prec = _DIGITS
        value = sum((raws[part.item] * part.scale for part in entry.parts), Decimal(0))
        for factor in entry.factors:
            worth = _worth(factor, raws[factor.item])
            if worth is None:
                return None
            value *= worth
        return value * entry.scale + entry.offset


def number_raws(entry: Entry, value: Decimal, fixed: Mapping[Any, Decimal]) -> Raws:
    """The raw numbers that show `value`, or as much of it as the registers can hold; codes in `fixed` stay.

    Raises CannotShowError when it does not fit.
    """
    best: Raws | None = None
    least = Decimal("Infinity")
    with localcontext() as context:
        context.prec = _DIGITS
        for codes, worth in _choices(entry, fixed):
            try:
                raws = codes | _split(entry, (value - entry.offset) / (entry.scale * worth))
            except ValueError:
                continue
            shown = meaning(entry, raws)
            assert isinstance(shown, Decimal)
            error = abs(shown - value)
            if error < least:
                best, least = raws, error
            if not error:
                break
    if best is None:
        raise CannotShowError("sim-too-big", quantity=entry.quantity, value=f"{value:f}")
    return best


def flag_raws(entry: Entry, flags: frozenset[str]) -> Raws:
    """The raw numbers with which exactly `flags` are set. Raises CannotShowError when no number does that."""
    known = {test.flag for test in entry.flags}
    if flags - known:
        unknown = " ".join(sorted(flags - known))
        raise CannotShowError("sim-no-flag", value=unknown, allowed=" ".join(sorted(known)))
    raws: Raws = {}
    for item in dict.fromkeys(test.item for test in entry.flags):
        tests = [test for test in entry.flags if test.item == item]
        raw = next((raw for raw in _words(tests, flags) if _suits(tests, raw, flags) and _fits(item, raw)), None)
        if raw is None:
            raise CannotShowError("sim-flags-together", value=" ".join(sorted(flags)))
        raws[item] = Decimal(raw)
    return raws


def _holds(test: FlagTest, raw: int) -> bool:
    if test.bit is not None:
        return bool(raw >> test.bit & 1)
    return raw == test.equals if test.equals is not None else raw != test.not_equals


def _words(tests: Sequence[FlagTest], flags: frozenset[str]) -> Iterator[int]:
    """Numbers worth trying, likeliest first: the bits, each number a test names, and its neighbours."""
    yield sum({1 << test.bit for test in tests if test.bit is not None and test.flag in flags})
    named = [n for test in tests for n in (test.equals, test.not_equals) if n is not None]
    yield from named
    yield from range(len(named) + 2)


def _suits(tests: Sequence[FlagTest], raw: int, flags: frozenset[str]) -> bool:
    return all(_holds(test, raw) == (test.flag in flags) for test in tests)


def _fits(item: Any, raw: int | Decimal) -> bool:
    try:
        return bool(item.decode(item.encode(Decimal(raw))) == raw)
    except ValueError:
        return False


def _worth(factor: Factor, raw: Decimal) -> Decimal | None:
    if factor.codes is not None:
        return factor.codes.get(int(raw))
    return Decimal(1).scaleb(int(raw)) if factor.power_of_ten else raw


def _choices(entry: Entry, fixed: Mapping[Any, Decimal]) -> list[tuple[Raws, Decimal]]:
    """Combinations of factor codes and what they are worth together, those that lose least first."""
    choices = []
    candidates = [list(_codes(factor, fixed)) for factor in entry.factors]
    for raws in islice(product(*candidates), _MOST_CHOICES):
        worth = Decimal(1)
        for factor, raw in zip(entry.factors, raws, strict=True):
            worth *= _worth(factor, raw) or 0
        if worth:
            choices.append(({factor.item: raw for factor, raw in zip(entry.factors, raws, strict=True)}, worth))
    last_digit = entry.scale * min((abs(part.scale) for part in entry.parts), default=Decimal(1))
    wanted = Decimal(1) if any(_is_float(part) for part in entry.parts) else abs(_RESOLUTION / last_digit)
    return sorted(choices, key=lambda choice: (abs((abs(choice[1]) / wanted).log10()), choice[1] < 0))


def _codes(factor: Factor, fixed: Mapping[Any, Decimal]) -> Iterator[Decimal]:
    if factor.item in fixed:
        yield fixed[factor.item]
    elif factor.codes is not None:
        yield from (Decimal(code) for code in factor.codes)
    elif factor.power_of_ten:
        yield from (Decimal(exponent) for exponent in _EXPONENTS if _fits(factor.item, exponent))
    else:
        yield Decimal(1)  # a transformer ratio, a unit factor: 1 until someone sets it


def _is_float(part: Part) -> bool:
    item: Any = part.item
    return str(item.kind).startswith("f")


def _split(entry: Entry, total: Decimal) -> Raws:
    """The parts' raw numbers whose scaled sum comes nearest to `total`. Raises ValueError when they cannot hold it."""
    raws: Raws = {}
    counter = entry.quantity in QUANTITIES and QUANTITIES[entry.quantity].counter
    order = sorted(entry.parts, key=lambda part: (_is_float(part), -abs(part.scale)))
    for part in order:
        item: Any = part.item
        quotient = total / part.scale
        if _is_float(part):
            raw = item.decode(item.encode(quotient))
        else:
            rounding = ROUND_DOWN if part is not order[-1] else ROUND_FLOOR if counter else ROUND_HALF_EVEN
            raw = (quotient + _DUST.copy_sign(quotient)).to_integral_value(rounding=rounding)
        if not isinstance(raw, Decimal) or not _fits(part.item, raw):
            raise ValueError(f"{quotient} does not fit")
        raws[part.item] = raw
        total -= raw * part.scale
    return raws
