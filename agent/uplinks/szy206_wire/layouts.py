"""What stands in a body, by direction, AFN and kind: the one table of both directions. Pure.

A layout is a row of codecs of which at most one repeats to the end; so a body's length alone says which layout fits.
Where several exist, the longest comes first: who writes gets the one that all keys fill.

Source: SZY206, application functions; SL/T 427-2021 where the rules of the edition say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from agent.uplinks.szy206_wire.codecs import Binary, Bits, Codec, Content, Hex, Keyed, Number, Record, Unread
from agent.uplinks.szy206_wire.items import PRESSURE, SIGN_BIT, VOLTAGE, VOLUME, Rules
from agent.uplinks.szy206_wire.names import (
    CONFIRMED,
    STORED_KINDS,
    THRESHOLD_KINDS,
    Afn,
    AlarmOrder,
    ContentError,
    Edition,
    Kind,
    kind_name,
)
from agent.uplinks.szy206_wire.quality import Quality
from agent.uplinks.szy206_wire.times import HOUR, MINUTE, Clock
from agent.uplinks.szy206_wire.words import Address, AlarmWord, Device, Intervals, Link, Result, StateWord

WITH_ITEMS: Final = frozenset({Afn.ALARM_REPORT, Afn.MANUAL_REPORT, Afn.REPORT, Afn.QUERY_REALTIME})
_INTERVAL = Number(2)
_BASE_LEVEL = Number(3, 2, SIGN_BIT)
_LIMIT_LEVEL = Number(2, 2)


@dataclass(frozen=True, slots=True)
class Many:
    """`least` or more of the same, as a list under `key`."""

    key: str
    codec: Codec
    least: int = 1

    def read(self, data: bytes, unread: Unread) -> Content:
        """`{key: [...]}`."""
        step = self.codec.size
        return {self.key: [self.codec.read(data[at : at + step], unread) for at in range(0, len(data), step)]}

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The bytes of all."""
        if len(value[self.key]) < self.least:
            raise ContentError(f"{self.key} is empty")
        return b"".join(self.codec.write(each) for each in value[self.key])

    def takes(self, size: int) -> bool:
        """Whether so many bytes are a whole number of them, and enough."""
        return size >= self.least * self.codec.size and size % self.codec.size == 0


@dataclass(frozen=True, slots=True)
class Rest:
    """What no public source explains, as hex under `rest_hex`; absent where there is none."""

    def read(self, data: bytes, unread: Unread) -> Content:  # noqa: ARG002 - nothing to fail
        """`{"rest_hex": ...}` or nothing."""
        return {"rest_hex": data.hex().upper()} if data else {}

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The bytes."""
        text = value.get("rest_hex", "")
        return Hex(len(text) // 2).write(text)

    def takes(self, size: int) -> bool:
        """Any number of bytes."""
        return size >= 0


_Open = Many | Rest | Quality


class Layout:
    """A row of codecs; at most one of them is open, and takes what the others leave."""

    def __init__(self, *parts: Codec | _Open) -> None:
        self._parts = parts
        self._fixed = sum(part.size for part in parts if not isinstance(part, _Open))
        self._is_open = any(isinstance(part, _Open) for part in parts)

    def takes(self, size: int) -> bool:
        """Whether a body of `size` bytes can be this."""
        if not self._is_open:
            return size == self._fixed
        return all(part.takes(size - self._fixed) for part in self._parts if isinstance(part, _Open))

    def read(self, data: bytes, unread: Unread) -> Content | None:
        """The fields, or None where `data` is not this."""
        if not self.takes(len(data)):
            return None
        content: Content = {}
        at = 0
        for part in self._parts:
            size = len(data) - self._fixed if isinstance(part, _Open) else part.size
            found = part.read(data[at : at + size], unread)
            if found is None:
                return None
            content |= found
            at += size
        return content

    def write(self, content: Mapping[str, Any]) -> bytes:
        """The body. Raises KeyError for a field that is missing, ContentError for one that does not fit."""
        return b"".join(part.write(content) for part in self._parts)


@dataclass(frozen=True, slots=True)
class _Sensor:
    """Kind and sensor number in one byte: `kind`, `kind_name`, `sensor_no`. `kinds`: those of this AFN in order."""

    kinds: tuple[Kind, ...]
    edition: Edition

    size = 1

    def read(self, data: bytes, unread: Unread) -> Content:  # noqa: ARG002 - unknown kinds have no name
        """The keys; no name for a kind that has none."""
        kind, number = data[0] >> 4, data[0] & 0x0F
        named = {"kind_name": kind_name(self.kinds[kind], self.edition)} if kind < len(self.kinds) else {}
        return {"kind": kind} | named | {"sensor_no": number}

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The byte."""
        if value["kind"] not in range(16) or value["sensor_no"] not in range(16):
            raise ContentError(f"kind {value['kind']!r}, sensor {value['sensor_no']!r}: both are 0 to 15")
        return bytes([value["kind"] << 4 | value["sensor_no"]])


