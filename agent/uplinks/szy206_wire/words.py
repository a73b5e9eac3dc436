"""Fields with a meaning of their own: alarm and state words, link codes, addresses, results, device bytes. Pure.

Source: SZY206, alarm and terminal state tables (low byte first); address field; AFN 02H, 10H, 90H, 92H.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from agent.uplinks.szy206_wire.codecs import Bits, Codec, Content, Hex, Unread, hex_bytes
from agent.uplinks.szy206_wire.names import ContentError

WORD: Final = 2
_MODE_BITS = 2  # D1 and D0 of the state word
_MODES = range(1 << _MODE_BITS)


class Alarm(IntEnum):
    """Bits of the alarm word; 1 is an alarm."""

    AC_LOST = 0
    BATTERY_LOW = 1
    LEVEL_LIMIT = 2
    FLOW_LIMIT = 3
    QUALITY_LIMIT = 4
    FLOW_INSTRUMENT = 5
    PUMP = 6
    LEVEL_INSTRUMENT = 7
    PRESSURE_LIMIT = 8
    TEMPERATURE_LIMIT = 9  # SL/T 427-2021; spare in SZY206
    CARD = 10
    QUOTA = 11
    REMAINING_LOW = 12
    DOOR = 13


class State(IntEnum):
    """Bits of the state word above the work mode."""

    CARD_VALID = 2
    QUOTA_ON = 3
    PUMP_STOPPED = 4
    DOOR_CLOSED = 5
    ON_BATTERY = 6


class Mode(IntEnum):
    """Work modes, as 12H sets them."""

    COMPATIBLE = 0
    SELF_REPORT = 1
    QUERY = 2
    MAINTENANCE = 3


@dataclass(frozen=True, slots=True)
class AlarmWord:
    """The alarm word: `alarm_hex`, `alarm_bits`. Either is enough to write it; the hex counts."""

    size = WORD

    def read(self, data: bytes, unread: Unread) -> Content:
        """Both keys."""
        return {"alarm_hex": Hex(WORD).read(data, unread), "alarm_bits": Bits(WORD).read(data, unread)}

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The two bytes."""
        return hex_bytes(value["alarm_hex"], WORD) if "alarm_hex" in value else Bits(WORD).write(value["alarm_bits"])


