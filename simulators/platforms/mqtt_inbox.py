"""What a water platform does with the messages: unpacks the rounds, judges them, keeps them, counts.

Topics: `PREFIX/STATION/rounds`, `PREFIX/STATION/state` and `PREFIX/STATION/head`; what else is published is somebody
else's and only relayed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from simulators.platforms.mqtt_archive import Archive
from simulators.platforms.mqtt_fields import Property
from simulators.platforms.mqtt_payload import Complaint, Fall, PublishedRound, judge
from simulators.platforms.mqtt_wire import Message

Emit = Callable[[dict[str, Any]], None]
"""Takes an event: {"event": "noun.past_verb", …}, JSON types only."""

_REST_OF_TOPIC = re.compile(r"([^/]{1,64})/(rounds|state|head)")
_STATE_CHARACTERS = 65_536  # of a head too


class Heads:
    """Whether each meter's rounds come in order on one connection, given that live data overtake a backlog.

    Two ascending sequences per meter are in order: the live one and the backlog behind it. A number below both heads
    is out of order.
    """

    def __init__(self) -> None:
        self._heads: dict[tuple[str, str], list[int]] = {}

    def is_in_order(self, found: PublishedRound) -> bool:
        """Takes the round's number; false when it came behind a later one of its sequence."""
        heads = self._heads.setdefault((found.epoch, found.meter), [0, 0])
        for place, head in enumerate(heads):
            if found.number > head:
                heads[place] = found.number
                return True
        return False


class Inbox:
    """Takes messages into the archive. Everything it counts is in `counts`."""

    def __init__(self, archive: Archive, *, prefix: str, emit: Emit, wall_ms: Callable[[], int]) -> None:
        self._prefix = f"{prefix}/"
        self.archive = archive
        self.counts: Counter[str] = Counter()
        self.complaints: Counter[str] = Counter()
        self._emit = emit
        self._wall_ms = wall_ms

    def take(self, message: Message, heads: Heads) -> None:
        """Keeps what a message holds; it is on record when the archive commits."""
        self.counts["messages"] += 1
        if not message.topic.startswith(self._prefix):
            return
        fitting = _REST_OF_TOPIC.fullmatch(message.topic.removeprefix(self._prefix))
        if fitting is None:
            self._complain([Complaint(Fall.WRONG_TOPIC, "", message.topic[:120])])
            return
        station, kind = fitting.groups()
        if kind in {"state", "head"}:
            payload = message.payload[:_STATE_CHARACTERS].decode("utf-8", "replace")
        if kind == "head":
            self.archive.add_head(station, payload, self._wall_ms())
            self._emit({"event": "head.received", "station": station, "head": payload})
            return
        if kind == "state":
            self.archive.set_state(station, payload, self._wall_ms())
            self._emit({"event": "state.received", "station": station, "state": payload})
            return
        content_type = message.properties.get(Property.CONTENT_TYPE)
        rounds, complaints = judge(message.payload, content_type if isinstance(content_type, str) else None)
        self._complain(complaints)
        self._keep(station, rounds, heads)

    def _keep(self, station: str, rounds: Sequence[PublishedRound], heads: Heads) -> None:
        fresh, changed = self.archive.keep(station, rounds, self._wall_ms())
        self._complain(changed)
        out_of_order = sum(not heads.is_in_order(each) for each in fresh)
        self.counts["rounds"] += len(rounds)
        self.counts["readings"] += sum(len(each.values) for each in rounds)
        self.counts["out_of_order"] += out_of_order
        self._emit(
            {
                "event": "rounds.received",
                "station": station,
                "repeated": len(rounds) - len(fresh),
                "out_of_order": out_of_order,
                "rounds": [
                    {"id": each.id, "meter": each.meter, "at": each.at, "values": each.values, "quality": each.quality}
                    for each in fresh
                ],
            }
        )

    def _complain(self, complaints: Sequence[Complaint]) -> None:
        if not complaints:
            return
        self.complaints.update(str(each.code) for each in complaints)
        self.archive.complain(complaints, self._wall_ms())
        for each in complaints[:3]:  # one message may hold thousands of wrong rounds
            self._emit({"event": "complaint.raised", "code": each.code, "id": each.id, "detail": each.detail})
