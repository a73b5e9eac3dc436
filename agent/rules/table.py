"""The rules R1–R21 with their own thresholds, and what a site's settings make of them.

Source: metering guideline sheet §7; where it names no number, the docstring of the rule's check says why ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from agent.derive.exact import ZERO
from agent.intakes.settings import RuleSettings

D = Decimal
_MS = D(1000)
_QUARTER_HOUR_S = D(900)
_DAY_S = D(86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule: its word, its thresholds and what they count (`unit`), the quality code of OPC UA, if the sheet has one.

    `revision` changes with what the rule finds. `is_duty`: about a duty, not about the quality of a reading.
    `counts_itself`: `min_samples` is part of its condition, not a number of verdicts to wait for.
    """

    id: str
    word: str
    unit: str
    suspect: Decimal | None = None
    fail: Decimal | None = None
    hold_off_s: Decimal = ZERO
    min_samples: int = 1
    opc_ua: str = ""
    is_duty: bool = False
    counts_itself: bool = False
    revision: int = 1

    @property
    def version(self) -> str:
        """What every finding of it carries."""
        return f"{self.id}/{self.revision}"


_ALL = (
    Rule(id="R1", word="no_data", unit="intervals, hours", suspect=D(2), fail=D(24),
         opc_ua="UncertainNoCommunicationLastUsableValue, BadNoCommunication"),
    Rule(id="R2", word="long_zero", unit="days, kWh", suspect=D(30), opc_ua="UncertainSubNormal"),
    Rule(id="R3", word="huge_value", unit="share of Q4·Δt", suspect=D(1), fail=D("1.2"), hold_off_s=_QUARTER_HOUR_S,
         opc_ua="UncertainSubNormal"),
    Rule(id="R4", word="negative", unit="share of Q3, s", suspect=D("0.02"), fail=D(60), hold_off_s=_QUARTER_HOUR_S,
         opc_ua="Bad"),
    Rule(id="R5", word="frequency", unit="%", suspect=D(95), fail=D(80), is_duty=True),
    Rule(id="R6", word="spike", unit="share of Q3", suspect=D("0.3"), fail=D("0.6"), hold_off_s=_QUARTER_HOUR_S),
    Rule(id="R7", word="rate_of_change", unit="share of Q3 per min", suspect=D("0.5"), hold_off_s=_QUARTER_HOUR_S),
    Rule(id="R8", word="frozen_flow", unit="values", suspect=D(4), fail=D(8), opc_ua="UncertainLastUsableValue",
         revision=2),
    Rule(id="R9", word="stuck_register", unit="register steps", fail=D(5), min_samples=2, counts_itself=True,
         revision=2),
    Rule(id="R10", word="flow_total_consistency", unit="share of flow × time", suspect=D("0.10"), fail=D("0.25"),
         opc_ua="UncertainSensorNotAccurate"),
    Rule(id="R11", word="energy_water", unit="share of the coefficient", suspect=D("0.15"), fail=D("0.25"),
         min_samples=3, counts_itself=True, revision=2),
    Rule(id="R12", word="power_flow", unit="s", fail=D(300)),
    Rule(id="R13", word="out_of_range", unit="m/s", suspect=D(3), fail=D(5), hold_off_s=_QUARTER_HOUR_S,
         min_samples=2),
    Rule(id="R14", word="clock", unit="s", suspect=D(0), hold_off_s=_QUARTER_HOUR_S),
    Rule(id="R15", word="certificate", unit="days before, days after", suspect=D(60), fail=D(180),
         opc_ua="UncertainSensorCalibration"),
    Rule(id="R16", word="config_change", unit=""),
    Rule(id="R17", word="permit_prewarn", unit="%", suspect=D(90), fail=D(100), min_samples=7,
         counts_itself=True, is_duty=True),
    Rule(id="R18", word="plan_prewarn", unit="%", suspect=D(90), fail=D(100), min_samples=7,
         counts_itself=True, is_duty=True),
    Rule(id="R19", word="licence_expiry", unit="days", suspect=D(30), fail=D(0), is_duty=True),
    Rule(id="R20", word="status_conflict", unit="m3", fail=D(0), hold_off_s=_DAY_S, is_duty=True),
    Rule(id="R21", word="supply", unit="share of nominal voltage", suspect=D("0.10"), hold_off_s=_QUARTER_HOUR_S,
         min_samples=2),
)  # fmt: skip

RULES_BY_ID: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in _ALL})
"""Every rule of the sheet, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The thresholds in force of one rule at one intake; `told` is how its findings carry them."""

    rule: Rule
    enabled: bool
    suspect: Decimal | None
    fail: Decimal | None
    hold_off_ms: int
    min_samples: int
    told: Mapping[str, str]

    def is_default(self, name: str) -> bool:
        """Whether this threshold (`suspect`, `fail`) is the rule's own."""
        return bool(getattr(self, name) == getattr(self.rule, name))

    @property
    def is_graded(self) -> bool:
        """Whether `fail` is no milder than `suspect`; where they count different things (two units) always."""
        own = self.rule
        if own.suspect is None or own.fail is None or "," in own.unit:
            return True
        return ((self.fail or ZERO) - (self.suspect or ZERO)) * (own.fail - own.suspect) >= 0


def limits_of(rule: Rule, settings: RuleSettings | None) -> Limits:
    """The rule's own thresholds, each replaced by what the site sets of it."""
    given = settings or RuleSettings()
    suspect = rule.suspect if given.suspect is None else given.suspect
    fail = rule.fail if given.fail is None else given.fail
    hold_off_s = rule.hold_off_s if given.hold_off_s is None else given.hold_off_s
    min_samples = rule.min_samples if given.min_samples is None else max(1, given.min_samples)
    told = {"hold_off_s": f"{hold_off_s:f}", "min_samples": str(min_samples)}
    told |= {name: f"{value:f}" for name, value in (("suspect", suspect), ("fail", fail)) if value is not None}
    return Limits(
        rule=rule,
        enabled=given.enabled,
        suspect=suspect,
        fail=fail,
        hold_off_ms=int(hold_off_s * _MS),
        min_samples=min_samples,
        told=MappingProxyType(told),
    )
