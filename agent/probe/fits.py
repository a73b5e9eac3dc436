"""Which readings of some bytes could be the number on a display, and which make sense at all. Pure.

Strategy: every way to read the bytes is tried against the number, as it is, then moved by powers of ten, then between
the units that displays and registers differ in, then as a whole number with its fraction beside it. What needs least
comes first. A number of few digits fits by accident: nobody should trust a match of less than three.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal, localcontext
from typing import Any

from drivers.contract import Driver, NoValue, RawValue
from drivers.views import Image, Spec

FEW_DIGITS = 3
"""A number of fewer significant digits fits many registers by accident."""

_EXACT = Context(prec=40)
_SCALE_DIGITS = Context(prec=12)
_POWERS = (0, -1, -2, -3, -4, 1, 2, 3, -5, -6)
_UNITS = (Decimal(3600), Decimal("3.6"), 1 / Decimal("3.6"), 1 / Decimal(3600), Decimal("0.06"), 1 / Decimal("0.06"))
_MOST_LONG = Decimal(10) ** 13
_FLOATS = (Decimal("1e-4"), Decimal("1e9"))
_NEGATIVES = (Decimal(-(10**6)), Decimal(-1))  # what is not negative reads the same without a sign
_LONGS = (Decimal(1 << 32), _MOST_LONG)  # smaller ones are seen in their last two registers
_DIGITS = (Decimal(10), _MOST_LONG)  # below, decimal-coded and plain numbers are the same
_PLAUSIBLE: Mapping[str, tuple[Decimal, Decimal]] = {
    "u16": (Decimal(0), Decimal(0xFFFF)), "u32": (Decimal(1), Decimal(10) ** 9), "u48": _LONGS, "u64": _LONGS,
    "i16": _NEGATIVES, "i32": _NEGATIVES, "i48": _NEGATIVES, "i64": _NEGATIVES,
    "f32": _FLOATS, "f64": _FLOATS,
    "bcd16": _DIGITS, "bcd32": _DIGITS, "bcd48": _LONGS, "bcd64": _LONGS, "bcd": _DIGITS,
}  # fmt: skip
_SHORT = ("u16", "i16", "bcd16")
_FRACTIONS = ("f32", "u16", "u32")  # what stands beside a whole number
_WHOLES = ("u16", "u32", "i32")
_FRACTION_POWERS = (-1, -2, -3, -4)


@dataclass(frozen=True, slots=True)
class Shown:
    """The number on the display and the weight of its last digit."""

    number: Decimal
    last: Decimal

    @property
    def digits(self) -> int:
        """Its significant digits."""
        return len(str(int(abs(self.number / self.last)) or "").lstrip("0"))


def shown_of(text: str) -> Shown:
    """The number as typed. Raises ValueError."""
    try:
        number = Decimal(text)
    except ArithmeticError as error:
        raise ValueError(text) from error
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent > 0:
        raise ValueError(text)
    return Shown(number, Decimal(1).scaleb(exponent))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to read the bytes: `specs` are one item, or a whole number and its fraction; `scales` what each of them
    is multiplied by; `value` the sum of the raw numbers so scaled; `fit` what the value is multiplied by to be the
    number on the display, None when it is not it. `rank` orders the fits: the lower, the less is needed.
    """

    specs: tuple[Spec, ...]
    scales: tuple[Decimal, ...]
    raw: bytes
    value: RawValue
    is_plausible: bool
    fit: Decimal | None = None
    rank: int = 0


def rows_of(specs: Iterable[Spec], image: Image, driver: Driver, shown: Shown | None) -> list[Row]:
    """All ways to read `image`, in the order of `specs`; pairs, which only a number on a display asks for, last."""
    rows = _with_likely_orders(list(_single(specs, image, driver, shown)))
    if shown is not None:
        rows += list(_pairs(rows, shown))
    return rows


def fitting(rows: Sequence[Row]) -> list[Row]:
    """Those that are the number on the display, the likeliest first."""
    return sorted((row for row in rows if row.fit is not None), key=lambda row: (row.rank, not row.is_plausible))


