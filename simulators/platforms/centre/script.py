"""What a person or a script tells a simulated centre to do: lines and YAML in, actions out. Pure.

A script is a YAML list of steps. A step waits, and then acts:

    - ack: never                 # from the start
    - after: 3                   # when three further reports came, repeats included
      ack: late:30
    - wait: 60                   # seconds behind the step before
      ack: normal
      send: 38 from=26010100 to=26010123 step=1h id=28
      station: "3301060001"      # else all that are there
    - after: 1
      set: end EOT               # as at the console
      link: reset                # or close
      raw: 7E7E
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import yaml

from simulators.platforms.centre.behaviour import Protocol, plan_of
from simulators.platforms.centre.protocols import KINDS, setting_of
from simulators.platforms.centre.refusals import OrderError

_MOST_STEPS = 10_000
_LONGEST_S = 86_400.0
_LAST, _MOST_SHOWN = 10, 100_000
SHOWING: Final = ("stations", "last", "answers", "violations", "report", "help", "stop")


@dataclass(frozen=True, slots=True)
class Action:
    """`verb` ack, set, send, raw, link, or one of SHOWING; `station` None: all that are there."""

    verb: str
    text: str = ""
    station: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Waits for `after` further reports, then `wait_s`, then acts."""

    after: int
    wait_s: float
    actions: tuple[Action, ...]


def action_of(line: str, protocol: Protocol) -> Action:
    """The action that a line of the console says. Raises OrderError.

    `@STATION` in front of an order sends it to that station alone.
    """
    words = line.split()
    station = words.pop(0)[1:] if words and words[0].startswith("@") else None
    if not words:
        raise OrderError("nothing")
    verb, rest = words[0].lower(), words[1:]
    if rest and verb in {"close", "reset", *SHOWING} - {"last"}:
        raise OrderError("takes-nothing", order=verb, value=" ".join(rest))
    if verb in {"close", "reset"}:
        return _checked(Action("link", verb, station), protocol)
    if verb in {"ack", "raw", "set"}:
        return _checked(Action(verb, "".join(rest) if verb == "raw" else " ".join(rest), station), protocol)
    if verb == "last":
        count = rest[0] if rest else str(_LAST)
        if not (count.isascii() and count.isdecimal()) or len(rest) > 1 or not 1 <= int(count) <= _MOST_SHOWN:
            raise OrderError("last", value=" ".join(rest), limit=_MOST_SHOWN)
        return Action(verb, count, station)
    if verb in SHOWING:
        return Action(verb, "", station)
    if verb in {"query", "send"} and rest:
        words = rest
    return _checked(Action("send", " ".join(words), station), protocol)


def script_of(text: str, protocol: Protocol) -> tuple[Step, ...]:
    """The steps of a script. Raises OrderError, naming the step."""
    try:
        found = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - texts only
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise OrderError("script-yaml", line="?" if mark is None else mark.line + 1) from error
    if not isinstance(found, list) or len(found) > _MOST_STEPS:
        raise OrderError("script-list", limit=_MOST_STEPS)
    steps = []
    for number, each in enumerate(found, 1):
        try:
            steps.append(_step(each, protocol))
        except OrderError as error:
            error.step = number
            raise
    return tuple(steps)


def _step(found: Any, protocol: Protocol) -> Step:
    if not isinstance(found, dict):
        raise OrderError("script-step", value=found)
    rest = dict(found)
    station = rest.pop("station", None)
    after, wait_s = (
        _number("after", rest.pop("after", "0"), int, _MOST_STEPS**2),
        _number("wait", rest.pop("wait", "0"), float, _LONGEST_S),
    )
    actions = []
    for verb in ("link", "raw", "set", "ack", "send"):
        if verb in rest:
            actions += [_checked(Action(verb, text, station), protocol) for text in _texts(rest.pop(verb))]
    if rest:
        raise OrderError("script-keys", value=", ".join(map(str, rest)))
    return Step(int(after), wait_s, tuple(actions))


def _texts(found: Any) -> list[str]:
    return [str(each) for each in found] if isinstance(found, list) else [str(found)]


def _number(key: str, text: Any, kind: Callable[[str], float], most: float) -> float:
    try:
        found = kind(text)
    except (TypeError, ValueError):
        found = -1
    if not 0 <= found <= most:
        raise OrderError("script-number", key=key, value=text, limit=round(most))
    return found


def _checked(action: Action, protocol: Protocol) -> Action:
    """An action that can be carried out. Raises OrderError."""
    _CHECKS[action.verb](action.text, protocol)
    return action


def _check_link(text: str, _protocol: Protocol) -> None:
    if text not in {"close", "reset"}:
        raise OrderError("link", value=text)


def _check_raw(text: str, _protocol: Protocol) -> None:
    try:
        bytes.fromhex(text)
    except ValueError as error:
        raise OrderError("raw", value=text) from error


def _check_send(text: str, protocol: Protocol) -> None:
    KINDS[protocol].downlink(text.split() or [""])


_CHECKS: Mapping[str, Callable[[str, Protocol], Any]] = MappingProxyType(
    {"ack": plan_of, "set": setting_of, "send": _check_send, "raw": _check_raw, "link": _check_link}
)


class Script:
    """Which steps are due: by what came and by time."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._steps = list(steps)
        self._arrivals = 0  # of reports, when the step before was due
        self._since_s: float | None = None  # when the wait of the next one began

    @property
    def deadline_s(self) -> float | None:
        """When time alone makes the next step due; None while it does not."""
        if not self._steps or self._since_s is None:
            return None
        return self._since_s + self._steps[0].wait_s

    def due(self, arrivals: int, now_s: float) -> list[Action]:
        """The actions whose time has come; `arrivals` counts all reports."""
        found: list[Action] = []
        while self._steps and arrivals - self._arrivals >= self._steps[0].after:
            if self._since_s is None:
                self._since_s = now_s
            if now_s < self._since_s + self._steps[0].wait_s:
                break
            step = self._steps.pop(0)
            self._arrivals += step.after
            self._since_s = None
            found += step.actions
        return found
