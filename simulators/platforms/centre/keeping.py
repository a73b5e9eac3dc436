"""From the turns of dialogues to the archive, and to whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulators.platforms.centre.archive import Archive
from simulators.platforms.centre.contract import Answered, Event, Heard, Parcel, Posed, Report, Seen, Unanswered, Wrong
from simulators.platforms.centre.refusals import OrderError

Emit = Callable[[dict[str, Any]], None]


class Keeper:
    """Keeps what happened and says it."""

    def __init__(self, archive: Archive, *, emit: Emit, wall_ms: Callable[[], int]) -> None:
        self.archive = archive
        self._emit = emit
        self._wall_ms = wall_ms

    def keep(self, event: Event) -> None:
        """One event of a dialogue."""
        at_ms = self._wall_ms()
        archive = self.archive
        match event:
            case Heard():
                archive.heard(event, at_ms)
                archive.seen(event.station, at_ms, "")
            case Seen():
                archive.seen(event.station, at_ms, event.word)
                self.say("station.said", station=event.station, word=event.word)
            case Report():
                self._reported(event, at_ms)
            case Posed():
                archive.posed(event, at_ms)
                self.say("order.sent", order=event.order, station=event.station, name=event.name)
            case Answered():
                archive.answered(event, at_ms)
                self.say(
                    "order.answered",
                    order=event.order,
                    station=event.station,
                    function=event.function,
                    hex=event.data.hex().upper(),
                )
            case Unanswered():
                archive.unanswered(event)
                self.say("order.unanswered", order=event.order, station=event.station)
            case Wrong():
                self._complained(event, at_ms)

    def went(self, parcel: Parcel) -> None:
        """A parcel that has gone whole."""
        self.archive.spoke(parcel, self._wall_ms())
        if parcel.about:
            is_settled = parcel.about in parcel.settles
            self.say("report.replied", station=parcel.station, how=parcel.name, settles=is_settled)

    def connected(self, station: str) -> None:
        """A connection turned out to be this station's."""
        self.archive.online(station, is_online=True)
        self.say("station.connected", station=station)

    def left(self, station: str) -> None:
        """A station's connection is gone, and there is no other."""
        self.archive.online(station, is_online=False)
        self.say("station.left", station=station)

    def _reported(self, event: Report, at_ms: int) -> None:
        is_fresh = self.archive.report(event, at_ms)
        self.say(
            "report.received",
            station=event.station,
            function=event.function,
            serial=event.serial,
            observed=event.observed,
            values=event.values,
            repeated=not is_fresh,
        )

    def _complained(self, event: Wrong, at_ms: int) -> None:
        if self.archive.wrong(event, at_ms):
            self.say(
                "violation.found",
                station=event.station,
                code=event.code,
                clause=event.clause,
                arguments=dict(event.arguments),
                is_failed=event.is_failed,
                hex=event.data.hex().upper(),
            )

    def refused(self, error: OrderError) -> None:
        """An order of a script that was not carried out."""
        self._emit(error.event())

    def say(self, event: str, /, **details: Any) -> None:
        """Tells whoever listens."""
        self._emit({"event": event, **details})
