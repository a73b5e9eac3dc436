"""Judges a round: OUT_OF_RANGE by the profile, NEGATIVE_DELTA by the counter's own past. Pure; drops nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from agent.entries import Entry
from agent.faults import FaultCode, FaultSink
from agent.model import Reason, Round
from agent.quantities import QUANTITIES

Baseline = Mapping[str, Decimal]
"""The last good value of each counter of one meter."""


class Anew(NamedTuple):
    """A counter's register begins anew: it was replaced or decided upon (`register` None: what comes next is the
    measure), or it rolled over from `fell_from` and has been booked up to `register`.
    """

    register: Decimal | None = None
    fell_from: Decimal = Decimal(0)

    def measure(self, last: Decimal) -> Decimal | None:
        """What the next value is held against instead of `last`; `last` itself where it is from after the rollover."""
        return last if self.register is not None and last < self.fell_from else self.register


_FAULTS = {
    Reason.OUT_OF_RANGE.value: FaultCode.METER_OUT_OF_RANGE,
    Reason.NEGATIVE_DELTA.value: FaultCode.METER_NEGATIVE_DELTA,
}


def qualify(
    entries: Sequence[Entry], found: Round, baseline: Baseline, doubts: Collection[str] = ()
) -> tuple[Round, Baseline]:
    """The round with its flags, and the baseline for the next one.

    A value out of range keeps its number and gets the flag. A counter below its last good value is flagged and the old
    baseline stays, until a rollover or a replacement is established. What is among the `doubts` is UNCONFIRMED, which
    says nothing against its being a baseline.
    """
    quality = dict(found.quality)
    after = dict(baseline)
    for entry, value in zip(entries, found.values, strict=True):
        if not isinstance(value, Decimal):
            continue
        reasons = []
        if (entry.low is not None and value < entry.low) or (entry.high is not None and value > entry.high):
            reasons.append(Reason.OUT_OF_RANGE.value)
        if QUANTITIES[entry.quantity].counter:
            last = baseline.get(entry.quantity)
            if last is not None and value < last:
                reasons.append(Reason.NEGATIVE_DELTA.value)
            if not reasons:
                after[entry.quantity] = value
        if entry.quantity in doubts:
            reasons.append(Reason.UNCONFIRMED.value)
        if reasons:
            quality[entry.quantity] = tuple(reasons)
    if quality == dict(found.quality):
        return found, after
    return replace(found, quality=quality), after


_EVERY = frozenset(_FAULTS.values())


class Judge:
    """Keeps the baselines of all meters and raises what the rules find. A meter's rounds come from one thread."""

    def __init__(
        self,
        *,
        faults: FaultSink,
        baseline: Callable[[str], Mapping[str, str]],
        begun: Callable[[str], Sequence[tuple[str, Anew]]] = lambda _: (),
    ) -> None:
        """`baseline` gives the last good counters of a meter as stored decimal text; asked once for each meter.

        `begun` gives, once each and in order, which of its registers begin anew; asked before each round.
        """
        self._faults = faults
        self._baseline = baseline
        self._begun = begun
        self._entries: dict[tuple[str, str], Sequence[Entry]] = {}
        self._baselines: dict[str, Baseline] = {}
        self._raised: dict[str, frozenset[FaultCode]] = {}
        self._doubts: dict[tuple[str, str], frozenset[str]] = {}

    def knows(
        self, meter: str, version: str, entries: Sequence[Entry], *, doubts: frozenset[str] = frozenset()
    ) -> None:
        """From now on rounds of `meter` under profile `version` are judged by `entries`; `doubts` are UNCONFIRMED.

        The baseline is asked for again: what another version made of the registers may have been another number.
        """
        self._entries[meter, version] = tuple(entries)
        self._doubts[meter, version] = doubts
        self._baselines.pop(meter, None)

    def doubts(self, meter: str, version: str, doubts: frozenset[str]) -> None:
        """From now on only these are UNCONFIRMED."""
        self._doubts[meter, version] = doubts

    def __call__(self, found: Round) -> Round:
        """The round with its flags."""
        meter = found.layout.meter
        entries = self._entries.get((meter, found.layout.version), ())
        if not entries:
            return found
        begun = self._begun(meter)
        if meter not in self._baselines:
            stored = self._baseline(meter)  # it knows of what has begun
            self._baselines[meter] = {quantity: Decimal(text) for quantity, text in stored.items()}
        elif begun:
            self._begin(meter, begun)
        doubts = self._doubts.get((meter, found.layout.version), frozenset())
        judged, self._baselines[meter] = qualify(entries, found, self._baselines[meter], doubts)
        if judged is not found or self._raised.get(meter, _EVERY):
            self._report(judged, meter)
        return judged

    def _begin(self, meter: str, begun: Sequence[tuple[str, Anew]]) -> None:
        baseline = dict(self._baselines[meter])
        for quantity, anew in begun:
            last = baseline.pop(quantity, None)
            measure = None if last is None else anew.measure(last)
            if measure is not None:
                baseline[quantity] = measure
        self._baselines[meter] = baseline

    def _report(self, judged: Round, meter: str) -> None:
        place = f"meter/{meter}"
        held: dict[FaultCode, dict[str, object]] = {}
        for quantity, reasons in judged.quality.items():
            value = judged.values[judged.layout.quantities.index(quantity)]
            for reason in reasons:
                if reason in _FAULTS:
                    last = self._baselines[meter].get(quantity, "")
                    held.setdefault(_FAULTS[reason], {"quantity": quantity, "value": value, "last": last})
        for code, evidence in held.items():
            self._faults.raised(code, place, **evidence)
        # What an earlier run left open is disproved, or found again, by the first round.
        for code in self._raised.get(meter, _EVERY) - set(held):
            self._faults.cleared(code, place)
        self._raised[meter] = frozenset(held)
