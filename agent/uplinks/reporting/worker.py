"""The loop of one centre that takes composed reports: compose, connect, send, settle, answer. One thread each.

Strategy: a report is on disk before it is sent and leaves the outbox only by the centre's own acknowledgement, as its
dialogue understands it; whatever is in doubt when a connection ends is sent again with its serial number. What is live
goes first, what is late follows at its own pace. A centre that is dead, slow or hostile has its own thread, socket and
bounds: it costs the others nothing. Composing goes on while no connection stands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from agent import retry
from agent.clock import Clock, date_of
from agent.faults import FaultCode, FaultSink
from agent.report.options import CentreOptions
from agent.uplinks.contract import LinkError
from agent.uplinks.dialogue import Dialogue
from agent.uplinks.reporting.addresses import Addresses
from agent.uplinks.reporting.centre import Centre, Contents, Shelf
from agent.uplinks.reporting.commands import Commands
from agent.uplinks.reporting.composing import Composing, Rounds
from agent.uplinks.reporting.connection import CONNECT_S, Connection
from agent.uplinks.reporting.pace import Pace
from agent.uplinks.reporting.session import LOOK_S, Session

_PURGE_S = 3600.0
_PARKED_S = 5.0  # how often is looked whether something still is parked
_STEPS = 8  # of composing, before the connection is looked at again
_FORGIVEN_S = 3600.0  # COMMAND-FORBIDDEN ends so long after the last one


class ReportWorker:
    """Composes for and delivers to one centre. `run` may be called again after it raised."""

    def __init__(
        self,
        name: str,
        *,
        options: CentreOptions,
        jitter_ms: int,
        make_dialogue: Callable[[], Dialogue],
        composing: Composing,
        commands: Commands,
        rounds: Callable[[], Rounds],
        contents: Callable[[], Contents],
        store: Shelf,
        clock: Clock,
        log: Any,
        faults: FaultSink,
        keep_ms: int,
    ) -> None:
        """`keep_ms`: how long acknowledged reports stay; `jitter_ms`: this station's own delay behind a slot."""
        self.name = name
        self._composing = composing
        self._rounds = rounds
        self._contents = contents
        self._keep_ms = keep_ms
        self._centre = Centre(
            name=name,
            options=options,
            make_dialogue=make_dialogue,
            commands=commands,
            store=store,
            clock=clock,
            log=log.bind(uplink=name),
            faults=faults,
            addresses=Addresses(options.addresses),
            pace=Pace(every_ms=options.every_ms, jitter_ms=jitter_ms, backlog_per_min=options.backlog_per_min),
            backoff=retry.reconnecting(options.reconnect_max_ms / 1000),
            commits=store.subscribe(),
            forbidden_s=clock.monotonic(),  # perhaps: a Fault from before this start has to end, too
            is_polled=lambda: composing.is_polled,
        )
        self._state = "connecting"
        self._detail = ""
        self._purge_s = 0.0
        self._parked_s = 0.0
        self._was_polled: bool | None = None  # as was last told

    @property
    def every_ms(self) -> int:
        """How often a report goes, as configured or as the centre has set it."""
        return self._composing.every_ms

    def snapshot(self) -> dict[str, object]:
        """How it stands, for `status`; from any thread. Counts are reports since the agent began."""
        waiting = self._centre.store.outbox.waiting(self.name)
        oldest = min((each.slot_ms for each in waiting), default=None)
        return {
            "state": self._state,
            "backlog_rounds": len(waiting),
            "oldest": None if oldest is None else date_of(oldest).isoformat(),
            **self._centre.counts,
            **self._composing.counts,
            "detail": self._detail,
        }

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """The thread's body: composes and delivers until `stop`, then what is live, for at most 6 s."""
        rounds, contents = self._rounds(), self._contents()
        self._centre.commands.parameters()  # what the centre has set holds before it is reached
        try:
            while not stop.is_set():
                self._connect(rounds, contents, stop, beat)
        finally:
            contents.close()
            if stop.is_set():
                self._centre.store.unsubscribe(self._centre.commits)

    def _connect(self, rounds: Rounds, contents: Contents, stop: threading.Event, beat: Callable[[], None]) -> None:
        """One connection from its making to its end, and the wait behind it."""
        self._compose(rounds, beat)
        session: Session | None = None
        try:
            session = Session(self._centre, Connection(self._centre.addresses.now, CONNECT_S), contents)
            self._centre.log.info("uplink.connected", address=self._centre.address)
            self._state, self._detail = "connected", ""
            session.run(lambda: self._compose(rounds, beat), stop, beat)
        except LinkError as error:
            self._failed(error, session)
        finally:
            if session is not None:
                session.close()
        until_s = self._centre.clock.monotonic() + self._centre.backoff.next_s()
        while not stop.is_set() and (left_s := until_s - self._centre.clock.monotonic()) > 0:
            beat()
            self._compose(rounds, beat)
            self._centre.clock.wait(stop, min(left_s, LOOK_S))

    def _failed(self, error: LinkError, session: Session | None) -> None:
        is_proved = session is not None and session.is_proved
        self._state, self._detail = "connecting", f"{error.trouble} {error.detail}".rstrip()
        self._centre.log.info("uplink.lost" if session else "uplink.failed", trouble=error.trouble, detail=error.detail)
        if is_proved:
            return
        self._centre.faults.raised(
            FaultCode.UPLINK_DOWN,
            self._centre.place,
            trouble=error.trouble,
            detail=error.detail,
            address=self._centre.address,
        )
        self._centre.addresses.failed(self._centre.clock.monotonic())

    def _compose(self, rounds: Rounds, beat: Callable[[], None]) -> None:
        """Composes what is due, each piece on disk before the next; a disk that refuses stops it."""
        store = self._centre.store
        for _ in range(_STEPS):
            if not store.outbox.is_on_disk or not self._composing.step(rounds, store.committed):
                break
            if not store.outbox.is_on_disk:
                store.flush()
            beat()
        self._look(self._centre.clock.monotonic())

    def _look(self, now_s: float) -> None:
        """Now and then: lets go of what is old, ends faults that are over."""
        centre = self._centre
        if centre.clock.synced and now_s >= self._purge_s:
            self._purge_s = now_s + _PURGE_S
            centre.store.outbox.purge((centre.now().at_ms or 0) - self._keep_ms)
        if centre.forbidden_s is not None and now_s >= centre.forbidden_s + _FORGIVEN_S:
            centre.forbidden_s = None
            centre.faults.cleared(FaultCode.COMMAND_FORBIDDEN, centre.place)
        if self._composing.is_polled != self._was_polled:
            self._was_polled = self._composing.is_polled
            tell = centre.faults.raised if self._was_polled else centre.faults.cleared
            tell(FaultCode.UPLINK_POLLED, centre.place)
        if now_s >= self._parked_s:
            self._parked_s = now_s + _PARKED_S
            if not centre.store.outbox.has_parked(self.name):
                centre.faults.cleared(FaultCode.UPLINK_PARKED, centre.place)
