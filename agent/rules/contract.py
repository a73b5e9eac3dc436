"""What an intake's account shows the quality rules after each of its inputs, and what they answer. Pure data.

The account calls `Rules.look` once for every dated round and every declaration that it takes in, in its own order,
after it has booked. The same glances give the same judgements, whether or not the state went through its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple, Protocol

from agent.derive.crosscheck import Run
from agent.derive.flags import Flag
from agent.intakes.outcome import Declared, Found, Heard


class Step(NamedTuple):
    """What one of the intake's counters made of a round or an event: an interval, booked or not (amounts None).

    `meter` and `quantity` name the register; a water source has only a volume, an energy source an energy, the part of
    it that pumped, and the volume that its coefficients make of it. `held` is what the register grew by where that was
    not booked (m³ or kWh, below 0 where it fell).
    """

    meter: str
    quantity: str
    begin_ms: int
    end_ms: int
    volume_m3: Decimal | None = None
    energy_kwh: Decimal | None = None
    pumping_kwh: Decimal | None = None
    flags: tuple[Flag, ...] = ()
    held: Decimal | None = None


class Standing(NamedTuple):
    """Where the intake stood at a full local hour (UTC ms): totals since the account began, as in its closing."""

    at_ms: int
    volume_m3: Decimal
    pumping_kwh: Decimal | None = None


class Ran(NamedTuple):
    """A run that has ended. `run.volume_m3` is what the coefficient makes of it, `run.water_m3` what a meter counted.

    `coefficient` is `id@version`, `p_run_kw` the running power at its calibration, `tc` its plain m³/kWh, None without.
    """

    run: Run
    coefficient: str
    p_run_kw: Decimal | None = None
    tc: Decimal | None = None


class Glance(NamedTuple):
    """One input of an account and what became of it. Exactly one of `heard` and `declared` is there.

    `standings` are the closings that this input settled, in order; `total_m3` is the running total after it.
    """

    heard: Heard | None
    declared: Declared | None
    steps: tuple[Step, ...] = ()
    standings: tuple[Standing, ...] = ()
    ran: tuple[Ran, ...] = ()
    total_m3: Decimal = Decimal(0)


class Judgement(NamedTuple):
    """What the rules say: findings that begin, worsen or end; the QARTOD level per rule that had something to judge.

    `level` is their roll-up for the reading that follows from this input: 4 before 3 before 1, 9 where it is absent, 2
    where nothing was judged. Rules about duties (R5, R17 … R20) are no part of it: a volume above a permit is no worse
    for it.
    """

    findings: tuple[Found, ...]
    levels: Mapping[str, int]
    level: int


class Rules(Protocol):
    """The rules of one intake with what they remember."""

    def look(self, glance: Glance) -> Judgement:
        """Judges one input."""
        ...

    def to_text(self) -> str:
        """Everything they remember, as one line of JSON."""
        ...
