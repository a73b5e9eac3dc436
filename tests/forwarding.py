"""A real store and a real forwarder in threads of their own, for tests of delivery; and stand-ins with a will."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from agent.clock import Clock, SystemClock
from agent.forward.forwarder import Forwarder
from agent.model import Layout, Outcome, Ranges, Receipt, Round, StoredRound
from agent.settings import Station
from agent.store import cursors
from agent.store.reader import Reader
from agent.store.store import Store
from agent.uplinks.contract import Batch, Limits, LinkError, TooLargeError, Trouble, Uplink
from agent.uplinks.mqtt.settings import MqttSettings
from agent.uplinks.mqtt.uplink import MqttUplink
from tests.fakes import KeptFaults, QuietLog

STATION = Station(id="pumphouse-12", name="三号泵房", timezone="Asia/Shanghai", day_start=clock_time(0))
LAYOUT = Layout(
    meter="main-flow",
    profile="test",
    version="00000000",
    protocol="modbus",
    address="1",
    quantities=("volume_forward", "flow_rate", "status"),
    flags=("empty_pipe", "no_signal"),
    period_ms=60_000,
    requests=(b"\1\3",),
)


def until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(0.01)


class Rig:
    """Store and forwarder of one station. `with` starts the store; `start` the forwarder, which `stop` drains."""

    def __init__(self, directory: Path, port: int, *, clock: Clock | None = None, **settings: Any) -> None:
        self.path = directory / "qushui.db"
        self.clock = clock or SystemClock("host")
        self.log = QuietLog()
        self.faults = KeptFaults()
        settings = {"url": f"mqtt://127.0.0.1:{port}", "reconnect_max": "1s", **settings}
        self.settings = MqttSettings(type="mqtt", **settings).options()
        self._count = 0
        self._stop_store = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.errors: list[BaseException] = []
        self._open()

    def _open(self) -> None:
        self.store = Store(self.path, clock=self.clock, log=self.log, keep_s=1e8, max_bytes=1 << 32, free_bytes=0)
        self.store.open()
        if self.clock.synced:
            self.store.date_boot(self.clock.offset_ms, "host")
        self.forwarder = Forwarder(
            "cloud",
            uplink=self.uplink(),
            reader_factory=lambda: Reader(self.path),
            store=self.store,
            clock=self.clock,
            log=self.log,
            faults=self.faults,
            settings=self.settings,
        )

    def uplink(self) -> Uplink:
        return MqttUplink("cloud", settings=self.settings, station=STATION, clock=self.clock)

    def __enter__(self) -> Self:
        self._run(self.store.run, self._stop_store)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._stop_store.set()
        self._join()
        self.store.close()
        assert not self.errors

    def start(self) -> Self:
        self._run(self.forwarder.run, self._stop)
        return self

    def stop(self) -> None:
        """As the daemon does: the store's last commit, then the forwarder's drain."""
        until(lambda: self.store.committed >= self._count, 10, "all committed")
        self._stop.set()
        for thread in self._threads[1:]:
            thread.join(15)
            assert not thread.is_alive()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(15)

    def _run(self, body: Callable[..., None], stop: threading.Event) -> None:
        def guarded() -> None:
            try:
                body(stop, lambda: None)
            except BaseException as error:  # shown when the rig ends
                self.errors.append(error)
                raise

        thread = threading.Thread(target=guarded)
        self._threads.append(thread)
        thread.start()

    def add(self, rounds: int, *, layout: Layout = LAYOUT, **quality: tuple[str, ...]) -> None:
        """So many rounds are polled; the first value is the round's number."""
        for _ in range(rounds):
            values = (Decimal(self._count + 1), *((None if quality else Decimal("1.50"),) * 1), frozenset[str]())
            self._count = self.store.append(
                Round(layout=layout, boot_ms=self.clock.boot_ms(), values=values, quality=quality, raw=(b"",))
            )

    def delivered(self, within_s: float = 10.0) -> None:
        """Waits until nothing is owed."""
        until(
            lambda: self.store.committed >= self._count and not self.forwarder.snapshot()["backlog_rounds"],
            within_s,
            f"all delivered: {self.forwarder.snapshot()}",
        )

    def ids(self) -> set[str]:
        """Every id that was committed."""
        reader = Reader(self.path)
        try:
            return {each.id for each in reader.rounds(1, self.store.committed, limit=10**9)}
        finally:
            reader.close()

    def trouble(self, within_s: float = 10.0) -> dict[str, object]:
        """The evidence of the first fault there is."""
        until(lambda: bool(self.faults.open), within_s, "a fault")
        (found,) = self.faults.open.values()
        return found


