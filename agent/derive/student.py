"""Student's t for confidence intervals of few runs."""

from __future__ import annotations

import math
from decimal import Decimal
from functools import lru_cache

from agent.derive.exact import OutOfDomain

_STEPS = 200  # halvings; binary floating point has no more to give after about 60
_WIDEST = 1e4
_DIGITS = 10  # kept: libraries differ in the last bits, statistics do not need them


@lru_cache(maxsize=256)
def quantile_975(degrees: int) -> Decimal:
    """The t with 2.5 % above it, for whole degrees of freedom from 1 on, to 10 significant digits.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, 26.7.3 and 26.7.4 (finite series).
    Raises: OutOfDomain.
    """
    if degrees < 1:
        raise OutOfDomain("degrees of freedom", degrees, "1 or more")
    low, high = 0.0, _WIDEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _within(middle, degrees) < 0.95:  # noqa: PLR2004 - two-sided 95 %
            low = middle
        else:
            high = middle
    return Decimal(f"{high:.{_DIGITS}g}")


def _within(t: float, degrees: int) -> float:
    """The probability of −t…t."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0 if degrees == 1 else term
    for factor in range(2 + odd, degrees - 1, 2):
        term *= cosine * cosine * (factor - 1) / factor
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
