"""What a simulated SZY206 centre can ask and order: words in, AFN and fields out. Pure.

`AFN KEY=VALUE …`, keys as `docs/reference/szy206.en.md` names them and values as YAML writes them; `func=N` is the type
code of the control byte; `data=HEX` sends any AFN with any data. Settings get password and time tag by themselves.

Source: SZY206, AFN table, set and query details, additional information.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

import yaml

from agent.uplinks.szy206_wire.content import PASSWORD, compose
from agent.uplinks.szy206_wire.exchange import tag_of
from agent.uplinks.szy206_wire.frame import Frame
from agent.uplinks.szy206_wire.names import Afn, ContentError, Dialect, Edition, Kind, is_setting
from agent.uplinks.szy206_wire.times import write_tag
from simulators.platforms.centre.contract import Moment
from simulators.platforms.mqtt_behaviour import OrderError

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {"query": "B0", "set-clock": "11", "clock": "51", "status": "5E", "events": "5D"}
)
EXAMPLES: Final[Mapping[int, str]] = MappingProxyType(
    {
        Afn.SET_ADDRESS: "new_admin='330106' new_station=2",
        Afn.SET_MODE: "work_mode=1",
        Afn.RECHARGE: "recharge_m3=100",
        Afn.SET_REMAINING_ALARM: "remaining_alarm_m3=50",
        Afn.SET_LEVEL_LIMITS: "level_limits=[{base_m: 0, low_m: 1.5, high_m: 9.5}]",
        Afn.SET_PRESSURE_LIMITS: "pressure_limits=[{low_kpa: 100, high_kpa: 600}]",
        Afn.SET_BASE: "base_m3=[1000]",
        Afn.SET_FLOW_LIMITS: "flow_limits=[{value: 500, unit: m3/h}]",
        Afn.SET_THRESHOLD: "kind=1 sensor_no=1 storage_interval_min=5 threshold=0.5",
        Afn.SET_QUOTA: "quota_m3=5000",
        Afn.RESET: "reset=1",
        Afn.CLEAR: "clear_bits=[2]",
        Afn.START: "device_no=1 device_kind=pump",
        Afn.STOP: "device_no=1 device_kind=pump",
        Afn.CHANGE_PASSWORD: "new_pw_hex='1234'",
        Afn.SET_KINDS: "kinds_bits=[1,2]",
        Afn.SET_INTERVALS: "kinds_bits=[2] intervals_min={'2': 5}",
        Afn.QUERY_STORED: "kind=2 sensor_no=1 start=2026-11-21T00 end=2026-11-21T01",
        Afn.QUERY_MEMORY: "start=11-21T00:00 end=11-21T23:59",
    }
)
_PLAIN: Final = frozenset(
    {
        Afn.LINK,
        Afn.SET_CLOCK,
        Afn.CARD_ON,
        Afn.CARD_OFF,
        Afn.QUOTA_ON,
        Afn.QUOTA_OFF,
        Afn.QUERY_ADDRESS,
        Afn.QUERY_CLOCK,
        Afn.QUERY_MODE,
        Afn.QUERY_INTERVALS,
        Afn.QUERY_KINDS,
        Afn.QUERY_RECHARGE,
        Afn.QUERY_REMAINING_ALARM,
        Afn.QUERY_LEVEL_LIMITS,
        Afn.QUERY_PRESSURE_LIMITS,
        Afn.QUERY_EVENTS,
        Afn.QUERY_STATE,
        Afn.QUERY_MOTOR,
        Afn.QUERY_FLOW_LIMITS,
        Afn.QUERY_REALTIME,
    }
)
KNOWN: Final = tuple(sorted({*_PLAIN, *EXAMPLES}))
_OWN_KEYS: Final[Mapping[int, Mapping[str, str]]] = MappingProxyType(
    {Afn.LINK: {"link": "F2"}, Afn.SET_CLOCK: {"clock": "2026-11-21T08:00:00", "weekday": "6"}}
)
_BYTE = 0xFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Downlink:
    """An order. `data` are its bytes where they were given as such."""

    name: str
    function: int
    func: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    data: bytes | None = None

    def frame(self, address: bytes, now: Moment, *, password: str, dialect: Dialect) -> Frame:
        """The frame to a station. Raises OrderError."""
        fields = dict(self.fields)
        if self.function == Afn.SET_CLOCK and "clock" not in fields and self.data is None:
            here = now.at.replace(tzinfo=None)
            fields |= {"clock": here.isoformat("T", "seconds"), "weekday": here.isoweekday()}
        tail: dict[str, Any] = {}
        if is_setting(self.function):
            tail = {"pw_hex": password, "tp": tag_of(now.at, dialect.edition)}
        try:
            if self.data is not None:
                body = self.data + _tail_bytes(tail)
            else:
                body = compose(fields | tail, is_up=False, afn=self.function, func=self.func, dialect=dialect)
            return Frame(is_up=False, func=self.func, address=address, afn=self.function, body=body)
        except ContentError as error:
            example = EXAMPLES.get(self.function)
            shown = "" if example is None else f"; for example {self.function:02X} {example}"
            raise OrderError(f"{self.name}: {error}{shown}") from error


def _tail_bytes(tail: Mapping[str, Any]) -> bytes:
    if not tail:
        return b""
    return bytes.fromhex(tail["pw_hex"])[:PASSWORD] + write_tag(tail["tp"], high_first=False)


def downlink_of(words: list[str]) -> Downlink:
    """The order that the words say: an AFN or one of ALIASES, then KEY=VALUE. Raises OrderError."""
    first = ALIASES.get(words[0].lower(), words[0])
    try:
        function = int(first, 16)
    except ValueError:
        function = -1
    fields = _fields(words[1:])
    data = fields.pop("data", None)
    if not 0 <= function <= _BYTE or (function not in KNOWN and data is None):
        known = " ".join(f"{each:02X}" for each in KNOWN)
        raise OrderError(f"{words[0]!r}: expected an AFN of {known}, {', '.join(ALIASES)}, or any AFN with data=HEX")
    usual = Kind.FLOW if function == Afn.QUERY_REALTIME else Kind.COMMAND
    func = fields.pop("func", usual)
    if func not in set(Kind):
        raise OrderError(f"func={func}: a type code from 0 to {max(Kind)} expected")
    if data is None:
        _check_shape(words[0], function, fields)
    if function == Afn.LINK:
        fields = {"link": "F2 keep-alive"} | {key: str(value) for key, value in fields.items()}
    if function == Afn.RESET and not fields:
        fields = {"reset": 1}
    found = Downlink(
        name=" ".join([f"{function:02X}", *words[1:]]),
        function=function,
        func=int(func),
        fields=fields,
        data=_hex(data),
    )
    if function != Afn.SET_CLOCK and data is None:  # tried at once, so that what is wrong is said to who gave it
        body = {**found.fields, **({"pw_hex": "0000"} if is_setting(function) else {})}
        _tried(found, body)
    return found


def _check_shape(name: str, function: int, fields: Mapping[str, Any]) -> None:
    """Whether each key is one of this AFN's, and its value a number, a list or a map as in its example."""
    example = _fields(EXAMPLES[function].split()) if function in EXAMPLES else _OWN_KEYS.get(function, {})
    for key, value in fields.items():
        if key not in example:
            raise OrderError(f"{name} {key}: expected {', '.join(example) or 'nothing'}")
        if not _is_like(value, example[key]):
            shown = EXAMPLES.get(function, "")
            raise OrderError(f"{name} {key}: not of the right form; for example {name} {shown}")