_ALARM, _STATE = AlarmWord(), StateWord()
_MODE = Keyed("work_mode", Binary())
_KINDS = Keyed("kinds_bits", Bits(2))
_Make = Callable[[Rules], tuple[Layout, ...]]


def _one(*parts: Codec | _Open) -> _Make:
    """The same layout in every edition and order."""
    layouts = (Layout(*parts),)
    return lambda _: layouts


def _numbers(*numbers: tuple[str, Number]) -> _Make:
    """Numbers by key, in the platform's byte order."""
    return lambda rules: (Layout(*(Keyed(key, rules.number(number)) for key, number in numbers)),)


def _intervals(rules: Rules) -> tuple[Layout, ...]:
    """14 intervals are written; an implementation of 2021 sends as many as it has, up to 15."""
    interval = rules.number(_INTERVAL)
    return tuple(Layout(_KINDS, Intervals(slots, interval)) for slots in (14, 15, *range(13, 0, -1)))


def _set_intervals(rules: Rules) -> tuple[Layout, ...]:
    """A 206 command has 14 only: one interval more and a short time tag are as long as the long tag behind 14."""
    return _intervals(rules) if rules.is_2021 else _intervals(rules)[:1]


def _level_limits(rules: Rules) -> Many:
    low, high = (Keyed(key, rules.number(_LIMIT_LEVEL)) for key in ("low_m", "high_m"))
    return Many("level_limits", Record((Keyed("base_m", rules.number(_BASE_LEVEL)), low, high)))


def _pressure_limits(rules: Rules) -> Many:
    low, high = (Keyed(key, rules.number(PRESSURE)) for key in ("low_kpa", "high_kpa"))
    return Many("pressure_limits", Record((high, low) if rules.is_2021 else (low, high)))


def _flow_limits(rules: Rules) -> Many:
    return Many("flow_limits", rules.flow("value"))


def _alone(many: Callable[[Rules], Many]) -> _Make:
    return lambda rules: (Layout(many(rules)),)


def _with_tail(many: Callable[[Rules], Many]) -> _Make:
    """Limits as answered to a query: sources differ in what follows, the length tells it."""
    return lambda rules: (
        Layout(many(rules), _ALARM, _STATE),
        Layout(many(rules), _ALARM),
        Layout(many(rules)),
    )


def _motor(rules: Rules) -> tuple[Layout, ...]:
    """Either width is read; one byte is written, in 2021 two."""
    sizes = (2, 1) if rules.is_2021 else (1, 2)
    return tuple(Layout(_Three("voltages", Binary(size)), _Three("currents", Binary(size))) for size in sizes)


def _voltage(rules: Rules) -> tuple[Layout, ...]:
    voltage = Keyed("voltage_v", rules.number(VOLTAGE))
    return Layout(voltage, _ALARM, _STATE), Layout(voltage)


@dataclass(frozen=True, slots=True)
class _Three:
    """Three raw numbers as a list: phases A, B, C."""

    key: str
    codec: Binary

    @property
    def size(self) -> int:
        """Bytes."""
        return 3 * self.codec.size

    def read(self, data: bytes, unread: Unread) -> Content:
        """`{key: [A, B, C]}`."""
        return Many(self.key, self.codec).read(data, unread)

    def write(self, value: Mapping[str, Any]) -> bytes:
        """Their bytes."""
        if len(value[self.key]) != 3:  # noqa: PLR2004 - phases
            raise ContentError(f"{self.key} has {len(value[self.key])} phases, not 3")
        return Many(self.key, self.codec).write(value)


_REMAINING = ("remaining_m3", VOLUME)
_REMAINING_ALARM = ("remaining_alarm_m3", Number(3))
_PERIOD = (Keyed("start", HOUR), Keyed("end", HOUR))
_MEMORY = (Keyed("start", MINUTE), Keyed("end", MINUTE))
_NEW = Address("new_admin", "new_station", "new_station_code")
_REPORTED = Address("reported_admin", "reported_station", "reported_station_code")
_RESULT = _one(Keyed("result", Result()))

