"""What a centre asks of an SZY206 station, in the words of `agent.uplinks.dialogue`, and the frames that answer. Pure.

What is set is kept as the fields of its AFN and read back as such: the names of parameters are AFNs of setting frames.
What is never carried out, whatever is allowed: card and quota control, starting and stopping, clearing, factory reset,
base readings of meters.

Source: SZY206, AFN table and set and query details; password and time tag of settings.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from agent.report.content import Content
from agent.uplinks.dialogue import Forbidden, Violation
from agent.uplinks.szy206.encode import UnfitError, frame_of, items_of, local, words_of
from agent.uplinks.szy206.options import WireOptions
from agent.uplinks.szy206_wire.content import compose, decode
from agent.uplinks.szy206_wire.exchange import BROADCAST
from agent.uplinks.szy206_wire.frame import MOST_USER_DATA, Frame
from agent.uplinks.szy206_wire.names import STORED_KINDS, THRESHOLD_KINDS, Afn, Kind
from agent.uplinks.szy206_wire.words import Mode

_CONTROL: Final = frozenset(
    {
        Afn.CARD_ON,
        Afn.CARD_OFF,
        Afn.QUOTA_ON,
        Afn.QUOTA_OFF,
        Afn.SET_QUOTA,
        Afn.CLEAR,
        Afn.START,
        Afn.STOP,
        Afn.SET_BASE,
    }
)
_RESTART = 1  # 2 is the factory's parameters
_SETS: Final = frozenset(
    {
        Afn.SET_ADDRESS,
        Afn.SET_MODE,
        Afn.SET_LEVEL_LIMITS,
        Afn.SET_PRESSURE_LIMITS,
        Afn.SET_FLOW_LIMITS,
        Afn.SET_THRESHOLD,
        Afn.SET_KINDS,
        Afn.SET_INTERVALS,
    }
)
_READS: Mapping[int, int] = MappingProxyType(
    {  # a query and the setting whose fields answer it
        Afn.QUERY_ADDRESS: Afn.SET_ADDRESS,
        Afn.QUERY_MODE: Afn.SET_MODE,
        Afn.QUERY_INTERVALS: Afn.SET_INTERVALS,
        Afn.QUERY_KINDS: Afn.SET_KINDS,
        Afn.QUERY_LEVEL_LIMITS: Afn.SET_LEVEL_LIMITS,
        Afn.QUERY_PRESSURE_LIMITS: Afn.SET_PRESSURE_LIMITS,
        Afn.QUERY_FLOW_LIMITS: Afn.SET_FLOW_LIMITS,
    }
)
_PLAIN: Mapping[int, str] = MappingProxyType(
    {Afn.QUERY_CLOCK: "clock_read", Afn.QUERY_EVENTS: "event_counts", Afn.QUERY_STATE: "status"}
)
_STORED: Mapping[int, str] = MappingProxyType(
    {
        Kind.FLOW: "volume_withdrawn",
        Kind.LEVEL: "level",
        Kind.PRESSURE: "pressure",
        Kind.VELOCITY: "velocity",
        Kind.POWER: "power",
    }
)
_TAIL_LIMITS = (Afn.QUERY_LEVEL_LIMITS, Afn.QUERY_PRESSURE_LIMITS, Afn.QUERY_FLOW_LIMITS)
_MINUTE_MS = 60_000
_ORDERS = frozenset({"parameters_set", "clock_set", "password_set", "restart"})
_PHASES = 3
_PUMP = tuple(f"{what}_{phase}" for what in ("voltage", "current") for phase in "abc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A question, or an order that may be carried out, in the words of `COMMANDS`."""

    frame: Frame
    name: str
    arguments: Mapping[str, Any]
    fields: Mapping[str, Any]
    is_answered: bool = True


def ask_of(
    frame: Frame, options: WireOptions, *, now_ms: int | None, allows_sets: bool
) -> Order | Forbidden | Violation:
    """What a downlink frame asks, or why it is not heard."""
    is_broadcast = frame.address[3:] == BROADCAST.to_bytes(2, "little")
    if frame.address != options.address and not is_broadcast:
        return Violation(code="foreign_station", detail=frame.address.hex().upper())
    name = f"{frame.afn:02X}"
    fields = decode(frame, options.dialect)
    is_part = frame.divs is not None  # nothing that a centre says is so long, and a part has no fields
    if is_part or fields.get("data_fits") is False or "unreadable" in fields:
        return Violation(code="split" if is_part else "body", detail=name)
    refused = _refused(frame, fields, options, now_ms=now_ms)
    if refused is not None:
        return refused
    plain = {key: value for key, value in fields.items() if key not in {"tp", "pw_hex"}}
    found = _order(frame, plain, options)
    forbidden = _forbidden(frame, plain, found, allows_sets=allows_sets)
    if forbidden is not None:
        return forbidden
    if found is None:
        return Violation(code="function", detail=name)
    return Order(frame=frame, name=found[0], arguments=found[1], fields=plain, is_answered=not is_broadcast)


