"""A station's side of one connection to a centre, without I/O: bytes and time in, bytes and happenings out. Pure.

Strategy: SL 651 and SZY206 differ in frames, acknowledgements and queries, not in what has to be done around them. The
dialogue knows the protocol; `agent/uplinks/reporting` owns the socket, the outbox, the pace, fail-over and commands. A
dialogue lives as long as its connection: what was sent and not acknowledged on it is sent again on the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from agent.report.content import Content


class Moment(NamedTuple):
    """When something happens: seconds of a monotonic clock, and UTC ms (None while the clock is not set)."""

    s: float
    at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A row of the outbox on its way: `tag` names it, `serial` is its number at this platform, the same in repeats.

    `tries` counts the sends before this one, on earlier connections too. `confirmed`: so many of its frames have been
    confirmed on earlier ones.
    """

    tag: int
    serial: int
    content: Content
    tries: int = 0
    confirmed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The centre has said that it has `tag`; with `confirmed` False the mode knows no acknowledgement."""

    tag: int
    confirmed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Partly:
    """The centre has so many `frames` of `tag`, not all: these need not go again on another connection."""

    tag: int
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """All tries of `tag` on this connection ran out: the connection is to be closed, the delivery is still owed."""

    tag: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """The connection is to be closed and made anew; whatever was not acknowledged is still owed."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """`tag` can never be sent in this protocol (`reason` in words of the log): it is parked."""

    tag: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The centre asks or orders: `name` from COMMANDS, with its arguments. `token` is given back with the answer."""

    token: int
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """The centre ordered what is never carried out, or what its uplink does not allow (`is_never` False)."""

    function: str
    arguments: Mapping[str, Any]
    is_never: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Bytes that break a rule: a wrong password, a foreign address, an oversize length, noise. `code` in words.

    `is_fatal`: the connection is to be closed by the stated rule.
    """

    code: str
    detail: str
    is_fatal: bool = False


Happening = Acknowledged | Partly | Unanswered | Over | Refused | Asked | Forbidden | Violation


class Step(NamedTuple):
    """What a dialogue wants sent, in order, and what happened."""

    data: tuple[bytes, ...] = ()
    happenings: tuple[Happening, ...] = ()


COMMANDS = frozenset(
    {
        "current_values",  # {"quantities": [..] | None, "channels": [..] | None}
        "history",  # {"quantity", "channel", "from_ms", "to_ms", "step_ms"}
        "last_manual",
        "parameters_read",  # {"names": [..]}
        "parameters_set",  # {"values": {name: text}}
        "clock_read",
        "clock_set",  # {"at_ms"}
        "password_set",  # {"old", "new"}
        "version",
        "event_counts",
        "status",
        "restart",
    }
)
"""What a centre may ask; an answer's form is stated where it is made, in `agent/uplinks/reporting/commands.py`."""


class Dialogue(Protocol):
    """One connection of one station to one centre. Every call gives what to send now; none waits."""

    def opened(self, now: Moment) -> Step:
        """The connection stands: logs in where the protocol has a login."""
        ...

    def receive(self, data: bytes, now: Moment) -> Step:
        """Takes what arrived, in any pieces. Memory and time are bounded whatever comes."""
        ...

    def send(self, delivery: Delivery, now: Moment) -> Step:
        """Sends a report. Only while `is_ready`."""
        ...

    def answer(self, token: int, result: Mapping[str, Any] | None, now: Moment) -> Step:
        """Answers what was Asked; None: it was not carried out, and the protocol's way to say so (or silence)."""
        ...

    def tick(self, now: Moment) -> Step:
        """Called at `deadline_s` or later: repeats, keeps alive, gives up."""
        ...

    def farewell(self, now: Moment) -> Step:
        """Says goodbye where the protocol has a word for it."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether the next report may be sent."""
        ...

    @property
    def deadline_s(self) -> float:
        """When `tick` is due, in seconds of the monotonic clock; infinity when nothing is waited for."""
        ...
