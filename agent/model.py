"""What flows along the line: layouts, rounds and stored rounds. Frozen; no behaviour beyond what the fields say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

Value = Decimal | frozenset[str] | None
"""A measured number in its quantity's unit, a set of flags for `status`, or None: a missing value has its reason."""

QualityMap = Mapping[str, tuple[str, ...]]
"""Quantity name to the reasons why its reading is not GOOD. A quantity that is not named is GOOD."""


INTAKE = "intake"
"""The protocol of rounds that no meter answered: an intake's account derived them.

Of their raw replies the first is the proof, the second the number of the last round whose outcomes were stored by then.
"""

MANUAL = "manual"
"""The protocol of rounds that a person read from a meter and entered; their one raw reply says who and how."""


class Reason(StrEnum):
    """Reasons that the agent itself finds (the drivers add their `NoValue` words)."""

    NO_REPLY = "NO_REPLY"
    BAD_CHECKSUM = "BAD_CHECKSUM"
    WRONG_ADDRESS = "WRONG_ADDRESS"
    MALFORMED = "MALFORMED"
    REFUSED = "REFUSED"  # the meter has no such register or identifier
    BUSY = "BUSY"  # the meter asked for more time, too often
    LINE_DOWN = "LINE_DOWN"  # the port or the connection is away
    UNKNOWN_CODE = "UNKNOWN_CODE"  # a unit or multiplier code that the profile does not list
    OUT_OF_RANGE = "OUT_OF_RANGE"
    NEGATIVE_DELTA = "NEGATIVE_DELTA"
    REVISED = "REVISED"  # a declaration that counts from earlier has changed it since it was first told
    SETTING_CHANGED = "SETTING_CHANGED"  # a unit or multiplier in the meter is not what it was in the round before
    UNCONFIRMED = "UNCONFIRMED"  # the profile leaves something open, and nobody has compared it with the display yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What the values of a round mean: stored once, referred to by each round.

    An intake's readings are rounds of `protocol` INTAKE whose `meter` is the intake.

    `quantities` gives the order of the values; `flags` the names behind the bits of a stored status value, lowest
    first; `requests` the request frames (transaction number 0) whose replies the round keeps raw, in order;
    `version` the profile's content hash; `period_ms` the poll period, from which the slot follows.
    """

    meter: str
    profile: str
    version: str
    protocol: str
    address: str
    quantities: tuple[str, ...]
    flags: tuple[str, ...]
    period_ms: int
    requests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One poll of one meter for one slot.

    `boot_ms` is when the meter fixed its registers (first byte of the first reply), in milliseconds of boot time;
    `values` and `raw` run parallel to the layout's `quantities` and `requests` (b"": nothing was received).
    """

    layout: Layout
    boot_ms: int
    values: tuple[Value, ...]
    quality: QualityMap
    raw: tuple[bytes, ...]


class StoredRound(NamedTuple):
    """A committed round as read back: a plain tuple, since a backlog is read by the million.

    `at_ms` is UTC in ms since 1970, None while its boot has no date. `texts` are the values as decimal text in the
    quantity's unit, None where there is none; a status value is the decimal text of its bit mask over
    `layout.flags`. `quality` is None when every reading is GOOD. `proof` is what an intake's reading rests on, as JSON;
    None for a meter's.
    """

    number: int
    id: str
    layout: Layout
    at_ms: int | None
    texts: tuple[str | None, ...]
    quality: QualityMap | None
    proof: str | None = None

    @property
    def slot_ms(self) -> int | None:
        """The scheduled time: the last whole multiple of the poll period at or before `at_ms`."""
        return None if self.at_ms is None else self.at_ms - self.at_ms % self.layout.period_ms


class Outcome(StrEnum):
    """What became of a delivery."""

    ACCEPTED = "ACCEPTED"
    RETRY = "RETRY"  # concerns us: not authorised, quota, busy, unspecified
    REJECTED = "REJECTED"  # concerns this message: format, topic, size


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The platform's word on the batch sent under `tag`. Only ACCEPTED takes a reading out of the queue."""

    tag: int
    outcome: Outcome
    reason: str = ""


Ranges = tuple[tuple[int, int | None], ...]
"""Unacknowledged round numbers: closed ranges, ascending and disjoint; the last one has an open end (None)."""