def mode_order(frame: Frame, mode: int) -> Order:
    """The setting of the work mode that the byte of a confirm is; like a broadcast it has no answer."""
    fields = {"work_mode": mode}
    values = {f"{Afn.SET_MODE:02X}": json.dumps(fields)}
    return Order(frame=frame, name="parameters_set", arguments={"values": values}, fields=fields, is_answered=False)


def mode_set(changed: Mapping[str, str], configured: int) -> int:
    """The work mode that a centre has set last; one that no state word holds, as earlier versions took it, is none."""
    text = changed.get(f"{Afn.SET_MODE:02X}")
    mode = configured if text is None else int(json.loads(text)["work_mode"])
    return mode if mode in set(Mode) else configured


def _forbidden(
    frame: Frame, fields: Mapping[str, Any], found: tuple[str, dict[str, Any]] | None, *, allows_sets: bool
) -> Forbidden | None:
    """What is never carried out, or needs to be allowed first. A password is not written down."""
    name = f"{frame.afn:02X}"
    if frame.afn in _CONTROL or fields.get("reset", _RESTART) != _RESTART:
        return Forbidden(function=name, arguments=_shown(fields), is_never=True)
    if found is None or allows_sets or found[0] not in _ORDERS:
        return None
    return Forbidden(function=name, arguments={} if found[0] == "password_set" else _shown(fields), is_never=False)


def _refused(frame: Frame, fields: Mapping[str, Any], options: WireOptions, *, now_ms: int | None) -> Violation | None:
    """A setting with a wrong password, or one that took longer than its time tag allows."""
    is_guarded = "pw_hex" in fields or "tp" in fields
    if not is_guarded:
        needs = frame.afn in _SETS | _CONTROL | {Afn.SET_CLOCK, Afn.CHANGE_PASSWORD, Afn.RESET}
        return Violation(code="wrong_password", detail="none") if needs and options.password is not None else None
    if options.password is not None and fields.get("pw_hex") != options.password:
        return Violation(code="wrong_password", detail=f"{frame.afn:02X}")
    tag = fields.get("tp")
    if tag is None or not tag["delay_min"] or now_ms is None:
        return None
    late_ms = min((abs(now_ms - each) for each in _tagged_ms(tag, options, now_ms)), default=math.inf)
    if late_ms > tag["delay_min"] * _MINUTE_MS:
        return Violation(code="too_late", detail=f"{late_ms / 1000:.0f} s")
    return None


def _tagged_ms(tag: Mapping[str, Any], options: WireOptions, now_ms: int) -> list[int]:
    """The moments that a tag may mean: one without a month that day of this month, of the last and of the next."""
    if "time" in tag:
        found = moment_ms(tag["time"], "%Y-%m-%dT%H:%M:%S", options)
        return [] if found is None else [found]
    first = local(now_ms, options).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = (first - timedelta(days=1)).replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    own = {"day": tag["day"], "hour": tag["hour"], "minute": tag["min"], "second": tag["sec"]}
    moments: list[int] = []
    for month in (last, first, following):
        with contextlib.suppress(ValueError):  # a day that this month does not have
            moments.append(round(month.replace(**own).timestamp() * 1000))
    return moments


def moment_ms(text: str, form: str, options: WireOptions) -> int | None:
    """UTC ms of a time in the station's zone; None for one that no calendar has: frames are not held against one."""
    try:
        moment = datetime.strptime(text, form).replace(tzinfo=timezone(timedelta(minutes=options.offset_min)))
    except ValueError:
        return None
    return round(moment.timestamp() * 1000)


def _order(frame: Frame, fields: Mapping[str, Any], options: WireOptions) -> tuple[str, dict[str, Any]] | None:
    afn = frame.afn
    if afn in _PLAIN:
        return _PLAIN[afn], {}
    if afn in _READS:
        return "parameters_read", {"names": [f"{_READS[afn]:02X}"]}
    if afn in _SETS:
        kept = json.dumps(_with_unit(_shown(fields), options), sort_keys=True)
        return "parameters_set", {"values": {_set_name(afn, fields): kept}}
    asked = _ASKED.get(afn)
    return None if asked is None else asked(frame, fields, options)


