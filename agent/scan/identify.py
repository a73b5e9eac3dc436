"""Which profiles fit what a meter answers: by their marks where they have some, else by how much sense the values make.

Pure. A value counts by how unlikely it would be in a wrong map: a float of usual size in a register that holds
something else is a rare accident, an integer proves little, a zero next to nothing. A refusal, an unknown unit code or
a value outside its range speaks against the profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from agent import decode
from agent.entries import Entry
from agent.fingerprint import fits
from agent.model import Reason, Value
from agent.settings import Profile
from drivers.contract import NoValue, RawValue

Raws = Mapping[Any, RawValue | Reason]

_AGAINST = {
    Reason.UNKNOWN_CODE: -4.0,
    NoValue.NOT_BCD: -4.0,
    NoValue.NOT_A_NUMBER: -2.0,
    NoValue.NOT_AVAILABLE: -0.5,
}
_REFUSED = -3.0
_OUT_OF_RANGE = -4.0
_FRACTION, _WHOLE, _ZERO, _FLAGS = 3.0, 1.0, 0.25, 0.25
_CODE_KNOWN = 1.0
_SANE_LOW, _SANE_HIGH = Decimal("1e-6"), Decimal("1e10")  # of raw numbers that are not 0
_CLEAR_LEAD = 2.0
_ENOUGH = 3.0
_HOPELESS = -6.0


class Confidence(StrEnum):
    """How sure the best candidate is."""

    SURE = "sure"  # its marks are there, and nobody else's
    LIKELY = "likely"  # all values make sense, and more than anybody else's
    POSSIBLE = "possible"  # compare with the display


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A profile that may be the meter's: how much speaks for it, how many of its quantities came, and the values."""

    profile: str
    is_marked: bool
    score: float
    fitting: int
    quantities: int
    values: Mapping[str, Value]


def candidate(profile: Profile, raws: Raws, *, address: str) -> Candidate | None:
    """The profile judged by what was read of it; None when its marks are not there or more speaks against it."""
    is_marked = bool(profile.identify)
    if is_marked and not has_marks(profile, raws, address=address):
        return None
    values, quality = decode.values(profile.entries, raws)
    points = [
        _points(entry, value, quality.get(entry.quantity, ()), raws)
        for entry, value in zip(profile.entries, values, strict=True)
    ]
    score = sum(points)
    fitting = sum(each > 0 for each in points)
    if not fitting or (score <= 0 and not is_marked):
        return None
    return Candidate(
        profile=profile.name,
        is_marked=is_marked,
        score=score,
        fitting=fitting,
        quantities=len(points),
        values={entry.quantity: value for entry, value in zip(profile.entries, values, strict=True)},
    )


def has_marks(profile: Profile, raws: Raws, *, address: str) -> bool:
    """Whether everything by which the profile's meter is known was read as it should be."""
    numbers = {item: raw for item, raw in raws.items() if not isinstance(raw, Reason)}
    return fits(profile.identify, numbers, address=address)


def is_hopeless(profile: Profile, raws: Raws) -> bool:
    """Whether what was read so far speaks so much against the profile that the rest need not be read."""
    read = [
        entry for entry in profile.entries if all(item in raws for bundle in decode.bundles([entry]) for item in bundle)
    ]
    values, quality = decode.values(read, raws)
    against = 0.0
    for entry, value in zip(read, values, strict=True):
        against += min(0.0, _points(entry, value, quality.get(entry.quantity, ()), raws))
    return against <= _HOPELESS


def ranked(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The best first; those without marks only where nobody has them."""
    marked = [each for each in candidates if each.is_marked]
    return tuple(sorted(marked or candidates, key=lambda each: (-each.score, each.profile)))


def confidence(candidates: Sequence[Candidate]) -> Confidence:
    """How sure the first of the ranked `candidates` is."""
    best = candidates[0]
    second = max((each.score for each in candidates[1:]), default=0.0)
    if best.is_marked and len(candidates) == 1:
        return Confidence.SURE
    is_whole = best.fitting == best.quantities
    return Confidence.LIKELY if is_whole and best.score >= max(_ENOUGH, second + _CLEAR_LEAD) else Confidence.POSSIBLE


def _points(entry: Entry, value: Value, reasons: Sequence[str], raws: Raws) -> float:
    if value is None:
        return min((_AGAINST[word] for word in _AGAINST if word.value in reasons), default=_REFUSED)
    if not isinstance(value, Decimal):
        return _FLAGS
    if not _is_in_range(entry, value):
        return _OUT_OF_RANGE
    numbers = [raw for part in entry.parts if isinstance(raw := raws[part.item], Decimal)]
    if any(number and not _SANE_LOW <= abs(number) <= _SANE_HIGH for number in numbers):
        return _OUT_OF_RANGE
    known = _CODE_KNOWN * sum(factor.codes is not None for factor in entry.factors)
    if not any(numbers):
        return _ZERO + known
    has_fraction = any(number != number.to_integral_value() for number in numbers)
    return (_FRACTION if has_fraction else _WHOLE) + known


def _is_in_range(entry: Entry, value: Decimal) -> bool:
    return (entry.low is None or value >= entry.low) and (entry.high is None or value <= entry.high)
