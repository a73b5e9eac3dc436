"""Lines whose DTUs dial in, in the test's own process: real sockets, a poller for each line, a clock that may jump."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import yaml

from agent import config
from agent.clock import SystemClock
from agent.line.listening import DialIns
from agent.poll import Poller
from agent.wiring import make_line, make_meters
from drivers.octets import crc16
from drivers.registry import DRIVERS
from simulators.meters.bus import SimulatedLine
from simulators.meters.line_settings import SimulatedDtu, SimulatedLineSettings
from simulators.meters.meter import SimulatedMeter
from tests.agent.line.bus import PROFILE, Sink
from tests.fakes import KeptFaults, QuietLog
from tests.ports import free_port
from tests.system.processes import until

VALUES: Mapping[str, Any] = {"flow_rate": 111, "pressure": 222}
GOOD = (Decimal(111), Decimal(222))


class JumpingClock(SystemClock):
    """The system's clock; a test moves its monotonic time ahead."""

    def __init__(self) -> None:
        super().__init__("host")
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


class Station:
    """Lines with one meter each, whose DTUs dial one address (or their own). A context manager."""

    def __init__(
        self,
        directory: Path,
        lines: Mapping[str, Mapping[str, Any]],
        *,
        poll: str = "50ms",
        timeout: str = "300ms",
        more: Mapping[str, Any] | None = None,
        profile: str = "two",
        address: str = "1",
    ) -> None:
        """`lines` gives each line's own `dial_in` keys; `more` are further keys of all lines."""
        self.profile, self.address = profile, address
        self.directory = directory
        self.port = free_port()
        (directory / "profiles").mkdir(exist_ok=True)
        (directory / "profiles" / "two.yaml").write_text(PROFILE, encoding="utf-8")
        self.document: dict[str, Any] = {
            "station": {"id": "t"},
            "lines": {
                name: {"dial_in": {"listen": f"127.0.0.1:{self.port}", **keys}, "timeout": timeout, **(more or {})}
                for name, keys in lines.items()
            },
            "meters": {
                f"{name}-m": {"line": name, "profile": profile, "address": address, "poll": poll} for name in lines
            },
        }
        self.config = self.loaded()
        self.clock = JumpingClock()
        self.log, self.faults, self.sink = QuietLog(), KeptFaults(), Sink()
        self.dial_ins = DialIns(clock=self.clock, log=self.log)
        self.pollers: dict[str, Poller] = {}
        self._stop = threading.Event()
        self._stops: dict[str, threading.Event] = {}
        self._threads: dict[str, threading.Thread] = {}

    def loaded(self) -> config.Config:
        """The configuration as the document says it now."""
        text = yaml.safe_dump(self.document, sort_keys=False)
        return config.load(self.directory / "agent.yaml", text=text, drivers=DRIVERS, uplink_settings={})

    def __enter__(self) -> Self:
        self.serve()
        self._threads["dial-in"] = threading.Thread(
            target=self.dial_ins.run, args=(self._stop, lambda: None), daemon=True
        )
        self._threads["dial-in"].start()
        return self

    def serve(self) -> None:
        self.dial_ins.serve(self.config.lines.values(), ZoneInfo("Asia/Shanghai"))

    def listens(self) -> Self:
        """Returns once the address is listened on."""
        until(lambda: any(each["listening"] for each in self.dial_ins.snapshot().values()), 10, "it listens")
        return self

    def poll(self, *names: str) -> None:
        """Polls these lines, by default all."""
        for name in names or self.config.lines:
            settings = self.config.lines[name]
            self.pollers[name] = Poller(
                name,
                line=make_line(settings, clock=self.clock, dial_ins=self.dial_ins),
                meters=make_meters(self.config, settings),
                sink=self.sink,
                clock=self.clock,
                faults=self.faults,
                log=self.log,
            )
            self._stops[name] = threading.Event()
            self._threads[name] = threading.Thread(
                target=self.pollers[name].run, args=(self._stops[name], lambda: None), daemon=True
            )
            self._threads[name].start()

    def rest(self, name: str) -> None:
        """Ends the polling of a line."""
        self._stops[name].set()
        self.pollers[name].nudge()
        self._threads.pop(name).join(10)

    def __exit__(self, *_: object) -> None:
        for name in list(self.pollers):
            if name in self._threads:
                self.rest(name)
        self._stop.set()
        self.dial_ins.nudge()
        self._threads["dial-in"].join(10)
        assert not self._threads["dial-in"].is_alive()
        self.dial_ins.close()

    # --- the far ends

    def dtu(self, name: str, values: Mapping[str, Any] = VALUES, **manners: Any) -> SimulatedLine:
        """The simulated DTU of a line with its meter."""
        profile = self.config.profiles[self.profile]
        made = SimulatedMeter(f"{name}-m", profile=profile, address=self.address, baud=115200)
        made.update(values)
        dtu = SimulatedDtu(server=("127.0.0.1", self.port), **{"redial_s": 0.1, "air_s": 0.01, **manners})
        return SimulatedLine(SimulatedLineSettings(name=name, dial_in=dtu, baud=115200, latency_s=0.005), [made])

    def dial(self, first: bytes = b"") -> socket.socket:
        """A connection made by hand that sends `first`."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        made.settimeout(10)
        if first:
            made.sendall(first)
        return made

    def dialled(self, name: str) -> int:
        """How often that line's DTU has dialled in."""
        return next((each["dtus"][name]["dialled"] for each in self.dial_ins.snapshot().values()), 0)

    def refused(self) -> int:
        """Connections that were nobody's."""
        return sum(each["refused"] for each in self.dial_ins.snapshot().values())

    def good(self, name: str) -> int:
        """Rounds of that line with both values."""
        return sum(found.values == GOOD for found in self.sink.of(f"{name}-m"))

    def reached(self, enough: Callable[[], bool], seconds: float = 20.0) -> None:
        self.sink.reached(enough, seconds)

    def no_wrong_number(self) -> bool:
        """Whether every value is the one that the meter showed."""
        return all(
            value in {None, good} for found in self.sink.rounds for value, good in zip(found.values, GOOD, strict=True)
        )

    def events(self, name: str) -> list[dict[str, object]]:
        """The keys of each log event of that name."""
        return [keys for event, keys in self.log.events if event == name]


def question(connection: socket.socket) -> bytes:
    """The next Modbus RTU question that comes; b"" when the connection has ended."""
    data = b""
    while len(data) < 8:
        more = connection.recv(8 - len(data))
        if not more:
            return b""
        data += more
    return data


def answer(value: int) -> bytes:
    """The RTU answer of meter 1 with one register."""
    body = bytes([1, 3, 2]) + value.to_bytes(2, "big")
    return body + crc16(body)


def value_of(asked: bytes) -> int:
    """What the meter shows in the register that is asked for."""
    return 111 if asked[2:4] == b"\0\0" else 222
