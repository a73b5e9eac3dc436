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

from agent.uplinks.szy206_wire.codecs import Flow, Keyed, Number
from agent.uplinks.szy206_wire.content import PASSWORD, compose
from agent.uplinks.szy206_wire.exchange import tag_of
from agent.uplinks.szy206_wire.frame import MOST_USER_DATA, Frame
from agent.uplinks.szy206_wire.items import Rules
from agent.uplinks.szy206_wire.names import (
    THRESHOLD_KINDS,
    Afn,
    ContentError,
    Dialect,
    Edition,
    Kind,
    is_setting,
)
from agent.uplinks.szy206_wire.times import write_tag
from simulators.platforms.centre.contract import Moment
from simulators.platforms.centre.refusals import OrderError
from simulators.platforms.centre.szy206_forms import LAST_INTERVAL, PERIODS, RANGES, Numbers, Texts, leaves

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
_OPTIONAL = frozenset({"unit"})  # a 206 frame does not tell it


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
            frame = Frame(is_up=False, func=self.func, address=address, afn=self.function, body=body)
            frame.to_bytes()  # what is too long is said here
        except ContentError as error:
            raise _unfit(self) from error
        return frame


def _tail_bytes(tail: Mapping[str, Any]) -> bytes:
    if not tail:
        return b""
    return bytes.fromhex(tail["pw_hex"])[:PASSWORD] + write_tag(tail["tp"], high_first=False)


def _unfit(downlink: Downlink) -> OrderError:
    """What no rule of its own names: too many values, or one that this edition wants as well."""
    return OrderError("unfit", order=downlink.name, example=example_of(downlink.function), most=MOST_USER_DATA)


def example_of(function: int) -> str:
    """An order with this AFN, as it may be typed."""
    own = EXAMPLES.get(function) or " ".join(f"{key}={value}" for key, value in _OWN_KEYS.get(function, {}).items())
    return f"{function:02X} {own}".rstrip()


def downlink_of(words: list[str]) -> Downlink:
    """The order that the words say: an AFN or one of ALIASES, then KEY=VALUE. Raises OrderError."""
    first = ALIASES.get(words[0].lower(), words[0])
    try:
        function = int(first, 16)
    except ValueError:
        function = -1
    texts = _texts(words[1:])
    if not 0 <= function <= _BYTE or (function not in KNOWN and "data" not in texts):
        known = " ".join(f"{each:02X}" for each in KNOWN)
        raise OrderError("afn", value=words[0], known=known, names=" ".join(ALIASES))
    data = _hex(texts.pop("data", None))
    fields = {key: _exact(_yaml(key, text), key, function) for key, text in texts.items()}
    func = fields.pop("func", Kind.FLOW if function == Afn.QUERY_REALTIME else Kind.COMMAND)
    _check_range("func", func, RANGES["func"], function)
    if data is None:
        _check_keys(function, fields)
        _check_values(function, fields)
    elif fields:
        raise OrderError("key", key=next(iter(fields)), known="data, func", example=f"{function:02X} data=00")
    if function == Afn.LINK:
        fields = {"link": "F2 keep-alive"} | fields
    if function == Afn.RESET and not fields:
        fields = {"reset": 1}
    name = " ".join([f"{function:02X}", *words[1:]])
    return Downlink(name=name, function=function, func=int(func), fields=fields, data=data)


def _check_keys(function: int, fields: Mapping[str, Any]) -> None:
    """Whether each key is one of this AFN's, none is missing, and each value is of the form of its example."""
    example: dict[str, Any] = {key: _yaml(key, text) for key, text in _texts(example_of(function).split()[1:]).items()}
    if function == Afn.SET_THRESHOLD and isinstance(fields.get("kind"), int):
        if _threshold(fields) is None:
            del example["threshold"]
        if fields["kind"] == THRESHOLD_KINDS.index(Kind.FLOW):
            example["unit"] = "m3/h"
    if fields or (function not in _OWN_KEYS and function != Afn.RESET):
        _check_form(function, "", fields, example)