def _set_name(afn: int, fields: Mapping[str, Any]) -> str:
    """Thresholds are kept by kind and sensor."""
    return f"{afn:02X}" if afn != Afn.SET_THRESHOLD else f"{afn:02X}/{fields['kind']}/{fields['sensor_no']}"


def _with_unit(fields: dict[str, Any], options: WireOptions) -> dict[str, Any]:
    """What is kept of a setting: a flow with its unit, which a frame of the 206 edition does not tell."""
    unit = {"unit": options.flow_unit}
    if "flow_limits" in fields:
        return fields | {"flow_limits": [unit | each for each in fields["flow_limits"]]}
    is_flow = "threshold" in fields and THRESHOLD_KINDS[fields["kind"]] is Kind.FLOW
    return unit | fields if is_flow else fields


def _current(frame: Frame, _fields: Mapping[str, Any], _options: WireOptions) -> tuple[str, dict[str, Any]]:
    return "current_values", {"wanted": None, "kind": frame.func}


def _motor(_frame: Frame, _fields: Mapping[str, Any], _options: WireOptions) -> tuple[str, dict[str, Any]]:
    return "current_values", {"wanted": [(0, quantity) for quantity in _PUMP], "kind": Kind.COMMAND}


def _clock(_frame: Frame, fields: Mapping[str, Any], options: WireOptions) -> tuple[str, dict[str, Any]] | None:
    at_ms = moment_ms(fields["clock"], "%Y-%m-%dT%H:%M:%S", options)
    return None if at_ms is None else ("clock_set", {"at_ms": at_ms})


def _password(_frame: Frame, fields: Mapping[str, Any], options: WireOptions) -> tuple[str, dict[str, Any]]:
    return "password_set", {"old": options.password, "new": fields["new_pw_hex"]}


def _restart(_frame: Frame, _fields: Mapping[str, Any], _options: WireOptions) -> tuple[str, dict[str, Any]]:
    return "restart", {}


def _history(_frame: Frame, fields: Mapping[str, Any], options: WireOptions) -> tuple[str, dict[str, Any]] | None:
    """Values at equal steps from the first hour to the last, at the storage interval (step 0: the executor's)."""
    kind = STORED_KINDS[fields["kind"]] if fields["kind"] < len(STORED_KINDS) else Kind.COMMAND
    from_ms, to_ms = (moment_ms(fields[key], "%Y-%m-%dT%H", options) for key in ("start", "end"))
    if kind not in _STORED or from_ms is None or to_ms is None:
        return None
    quantity, channel = _STORED[kind], max(1, fields["sensor_no"])
    return "history", {
        "channel": channel,
        "quantity": quantity,
        "from_ms": from_ms,
        "to_ms": to_ms,
        "step_ms": 0,
    }


_ASKED: Mapping[int, Any] = MappingProxyType(
    {
        Afn.QUERY_REALTIME: _current,
        Afn.QUERY_MOTOR: _motor,
        Afn.SET_CLOCK: _clock,
        Afn.CHANGE_PASSWORD: _password,
        Afn.RESET: _restart,
        Afn.QUERY_STORED: _history,
    }
)