def _with_likely_orders(rows: Sequence[Row]) -> list[Row]:
    """Of a whole number in its word orders only the least is plausible: totals do not fill their registers."""
    least: dict[tuple[object, ...], Decimal] = {}
    for row in rows:
        if row.is_plausible and _is_ordered(row) and isinstance(row.value, Decimal):
            least[_place(row)] = min(row.value, least.get(_place(row), row.value))
    return [
        replace(row, is_plausible=False)
        if row.is_plausible and _is_ordered(row) and row.value != least[_place(row)]
        else row
        for row in rows
    ]


def _is_ordered(row: Row) -> bool:
    return str(row.specs[0].get("type", "")).startswith(("u", "bcd")) and "order" in row.specs[0]


def _place(row: Row) -> tuple[object, ...]:
    (spec,) = row.specs
    return spec["table"], spec["register"], spec["type"]


def _single(specs: Iterable[Spec], image: Image, driver: Driver, shown: Shown | None) -> Iterator[Row]:
    for spec in specs:
        item: Any = driver.item(spec)
        data: bytes | None = item.taken(image)
        if data is None:
            continue
        value: RawValue = item.decode(data)
        fit, rank = (None, 0) if shown is None else _fit(value, shown)
        plausible = _is_plausible(spec, value)
        yield Row(
            specs=(spec,), scales=(Decimal(1),), raw=data, value=value, is_plausible=plausible, fit=fit, rank=rank
        )


def _fit(value: RawValue, shown: Shown) -> tuple[Decimal | None, int]:
    """The simplest factor that makes `value` the number shown, within its last digit, and how simple it is."""
    if isinstance(value, NoValue) or not value:
        return (Decimal(1), 0) if value == 0 == shown.number else (None, 0)
    with localcontext(_EXACT):
        for rank, power in enumerate(_POWERS):
            factor = Decimal(1).scaleb(power)
            if _is_shown(value * factor, shown):
                return factor, rank
        for rank, factor in enumerate(_UNITS, len(_POWERS)):
            if _is_shown(value * factor, shown):
                return _SCALE_DIGITS.plus(factor).normalize(), rank
    return None, 0


def _is_shown(number: Decimal, shown: Shown) -> bool:
    """Cut or rounded, it is what the display shows."""
    return abs(number - shown.number) < shown.last


def _pairs(rows: Sequence[Row], shown: Shown) -> Iterator[Row]:
    """Whole numbers with a fraction in the registers behind them, where only both together are the number."""
    by_place: dict[tuple[object, object], list[Row]] = {}
    for row in rows:
        (spec,) = row.specs
        by_place.setdefault((spec.get("table"), spec.get("register")), []).append(row)
    for whole in rows:
        (spec,) = whole.specs
        if spec.get("type") not in _WHOLES or whole.fit is not None or not isinstance(whole.value, Decimal):
            continue
        behind = (spec["table"], spec["register"] + len(whole.raw) // 2)
        for fraction in by_place.get(behind, ()):
            if fraction.specs[0]["type"] in _FRACTIONS and fraction.specs[0]["order"] == spec["order"]:
                yield from _pair(whole, fraction, shown)


def _pair(whole: Row, fraction: Row, shown: Shown) -> Iterator[Row]:
    if not isinstance(whole.value, Decimal) or not isinstance(fraction.value, Decimal) or not fraction.value:
        return
    is_float = fraction.specs[0]["type"] == "f32"
    for power in (0,) if is_float else _FRACTION_POWERS:
        part = fraction.value.scaleb(power)
        if not 0 < part < 1:
            continue
        fit, rank = _fit(whole.value + part, shown)
        if fit is not None:
            yield Row(
                specs=(*whole.specs, *fraction.specs),
                scales=(Decimal(1), Decimal(1).scaleb(power)),
                raw=whole.raw + fraction.raw,
                value=whole.value + part,
                is_plausible=whole.is_plausible,
                fit=fit,
                rank=rank + 1,
            )
            return


def _is_plausible(spec: Mapping[str, Any], value: RawValue) -> bool:
    """Whether a meter would mean that; what another row says with fewer registers is left to that one."""
    if isinstance(value, NoValue):
        return False
    kind = str(spec.get("type", ""))
    if kind[:1] == "f":
        value = abs(value)
    low, high = _PLAUSIBLE.get(kind, (value, value))
    is_odd = spec.get("signed") or (kind in _SHORT and spec.get("order", "abcd") != "abcd")
    return low <= value <= high and not is_odd
