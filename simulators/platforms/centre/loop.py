"""The loop of a simulated centre for thousands of stations: one thread, one selector.

Each turn takes what arrived, lets each connection's dialogue answer, commits the archive, and only then sends: what a
station sees acknowledged is on record. A connection costs its socket, half a frame and what is owed to it; whoever
takes nothing, sends no sound frame for `idle_s`, or lets too much wait is closed.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import selectors
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from simulators.platforms.centre.archive import Archive
from simulators.platforms.centre.behaviour import Protocol, plan_of
from simulators.platforms.centre.contract import Heard, Memory, Moment, Parcel, Report, Turn
from simulators.platforms.centre.keeping import Emit, Keeper
from simulators.platforms.centre.links import Link
from simulators.platforms.centre.protocols import KINDS
from simulators.platforms.centre.refusals import OrderError
from simulators.platforms.centre.script import Action, Script, script_of

_CHUNK = 16_384
_BACKLOG = 4096
_MOST_LINKS = 20_000
_LOOK_S = 0.5
_CHINA = timezone(timedelta(hours=8))


class CentreLoop:
    """Listens, serves and keeps; see `CentreServer` for its use."""

    def __init__(
        self,
        protocol: str,
        *,
        ack: str = "normal",
        host: str = "127.0.0.1",
        port: int = 0,
        store: Path | None = None,
        options: Any = None,
        now: Callable[[], datetime] | None = None,
        emit: Emit | None = None,
        idle_s: float = 900.0,
        script: str = "",
    ) -> None:
        self.protocol = Protocol(protocol)
        self._kind = KINDS[self.protocol]
        self._options = options or self._kind.options()
        self._now = now or (lambda: datetime.now(_CHINA))
        self._idle_s = idle_s
        self._script = Script(script_of(script, self.protocol) if script else ())
        self._turned = threading.Condition()  # guards everything below; notified after each turn
        self._memory = Memory(plan=plan_of(ack, self.protocol))
        self._keeper = Keeper(Archive(store), emit=emit or _silence, wall_ms=self._wall_ms)
        self._memory.orders = iter(range(self._keeper.archive.first_order, 1 << 62))
        self._selector = selectors.DefaultSelector()
        self._listener = _listening(host, port)
        self.host, self.port = self._listener.getsockname()[:2]
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._links: dict[int, Link] = {}
        self._of_station: dict[str, Link] = {}
        self._due: list[tuple[float, int]] = []
        self._touched: dict[int, Link] = {}
        self._count = 0
        self.arrivals = 0
        """Reports that came, repeats included."""

    def run(self, stop: threading.Event) -> None:
        """Serves until `stop` is set; `wake` makes it look at once."""
        wait_s = 0.0
        while not stop.is_set():
            ready = self._selector.select(wait_s)
            with self._turned:
                wait_s = self._turn(ready)
                self._turned.notify_all()
        with self._turned:
            self._keeper.archive.commit()
            self._turned.notify_all()

    def wake(self) -> None:
        """Makes `run` take a turn now."""
        with contextlib.suppress(BlockingIOError):
            self._waker.send(b"\0", socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Closes every socket and the archive; `run` must have ended."""
        for link in list(self._links.values()):
            self._drop(link)
        self._selector.close()
        for each in (self._listener, self._woken, self._waker):
            each.close()
        self._keeper.archive.close()

    def _turn(self, ready: list[tuple[selectors.SelectorKey, int]]) -> float:
        for key, mask in ready:
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._woken:
                self._woken.recv(_CHUNK)
            else:
                if mask & selectors.EVENT_READ:
                    self._read(key.data)
                self._touched[key.data.number] = key.data
        self._tick()
        self._keeper.archive.commit()  # before anything is sent: acknowledged means on record
        touched, self._touched = self._touched, {}
        for link in touched.values():
            if link.number in self._links:
                self._settle(link)
        self._keeper.archive.commit()
        waits = [self._due[0][0]] if self._due else []
        if self._script.deadline_s is not None:
            waits.append(self._script.deadline_s)
        now_s = time.monotonic()
        return max(0.0, min([_LOOK_S, *(each - now_s for each in waits)]))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                if len(self._links) >= _MOST_LINKS:
                    accepted.close()
                    continue
                accepted.setblocking(False)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._count += 1
                dialogue = self._kind.dialogue(self._options, self._memory)
                link = Link(self._count, accepted, dialogue, time.monotonic())
                self._links[link.number] = self._touched[link.number] = link

    def _read(self, link: Link) -> None:
        if link.number not in self._links:
            return
        try:
            data = link.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._take(link, link.dialogue.end(self._moment()))
            self._drop(link)
            return
        self._take(link, link.dialogue.receive(data, self._moment()))

    def _tick(self) -> None:
        """What is due by time."""
        self._advance()
        now = self._moment()
        while self._due and self._due[0][0] <= now.s:
            at_s, number = heapq.heappop(self._due)
            link = self._links.get(number)
            if link is None or link.due_s != at_s:
                continue
            link.due_s = math.inf
            if now.s - link.heard_s >= self._idle_s:
                self._drop(link)
                continue
            if link.dialogue.deadline_s <= now.s:
                self._take(link, link.dialogue.tick(now))
            self._touched[number] = link

    def _take(self, link: Link, turn: Turn) -> None:
        """Keeps what a turn brought, and owes what it wants sent."""
        for event in turn.events:
            self._keeper.keep(event)
            if isinstance(event, Heard):
                self._identify(link, event.station)
            self.arrivals += isinstance(event, Report)
        for parcel in turn.parcels:
            self._owe(link, parcel)
        self._touched[link.number] = link
        self._advance()

    def _owe(self, link: Link, parcel: Parcel) -> None:
        """Owes a parcel to a station, unless it takes nothing any more."""
        if not link.owe(parcel):
            self._drop(link, is_reset=True)
        self._touched[link.number] = link

    def _identify(self, link: Link, station: str) -> None:
        """A second connection of a station takes the place of the first (sheet §9.4)."""
        link.heard_s = time.monotonic()
        if self._of_station.get(station) is not link:
            self._of_station[station] = link
            link.station = station
            self._keeper.connected(station)

    def _settle(self, link: Link) -> None:
        """Sends what is due, ends what is to end, and watches for what can happen next."""
        now_s = time.monotonic()
        try:
            gone = link.send(now_s)
        except OSError:
            self._drop(link)
            return
        for parcel in gone:
            self._keeper.went(parcel)
        if gone and gone[-1].ends:
            self._drop(link, is_reset=gone[-1].ends == "reset")
            return
        self._watch(link, selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_to_write else 0))
        due_s = min(link.ready_s(), link.dialogue.deadline_s, link.heard_s + self._idle_s)
        if due_s != link.due_s:
            link.due_s = due_s
            heapq.heappush(self._due, (due_s, link.number))

    def _watch(self, link: Link, mask: int) -> None:
        if mask == link.mask:
            return
        if link.mask:
            self._selector.modify(link.socket, mask, link)
        else:
            self._selector.register(link.socket, mask, link)
        link.mask = mask

    def _drop(self, link: Link, *, is_reset: bool = False) -> None:
        if self._links.pop(link.number, None) is None:
            return
        if link.mask:
            self._selector.unregister(link.socket)
        link.close(is_reset=is_reset)
        if self._of_station.get(link.station) is link:
            del self._of_station[link.station]
            self._keeper.left(link.station)

    def _moment(self) -> Moment:
        return Moment(time.monotonic(), self._now())

    def _wall_ms(self) -> int:
        return round(self._now().timestamp() * 1000)

    def do(self, action: Action) -> None:
        """Carries out an action. Raises OrderError."""
        raise NotImplementedError

    def _advance(self) -> None:
        """Carries out the steps of the script that are due, right behind the report that makes them so."""
        for action in self._script.due(self.arrivals, time.monotonic()):
            try:
                self.do(action)
            except OrderError as error:
                self._keeper.refused(error)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    return listener


def _silence(_event: dict[str, Any]) -> None:
    return
