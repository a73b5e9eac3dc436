"""What goes wrong between a pump house and its account: rounds in, rounds out. Times are UTC ms, half-open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from random import Random

from agent.intakes.outcome import Heard
from simulators.scenarios.scenario import Change

Values = Mapping[str, Decimal | frozenset[str]]


def _during(begin_ms: int, end_ms: int, meter: str, change: Callable[[Heard], Iterator[Heard]]) -> Change:
    def changed(rounds: Iterator[Heard]) -> Iterator[Heard]:
        for heard in rounds:
            if heard.meter == meter and begin_ms <= heard.at_ms < end_ms:
                yield from change(heard)
            else:
                yield heard

    return changed


def silent(begin_ms: int, end_ms: int, meter: str) -> Change:
    """The meter is asked and does not answer."""

    def without(heard: Heard) -> Iterator[Heard]:
        yield heard._replace(values={}, quality=dict.fromkeys(heard.values, ("NO_REPLY",)))

    return _during(begin_ms, end_ms, meter, without)


def missing(meter: str, share: float, seed: int) -> Change:
    """Single polls do not take place, never two running."""
    chance = Random(seed)

    def thinned(rounds: Iterator[Heard]) -> Iterator[Heard]:
        was_there = False
        for heard in rounds:
            if heard.meter != meter:
                yield heard
            elif was_there and chance.random() < share:
                was_there = False
            else:
                was_there = True
                yield heard

    return thinned


def set_back(at_ms: int, by_ms: int) -> Change:
    """The clock is set back once: what was taken from then on carries earlier times."""

    def shifted(rounds: Iterator[Heard]) -> Iterator[Heard]:
        for heard in rounds:
            yield heard._replace(at_ms=heard.at_ms - by_ms) if heard.at_ms >= at_ms else heard

    return shifted


def added(begin_ms: int, end_ms: int, meter: str, quantity: str, amount: Decimal) -> Change:
    """So much is added to what the meter shows."""

    def more(heard: Heard) -> Iterator[Heard]:
        value = heard.values[quantity]
        assert isinstance(value, Decimal)
        yield heard._replace(values={**heard.values, quantity: value + amount})

    return _during(begin_ms, end_ms, meter, more)


def shows(begin_ms: int, end_ms: int, meter: str, values: Values) -> Change:
    """The meter shows these values, whatever it showed."""

    def other(heard: Heard) -> Iterator[Heard]:
        yield heard._replace(values={**heard.values, **values})

    return _during(begin_ms, end_ms, meter, other)


def held(begin_ms: int, end_ms: int, meter: str, quantity: str) -> Change:
    """The meter goes on showing what it showed last."""
    last: list[Decimal | frozenset[str]] = []

    def same(heard: Heard) -> Iterator[Heard]:
        last[:] = last or [heard.values[quantity]]
        yield heard._replace(values={**heard.values, quantity: last[0]})

    return _during(begin_ms, end_ms, meter, same)


def lost(begin_ms: int, end_ms: int, meter: str, quantity: str) -> Change:
    """The register stands still, and goes on from there afterwards."""

    def behind(rounds: Iterator[Heard]) -> Iterator[Heard]:
        stood: Decimal | None = None
        short = Decimal(0)
        for heard in rounds:
            value = heard.values.get(quantity)
            if heard.meter != meter or heard.at_ms < begin_ms or not isinstance(value, Decimal):
                yield heard
                continue
            stood = value if stood is None else stood
            if heard.at_ms < end_ms:
                short = value - stood
            yield heard._replace(values={**heard.values, quantity: value - short})

    return behind


def only(meter: str, *quantities: str) -> Change:
    """The meter has no other quantities."""

    def fewer(rounds: Iterator[Heard]) -> Iterator[Heard]:
        for heard in rounds:
            kept = {name: value for name, value in heard.values.items() if name in quantities}
            yield heard._replace(values=kept) if heard.meter == meter else heard

    return fewer
