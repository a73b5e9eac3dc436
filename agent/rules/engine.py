"""The rules R1–R21 of one intake: what each of an account's inputs says about readings, meters and duties.

Strategy: a pure machine beside the account. Each family of rules is a handful of small state machines over single
values; the engine shows them every input in the sheet's order (structural, physical, temporal, cross-sensor, duties),
lets `Episodes` make findings with beginning and end of what they say, and changes no value. Everything it remembers is
bounded and goes through its text digit for digit, so a restart between any two inputs changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from agent.derive.exact import OutOfDomain, exact, midnight_ms
from agent.derive.flags import Qartod
from agent.derive.text import from_text, to_text
from agent.intakes.outcome import Found, Heard
from agent.intakes.settings import IntakeSettings
from agent.rules.contract import Glance, Judgement, Standing, Step
from agent.rules.cross import Cross, CrossMemory
from agent.rules.duty import Duty, DutyMemory
from agent.rules.episodes import Episodes, Verdict
from agent.rules.motion import Motion, MotionMemory
from agent.rules.physical import Physical
from agent.rules.site import site_of
from agent.rules.structural import Structural, StructuralMemory
from agent.rules.temporal import Temporal, TemporalMemory

FORM = 1  # of the text; a later form is not read by an earlier program
_NEAR_MS = 7_200_000  # E9.5: readings further apart than two hours say nothing about the midnight between them


@dataclass(slots=True)
class DayMemory:
    """The local day so far: the last midnight, and for how long each register was read without a long silence."""

    midnight: Standing | None = None
    covered_ms: dict[str, int] = field(default_factory=dict)
    has_gap: bool = False


@dataclass(slots=True)
class Memory:
    """Everything that the rules remember of an intake."""

    form: int = FORM
    heard_ms: int = 0
    number: int = 0
    episodes: Episodes = field(default_factory=Episodes)
    motion: MotionMemory = field(default_factory=MotionMemory)
    structural: StructuralMemory = field(default_factory=StructuralMemory)
    temporal: TemporalMemory = field(default_factory=TemporalMemory)
    cross: CrossMemory = field(default_factory=CrossMemory)
    duty: DutyMemory = field(default_factory=DutyMemory)
    day: DayMemory = field(default_factory=DayMemory)


class RuleEngine:
    """The rules of one intake. Used by one thread."""

    def __init__(self, settings: IntakeSettings, text: str | None = None) -> None:
        """Begins, or goes on from what `to_text` gave. Raises: OutOfDomain when that is of another form."""
        self._memory = Memory() if text is None else _memory_of(text)
        memory, self._site = self._memory, site_of(settings)
        self._motion = Motion(self._site, memory.motion)
        self._structural = Structural(self._site, memory.structural)
        self._physical = Physical(self._site)
        self._temporal = Temporal(self._site, memory.temporal, self._motion)
        self._cross = Cross(self._site, memory.cross, self._motion)
        self._duty = Duty(self._site, memory.duty)
        self._is_taken_up = False

    def to_text(self) -> str:
        """Everything they remember, as one line of JSON."""
        return to_text(self._memory)

    @exact
    def look(self, glance: Glance) -> Judgement:
        """Judges one input of the account. All of it computes in the one precision of what is derived."""
        memory = self._memory
        if glance.heard is not None:
            memory.heard_ms, memory.number = glance.heard.at_ms, glance.heard.number
        found = self._taken_up()
        levels: dict[str, int] = {}
        for verdict in self._verdicts(glance):
            limits = self._site.limits[verdict.rule]
            if not limits.enabled:
                continue
            if verdict.level != Qartod.NOT_EVALUATED:
                levels[verdict.rule] = _worse(levels.get(verdict.rule, Qartod.PASS), verdict.level)
            finding = memory.episodes.take(verdict, limits, memory.number)
            if finding is not None:
                found.append(finding)
        for rule, level in memory.episodes.levels().items():
            levels[rule] = _worse(levels.get(rule, Qartod.PASS), level)
        is_absent = any(each.volume_m3 is None and each.energy_kwh is None for each in glance.steps)
        return Judgement(tuple(found), levels, self._rolled_up(levels, is_absent=is_absent))

    def _taken_up(self) -> list[Found]:
        """With the first input: what the settings, which may be others than before, leave nobody to judge."""
        if self._is_taken_up:
            return []
        self._is_taken_up = True
        subjects = {self._site.place, *(f"meter/{meter}" for meter in self._site.settings.meters)}
        return self._memory.episodes.ended(self._site.limits, subjects, self._memory.heard_ms)

    def _rolled_up(self, levels: dict[str, int], *, is_absent: bool) -> int:
        """What all rules together say of the reading; a meter elsewhere that is missing makes it suspect."""
        if is_absent:
            return int(Qartod.MISSING)
        told = {level for rule, level in levels.items() if not self._site.limits[rule].rule.is_duty}
        if not told:
            return int(Qartod.NOT_EVALUATED)
        if Qartod.FAIL in told:
            return int(Qartod.FAIL)
        return int(Qartod.PASS if told == {Qartod.PASS} else Qartod.SUSPECT)

    def _verdicts(self, glance: Glance) -> Iterator[Verdict]:
        """Everything the rules say, in the sheet's order. A reading by hand says nothing about flow, pace or clock."""
        heard, steps = glance.heard, glance.steps
        if heard is not None:
            yield from self._structural.heard(heard)
        if glance.declared is not None:
            yield from self._structural.declared(glance.declared, self._memory.heard_ms)
        for step in steps:
            yield from self._structural.stepped(step)
        measured = None if heard is None or heard.is_manual else heard
        spike = self._taken_in(measured, steps)
        for step in steps:
            yield from self._physical.stepped(step)
        if measured is not None:
            yield from self._physical.heard(measured, self._motion.flow(measured.meter))
            yield from spike
            yield from self._temporal.heard(measured)
        yield from self._across(glance, measured)
        yield from self._duties(glance, measured)

    def _taken_in(self, measured: Heard | None, steps: tuple[Step, ...]) -> tuple[Verdict, ...]:
        """Lets `motion` hear the round and its intervals; what R6 says needs the flows as they were before."""
        spike = None if measured is None else self._temporal.spike(measured)
        if measured is not None:
            self._motion.heard(measured)
        for step in steps:
            self._motion.stepped(step)
        return () if spike is None else (spike,)

    def _duties(self, glance: Glance, measured: Heard | None) -> Iterator[Verdict]:
        if measured is not None:
            yield from self._duty.heard(measured)
        for step in glance.steps:
            yield from self._duty.stepped(step)
        for standing in glance.standings:
            yield from self._stood(standing)
        for step in glance.steps:
            self._cover(step)

    def _across(self, glance: Glance, measured: Heard | None) -> Iterator[Verdict]:
        for step in glance.steps:
            yield from self._cross.stepped(step)
        if measured is not None:
            yield from self._cross.heard(measured)
        for ran in glance.ran:
            yield from self._cross.ran(ran)

    def _stood(self, standing: Standing) -> Iterator[Verdict]:
        """What a closing says: permit and plan; at local midnight also the day that is over."""
        yield from self._duty.stood(standing)
        day, local = self._memory.day, self._site.calendar.at(standing.at_ms)
        if standing.at_ms != local.begin_ms:
            return
        before, day.midnight = day.midnight, standing
        yesterday = local.day - timedelta(days=1)
        begin_ms = midnight_ms(yesterday, self._site.settings.zone)
        if before is not None and before.at_ms == begin_ms and self._is_covered(standing.at_ms - begin_ms):
            volume_m3 = standing.volume_m3 - before.volume_m3
            pumping = None
            if standing.pumping_kwh is not None and before.pumping_kwh is not None:
                pumping = standing.pumping_kwh - before.pumping_kwh
            yield from self._physical.day_over(begin_ms, standing.at_ms, volume_m3)
            yield self._temporal.day_over(yesterday, begin_ms, volume_m3, pumping)
        day.covered_ms.clear()
        day.has_gap = False

    def _cover(self, step: Step) -> None:
        """Notes for how long a register was read; what a long silence booked says nothing about single days."""
        day, duration_ms = self._memory.day, step.end_ms - step.begin_ms
        if duration_ms > _NEAR_MS:
            day.has_gap = True
            return
        key = f"{step.meter}|{step.quantity}"
        day.covered_ms[key] = day.covered_ms.get(key, 0) + max(0, duration_ms)

    def _is_covered(self, day_ms: int) -> bool:
        """Whether every register of the water was read throughout the day."""
        settings, day = self._site.settings, self._memory.day
        keys = [f"{each.meter}|{each.quantity}" for each in settings.water]
        if not keys and settings.energy is not None:
            keys = [f"{settings.energy.meter}|{settings.energy.quantity}"]
        return not day.has_gap and all(day.covered_ms.get(key, 0) >= day_ms - _NEAR_MS for key in keys)


def _worse(one: int, other: int) -> int:
    """The worse of two levels: 4 before 9 before 3 before 1."""
    order = (Qartod.PASS, Qartod.SUSPECT, Qartod.MISSING, Qartod.FAIL)
    return int(max(one, other, key=lambda each: order.index(Qartod(each))))


def _memory_of(text: str) -> Memory:
    try:
        memory = from_text(Memory, text)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise OutOfDomain("rules", text[:40], "the text of rules") from error
    if memory.form != FORM:
        raise OutOfDomain("form", memory.form, str(FORM))
    return memory
