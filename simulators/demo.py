"""`make demo`: a whole pump house on one machine, and the proof that nothing was lost.

Simulated meters driven by a plant, a simulated platform, and the real agent between them, each a process of its own in
a directory that vanishes afterwards. In the middle the platform goes away for a while, later a meter sends frames with
bad check sums. At the end polling stops first, the queue gets 10 s to drain, and the books are compared: what the agent
stored, what the platform has, what the meters served.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

from agent.messages import LANGUAGES, Messages, language_of
from agent.quantities import QUANTITIES
from simulators.demo_books import balanced
from simulators.demo_calibration import fit_and_activate, runs_text
from simulators.demo_children import Child, told

_START_S = 20.0
_DRAIN_S = 15.0  # the agent gives its queues 10 s, then commits
_ROOM_BYTES = 100_000_000  # an hour of the demo needs a tenth of it
_FIRST = (
    "flow_rate",
    "power",
    "volume_withdrawn",
    "volume_hour",
    "volume_forward",
    "energy_import",
)  # what a line shows, two of them
_SHOWN = 2
_DIGITS = 3


class DemoError(Exception):
    """A part of the demo did not start or broke off; the text says which and what it said last."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo; exit status 0 when nothing was lost and no value was wrong."""
    parser = argparse.ArgumentParser(prog="demo", description="a simulated pump house / 模拟泵房演示")
    parser.add_argument("--seconds", type=float, help="default: until Ctrl-C / 默认按 Ctrl-C 结束")
    parser.add_argument("--lang", choices=LANGUAGES)
    arguments = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    messages = Messages(arguments.lang or language_of(os.environ))
    try:
        with _directory() as directory, contextlib.ExitStack() as stack:
            return _Demo(directory, messages, stack).run(arguments.seconds)
    except BrokenPipeError:  # `make demo | head`
        return 1
    except DemoError as error:
        print(messages.text("demo.failed", detail=str(error)), file=sys.stderr)
        return 1


