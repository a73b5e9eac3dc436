"""What a centre asks of an SL 651 station, in the words of `agent.uplinks.dialogue`, and the answers' parts. Pure.

What is never carried out, whatever is allowed: clearing the store, factory reset, card, pump, valve, gate and quota
control, and the base readings of meters.

Source: SL 651-2014 6.6.4.10-6.6.4.30, annex B, annex D.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final

from agent.report.content import STATION, Content, Sample
from agent.uplinks.dialogue import Forbidden, Violation
from agent.uplinks.sl651.encode import (
    CHANNELS,
    UnfitError,
    element_of,
    form_of,
    observed_at,
    parts_of,
    series_of,
    status_bits,
    zone_of,
)
from agent.uplinks.sl651.options import WireOptions
from agent.uplinks.sl651_wire import text
from agent.uplinks.sl651_wire.body import decode, header_of, is_basic
from agent.uplinks.sl651_wire.codes import Dialect, Encoding, Function
from agent.uplinks.sl651_wire.elements import Element, Fill, number, number_text, status
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.parameters import BASE_READINGS, PASSWORD, basic_parameter, run_parameter
from agent.uplinks.sl651_wire.parts import Events, ManualText, Part, Period, Station, Step, Version, Wanted, moment_of
from agent.uplinks.sl651_wire.text import Word

NEVER: Final = frozenset(
    {
        Function.CLEAR_STORAGE,
        Function.FACTORY_RESET,
        Function.SET_CARD,
        Function.CONTROL_PUMP,
        Function.CONTROL_VALVE,
        Function.CONTROL_GATE,
        Function.CONTROL_QUOTA,
    }
)
BASIC, RUN = "basic:", "run:"
_PLAIN: Mapping[int, str] = MappingProxyType(
    {
        Function.QUERY_MANUAL: "last_manual",
        Function.QUERY_VERSION: "version",
        Function.QUERY_STATUS: "status",
        Function.QUERY_EVENTS: "event_counts",
        Function.QUERY_CLOCK: "clock_read",
    }
)
_SETS = frozenset({Function.SET_BASIC, Function.SET_RUN, Function.CHANGE_PASSWORD, Function.SET_CLOCK})
_PUMP = tuple(f"{what}_{phase}" for what in ("voltage", "current") for phase in "abc")
_PUMP_IDENTIFIERS = MappingProxyType({quantity: bytes([0x70 + at]) for at, quantity in enumerate(_PUMP)})
_PASSWORD = re.compile(r"[0-9A-Fa-f]{4}")
_QUANTITIES = ("flow_rate", "volume_withdrawn", "volume_hour", "pressure", "level", "depth_to_water", "supply_voltage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A question, or an order that may be carried out, in the words of `COMMANDS`."""

    function: int
    name: str
    arguments: Mapping[str, Any]
    is_broadcast: bool = False


def ask_of(frame: Frame, dialect: Dialect, options: WireOptions, *, allows_sets: bool) -> Order | Forbidden | Violation:
    """What a frame with ENQ asks. Raises BodyError."""
    function = frame.function
    if function in NEVER:
        return Forbidden(function=f"{function:02X}", arguments={}, is_never=True)
    found = _order(frame, _parts(frame, dialect), options)
    if found is None:
        return Violation(code="function", detail=f"{function:02X}")
    if any(_is_base(name) for name in found.arguments.get("values", ())):
        return Forbidden(function=f"{function:02X}", arguments=found.arguments, is_never=True)
    if f"{BASIC}{PASSWORD.hex()}" in found.arguments.get("values", ()):  # nor is it written down
        return Violation(code="password", detail="function 40; 49 changes it")
    if function in _SETS and not allows_sets:
        shown = {} if function == Function.CHANGE_PASSWORD else found.arguments
        return Forbidden(function=f"{function:02X}", arguments=shown, is_never=False)
    return found


def _parts(frame: Frame, dialect: Dialect) -> Sequence[Part | Word]:
    if not frame.payload:
        return ()
    if frame.encoding is Encoding.ASCII:
        return text.requested(frame, dialect)
    return decode(frame, dialect).parts


def _order(frame: Frame, parts: Sequence[Part | Word], options: WireOptions) -> Order | None:
    read = _READ.get(frame.function)
    if frame.function in _PLAIN:
        return Order(function=frame.function, name=_PLAIN[frame.function], arguments={})
    return None if read is None else read(frame, parts, options)


