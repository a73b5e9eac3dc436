"""How the simulated platform misbehaves on demand: JSON orders in, one small state out. Pure.

{"ack": "accept"}                         the default
{"ack": "drop", "times": 3}               keeps the message, says nothing; then accepts again
{"ack": "delay", "seconds": 2}            keeps it, acknowledges later
{"ack": "refuse", "code": 151}            does not keep it, PUBACK with this reason (3.1.1: closes)
{"connect": "accept"|"silent"}            silent: never answers CONNECT
{"connect": "refuse", "code": 136}        CONNACK with this reason (3.1.1: the nearest of its five)
{"read": "on"|"stall"}                    stall: leaves everything in the kernel's buffers
{"link": "reset", "after": 5}             TCP reset of all links; with `after` of the link that brings the 5th publish
{"link": "down"|"up"}                     resets all links and refuses new ones, until `up`
{"limits": {"receive_maximum": 3, "maximum_packet_size": 1000}}   for the CONNACKs to come; null: no limit
{"report": true}                          prints the counts
{"stop": true}                            ends
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from simulators.platforms.mqtt_fields import Code

_LARGEST_U16 = 65_535
_LARGEST_U32 = 4_294_967_295
_LARGEST_CODE = 255
_FAILURE = Code.UNSPECIFIED  # reason codes from here on are failures, 5.0 §2.4
_LONGEST_S = 3600.0

_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "ack": ("accept", "drop", "delay", "refuse"),
    "connect": ("accept", "refuse", "silent"),
    "read": ("on", "stall"),
    "link": ("up", "down", "reset"),
}


class OrderError(Exception):
    """An order that means nothing; the text says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What the platform does now. `ack_times` None: until the next order; `reset_after` None: no reset is waiting."""

    ack: str = "accept"
    ack_code: int = _FAILURE
    ack_delay_s: float = 0.0
    ack_times: int | None = None
    connect: str = "accept"
    connect_code: int = Code.SERVER_UNAVAILABLE
    is_reading: bool = True
    is_listening: bool = True
    reset_after: int | None = None
    receive_maximum: int | None = None
    maximum_packet_size: int | None = None

    def counted(self) -> Behaviour:
        """After one more acknowledgement was handled: back to `accept` when its times are over."""
        if self.ack_times is None:
            return self
        return (
            replace(self, ack="accept", ack_times=None)
            if self.ack_times <= 1
            else replace(self, ack_times=self.ack_times - 1)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order understood: the behaviour from now on, and what is to be done at once."""

    behaviour: Behaviour
    is_reset: bool = False
    is_report: bool = False
    is_stop: bool = False


def obeyed(found: Any, now: Behaviour) -> Order:
    """What an order, already read from JSON, changes and wants. Raises OrderError."""
    if not isinstance(found, dict) or not found:
        raise OrderError('expected an object such as {"ack": "drop"}')
    rest = dict(found)
    is_report, is_stop = bool(rest.pop("report", False)), bool(rest.pop("stop", False))
    behaviour = _limited(now, rest.pop("limits", {}))
    word = _word(rest, "ack")
    if word:
        behaviour = _acknowledging(behaviour, word, rest)
    word = _word(rest, "connect")
    if word:
        code = _number(rest, "code", Code.SERVER_UNAVAILABLE, _FAILURE, _LARGEST_CODE) if word == "refuse" else 0
        behaviour = replace(behaviour, connect=word, connect_code=code)
    word = _word(rest, "read")
    if word:
        behaviour = replace(behaviour, is_reading=word == "on")
    word = _word(rest, "link")
    after = _number(rest, "after", 0, 0, _LARGEST_U32) if word == "reset" else 0
    if word:
        is_listening = now.is_listening if word == "reset" else word == "up"
        behaviour = replace(behaviour, is_listening=is_listening, reset_after=after or None)
    if rest:
        raise OrderError(f"unknown: {', '.join(rest)}; known: {', '.join([*_SETTINGS, 'limits', 'report', 'stop'])}")
    is_reset = word == "down" or (word == "reset" and not after)
    return Order(behaviour=behaviour, is_reset=is_reset, is_report=is_report, is_stop=is_stop)


def _word(rest: dict[str, Any], name: str) -> str:
    if name not in rest:
        return ""
    word = rest.pop(name)
    if word not in _SETTINGS[name]:
        raise OrderError(f"{name}: {word!r}, expected one of {', '.join(_SETTINGS[name])}")
    return str(word)


def _acknowledging(behaviour: Behaviour, word: str, rest: dict[str, Any]) -> Behaviour:
    seconds = rest.pop("seconds", 1.0) if word == "delay" else 0.0
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_S:
        raise OrderError(f"seconds: {seconds!r}, expected 0 to {_LONGEST_S:.0f}")
    code = _number(rest, "code", _FAILURE, _FAILURE, _LARGEST_CODE) if word == "refuse" else _FAILURE
    times = _number(rest, "times", 0, 0, _LARGEST_U32) or None
    return replace(behaviour, ack=word, ack_code=code, ack_delay_s=float(seconds), ack_times=times)


def _limited(behaviour: Behaviour, limits: Any) -> Behaviour:
    if not isinstance(limits, dict):
        raise OrderError(f"limits: {limits!r}, expected an object")
    rest = dict(limits)
    if "receive_maximum" in rest:
        behaviour = replace(behaviour, receive_maximum=_limit(rest, "receive_maximum", _LARGEST_U16))
    if "maximum_packet_size" in rest:
        behaviour = replace(behaviour, maximum_packet_size=_limit(rest, "maximum_packet_size", _LARGEST_U32))
    if rest:
        raise OrderError(f"limits: unknown {', '.join(rest)}; known: receive_maximum, maximum_packet_size")
    return behaviour


def _limit(rest: dict[str, Any], name: str, largest: int) -> int | None:
    return rest.pop(name) if rest[name] is None else _number(rest, name, 0, 1, largest)


def _number(rest: dict[str, Any], name: str, default: int, low: int, high: int) -> int:
    found = rest.pop(name, default)
    if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
        raise OrderError(f"{name}: {found!r}, expected {low} to {high}")
    return found
