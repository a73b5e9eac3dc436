"""Real stations and simulated centres talk in virtual time, through any plan of acknowledgements and any delay."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.report.content import Content
from agent.uplinks.dialogue import Acknowledged, Delivery, Dialogue, Over, Unanswered
from agent.uplinks.dialogue import Moment as StationMoment
from agent.uplinks.dialogue import Step as StationStep
from simulators.platforms.centre.behaviour import Protocol, plan_of
from simulators.platforms.centre.contract import Memory, Moment, Parcel, Report, Turn, Wrong
from simulators.platforms.centre.protocols import KINDS
from tests.simulators.far_station import DIALOGUES, content

START = datetime(2026, 11, 22, 12, 0, tzinfo=timezone(timedelta(hours=8)))
REPORTS = range(1, 5)
MOST_S = 5000.0
TIMEOUT_S = 20.0
LATES = ("", "+late:1", "+late:15", "+late:25", "+late:50")
_SOUND = ("normal", "never", "bad-crc", "wrong-address", "close", "reset", "split", "parts", "glued-query+parts")
_SL651 = (*_SOUND, "eot", "ack", "wrong-serial", "nak", "wrong-password")
# An answer that names no report (SL 651 of length 0, every SZY206 confirm) counts for one send. A centre that answers
# more often than it was sent to cannot be told from one that answers the next report; so those are not mixed.
STYLES = {
    "sl651": (
        (*_SL651, "previous-serial", "previous-serial+split", "glued", "glued+split"),
        (*_SL651, "empty", "empty", "parts+empty", "empty+split"),
    ),
    "szy206": ((*_SOUND, "with-tp", "wrong-fcb", "with-tp+parts"),),
}


@dataclass
class Talk:
    """One station with an outbox and one centre; connections come and go, what is under way on one goes with it."""

    protocol: str
    make: Callable[[], Dialogue]
    memory: Memory
    latency_s: float
    contents: dict[int, Content]
    now_s: float = 0.0
    acknowledged: list[int] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    received: dict[str, int] = field(default_factory=dict)
    wrong: list[Wrong] = field(default_factory=list)
    unfounded: list[int] = field(default_factory=list)

    def run(self) -> None:
        while len(self.acknowledged) < len(self.contents) and self.now_s < MOST_S:
            self._connection()
            self.now_s += 1

    def _connection(self) -> None:
        kind = KINDS[Protocol(self.protocol)]
        self._station, self._centre = self.make(), kind.dialogue(kind.options(), self.memory)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order, self._busy_s, self._is_open = itertools.count(), 0.0, True
        self._stepped(self._station.opened(self._at()))
        while self._is_open and self.now_s < MOST_S and len(self.acknowledged) < len(self.contents):
            owed = [number for number in self.contents if number not in self.acknowledged]
            if self._station.is_ready:
                self._stepped(
                    self._station.send(
                        Delivery(tag=owed[0], serial=owed[0], content=self.contents[owed[0]]), self._at()
                    )
                )
                continue
            due = [self._station.deadline_s, self._centre.deadline_s, *(each[0] for each in self._events[:1])]
            self.now_s = max(self.now_s, min(due))
            if self._events and self._events[0][0] <= self.now_s:
                heapq.heappop(self._events)[2]()
            elif self._centre.deadline_s <= self.now_s:
                self._turned(self._centre.tick(self._here()))
            else:
                self._stepped(self._station.tick(self._at()))

    def _later(self, at_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (at_s, next(self._order), what))

    def _stepped(self, step: StationStep) -> None:
        for data in step.data:
            self._later(
                self.now_s + self.latency_s, lambda data=data: self._turned(self._centre.receive(data, self._here()))
            )
        for happening in step.happenings:
            if isinstance(happening, Acknowledged) and happening.tag not in self.acknowledged:
                self.acknowledged.append(happening.tag)
                if happening.tag not in {self.received[key] for key in self.settled}:
                    self.unfounded.append(happening.tag)
            elif isinstance(happening, Unanswered | Over):
                self._is_open = False

    def _turned(self, turn: Turn) -> None:
        for event in turn.events:
            if isinstance(event, Report):
                values = event.values
                volume = values["FF2B"] if "FF2B" in values else values["meters"][0]["cumulative_m3"]
                self.received[event.key] = int(volume) - 1000
            elif isinstance(event, Wrong) and event.is_failed:
                self.wrong.append(event)
        for parcel in turn.parcels:
            self._later(max(parcel.at_s, self.now_s), lambda parcel=parcel: self._began(parcel))

    def _began(self, parcel: Parcel) -> None:
        """Pieces go one by one; no parcel begins within another."""
        if self.now_s < self._busy_s:
            self._later(self._busy_s, lambda: self._began(parcel))
            return
        for at, piece in enumerate(parcel.pieces):
            self._later(
                self.now_s + at * parcel.gap_s + self.latency_s,
                lambda piece=piece: self._stepped(self._station.receive(piece, self._at())),
            )
        self._busy_s = self.now_s + len(parcel.pieces) * parcel.gap_s
        self.settled |= set(parcel.settles)
        if parcel.ends:
            self._later(self._busy_s + self.latency_s, self._closed)

    def _closed(self) -> None:
        self._is_open = False

    def _at(self) -> StationMoment:
        return StationMoment(self.now_s, round(self._here().at.timestamp() * 1000))

    def _here(self) -> Moment:
        return Moment(self.now_s, START + timedelta(seconds=self.now_s))


def plans(protocol: str) -> st.SearchStrategy[str]:
    """Up to seven acknowledgements of all kinds, and then sound ones."""

    def listed(styles: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
        return st.lists(st.builds(str.__add__, st.sampled_from(styles), st.sampled_from(LATES)), min_size=1, max_size=7)

    found = st.one_of(*map(listed, STYLES[protocol]))
    return found.map(lambda plan: ",".join([*plan, *["normal"] * 60]))


@pytest.mark.parametrize("protocol", list(STYLES))
def test_no_plan_and_no_delay_makes_a_station_count_what_the_centre_did_not_acknowledge(protocol: str):
    @settings(max_examples=200, deadline=None)
    @given(plan=plans(protocol), latency_s=st.sampled_from([0.0, 0.01, 3.0, 12.0]))
    def run(plan: str, latency_s: float) -> None:
        memory = Memory(plan=plan_of(plan, Protocol(protocol)))
        slot_ms = round(START.timestamp() * 1000)
        contents = {}
        for number in REPORTS:
            made = content(number)
            samples = tuple(each._replace(at_ms=slot_ms) for each in made.samples)
            contents[number] = Content(kind=made.kind, slot_ms=slot_ms, samples=samples)
        talk = Talk(protocol, DIALOGUES[protocol](timeout_s=TIMEOUT_S), memory, latency_s, contents)
        talk.run()
        assert talk.unfounded == []
        assert sorted(talk.acknowledged) == list(REPORTS)
        assert sorted(talk.received.values()) == list(REPORTS)
        assert {talk.received[key] for key in talk.settled} == set(REPORTS)
        assert talk.wrong == []

    run()
