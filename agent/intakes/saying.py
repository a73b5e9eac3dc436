"""What an account says: the readings of an intake for each booked interval and each closed hour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from agent.derive.exact import MS_PER_HOUR, ZERO
from agent.derive.flags import Flag
from agent.intakes.closing import Hour
from agent.intakes.memory import Memory
from agent.intakes.outcome import OPEN, Closed, Derived, Outcome
from agent.intakes.proof import (
    ORIGIN_DERIVED,
    ORIGIN_MANUAL,
    ORIGIN_MEASURED,
    booked_proof,
    canonical,
    closing_proof,
    reopened_proof,
)
from agent.intakes.scene import Done, Scene
from agent.model import Value
from agent.rules.contract import Judgement

FLOW, WITHDRAWN, PUMPING = "flow_rate", "volume_withdrawn", "energy_pumping"
HOUR, DAY = "volume_hour", "volume_day"

Said = dict[str, tuple[Value, tuple[str, ...]]]
"""Values by quantity with their words; one that is missing says at least why."""


def now(scene: Scene, memory: Memory, done: Done, judged: Judgement, *, at_ms: int, is_manual: bool) -> Derived:
    """The reading of a booked interval. One that booked nothing has no volume, and its words."""
    source, booked = done.source, done.booked
    origin = ORIGIN_MANUAL if is_manual else ORIGIN_DERIVED if source.water is None else ORIGIN_MEASURED
    words = tuple(dict.fromkeys((*map(str, booked.flags), *done.remarks)))
    said: Said = {
        FLOW: _flow(scene, memory, at_ms),
        WITHDRAWN: (None if booked.volume_m3 is None else scene.total_m3(memory), words),
    }
    if source.energy is not None:
        pumping_kwh = memory.retired.pumping_kwh + scene.track(memory, source).totals.pumping_kwh
        said[PUMPING] = (None if booked.energy_kwh is None else pumping_kwh, words)
    proof = booked_proof(source.meter, booked, origin=origin, judged=judged, software=scene.software)
    return _derived(at_ms, source.period_ms, said, proof)


def _flow(scene: Scene, memory: Memory, at_ms: int) -> tuple[Value, tuple[str, ...]]:
    """The flow through all registers that count, while each of them spoke lately."""
    values: list[Decimal | None] = []
    words: list[str] = []
    for source in scene.sources:
        if not source.counts:
            continue
        flow = memory.flows.get(source.key)
        if flow is None or abs(at_ms - flow.at_ms) > source.period_ms + source.period_ms // 2:
            return None, (str(Flag.GAP),)
        values.append(flow.value_m3h)
        words.extend(flow.reasons)
    known = [value for value in values if value is not None]
    return sum(known, ZERO) if len(known) == len(values) else None, tuple(dict.fromkeys(words))


def closings(
    scene: Scene, closed: Sequence[Hour], judged: Judgement, before: Memory, rules: str | None
) -> Iterator[Outcome]:
    """Each closed hour with its reading; at midnight with the account as it was `before`, and its `rules`."""
    state: str | None = None
    origin = ORIGIN_DERIVED if scene.settings.is_converted else ORIGIN_MEASURED
    for hour in closed:
        if hour.is_midnight and state is None:
            state = before.with_rules(rules).to_text()
        yield Closed(hour.at_ms, before.number, canonical(hour.body), state if hour.is_midnight else None)
        words, day_words = tuple(map(str, hour.flags)), tuple(map(str, hour.day_flags))
        said: Said = {WITHDRAWN: (hour.total_m3, words), HOUR: (hour.hour_m3, words)}
        if hour.is_midnight:
            said[DAY] = (hour.day_m3, day_words)
        proof = closing_proof(hour, origin=origin, judged=judged, software=scene.software)
        yield _derived(hour.at_ms, MS_PER_HOUR, said, proof)


def reopened(scene: Scene, at_ms: int, number: int, *, is_midnight: bool) -> Iterator[Outcome]:
    """An hour that was told as closed and, heard again up to round `number`, is open: its readings have no values."""
    yield Closed(at_ms, number, OPEN, None)
    quantities = (WITHDRAWN, HOUR, DAY) if is_midnight else (WITHDRAWN, HOUR)
    origin = ORIGIN_DERIVED if scene.settings.is_converted else ORIGIN_MEASURED
    proof = reopened_proof(origin=origin, software=scene.software)
    yield Derived(at_ms, MS_PER_HOUR, quantities, (None,) * len(quantities), {}, proof)


def _derived(at_ms: int, period_ms: int, said: Said, proof: str) -> Derived:
    quality = {
        quantity: words or (str(Flag.GAP),) for quantity, (value, words) in said.items() if words or value is None
    }
    values: tuple[Value, ...] = tuple(value for value, _ in said.values())
    return Derived(at_ms, period_ms, tuple(said), values, quality, proof)
