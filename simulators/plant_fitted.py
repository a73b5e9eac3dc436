"""What a meter in the pump house makes of the plant's readings: registers that end, transformers, swaps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_DOWN, Decimal

from agent.quantities import QUANTITIES
from simulators.plant_form import FittedForm

_THROUGH_CT = frozenset({"energy_import", "energy_export", "power", "current_a", "current_b", "current_c"})
_LAST_PLACE = Decimal("0.001")
_ONE = Decimal(1)


class Fitted:
    """One meter by its form; `starts` is what each of its totals showed when the plant was at 0."""

    def __init__(self, form: FittedForm, starts: Mapping[str, Decimal]) -> None:
        self._capacity = Decimal(10) ** form.digits
        self._ratio = form.ratio
        self._swaps = list(form.swaps)
        self._starts = dict(starts)
        self._before: dict[str, Decimal] = {}  # the plant's totals when the meter was fitted

    def shown(self, at_ms: int, quantities: Iterable[str], readings: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """What it shows of these quantities, `at_ms` after the plant's start; a swap that is due is made first."""
        while self._swaps and self._swaps[0].after <= at_ms:
            swap = self._swaps.pop(0)
            self._ratio = swap.ratio or self._ratio
            self._before = {name: value for name, value in readings.items() if is_total(name)}
            self._starts = dict.fromkeys(self._before, swap.starts)
        return {name: self._one(name, readings[name]) for name in quantities}

    def _one(self, name: str, value: Decimal) -> Decimal:
        ratio = self._ratio if name in _THROUGH_CT else _ONE
        if not is_total(name):
            return value if ratio == 1 else (value / ratio).quantize(_LAST_PLACE)
        grown = value - self._before.get(name, Decimal(0))
        if ratio != 1:
            grown = (grown / ratio).quantize(_LAST_PLACE, rounding=ROUND_DOWN)
        return (self._starts.get(name, Decimal(0)) + grown) % self._capacity


def is_total(quantity: str) -> bool:
    """Whether it is a sum over the meter's life."""
    return QUANTITIES[quantity].is_total
