"""Which Fault tells people about a rule's finding."""

from __future__ import annotations

from types import MappingProxyType

from agent.faults import FaultCode

_CODES = MappingProxyType(
    {
        "R1": FaultCode.RULE_NO_DATA,
        "R2": FaultCode.RULE_LONG_ZERO,
        "R3": FaultCode.RULE_HUGE,
        "R4": FaultCode.RULE_NEGATIVE,
        "R5": FaultCode.RULE_FREQUENCY,
        "R6": FaultCode.RULE_SPIKE,
        "R7": FaultCode.RULE_FAST_CHANGE,
        "R8": FaultCode.RULE_FROZEN,
        "R9": FaultCode.RULE_STUCK,
        "R10": FaultCode.RULE_FLOW_TOTAL,
        "R11": FaultCode.RULE_ENERGY_WATER,
        "R12": FaultCode.RULE_POWER_FLOW,
        "R13": FaultCode.RULE_OUT_OF_RANGE,
        "R14": FaultCode.RULE_CLOCK,
        "R15": FaultCode.CERTIFICATE_DUE,
        "R16": FaultCode.RULE_SETTING_CHANGED,
        "R17": FaultCode.PERMIT_NEAR,
        "R18": FaultCode.PLAN_NEAR,
        "R19": FaultCode.LICENCE_EXPIRING,
        "R20": FaultCode.STATUS_CONFLICT,
        "R21": FaultCode.RULE_SUPPLY,
    }
)
_APART = MappingProxyType(
    {  # findings of one rule that ask something else of people
        ("R11", "coefficient"): FaultCode.COEFFICIENT_PROPOSED,
        ("R15", "coefficient"): FaultCode.COEFFICIENT_EXPIRED,
        ("R19", "volume_withdrawn"): FaultCode.LICENCE_EXPIRED,
    }
)


def fault_of(rule: str, quantity: str = "") -> FaultCode:
    """The code of the rule's findings about a quantity. Raises: KeyError for what is no rule."""
    return _APART.get((rule, quantity)) or _CODES[rule]


def faults_of(rule: str) -> tuple[FaultCode, ...]:
    """Every code that a rule's findings may have."""
    return (_CODES[rule], *(code for (apart, _), code in _APART.items() if apart == rule))
