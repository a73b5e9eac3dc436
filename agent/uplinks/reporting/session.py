"""One connection to a centre: what its dialogue wants sent, what came of it. The worker's thread runs it."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable

from agent.faults import FaultCode
from agent.report.content import Content
from agent.retry import STABLE_S
from agent.store.outbox import Waiting
from agent.uplinks.contract import LinkError, Trouble
from agent.uplinks.dialogue import (
    Acknowledged,
    Asked,
    Delivery,
    Forbidden,
    Happening,
    Moment,
    Over,
    Partly,
    Refused,
    Step,
    Unanswered,
    Violation,
)
from agent.uplinks.reporting.centre import Centre, Contents
from agent.uplinks.reporting.connection import CONNECT_S, Connection

_MOST_VIOLATIONS = 1000  # on one connection; then it is closed
DRAIN_S = 6.0  # at a stop, for what is live
LOOK_S = 0.5  # how often stop and beat are looked at while nothing comes


class Session:
    """One connection: the dialogue, what was sent on it, what was said about it once."""

    def __init__(self, centre: Centre, connection: Connection, contents: Contents) -> None:
        self._centre = centre
        self._connection = connection
        self._contents = contents
        self._dialogue = centre.make_dialogue()
        self._began_s = centre.now().s
        self._sent: set[int] = set()
        self._said: set[str] = set()
        self._violations = 0
        self._look_s = 0.0  # before then no report becomes due, unless something happens
        self.is_proved = False

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def run(self, compose: Callable[[], None], stop: threading.Event, beat: Callable[[], None]) -> None:
        """Serves until the connection ends, or the stop's drain is done; composes meanwhile. Raises LinkError."""
        centre = self._centre
        waiting = select.poll()
        waiting.register(centre.commits, select.POLLIN)
        self._take(self._dialogue.opened(centre.now()))
        drained_s: float | None = None
        while True:
            beat()
            compose()
            now = centre.now()
            if stop.is_set():
                drained_s = drained_s or now.s + DRAIN_S
                if now.s >= drained_s or not self._has_live(now):
                    break
            self._fill(now)
            self._wait(waiting, now)
            data = self._connection.receive()
            if data:
                compose()  # an answer tells what is stored by now
                self._take(self._dialogue.receive(data, centre.now()))
            now = centre.now()
            if now.s >= self._dialogue.deadline_s:
                self._take(self._dialogue.tick(now))
                self._look_s = 0.0  # what waited for this may go
            self._prove_idle(now)
            self._try_main(now)
        self._take(self._dialogue.farewell(centre.now()))

    def _wait(self, waiting: select.poll, now: Moment) -> None:
        """Until bytes come, a commit, a deadline; never longer than a look."""
        flags = select.POLLIN | (select.POLLOUT if self._connection.wants_to_write else 0)
        waiting.register(self._connection.fileno(), flags)
        wait_s = min(LOOK_S, max(0.0, self._dialogue.deadline_s - now.s))
        waiting.poll(wait_s * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._centre.commits)
            self._look_s = 0.0
        self._connection.flush()

    def _has_live(self, now: Moment) -> bool:
        """Whether a report that may go now has not been settled."""
        if not self._dialogue.is_ready:
            return True
        return now.at_ms is not None and self._chosen(now) is not None

    def _chosen(self, now: Moment) -> Waiting | None:
        centre = self._centre
        assert now.at_ms is not None
        if centre.is_polled():
            return None
        rows = centre.store.outbox.waiting(centre.name)
        return centre.pace.choose(rows, now.s, now.at_ms, frozenset(self._sent))

    def _fill(self, now: Moment) -> None:
        """Sends the next report while the dialogue takes one."""
        centre = self._centre
        if now.s < self._look_s:
            return
        while now.at_ms is not None and self._dialogue.is_ready and (row := self._chosen(now)) is not None:
            content = self._content(row.tag)
            if content is None:
                continue
            centre.store.outbox.sent(row.tag)
            self._sent.add(row.tag)
            centre.pace.sent(row, now.s, now.at_ms)
            centre.counts["sent"] += 1
            centre.commands.count("sent")
            confirmed = centre.partly.get(row.tag, 0)
            delivery = Delivery(tag=row.tag, serial=row.serial, content=content, tries=row.tries, confirmed=confirmed)
            self._take(self._dialogue.send(delivery, now))
        self._look_s = now.s + LOOK_S

    def _content(self, tag: int) -> Content | None:
        """What a report says; None where it is no row (its slot was composed before), or cannot be read any more."""
        body = self._contents.body(tag)
        if body is None:
            self._centre.store.outbox.forget(tag)
            return None
        try:
            return Content.from_text(body)
        except (ValueError, KeyError, TypeError) as error:
            self._park(tag, f"unreadable: {error}")
            return None

    def _take(self, step: Step) -> None:
        """What the centre has confirmed counts, also where the connection turns out to be over. Raises LinkError."""
        confirmed = [each for each in step.happenings if isinstance(each, Acknowledged) and each.confirmed]
        for each in confirmed:
            self._settle(each)
        for data in step.data:
            self._connection.send(data)
        for happening in step.happenings:
            self._look_s = 0.0
            if happening not in confirmed:
                self._settle(happening)

    def _settle(self, happening: Happening) -> None:
        centre = self._centre
        match happening:
            case Acknowledged(tag=tag, confirmed=confirmed):
                self._accepted(tag, is_confirmed=confirmed)
            case Partly(tag=tag, frames=frames):
                centre.partly[tag] = frames
            case Refused(tag=tag, reason=reason):
                self._park(tag, reason)
            case Asked():
                centre.commands.count("received")
                result = centre.commands.carry_out(happening)
                self._take(self._dialogue.answer(happening.token, result, centre.now()))
            case Forbidden():
                centre.forbidden_s = centre.now().s
                centre.commands.forbidden(happening)
            case Violation(code=code, detail=detail, is_fatal=is_fatal):
                self._violated(code, detail, is_fatal=is_fatal)
            case Unanswered():
                centre.commands.count("send_error")
                raise LinkError(Trouble.SILENT, "no acknowledgement")
            case Over(reason=reason):
                raise LinkError(Trouble.SILENT, reason)

    def _violated(self, code: str, detail: str, *, is_fatal: bool) -> None:
        """A rule was broken: said once per connection; too often, or beyond bearing: its end. Raises LinkError."""
        self._violations += 1
        if code not in self._said:
            self._said.add(code)
            self._centre.log.warning("uplink.violated", code=code, detail=detail)
        if is_fatal or self._violations >= _MOST_VIOLATIONS:
            raise LinkError(Trouble.PROTOCOL_REFUSED, f"{code} {detail}")

    def _park(self, tag: int, reason: str) -> None:
        """It can never go as it is."""
        centre = self._centre
        centre.counts["parked"] += 1
        centre.partly.pop(tag, None)
        centre.store.outbox.parked(tag, reason)
        centre.log.error("delivery.parked", number=tag, reason=reason)
        centre.faults.raised(FaultCode.UPLINK_PARKED, centre.place, number=tag, reason=reason)

    def _accepted(self, tag: int, *, is_confirmed: bool) -> None:
        centre = self._centre
        at_ms = centre.now().at_ms
        centre.store.outbox.accepted(tag, at_ms or 0)
        centre.counts["acknowledged"] += 1
        centre.partly.pop(tag, None)
        centre.log.debug("delivery.accepted", number=tag, confirmed=is_confirmed)
        if not self.is_proved:
            self.is_proved = True
            centre.proved()

    def _prove_idle(self, now: Moment) -> None:
        """A link with nothing to send on it is good when it has lived for a while."""
        if not self.is_proved and not self._sent and now.s >= self._began_s + STABLE_S:
            self.is_proved = True
            self._centre.proved()

    def _try_main(self, now: Moment) -> None:
        """From the backup: whether the main address takes connections again; then this one is left for it."""
        centre = self._centre
        addresses = centre.addresses
        if not self._dialogue.is_ready or not addresses.wants_main(now.s):
            return
        try:
            Connection(addresses.main, CONNECT_S).close()
        except LinkError:
            addresses.tried_main(now.s, works=False)
            return
        addresses.tried_main(now.s, works=True)
        self.is_proved = True
        self._take(self._dialogue.farewell(now))
        raise LinkError(Trouble.CLOSED, "back to the main address")
