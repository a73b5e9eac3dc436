"""Names of SL 651-2014: encodings, directions, control characters, function codes, station classes; what can be wrong.

Clause and table numbers are those of the approval draft (报批稿), the text that is public.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, Final


class Encoding(StrEnum):
    """The two encodings; one installation uses one of them in both directions (6.1.2)."""

    BINARY = "HEX/BCD"
    ASCII = "ASCII"


class Direction(StrEnum):
    """Who sent a frame."""

    UP = "up"  # the station
    DOWN = "down"  # the centre


class Control(IntEnum):
    """Control characters. Source: SL 651-2014, 6.2.2, table 10."""

    STX = 0x02
    ETX = 0x03
    EOT = 0x04
    ENQ = 0x05
    ACK = 0x06
    NAK = 0x15
    SYN = 0x16
    ETB = 0x17
    ESC = 0x1B


STARTS: Final = (Control.STX, Control.SYN)
UP_ENDS: Final = (Control.ETX, Control.ETB)
DOWN_ENDS: Final = (Control.ENQ, Control.ACK, Control.EOT, Control.ESC)
MULTI_DOWN_ENDS: Final = (*DOWN_ENDS, Control.NAK)  # NAK only in M3, tables 19 and 23
CONFIRMING: Final = frozenset({Control.ACK, Control.EOT, Control.ESC})  # all three say "delivered"


class Function(IntEnum):
    """Function codes that have a name. Source: SL 651-2014, annex B."""

    KEEPALIVE = 0x2F
    TEST = 0x30
    UNIFORM = 0x31
    TIMED = 0x32
    ADDITIONAL = 0x33
    HOURLY = 0x34
    MANUAL = 0x35
    PICTURE = 0x36
    QUERY_REALTIME = 0x37
    QUERY_PERIOD = 0x38
    QUERY_MANUAL = 0x39
    QUERY_ELEMENTS = 0x3A
    SET_BASIC = 0x40
    READ_BASIC = 0x41
    SET_RUN = 0x42
    READ_RUN = 0x43
    QUERY_PUMP = 0x44
    QUERY_VERSION = 0x45
    QUERY_STATUS = 0x46
    CLEAR_STORAGE = 0x47
    FACTORY_RESET = 0x48
    CHANGE_PASSWORD = 0x49
    SET_CLOCK = 0x4A
    SET_CARD = 0x4B
    CONTROL_PUMP = 0x4C
    CONTROL_VALVE = 0x4D
    CONTROL_GATE = 0x4E
    CONTROL_QUOTA = 0x4F
    QUERY_EVENTS = 0x50
    QUERY_CLOCK = 0x51


FUNCTION_NAMES: Mapping[int, str] = MappingProxyType(
    {
        Function.KEEPALIVE: "keepalive",
        Function.TEST: "test",
        Function.UNIFORM: "uniform-interval",
        Function.TIMED: "timed",
        Function.ADDITIONAL: "additional",
        Function.HOURLY: "hourly",
        Function.MANUAL: "manual-entry",
        Function.PICTURE: "picture",
        Function.QUERY_REALTIME: "query-realtime",
        Function.QUERY_PERIOD: "query-period",
        Function.QUERY_MANUAL: "query-manual-entry",
        Function.QUERY_ELEMENTS: "query-elements",
        Function.SET_BASIC: "set-basic-config",
        Function.READ_BASIC: "read-basic-config",
        Function.SET_RUN: "set-run-params",
        Function.READ_RUN: "read-run-params",
        Function.QUERY_PUMP: "query-pump-motor",
        Function.QUERY_VERSION: "query-software-version",
        Function.QUERY_STATUS: "query-status-alarm",
        Function.CLEAR_STORAGE: "init-storage",
        Function.FACTORY_RESET: "factory-reset",
        Function.CHANGE_PASSWORD: "change-password",
        Function.SET_CLOCK: "set-clock",
        Function.SET_CARD: "set-ic-card",
        Function.CONTROL_PUMP: "control-pump",
        Function.CONTROL_VALVE: "control-valve",
        Function.CONTROL_GATE: "control-gate",
        Function.CONTROL_QUOTA: "control-quota",
        Function.QUERY_EVENTS: "query-event-records",
        Function.QUERY_CLOCK: "query-clock",
    }
)
_FIRST_OF_USER = 0xE0  # annex B: E0-FF are the user's


def function_name(function: int) -> str:
    """The label of a function code; `reserved` and `user-defined` for those without a name."""
    return FUNCTION_NAMES.get(function, "user-defined" if function >= _FIRST_OF_USER else "reserved")


WATER_INTAKE: Final = 0x49  # annex A: class I, 取水口

# Annex A: the class byte is the character itself.
STATION_CLASSES: Mapping[int, str] = MappingProxyType(
    {
        0x50: "precipitation",
        0x48: "river",
        0x4B: "reservoir",
        0x5A: "sluice",
        0x44: "pumping-station",
        0x54: "tide",
        0x4D: "soil-moisture",
        0x47: "groundwater",
        0x51: "water-quality",
        WATER_INTAKE: "water-intake",
        0x4F: "outfall",
    }
)


class StatusBit(IntEnum):
    """Bits of the status and alarm word (element 45) as 1 means them. Source: table 58; bits 12-31 are reserved."""

    MAINS_LOST = 0
    BATTERY_LOW = 1
    LEVEL_ALARM = 2
    FLOW_ALARM = 3
    QUALITY_ALARM = 4
    FLOW_METER_FAULT = 5
    LEVEL_SENSOR_FAULT = 6
    DOOR_CLOSED = 7  # 1 is the normal state
    STORAGE_FAULT = 8
    CARD_ACTIVE = 9
    PUMP_STOPPED = 10  # 1 is the normal state of a resting pump
    VOLUME_ALARM = 11


class Event(IntEnum):
    """Which of the 32 event counters (function 50) counts what, from 1; 19-32 are spare. Source: table 82."""

    STORAGE_CLEARED = 1
    PARAMETER_CHANGED = 2
    STATUS_CHANGED = 3
    SENSOR_FAULT = 4
    PASSWORD_CHANGED = 5
    TERMINAL_FAULT = 6
    MAINS_LOST = 7
    BATTERY_LOW = 8
    BOX_OPENED = 9
    PUMP_FAULT = 10
    VOLUME_ALARM = 11
    LEVEL_ALARM = 12
    PRESSURE_ALARM = 13
    QUALITY_ALARM = 14
    DATA_ERROR = 15
    MESSAGE_SENT = 16
    MESSAGE_RECEIVED = 17
    SEND_ERROR = 18


@dataclass(frozen=True, slots=True)
class Dialect:
    """What public sources disagree about; the defaults are what most of them, or the standard, do.

    `sign_counted`: the byte count of a data definition includes the sign byte FF (table 26; one platform does not
    count it). `text_encoding`: of manual entries and versions; the standard names none. `packet_base`: of packet
    total and number in the ASCII encoding: 16 (table 18) or 10 (one implementation).
    """

    sign_counted: bool = True
    text_encoding: str = "gbk"
    packet_base: int = 16


STANDARD: Final = Dialect()


class FrameError(Exception):
    """A frame or its body breaks a rule.

    `code` names the check; `arguments` say what was expected and what was there, and `clause` whose rule it is. Each
    code has a sentence `frame.wrong.CODE`.
    """

    def __init__(self, code: str, clause: str, **arguments: Any) -> None:
        self.code = f"sl651_{code}"
        self.arguments: dict[str, Any] = arguments | {"clause": clause}
        super().__init__(f"{self.code} {self.arguments}")


class BodyError(FrameError):
    """The frame is sound, its body is not; a centre acknowledges neither, but may log the station."""
