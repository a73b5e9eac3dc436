"""A real station dialogue over a real socket: an outbox that goes on until the centre has acknowledged everything."""

from __future__ import annotations

import itertools
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from agent.report.content import Content, Kind, Sample
from agent.uplinks.dialogue import (
    Acknowledged,
    Asked,
    Delivery,
    Dialogue,
    Forbidden,
    Moment,
    Over,
    Refused,
    Step,
    Unanswered,
    Violation,
)
from agent.uplinks.sl651.dialogue import Sl651Dialogue
from agent.uplinks.sl651.options import WireOptions as Sl651Options
from agent.uplinks.szy206.dialogue import Szy206Dialogue
from agent.uplinks.szy206.options import WireOptions as Szy206Options

CHINA = timezone(timedelta(hours=8))
SL651_STATION, SZY206_STATION = "3301060001", "5303810D00"
TIMEOUT_S = 0.1


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def content(number: int, kind: Kind = Kind.TIMED) -> Content:
    """A report of its own: its number is in the volume."""
    here = datetime.now(CHINA).replace(second=0, microsecond=0)
    slot_ms = round(here.timestamp() * 1000)
    samples = (
        Sample(1, "flow_rate", "450", slot_ms, "measured", f"9f3c2a71-{number}"),
        Sample(1, "volume_withdrawn", str(1000 + number), slot_ms, "measured", f"9f3c2a71-{number}"),
    )
    return Content(kind=kind, slot_ms=slot_ms, samples=samples)


def sl651_dialogue(**changes: Any) -> Callable[[], Dialogue]:
    serials = itertools.count(30_000)
    options = Sl651Options(station=SL651_STATION, password="1234", **{"timeout_s": TIMEOUT_S, **changes})
    return lambda: Sl651Dialogue(options, next_serial=lambda: next(serials), allows_sets=True)


def szy206_dialogue(**changes: Any) -> Callable[[], Dialogue]:
    options = Szy206Options(station=SZY206_STATION, **{"timeout_s": TIMEOUT_S, **changes})
    return lambda: Szy206Dialogue(options, allows_sets=True)


DIALOGUES: Mapping[str, Callable[..., Callable[[], Dialogue]]] = {
    "sl651": sl651_dialogue,
    "szy206": szy206_dialogue,
}


@dataclass
class FarStation:
    """Sends `contents` by number; `acknowledged` are those that the centre said it has, in that order."""

    port: int
    make: Callable[[], Dialogue]
    contents: Mapping[int, Content]
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    on_acknowledged: Callable[[int], None] = lambda _tag: None
    acknowledged: list[int] = field(default_factory=list)
    happenings: list[object] = field(default_factory=list)
    connections: int = 0

    def run(self, timeout_s: float, until: Callable[[], bool] | None = None) -> None:
        """Until all are acknowledged (or `until` holds), over as many connections as it takes."""
        end_s = time.monotonic() + timeout_s
        done = until or (lambda: len(self.acknowledged) == len(self.contents))
        while not done() and time.monotonic() < end_s:
            self._connection(end_s, done)

    def _connection(self, end_s: float, done: Callable[[], bool]) -> None:
        self.connections += 1
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            dialogue = self.make()
            self._step(connection, dialogue, dialogue.opened(self._moment()))
            while not done() and time.monotonic() < end_s:
                owed = [number for number in self.contents if number not in self.acknowledged]
                try:
                    if dialogue.is_ready and owed:
                        delivery = Delivery(tag=owed[0], serial=owed[0], content=self.contents[owed[0]])
                        self._step(connection, dialogue, dialogue.send(delivery, self._moment()))
                    wait_s = min(0.05, max(0.0, dialogue.deadline_s - time.monotonic()))
                    if select.select([connection], [], [], wait_s)[0]:
                        data = connection.recv(4096)
                        if not data:
                            return
                        self._step(connection, dialogue, dialogue.receive(data, self._moment()))
                    if time.monotonic() >= dialogue.deadline_s:
                        self._step(connection, dialogue, dialogue.tick(self._moment()))
                except (ConnectionError, _Ended):
                    return
            self._step(connection, dialogue, dialogue.farewell(self._moment()))

    def _step(self, connection: socket.socket, dialogue: Dialogue, step: Step) -> None:
        for data in step.data:
            connection.sendall(data)
        for happening in step.happenings:
            self.happenings.append(happening)
            match happening:
                case Acknowledged(tag=tag):
                    if tag not in self.acknowledged:
                        self.acknowledged.append(tag)
                    self.on_acknowledged(tag)
                case Asked(token=token, name=name):
                    self._step(connection, dialogue, dialogue.answer(token, self.answers.get(name), self._moment()))
                case Unanswered() | Over():
                    raise _Ended
                case Refused() as refused:
                    raise AssertionError(refused)
                case Forbidden() | Violation():
                    pass

    def _moment(self) -> Moment:
        return Moment(time.monotonic(), now_ms())


class _Ended(Exception):
    """The dialogue wants a new connection."""
