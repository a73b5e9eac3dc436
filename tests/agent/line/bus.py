"""A paced bus in the test's own process, and a poller on it: real bytes on a real pseudo-terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from agent import config
from agent.clock import SystemClock
from agent.model import Round
from agent.poll import Poller
from agent.wiring import make_line, make_meters
from drivers.registry import DRIVERS
from simulators.meters.bus import SimulatedLine
from simulators.meters.line_settings import SimulatedLineSettings
from simulators.meters.meter import SimulatedMeter
from tests.fakes import KeptFaults, QuietLog

NEAR, FAR = 0, 1000  # two registers that no plan merges
PROFILE = """
profile: two
title: {zh: 两个寄存器, en: two registers}
source: made for tests
tested: document
protocol: modbus
items:
  - {quantity: flow_rate, table: holding, register: 0, type: u16}
  - {quantity: pressure, table: holding, register: 1000, type: u16}
tests:
  - {request: "01 03 00 00 00 01 84 0A", reply: "01 03 02 00 6F F8 68", expect: {flow_rate: "111"}, origin: constructed}
"""


@dataclass
class Sink:
    """Keeps every round; `reached` waits for a number of them."""

    rounds: list[Round] = field(default_factory=list)
    _more: threading.Condition = field(default_factory=threading.Condition)

    def append(self, found: Round) -> int:
        with self._more:
            self.rounds.append(found)
            self._more.notify_all()
        return len(self.rounds)

    def begin_poll(self, line: str) -> None:
        """Nobody commits here."""

    end_poll = begin_poll

    def of(self, meter: str) -> list[Round]:
        return [found for found in self.rounds if found.layout.meter == meter]

    def reached(self, enough: Callable[[], bool], seconds: float = 20.0) -> None:
        with self._more:
            assert self._more.wait_for(enough, seconds), f"only {len(self.rounds)} rounds in {seconds} s"


class Bus:
    """Meters `m1…` with the profile above on one line, polled by a Poller in a thread."""

    def __init__(
        self,
        directory: Path,
        count: int = 1,
        *,
        poll: str = "50ms",
        timeout: str = "300ms",
        far: Mapping[str, Any] | None = None,
        meters: Mapping[int, Mapping[str, Any]] | None = None,
        profile: str = PROFILE,
    ) -> None:
        far = {"baud": 115200, "latency_s": 0.004, **(far or {})}
        path = directory / "bus"
        (directory / "profiles").mkdir(exist_ok=True)
        (directory / "profiles" / "two.yaml").write_text(profile, encoding="utf-8")
        own = meters or {}
        text = f"station: {{id: t}}\nlines: {{bus: {{port: {path}, baud: {far['baud']}, timeout: {timeout}"
        text += ", echo: true}}\n" if far.get("echo") else "}}\n"
        text += "meters:\n"
        for number in range(1, count + 1):
            more = "".join(f", {key}: {value}" for key, value in own.get(number, {}).items())
            text += f'  m{number}: {{line: bus, profile: two, address: "{number}", poll: {poll}{more}}}\n'
        (directory / "agent.yaml").write_text(text, encoding="utf-8")
        self.config = config.load(directory / "agent.yaml", drivers=DRIVERS, uplink_settings={})
        simulated = []
        for meter in self.config.meters.values():
            made = SimulatedMeter(
                meter.name, profile=self.config.profiles["two"], address=meter.address, baud=meter.baud
            )
            made.update({"flow_rate": 111, "pressure": 222})
            simulated.append(made)
        self.far = SimulatedLine(SimulatedLineSettings(name="bus", pty=path, **far), simulated)
        self.sink, self.faults, self.log = Sink(), KeptFaults(), QuietLog()
        clock = SystemClock("host")
        settings = self.config.lines["bus"]
        self.poller = Poller(
            "bus",
            line=make_line(settings, clock=clock),
            meters=make_meters(self.config, settings),
            sink=self.sink,
            clock=clock,
            faults=self.faults,
            log=self.log,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.poller.run, args=(self._stop, lambda: None), daemon=True)

    def mischief(self, number: int, *kinds: Mapping[str, Any]) -> None:
        self.far.meters[f"m{number}"].mischief = list(kinds)

    def __enter__(self) -> Self:
        self.far.start()
        return self

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.poller.nudge()
        if self._thread.is_alive():
            self._thread.join(5)
            assert not self._thread.is_alive()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.far.stop()


def numbers(rounds: Sequence[Round]) -> list[tuple[Any, ...]]:
    return [found.values for found in rounds]
