"""A station whose time is moved by hand: the daemon's parts for uplinks, real sockets and files, months in seconds.

Between two steps every thread is given the time to do what is due; a dialogue's time-outs pass only when time is moved.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import pytest

from agent.bookkeeping import open_books
from agent.clock import date_of
from agent.config import load
from agent.model import Layout, Round
from agent.outgoing import Outgoing
from agent.settings import Config
from agent.store.store import Store
from agent.supervise import Supervisor
from agent.uplinks.registry import CENTRES, settings_models
from drivers.registry import DRIVERS
from tests.fakes import BOOT_ID, QuietLog

CHINA = timezone(timedelta(hours=8))
HOUR_MS = 3_600_000
STATION = """
station: {{id: pumphouse-12, timezone: Asia/Shanghai}}
store: {{path: "{path}"}}
clock: {{trust: host}}
lines:
  lan: {{tcp: "127.0.0.1:15502"}}
meters:
  main-flow: {{line: lan, profile: tuf2000, address: "1", poll: {poll}}}
intakes:
  well-3: {{code: "4302810001", source: ground, water: {{meter: main-flow}}}}
uplinks:
"""


class SteppedClock:
    """Stands still but for `advance`; a wait in a thread lasts some real milliseconds."""

    def __init__(self, start: datetime, *, synced: bool = True) -> None:
        self.boot_id = BOOT_ID
        self.synced = synced
        self._boot_s = 100.0
        self.offset_ms = round(start.timestamp() * 1000) - 100_000

    @property
    def source(self) -> str:
        return "host" if self.synced else "unset"

    def monotonic(self) -> float:
        return self._boot_s

    def boot_ms(self, monotonic_s: float | None = None) -> int:
        return round(1000 * (self._boot_s if monotonic_s is None else monotonic_s))

    def now(self) -> datetime:
        return date_of(self.boot_ms() + self.offset_ms)

    def local(self) -> datetime:
        return self.now().astimezone(CHINA)

    def advance(self, seconds: float) -> None:
        self._boot_s += seconds

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        return stop.wait(min(0.005, max(0.0, seconds)))

    def pause(self, seconds: float) -> None:
        time.sleep(0.001)


class SteppedStation:
    """Store, books and uplinks of one station. `uplinks` is the text of that section."""

    def __init__(
        self, directory: Path, uplinks: str, *, clock: SteppedClock, poll: str = "30m", patch: pytest.MonkeyPatch
    ) -> None:
        patch.setattr("agent.uplinks.reporting.session.LOOK_S", 0.005)
        patch.setattr("agent.uplinks.reporting.session.DRAIN_S", 0.0)  # time stands still while it stops
        self.directory = directory
        self.poll = poll
        self.clock = clock
        self.log = cast("Any", QuietLog())
        self.config = self.loaded(uplinks)
        path = Path(self.config.store.path)
        self.store = Store(path, clock=self.clock, log=self.log, keep_s=1e8, max_bytes=1 << 32, free_bytes=0)
        self.store.open()
        self.store.date_boot(self.clock.offset_ms, "host")
        open_books(self.store, self.config)
        self.supervisor = Supervisor(clock=self.clock, faults=self.store.faults, log=self.log)
        self.outgoing = Outgoing(
            store=self.store, supervisor=self.supervisor, clock=self.clock, log=self.log, orders=self
        )
        self.total_m3 = Decimal(1000)
        self.told_clock: list[tuple[int, str]] = []
        self.restarts = 0
        meter = self.config.meters["main-flow"]
        self.layout = Layout(
            meter="main-flow", profile="tuf2000", version="0", protocol="modbus", address="1",
            quantities=("volume_forward", "flow_rate", "status"), flags=("empty_pipe", "battery_low"),
            period_ms=meter.poll_ms, requests=(b"\1",),
        )  # fmt: skip
        self.store.flush()

    def loaded(self, uplinks: str) -> Config:
        text = STATION.format(path=self.directory / "qushui.db", poll=self.poll) + uplinks
        return load(Path("agent.yaml"), drivers=DRIVERS, uplink_settings=settings_models(), text=text)

    def set_clock(self, at_ms: int, source: str) -> None:
        self.told_clock.append((at_ms, source))

    def ask_restart(self) -> bool:
        self.restarts += 1
        return True

    def __enter__(self) -> Self:
        self.outgoing.make(self.config)
        self.outgoing.start()
        centres = [name for name, each in self.config.uplinks.items() if each.type in CENTRES]
        self.until(lambda: self.store.outbox.names().issuperset(centres), "the centres' slots have begun")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outgoing.stop()
        self.store.close()

    @property
    def now_ms(self) -> int:
        return self.clock.boot_ms() + self.clock.offset_ms

    def read(self, *, water_m3: str = "2.5", flow_m3h: str | None = "5", flags: frozenset[str] = frozenset()) -> None:
        """The meter is read now; so much water has passed since."""
        self.total_m3 += Decimal(water_m3)
        flow = None if flow_m3h is None else Decimal(flow_m3h)
        quality = {} if flow is not None else {"flow_rate": ("NO_REPLY",)}
        values = (self.total_m3, flow, flags)
        self.store.append(
            Round(layout=self.layout, boot_ms=self.clock.boot_ms(), values=values, quality=quality, raw=(b"\2",))
        )
        assert self.store.flush()

    def until(self, condition: Callable[[], bool], what: str, *, within_s: float = 10.0) -> None:
        """Gives the threads real time until `condition`, while the station's time stands still."""
        end = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"not within {within_s:g} s: {what}; {self.outgoing.snapshot()}")
            time.sleep(0.001)

    def is_quiet(self, *names: str) -> bool:
        """Whether these uplinks owe nothing."""
        return all(each["backlog_rounds"] == 0 for each in self._snapshots(*names))

    def is_connected(self, *names: str) -> bool:
        """Whether these uplinks have a connection."""
        return all(each["state"] == "connected" for each in self._snapshots(*names))

    def _snapshots(self, *names: str) -> list[dict[str, object]]:
        workers = self.outgoing._workers  # without the rates, which cost a query
        return [workers[name].snapshot() for name in names]

    def composed(self, name: str) -> datetime:
        """The last slot that was composed."""
        found = self.store.outbox.composed(name)
        assert found is not None
        return date_of(found.slot_ms).astimezone(CHINA)
