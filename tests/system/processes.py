"""The processes of a station under test: broker, collector, daemon; started as a user would, stopped by process id.

What the broker received is read from the collector's file: one line per message, `MONOTONIC_NS TOPIC PAYLOAD`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from agent.control import ControlError, DaemonAwayError, call

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def wall_offset_s() -> float:
    """Wall time minus monotonic time."""
    return time.time() - time.monotonic()


def wall_s(at: str | float) -> float:
    """Seconds since 1970, of a published date or of the plain number of a simpler sender."""
    return at if isinstance(at, float) else datetime.fromisoformat(at).timestamp()


def until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Returns when `condition` holds; fails the test when it does not within the bound."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(0.02)


class Process:
    """One child, its output in a file, stopped by its id."""

    def __init__(self, name: str, argv: Sequence[str | Path], directory: Path, *, is_told: bool = False) -> None:
        """`is_told`: it takes orders on its standard input."""
        self.name = name
        self.output = directory / f"{name}.out"
        with self.output.open("ab") as output:
            self.child = subprocess.Popen(
                [str(word) for word in argv],
                stdout=output,
                stderr=output,
                stdin=subprocess.PIPE if is_told else subprocess.DEVNULL,
                cwd=directory,
            )
        self.started_s = time.monotonic()

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def running(self) -> bool:
        return self.child.poll() is None

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def stop(self, within_s: float = 15.0) -> int:
        """SIGTERM; the exit status. Killed when it does not end in time, which the status then shows."""
        if self.running:
            self.child.terminate()
            try:
                self.child.wait(within_s)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.child.stdin is not None:
            self.child.stdin.close()
        return self.child.returncode

    def kill(self) -> None:
        """SIGKILL, as a power switch would do to the process."""
        self.child.kill()
        self.child.wait()

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu_s(self) -> float:
        """User and system seconds used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def written_bytes(self) -> int:
        """Bytes this process caused to be sent to the storage layer."""
        text = Path(f"/proc/{self.pid}/io").read_text(encoding="ascii")
        return int(text.split("\nwrite_bytes:")[1].split()[0])


class Broker(Process):
    """Mosquitto on the loopback, with persistence, so that a stop in mid-burst keeps what it acknowledged."""

    def __init__(self, directory: Path, port: int, extra: str = "") -> None:
        assert MOSQUITTO, "mosquitto is not installed: sudo apt-get install mosquitto"
        directory.mkdir(parents=True, exist_ok=True)
        self.port = port
        settings = directory / "mosquitto.conf"
        settings.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nuser {_user()}\npersistence true\n"
            f"persistence_location {directory}/\nmax_queued_messages 0\nmax_inflight_messages 0\n{extra}",
            encoding="utf-8",
        )
        super().__init__("mosquitto", [MOSQUITTO, "-c", settings], directory)
        until(lambda: listens(port), 10, "mosquitto listens")


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
        return True
    return False


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the broker handed it out."""

    at_s: float  # monotonic
    topic: str
    rounds: list[dict[str, Any]]
    size: int


class Collector(Process):
    """Subscribes for good (its own session outlives the broker) and writes every message to a file."""

    def __init__(self, directory: Path, port: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.file = directory / "collected"
        super().__init__(
            "collector", [sys.executable, Path(__file__).with_name("collector.py"), str(port), self.file], directory
        )
        until(self.file.with_suffix(".ready").exists, 10, "the collector is subscribed")

    def lines(self) -> Iterator[tuple[float, str, bytes]]:
        """Monotonic seconds, topic and payload of every message so far."""
        with self.file.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    at_ns, topic, payload = line.rstrip(b"\n").split(b" ", 2)
                    yield int(at_ns) / 1e9, topic.decode(), payload

    def messages(self) -> list[Message]:
        """What came on the topic `…/rounds`: an array, or the one object of a simpler sender."""
        found = []
        for at_s, topic, payload in self.lines():
            if topic.endswith("/rounds"):
                content = json.loads(payload)
                found.append(Message(at_s, topic, content if isinstance(content, list) else [content], len(payload)))
        return found

    def rounds(self) -> list[dict[str, Any]]:
        """All rounds in the order they came."""
        return [one for message in self.messages() for one in message.rounds]

    def count(self) -> int:
        """How many rounds came, without decoding them: the machine is shared with what is measured."""
        return self.file.read_bytes().count(b'"meter"')

    def stamped(self) -> list[tuple[float, dict[str, Any], float]]:
        """The monotonic second of arrival, the round, and the monotonic second of its own `at`."""
        offset_s = wall_offset_s()
        return [
            (message.at_s, one, wall_s(one["at"]) - offset_s) for message in self.messages() for one in message.rounds
        ]

    def states(self) -> list[tuple[float, dict[str, Any]]]:
        return [(at_s, json.loads(payload)) for at_s, topic, payload in self.lines() if topic.endswith("/state")]


@dataclass(frozen=True, slots=True)
class Served:
    """One request that a simulated meter answered. Seconds are monotonic."""

    line: str
    meter: str
    at_s: float  # the request's first byte
    first_byte_s: float  # the first byte of the answer had passed the wire
    early: bool  # the request began before the silence after the frame before it was over
    request: bytes
    reply: bytes


class Meters(Process):
    """`qushui-sim meters FILE`; what it answers goes to `log`, its counters at the end to a file beside it."""

    def __init__(self, directory: Path, file: Path, log: Path) -> None:
        self.counters = log.with_suffix(".stats")
        argv: list[str | Path] = [SCRIPTS / "qushui-sim", "meters", file, "--log", log, "--stats", self.counters]
        super().__init__("meters", argv, directory, is_told=True)

    def order(self, **order: Any) -> None:
        """Tells it to set values or to misbehave, as `qushui-sim meters` takes it."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(order).encode() + b"\n")
        self.child.stdin.flush()

    def early(self) -> int:
        """After its end: requests that began before the silence was over, answered or dropped."""
        stats = json.loads(self.counters.read_text(encoding="utf-8"))["lines"]
        return sum(int(line["early"]) for line in stats.values())


class Daemon(Process):
    """`qushui run -c FILE`."""

    def __init__(self, directory: Path, config: Path, store: Path, *, unsynced: bool = False) -> None:
        self.store = store
        program = [sys.executable, ROOT / "tests/system/unsynced.py"] if unsynced else [SCRIPTS / "qushui"]
        super().__init__("qushui", [*program, "run", "-c", config], directory)

    @property
    def control(self) -> Path:
        return self.store.parent / "control.sock"

    def ask(self, verb: str, **arguments: Any) -> Any:
        """A verb through the control socket."""
        return call(self.control, verb, arguments, 10.0)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask("status")
        return answer

    def ready(self, within_s: float = 20.0) -> Self:
        """Returns once it answers on its control socket."""

        def answers() -> bool:
            assert self.running, f"the daemon ended with {self.child.returncode}:\n{self.text()[-4000:]}"
            with contextlib.suppress(DaemonAwayError, ControlError):
                self.status()
                return True
            return False

        until(answers, within_s, "the daemon answers on its control socket")
        return self

    def faults(self) -> set[tuple[str, str]]:
        """Open faults: code and place."""
        return {(one["code"], one["place"]) for one in self.status()["faults"]}
