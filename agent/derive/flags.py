"""The words that a derived value carries, and what each of them says about its quality.

Source: the words of the electricity-to-water algorithm (§9.3, §9.5, §10) and a few of our own, which say so.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from types import MappingProxyType


class Flag(StrEnum):
    """Why a derived value is not plainly a measured one."""

    ROLLOVER = "ROLLOVER"  # the register passed its capacity once
    NEGATIVE_DELTA = "NEGATIVE_DELTA"  # the register fell: no value, the old baseline stays
    ENERGY_IMPLAUSIBLE = "ENERGY_IMPLAUSIBLE"  # more than rated power × time × overload factor; booked all the same
    METER_SWAP = "METER_SWAP"
    REVERSE_ENERGY = "REVERSE_ENERGY"  # the reverse register grew: wiring or back-spin
    AUX_EXCEEDS_TOTAL = "AUX_EXCEEDS_TOTAL"
    PARTIAL_RUN = "PARTIAL_RUN"  # the pump ran in a part of a long interval
    APPORTIONED = "APPORTIONED"  # several pumps ran on one meter
    ESTIMATED_SPLIT = "ESTIMATED_SPLIT"  # the coefficient changed inside the interval, energy split by time
    SHORT_RUNS = "SHORT_RUNS"  # the run ended before the level was stable
    HEAD_EXTRAPOLATED = "HEAD_EXTRAPOLATED"
    HEAD_FALLBACK = "HEAD_FALLBACK"  # a head model was in force, its sensor was not there
    GAP = "GAP"  # booked over a time without readings
    BOUNDARY_OFFSET = "BOUNDARY_OFFSET"  # no readings near enough to the boundary
    COEF_STALE = "COEF_STALE"  # the running power moved away from the calibration's
    NOT_YET_VALID = "NOT_YET_VALID"  # no coefficient yet: energy only
    DUE_SOON = "DUE_SOON"
    EXPIRED_GRACE = "EXPIRED_GRACE"
    EXPIRED = "EXPIRED"
    # Ours: what the algorithm describes without giving it a word.
    JUMPED = "JUMPED"  # grew more than it can: held until the next reading confirms or disproves it
    REVERSE_FLOW = "REVERSE_FLOW"  # fell by no more than can run back; counts on once it is above the old reading
    WRAPS_UNKNOWN = "WRAPS_UNKNOWN"  # a gap so long that the register may have passed its capacity several times
    REGISTER_RESET = "REGISTER_RESET"  # an event or an operator set the baseline anew
    EVENT_LATE = "EVENT_LATE"  # the event lies before what is booked already: derive again from the rounds
    MULTIPLIER_CHANGED = "MULTIPLIER_CHANGED"  # the archive's multiplier is not the one in force; no event explains it
    CLOCK = "CLOCK"  # not later than the reading before
    HEAD_ESTIMATED = "HEAD_ESTIMATED"  # the level changed much in a gap: the calibration's middle level was used
    CURVE_EXTRAPOLATED = "CURVE_EXTRAPOLATED"  # outside the table
    CURVE_FALLBACK = "CURVE_FALLBACK"  # the table could not be used: no frequency, or another interval length
    NO_COEFFICIENT = "NO_COEFFICIENT"  # nothing to convert with: energy only
    NOT_APPORTIONED = "NOT_APPORTIONED"  # several pumps on the meter and no run times: energy only


class Qartod(IntEnum):
    """The quality levels of IOOS QARTOD."""

    PASS = 1
    NOT_EVALUATED = 2
    SUSPECT = 3
    FAIL = 4
    MISSING = 9


_FAIL = (Flag.NEGATIVE_DELTA, Flag.WRAPS_UNKNOWN, Flag.EXPIRED, Flag.MULTIPLIER_CHANGED, Flag.EVENT_LATE)
_PASS = (
    Flag.ROLLOVER, Flag.METER_SWAP, Flag.PARTIAL_RUN, Flag.APPORTIONED, Flag.ESTIMATED_SPLIT, Flag.DUE_SOON, Flag.GAP,
)  # fmt: skip

QARTOD = MappingProxyType(
    {flag: Qartod.FAIL if flag in _FAIL else Qartod.PASS if flag in _PASS else Qartod.SUSPECT for flag in Flag}
)
"""What each word means for the value: passed with a remark, suspect, or failed."""


def worst(flags: Iterable[Flag]) -> Qartod:
    """The level of a value that carries these words: 4 before 3 before 1."""
    return max((QARTOD[flag] for flag in flags), default=Qartod.PASS)
