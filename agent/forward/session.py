"""One connection of an uplink: what is sent on it, and whether it still moves.

Strategy: the live lane is looked at before every backlog message, so a backlog of a day delays a live round by one
message. Rounds are read, composed and handed over only when the window has room: nothing waits in memory, and a
connection that ends leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.clock import Clock
from agent.forward.lanes import Flight, Lane, Lanes, Span
from agent.forward.sources import Queue, Rounds
from agent.forward.window import MessageSize, Progress, RoundSize, Window
from agent.model import Receipt, StoredRound
from agent.uplinks.contract import Batch, Limits, LinkError, TooLargeError, Trouble, Uplink

SILENT_S = 5.0
_MOST_ROUNDS = 2000  # in one message
_MOST_STEPS = 64  # messages handed over before receipts are looked at
_FILLED = 0.9  # of the largest message: sizes are estimates


class Session:
    """Sends what `lanes` says over an open `uplink`. `too_large` is told a number that fits into no message."""

    def __init__(
        self,
        *,
        uplink: Uplink,
        limits: Limits,
        lanes: Lanes,
        reader: Rounds,
        store: Queue,
        clock: Clock,
        message_size: MessageSize,
        too_large: Callable[[int, str], None],
    ) -> None:
        self._uplink = uplink
        self._limits = limits
        self._lanes = lanes
        self._reader = reader
        self._store = store
        self._clock = clock
        self._message_size = message_size
        self._too_large = too_large
        self._window = Window()
        self._sizes = RoundSize()
        self._progress = Progress(clock.monotonic())
        self._began_at = clock.monotonic()
        self.rounds_sent = 0

    def fill(self) -> bool:
        """Hands over what the window has room for; true when there may be more to do at once."""
        for _ in range(_MOST_STEPS):
            span = self._next()
            if span is None:
                return False
            self._send(span)
        return True

    def is_done(self) -> bool:
        """Whether nothing is left that could be sent or acknowledged now."""
        lanes = self._lanes
        return not lanes.flights and lanes.live(self._store.committed) is None and lanes.backlog() is None

    def has_room(self) -> bool:
        """Whether one more message may be under way."""
        return len(self._lanes.flights) < self._limits.in_flight

    def pump(self) -> Sequence[Receipt]:
        """The receipts that came. Raises LinkError when the link is over, or silent."""
        receipts = self._uplink.pump()
        still_s = self._progress.still_s(
            self._clock.monotonic(),
            unsent=self._uplink.unsent(),
            receipts=bool(receipts),
            waiting=bool(self._lanes.flights),
        )
        if still_s > SILENT_S:
            raise LinkError(Trouble.SILENT, f"{still_s:.1f} s")
        return receipts

    def accepted(self, tag: int) -> Flight | None:
        """Settles an acknowledged message, and lets the window learn from it."""
        flight = self._lanes.accepted(tag)
        if flight is None:
            return None
        self._message_size.acknowledged(flight.size)
        # Live data that fill a message are behind: small messages cost the processor more than the link.
        if flight.span.lane is Lane.BACKLOG or 2 * flight.size >= self._window.batch_bytes:
            self._window.acknowledged(flight.size, self._clock.monotonic() - flight.sent_at)
        return flight

    def lived_s(self) -> float:
        """How long ago it was connected."""
        return self._clock.monotonic() - self._began_at

    def hung_up(self) -> None:
        """The far end closed the connection: perhaps our messages are too large for it."""
        if self._lanes.flights:
            self._message_size.lost(max(flight.size for flight in self._lanes.flights.values()))

    def _next(self) -> Span | None:
        lanes = self._lanes
        if len(lanes.flights) >= self._limits.in_flight:
            return None
        live = lanes.live(self._store.committed)
        if live is not None:
            return live
        under_way = lanes.backlog_bytes()
        if under_way and under_way + self._window.batch_bytes > self._window.size:
            return None
        return lanes.backlog()

    def _send(self, span: Span) -> None:
        """Sends the beginning of `span`, as much as a message holds; what has no date is held, what is gone settled."""
        most = span.last - span.first + 1
        if span.lane is not Lane.PIECE:
            largest = int(self._limits.message_bytes * _FILLED)
            size = min(self._window.batch_bytes, largest, self._message_size.most)
            most = min(most, self._sizes.rounds_in(size), _MOST_ROUNDS)
        rows = self._reader.rounds(span.first, span.last, limit=most)
        if not rows:
            self._lanes.gone(span)
            return
        end = span.last if len(rows) < most else rows[-1].number
        undated = next((place for place, row in enumerate(rows) if row.at_ms is None), None)
        if undated == 0:
            dated = next((row.number for row in rows if row.at_ms is not None), end + 1)
            self._lanes.hold(span._replace(last=dated - 1))
            return
        if undated is not None:
            rows, end = rows[:undated], rows[undated].number - 1
        self._dispatch(span._replace(last=end), rows)

    def _dispatch(self, span: Span, rows: list[StoredRound]) -> None:
        """Hands the rows over in one message, or the first half, or a quarter … of them where it would be too large."""
        tag = self._lanes.new_tag()
        while True:
            try:
                size = self._uplink.send(Batch(rows, self._lanes.resent(rows)), tag)
            except TooLargeError as error:
                self._sizes.learn(len(rows), error.size)
                if len(rows) == 1:
                    self._lanes.gone(span)
                    self._too_large(rows[0].number, str(error))
                    return
                rows = rows[: len(rows) // 2]
                span = span._replace(last=rows[-1].number)
                continue
            self._sizes.learn(len(rows), size)
            self._progress.handed(size)
            self._lanes.sent(tag, span, size, self._clock.monotonic())
            self.rounds_sent += len(rows)
            return