def _is_like(value: Any, example: Any) -> bool:
    if isinstance(example, list):
        return isinstance(value, list) and bool(value) and all(_is_like(each, example[0]) for each in value)
    if isinstance(example, dict):
        return isinstance(value, dict) and bool(value)
    return not isinstance(value, list | dict)


def _tried(downlink: Downlink, body: Mapping[str, Any]) -> None:
    try:
        compose(body, is_up=False, afn=downlink.function, func=downlink.func, dialect=Dialect(edition=Edition.SZY206))
    except ContentError as error:
        example = EXAMPLES.get(downlink.function)
        shown = "" if example is None else f"; for example {downlink.function:02X} {example}"
        raise OrderError(f"{downlink.name}: {error}{shown}") from error


def _hex(data: Any) -> bytes | None:
    if data is None:
        return None
    try:
        return bytes.fromhex(str(data))
    except ValueError as error:
        raise OrderError(f"data={data}: hex digits expected") from error


def _fields(words: list[str]) -> dict[str, Any]:
    """KEY=VALUE; a value may have blanks: what has no `=` outside brackets goes on with the value before."""
    texts: list[str] = []
    for word in words:
        key = word.partition("=")[0]
        if "=" in word and key.replace("_", "").isalnum():
            texts.append(word)
        elif texts:
            texts[-1] += f" {word}"
        else:
            raise OrderError(f"{word!r}: expected KEY=VALUE")
    found: dict[str, Any] = {}
    for text in texts:
        key, _, value = text.partition("=")
        try:
            found[key] = value if key == "data" else _exact(yaml.load(value, Loader=yaml.BaseLoader), key)  # noqa: S506 - texts only
        except yaml.YAMLError as error:
            raise OrderError(f"{text}: no number, list or map as YAML writes them") from error
    return found


_TEXTS = frozenset({"new_admin", "new_pw_hex", "device_kind", "start", "end", "link", "clock", "unit", "threshold_hex"})
_WHOLE = frozenset(
    {
        "new_station",
        "work_mode",
        "kind",
        "sensor_no",
        "storage_interval_min",
        "reset",
        "device_no",
        "kinds_bits",
        "func",
    }
    | {"clear_bits", "weekday"}
)


def _exact(value: Any, key: str) -> Any:
    """Texts of numbers as exact numbers; the codec wants whole ones as integers."""
    if isinstance(value, dict):
        return {each: _exact(text, key if key == "intervals_min" else each) for each, text in value.items()}
    if isinstance(value, list):
        return [_exact(each, key) for each in value]
    if key in _TEXTS:
        return value
    try:
        found = int(value) if key in _WHOLE else Decimal(value)
    except (ValueError, ArithmeticError, TypeError) as error:
        raise OrderError(f"{key}={value}: a number expected") from error
    if not Decimal(found).is_finite():
        raise OrderError(f"{key}={value}: a number expected")
    return found
