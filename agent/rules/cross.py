"""Cross-sensor rules: flow against total (R10), energy against water (R11), power against flow (R12), supply (R21)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from agent.derive.crosscheck import POWER_LIMITS, all_beyond, is_likely_flow
from agent.derive.exact import ONE, ZERO, exact, hours
from agent.derive.flags import Qartod
from agent.intakes.outcome import Heard
from agent.rules.contract import Ran, Step
from agent.rules.episodes import NOTICE, Verdict, not_judged, passed
from agent.rules.motion import EDGE_MS, Motion
from agent.rules.series import level
from agent.rules.site import RuleSite, told

_FLOOR_M3 = Decimal("0.5")  # M7, R10
_WINDOW_MS = 3_600_000  # ours: R10 is judged over an hour of steady flow; one poll's volume lies below the floor
_SAMPLED_MS = 3 * EDGE_MS  # ours: flows further apart say nothing about their mean
_RUNS_KEPT = 10
_LEAST_STEPS = 2  # ours: a coarse register that stands still during a little water proves nothing
_NOMINAL_V = (Decimal("57.7"), Decimal(100), Decimal(220), Decimal(380))  # phase and line voltages, with and without PT
_PHASES = ("voltage_a", "voltage_b", "voltage_c")
_SUPPLY_FLAGS = frozenset(
    {"power_fault", "voltage_sequence_reverse", "current_sequence_reverse", "active_power_reverse"}
    | {f"{word}_{phase}" for word in ("phase_broken", "voltage_lost", "current_lost") for phase in "abc"}
    | {f"active_power_reverse_{phase}" for phase in "abc"}
)


@dataclass(slots=True)
class Window:
    """What R10 compares: volume counted and flow × time, over intervals that all flowed, or all rested."""

    is_flowing: bool
    duration_ms: int = 0
    moved_m3: Decimal = ZERO
    expected_m3: Decimal = ZERO


class RunSeen(NamedTuple):
    """One run as R11 keeps it; None where it cannot be told."""

    energy_kwh: Decimal
    converted_m3: Decimal | None
    water_m3: Decimal | None
    power: Decimal | None


@dataclass(slots=True)
class CrossMemory:
    """By meter, or by pump; `mismatch_ms`: since when power and flow disagree."""

    windows: dict[str, Window] = field(default_factory=dict)
    runs: dict[str, tuple[RunSeen, ...]] = field(default_factory=dict)
    mismatch_ms: int | None = None
    exports: dict[str, Decimal] = field(default_factory=dict)
    nominal_v: dict[str, Decimal] = field(default_factory=dict)


class Cross:
    """R10, R11, R12, R21 of one intake."""

    def __init__(self, site: RuleSite, memory: CrossMemory, motion: Motion) -> None:
        self._site = site
        self._memory = memory
        self._motion = motion
        self._steps = {(source.meter, source.quantity): source.step_m3 for source in site.flow_meters}

    # --- R10

    def stepped(self, step: Step) -> Iterator[Verdict]:
        """R10: the total's step against flow × time, once an hour of steady flow (or rest) is together.

        Flow × time is by trapezoids between the polls. An interval in which the flow started or stopped is left out.
        """
        flow = self._motion.flow(step.meter)
        if flow is None or flow.last is None or step.volume_m3 is None:
            return
        before, last, duration_ms = flow.before, flow.last, step.end_ms - step.begin_ms
        subject, key = f"meter/{step.meter}", f"{step.meter}|{step.quantity}"
        is_same = before is not None and (before.at_ms, last.at_ms) == (step.begin_ms, step.end_ms)
        if before is None or not is_same or not 0 < duration_ms <= _SAMPLED_MS:
            self._memory.windows.pop(key, None)
            return
        is_flowing = self._motion.is_flowing(last.value)
        crossed = self._motion.is_flowing(before.value) != is_flowing
        if crossed or (not is_flowing and duration_ms > EDGE_MS):
            self._memory.windows.pop(key, None)
            return
        window = self._memory.windows.get(key)
        if window is None or window.is_flowing != is_flowing:
            window = self._memory.windows[key] = Window(is_flowing)
        window.duration_ms += duration_ms
        window.moved_m3 += step.volume_m3
        window.expected_m3 += (before.value + last.value) / 2 * hours(duration_ms)
        if window.duration_ms >= _WINDOW_MS:
            del self._memory.windows[key]
            yield self._flow_total(subject, step, window, self._steps.get((step.meter, step.quantity), ZERO))

    def _flow_total(self, subject: str, step: Step, window: Window, register_m3: Decimal) -> Verdict:
        limits = self._site.limits["R10"]
        assert limits.suspect is not None
        assert limits.fail is not None
        found = flow_total(window.moved_m3, window.expected_m3, _FLOOR_M3 + register_m3, limits.suspect, limits.fail)
        if found == Qartod.PASS:
            return passed("R10", subject, step.quantity, step.end_ms)
        evidence = {"moved_m3": told(window.moved_m3), "expected_m3": told(window.expected_m3)}
        began_ms = step.end_ms - window.duration_ms
        return Verdict(
            "R10", subject, step.quantity, step.end_ms, found, holds=True, evidence=evidence, since_ms=began_ms
        )

    # --- R11

    def ran(self, ran: Ran) -> Iterator[Verdict]:
        """R11: the coefficient against the water meter, the running power against its calibration's."""
        run = ran.run
        power, mean_kw = None, run.mean_kw
        if mean_kw is not None and ran.p_run_kw is not None and ran.p_run_kw > 0:
            power = mean_kw / ran.p_run_kw - ONE
        kept = self._memory.runs.get(run.pump, ())
        kept = (*kept, RunSeen(run.energy_kwh, run.volume_m3, run.water_m3, power))[-_RUNS_KEPT:]
        self._memory.runs[run.pump] = kept
        yield from self._metered(ran, kept)
        powers = [each.power for each in kept if each.power is not None]
        evidence = {"coefficient": ran.coefficient, "pump": run.pump}
        if powers and ran.p_run_kw is not None:
            evidence |= {"off_pct": told(powers[-1] * 100), "p_run_kw": told(ran.p_run_kw)}
        where = ("R11", self._site.place, "power")
        yield _verdict(where, run.end_ms, all_beyond(powers, POWER_LIMITS), evidence)
        yield from self._implied_flow(ran)

    def _metered(self, ran: Ran, kept: Sequence[RunSeen]) -> Iterator[Verdict]:
        """R11 of the runs that a water meter saw. They propose a coefficient; nobody but a person activates one.

        A meter that stood still on all of them proposes none: it is told for itself. Without a coefficient in force
        what they propose is only announced.
        """
        limits, place, at_ms, pump = self._site.limits["R11"], self._site.place, ran.run.end_ms, ran.run.pump
        assert limits.suspect is not None
        assert limits.fail is not None
        needed, where = max(1, limits.min_samples), ("R11", place, "coefficient")
        flowed = [each for each in kept if each.water_m3 and each.energy_kwh > 0]
        evidence = {"coefficient": ran.coefficient or self._awaited(pump), "runs": str(len(flowed)), "pump": pump}
        if flowed:
            evidence["tc_observed"] = told(_together(flowed))
        if ran.run.volume_m3 is None:
            if evidence["coefficient"] and len(flowed) >= needed:
                yield Verdict(*where, at_ms, NOTICE, holds=True, evidence=evidence)
            return
        seen = [(each.water_m3, each.converted_m3) for each in kept if each.water_m3 is not None]
        off = [water / converted - ONE for water, converted in seen if converted]
        is_still = self._stood_still(seen[-needed:], needed)
        yield _verdict(("R11", place, "volume_withdrawn"), at_ms, is_still, {"runs": str(needed), "pump": pump})
        if is_still != Qartod.PASS:
            yield not_judged(*where, at_ms)
            return
        if off:
            evidence["off_pct"] = told(off[-1] * 100)
        if ran.tc is not None:
            evidence["tc"] = told(ran.tc)
        yield _verdict(where, at_ms, all_beyond(off, (limits.suspect, limits.fail), needed=needed), evidence)

    def _stood_still(self, seen: Sequence[tuple[Decimal, Decimal | None]], needed: int) -> Qartod:
        """Whether a water meter that should have moved by several of its steps did not."""
        if any(water for water, _ in seen):
            return Qartod.PASS
        step_m3 = max((source.step_m3 * source.factor for source in self._site.flow_meters), default=ZERO)
        expected_m3 = sum((converted or ZERO for _, converted in seen), ZERO)
        is_sure = len(seen) >= needed and expected_m3 > _LEAST_STEPS * step_m3
        return Qartod.FAIL if is_sure else Qartod.NOT_EVALUATED

    def _awaited(self, pump: str) -> str:
        """The coefficient that the configuration names for a pump; "" where it names none."""
        energy = self._site.settings.energy
        pumps = () if energy is None else energy.pumps
        return next((name for each in pumps if each.id == pump for name in each.coefficients), "")

    def _implied_flow(self, ran: Ran) -> Iterator[Verdict]:
        """E10: what the coefficient says the pump delivered, outside 0.3…1.3 of its rated flow → 3."""
        energy, run = self._site.settings.energy, ran.run
        rated = next((each.rated_m3h for each in energy.pumps if each.id == run.pump), None) if energy else None
        flow = run.implied_flow_m3h
        if rated is None or rated <= 0 or flow is None or run.end_ms - run.begin_ms < _SAMPLED_MS:
            return
        evidence = {"coefficient": ran.coefficient, "pump": run.pump, "flow_m3h": told(flow), "rated_m3h": told(rated)}
        level_ = Qartod.PASS if is_likely_flow(flow, rated) else Qartod.SUSPECT
        yield _verdict(("R11", self._site.place, "flow_rate"), run.end_ms, level_, evidence)

    # --- R12

    def heard(self, heard: Heard) -> Iterator[Verdict]:
        """R12 and R21 of a round; `motion` has taken it in."""
        yield from self._power_flow(heard)
        energy = self._site.settings.energy
        if energy is not None and energy.meter == heard.meter:
            yield from self._export(heard)
            yield from self._voltages(heard)
            yield from self._status(heard)

    def _power_flow(self, heard: Heard) -> Iterator[Verdict]:
        """R12: pumps run and nothing flows, or the other way round, for 5 min → 4."""
        is_running, flow = self._motion.is_running(heard.at_ms), self._motion.total_flow(heard.at_ms)
        if is_running is None or flow is None:
            self._memory.mismatch_ms = None
            return
        place, limits = self._site.place, self._site.limits["R12"]
        if is_running == self._motion.is_flowing(flow):
            self._memory.mismatch_ms = None
            yield passed("R12", place, "power", heard.at_ms)
            return
        if self._memory.mismatch_ms is None:
            self._memory.mismatch_ms = heard.at_ms
        since_ms = self._memory.mismatch_ms
        if limits.fail is None or heard.at_ms - since_ms < limits.fail * 1000:
            yield passed("R12", place, "power", heard.at_ms)
            return
        evidence = {"pumps": "on" if is_running else "off", "flow_m3h": told(flow)}
        yield Verdict("R12", place, "power", heard.at_ms, Qartod.FAIL, holds=True, evidence=evidence, since_ms=since_ms)

    # --- R21

    def _export(self, heard: Heard) -> Iterator[Verdict]:
        """R21: the reverse register grew: wiring, or the column of water drives the pump backwards."""
        value = heard.values.get("energy_export")
        if not isinstance(value, Decimal):
            return
        before = self._memory.exports.get(heard.meter)
        self._memory.exports[heard.meter] = value
        subject, has_grown = f"meter/{heard.meter}", before is not None and value > before
        evidence = {"before": told(before or ZERO), "value": told(value)}
        found = Qartod.SUSPECT if has_grown else Qartod.PASS
        verdict = _verdict(("R21", subject, "energy_export"), heard.at_ms, found, evidence)
        yield verdict._replace(is_certain=has_grown)

    def _voltages(self, heard: Heard) -> Iterator[Verdict]:
        """R21: a phase more than 10 % off nominal; a lost phase is one that is far below it."""
        limit = self._site.limits["R21"].suspect
        for quantity in _PHASES:
            value = heard.values.get(quantity)
            if not isinstance(value, Decimal) or limit is None:
                continue
            nominal = self._memory.nominal_v.get(heard.meter)
            if nominal is None:
                if value <= _NOMINAL_V[0] / 2:
                    continue
                nominal = min(_NOMINAL_V, key=lambda each: abs(each - value))
                self._memory.nominal_v[heard.meter] = nominal
            found = Qartod.SUSPECT if abs(value - nominal) > limit * nominal else Qartod.PASS
            evidence = {"value": told(value), "nominal_v": told(nominal)}
            yield _verdict(("R21", f"meter/{heard.meter}", quantity), heard.at_ms, found, evidence)

    def _status(self, heard: Heard) -> Iterator[Verdict]:
        status = heard.values.get("status")
        if isinstance(status, frozenset):
            said = sorted(status & _SUPPLY_FLAGS)
            found = Qartod.SUSPECT if said else Qartod.PASS
            yield _verdict(("R21", f"meter/{heard.meter}", "status"), heard.at_ms, found, {"flags": " ".join(said)})


@exact
def flow_total(moved: Decimal, expected: Decimal, floor: Decimal, suspect: Decimal, fail: Decimal) -> Qartod:
    """R10 of one interval, m³: the difference beyond a floor, as a share of what the flow lets expect."""
    off = abs(moved - expected)
    return Qartod.PASS if off <= floor else level(off, suspect * abs(expected), fail * abs(expected))


@exact
def _together(runs: Sequence[RunSeen]) -> Decimal:
    """ΣV/ΣE of metered runs, m³/kWh."""
    return sum((each.water_m3 or ZERO for each in runs), ZERO) / sum((each.energy_kwh for each in runs), ZERO)


def _verdict(where: tuple[str, str, str], at_ms: int, found: Qartod, evidence: dict[str, str]) -> Verdict:
    """The verdict of a level; `where` are rule, subject and quantity."""
    if found == Qartod.NOT_EVALUATED:
        return not_judged(*where, at_ms)
    if found == Qartod.PASS:
        return passed(*where, at_ms)
    return Verdict(*where, at_ms, found, holds=True, evidence=evidence)
