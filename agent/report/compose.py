"""`compose`: from the stored readings of a station's intakes to what a platform wants at a slot. Pure.

Strategy: readings are heard in the order of their numbers, and a slot is composed when every wanted reading has gone
past it, or its time for that is up: so what a report says depends on what is stored and not on when it was composed,
and a slot that was missed during an outage is composed later from the same rows. A slot takes the round of its own
time, else the nearest good one within one period, with that one's own time; else the value is missing, never guessed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from agent.model import INTAKE, MANUAL, StoredRound
from agent.quantities import STATUS
from agent.report.content import Content, Kind, Sample

_KEPT = 512  # readings of one quantity that are kept for slots to come
ALARMS = frozenset({"empty_pipe", "no_signal", "meter_fault", "excitation_fault", "level_meter_fault", "memory_fault",
                    "battery_low", "power_fault", "mains_lost", "door_open", "level_alarm", "flow_alarm",
                    "pressure_alarm", "volume_alarm"})  # fmt: skip
"""Flags of meters that are reported at once when they come or go: those that platforms have a bit for."""
FAULTS = frozenset({"METER-NO-REPLY", "LINE-DOWN", "LINE-HELD", "STORE-WRITE-FAILED", "STORE-FULL"})
"""The same of the agent's faults."""
NO_VALUES = frozenset({"METER-NO-REPLY", "METER-BAD-CHECKSUM", "METER-WRONG-ADDRESS", "METER-MALFORMED", "LINE-DOWN",
                       "LINE-HELD"})  # fmt: skip
"""Faults with which a meter gives no value (one that refuses an item still gives the others): it has failed."""
_STALE = 2  # periods after which a value is no longer what is known now
DOUBTFUL = frozenset({"UNCONFIRMED", "REVISED", "GAP", "ROLLOVER", "METER_SWAP", "PARTIAL_RUN", "APPORTIONED",
                       "ESTIMATED_SPLIT", "DUE_SOON", "PRORATED"})  # fmt: skip
"""Reasons with which a value still is one: how it was made, not that it is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A quantity of a channel, and the meter (or the intake) whose readings say it. `period_ms`: how often they come.

    `is_exact`: only a reading of the slot's own moment counts, as of hourly volumes.
    """

    channel: int
    quantity: str
    meter: str
    period_ms: int
    is_exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """When a value is reported at once: beyond `low` or `high`, or `change` away from the last one reported."""

    low: Decimal | None = None
    high: Decimal | None = None
    change: Decimal | None = None

    def over(self, other: Limit | None) -> Limit:
        """This limit where it says something, `other` where it does not."""
        if other is None:
            return self
        return Limit(
            low=other.low if self.low is None else self.low,
            high=other.high if self.high is None else self.high,
            change=other.change if self.change is None else self.change,
        )


class Seen(NamedTuple):
    """A good reading of one quantity."""

    at_ms: int
    text: str
    source: str
    origin: str
    quality: tuple[str, ...]


class Trigger(NamedTuple):
    """Why a report goes at once."""

    at_ms: int
    reason: str


