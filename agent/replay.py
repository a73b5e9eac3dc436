"""Replays the frames of a profile: recorded replies become a meter's memory, and each quantity is read from it. Pure.

The frames need not be the requests that we would plan: a recording proves registers; the profile says what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agent.decode import bundles, values
from agent.entries import Entry
from agent.model import Value
from agent.settings import FrameTest, Profile
from drivers.contract import Driver, RawValue, Refused, Reply, WireError

UNCOVERED = "NOT_IN_FRAMES"
"""The reason of a field whose registers are not all in the frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One expected quantity: what the test says and what the frames gave, as text; None: no value, see `reason`."""

    quantity: str
    expected: str | None
    found: str | None
    reason: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One test: its fields, or the error of a frame that is not sound."""

    test: FrameTest
    fields: tuple[Field, ...]
    error: WireError | None = None

    @property
    def passed(self) -> bool:
        """Whether every field came out as expected."""
        return self.error is None and all(field.passed for field in self.fields)


def replayed(profile: Profile, driver: Driver) -> tuple[Outcome, ...]:
    """The outcome of each of the profile's tests; `driver` is its protocol's."""
    return tuple(_outcome(profile, test, driver) for test in profile.tests)


def _outcome(profile: Profile, test: FrameTest, driver: Driver) -> Outcome:
    memory: dict[str, Any] = {}
    try:
        for request, reply in test.exchanges:
            _merge(memory, driver.recall(request, reply))
    except WireError as error:
        return Outcome(test=test, fields=(), error=error)
    fields = []
    for quantity, expected in test.expect.items():
        entry = profile.entry(quantity)
        assert entry is not None, "profiles.py lets no test expect what is no item"
        raws = _raws(entry, memory, driver)
        fields.append(_field(entry, expected, raws))
    return Outcome(test=test, fields=tuple(fields))


def _field(entry: Entry, expected: str | tuple[str, ...] | None, raws: Mapping[Any, RawValue] | None) -> Field:
    if raws is None:
        value, reason, passed = None, UNCOVERED, False
    else:
        (value,), quality = values([entry], raws)
        reason = " ".join(quality.get(entry.quantity, ()))
        passed = _is_same(value, expected)
    wanted = " ".join(expected) if isinstance(expected, tuple) else expected
    return Field(quantity=entry.quantity, expected=wanted, found=value_text(value), reason=reason, passed=passed)


def value_text(value: Value) -> str | None:
    """A value as text: decimal without exponent, flags by name; None stays None."""
    match value:
        case None:
            return None
        case Decimal():
            return f"{value.normalize():f}"
        case _:
            return " ".join(sorted(value))


def _is_same(value: Value, expected: str | tuple[str, ...] | None) -> bool:
    match expected:
        case None:
            return value is None
        case tuple():
            return value == frozenset(expected)
        case _:
            return isinstance(value, Decimal) and value == Decimal(expected)


def _raws(entry: Entry, memory: Mapping[str, Any], driver: Driver) -> dict[Any, RawValue] | None:
    """The raw values the entry needs; None when the frames do not hold all of them."""
    needed = {item for bundle in bundles([entry]) for item in bundle}
    raws: dict[Any, RawValue] = {}
    for address in memory:
        for item in needed:  # each by itself: a recording may hold them in different frames
            (ask,) = driver.plan(address, [(item,)], {})
            exchange = ask.begin(0)
            try:
                reply = exchange.receive(driver.answer(exchange.request, memory))
            except Refused:
                return None
            assert isinstance(reply, Reply), "a memory answers at once"
            raws[item] = reply.values[0]
    return raws if needed <= raws.keys() else None


def _merge(memory: dict[str, Any], more: Mapping[Any, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _merge(memory.setdefault(key, {}), value)
        else:
            memory[key] = value
