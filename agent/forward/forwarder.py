"""The loop of one uplink: connect, send live and backlog, settle, keep the cursor. One thread each.

Strategy: a Forwarder owns everything that has to do with time (deadlines, window, waits) and with numbers (`Lanes`);
the uplink owns the wire. It waits on two descriptors, the uplink's and the store's (written after each commit), so a
round leaves as soon as it is on disk. A round counts as delivered only by the platform's own receipt; whatever is in
doubt when a link ends, when a thread is restarted or when power fails is still owed and sent again under the same id.
The cursor rides on the store's next commit, at most once a second: to lose one repeats, it never loses.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Sequence
from typing import Any

from agent import retry
from agent.clock import Clock, date_of
from agent.faults import FaultCode, FaultSink
from agent.forward.lanes import Lanes
from agent.forward.session import Session
from agent.forward.sources import DeliverySettings, Queue, Rounds
from agent.forward.window import MessageSize
from agent.model import Outcome, Receipt
from agent.store import cursors
from agent.uplinks.contract import MESSAGE_TROUBLES, REFUSALS, LinkError, TakesHeads, Trouble, Uplink

HANDSHAKE_S = 3.0
DRAIN_S = 7.0  # at a stop, for what is owed; with the farewell this stays below 8 s
FAREWELL_S = 0.8
_LOOK_S = 0.25  # how often stop, deadlines and keepalive are looked at while nothing comes
_CURSOR_S = 1.0
_HELD_S = 5.0  # how often undated and parked rounds are looked at again
_SUMMARY_S = 3600.0


class Forwarder:
    """Delivers every committed round to one uplink. Make it after `store.open()`, before the lines start.

    What is on disk by then counts as possibly delivered (`resent`). `run` may be called again after it raised.
    """

    def __init__(
        self,
        name: str,
        *,
        uplink: Uplink,
        reader_factory: Callable[[], Rounds],
        store: Queue,
        clock: Clock,
        log: Any,
        faults: FaultSink,
        settings: DeliverySettings,
    ) -> None:
        self.name = name
        self._uplink = uplink
        self._reader_factory = reader_factory
        self._store = store
        self._clock = clock
        self._log = log.bind(uplink=name)
        self._faults = faults
        self._place = f"uplink/{name}"
        self._lanes = Lanes(store.begin_cursor(name), store.committed)
        self._message_size = MessageSize()
        self._commits = store.subscribe()
        self._backoff = retry.reconnecting(settings.reconnect_max_ms / 1000)
        self._refusals = retry.refused(settings.reconnect_max_ms / 1000)
        self._refused_until = 0.0
        self._refused_at: float | None = None  # when a message was refused, until one is accepted
        self._drain_until: float | None = None
        self._has_parked = True  # perhaps, from before this start
        self._due = {"cursor": 0.0, "held": 0.0, "summary": clock.monotonic() + _SUMMARY_S}
        self._state = "connecting"
        self._detail = ""
        self._head: str | None = None  # handed over on this connection
        self._head_tag: int | None = None  # of its message, until its receipt
        self._is_proved = False  # whether the present connection has shown that it works
        self._oldest: tuple[int, str] | None = None  # a number and its date
        self._counts = {"sent": 0, "acknowledged": 0, "parked": 0}

    def snapshot(self) -> dict[str, object]:
        """How it stands, for `status`; from any thread. `oldest`: the UTC date of the oldest round owed, or null.

        `sent`, `acknowledged` and `parked` are rounds since the agent began.
        """
        oldest = self._oldest
        return {
            "state": self._state,
            "backlog_rounds": cursors.count(self._lanes.owed, self._store.committed),
            "oldest": oldest and oldest[1],
            **self._counts,
            "detail": self._detail,
        }

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """The thread's body: delivers until `stop`, then what is still owed, for at most 8 s.

        A kill or a power cut at any moment costs no round: what the platform acknowledged after the last kept cursor
        is sent again.
        """
        reader = self._reader_factory()
        try:
            while not stop.is_set():
                self._connection(reader, stop, beat)
                self._pause(reader, stop, beat)
            if self._drain_until is None and cursors.count(self._lanes.owed, self._store.committed):
                self._connection(reader, stop, beat)
        finally:
            self._uplink.close()
            self._lanes.amend(self._store.keep_cursor(self.name, self._lanes.owed))
            reader.close()
            if stop.is_set():  # else a restart of this thread goes on with it
                self._store.unsubscribe(self._commits)

    # one connection

    def _connection(self, reader: Rounds, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Connects and serves until the link ends or the stop's draining is done; says why in log and faults."""
        session: Session | None = None
        try:
            limits = self._uplink.open(HANDSHAKE_S)
            self._lanes.connected(self._store.committed)
            session = Session(
                uplink=self._uplink,
                limits=limits,
                lanes=self._lanes,
                reader=reader,
                store=self._store,
                clock=self._clock,
                message_size=self._message_size,
                too_large=lambda number, detail: self._park(number, f"{Trouble.TOO_LARGE} {detail}"),
            )
            self._connected()
            self._serve(session, reader, stop, beat)
        except LinkError as error:
            self._uplink.close()
            self._failed(error, session)
        else:
            self._uplink.close(FAREWELL_S)

    def _serve(self, session: Session, reader: Rounds, stop: threading.Event, beat: Callable[[], None]) -> None:
        waiting = select.poll()
        waiting.register(self._uplink.fileno(), select.POLLIN)
        waiting.register(self._commits, select.POLLIN)
        while not self._is_drained(session, stop):
            beat()
            now = self._clock.monotonic()
            more = now >= self._refused_until and session.fill()
            self._counts["sent"] += session.rounds_sent
            session.rounds_sent = 0
            waiting.poll(0 if more else _LOOK_S * 1000)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._commits)
            for receipt in session.pump():
                if receipt.tag == self._head_tag:
                    self._settle_head(receipt)
                else:
                    self._settle(session, receipt)
            self._tell_head(session)
            if not self._is_proved and session.lived_s() >= retry.STABLE_S:
                self._prove()
            self._keep(reader)

    def _tell_head(self, session: Session) -> None:
        """Hands over the newest head, once per connection and whenever there is a newer one."""
        head = self._store.head
        if head is None or head == self._head or not session.has_room():
            return
        self._head = head
        if isinstance(self._uplink, TakesHeads) and self._uplink.takes_heads:
            self._head_tag = self._lanes.new_tag()
            self._uplink.send_head(head, self._head_tag)

    def _settle_head(self, receipt: Receipt) -> None:
        """A head that is refused holds up no reading: it is tried again with the next connection, or the next head."""
        self._head_tag = None
        if receipt.outcome is Outcome.ACCEPTED:
            self._log.info("head.acknowledged")
        else:
            self._log.warning("head.refused", reason=receipt.reason)

    def _is_drained(self, session: Session, stop: threading.Event) -> bool:
        """Whether to end after a stop: everything delivered, no time left for it, or nothing taken just now."""
        if not stop.is_set():
            return False
        now = self._clock.monotonic()
        if self._drain_until is None:
            self._drain_until = now + DRAIN_S
        return now >= self._drain_until or self._refused_at is not None or session.is_done()

    def _settle(self, session: Session, receipt: Receipt) -> None:
        match receipt.outcome:
            case Outcome.ACCEPTED:
                flight = session.accepted(receipt.tag)
                if flight is None:
                    return
                self._counts["acknowledged"] += flight.span.last - flight.span.first + 1
                self._log.debug("delivery.accepted", first=flight.span.first, last=flight.span.last, bytes=flight.size)
                if not self._is_proved:
                    self._prove()
                if self._refused_at is not None and flight.sent_at >= self._refused_at:
                    self._welcome()
            case Outcome.RETRY:
                self._lanes.again(receipt.tag)
                self._refused(receipt.reason)
            case Outcome.REJECTED:
                self._log.warning("delivery.rejected", reason=receipt.reason)
                number = self._lanes.rejected(receipt.tag)
                if number is not None:
                    self._park(number, receipt.reason)

    def _refused(self, reason: str) -> None:
        """A refusal that concerns us: nothing more is sent for a while; refusals of what was under way count once."""
        now = self._clock.monotonic()
        if now < self._refused_until:
            return
        wait_s = self._refusals.next_s()
        self._refused_until = now + wait_s
        self._refused_at = now
        self._state, self._detail = "refused", reason
        self._log.warning("delivery.refused", reason=reason, wait_s=round(wait_s, 1))
        trouble, _, detail = reason.partition(" ")
        self._fault(FaultCode.UPLINK_REFUSED, trouble, detail)

    def _welcome(self) -> None:
        """The platform takes what it gets (again)."""
        self._refused_at = None
        self._refused_until = 0.0
        self._refusals.reset()
        self._state, self._detail = "connected", ""
        self._faults.cleared(FaultCode.UPLINK_REFUSED, self._place)

    def _park(self, number: int, reason: str) -> None:
        self._counts["parked"] += 1
        self._has_parked = True
        self._store.park(self.name, number, reason)
        self._log.error("delivery.parked", number=number, reason=reason)
        self._faults.raised(FaultCode.UPLINK_PARKED, self._place, number=number, reason=reason)

    # between connections

    def _connected(self) -> None:
        """Connected is not yet well: what is wrong shows with the first receipt, or with its absence."""
        self._log.info("uplink.connected", address=self._uplink.address)
        self._head = self._head_tag = None
        self._is_proved = False
        if self._refused_at is None:
            self._state, self._detail = "connected", ""
        else:
            self._state = "refused"

    def _prove(self) -> None:
        """The link is good: a message was acknowledged on it, or it has lived for long."""
        self._is_proved = True
        self._faults.cleared(FaultCode.UPLINK_DOWN, self._place)
        if self._refused_at is None:
            self._welcome()

    def _failed(self, error: LinkError, session: Session | None) -> None:
        """Takes back what was under way and says what happened; a good link that is lost is no fault yet."""
        is_proved = session is not None and self._is_proved
        if session is None:
            self._log.info("uplink.failed", trouble=error.trouble, detail=error.detail)
        else:
            lived_s = session.lived_s()
            if lived_s >= retry.STABLE_S:
                self._backoff.reset()
            self._log.info("uplink.lost", trouble=error.trouble, detail=error.detail, lived_s=round(lived_s, 1))
            if error.trouble is Trouble.CLOSED:
                session.hung_up()
            number = self._lanes.lost(over_a_message=error.trouble in MESSAGE_TROUBLES)
            if number is not None:
                self._park(number, f"{error.trouble} {error.detail}".rstrip())
        self._detail = f"{error.trouble} {error.detail}".rstrip()
        if error.trouble in REFUSALS:
            self._state = "refused"
            self._fault(FaultCode.UPLINK_REFUSED, error.trouble, error.detail)
        else:
            self._state = "connecting"
            if not is_proved:
                self._fault(FaultCode.UPLINK_DOWN, error.trouble, error.detail)

    def _fault(self, code: FaultCode, trouble: str, detail: str) -> None:
        self._faults.raised(code, self._place, trouble=trouble, detail=detail, address=self._uplink.address)

    def _pause(self, reader: Rounds, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Waits before the next attempt; a stop ends it."""
        until = self._clock.monotonic() + self._backoff.next_s()
        while not stop.is_set() and (left_s := until - self._clock.monotonic()) > 0:
            beat()
            self._keep(reader)
            self._clock.wait(stop, min(left_s, _CURSOR_S))

    # now and then

    def _keep(self, reader: Rounds) -> None:
        """Keeps the cursor each second, looks at held and parked rounds each 5 s, sums up each hour."""
        now = self._clock.monotonic()
        if self._is_due("cursor", now, _CURSOR_S):
            self._lanes.amend(self._store.keep_cursor(self.name, self._lanes.owed))
            self._find_oldest(reader)
        if self._is_due("held", now, _HELD_S):
            for first, last in tuple(self._lanes.held):
                ends: Sequence[int] = (first, first if last is None else last)
                if last is not None and any(_is_dated(reader, number) for number in ends):
                    self._lanes.release(first, last)
            self._look_at_parked()
        if self._is_due("summary", now, _SUMMARY_S):
            self._log.info("delivery.summarised", **self.snapshot())

    def _look_at_parked(self) -> None:
        """Ends the Fault when nothing is parked any more."""
        is_parked = self._store.has_parked(self.name)
        if self._has_parked and not is_parked:
            self._faults.cleared(FaultCode.UPLINK_PARKED, self._place)
        self._has_parked = is_parked

    def _is_due(self, what: str, now: float, every_s: float) -> bool:
        if now < self._due[what]:
            return False
        self._due[what] = now + every_s
        return True

    def _find_oldest(self, reader: Rounds) -> None:
        first = self._lanes.owed[0][0] if self._lanes.owed else 0
        if not first or first > self._store.committed:
            self._oldest = None
        elif self._oldest is None or self._oldest[0] != first:
            at_ms = next((row.at_ms for row in reader.rounds(first, self._store.committed, limit=1)), None)
            self._oldest = None if at_ms is None else (first, date_of(at_ms).isoformat())


def _is_dated(reader: Rounds, number: int) -> bool:
    return any(row.at_ms is not None for row in reader.rounds(number, number, limit=1))
