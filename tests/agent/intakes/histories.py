"""Histories of three days for property tests: rounds, what people declare of them, and when the agent restarts."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from agent.intakes.settings import Channel
from tests.agent.intakes.rounds import (
    START,
    STEP,
    D,
    coefficient,
    converted,
    decision,
    heard,
    replacement,
    withdrawal,
)

MOMENT = st.integers(0, 3 * 288)


@st.composite
def histories(draw):
    """Three days of an energy meter with a pump that comes and goes, gaps, wrong readings, and what people declare."""
    steps = draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 120), st.integers(0, 40)), min_size=40, max_size=160)
    )
    rounds, register, at_ms = [], D("999950.00"), START + 7 * STEP + 1234
    for number, (gap, grown, odd) in enumerate(steps, 1):
        at_ms += STEP * (1 if gap < 3 else 1 + grown)
        register = (register + Decimal(grown).scaleb(-2)) % 1_000_000
        shown = D("123456") if odd == 0 else register
        values = {} if odd == 1 else {"energy_import": shown}
        meter = "depth" if odd in (2, 3) else "pump-kwh"
        rounds.append(
            heard(number, meter, at_ms, **({"depth_to_water": 30 + grown % 5} if meter == "depth" else values))
        )
    span = rounds[-1].at_ms - START
    places = draw(st.lists(st.integers(1, 40), min_size=0, max_size=4, unique=True))
    declared = [
        decision(10 + index, "pump-kwh", START + span * place // 40, "123456", None)
        for index, place in enumerate(places)
    ]
    swaps = draw(st.lists(st.integers(1, 39), min_size=0, max_size=2, unique=True))
    declared += [
        replacement(20 + index, "pump-kwh", START + span * place // 40 + 7, None, "5.00")
        for index, place in enumerate(swaps)
    ]
    wrong = draw(st.lists(st.sampled_from(declared), max_size=3, unique_by=lambda each: each.id)) if declared else []
    declared += [withdrawal(30 + index, each) for index, each in enumerate(wrong)]
    declared.append(coefficient(1))
    declared.append(coefficient(2, version=2, valid_from="2024-05-02", valid_to="2025-05-02", params={"tc": "3"}))
    order = draw(st.permutations(declared))
    when = [draw(st.integers(0, len(rounds))) for _ in order]
    restarts = draw(st.sets(st.integers(0, len(rounds)), max_size=8))
    return rounds, declared, list(zip(when, order, strict=True)), restarts


def site():
    return converted(depth=Channel(meter="depth", quantity="depth_to_water"))