def _check_form(function: int, key: str, value: Any, example: Any) -> None:
    """Lists like the example's list, maps with the keys of its map; raises OrderError for another form."""
    is_free = key == "intervals_min"
    if isinstance(example, dict) and isinstance(value, dict) and (value or not is_free):
        known = {str(at) for at in range(LAST_INTERVAL + 1)} if is_free else set(example)
        strange = [each for each in value if each not in known]
        missing = [] if is_free else [each for each in example if each not in {*value, *_OPTIONAL}]
        if strange:
            raise OrderError(
                "key", key=strange[0], known="0…13" if is_free else ", ".join(example), example=example_of(function)
            )
        if missing:
            raise OrderError("missing", value=", ".join(missing), example=example_of(function))
        for each, own in value.items():
            _check_form(function, each, own, next(iter(example.values())) if is_free else example[each])
    elif isinstance(example, list) and isinstance(value, list) and value:
        for each in value:
            _check_form(function, key, each, example[0])
    elif isinstance(value, list | dict) or isinstance(example, list | dict):
        raise OrderError("shape", key=key, example=example_of(function))


def _check_values(function: int, fields: Mapping[str, Any]) -> None:
    """Whether each value is in the range of its key."""
    for key, value in fields.items():
        for name, each in leaves(key, value):
            if name in {"start", "end"}:
                _check_range(name, each, PERIODS[function == Afn.QUERY_STORED], function)
            elif name != "threshold":
                _check_range(name, each, RANGES[name], function)
            elif (numbers := _threshold(fields)) is not None:
                _check_range(name, each, numbers, function)


def _threshold(fields: Mapping[str, Any]) -> Numbers | None:
    """The range of a threshold of this kind; None where the sheet knows no form for it."""
    known = Rules(Edition.SZY206, Dialect()).threshold(fields.get("kind", len(THRESHOLD_KINDS)))
    if isinstance(known, Flow):
        highest = RANGES["value"]
        return highest if isinstance(highest, Numbers) else None
    if not isinstance(known, Keyed) or not isinstance(known.codec, Number):
        return None
    most = Decimal(known.codec.highest).scaleb(-known.codec.decimals)
    return Numbers(-most if known.codec.sign else 0, most)


def _check_range(key: str, value: Any, known: Numbers | Texts, function: int) -> None:
    if not known.takes(value):
        raise OrderError("range", key=key, value=value, range=str(known), example=example_of(function))


def _hex(data: str | None) -> bytes | None:
    if data is None:
        return None
    try:
        return bytes.fromhex(data)
    except ValueError as error:
        raise OrderError("hex", value=data) from error


def _texts(words: list[str]) -> dict[str, str]:
    """KEY=VALUE; a value may have blanks: what has no `=` outside brackets goes on with the value before."""
    texts: list[str] = []
    for word in words:
        key = word.partition("=")[0]
        if "=" in word and key.replace("_", "").isalnum():
            texts.append(word)
        elif texts:
            texts[-1] += f" {word}"
        else:
            raise OrderError("pair", value=word, example="12 work_mode=1")
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


def _yaml(key: str, text: str) -> Any:
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - texts only
    except yaml.YAMLError as error:
        raise OrderError("yaml", key=key, value=text) from error


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
        "intervals_min",
        "func",
        "clear_bits",
        "weekday",
    }
)


def _exact(value: Any, key: str, function: int) -> Any:
    """Texts of numbers as exact numbers; the codec wants whole ones as integers."""
    if isinstance(value, dict):
        return {each: _exact(text, key if key == "intervals_min" else each, function) for each, text in value.items()}
    if isinstance(value, list):
        return [_exact(each, key, function) for each in value]
    if isinstance(RANGES.get(key), Texts) or key in {"start", "end"}:
        return value
    try:
        found = int(value) if key in _WHOLE else Decimal(value)
    except (ValueError, ArithmeticError, TypeError):
        found = Decimal("NaN")
    if not Decimal(found).is_finite():
        raise OrderError("number", key=key, value=value, example=example_of(function))
    return found
