"""What a simulated station has to report: a well that is pumped without end, the same at every run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from agent.report.content import STATION, Content, Kind, Sample
from agent.uplinks.dialogue import Asked

_Arguments = Mapping[str, Any]
_Result = dict[str, Any] | None
_Answer = Callable[[int, _Arguments, dict[str, str], int], _Result]
_FLOWS = 40  # stations differ by their flow
_EVENTS = 32
_FIVE_MINUTES_MS = 300_000
_MOST_VALUES = 2000


def content_of(place: int, slot_ms: int, *, kind: Kind = Kind.TIMED) -> Content:
    """The report of station number `place` for `slot_ms` (UTC ms): flow, totals, pressure, level, supply."""
    return Content(
        kind=kind,
        slot_ms=slot_ms,
        samples=tuple(
            Sample(channel, quantity, value_of(place, quantity, slot_ms), slot_ms, "measured", f"{place:08x}-{slot_ms}")
            for channel, quantity in (
                (1, "flow_rate"),
                (1, "volume_withdrawn"),
                (1, "volume_hour"),
                (1, "pressure"),
                (1, "level"),
                (STATION, "supply_voltage"),
            )
        ),
        trigger="flow_rate>30" if kind is Kind.ADDITIONAL else "",
        text="TEST 1" if kind is Kind.MANUAL else "",
    )


def value_of(place: int, quantity: str, at_ms: int) -> str | None:
    """The value of a quantity then, as decimal text in its unit; None for what this well has not."""
    flow = Decimal(10 + place % _FLOWS) + Decimal("0.5")
    match quantity:
        case "flow_rate" | "volume_hour":
            return f"{flow:f}"
        case "volume_withdrawn":
            return f"{int(flow * (at_ms // 1000) / 3600) % 10**9}"
        case "pressure":
            return "250.30"
        case "level":
            return "12.345"
        case "supply_voltage":
            return "12.65"
    return None


def answer_of(place: int, asked: Asked, parameters: dict[str, str], now_ms: int) -> Mapping[str, Any] | None:
    """What a centre gets that asks; the forms are those of `agent/uplinks/reporting/commands.py`.

    `parameters` are what centres have set so far, and are changed here.
    """
    make = _ANSWERS.get(asked.name)
    return {} if make is None else make(place, asked.arguments, parameters, now_ms)  # {}: an answer without content


def _history(place: int, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    step_ms = arguments["step_ms"] or _FIVE_MINUTES_MS
    from_ms, to_ms = arguments["from_ms"], arguments["to_ms"]
    if to_ms < from_ms or (to_ms - from_ms) // step_ms >= _MOST_VALUES:
        return None
    return {"values": [value_of(place, arguments["quantity"], at) for at in range(from_ms, to_ms + 1, step_ms)]}


def _current(place: int, _arguments: _Arguments, _parameters: dict[str, str], now_ms: int) -> _Result:
    return {"content": content_of(place, now_ms // 60_000 * 60_000)}


def _stored(place: int, arguments: _Arguments, _parameters: dict[str, str], _now_ms: int) -> _Result:
    return _history(place, arguments)


def _read(_place: int, arguments: _Arguments, parameters: dict[str, str], _now_ms: int) -> _Result:
    return {"values": {name: parameters[name] for name in arguments["names"] if name in parameters}}


def _set(_place: int, arguments: _Arguments, parameters: dict[str, str], _now_ms: int) -> _Result:
    parameters.update(arguments["values"])
    return {"values": arguments["values"]}


def _password(_place: int, arguments: _Arguments, _parameters: dict[str, str], _now_ms: int) -> _Result:
    return {"new": arguments["new"]}


def _fixed(result: dict[str, Any]) -> _Answer:
    return lambda _place, _arguments, _parameters, _now_ms: result


_ANSWERS: Mapping[str, _Answer] = MappingProxyType(
    {
        "current_values": _current,
        "history": _stored,
        "parameters_read": _read,
        "parameters_set": _set,
        "password_set": _password,
        "last_manual": _fixed({"text": "TEST 1"}),
        "version": _fixed({"text": "qushui-sim"}),
        "event_counts": _fixed({"counts": [0] * _EVENTS}),
        "status": _fixed({"alarms": ()}),
    }
)
