"""Numbers, spans and days as a person types them into a command. Pure."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation

_SPAN = re.compile(r"\s*([\d.]+)\s*(?:-|–|~|…|\.\.\.?)\s*([\d.]+)\s*")


def day_of(text: str) -> date:
    """YYYY-MM-DD. Raises: ValueError."""
    return date.fromisoformat(text)


def person(text: str) -> str:
    """A name that is not blank. Raises: ValueError."""
    if not text.strip():
        raise ValueError(text)
    return text.strip()


def number(text: str) -> Decimal:
    """A finite number. Raises: ValueError."""
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(text) from error
    if not value.is_finite():
        raise ValueError(text)
    return value


def positive(text: str) -> Decimal:
    """A number above 0. Raises: ValueError."""
    value = number(text)
    if value <= 0:
        raise ValueError(text)
    return value


def percentage(text: str) -> Decimal:
    """A number above 0, in per cent with or without the sign, as a fraction. Raises: ValueError."""
    return positive(text.rstrip("%％ ")) / 100


def span(text: str) -> tuple[Decimal, Decimal]:
    """LOW-HIGH, both above 0. Raises: ValueError."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(text)
    low, high = positive(found[1]), positive(found[2])
    if low > high:
        raise ValueError(text)
    return low, high


def ratio(text: str) -> Decimal:
    """A transformer's ratio, 100/5 or 20. Raises: ValueError."""
    first, slash, second = text.partition("/")
    return positive(first) / positive(second) if slash else positive(text)