class Composer:
    """Hears rounds and composes reports of one uplink; keeps a bounded number of readings of each wanted quantity.

    `sends_derived`: whether volumes made from electricity may go to this platform, which cannot mark them.
    """

    def __init__(
        self,
        wanted: Sequence[Wanted],
        *,
        sends_derived: bool,
        limits: Mapping[tuple[int, str], Limit] | None = None,
        watched: Iterable[str] = (),
    ) -> None:
        """`watched`: the meters of the intakes, whose flags are alarms even where no value is taken from them."""
        self._wanted = tuple(wanted)
        self._sends_derived = sends_derived
        self._limits = dict(limits or {})
        self._seen: dict[tuple[str, str], deque[Seen]] = {
            (each.meter, each.quantity): deque(maxlen=_KEPT) for each in wanted
        }
        self._meters = frozenset({*(each.meter for each in wanted), *watched})
        self._heard_ms: dict[str, int] = {}
        self._said_ms: dict[tuple[str, str], int] = {}  # when a quantity was last spoken of, with a value or without
        self._flags: dict[str, frozenset[str]] = {}
        self._reported: dict[tuple[int, str], Decimal] = {}
        self._beyond: dict[tuple[int, str], str] = {}

    def hear(self, found: StoredRound) -> list[Trigger]:
        """Takes in a stored round with a date; what has to be reported at once because of it."""
        meter = found.layout.meter
        if meter not in self._meters or found.at_ms is None:
            return []
        self._heard_ms[meter] = found.at_ms  # not the highest: a clock may be set back
        origin = origin_of(found)
        triggers: list[Trigger] = []
        for quantity, text in zip(found.layout.quantities, found.texts, strict=True):
            if quantity == STATUS:
                triggers += self._status(found, text)
            key = (meter, quantity)
            self._said_ms[key] = found.at_ms
            reasons = (found.quality or {}).get(quantity, ())
            if key in self._seen and text is not None and DOUBTFUL.issuperset(reasons):
                self._seen[key].append(Seen(found.at_ms, text, found.id, origin, reasons))
                triggers += self._crossed(meter, quantity, Decimal(text), found.at_ms)
        return triggers

    def limit(self, limits: Mapping[tuple[int, str], Limit]) -> None:
        """From now on these values are reported at once; what was beyond a limit that is no more is not any longer."""
        self._limits = dict(limits)
        self._beyond = {key: side for key, side in self._beyond.items() if key in self._limits}

    def hears(self, meter: str) -> bool:
        """Whether this meter's rounds matter here."""
        return meter in self._meters

    def next_near(self, slot_ms: int) -> int | None:
        """The first moment behind a slot for which there may be a value; None where nothing behind it was heard."""
        nears = (
            seen.at_ms - each.period_ms
            for each in self._wanted
            for seen in self._seen[each.meter, each.quantity]
            if seen.at_ms > slot_ms
        )
        return min(nears, default=None)

    def is_past(self, slot_ms: int) -> bool:
        """Whether what the slot takes is settled: its own reading is there, or its time has gone without one."""
        return all(self._is_settled(each, slot_ms) for each in self._wanted)

    def _is_settled(self, wanted: Wanted, slot_ms: int) -> bool:
        key = (wanted.meter, wanted.quantity)
        if wanted.is_exact:
            return self._said_ms.get(key, -1) >= slot_ms
        end_ms = slot_ms + wanted.period_ms
        if self._heard_ms.get(wanted.meter, -1) >= end_ms:
            return True
        return any(slot_ms <= seen.at_ms < end_ms for seen in reversed(self._seen[key]))

    def report(self, kind: Kind, slot_ms: int, alarms: Iterable[str], *, trigger: str = "") -> Content:
        """The report for a slot."""
        return Content(
            kind=kind,
            slot_ms=slot_ms,
            samples=tuple(self._sample(each, slot_ms) for each in self._wanted),
            alarms=tuple(sorted({*alarms, *self.flags()})),
            trigger=trigger,
        )

    def uniform(self, wanted: Wanted, slot_ms: int, every_ms: int, step_ms: int) -> Content:
        """One quantity in equal steps from the slot before (not in it) to this one."""
        moments = range(slot_ms - every_ms + step_ms, slot_ms + 1, step_ms)
        samples = (self._sample(wanted, at_ms)._replace(at_ms=at_ms) for at_ms in moments)
        return Content(kind=Kind.UNIFORM, slot_ms=slot_ms, samples=tuple(samples), step_ms=step_ms)

    def latest(self, at_ms: int, alarms: Iterable[str]) -> Content:
        """What is known now, each value with its own time: the answer to a real-time query. What is old is missing."""
        samples = []
        for each in self._wanted:
            seen = self._seen[each.meter, each.quantity]
            is_known = bool(seen) and abs(at_ms - seen[-1].at_ms) <= _STALE * each.period_ms
            samples.append(self._told(each, seen[-1] if is_known else None, at_ms))
        return Content(
            kind=Kind.TIMED,
            slot_ms=at_ms,
            samples=tuple(samples),
            alarms=tuple(sorted({*alarms, *self.flags()})),
        )

    def flags(self) -> frozenset[str]:
        """The status flags that meters show now, and limits that are crossed."""
        shown = frozenset().union(*self._flags.values()) if self._flags else frozenset[str]()
        return shown | frozenset(_alarm_of(quantity) for _, quantity in self._beyond)

    def expected(self) -> tuple[Wanted, ...]:
        """What a complete report holds."""
        return self._wanted

    def _sample(self, wanted: Wanted, slot_ms: int) -> Sample:
        return self._told(wanted, self._chosen(wanted, slot_ms), slot_ms)

    def _told(self, wanted: Wanted, seen: Seen | None, at_ms: int) -> Sample:
        if seen is None:
            return Sample(wanted.channel, wanted.quantity, None, at_ms, "", "", ("MISSING",))
        if seen.origin == "derived" and not self._sends_derived:
            return Sample(wanted.channel, wanted.quantity, None, at_ms, seen.origin, seen.source, ("DERIVED",))
        return Sample(wanted.channel, wanted.quantity, seen.text, seen.at_ms, seen.origin, seen.source, seen.quality)

    def _chosen(self, wanted: Wanted, slot_ms: int) -> Seen | None:
        readings = self._seen[wanted.meter, wanted.quantity]
        if wanted.is_exact:
            return next((each for each in reversed(readings) if each.at_ms == slot_ms), None)
        own = next((each for each in readings if slot_ms <= each.at_ms < slot_ms + wanted.period_ms), None)
        near = [each for each in readings if abs(each.at_ms - slot_ms) <= wanted.period_ms]
        return own or min(near, key=lambda each: (abs(each.at_ms - slot_ms), each.at_ms), default=None)

    def _status(self, found: StoredRound, text: str | None) -> list[Trigger]:
        """Flags that meters show; each that comes or goes is reported."""
        if text is None:
            return []
        mask, meter = int(text), found.layout.meter
        flags = frozenset(flag for bit, flag in enumerate(found.layout.flags) if mask >> bit & 1)
        before = self._flags.get(meter)
        self._flags[meter] = flags
        assert found.at_ms is not None
        changed = frozenset[str]() if before is None else (before ^ flags) & ALARMS
        return [Trigger(found.at_ms, f"{'+' if flag in flags else '-'}{flag}") for flag in sorted(changed)]

    def _crossed(self, meter: str, quantity: str, value: Decimal, at_ms: int) -> list[Trigger]:
        triggers: list[Trigger] = []
        for each in self._wanted:
            found: list[Trigger] = []
            key = (each.channel, quantity)
            if each.meter != meter or each.quantity != quantity or key not in self._limits:
                continue
            limit = self._limits[key]
            side = _side(limit, value)
            if side != self._beyond.get(key, ""):
                found.append(Trigger(at_ms, f"{quantity}{side}" if side else f"{quantity}="))
                self._beyond.pop(key, None)
                if side:
                    self._beyond[key] = side
            elif limit.change is not None and abs(value - self._reported.get(key, value)) >= limit.change:
                found.append(Trigger(at_ms, f"{quantity}~"))
            if found or key not in self._reported:
                self._reported[key] = value
            triggers += found
        return triggers


def _side(limit: Limit, value: Decimal) -> str:
    if limit.high is not None and value > limit.high:
        return f">{limit.high}"
    return f"<{limit.low}" if limit.low is not None and value < limit.low else ""


def _alarm_of(quantity: str) -> str:
    """The alarm of a limit that is crossed: flow_alarm, level_alarm, pressure_alarm …"""
    return f"{quantity.partition('_')[0]}_alarm"


def origin_of(found: StoredRound) -> str:
    """Whether a round's values were measured, derived from electricity, or entered by hand."""
    if found.layout.protocol == INTAKE and found.proof is not None:
        return str(json.loads(found.proof).get("origin", "measured"))
    return "manual" if found.layout.protocol == MANUAL else "measured"
