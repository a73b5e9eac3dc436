"""What the loop of a centre and its connections share. Nothing here acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.clock import Clock
from agent.faults import FaultCode, FaultSink
from agent.report.options import CentreOptions
from agent.retry import Backoff
from agent.store.outbox import Outbox
from agent.uplinks.dialogue import Dialogue, Moment
from agent.uplinks.reporting.addresses import Addresses
from agent.uplinks.reporting.commands import Commands
from agent.uplinks.reporting.pace import Pace


class Contents(Protocol):
    """Where the content of a report is read."""

    def body(self, tag: int) -> str | None:
        """The content as JSON; None where there is no such row."""
        ...

    def close(self) -> None:
        """Closes the connection."""
        ...


class Shelf(Protocol):
    """The store, as far as reports need it."""

    @property
    def outbox(self) -> Outbox:
        """The reports that wait."""
        ...

    @property
    def committed(self) -> int:
        """The highest number on disk."""
        ...

    def flush(self) -> bool:
        """Commits everything that waits; false when the disk refused."""
        ...

    def subscribe(self) -> int:
        """An eventfd written after each commit."""
        ...

    def unsubscribe(self, descriptor: int) -> None:
        """Closes it."""
        ...


@dataclass(slots=True, kw_only=True)
class Centre:
    """One centre as this station deals with it. Counts are reports since the agent began.

    `is_polled`: it has set that nothing is reported; what is composed meanwhile waits.
    """

    name: str
    options: CentreOptions
    make_dialogue: Callable[[], Dialogue]
    commands: Commands
    store: Shelf
    clock: Clock
    log: Any
    faults: FaultSink
    addresses: Addresses
    pace: Pace
    backoff: Backoff
    commits: int
    is_polled: Callable[[], bool]
    forbidden_s: float | None  # when the centre last ordered what is not carried out
    counts: dict[str, int] = field(default_factory=lambda: {"sent": 0, "acknowledged": 0, "parked": 0})
    partly: dict[int, int] = field(default_factory=dict)  # by report: its frames that were confirmed

    @property
    def place(self) -> str:
        """Where its faults are."""
        return f"uplink/{self.name}"

    @property
    def address(self) -> str:
        """The address in use."""
        host, port = self.addresses.now
        return f"{host}:{port}"

    def now(self) -> Moment:
        """The moment as dialogues take it."""
        at_ms = round(self.clock.now().timestamp() * 1000) if self.clock.synced else None
        return Moment(self.clock.monotonic(), at_ms)

    def proved(self) -> None:
        """The link is good."""
        self.addresses.proved()
        self.backoff.reset()
        self.faults.cleared(FaultCode.UPLINK_DOWN, self.place)