# What the centre sets, and what the station repeats.
_SETTINGS: Mapping[int, _Make] = MappingProxyType(
    {
        Afn.LINK: _one(Keyed("link", Link())),
        Afn.SET_ADDRESS: _one(_NEW),
        Afn.SET_CLOCK: _one(Clock()),
        Afn.SET_MODE: _one(_MODE),
        Afn.RECHARGE: _numbers(("recharge_m3", Number(4))),
        Afn.SET_REMAINING_ALARM: _numbers(_REMAINING_ALARM),
        Afn.SET_LEVEL_LIMITS: _alone(_level_limits),
        Afn.SET_PRESSURE_LIMITS: _alone(_pressure_limits),
        Afn.SET_BASE: lambda rules: (Layout(Many("base_m3", rules.number(VOLUME))),),
        Afn.SET_FLOW_LIMITS: _alone(_flow_limits),
        Afn.CARD_ON: _one(),
        Afn.CARD_OFF: _one(),
        Afn.QUOTA_ON: _one(),
        Afn.QUOTA_OFF: _one(),
        Afn.SET_QUOTA: _numbers(("quota_m3", Number(5))),
        Afn.RESET: _one(Keyed("reset", Binary())),
        Afn.CLEAR: _one(Keyed("clear_bits", Bits(1))),
        Afn.START: _one(Device(is_answer=False)),
        Afn.STOP: _one(Device(is_answer=False)),
        Afn.CHANGE_PASSWORD: _one(Keyed("new_pw_hex", Hex(2))),
        Afn.SET_KINDS: _one(_KINDS),
        Afn.SET_INTERVALS: _set_intervals,
        Afn.QUERY_MEMORY: _one(*_MEMORY),
    }
)
# What the station answers where that is something else.
_ANSWERS: Mapping[int, _Make] = MappingProxyType(
    {
        Afn.SET_ADDRESS: _one(_REPORTED),
        Afn.SET_INTERVALS: _intervals,
        Afn.CARD_ON: _RESULT,
        Afn.CARD_OFF: _RESULT,
        Afn.QUOTA_ON: _RESULT,
        Afn.QUOTA_OFF: _RESULT,
        Afn.RESET: _RESULT,
        Afn.START: _one(Device(is_answer=True)),
        Afn.STOP: _one(Device(is_answer=True)),
        Afn.QUERY_ADDRESS: _one(_REPORTED),
        Afn.QUERY_CLOCK: _one(Clock()),
        Afn.QUERY_MODE: _one(_MODE),
        Afn.QUERY_INTERVALS: _intervals,
        Afn.QUERY_KINDS: _one(_KINDS),
        Afn.QUERY_RECHARGE: _numbers(("last_recharge_m3", Number(4)), _REMAINING),
        Afn.QUERY_REMAINING_ALARM: _numbers(_REMAINING_ALARM, _REMAINING),
        Afn.QUERY_LEVEL_LIMITS: _with_tail(_level_limits),
        Afn.QUERY_PRESSURE_LIMITS: _with_tail(_pressure_limits),
        Afn.QUERY_FLOW_LIMITS: _with_tail(_flow_limits),
        Afn.QUERY_EVENTS: _one(Many("event_counts", Binary(2))),
        Afn.QUERY_STATE: _one(_ALARM, _STATE),
        Afn.QUERY_MOTOR: _motor,
        Afn.QUERY_MEMORY: _one(*_MEMORY, Rest()),
        Afn.VOLTAGE_REPORT: _voltage,
    }
)
# What the centre sends: settings, questions without data, and the work mode that confirms a report.
_QUERIES = [afn for afn in _ANSWERS if Afn.QUERY_ADDRESS <= afn <= Afn.QUERY_FLOW_LIMITS]
_COMMANDS: Mapping[int, _Make] = MappingProxyType(
    dict(_SETTINGS) | dict.fromkeys([*_QUERIES, Afn.QUERY_REALTIME], _one()) | dict.fromkeys(CONFIRMED, _one(_MODE))
)


def layouts_of(*, is_up: bool, afn: int, func: int, rules: Rules, kind: int | None) -> tuple[Layout, ...] | None:
    """The layouts that a body may have; None where none is known. `kind`: the high half-byte of its first byte."""
    if afn == Afn.SET_THRESHOLD:
        return _threshold(rules, kind)
    if afn == Afn.QUERY_STORED:
        return _stored(rules, kind, is_up=is_up)
    if is_up and afn in WITH_ITEMS:
        return _items(afn, func, rules)
    make = _ANSWERS.get(afn, _SETTINGS.get(afn)) if is_up else _COMMANDS.get(afn)
    return None if make is None else make(rules)


def _threshold(rules: Rules, kind: int | None) -> tuple[Layout, ...]:
    known = None if kind is None else rules.threshold(kind)
    interval = Keyed("storage_interval_min", Binary())
    return (Layout(_Sensor(THRESHOLD_KINDS, rules.edition), interval, Rest() if known is None else known),)


def _stored(rules: Rules, kind: int | None, *, is_up: bool) -> tuple[Layout, ...]:
    head = (_Sensor(STORED_KINDS, Edition.SZY206), *_PERIOD)
    if not is_up:
        return (Layout(*head),)
    known = None if kind is None else rules.stored(kind)
    return (Layout(*head, Rest() if known is None else Many("records", known[0], least=0)),)


def _items(afn: int, func: int, rules: Rules) -> tuple[Layout, ...] | None:
    """Reports and the answer to a real-time query: items, alarm and state."""
    words = Layout(_ALARM, _STATE)
    if func == Kind.COMMAND:
        return (words,)
    if func == Kind.STATE:
        return (*_voltage(rules), words) if afn == Afn.QUERY_REALTIME else (_voltage(rules)[0], words)
    item: Codec | _Open
    if func == Kind.QUALITY:
        item = Quality()
    else:
        known = rules.item(func)
        if known is None:
            return None
        item = Many(*known)
    is_first = afn == Afn.ALARM_REPORT and rules.dialect.alarm_order is AlarmOrder.FIRST
    return (Layout(_ALARM, item, _STATE) if is_first else Layout(item, _ALARM, _STATE),)
