"""What a profile leaves open, and when a number typed from the display has settled it. Pure.

Strategy: one comparison settles a unit. A total that agrees with the display proves address, type, word order and
scale for the totals of this meter, and says nothing of its flow. A zero agrees with every mistake: it proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from agent.quantities import QUANTITIES

_SHOWN = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{1,9})?")


def shown_number(text: str) -> Decimal | None:
    """The number typed from a display; None where that is no number, or zero."""
    return (Decimal(text) or None) if _SHOWN.fullmatch(text) else None


def is_shown(value: Decimal, shown: Decimal) -> bool:
    """Whether a display that shows `shown` may stand for `value`, rounded or cut at its last digit."""
    exponent = shown.as_tuple().exponent
    assert isinstance(exponent, int), "a number that was typed is finite"
    digit = Decimal(1).scaleb(exponent)
    sign = -1 if shown < 0 else 1
    return -digit / 2 <= value * sign - abs(shown) < digit


def matched(values: Mapping[str, object], shown: Decimal) -> tuple[str, ...]:
    """The quantities of a read (decimal texts; None and flags are passed over) that such a display may show."""
    return tuple(name for name, text in values.items() if isinstance(text, str) and is_shown(Decimal(text), shown))


def doubts(doubtful: Iterable[str], settled: Collection[str]) -> frozenset[str]:
    """Which of a profile's doubtful quantities are UNCONFIRMED while those in `settled` have been compared."""
    units = {QUANTITIES[name].unit for name in settled if name in QUANTITIES}
    return frozenset(name for name in doubtful if QUANTITIES[name].unit not in units)