@dataclass(frozen=True, slots=True)
class StateWord:
    """The state word: `state_hex`, `work_mode`, `state_bits` (2...15). The hex, or the other two, write it."""

    size = WORD

    def read(self, data: bytes, unread: Unread) -> Content:
        """The three keys."""
        bits = [bit for bit in Bits(WORD).read(data, unread) if bit >= _MODE_BITS]
        return {"state_hex": data.hex().upper(), "work_mode": data[0] & 0b11, "state_bits": bits}

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The two bytes."""
        if "state_hex" in value:
            return hex_bytes(value["state_hex"], WORD)
        if value["work_mode"] not in _MODES or min(value["state_bits"], default=_MODE_BITS) < _MODE_BITS:
            raise ContentError(f"no state word: mode {value['work_mode']!r}, bits {value['state_bits']!r}")
        word = bytearray(Bits(WORD).write(value["state_bits"]))
        word[0] |= value["work_mode"]
        return bytes(word)


_LINKS: Mapping[str, int] = {"F0 login": 0xF0, "F1 logout": 0xF1, "F2 keep-alive": 0xF2}


@dataclass(frozen=True, slots=True)
class Link:
    """What a link test says: its name, other codes their hex digits."""

    size = 1

    def read(self, data: bytes, unread: Unread) -> str:  # noqa: ARG002 - every code has a text
        """The name."""
        names = [name for name, code in _LINKS.items() if code == data[0]]
        return names[0] if names else f"{data[0]:02X}"

    def write(self, value: str) -> bytes:
        """The code."""
        return bytes([_LINKS[value]]) if value in _LINKS else hex_bytes(value, 1)


_DONE = 0x5A
_DEVICE_DONE = 0xA0  # high half-byte of the answer to 92H and 93H
_KINDS: Mapping[int, str] = {0x00: "pump", 0xF0: "valve/gate"}


@dataclass(frozen=True, slots=True)
class Result:
    """What a station answers to a control command: `done` for 5AH, other codes their hex digits."""

    size = 1

    def read(self, data: bytes, unread: Unread) -> str:  # noqa: ARG002 - every code has a text
        """The text."""
        return "done" if data[0] == _DONE else f"{data[0]:02X}"

    def write(self, value: str) -> bytes:
        """The code."""
        return bytes([_DONE]) if value == "done" else hex_bytes(value, 1)


@dataclass(frozen=True, slots=True)
class Device:
    """A pump, valve or gate: `device_no` 0...15 with `device_kind` (command), or with `result` (`is_answer`)."""

    is_answer: bool

    size = 1

    def read(self, data: bytes, unread: Unread) -> Content:
        """The two keys; `device_kind` is None for a high half-byte that is neither 0 nor F."""
        number, high = data[0] & 0x0F, data[0] & 0xF0
        if self.is_answer:
            return {"device_no": number, "result": "done" if high == _DEVICE_DONE else f"{data[0]:02X}"}
        if high not in _KINDS:
            unread.append(f"{data[0]:02X}")
        return {"device_no": number, "device_kind": _KINDS.get(high)}

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The byte."""
        if value["device_no"] not in range(16):
            raise ContentError(f"there is no device {value['device_no']!r}")
        if not self.is_answer:
            high = [code for code, name in _KINDS.items() if name == value["device_kind"]]
            if not high:
                raise ContentError(f"{value['device_kind']!r} is neither pump nor valve/gate")
            return bytes([high[0] | value["device_no"]])
        if value["result"] == "done":
            return bytes([_DEVICE_DONE | value["device_no"]])
        return hex_bytes(value["result"], 1)


_ADDRESS = 5
_DIVISION = 3
_SL502 = b"\0"  # first byte of the address form with a station code of 8 digits


@dataclass(frozen=True, slots=True)
class Address:
    """An address by its parts: division code and station number (lowest byte first), or the 8-digit station code.

    `admin`, `station` and `code` are the keys. Whatever the order of the number is on a platform, it is shown so.
    """

    admin: str
    station: str
    code: str

    size = _ADDRESS

    def read(self, data: bytes, unread: Unread) -> Content:  # noqa: ARG002 - every address has its digits
        """The first two keys, or the third."""
        if data[:1] == _SL502:
            return {self.code: data[1:].hex().upper()}
        return {
            self.admin: data[:_DIVISION].hex().upper(),
            self.station: int.from_bytes(data[_DIVISION:], "little"),
        }

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The 5 bytes."""
        if self.code in value:
            return _SL502 + hex_bytes(value[self.code], _ADDRESS - 1)
        number = value[self.station]
        if not isinstance(number, int) or not 0 <= number <= 0xFFFF:  # noqa: PLR2004 - two bytes
            raise ContentError(f"station {number!r} does not fit two bytes")
        return hex_bytes(value[self.admin], _DIVISION) + number.to_bytes(2, "little")


OWN_ADDRESS: Final = Address("admin_code", "station_le", "station_code")


@dataclass(frozen=True, slots=True)
class Intervals:
    """`slots` report intervals as `intervals_min`: {bit number as text: minutes}, without those that are 0."""

    slots: int
    interval: Codec

    @property
    def size(self) -> int:
        """Bytes."""
        return self.slots * self.interval.size

    def read(self, data: bytes, unread: Unread) -> Content:
        """`{"intervals_min": ...}`."""
        step = self.interval.size
        values = (self.interval.read(data[at : at + step], unread) for at in range(0, self.size, step))
        return {"intervals_min": {str(bit): value for bit, value in enumerate(values) if value != 0}}

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The bytes of all slots."""
        given = dict(value["intervals_min"])
        sent = b"".join(self.interval.write(given.pop(str(bit), 0)) for bit in range(self.slots))
        if given:
            raise KeyError(f"intervals_min of {', '.join(given)}")  # more slots may have it
        return sent
