"""Names of SZY206-2016 and SL/T 427-2021: editions, what platforms differ in, AFNs, kinds; what can be wrong. Pure.

The text of SZY206-2016 is not public. Everything here is as published frames and several public implementations have
it; where those disagree it is a `Dialect`, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, Final


class Edition(StrEnum):
    """Whose rules hold: time tag, unit of a flow, type 8, soil items, order of pressure limits."""

    AUTO = "auto"  # a 5-byte time tag: 206; a 7-byte one: 2021; none: 206
    SZY206 = "206"
    SLT427 = "2021"


class ByteOrder(StrEnum):
    """Which pair of digits of a number comes first."""

    LOW = "low"
    HIGH = "high"  # the earliest implementations; their time tag begins with the day


class FlowBlock(StrEnum):
    """What one meter has in a report."""

    A = "A"  # instant flow, cumulative volume
    B = "B"  # cumulative volume
    C = "C"  # cumulative volume, instant flow
    D = "D"  # instant flow


class AlarmOrder(StrEnum):
    """Where the alarm word of an 81H report stands."""

    FIRST = "first"  # in front of the items
    LAST = "last"  # behind them, as in C0H


@dataclass(frozen=True, slots=True)
class Dialect:
    """What no frame tells and platforms differ in; the defaults are what most public sources do."""

    edition: Edition = Edition.AUTO
    byte_order: ByteOrder = ByteOrder.LOW
    flow_block: FlowBlock = FlowBlock.A
    alarm_order: AlarmOrder = AlarmOrder.FIRST


STANDARD: Final = Dialect()


class Afn(IntEnum):
    """Application function codes that have a known body, or a rule of their own."""

    LINK = 0x02
    SET_ADDRESS = 0x10
    SET_CLOCK = 0x11
    SET_MODE = 0x12
    RECHARGE = 0x15
    SET_REMAINING_ALARM = 0x16
    SET_LEVEL_LIMITS = 0x17
    SET_PRESSURE_LIMITS = 0x18
    SET_BASE = 0x1B
    SET_FLOW_LIMITS = 0x1F
    SET_THRESHOLD = 0x20
    CARD_ON = 0x30
    CARD_OFF = 0x31
    QUOTA_ON = 0x32
    QUOTA_OFF = 0x33
    SET_QUOTA = 0x34
    QUERY_ADDRESS = 0x50
    QUERY_CLOCK = 0x51
    QUERY_MODE = 0x52
    QUERY_INTERVALS = 0x53
    QUERY_KINDS = 0x54
    QUERY_RECHARGE = 0x55
    QUERY_REMAINING_ALARM = 0x56
    QUERY_LEVEL_LIMITS = 0x57
    QUERY_PRESSURE_LIMITS = 0x58
    QUERY_EVENTS = 0x5D
    QUERY_STATE = 0x5E
    QUERY_MOTOR = 0x5F
    QUERY_IMAGE = 0x61
    QUERY_FLOW_LIMITS = 0x64
    ALARM_REPORT = 0x81
    MANUAL_REPORT = 0x82
    IMAGE_REPORT = 0x83
    VOLTAGE_REPORT = 0x84
    RESET = 0x90
    CLEAR = 0x91
    START = 0x92
    STOP = 0x93
    CHANGE_PASSWORD = 0x96
    SET_KINDS = 0xA0
    SET_INTERVALS = 0xA1
    QUERY_REALTIME = 0xB0
    QUERY_STORED = 0xB1
    QUERY_MEMORY = 0xB2
    REPORT = 0xC0


REPORTS: Final = frozenset({Afn.ALARM_REPORT, Afn.MANUAL_REPORT, Afn.VOLTAGE_REPORT, Afn.REPORT})
CONFIRMED: Final = frozenset({Afn.ALARM_REPORT, Afn.MANUAL_REPORT, Afn.REPORT})
IMAGES: Final = frozenset({Afn.QUERY_IMAGE, Afn.IMAGE_REPORT})


def is_setting(afn: int) -> bool:
    """Whether the centre's frame with this AFN sets or controls: it carries password and time tag."""
    return 0x10 <= afn <= 0x4F or 0x90 <= afn <= 0x96 or afn in {Afn.SET_KINDS, Afn.SET_INTERVALS}  # noqa: PLR2004 - AFNs


class Kind(IntEnum):
    """Type codes in the control byte. Source: SZY206, control field."""

    COMMAND = 0
    RAIN = 1
    LEVEL = 2
    FLOW = 3
    VELOCITY = 4
    GATE = 5
    POWER = 6
    AIR_PRESSURE = 7
    WIND = 8  # SL/T 427-2021: electricity
    WATER_TEMPERATURE = 9
    QUALITY = 10
    SOIL = 11
    EVAPORATION = 12
    STATE = 13
    COMPOSITE = 14
    PRESSURE = 15


_KIND_NAMES: Mapping[int, str] = MappingProxyType(
    {
        Kind.COMMAND: "command",
        Kind.RAIN: "rain",
        Kind.LEVEL: "water level",
        Kind.FLOW: "flow/water amount",
        Kind.VELOCITY: "velocity",
        Kind.GATE: "gate position",
        Kind.POWER: "power",
        Kind.AIR_PRESSURE: "air pressure",
        Kind.WIND: "wind speed",
        Kind.WATER_TEMPERATURE: "water temperature",
        Kind.QUALITY: "water quality",
        Kind.SOIL: "soil moisture",
        Kind.EVAPORATION: "evaporation",
        Kind.STATE: "alarm/state",
        Kind.COMPOSITE: "composite",
        Kind.PRESSURE: "water pressure",
    }
)
_KIND_NAMES_2021: Mapping[int, str] = MappingProxyType({Kind.AIR_PRESSURE: "weather", Kind.WIND: "electricity"})
_BASIC_KINDS = (
    Kind.RAIN,
    Kind.LEVEL,
    Kind.FLOW,
    Kind.VELOCITY,
    Kind.GATE,
    Kind.POWER,
    Kind.AIR_PRESSURE,
    Kind.WIND,
    Kind.WATER_TEMPERATURE,
    Kind.QUALITY,
    Kind.SOIL,
)
STORED_KINDS: Final = (*_BASIC_KINDS, Kind.PRESSURE)  # B1H counts from 0 and has a list of its own
THRESHOLD_KINDS: Final = (*_BASIC_KINDS, Kind.EVAPORATION, Kind.PRESSURE)  # and so has 20H


def kind_name(kind: int, edition: Edition) -> str:
    """The name of a type code."""
    if edition is Edition.SLT427 and kind in _KIND_NAMES_2021:
        return _KIND_NAMES_2021[kind]
    return _KIND_NAMES[kind]


def kind_of(name: str) -> int:
    """The type code that has this name in either edition. Raises ContentError for no such name."""
    for names in (_KIND_NAMES, _KIND_NAMES_2021):
        for kind, own in names.items():
            if own == name:
                return kind
    raise ContentError(f"no kind of data is called {name!r}")


class FrameError(Exception):
    """Bytes that are no frame. `code` names the check, `arguments` say what was expected and what was there.

    Each code has a sentence `frame.wrong.CODE`.
    """

    def __init__(self, code: str, **arguments: Any) -> None:
        self.code = f"szy206_{code}"
        self.arguments = arguments
        super().__init__(f"{self.code} {arguments}")


class ContentError(ValueError):
    """What was to be sent does not fit its field or has no layout."""
