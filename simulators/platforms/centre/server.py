"""A simulated centre for thousands of stations: one thread, one selector.

Each turn takes what arrived, lets each connection's dialogue answer, commits the archive, and only then sends: what a
station sees acknowledged is on record. A connection costs its socket, half a frame and what is owed to it; whoever
takes nothing, sends no sound frame for `idle_s`, or lets too much wait is closed.

In a test:

    with CentreServer("sl651", ack="never,late:1,normal") as centre:
        ...                                  # a station connects to 127.0.0.1, centre.port
        centre.wait(lambda: centre.received(), 5)
        centre.received()                    # [Received(station, function, serial, values, copies, acks, how, ...)]
        centre.acknowledged()                # those of them that the centre acknowledged
        centre.behave("esc")                 # from now on; STYLES in behaviour.py
        centre.send("37")                    # an order to all stations, or centre.send("37", station="3301060001")
        centre.answers()                     # [Exchange(number, station, name, state, answers)]
        centre.violations()                  # [Violation(station, code, clause, arguments, is_failed, times)]
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
from types import TracebackType
from typing import Any, Self

from simulators.platforms.centre.archive import Archive, Exchange, Received, Violation
from simulators.platforms.centre.behaviour import Protocol, plan_of
from simulators.platforms.centre.contract import Memory, Moment, Parcel, Turn
from simulators.platforms.centre.keeping import Emit, Keeper
from simulators.platforms.centre.links import Link
from simulators.platforms.centre.protocols import KINDS
from simulators.platforms.mqtt_behaviour import OrderError

_CHUNK = 16_384
_BACKLOG = 4096
_MOST_LINKS = 20_000
_LOOK_S = 0.5
_CHINA = timezone(timedelta(hours=8))


class CentreServer:
    """The centre. `port` 0 takes a free one. `now` is the centre's clock, an aware time in the stations' zone.

    `options` are those of the protocol (`Sl651Options`, `Szy206Options`). All methods may be called from any thread.
    """

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
    ) -> None:
        self.protocol = Protocol(protocol)
        self._kind = KINDS[self.protocol]
        self._options = options or self._kind.options()
        self._now = now or (lambda: datetime.now(_CHINA))
        self._idle_s = idle_s
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
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    # --- for tests and consoles

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.run, args=(self._stop,), name="centre", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self.wake()
        if self._thread is not None:
            self._thread.join()
        self.close()

    def received(self, station: str | None = None, *, last: int | None = None) -> list[Received]:
        """The reports on record, in the order they came first."""
        with self._turned:
            return self._keeper.archive.reports(station, last=last)

    def acknowledged(self, station: str | None = None) -> list[Received]:
        """Those of them that the centre acknowledged: by an answer that settles them, all of which went out."""
        return [report for report in self.received(station) if report.acks]

    def answers(self, station: str | None = None) -> list[Exchange]:
        """The orders and what came of them."""
        with self._turned:
            return self._keeper.archive.exchanges(station)

    def violations(self, station: str | None = None) -> list[Violation]:
        """What broke a rule, and what differs."""
        with self._turned:
            return self._keeper.archive.violations(station)

    def stations(self) -> list[dict[str, Any]]:
        """The stations that were ever heard."""
        with self._turned:
            return self._keeper.archive.stations()

    def online(self) -> list[str]:
        """The stations whose connection stands."""
        with self._turned:
            return sorted(self._of_station)

    def report(self) -> dict[str, Any]:
        """Counts of everything."""
        with self._turned:
            return {"protocol": self.protocol.value, "connections": len(self._links), **self._keeper.archive.totals()}

    def behave(self, ack: str) -> None:
        """How reports are acknowledged from now on. Raises OrderError."""
        plan = plan_of(ack, self.protocol)
        with self._turned:
            self._memory.plan = plan

    def send(self, order: str, station: str | None = None) -> int:
        """Gives an order, such as `37` or `42 20=1`, to a station or to all that are there; to how many it went.

        A station gets one at a time; `answers` says what came of it. Raises OrderError.
        """
        downlink = self._kind.downlink(order.split())
        with self._turned:
            links = self._addressed(station)
            for link in links:
                self._take(link, link.dialogue.ask(downlink, self._moment()))
        self.wake()
        return len(links)

    def send_raw(self, data: bytes, station: str | None = None) -> None:
        """Sends bytes as they are. Raises OrderError."""
        with self._turned:
            for link in self._addressed(station):
                name = link.dialogue.station
                link.owe(Parcel(station=name, name="raw", pieces=(data,), at_s=time.monotonic()))
                self._touched[link.number] = link
        self.wake()

    def disconnect(self, station: str | None = None, *, is_reset: bool = False) -> None:
        """Closes the connection of a station, or of all. Raises OrderError."""
        with self._turned:
            for link in self._addressed(station):
                self._drop(link, is_reset=is_reset)
        self.wake()

    def wait(self, until: Callable[[], Any], timeout_s: float) -> bool:
        """Waits until `until()` holds, looking after each turn of the loop; False when it does not in time."""
        with self._turned:
            return bool(self._turned.wait_for(until, timeout=timeout_s))

    # --- the loop

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
        now_s = time.monotonic()
        return max(0.0, min(_LOOK_S, self._due[0][0] - now_s)) if self._due else _LOOK_S

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
            self._drop(link)
            return
        self._take(link, link.dialogue.receive(data, self._moment()))

    def _tick(self) -> None:
        """What is due by time."""
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
        if turn.events:
            self._identify(link)
        is_fine = all([link.owe(parcel) for parcel in turn.parcels])  # noqa: C419 - all of them
        if not is_fine:
            self._drop(link, is_reset=True)
        self._touched[link.number] = link

    def _identify(self, link: Link) -> None:
        """A second connection of a station takes the place of the first (sheet §9.4)."""
        link.heard_s = time.monotonic()
        station = link.dialogue.station
        if station and self._of_station.get(station) is not link:
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

    def _addressed(self, station: str | None) -> list[Link]:
        if station is None:
            found = list(self._of_station.values())
        else:
            found = [self._of_station[station.upper()]] if station.upper() in self._of_station else []
        if not found:
            raise OrderError(f"{station or 'no station'}: not connected")
        return found

    def _moment(self) -> Moment:
        return Moment(time.monotonic(), self._now())

    def _wall_ms(self) -> int:
        return round(self._now().timestamp() * 1000)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    return listener


def _silence(_event: dict[str, Any]) -> None:
    return