class _Demo:
    """One run of the demo in `directory`."""

    def __init__(self, directory: Path, messages: Messages, stack: contextlib.ExitStack) -> None:
        self._directory = directory
        self._messages = messages
        self._stack = stack
        self._asked = 0  # how often someone asked to stop
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def run(self, seconds: float | None) -> int:
        """Starts everything, shows what arrives, stops in order, compares."""
        plant, platform = self._far_ends()
        self._calibrate()
        agent = self._start("agent", "agent.cli", "run", "-c", "agent.yaml")
        self._say("started", directory=self._directory)
        self._watch(seconds, platform, (plant, platform, agent))
        self._say("stopping")
        agent.terminate()
        give_up_s = time.monotonic() + _DRAIN_S
        while agent.is_running and time.monotonic() < give_up_s and self._asked <= 1:
            self._show(platform, 0.1)
        status = agent.stop(0)
        platform.stop(_START_S)
        self._show(platform, 0)
        plant.stop(_START_S)
        if status:
            self._say("agent_failed", status=status, log=_last_words(agent))
        return int(self._compare() or status != 0)

    def _far_ends(self) -> tuple[Child, Child]:
        """Starts meters and platform, and writes the agent's configuration for where they are."""
        shutil.copy(str(_data("demo-station.yaml")), self._directory / "station.yaml")
        plant = self._start("plant", "simulators", "plant", "station.yaml", "--truth", "truth.jsonl", "--json")
        platform = self._start("platform", "simulators", "platform", "mqtt", "--store", "received.sqlite", "--json")
        lines = self._ready(plant, "plant.ready")["lines"]
        opened = self._ready(platform, "platform.opened")
        text = _data("demo-agent.yaml").read_text(encoding="utf-8")
        for name, value in {
            "STORE": self._directory / "qushui.db",
            "RS485_1": lines["rs485-1"],
            "LAN_FLOW": lines["lan-flow"],
            "PLATFORM": f"{opened['host']}:{opened['port']}",
        }.items():
            text = text.replace(f"@{name}@", str(value))
        (self._directory / "agent.yaml").write_text(text, encoding="utf-8")
        return plant, platform

    def _calibrate(self) -> None:
        """The well without a flow meter gets its coefficient: tested on the plant, fitted, activated."""
        (self._directory / "runs.csv").write_text(runs_text(self._directory / "station.yaml"), encoding="utf-8")
        for verb in fit_and_activate("runs.csv", "W5.yaml", "agent.yaml"):
            status, words = told("agent.cli", verb, self._directory, patience_s=_START_S)
            if status:
                raise DemoError(f"qushui {' '.join(verb[:2])}: {words}")

    def _start(self, name: str, module: str, *arguments: str) -> Child:
        return self._stack.enter_context(Child(name, module, arguments, self._directory))

    def _ready(self, child: Child, event: str) -> dict[str, Any]:
        """The event with which `child` says that it serves. Raises DemoError."""
        give_up_s = time.monotonic() + _START_S
        while time.monotonic() < give_up_s:
            with contextlib.suppress(queue.Empty):
                found = child.events.get(timeout=0.1)
                if found["event"] == event:
                    return found
            if not child.is_running and child.events.empty():
                break
        raise DemoError(f"{child.name}: {_last_words(child)}")

    def _watch(self, seconds: float | None, platform: Child, children: tuple[Child, ...]) -> None:
        """Shows what arrives, and takes the platform away in the middle, until the time is over or someone asks."""
        began_s = time.monotonic()
        turns = _turns(seconds)
        turn = next(turns, None)
        while not self._asked:
            elapsed_s = time.monotonic() - began_s
            if seconds is not None and elapsed_s >= seconds:
                return
            if turn is not None and elapsed_s >= turn.at_s:
                next(child for child in children if child.name == turn.child).order(turn.order)
                self._say(turn.key)
                turn = next(turns, None)
            self._show(platform, 0.1)
            for child in children:
                if not child.is_running:
                    raise DemoError(f"{child.name}: {_last_words(child)}")

    def _show(self, platform: Child, wait_s: float) -> None:
        """Shows the rounds that have arrived; waits up to `wait_s` for the first one."""
        with contextlib.suppress(queue.Empty):
            while True:
                event = platform.events.get(timeout=wait_s) if wait_s else platform.events.get_nowait()
                wait_s = 0.0
                match event["event"]:
                    case "rounds.received":
                        for found in event["rounds"]:
                            print(self._line(found), flush=True)
                    case "client.connected" | "client.left" | "complaint.raised":
                        print(self._messages.text(f"platform.{event['event']}", **event), flush=True)

    def _line(self, found: dict[str, Any]) -> str:
        """A round in one line: time, meter, two numbers or why there are none."""
        values = found["values"]
        names = [name for name in _FIRST if name in values][:_SHOWN]
        return "  ".join([f"{found['at'][11:21]} {found['meter']:<10}", *(self._number(found, name) for name in names)])

    def _number(self, found: dict[str, Any], name: str) -> str:
        value = found["values"][name]
        if value is None:
            return self._messages.reason(found["quality"][name][0])
        return f"{round(Decimal(value), _DIGITS):>9} {QUANTITIES[name].unit}"

    def _compare(self) -> bool:
        """Shows the books; true when they do not balance."""
        books = balanced(
            store=self._directory / "qushui.db",
            received=self._directory / "received.sqlite",
            truth=self._directory / "truth.jsonl",
        )
        for wrong in books.wrong[:5]:
            print(wrong, file=sys.stderr)
        for water in books.withdrawn:
            self._say("withdrawn", **water.as_text())
        self._say(
            "books",
            stored=books.stored,
            acknowledged=books.acknowledged.get("cloud", 0),
            lost=books.lost,
            repeated=books.repeated,
            wrong=len(books.wrong),
        )
        print(books.as_json(), flush=True)
        return not books.are_balanced

    def _say(self, key: str, **arguments: object) -> None:
        print(self._messages.text(f"demo.{key}", **arguments), flush=True)

    def _ask(self, _number: int, _frame: object) -> None:
        self._asked += 1


@dataclass(frozen=True, slots=True)
class _Turn:
    """What happens so many seconds after the beginning: an order for a child, and the sentence that tells it."""

    at_s: float
    child: str
    order: dict[str, Any]
    key: str


_TURNS = (  # at which share of the run
    (0.35, "platform", {"link": "down"}, "link_down"),
    (0.50, "platform", {"link": "up"}, "link_up"),
    (0.65, "plant", {"meter": "main-flow", "mischief": [{"kind": "wrong_crc"}]}, "meter_bad"),
    (0.75, "plant", {"meter": "main-flow", "mischief": []}, "meter_good"),
)
_SHORTEST_S = 5.0  # a run that has a middle
_CYCLE_S = 60.0  # of a run without end


def _turns(seconds: float | None) -> Iterator[_Turn]:
    """Everything that goes wrong, in order: once in a run of so many seconds, again and again in one without end."""
    for cycle in count() if seconds is None else range(seconds >= _SHORTEST_S):
        for share, child, order, key in _TURNS:
            yield _Turn((cycle + share) * (seconds or _CYCLE_S), child, order, key)


def _data(name: str) -> Path:
    return Path(str(resources.files("simulators") / "data" / name))


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """A fresh directory where there is room; gone afterwards."""
    places = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm"), Path.cwd()]  # noqa: S108 - mkdtemp in them
    usable = [place for place in places if os.access(place, os.W_OK | os.X_OK)]
    roomy = [place for place in usable if shutil.disk_usage(place).free >= _ROOM_BYTES]
    place = roomy[0] if roomy else max(usable, key=lambda each: shutil.disk_usage(each).free)
    with tempfile.TemporaryDirectory(prefix="qushui-demo-", dir=place, ignore_cleanup_errors=True) as name:
        yield Path(name)


def _last_words(child: Child) -> str:
    lines = child.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(lines[-5:]) or "-"


if __name__ == "__main__":
    sys.exit(main())