def stored(number: int, *, at_ms: int | None = 1_790_000_000_000, layout: Layout = LAYOUT) -> StoredRound:
    """A round as the store would give it back."""
    return StoredRound(number, f"9f3c2a71-{number}", layout, at_ms, (str(number), "1.50", "0"), None)


@dataclass
class MemoryStore:
    """The store's uplink side in memory: rounds by number, commits by hand."""

    rows: dict[int, StoredRound] = field(default_factory=dict)
    committed: int = 0
    head: str | None = None
    kept: Ranges = ((1, None),)
    listed: dict[int, str] = field(default_factory=dict)
    event: int = field(default_factory=lambda: os.eventfd(0, os.EFD_NONBLOCK))
    reads: int = 0

    def add(self, rounds: int, *, at_ms: int | None = 1_790_000_000_000) -> None:
        for number in range(self.committed + 1, self.committed + rounds + 1):
            self.rows[number] = stored(number, at_ms=at_ms)
        self.committed += rounds
        os.eventfd_write(self.event, 1)

    def date(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            self.rows[number] = stored(number)

    def subscribe(self) -> int:
        return self.event

    def unsubscribe(self, descriptor: int) -> None:
        """The test closes it."""

    def begin_cursor(self, uplink: str) -> Ranges:
        return self.kept

    def keep_cursor(self, uplink: str, ranges: Ranges) -> Ranges:
        self.kept = ranges
        return ranges

    def park(self, uplink: str, number: int, reason: str) -> None:
        self.listed[number] = reason

    def has_parked(self, uplink: str) -> bool:
        return bool(self.listed)

    def rounds(self, first: int, last: int, *, limit: int) -> list[StoredRound]:
        self.reads += 1
        found = [self.rows[number] for number in range(first, min(last, self.committed) + 1) if number in self.rows]
        return found[:limit]

    def owed(self) -> int:
        return cursors.count(self.kept, self.committed)

    def close(self) -> None:
        pass


class ScriptedUplink:
    """A platform without a wire. `judge` decides on each message: an outcome, a LinkError to raise, None: silence."""

    address = "test://platform"

    def __init__(self, judge: Callable[[Batch], Outcome | LinkError | None], *, limits: Limits | None = None) -> None:
        self.judge = judge
        self.limits = limits or Limits(message_bytes=60_000, in_flight=1000)
        self.refusals: deque[LinkError] = deque()  # of the next attempts to open
        self.sent: list[Batch] = []
        self.accepted: list[int] = []
        self.opened = 0
        self.farewells = 0
        self.most_in_flight = 0
        self.waiting = 0  # bytes that have not left
        self._open = 0
        self._events: deque[Receipt | LinkError] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK)

    def open(self, timeout_s: float) -> Limits:
        if self.refusals:
            raise self.refusals.popleft()
        self.opened += 1
        self._events.clear()
        self._open = 0
        return self.limits

    def send(self, batch: Batch, tag: int) -> int:
        size = 200 * len(batch.rounds)
        if size > self.limits.message_bytes:
            raise TooLargeError(size, self.limits.message_bytes)
        self.sent.append(batch)
        self._open += 1
        self.most_in_flight = max(self.most_in_flight, self._open)
        verdict = self.judge(batch)
        if isinstance(verdict, Outcome):
            self._events.append(Receipt(tag=tag, outcome=verdict, reason="" if verdict is Outcome.ACCEPTED else "WHY"))
            if verdict is Outcome.ACCEPTED:
                self.accepted += [each.number for each in batch.rounds]
        elif verdict is not None:
            self._events.append(verdict)
        os.eventfd_write(self._event, 1)
        return size

    def fileno(self) -> int:
        return self._event

    def pump(self) -> Sequence[Receipt]:
        receipts: list[Receipt] = []
        while self._events:
            event = self._events[0]
            if isinstance(event, LinkError):
                if not receipts:
                    self._events.clear()
                    raise event
                break
            receipts.append(event)
            self._events.popleft()
        self._open -= len(receipts)
        return receipts

    def unsent(self) -> int:
        return self.waiting

    def close(self, farewell_s: float = 0.0) -> None:
        self.farewells += farewell_s > 0


def lost(trouble: Trouble = Trouble.CLOSED) -> LinkError:
    return LinkError(trouble, "as scripted")