def _shown(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as JSON takes them: numbers as exact text."""
    found: dict[str, Any] = json.loads(json.dumps(dict(fields), default=str))
    return found


# --- answers


def replies_of(order: Order, result: Mapping[str, Any], options: WireOptions, *, now_ms: int | None) -> list[Frame]:
    """The frames of an answer; several where it is long (DIV). `now_ms` None: no date. Raises UnfitError."""
    if order.name == "history":
        return _series(order, result["values"], options)
    if order.name == "clock_read" and now_ms is None:
        raise UnfitError("the clock is not set")
    answer = _ANSWERS.get(order.name, _mirrored)
    return [frame_of(order.frame.afn, answer(order, result, options, now_ms or 0), options, kind=order.frame.func)]


def _mirrored(order: Order, _result: Mapping[str, Any], _options: WireOptions, _now_ms: int) -> dict[str, Any]:
    """What was set, once more; an address under its own names."""
    return {key.replace("new_", "reported_") if order.frame.afn == Afn.SET_ADDRESS else key: value
            for key, value in order.fields.items()}  # fmt: skip


def _time(_order: Order, _result: Mapping[str, Any], options: WireOptions, now_ms: int) -> dict[str, Any]:
    moment = local(now_ms, options)
    return {"clock": moment.replace(tzinfo=None).isoformat("T", "seconds"), "weekday": moment.isoweekday()}


def _counts(_order: Order, result: Mapping[str, Any], _options: WireOptions, _now_ms: int) -> dict[str, Any]:
    return {"event_counts": list(result["counts"])}


def _status(_order: Order, result: Mapping[str, Any], options: WireOptions, _now_ms: int) -> dict[str, Any]:
    return words_of(result["alarms"], options)


def _done(_order: Order, _result: Mapping[str, Any], _options: WireOptions, _now_ms: int) -> dict[str, Any]:
    return {"result": "done"}


def _values(order: Order, result: Mapping[str, Any], options: WireOptions, _now_ms: int) -> dict[str, Any]:
    content: Content = result["content"]
    words = words_of(content.alarms, options)
    if order.frame.afn == Afn.QUERY_MOTOR:
        texts = {each.quantity: each.text for each in content.samples}
        known = [text for text in (texts.get(quantity) for quantity in _PUMP) if text is not None]
        if len(known) < len(_PUMP):
            raise UnfitError("not every phase is known, and this answer has no mark for it")
        numbers = [int(Decimal(text)) for text in known]
        return {"voltages": numbers[:_PHASES], "currents": numbers[_PHASES:]}
    supply = next((each.text for each in content.samples if each.quantity == "supply_voltage"), None)
    if order.frame.func == Kind.STATE and supply is not None:
        return {"voltage_v": Decimal(supply)}
    if order.frame.func in {Kind.COMMAND, Kind.STATE}:
        return words
    items = items_of(content, order.frame.func, options)
    if items is None:
        raise UnfitError(f"no values of kind {order.frame.func}")
    return items | words


def _read(order: Order, result: Mapping[str, Any], options: WireOptions, _now_ms: int) -> dict[str, Any]:
    """The fields that were set last; else what holds without a setting."""
    name = f"{_READS[order.frame.afn]:02X}"
    stored: str | None = result["values"].get(name)
    fields: dict[str, Any] = {} if stored is None else json.loads(stored)
    match order.frame.afn:
        case Afn.QUERY_ADDRESS:
            address = options.address
            return {
                "reported_admin": address[:3].hex().upper(),
                "reported_station": int.from_bytes(address[3:], "little"),
            }
        case Afn.QUERY_MODE:
            return {"work_mode": options.mode}
        case _ if not fields:
            raise UnfitError(f"{name} was never set")
    return fields | (words_of((), options) if order.frame.afn in _TAIL_LIMITS else {})


_ANSWERS: Mapping[str, Callable[[Order, Mapping[str, Any], WireOptions, int], dict[str, Any]]] = MappingProxyType(
    {
        "current_values": _values,
        "parameters_read": _read,
        "clock_read": _time,
        "event_counts": _counts,
        "status": _status,
        "restart": _done,
    }
)


def _series(order: Order, values: Sequence[str | None], options: WireOptions) -> list[Frame]:
    head = {key: order.fields[key] for key in ("kind", "sensor_no", "start", "end")}
    records = [None if text is None else Decimal(text) for text in values]
    whole = _long_frame(order, {**head, "records": records}, options)
    if len(whole.user_data) <= MOST_USER_DATA:
        return [whole]
    if not options.splits_long_answers:
        raise UnfitError(f"{len(records)} values do not fit one frame")
    return _split(whole)


def _long_frame(order: Order, fields: Mapping[str, Any], options: WireOptions) -> Frame:
    """As `frame_of`, of any length."""
    body = compose(fields, is_up=True, afn=order.frame.afn, func=order.frame.func, dialect=options.dialect)
    return Frame(is_up=True, func=order.frame.func, address=options.address, afn=order.frame.afn, body=body)


def _split(whole: Frame) -> list[Frame]:
    """The body in pieces, counted down to 1 (DIV, DIVS). No published frame shows one."""
    size = MOST_USER_DATA - len(whole.user_data) + len(whole.body) - 1
    pieces = [whole.body[at : at + size] for at in range(0, len(whole.body), size)]
    return [
        Frame(is_up=True, func=whole.func, address=whole.address, afn=whole.afn, body=piece, divs=len(pieces) - at)
        for at, piece in enumerate(pieces)
    ]
