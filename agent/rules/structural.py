"""Structural rules: no data (R1), negative (R4), clock (R14), a setting that is not the archive's (R16)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from agent.derive.exact import MS_PER_HOUR
from agent.derive.flags import Flag, Qartod
from agent.intakes.outcome import Declared, Heard
from agent.intakes.settings import Use
from agent.model import Reason
from agent.rules.contract import Step
from agent.rules.episodes import Verdict, not_judged, passed
from agent.rules.site import RuleSite, told

_MS = Decimal(1000)
_HALF = Decimal("0.5")


@dataclass(slots=True)
class StructuralMemory:
    """By meter: when it last gave what it owes, when its last round was, since when its flow is negative.

    `accepted` holds the settings that somebody acknowledged, `pending` those that differ, by `meter|quantity`.
    """

    valid_ms: dict[str, int] = field(default_factory=dict)
    heard_ms: dict[str, int] = field(default_factory=dict)
    negative_ms: dict[str, int] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)


class Structural:
    """R1, R4, R14, R16 of one intake."""

    def __init__(self, site: RuleSite, memory: StructuralMemory) -> None:
        self._site = site
        self._memory = memory
        energy = site.settings.energy
        self._ratios: dict[str, dict[str, Decimal]] = {}
        if energy is not None:
            self._ratios[energy.meter] = {"ct_ratio": energy.ct_ratio, "pt_ratio": energy.pt_ratio}

    def heard(self, heard: Heard) -> Iterator[Verdict]:
        """What a round says by itself; also about meters that should have spoken by now."""
        yield from self._no_data(heard)
        if not heard.is_manual:
            yield from self._negative_flow(heard)
            yield from self._clock(heard)
            yield from self._settings(heard)

    def stepped(self, step: Step) -> Iterator[Verdict]:
        """What a counter's interval says: R4 of the register, R16 of a multiplier nobody announced."""
        subject = f"meter/{step.meter}"
        level = Qartod.PASS
        if Flag.NEGATIVE_DELTA in step.flags:
            level = Qartod.SUSPECT if Flag.REVERSE_FLOW in step.flags else Qartod.FAIL
        if step.volume_m3 is not None and step.volume_m3 < 0:
            level = Qartod.FAIL
        if level == Qartod.PASS:
            yield passed("R4", subject, step.quantity, step.end_ms)
        else:
            yield Verdict("R4", subject, step.quantity, step.end_ms, level, holds=True)
        if Flag.MULTIPLIER_CHANGED in step.flags:
            yield self._changed(step.meter, step.quantity, Flag.MULTIPLIER_CHANGED, step.end_ms)

    def declared(self, declared: Declared, at_ms: int) -> Iterator[Verdict]:
        """An acknowledgement of R16, or a replacement, which tells what changed, ends it."""
        meter = declared.subject.removeprefix("meter/")
        is_word = declared.kind == "acknowledgement" and declared.body.get("rule") == "R16"
        if not is_word and declared.kind != "replacement":
            return
        is_all = meter in {self._site.place, self._site.settings.name}
        for key in [key for key in self._memory.pending if is_all or key.partition("|")[0] == meter]:
            self._memory.accepted[key] = self._memory.pending.pop(key)
            told_by, _, quantity = key.partition("|")
            yield passed("R16", f"meter/{told_by}", quantity, at_ms)

    # --- R1

    def _no_data(self, heard: Heard) -> Iterator[Verdict]:
        """R1: no valid record for 2 intervals → 3, for 24 h → 9. Half an interval more is granted, as polls jitter."""
        limits, memory, at_ms = self._site.limits["R1"], self._memory.valid_ms, heard.at_ms
        owed = self._site.wanted.get(heard.meter)
        if owed is not None and not heard.is_manual and any(name in heard.values for name in owed):
            memory[heard.meter] = max(at_ms, memory.get(heard.meter, at_ms))
        is_sealed = self._site.use_at(at_ms) is Use.SEALED
        for meter in self._site.wanted:
            last_ms = memory.setdefault(meter, at_ms)
            period_ms = self._site.period_ms(meter)
            silent_ms = at_ms - last_ms
            subject = f"meter/{meter}"
            level = Qartod.PASS
            if limits.suspect is not None and silent_ms > (limits.suspect + _HALF) * period_ms:
                level = Qartod.SUSPECT
            if limits.fail is not None and silent_ms >= limits.fail * MS_PER_HOUR:
                level = Qartod.MISSING
            if level == Qartod.PASS or is_sealed:
                yield passed("R1", subject, "", at_ms)
                continue
            evidence = {"silent_s": told(silent_ms / _MS), "period_ms": str(period_ms)}
            yield Verdict("R1", subject, "", at_ms, level, holds=True, evidence=evidence, since_ms=last_ms + period_ms)

    # --- R4

    def _negative_flow(self, heard: Heard) -> Iterator[Verdict]:
        """R4 of a flow: below 0 by less than 2 % of Q3, shorter than 60 s → 3; else 4. Below starting flow it is 0."""
        flow = heard.values.get("flow_rate")
        if not isinstance(flow, Decimal):
            return
        site, limits, meter = self._site, self._site.limits["R4"], heard.meter
        subject = f"meter/{meter}"
        if flow >= 0 or -flow < (site.settings.range.start_m3h or 0):
            self._memory.negative_ms.pop(meter, None)
            yield passed("R4", subject, "flow_rate", heard.at_ms)
            return
        since_ms = self._memory.negative_ms.setdefault(meter, heard.at_ms)
        lasted_s = (heard.at_ms - since_ms) / _MS
        is_small = site.q3_m3h is not None and limits.suspect is not None and -flow < limits.suspect * site.q3_m3h
        is_short = limits.fail is not None and lasted_s < limits.fail
        level = Qartod.SUSPECT if is_small and is_short else Qartod.FAIL
        evidence = {"value": told(flow), "lasted_s": told(lasted_s)}
        yield Verdict("R4", subject, "flow_rate", heard.at_ms, level, holds=True, evidence=evidence, since_ms=since_ms)

    # --- R14

    def _clock(self, heard: Heard) -> Iterator[Verdict]:
        """R14: a round that is not later than the one before of its meter; a meter that says its clock is wrong."""
        if heard.meter not in self._site.wanted:
            return
        subject, memory = f"meter/{heard.meter}", self._memory.heard_ms
        last_ms = memory.get(heard.meter)
        memory[heard.meter] = heard.at_ms
        back_s = None if last_ms is None else (last_ms - heard.at_ms) / _MS
        limit_s = self._site.limits["R14"].suspect
        if back_s is not None and limit_s is not None and back_s >= limit_s:
            evidence = {"back_s": told(back_s)}
            yield Verdict("R14", subject, "", heard.at_ms, Qartod.SUSPECT, holds=True, evidence=evidence)
        else:
            yield passed("R14", subject, "", heard.at_ms)
        status = heard.values.get("status")
        if isinstance(status, frozenset):
            if "clock_fault" in status:
                yield Verdict("R14", subject, "status", heard.at_ms, Qartod.SUSPECT, holds=True)
            else:
                yield passed("R14", subject, "status", heard.at_ms)

    # --- R16

    def _settings(self, heard: Heard) -> Iterator[Verdict]:
        """R16: a ratio read from the meter that is not the archive's; a unit or multiplier that changed in it."""
        for quantity, archived in self._ratios.get(heard.meter, {}).items():
            value = heard.values.get(quantity)
            if isinstance(value, Decimal) and value != archived:
                yield self._changed(heard.meter, quantity, told(value), heard.at_ms, archived=told(archived))
        for quantity, reasons in heard.quality.items():
            if Reason.SETTING_CHANGED in reasons:
                yield self._changed(heard.meter, quantity, Reason.SETTING_CHANGED, heard.at_ms)

    def _changed(self, meter: str, quantity: str, value: str, at_ms: int, **evidence: str) -> Verdict:
        """Any → 4 until acknowledged; what was acknowledged once is not found again while it stays the same."""
        key, subject = f"{meter}|{quantity}", f"meter/{meter}"
        if self._memory.accepted.get(key) == value:
            return not_judged("R16", subject, quantity, at_ms)
        self._memory.pending[key] = value
        evidence["value"] = value
        return Verdict("R16", subject, quantity, at_ms, Qartod.FAIL, holds=True, evidence=evidence)
