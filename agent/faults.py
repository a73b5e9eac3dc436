"""Fault codes and what the rest of the agent needs to raise and clear them. Sentences about them live in locale/."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class FaultCode(StrEnum):
    """A condition with beginning and end. The value is what people see and look up with `qushui help`."""

    METER_NO_REPLY = "METER-NO-REPLY"
    METER_BAD_CHECKSUM = "METER-BAD-CHECKSUM"
    METER_WRONG_ADDRESS = "METER-WRONG-ADDRESS"
    METER_MALFORMED = "METER-MALFORMED"
    METER_REFUSED = "METER-REFUSED"
    METER_BUSY = "METER-BUSY"
    METER_READ_SPLIT = "METER-READ-SPLIT"
    METER_VALUE_MISSING = "METER-VALUE-MISSING"
    METER_OUT_OF_RANGE = "METER-OUT-OF-RANGE"
    METER_NEGATIVE_DELTA = "METER-NEGATIVE-DELTA"
    METER_TOTAL_COARSE = "METER-TOTAL-COARSE"
    METER_SETTING_CHANGED = "METER-SETTING-CHANGED"
    LINE_DOWN = "LINE-DOWN"
    LINE_HELD = "LINE-HELD"
    LINE_OVERBOOKED = "LINE-OVERBOOKED"
    STORE_SLOW = "STORE-SLOW"
    STORE_DAMAGED = "STORE-DAMAGED"
    STORE_FULL = "STORE-FULL"
    STORE_EVICTED = "STORE-EVICTED"
    STORE_WRITE_FAILED = "STORE-WRITE-FAILED"
    KEY_UNUSABLE = "KEY-UNUSABLE"
    CLOCK_UNSET = "CLOCK-UNSET"
    CLOCK_STEPPED = "CLOCK-STEPPED"
    CLOCK_DISPUTED = "CLOCK-DISPUTED"
    CONFIG_REFUSED = "CONFIG-REFUSED"
    UPLINK_DOWN = "UPLINK-DOWN"
    UPLINK_REFUSED = "UPLINK-REFUSED"
    UPLINK_PARKED = "UPLINK-PARKED"
    UPLINK_POLLED = "UPLINK-POLLED"
    COMMAND_FORBIDDEN = "COMMAND-FORBIDDEN"
    RULE_NO_DATA = "RULE-NO-DATA"
    RULE_LONG_ZERO = "RULE-LONG-ZERO"
    RULE_HUGE = "RULE-HUGE"
    RULE_NEGATIVE = "RULE-NEGATIVE"
    RULE_FREQUENCY = "RULE-FREQUENCY"
    RULE_SPIKE = "RULE-SPIKE"
    RULE_FAST_CHANGE = "RULE-FAST-CHANGE"
    RULE_FROZEN = "RULE-FROZEN"
    RULE_STUCK = "RULE-STUCK"
    RULE_FLOW_TOTAL = "RULE-FLOW-TOTAL"
    RULE_ENERGY_WATER = "RULE-ENERGY-WATER"
    COEFFICIENT_PROPOSED = "COEFFICIENT-PROPOSED"
    RULE_POWER_FLOW = "RULE-POWER-FLOW"
    RULE_OUT_OF_RANGE = "RULE-OUT-OF-RANGE"
    RULE_CLOCK = "RULE-CLOCK"
    CERTIFICATE_DUE = "CERTIFICATE-DUE"
    COEFFICIENT_EXPIRED = "COEFFICIENT-EXPIRED"
    RULE_SETTING_CHANGED = "RULE-SETTING-CHANGED"
    PERMIT_NEAR = "PERMIT-NEAR"
    PLAN_NEAR = "PLAN-NEAR"
    LICENCE_EXPIRING = "LICENCE-EXPIRING"
    LICENCE_EXPIRED = "LICENCE-EXPIRED"
    STATUS_CONFLICT = "STATUS-CONFLICT"
    RULE_SUPPLY = "RULE-SUPPLY"
    UPLOAD_RATE_LOW = "UPLOAD-RATE-LOW"
    ONLINE_OBLIGED = "ONLINE-OBLIGED"
    QUARTER_DUE = "QUARTER-DUE"
    INTAKE_STOPPED = "INTAKE-STOPPED"
    THREAD_RESTARTED = "THREAD-RESTARTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A coded condition at a place (`meter/main-flow`, `line/rs485-1`, `uplink/cloud`, `store`, `clock`, `config`).

    `evidence` holds what proves it, in keys with units (`sent_hex`, `received_hex`, `waited_s`), as text.
    """

    code: FaultCode
    place: str
    evidence: tuple[tuple[str, str], ...] = ()


class FaultSink(Protocol):
    """Where faults are raised and cleared. Raising an open one again counts it; clearing a closed one does nothing."""

    def raised(self, code: FaultCode, place: str, **evidence: object) -> None:
        """The condition holds at `place`."""
        ...

    def cleared(self, code: FaultCode, place: str) -> None:
        """The condition no longer holds."""
        ...
