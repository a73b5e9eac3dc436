"""Whether what a meter answers gives it away as a certain model. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from agent.entries import Mark
from drivers.contract import Item, RawValue


def fits(marks: Iterable[Mark], raws: Mapping[Any, RawValue], *, address: str) -> bool:
    """Whether every mark holds for the meter at `address`, by the raw values of its items; False where one is missing.

    A profile without marks fits everything: whoever asks must know that it proves nothing.
    """
    return all(_holds(mark, raws.get(mark.item), address) for mark in marks)


def reads(marks: Iterable[Mark]) -> list[tuple[Item, ...]]:
    """What has to be read to tell, as bundles for `Driver.plan`."""
    return [(item,) for item in dict.fromkeys(mark.item for mark in marks)]


def typical(mark: Mark, address: str) -> Decimal:
    """A raw number that holds for `mark`, for simulated meters."""
    if mark.own_address:
        return Decimal(address)
    if mark.among:
        return Decimal(max(mark.among))
    limits = [limit for limit in (mark.low, mark.high) if limit is not None]
    return (sum(limits, Decimal(0)) / len(limits)).to_integral_value()


def _holds(mark: Mark, raw: RawValue | None, address: str) -> bool:
    if not isinstance(raw, Decimal):
        return False
    if mark.own_address:
        return address.isdecimal() and raw == Decimal(address)
    if mark.among:
        return raw in mark.among
    return (mark.low is None or mark.low <= raw) and (mark.high is None or raw <= mark.high)
