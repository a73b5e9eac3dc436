"""A meter's registers, set by quantity: the exact inverse of decoding, driven by the same profile.

What the registers can hold is what `values` says: a number finer than the meter's last digit is cut there, and
`values` is what an exact reader must get.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

from agent.entries import Entry
from agent.model import Value
from simulators.meters import registers
from simulators.meters.inverse import CannotShowError, Raws, flag_raws, meaning, number_raws
from simulators.meters.registers import Memory

Given = Decimal | int | str | Iterable[str]
"""A value as people give it: a number, its text, or the flags of a status (a list, or words apart by spaces)."""


class Snapshot:
    """The registers at one moment and what they mean. Never changes."""

    def __init__(
        self, entries: Sequence[Entry], raws: Raws, memory: Memory, *, without: frozenset[str] = frozenset()
    ) -> None:
        self._entries = entries
        self._without = without
        self.raws = raws
        self.memory = memory

    @cached_property
    def values(self) -> Mapping[str, Value]:
        """What an exact reader gets from these registers, in each quantity's unit."""
        return {
            entry.quantity: None if entry.quantity in self._without else meaning(entry, self.raws)
            for entry in self._entries
        }

    def with_memory(self, memory: Memory, *, without: Iterable[str] = ()) -> Snapshot:
        """The same values in other registers, except those that the registers no longer show."""
        return Snapshot(self._entries, self.raws, memory, without=self._without | frozenset(without))


class MeterImage:
    """The registers of one meter. Safe to set from any thread; a reader never sees half an update.

    `preset` registers ({table: {register: word}}) are as given, those of unit codes included; codes it does not give
    are chosen once, for the values given here. `marks` are further items and their raw numbers, where nothing else
    stands in their place. With `gaps` the registers between those of the profile hold 0;
    otherwise the meter refuses requests that touch them.

    Raises:
        KeyError: `values` has a quantity that this meter does not measure.
        CannotShowError: a value does not fit.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        values: Mapping[str, Given] | None = None,
        *,
        preset: Mapping[str, Mapping[int, int]] | None = None,
        gaps: bool = False,
        marks: Mapping[Any, Decimal] | None = None,
    ) -> None:
        self.entries = {entry.quantity: entry for entry in entries}
        self._lock = threading.Lock()
        self._shared = _shared_factors(entries)
        self._marks = dict(marks or {})
        items = dict.fromkeys(item for entry in entries for item in items_of(entry))
        memory: Memory = {name: dict(words) for name, words in (preset or {}).items()}
        self._preset = dict(_decoded(memory, items))
        self._fixed = dict(self._preset)
        raws = self._first_raws(values or {}, items)
        memory = registers.written(memory, ((item, item.encode(raw)) for item, raw in raws.items()))
        for item, raw in self._marks.items():
            if item.taken(memory) is None:
                memory = registers.written(memory, [(item, item.encode(raw))])
        self._snapshot = Snapshot(tuple(entries), raws, registers.with_gaps(memory) if gaps else memory)

    @property
    def snapshot(self) -> Snapshot:
        """Registers and values as they are now."""
        return self._snapshot

    @property
    def values(self) -> Mapping[str, Value]:
        """What an exact reader gets now."""
        return self._snapshot.values

    def memory(self) -> Memory:
        """The registers now, for `Driver.answer`; they are never changed in place."""
        return self._snapshot.memory

    def set(self, quantity: str, value: Given) -> None:
        """Shows `value`. Raises KeyError for a quantity it does not measure, CannotShowError when it does not fit."""
        self.update({quantity: value})

    def update(self, values: Mapping[str, Given]) -> None:
        """Shows all `values` at once. Raises as `set` does, and then changes nothing."""
        with self._lock:
            self._snapshot = self.altered(self._snapshot, values)

    def altered(self, snapshot: Snapshot, values: Mapping[str, Given]) -> Snapshot:
        """`snapshot` with other values; this image stays as it is. Raises as `set` does."""
        raws: Raws = {}
        for quantity, value in values.items():
            raws |= self._raws(self.entries[quantity], value)
        changed = {item: raw for item, raw in raws.items() if raw != snapshot.raws[item]}
        memory = registers.written(snapshot.memory, ((item, item.encode(raw)) for item, raw in changed.items()))
        return Snapshot(tuple(self.entries.values()), snapshot.raws | changed, memory)

    def _first_raws(self, values: Mapping[str, Given], items: Iterable[Any]) -> Raws:
        """Given values decide first; what they leave open shows 0, or no flag."""
        decided: Raws = dict(self._preset)
        for quantity, value in values.items():
            raws = self._raws(self.entries[quantity], value)
            decided |= raws
            self._fixed |= {factor.item: raws[factor.item] for factor in self.entries[quantity].factors}
        for entry in self.entries.values():
            with contextlib.suppress(CannotShowError):  # a preset code that means nothing: then it has no value
                decided = self._raws(entry, () if entry.flags else Decimal(0)) | decided
            self._fixed |= {f.item: decided[f.item] for f in entry.factors if f.item in decided}
        return dict.fromkeys(items, Decimal(0)) | decided

    def _raws(self, entry: Entry, value: Given) -> Raws:
        if entry.flags:
            return self._resting(entry, flag_raws(entry, _flags(value)))
        number = _number(entry.quantity, value)
        try:
            return number_raws(entry, number, self._fixed)
        except CannotShowError:  # a direction register, a moved point: its own codes may change, shared ones not
            kept = {item: raw for item, raw in self._fixed.items() if item in self._preset or item in self._shared}
            return number_raws(entry, number, kept)

    def _resting(self, entry: Entry, raws: Raws) -> Raws:
        """A word that says "no flag" by a number of its own (pipe full) shows that one instead of 0."""
        resting = {item: self._marks[item] for item, raw in raws.items() if not raw and item in self._marks}
        wanted = meaning(entry, raws)
        return raws | {item: raw for item, raw in resting.items() if meaning(entry, raws | {item: raw}) == wanted}


def items_of(entry: Entry) -> Iterator[Any]:
    """Every item of an entry."""
    yield from (part.item for part in entry.parts)
    yield from (factor.item for factor in entry.factors)
    yield from (test.item for test in entry.flags)


def _decoded(memory: Memory, items: Iterable[Any]) -> Iterator[tuple[Any, Decimal]]:
    for item in items:
        data = item.taken(memory)
        raw = None if data is None else item.decode(data)
        if isinstance(raw, Decimal):
            yield item, raw


def _shared_factors(entries: Iterable[Entry]) -> frozenset[Any]:
    """Code registers that more than one quantity depends on."""
    uses = Counter(item for entry in entries for item in {factor.item for factor in entry.factors})
    return frozenset(item for item, count in uses.items() if count > 1)


def _flags(value: Given) -> frozenset[str]:
    if isinstance(value, Decimal | int):
        raise CannotShowError("sim-no-flags", value=str(value))
    return frozenset(value.split() if isinstance(value, str) else value)


def _number(quantity: str, value: Given) -> Decimal:
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation as error:
        raise CannotShowError("sim-no-number", quantity=quantity, value=str(value)) from error
    if not number.is_finite():
        raise CannotShowError("sim-no-number", quantity=quantity, value=str(value))
    return number
