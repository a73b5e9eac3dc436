"""A whole station: its files, and the processes around it: simulated meters, a broker, a collector, the daemon.

Used by `tests/system` and by `bench`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import yaml

from agent.model import StoredRound
from agent.quantities import QUANTITIES, STATUS
from agent.store.reader import Reader
from tests.ports import free_port
from tests.system.delivery import Delivery, compare
from tests.system.processes import Broker, Collector, Daemon, Meters, Process, Served, listens, until

BULK = os.environ.get("QUSHUI_BULK", "0") not in {"", "0"}  # `make bulk`: the full lengths

# One u16 register per quantity; counters last, so that a test that counts nothing else has none.
PLAIN = tuple(name for name, quantity in QUANTITIES.items() if not quantity.counter and name != STATUS)
COUNTERS = tuple(name for name, quantity in QUANTITIES.items() if quantity.counter)
TWENTY = (*PLAIN, *COUNTERS)[:20]

_P = TypeVar("_P", bound=Process)


@dataclass
class Site:
    """The files of one station and the processes around it. A context manager: leaves nothing running."""

    directory: Path
    poll: str = "1s"
    trust: str = "host"
    reconnect_max: str = "1s"
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    far_lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    meters: dict[str, dict[str, Any]] = field(default_factory=dict)
    far_meters: dict[str, dict[str, Any]] = field(default_factory=dict)
    intakes: dict[str, dict[str, Any]] = field(default_factory=dict)
    uplinks: dict[str, dict[str, Any]] = field(default_factory=dict)
    store_settings: dict[str, Any] = field(default_factory=dict)
    registers: dict[str, dict[str, int]] = field(default_factory=dict)
    broker_port: int = field(default_factory=free_port)
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.directory / "profiles").mkdir(parents=True, exist_ok=True)
        (self.directory / "state").mkdir(exist_ok=True)
        self.uplink(self.broker_port)

    # -- describing ------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        return self.directory / "agent.yaml"

    @property
    def database(self) -> Path:
        return self.directory / "state" / "qushui.db"

    def uplink(self, port: int, **settings: Any) -> None:
        """Where the daemon publishes: the broker itself, or a proxy in front of it."""
        url = f"mqtt://127.0.0.1:{port}"
        self.uplinks["cloud"] = {"type": "mqtt", "url": url, "reconnect_max": self.reconnect_max, **settings}

    def serial(self, name: str, *, baud: int = 9600, **far: Any) -> None:
        """A paced RTU bus on a pseudo-terminal; `far` goes to the simulator (latency, strict, usb_timer)."""
        path = str(self.directory / name)
        self.lines[name] = {"port": path, "baud": baud, "parity": "none"}
        self.far_lines[name] = {"pty": path, "framing": "rtu", "baud": baud, "parity": "none", **far}

    def tcp(self, name: str, *, port: int | None = None, **far: Any) -> None:
        """A Modbus TCP endpoint."""
        place = f"127.0.0.1:{port or free_port()}"
        self.lines[name] = {"tcp": place}
        self.far_lines[name] = {"tcp": place, "framing": "tcp", **far}

    def profile(self, name: str, registers: Mapping[str, int], **more: Any) -> None:
        """A profile of one u16 holding register per quantity."""
        items = [
            {"quantity": q, "table": "holding", "register": r, "type": "u16", "missing": []}
            for q, r in registers.items()
        ]
        document = {
            "profile": name,
            "title": {"zh": name, "en": name},
            "source": "bench and system tests",
            "protocol": "modbus",
            "line": {"baud": 9600, "parity": "none"},
            "items": items,
            **more,
        }
        self.registers[name] = dict(registers)
        self._write(self.directory / "profiles" / f"{name}.yaml", document)

    def meter(self, name: str, line: str, profile: str, address: int = 1, *, poll: str = "", **far: Any) -> None:
        """A meter on both ends; `far` goes to the simulator (values, mischief)."""
        both = {"line": line, "profile": profile, "address": str(address)}
        self.meters[name] = {**both, "poll": poll or self.poll}
        self.far_meters[name] = {**both, **far}

    def write(self) -> None:
        """Writes agent.yaml and meters.yaml."""
        document = {
            "station": {"id": "bench-1", "name": "试验站", "timezone": "Asia/Shanghai"},
            "store": {"path": str(self.database), **self.store_settings},
            "clock": {"trust": self.trust},
            "lines": self.lines,
            "meters": self.meters,
            **({"intakes": self.intakes} if self.intakes else {}),
            "uplinks": self.uplinks,
        }
        self._write(self.config, document)
        self._write(self.directory / "meters.yaml", {"lines": self.far_lines, "meters": self.far_meters})

    @staticmethod
    def _write(path: Path, document: Mapping[str, Any]) -> None:
        path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")

    # -- running ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.signal(signal.SIGCONT)
            process.stop(10)
        if error is not None and not isinstance(error, KeyboardInterrupt):
            for process in self.processes:
                print(f"--- {process.name}\n{process.text()[-3000:]}")

    def start_meters(self) -> Meters:
        """`qushui-sim meters`, its log of served requests in `served`."""
        process = self.keep(Meters(self.directory, self.directory / "meters.yaml", self.directory / "served"))
        until(lambda: self._far_ends_are_there() or not process.running, 20, "the simulated meters are there")
        assert process.running, process.text()
        return process

    def _far_ends_are_there(self) -> bool:
        return all(
            Path(line["pty"]).exists() if "pty" in line else listens(int(line["tcp"].rpartition(":")[2]))
            for line in self.far_lines.values()
            if "dial_in" not in line
        )

    def start_broker(self, extra: str = "") -> Broker:
        return self.keep(Broker(self.directory / "broker", self.broker_port, extra))

    def start_collector(self) -> Collector:
        return self.keep(Collector(self.directory / "collector", self.broker_port))

    def start_daemon(self, *, unsynced: bool = False) -> Daemon:
        return self.keep(Daemon(self.directory, self.config, self.database, unsynced=unsynced))

    def keep(self, process: _P) -> _P:
        """Stops `process` with the site."""
        self.processes.append(process)
        return process

    def grows(self, by: int, within_s: float = 20.0) -> None:
        """Returns when `by` more rounds are committed than now."""
        level = self.committed() + by
        until(lambda: self.committed() >= level, within_s, f"{by} more rounds are committed")

    # -- looking ---------------------------------------------------------------------------------------------------

    def stored(self) -> list[StoredRound]:
        """Every committed round, read from the database as any client would."""
        if not self.database.exists():
            return []
        reader = Reader(self.database)
        try:
            found: list[StoredRound] = []
            first = 1
            while batch := reader.rounds(first, reader.committed(), limit=5000):
                found += batch
                first = batch[-1].number + 1
            return found
        finally:
            reader.close()

    def served(self) -> list[Served]:
        """What the simulated meters answered; complete once they have stopped."""
        found = []
        for text in (self.directory / "served").read_text(encoding="ascii").splitlines():
            one = json.loads(text)
            found.append(
                Served(
                    one["line"],
                    one["meter"],
                    one["t"],
                    one["at"] / 1e9,
                    one["early"],
                    bytes.fromhex(one["request_hex"]),
                    bytes.fromhex(one["reply_hex"]),
                )
            )
        return found

    def delivery(self, collector: Collector) -> Delivery:
        """Waits until nothing more comes, then compares what is stored with what came."""
        stored = {one.id: one for one in self.stored()}
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            came = collector.rounds()
            if stored.keys() <= {one["id"] for one in came}:
                break
            time.sleep(0.2)
        return compare(stored, came)

    def committed(self) -> int:
        """The highest committed round number; 0 while the database is being made."""
        reader = Reader(self.database)
        try:
            return reader.committed()
        except FileNotFoundError:  # the first start is making it
            return 0
        finally:
            reader.close()
