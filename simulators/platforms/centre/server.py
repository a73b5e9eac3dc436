"""A simulated centre as a program or a test uses it.

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

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from simulators.platforms.centre.archive import Exchange, Received, Violation
from simulators.platforms.centre.behaviour import plan_of
from simulators.platforms.centre.contract import Parcel
from simulators.platforms.centre.links import Link
from simulators.platforms.centre.loop import CentreLoop
from simulators.platforms.centre.protocols import setting_of
from simulators.platforms.centre.refusals import OrderError
from simulators.platforms.centre.script import Action


class CentreServer(CentreLoop):
    """The centre. `port` 0 takes a free one. `now` is the centre's clock, an aware time in the stations' zone.

    `options` are those of the protocol (`Sl651Options`, `Szy206Options`). All methods may be called from any thread.
    """

    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._stop = threading.Event()
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

    def set_up(self, text: str) -> None:
        """Changes an option, also for connections that stand: `end EOT`, `login silent`. Raises OrderError."""
        name, value = setting_of(text, self.protocol)
        with self._turned:
            self._options = self._memory.options = replace(self._options, **{name: value})

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
                self._owe(link, Parcel(station=name, name="raw", pieces=(data,), at_s=time.monotonic()))
        self.wake()

    def disconnect(self, station: str | None = None, *, is_reset: bool = False) -> None:
        """Closes the connection of a station, or of all. Raises OrderError."""
        with self._turned:
            for link in self._addressed(station):
                self._drop(link, is_reset=is_reset)
        self.wake()

    def do(self, action: Action) -> None:
        """Carries out what a script or a console says. Raises OrderError."""
        match action.verb:
            case "ack":
                self.behave(action.text)
            case "set":
                self.set_up(action.text)
            case "send":
                self.send(action.text, action.station)
            case "raw":
                self.send_raw(bytes.fromhex(action.text), action.station)
            case _:
                self.disconnect(action.station, is_reset=action.text == "reset")

    def wait(self, until: Callable[[], Any], timeout_s: float) -> bool:
        """Waits until `until()` holds, looking after each turn of the loop; False when it does not in time."""
        with self._turned:
            return bool(self._turned.wait_for(until, timeout=timeout_s))

    def _addressed(self, station: str | None) -> list[Link]:
        if station is None:
            found = list(self._of_station.values())
        else:
            found = [self._of_station[station.upper()]] if station.upper() in self._of_station else []
        if not found:
            raise OrderError("nobody") if station is None else OrderError("not-connected", station=station)
        return found
