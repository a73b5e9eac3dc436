"""Physical rules: more than there can be (R3), flow and velocity out of range (R13)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from agent.derive.exact import ZERO, hours
from agent.derive.flags import Flag, Qartod
from agent.intakes.outcome import Heard
from agent.rules.contract import Step
from agent.rules.episodes import Verdict, passed
from agent.rules.motion import FlowMemory
from agent.rules.series import level
from agent.rules.site import RuleSite, told

_PI = Decimal("3.14159265358979323846")
_S_PER_HOUR = 3600
_MM_PER_M = Decimal(1000)
_TENTH = 10  # M7: a day above a tenth of the annual permit
_HELD = (Flag.JUMPED, Flag.ENERGY_IMPLAUSIBLE)


class Physical:
    """R3, R13 of one intake. They remember nothing of their own."""

    def __init__(self, site: RuleSite) -> None:
        self._site = site
        self._steps = {(source.meter, source.quantity): source.step_m3 for source in site.flow_meters}
        diameter = site.settings.pipe.dn_mm
        self._area_m2 = None if diameter is None else (diameter / _MM_PER_M) ** 2 * _PI / 4

    def stepped(self, step: Step) -> Iterator[Verdict]:
        """R3 of an interval: above f·Q4·Δt. One step of the register is granted: it may turn just before the end.

        A jump that the account holds is judged as what it is: more than any meter of this size can count.
        """
        q4, duration_ms = self._site.q4_m3h, step.end_ms - step.begin_ms
        subject = f"meter/{step.meter}"
        if step.volume_m3 is None and any(flag in step.flags for flag in _HELD):
            evidence = self._held(step)
            yield Verdict("R3", subject, step.quantity, step.end_ms, Qartod.FAIL, holds=True, evidence=evidence)
        elif step.volume_m3 is not None and q4 is not None and duration_ms > 0:
            granted = self._steps.get((step.meter, step.quantity), ZERO)
            most = q4 * hours(duration_ms)
            where = (subject, step.quantity, step.end_ms)
            yield self._huge(where, step.volume_m3, most, granted=granted)

    def _held(self, step: Step) -> dict[str, str]:
        """What a register showed more than it can, and how much it can in that time."""
        grown = step.energy_kwh if step.held is None else step.held
        passed_h, energy, q4 = hours(step.end_ms - step.begin_ms), self._site.settings.energy, self._site.q4_m3h
        if grown is None or passed_h <= 0:
            return {}
        if energy is not None and (step.meter, step.quantity) == (energy.meter, energy.quantity):
            most_kwh = energy.rated_kw * energy.overload_factor * passed_h
            return {"energy_kwh": told(grown), "most_kwh": told(most_kwh)}
        return {"volume_m3": told(grown)} if q4 is None else {"volume_m3": told(grown), "most_m3": told(q4 * passed_h)}

    def day_over(self, begin_ms: int, end_ms: int, volume_m3: Decimal) -> Iterator[Verdict]:
        """R3 of a local day: above f·Q4 times its hours, or above f times a tenth of the annual permit."""
        permit, q4 = self._site.settings.permit, self._site.q4_m3h
        most = [] if q4 is None else [q4 * hours(end_ms - begin_ms) * max(1, len(self._site.settings.water))]
        if permit is not None and permit.annual_m3 is not None:
            most.append(permit.annual_m3 / _TENTH)
        if most:
            yield self._huge((self._site.place, "volume_day", begin_ms), volume_m3, min(most))

    def _huge(self, where: tuple[str, str, int], volume: Decimal, most: Decimal, *, granted: Decimal = ZERO) -> Verdict:
        limits = self._site.limits["R3"]
        assert limits.suspect is not None
        assert limits.fail is not None
        found = level(volume - granted, limits.suspect * most, limits.fail * most)
        if found == Qartod.PASS:
            return passed("R3", *where)
        evidence = {"volume_m3": told(volume), "most_m3": told(most)}
        return Verdict("R3", *where, found, holds=True, evidence=evidence)

    def heard(self, heard: Heard, flow: FlowMemory | None) -> Iterator[Verdict]:
        """R13: flow outside Q1…Q4, or too fast for the pipe.

        Below Q1 only well away from start and stop, since every start passes through; above 1.2·Q4 → 4, as in R3.
        """
        value = heard.values.get("flow_rate")
        if flow is None or not isinstance(value, Decimal):
            return
        yield self._range(heard, value, flow)
        measured = heard.values.get("velocity")
        if isinstance(measured, Decimal):
            yield self._velocity(heard, abs(measured))
        elif self._area_m2 is not None:
            yield self._velocity(heard, abs(value) / (self._area_m2 * _S_PER_HOUR))

    def _range(self, heard: Heard, value: Decimal, flow: FlowMemory) -> Verdict:
        site, subject = self._site, f"meter/{heard.meter}"
        found = Qartod.PASS
        if site.q4_m3h is not None and value > site.q4_m3h:
            fail = site.limits["R3"].fail
            found = Qartod.FAIL if fail is not None and value > fail * site.q4_m3h else Qartod.SUSPECT
        elif site.q1_m3h is not None and site.low_m3h < value < site.q1_m3h and not flow.is_near_edge(heard.at_ms):
            found = Qartod.SUSPECT
        if found == Qartod.PASS:
            return passed("R13", subject, "flow_rate", heard.at_ms)
        known = {"q1_m3h": site.q1_m3h, "q4_m3h": site.q4_m3h}
        evidence = {"value": told(value), **{name: told(each) for name, each in known.items() if each is not None}}
        return Verdict("R13", subject, "flow_rate", heard.at_ms, found, holds=True, evidence=evidence)

    def _velocity(self, heard: Heard, velocity: Decimal) -> Verdict:
        limits, subject = self._site.limits["R13"], f"meter/{heard.meter}"
        assert limits.suspect is not None
        assert limits.fail is not None
        found = level(velocity, limits.suspect, limits.fail)
        if found == Qartod.PASS:
            return passed("R13", subject, "velocity", heard.at_ms)
        return Verdict(
            "R13", subject, "velocity", heard.at_ms, found, holds=True, evidence={"velocity_ms": told(velocity)}
        )