def _clock(frame: Frame, _parts: Sequence[Part | Word], options: WireOptions) -> Order | None:
    """The send time of the order is the new time (6.6.4.24)."""
    header = header_of(frame)
    at = None if header is None else moment_of(header.sent, zone_of(options))
    if at is None:
        return None
    return Order(function=frame.function, name="clock_set", arguments={"at_ms": round(at.timestamp() * 1000)})


def _reading(frame: Frame, parts: Sequence[Part | Word], _options: WireOptions) -> Order:
    names = [_parameter_name(part.identifier, frame.function) for part in parts if isinstance(part, Wanted)]
    return Order(function=frame.function, name="parameters_read", arguments={"names": names})


def _setting(frame: Frame, parts: Sequence[Part | Word], _options: WireOptions) -> Order:
    values = dict(_parameter(part, frame.function) for part in parts if isinstance(part, Element | Word))
    return Order(function=frame.function, name="parameters_set", arguments={"values": values})


def _current(function: int, wanted: list[tuple[int, str]] | None) -> Order:
    return Order(function=function, name="current_values", arguments={"wanted": wanted})


def _everything(frame: Frame, _parts: Sequence[Part | Word], _options: WireOptions) -> Order:
    return _current(frame.function, None)


def _pump(frame: Frame, _parts: Sequence[Part | Word], _options: WireOptions) -> Order:
    return _current(frame.function, [(STATION, quantity) for quantity in _PUMP])


def _elements(frame: Frame, parts: Sequence[Part | Word], options: WireOptions) -> Order:
    return _current(frame.function, [each for part in parts for each in _named(part, options)])


def _history(frame: Frame, parts: Sequence[Part | Word], options: WireOptions) -> Order | None:
    period = next((part for part in parts if isinstance(part, Period)), None)
    step = next((part.interval for part in parts if isinstance(part, Step)), None)
    wanted = [each for part in parts for each in _named(part, options)]
    if period is None or step is None or not wanted:
        return None
    bounds = [moment_of(digits, zone_of(options)) for digits in (period.first, period.last)]
    if None in bounds:
        return None
    from_ms, to_ms = (round(each.timestamp() * 1000) for each in bounds if each is not None)
    channel, quantity = wanted[0]
    arguments = {
        "channel": channel,
        "quantity": quantity,
        "from_ms": from_ms,
        "to_ms": to_ms,
        "step_ms": round(step.total_seconds() * 1000),
    }
    return Order(function=frame.function, name="history", arguments=arguments)


def _password(frame: Frame, parts: Sequence[Part | Word], _options: WireOptions) -> Order | None:
    found = [_parameter(part, frame.function) for part in parts if isinstance(part, Element | Word)]
    texts = [text.upper() for name, text in found if name == f"{BASIC}{PASSWORD.hex()}" and _PASSWORD.fullmatch(text)]
    if len(texts) != 2 or len(found) != 2:  # noqa: PLR2004 - the old one and the new one
        return None
    return Order(function=frame.function, name="password_set", arguments={"old": texts[0], "new": texts[1]})


_READ: Mapping[int, Callable[[Frame, Sequence[Part | Word], WireOptions], Order | None]] = MappingProxyType(
    {
        Function.QUERY_REALTIME: _everything,
        Function.QUERY_PUMP: _pump,
        Function.QUERY_ELEMENTS: _elements,
        Function.QUERY_PERIOD: _history,
        Function.READ_BASIC: _reading,
        Function.READ_RUN: _reading,
        Function.SET_BASIC: _setting,
        Function.SET_RUN: _setting,
        Function.CHANGE_PASSWORD: _password,
        Function.SET_CLOCK: _clock,
    }
)


def _named(part: Part | Word, options: WireOptions) -> list[tuple[int, str]]:
    """The channel and quantity that an asked identifier stands for; none where this station has no such element."""
    if not isinstance(part, Wanted):
        return []
    for channel in (STATION, *CHANNELS):
        for quantity in (*_QUANTITIES, *(name for at, name in options.extras if at == channel)):
            form = form_of(channel, quantity, options)
            if form is not None and form.identifier == part.identifier:
                return [(channel, quantity)]
    return [(STATION, name) for name, identifier in _PUMP_IDENTIFIERS.items() if identifier == part.identifier]


def _parameter_name(identifier: bytes, function: int) -> str:
    return (BASIC if is_basic(function) else RUN) + identifier.hex().upper()


