"""A station under test that dials in: we are the centre, with its dialogue, and keep everything that came."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from agent.uplinks.sl651_wire.receiver import first_frame
from agent.uplinks.szy206_wire.frame import parse
from simulators.conformance.verdict import Clause, Heard
from simulators.conformance.wire import WireError
from simulators.platforms.centre.behaviour import Protocol, plan_of
from simulators.platforms.centre.contract import Answered, CentreDialogue, Event, Memory, Moment, Report, Turn, Wrong
from simulators.platforms.centre.contract import Heard as Came
from simulators.platforms.centre.protocols import KINDS
from simulators.platforms.centre.refusals import OrderError
from simulators.platforms.centre.sl651_orders import link_of

SL651 = "SL 651-2014"
SL651_SHEET = "SL 651-2014, fact sheet"
SZY206_SHEET = "SZY206 / SL/T 427-2021, fact sheet"
CHINA = timezone(timedelta(hours=8))
_READ_BYTES = 4096
_LOOK_S = 0.2
_MOST_EVENTS = 20_000
_BACKLOG = 16
_QUIET_S = 3.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One event and when it happened, monotonic seconds."""

    at_s: float
    event: Event


@dataclass(kw_only=True)
class StationLink:
    """One run against one station.

    `limit_s`: an answer comes within it; `report_s`: a report comes within it; `repeat_s`: a repeat; `outage_s`: how
    long the station is cut off, 0 not at all; `idle_s`: how long a keep-alive is waited for. `station` is its address,
    "" learns it.
    """

    protocol: Protocol
    address: tuple[str, int]
    options: Any
    station: str = ""
    limit_s: float = 10.0
    report_s: float = 300.0
    repeat_s: float = 30.0
    idle_s: float = 70.0
    outage_s: float = 0.0
    trace: list[Heard] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._kind = KINDS[self.protocol]
        self._memory = Memory(plan=plan_of("normal", self.protocol))
        self._listener: socket.socket | None = None
        self._socket: socket.socket | None = None
        self._dialogue: CentreDialogue | None = None
        self.last = b""  # the last frame that came
        self.unanswered: set[str] = set()

    # --- the connection

    def listen(self) -> None:
        """Lets the station dial in. Raises WireError."""
        if self._listener is not None:
            return
        try:
            self._listener = socket.create_server(self.address, backlog=_BACKLOG)
        except OSError as error:
            raise WireError(f"{self.address[0]}:{self.address[1]}: {error}") from error
        self.address = self._listener.getsockname()[:2]
        self._listener.setblocking(False)

    def refuse(self) -> None:
        """Ends the connection and takes no other."""
        self.drop()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def drop(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._dialogue = None

    def close(self) -> None:
        """Ends all."""
        self.refuse()

    @property
    def quiet_s(self) -> float:
        """How long to listen where nothing must come."""
        return min(_QUIET_S, self.limit_s)

    @property
    def is_connected(self) -> bool:
        """Whether the station is there."""
        return self._socket is not None

    def reset_evidence(self) -> None:
        """Forgets what was heard, in front of the next test; what was judged stays."""
        self.trace.clear()

    # --- what happens

    def behave(self, words: str) -> None:
        """How reports are acknowledged from now on."""
        self._memory.plan = plan_of(words, self.protocol)

    def pump(self, until: Callable[[], Any], within_s: float) -> bool:
        """Serves the station until `until()` holds; False when it does not in time."""
        end_s = time.monotonic() + within_s
        while not until():
            now_s = time.monotonic()
            if now_s >= end_s:
                return False
            due_s = self._dialogue.deadline_s if self._dialogue is not None else end_s
            self._wait(max(0.0, min(end_s, due_s, now_s + _LOOK_S) - now_s))
            if self._dialogue is not None and time.monotonic() >= self._dialogue.deadline_s:
                self._take(self._dialogue.tick(self._now()))
        return True

    def _wait(self, wait_s: float) -> None:
        waiting = [each for each in (self._listener, self._socket) if each is not None]
        if not waiting:
            time.sleep(wait_s)
            return
        for ready in select.select(waiting, [], [], wait_s)[0]:
            if ready is self._listener:
                self._accept()
            elif ready is self._socket:
                self._read()

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            accepted, _ = self._listener.accept()
            self.drop()  # a second connection takes the place of the first
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            accepted.settimeout(5.0)
            self._socket = accepted
            self.connections += 1
            self._dialogue = self._kind.dialogue(self.options, self._memory)

    def _read(self) -> None:
        assert self._socket is not None
        assert self._dialogue is not None
        try:
            data = self._socket.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._take(self._dialogue.end(self._now()))
            self.drop()
            return
        now_s = time.monotonic()
        self.trace.append(Heard(b"", now_s, now_s, ((now_s, data),)))
        self._take(self._dialogue.receive(data, self._now()))

    def _take(self, turn: Turn) -> None:
        now_s = time.monotonic()
        for event in turn.events:
            if isinstance(event, Came):
                self.last = event.data
                self.station = self.station or event.station
            if len(self.seen) < _MOST_EVENTS:
                self.seen.append(Seen(now_s, event))
        for parcel in turn.parcels:
            self._send(parcel.data)

    def _send(self, data: bytes, *, joins: bool = False) -> None:
        """Sends; `joins`: a further piece of what was sent before."""
        if self._socket is None:
            return
        try:
            self._socket.sendall(data)
        except OSError:
            self.drop()
        now_s = time.monotonic()
        if joins and self.trace and self.trace[-1].is_told:
            data = self.trace.pop().sent + data
        self.trace.append(Heard(data, now_s, now_s, (), is_told=True))

    def _now(self) -> Moment:
        return Moment(time.monotonic(), datetime.now(CHINA))

    # --- what came

    def reports(self, since: int = 0) -> list[tuple[float, Report]]:
        """The reports behind event number `since`, repeats included."""
        return [(each.at_s, each.event) for each in self.seen[since:] if isinstance(each.event, Report)]

    def wrongs(self, since: int = 0) -> list[Wrong]:
        """What the centre found wrong behind event number `since`."""
        return [each.event for each in self.seen[since:] if isinstance(each.event, Wrong)]

    def came(self, function: str, since: int) -> list[Came]:
        """The frames of a function behind event number `since`."""
        events = (each.event for each in self.seen[since:])
        return [each for each in events if isinstance(each, Came) and each.function == function]

    def frames_of(self, events: Sequence[Event]) -> list[Heard]:
        """The frames behind these events, as evidence: of each the one that came last before it."""
        found: list[Heard] = []
        frame = b""
        for each in self.seen:
            if isinstance(each.event, Came):
                frame = each.event.data
            elif frame and any(each.event is event for event in events):
                found.append(Heard(b"", each.at_s, each.at_s, ((each.at_s, frame),)))
        return found

    def proofs(self, wrongs: Sequence[Wrong]) -> list[Heard]:
        """The bytes that show each of these."""
        at = {id(each.event): each.at_s for each in self.seen}
        return [Heard(b"", at[id(each)], at[id(each)], ((at[id(each)], each.data),)) for each in wrongs if each.data]

    def ready(self) -> None:
        """Waits until the station is there and has said something. Raises WireError."""
        self.listen()
        heard = bool(self._dialogue is not None and self._dialogue.station)
        if not heard and not self.pump(lambda: self._dialogue is not None and self._dialogue.station, self.report_s):
            raise WireError("the station is not connected")

    # --- what is asked

    def query(self, words: str) -> Answered | None:
        """Asks, confirms the answer as the protocol wants it; None without one."""
        self.ready()
        assert self._dialogue is not None
        since = len(self.seen)
        self._take(self._dialogue.ask(self._kind.downlink(words.split()), self._now()))

        def found() -> Answered | None:
            events = (each.event for each in self.seen[since:])
            return next((each for each in events if isinstance(each, Answered)), None)

        self.pump(found, self.limit_s)
        return found()

    def bytes_of(self, words: str, *, password: str | None = None, station: str | None = None) -> bytes:
        """A query's bytes, to this station or another, with its password or another. Raises OrderError."""
        downlink = self._kind.downlink(words.split())
        if self.protocol is Protocol.SL651:
            link = link_of(first_frame(self.last)[1])
            link = replace(link, password=password or link.password, station=station or link.station)
            data: bytes = downlink.frame(link, self._now()).encode()  # type: ignore[attr-defined]  # of this protocol
            return data
        if not self.last:
            raise OrderError("nothing was heard from the station yet")
        address = parse(self.last).address if station is None else bytes.fromhex(station)
        found: bytes = downlink.frame(  # type: ignore[attr-defined]  # of this protocol
            address, self._now(), password=password or self.options.password, dialect=self.options.sending
        ).to_bytes()
        return found

    def answers_to(self, pieces: Sequence[bytes], function: str, *, gap_s: float = 0.0, wait_s: float) -> list[Came]:
        """Sends bytes as they are, and gives the frames of `function` that came within `wait_s`."""
        self.ready()
        since = len(self.seen)
        for at, piece in enumerate(pieces):
            if at and gap_s:
                self.pump(lambda: False, gap_s)
            self._send(piece, joins=at > 0)
        self.pump(lambda: self.came(function, since), wait_s)
        return self.came(function, since)


def clause_of(link: StationLink, number: str) -> Clause:
    """A clause as the centre's checks name it."""
    if link.protocol is Protocol.SL651:
        return Clause(SL651_SHEET if number.startswith("sheet ") else SL651, number.removeprefix("sheet "))
    return Clause(SZY206_SHEET, number.removeprefix("sheet "))
