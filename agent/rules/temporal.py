"""Rules over time, each value judged once: long zero (R2), spike (R6), rate of change (R7), frozen (R8), stuck (R9).

R8 and R9 count values and intervals as the sheet's log record has them, every five minutes: a meter that is polled each
second shows an even flow many times over before anything is frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from agent.derive.exact import MS_PER_HOUR, ZERO, exact
from agent.derive.flags import Qartod
from agent.intakes.outcome import Heard
from agent.intakes.settings import Use
from agent.rules.episodes import Verdict, not_judged, passed
from agent.rules.motion import FlowMemory, Motion, Sample, is_near
from agent.rules.series import level
from agent.rules.site import RuleSite, told

EPS_M3H = Decimal("0.001")  # M7, R8
RECORD_MS = 300_000  # metering guideline §5, log record
_MS_PER_MIN = 60_000
_WELL_DAYS = Decimal(15)  # M7, R2: wells in the irrigation season
_LEAST_STEPS = 2  # ours, R9: a coarse register that stands still for two polls of a small flow proves nothing
_MOST_REPEATS = 64  # values within 2·eps of one another; only noise finer than eps has more


class Repeat(NamedTuple):
    """A value that all later ones lie within eps of, how many records they fill with it (up to the fail count).

    `counted_ms` is when the last of these records began, UTC.
    """

    first: Decimal
    length: int
    counted_ms: int = 0


@dataclass(slots=True)
class Stuck:
    """A register that shows the same `value`: for how many records with flow, and how many steps were missed."""

    value: Decimal
    at_ms: int
    rate: Decimal | None
    since_ms: int
    intervals: int = 0
    steps: Decimal = ZERO


class Register(NamedTuple):
    """A register for R9: what tells how fast it should turn (`rate`, per hour), from which rate on, and its step."""

    meter: str
    quantity: str
    rate: str
    low: Decimal
    step: Decimal


@dataclass(slots=True)
class TemporalMemory:
    """`streak` counts the zero days up to yesterday; the rest is by meter, or `meter|quantity`."""

    streak: int = 0
    repeats: dict[str, tuple[Repeat, ...]] = field(default_factory=dict)
    stuck: dict[str, Stuck] = field(default_factory=dict)


class Temporal:
    """R2, R6, R7, R8, R9 of one intake."""

    def __init__(self, site: RuleSite, memory: TemporalMemory, motion: Motion) -> None:
        self._site = site
        self._memory = memory
        self._motion = motion
        self._registers = _registers(site)

    def heard(self, heard: Heard) -> Iterator[Verdict]:
        """Judges what a round says about flow and registers; `motion` has taken it in."""
        flow = self._motion.flow(heard.meter)
        if flow is not None and flow.last is not None and "flow_rate" in heard.values:
            yield self._rate(heard.meter, flow, flow.last)
            yield self._frozen(heard.meter, flow.last)
        for register in self._registers:
            if register.meter == heard.meter:
                yield self._stuck(heard, register)

    def spike(self, heard: Heard) -> Verdict | None:
        """R6: the last flow against the mean of the one before and of this one, which is not taken in yet."""
        flow, value = self._motion.flow(heard.meter), heard.values.get("flow_rate")
        if flow is None or flow.last is None or flow.before is None or not isinstance(value, Decimal):
            return None
        judged, q3, subject = flow.last, self._site.q3_m3h, f"meter/{heard.meter}"
        most_ms = self._site.period_ms(heard.meter) * 3 // 2
        is_broken = max(judged.at_ms - flow.before.at_ms, heard.at_ms - judged.at_ms) > most_ms
        if q3 is None or is_broken or self._is_exempt(flow.before, judged, value):
            return not_judged("R6", subject, "flow_rate", judged.at_ms)
        limits = self._site.limits["R6"]
        assert limits.suspect is not None
        assert limits.fail is not None
        off = abs(judged.value - (flow.before.value + value) / 2)
        found = level(off, limits.suspect * q3, limits.fail * q3)
        if found == Qartod.PASS:
            return passed("R6", subject, "flow_rate", judged.at_ms)
        evidence = {"before": told(flow.before.value), "value": told(judged.value), "after": told(value)}
        return Verdict("R6", subject, "flow_rate", judged.at_ms, found, holds=True, evidence=evidence)

    def _is_exempt(self, before: Sample, judged: Sample, value: Decimal) -> bool:
        """Start or stop. A value that is off for itself is judged, where the pumps are known not to have changed."""
        motion = self._motion
        came = motion.is_flowing(before.value) != motion.is_flowing(judged.value)
        went = motion.is_flowing(judged.value) != motion.is_flowing(value)
        if is_near(before.edge_ms, judged.at_ms) or came != went:
            return True
        return came and not motion.is_steady(before.at_ms, judged.at_ms)

    def _rate(self, meter: str, flow: FlowMemory, now: Sample) -> Verdict:
        """R7: |Q_i − Q_{i−1}| per minute, away from start and stop."""
        before, q3, subject = flow.before, self._site.q3_m3h, f"meter/{meter}"
        limit = self._site.limits["R7"].suspect
        if before is None or q3 is None or limit is None or now.at_ms <= before.at_ms or flow.is_near_edge(now.at_ms):
            return not_judged("R7", subject, "flow_rate", now.at_ms)
        change, duration_ms = abs(now.value - before.value), now.at_ms - before.at_ms
        if change * _MS_PER_MIN <= limit * q3 * duration_ms:
            return passed("R7", subject, "flow_rate", now.at_ms)
        evidence = {
            "before": told(before.value),
            "value": told(now.value),
            "lasted_s": told(Decimal(duration_ms) / 1000),
        }
        return Verdict("R7", subject, "flow_rate", now.at_ms, Qartod.SUSPECT, holds=True, evidence=evidence)

    def _frozen(self, meter: str, now: Sample) -> Verdict:
        """R8: how many records up to this value lie within eps of the first of them; not while the pumps rest."""
        limits, subject = self._site.limits["R8"], f"meter/{meter}"
        assert limits.suspect is not None
        assert limits.fail is not None
        if self._motion.is_running(now.at_ms) is False:
            self._memory.repeats.pop(meter, None)
            return passed("R8", subject, "flow_rate", now.at_ms)
        suspect, fail = int(limits.suspect), int(limits.fail)
        apart_ms = RECORD_MS - self._site.period_ms(meter) // 2  # the poll next to five minutes is a new record
        known = self._memory.repeats.get(meter, ())
        repeats = repeated(known, now.value, at_ms=now.at_ms, apart_ms=apart_ms, most=max(suspect, fail))
        self._memory.repeats[meter] = repeats
        found = frozen(repeats, now.value, suspect=suspect, fail=fail)
        if found == Qartod.PASS:
            return passed("R8", subject, "flow_rate", now.at_ms)
        evidence = {"value": told(now.value), "values": str(max(each.length for each in repeats))}
        return Verdict("R8", subject, "flow_rate", now.at_ms, found, holds=True, evidence=evidence)

    def _stuck(self, heard: Heard, register: Register) -> Verdict:
        """R9: flow (or power), and a register that does not move: for two records, or one and five of its steps."""
        key, subject = f"{register.meter}|{register.quantity}", f"meter/{register.meter}"
        value, rate = heard.values.get(register.quantity), heard.values.get(register.rate)
        if not isinstance(value, Decimal) or not isinstance(rate, Decimal):
            return not_judged("R9", subject, register.quantity, heard.at_ms)
        memory = self._memory.stuck.get(key)
        period_ms = self._site.period_ms(register.meter)
        if memory is None or memory.value != value or heard.at_ms - memory.at_ms > period_ms * 3 // 2:
            self._memory.stuck[key] = Stuck(value, heard.at_ms, rate, heard.at_ms)
            return passed("R9", subject, register.quantity, heard.at_ms)
        slowest = rate if memory.rate is None else min(rate, memory.rate)
        if slowest <= register.low:
            self._memory.stuck[key] = Stuck(value, heard.at_ms, rate, heard.at_ms)
            return passed("R9", subject, register.quantity, heard.at_ms)
        memory.steps += slowest * (heard.at_ms - memory.at_ms) / MS_PER_HOUR / register.step
        memory.at_ms, memory.rate = heard.at_ms, rate
        memory.intervals = (heard.at_ms - memory.since_ms + period_ms // 2) // max(RECORD_MS, period_ms)
        limits = self._site.limits["R9"]
        is_long = memory.intervals >= limits.min_samples and memory.steps > _LEAST_STEPS
        is_far = memory.intervals > 0 and limits.fail is not None and memory.steps > limits.fail
        if not is_long and not is_far:
            return passed("R9", subject, register.quantity, heard.at_ms)
        evidence = {"value": told(value), "rate": told(rate), "missed_steps": told(memory.steps.to_integral_value())}
        return Verdict(
            "R9", subject, register.quantity, heard.at_ms, Qartod.FAIL, holds=True, evidence=evidence,
            since_ms=memory.since_ms,
        )  # fmt: skip

    def day_over(self, day: date, begin_ms: int, volume_m3: Decimal, pumping_kwh: Decimal | None) -> Verdict:
        """R2 of a local day that was read throughout: nothing for many days, or nothing while pumps used energy."""
        site, memory = self._site, self._memory
        limits = site.limits["R2"]
        used_kwh = pumping_kwh or ZERO
        least_kwh = site.pump_on_kwh if limits.fail is None else limits.fail
        has_pumped = least_kwh is not None and used_kwh >= least_kwh
        is_idle = site.settings.use_on(day) is not Use.IN_USE or not site.in_season(day)
        if volume_m3 != 0 or (is_idle and not has_pumped):
            memory.streak = 0
            return passed("R2", site.place, "volume_day", begin_ms)
        memory.streak += 1
        suspect = limits.suspect or ZERO
        if site.is_well and site.settings.season is not None and limits.is_default("suspect"):
            suspect = _WELL_DAYS
        evidence = {"days": str(memory.streak), "energy_kwh": told(used_kwh)}
        if has_pumped:
            return Verdict("R2", site.place, "volume_day", begin_ms, Qartod.FAIL, holds=True, evidence=evidence)
        if memory.streak < suspect:
            return passed("R2", site.place, "volume_day", begin_ms)
        return Verdict("R2", site.place, "volume_day", begin_ms, Qartod.SUSPECT, holds=True, evidence=evidence)


def repeated(
    repeats: tuple[Repeat, ...], value: Decimal, *, at_ms: int, apart_ms: int, most: int
) -> tuple[Repeat, ...]:
    """The repeats that go on with `value`, or begin with it; records begin at least `apart_ms` apart."""
    kept = [_gone_on(each, at_ms, apart_ms, most) for each in repeats if abs(value - each.first) <= EPS_M3H]
    if all(each.first != value for each in kept) and len(kept) < _MOST_REPEATS:
        kept.append(Repeat(value, 1, at_ms))
    return tuple(kept)


def _gone_on(repeat: Repeat, at_ms: int, apart_ms: int, most: int) -> Repeat:
    if abs(at_ms - repeat.counted_ms) < apart_ms:  # either way: a clock that was set back begins a record, too
        return repeat
    return Repeat(repeat.first, min(repeat.length + 1, most), at_ms)


def frozen(repeats: tuple[Repeat, ...], value: Decimal, *, suspect: int, fail: int) -> Qartod:
    """The level of `value` by the longest repeat that ends with it; zero flow is exempt."""
    count = max(each.length for each in repeats)
    if abs(value) <= EPS_M3H or count < min(suspect, fail):
        return Qartod.PASS
    return Qartod.FAIL if count >= fail else Qartod.SUSPECT


@exact
def _registers(site: RuleSite) -> tuple[Register, ...]:
    found = [
        Register(source.meter, source.quantity, "flow_rate", site.low_m3h, source.step_m3 * source.factor)
        for source in site.flow_meters
    ]
    energy = site.settings.energy
    if energy is not None and energy.power is not None and energy.power.meter == energy.meter:
        assert site.running_kw is not None
        low = site.running_kw / site.power_factor  # power and register are both as the meter tells them
        found.append(Register(energy.meter, energy.quantity, energy.power.quantity, low, energy.step_kwh))
    return tuple(found)
