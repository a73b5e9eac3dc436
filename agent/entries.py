"""What a profile's entries are once checked: which items make a quantity, and how; what gives the meter away. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from drivers.contract import Item

_ONE, _ZERO = Decimal(1), Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One summand: an item and what its number is multiplied by."""

    item: Item
    scale: Decimal = _ONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A live multiplier: by `codes` (raw code to factor), as a power of ten, or the number itself."""

    item: Item
    codes: Mapping[int, Decimal] | None = None
    power_of_ten: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagTest:
    """When a status flag holds: a bit is one, or the number equals or differs from a value. One of them is given."""

    item: Item
    flag: str
    bit: int | None = None
    equals: int | None = None
    not_equals: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How one quantity is made: (sum of part x its scale) x product of factors x scale + offset, in its unit.

    Outside `low`…`high` (inclusive) it is OUT_OF_RANGE. Only the quantity `status` has `flags`, and nothing else.
    `digits` is how many decimals of the quantity's unit the display shows.
    """

    quantity: str
    parts: tuple[Part, ...] = ()
    factors: tuple[Factor, ...] = ()
    flags: tuple[FlagTest, ...] = ()
    scale: Decimal = _ONE
    offset: Decimal = _ZERO
    low: Decimal | None = None
    high: Decimal | None = None
    digits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One read by which this model of meter is known: its raw number is one of `among`, or lies in `low`…`high`
    (inclusive), or, where `own_address`, is the address the meter answers at.
    """

    item: Item
    among: frozenset[int] = frozenset()
    low: Decimal | None = None
    high: Decimal | None = None
    own_address: bool = False
