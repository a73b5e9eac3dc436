"""The time for the DL/T 645 meters of a line, sent because somebody asked for it, and never otherwise.

Nobody answers a broadcast. A meter takes it when its clock is off by at most five minutes, once a day, and not around
midnight, when its tariff or its day would change; what it made of it shows when its clock is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agent.asking import Place, asking_for
from agent.client import Site
from agent.clock import Clock, SystemClock
from agent.control import ControlError, DaemonAwayError
from agent.hosting import line_refusals
from agent.line.asking import Whom
from agent.line.guests import Guest
from agent.line.ports import WireSettings
from agent.poll import Poller
from agent.settings import Config
from agent.wiring import wire_of
from drivers.contract import NEED_DATA, NeedData, Reply, WireError
from drivers.dlt645 import BROADCAST, broadcast_time

PROTOCOL = "dlt645"
MIDNIGHT_MINUTES = 5
_ANY = datetime(2026, 1, 1)  # noqa: DTZ001 - every frame has the same length
_LISTEN_S = 0.1  # nobody answers; whoever does has taken it for something else
_QUEUE_S = 55.0
_TIMEOUT_S = 60.0  # a full bus lets one question in every half minute
_HALF_SECOND = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAsk:
    """The frame, made when its turn has come: it carries the second in which its last byte is on the wire."""

    local_now: Callable[[], datetime]
    character_s: float
    items: tuple[Any, ...] = ()

    @property
    def request(self) -> bytes:
        """The frame of now."""
        on_the_wire_s = self.request_size * self.character_s
        return broadcast_time(self.local_now() + timedelta(seconds=on_the_wire_s) + _HALF_SECOND)

    @property
    def request_size(self) -> int:
        """Bytes of the frame."""
        return len(broadcast_time(_ANY))

    @property
    def reply_size(self) -> int:
        """Nobody answers."""
        return 0

    def begin(self, number: int) -> TimeExchange:  # noqa: ARG002 - this protocol numbers nothing
        """The exchange with the time of now."""
        return TimeExchange(self.request)

    def parts(self) -> tuple[TimeAsk, ...]:
        """Itself alone."""
        return (self,)


class TimeExchange:
    """A frame that has no answer."""

    want = 1

    def __init__(self, request: bytes) -> None:
        self.request = request

    def receive(self, data: bytes) -> Reply | NeedData:  # noqa: ARG002 - whatever comes is no answer
        """Nothing is an answer."""
        return NEED_DATA

    def end(self) -> WireError | None:
        """Silence is right."""
        return None


def listeners(config: Config, line: str) -> dict[WireSettings, list[str]]:
    """The DL/T 645 meters of a line by how they are spoken to. Raises ControlError: no such line, none on it."""
    if line not in config.lines:
        raise ControlError("LINE_NOT_POLLED", line=line, known=" ".join(config.lines))
    found: dict[WireSettings, list[str]] = {}
    for meter in config.meters.values():
        if meter.line == line and config.profiles[meter.profile].protocol == PROTOCOL:
            found.setdefault(wire_of(meter), []).append(meter.name)
    if not found:
        raise ControlError("NO_CLOCK_METERS", line=line)
    return found


def checked_now(config: Config, clock: Clock) -> datetime:
    """The local time that may be sent. Raises ControlError while nobody trusts the clock, and around midnight."""
    if not clock.synced:
        raise ControlError("CLOCK_UNTRUSTED")
    now = clock.now().astimezone(ZoneInfo(config.station.timezone))
    margin = timedelta(minutes=MIDNIGHT_MINUTES)
    if (now - margin).date() != now.date() or (now + margin).date() != now.date():
        raise ControlError("NEAR_MIDNIGHT", minutes=MIDNIGHT_MINUTES)
    return now


def _ask_of(config: Config, clock: Clock, wire: WireSettings) -> TimeAsk:
    zone = ZoneInfo(config.station.timezone)
    return TimeAsk(local_now=lambda: clock.now().astimezone(zone), character_s=wire.character_s)


def broadcast(
    config: Config, pollers: Mapping[str, Poller], clock: Clock, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """In the running agent: one frame for each way of speaking, between its own polls. Raises ControlError."""
    line = str(arguments.get("line", ""))
    wires = listeners(config, line)
    now = checked_now(config, clock)
    if line not in pollers:
        raise ControlError("LINE_NOT_POLLED", line=line, known=" ".join(pollers))
    with line_refusals(line):
        for wire in wires:
            ask = _ask_of(config, clock, wire)
            pollers[line].ask(Guest(ask=ask, wire=wire, address=BROADCAST, wait_s=_LISTEN_S), _QUEUE_S)
    return _told(line, wires, now)


def broadcast_from_here(config: Config, site: Site, line: str) -> dict[str, Any]:
    """The same through the running agent, or on the line itself where none runs. Raises ControlError."""
    try:
        return dict(site.ask("clock-broadcast", {"line": line}, timeout_s=_TIMEOUT_S))
    except DaemonAwayError:
        clock = SystemClock(config.clock.trust)
        clock.refresh()
    wires = listeners(config, line)
    now = checked_now(config, clock)
    asking = asking_for(Place(line=config.lines[line], is_configured=False), site, clock=clock)
    try:
        with line_refusals(line):
            for wire in wires:
                ask = _ask_of(config, clock, wire)
                asking.ask(ask, Whom(protocol=PROTOCOL, address=BROADCAST, wire=wire), wait_s=_LISTEN_S)
    finally:
        asking.close()
    return _told(line, wires, now)


def _told(line: str, wires: Mapping[WireSettings, list[str]], now: datetime) -> dict[str, Any]:
    meters = [name for names in wires.values() for name in names]
    return {"line": line, "at": now.isoformat(timespec="seconds"), "frames": len(wires), "meters": meters}