def _parameter(part: Element | Word, function: int) -> tuple[str, str]:
    """Name and value: hex digits of a basic parameter, decimal text of a run parameter."""
    if isinstance(part, Word):
        return (BASIC if is_basic(function) else RUN) + part.name.upper(), part.value
    name = _parameter_name(part.identifier, function)
    if is_basic(function):
        return name, part.data.hex().upper()
    value = part.value
    return name, part.data.hex().upper() if value is None or isinstance(value, Fill) else number_text(value)


def _is_base(name: str) -> bool:
    kind, _, identifier = name.partition(":")
    return f"{kind}:" == RUN and identifier in {f"{each:02X}" for each in BASE_READINGS}


# --- answers


def reply_of(order: Order, result: Mapping[str, Any], options: WireOptions) -> tuple[Part, ...]:
    """The answer's parts from what the agent found; the forms of `result` are those of the command's executor.

    Raises UnfitError.
    """
    return _REPLIES.get(order.name, _own)(order, result, options)


def _own(_order: Order, _result: Mapping[str, Any], options: WireOptions) -> tuple[Part, ...]:
    """The station alone: a clock's answer is the send time of its header."""
    return (Station(options.station),)


def _manual(_order: Order, result: Mapping[str, Any], options: WireOptions) -> tuple[Part, ...]:
    return (ManualText(str(result["text"]).encode(options.text_encoding, "replace")),)


def _version(_order: Order, result: Mapping[str, Any], options: WireOptions) -> tuple[Part, ...]:
    return Station(options.station), Version(str(result["text"]).encode(options.text_encoding, "replace")[:255])


def _events(_order: Order, result: Mapping[str, Any], options: WireOptions) -> tuple[Part, ...]:
    return Station(options.station), Events(tuple(result["counts"]))


def _status(_order: Order, result: Mapping[str, Any], options: WireOptions) -> tuple[Part, ...]:
    return Station(options.station), status({int(bit) for bit in status_bits(result["alarms"])})


def _mirrored(_order: Order, result: Mapping[str, Any], options: WireOptions) -> tuple[Part, ...]:
    return (Station(options.station), *_parameters(result["values"]))


def _new_password(_order: Order, result: Mapping[str, Any], options: WireOptions) -> tuple[Part, ...]:
    return Station(options.station), basic_parameter(PASSWORD, bytes.fromhex(result["new"]))


def _values(order: Order, result: Mapping[str, Any], options: WireOptions) -> tuple[Part, ...]:
    content: Content = result["content"]
    wanted = order.arguments["wanted"]
    if wanted is None:
        return parts_of(content, options)
    head = (Station(options.station, options.station_class), observed_at(content.slot_ms, options))
    kept = [sample for sample in content.samples if (sample.channel, sample.quantity) in wanted]
    return (*head, *(each for each in (_element(sample, options) for sample in kept) if each is not None))


def _element(sample: Sample, options: WireOptions) -> Element | None:
    if sample.quantity in _PUMP_IDENTIFIERS and form_of(sample.channel, sample.quantity, options) is None:
        value = None if sample.text is None else Decimal(sample.text)
        return number(_PUMP_IDENTIFIERS[sample.quantity], value)
    return element_of(sample, options)


def _period(order: Order, result: Mapping[str, Any], options: WireOptions) -> tuple[Part, ...]:
    asked = order.arguments
    return (
        Station(options.station, options.station_class),
        observed_at(asked["from_ms"], options),
        *series_of(asked["channel"], asked["quantity"], result["values"], asked["step_ms"], options),
    )


def _parameters(values: Mapping[str, str]) -> list[Part]:
    found: list[Part] = []
    for name, value in values.items():
        kind, _, identifier = name.partition(":")
        try:
            if f"{kind}:" == BASIC:
                found.append(basic_parameter(bytes.fromhex(identifier), bytes.fromhex(value)))
            else:
                found.append(run_parameter(bytes.fromhex(identifier), Decimal(value)))
        except (ValueError, KeyError, InvalidOperation) as error:
            raise UnfitError(f"parameter {name}: {error}") from error
    return found


_REPLIES: Mapping[str, Callable[[Order, Mapping[str, Any], WireOptions], tuple[Part, ...]]] = MappingProxyType(
    {
        "current_values": _values,
        "history": _period,
        "last_manual": _manual,
        "version": _version,
        "event_counts": _events,
        "status": _status,
        "parameters_read": _mirrored,
        "parameters_set": _mirrored,
        "password_set": _new_password,
    }
)
