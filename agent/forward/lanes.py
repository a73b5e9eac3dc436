"""Which rounds go next, and what each receipt settles. Pure: numbers in, numbers out.

Strategy: `owed` is the truth that is kept on disk, the set of numbers without acknowledgement, its last range open.
Everything else follows from it for one connection. On connecting, `head` is the newest number on disk: the live lane
takes what is committed after it, the backlog lane what is owed up to it, oldest first. Three things leave the lanes
for a while: numbers under way (`flights`), numbers without a date (`held`), and messages that were refused
(`pieces`), which are halved until the one bad round is alone and can be parked. Nothing but an acknowledgement, a
parking or an eviction takes a number out of `owed`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from agent.model import Ranges, StoredRound
from agent.store import cursors

LIVE_FLIGHTS = 4  # live messages are not counted in the window; this many may be without receipt


class Lane(Enum):
    """Where a message came from."""

    LIVE = "live"
    BACKLOG = "backlog"
    PIECE = "piece"


class Span(NamedTuple):
    """Numbers first…last to be sent next. `alone`: nothing else may be under way with them."""

    lane: Lane
    first: int
    last: int
    alone: bool = False


class Flight(NamedTuple):
    """A message without receipt: its numbers, its bytes, and when it left (`Clock.monotonic`)."""

    span: Span
    size: int
    sent_at: float


class Lanes:
    """What one uplink owes and what of it is under way.

    `owed` is the set last kept; `on_disk` the newest number that was committed when this process began.
    """

    def __init__(self, owed: Ranges, on_disk: int) -> None:
        self.owed = owed
        self.head = on_disk
        self.held: Ranges = ()
        self.flights: dict[int, Flight] = {}
        self._published: Ranges = ((1, on_disk),) if on_disk else ()
        self._todo: Ranges = ()
        self._pieces: deque[Span] = deque()  # those that travel alone come first
        self._tag = 0

    def connected(self, committed: int) -> None:
        """A new connection begins: nothing is under way, the live lane starts behind `committed`."""
        self.lost(over_a_message=False)
        self.head = committed
        self._refill()

    # what goes next

    def live(self, committed: int) -> Span | None:
        """The numbers behind the head, unless enough of them are under way."""
        if committed <= self.head or self._is_closed():
            return None
        if sum(flight.span.lane is Lane.LIVE for flight in self.flights.values()) >= LIVE_FLIGHTS:
            return None
        return Span(Lane.LIVE, self.head + 1, committed)

    def backlog(self) -> Span | None:
        """The next refused piece, else the oldest numbers owed; None when all is under way or done."""
        if self._is_closed():
            return self._pieces[0] if self._pieces and not self.flights else None
        if self._pieces:
            return self._pieces[0]
        if not self._todo:
            self._refill()  # keeping `owed` to few ranges may have brought settled numbers back
        if not self._todo:
            return None
        first, last = self._todo[0]
        return Span(Lane.BACKLOG, first, self.head if last is None else last)

    def backlog_bytes(self) -> int:
        """Bytes of backlog under way."""
        return sum(flight.size for flight in self.flights.values() if flight.span.lane is not Lane.LIVE)

    def resent(self, rounds: Sequence[StoredRound]) -> list[bool]:
        """For each of these ascending rounds, whether the platform may have received it before."""
        first, last = rounds[0].number, rounds[-1].number
        fresh = cursors.free(self._published, first, last)
        if not fresh or fresh == ((first, last),):
            return [not fresh] * len(rounds)
        return [cursors.holds(self._published, each.number) for each in rounds]

    # what became of it

    def new_tag(self) -> int:
        """A tag that no other message of this process has."""
        self._tag += 1
        return self._tag

    def sent(self, tag: int, span: Span, size: int, now: float) -> None:
        """All numbers of `span` left in a message of `size` bytes."""
        self._take(span)
        self._published = cursors.add(self._published, span.first, span.last)
        self.flights[tag] = Flight(span, size, now)

    def hold(self, span: Span) -> None:
        """The numbers of `span` have no date yet: they stay owed and wait for `release`."""
        self._take(span)
        self.held = cursors.union(self.held, ((span.first, span.last),))

    def release(self, first: int, last: int) -> None:
        """A held range may have a date now: it is tried again."""
        self.held = cursors.without(self.held, first, last)
        self._todo = cursors.union(self._todo, ((first, last),))

    def gone(self, span: Span) -> None:
        """The numbers of `span` are no longer stored (given up at the disk floor): nobody is owed them any more."""
        self._take(span)
        self.owed = cursors.subtract(self.owed, span.first, span.last)

    def amend(self, owed: Ranges) -> None:
        """The set as the store keeps it: parked numbers may have come back to it, evicted ones be gone from it."""
        if owed != self.owed:
            self.owed = owed
            self._refill()

    def accepted(self, tag: int) -> Flight | None:
        """The platform has it: the only way in which delivered numbers leave `owed`. None for an unknown tag."""
        flight = self.flights.pop(tag, None)
        if flight is not None:
            self.owed = cursors.subtract(self.owed, flight.span.first, flight.span.last)
        return flight

    def again(self, tag: int) -> Flight | None:
        """The platform could not take it now: it goes back to where it came from. None for an unknown tag."""
        flight = self.flights.pop(tag, None)
        if flight is None:
            return None
        if flight.span.lane is Lane.PIECE:
            self._pieces.appendleft(flight.span)
        else:
            self._todo = cursors.union(self._todo, ((flight.span.first, flight.span.last),))
        return flight

    def rejected(self, tag: int, *, alone: bool = False) -> int | None:
        """The platform will never take this message: it is halved, or, of a single round, the number to park."""
        flight = self.flights.pop(tag, None)
        if flight is None:
            return None
        _, first, last, was_alone = flight.span
        if first == last:
            self.owed = cursors.subtract(self.owed, first, last)
            return first
        middle = (first + last) // 2
        halves = [Span(Lane.PIECE, *half, alone or was_alone) for half in ((first, middle), (middle + 1, last))]
        if halves[0].alone:
            self._pieces.extendleft(reversed(halves))
        else:
            self._pieces.extend(halves)
        return None

    def lost(self, *, over_a_message: bool) -> int | None:
        """The connection is over. `over_a_message`: the platform ended it because of one of the messages under way.

        Then each of them travels alone from now on; was there only one, it is halved, or, of a single round, its
        number returned to be parked.
        """
        tags = sorted(self.flights, reverse=True)
        if over_a_message and len(tags) == 1:
            return self.rejected(tags[0], alone=True)
        for tag in tags:
            span = self.flights.pop(tag).span
            if over_a_message:
                self._pieces.appendleft(Span(Lane.PIECE, span.first, span.last, alone=True))
            elif span.lane is Lane.PIECE:
                self._pieces.appendleft(span)
        return None

    def _is_closed(self) -> bool:
        """Whether a message that must travel alone waits or travels."""
        return bool(self._pieces and self._pieces[0].alone) or any(each.span.alone for each in self.flights.values())

    def _take(self, span: Span) -> None:
        """Removes the numbers of `span`, or of its beginning, from the lane it came from."""
        match span.lane:
            case Lane.LIVE:
                self.head = span.last
            case Lane.BACKLOG:
                self._todo = cursors.without(self._todo, span.first, span.last)
            case Lane.PIECE:
                piece = self._pieces.popleft()
                if span.last < piece.last:
                    self._pieces.appendleft(piece._replace(first=span.last + 1))

    def _refill(self) -> None:
        """Gives everything owed up to the head to the backlog lane, but what is held, refused or under way."""
        spans = (*self._pieces, *(flight.span for flight in self.flights.values()))
        away = cursors.union(self.held, tuple((span.first, span.last) for span in spans))
        todo: list[tuple[int, int | None]] = []
        for low, high in self.owed:
            todo.extend(cursors.free(away, low, self.head if high is None else min(high, self.head)))
        self._todo = tuple(todo)
