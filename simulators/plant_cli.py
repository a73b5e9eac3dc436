"""`qushui-sim plant FILE`: simulated meters whose registers follow one physical pump house.

FILE is a file of simulated meters (`qushui-sim meters`) with a section `plant:`. A meter shows every quantity the plant
has; its counters go on from the `values:` it has in the file. Orders on stdin are those of `qushui-sim meters`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent.form.judge import accepted
from agent.form.nodes import read_file
from agent.form.problems import FormErrors
from agent.messages import LANGUAGES, Messages, language_of, problem_lines
from simulators.meters.bus import SimulatedLine
from simulators.meters.meter import SimulatedMeter
from simulators.meters.orders import carry_out
from simulators.meters.record import Observer
from simulators.meters.station import load
from simulators.plant import QUANTITIES as PHYSICAL
from simulators.plant import STEP_S, Plant, State
from simulators.plant_fitted import Fitted, is_total
from simulators.plant_form import FittedForm, PlantForm
from simulators.truth import TruthLog

_DONE = 0
_FIELD_SAYS_NO = 1
_INPUT_IS_WRONG = 2
_SAY_EVERY_S = 5.0
_CATCH_UP_STEPS = 20_000  # after a pause of the machine; further time of the plant is lost, not its books


def add_arguments(subparsers: Any) -> None:
    """Adds `plant` to the command line; `arguments.run(arguments)` carries it out."""
    parser = subparsers.add_parser("plant", help="meters driven by a pump house / 泵房物理模型驱动的表计")
    parser.add_argument("file", type=Path, metavar="FILE", help="meters and plant, YAML / 表计与泵房")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="what was served, JSON lines / 真值记录")
    parser.add_argument("--json", action="store_true", help="events as JSON lines / 以 JSON 行输出事件")
    parser.add_argument("--lang", choices=LANGUAGES)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT. Exit status 1 when a port cannot be had, 2 for a wrong file."""
    messages = Messages(arguments.lang or language_of(os.environ))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with contextlib.ExitStack() as stack:
        observers: list[Observer] = []
        try:
            if arguments.truth is not None:
                journal = TruthLog(arguments.truth)
                stack.callback(journal.close)
                observers.append(journal)
            house = opened(arguments.file, observers)
            house.show()  # before the first request can come
            for line in house.lines.values():
                stack.enter_context(line)
        except FormErrors as errors:
            print(*problem_lines(messages, errors.problems), sep="\n", file=sys.stderr)
            return _INPUT_IS_WRONG
        except OSError as error:
            print(messages.text("plant.cannot_start", detail=str(error)), file=sys.stderr)
            return _FIELD_SAYS_NO
        _serve(house, _speaker(messages, is_json=arguments.json), stop)
    return _DONE


@dataclass(slots=True)
class PumpHouse:
    """The plant, its state now, and the lines whose meters show it. `fitted` are the meters by name."""

    plant: Plant
    form: PlantForm
    state: State
    lines: Mapping[str, SimulatedLine]
    fitted: Mapping[str, Fitted]

    def advance(self, elapsed_s: float) -> None:
        """Brings the plant to `elapsed_s` real seconds after its start, and the meters with it."""
        due = int(elapsed_s * float(self.form.speed) / STEP_S)
        for _ in range(min(due - self.state.steps, _CATCH_UP_STEPS)):
            self.state = self.plant.step(self.state)
        self.show()

    def show(self) -> None:
        """Lets the meters show the plant's state; all quantities of a meter change at once."""
        readings, at_ms = self.plant.readings(self.state), int(self.state.steps * STEP_S * 1000)
        for meter in self.meters():
            physical = [entry.quantity for entry in meter.profile.entries if entry.quantity in PHYSICAL]
            meter.update(self.fitted[meter.name].shown(at_ms, physical, readings))

    def meters(self) -> list[SimulatedMeter]:
        """All meters of all lines."""
        return [meter for line in self.lines.values() for meter in line.meters.values()]


def opened(file: Path, observers: list[Observer]) -> PumpHouse:
    """The pump house of a file, lines not yet started. Raises FormErrors."""
    lines = load(file, observers=observers)
    form = accepted(read_file(file, str(file)), ("plant",), PlantForm) or PlantForm()
    plant = Plant(form)
    fitted = {
        meter.name: Fitted(form.meters.get(meter.name, FittedForm()), _totals(meter))
        for line in lines.values()
        for meter in line.meters.values()
    }
    return PumpHouse(plant=plant, form=form, state=plant.start(), lines=lines, fitted=fitted)


def _totals(meter: SimulatedMeter) -> dict[str, Decimal]:
    """What its totals show in the file."""
    values = meter.values.items()
    return {name: value for name, value in values if isinstance(value, Decimal) and name in PHYSICAL and is_total(name)}


def _serve(house: PumpHouse, say: Callable[..., None], stop: threading.Event) -> None:
    places = {name: line.place for name, line in house.lines.items()}
    say("ready", lines=places, places=", ".join(f"{name} {place}" for name, place in places.items()))
    threading.Thread(target=_obey, args=(house.lines, say), daemon=True).start()
    began_s = said_s = time.monotonic()
    while not stop.wait(house.form.tick / 1000):
        now_s = time.monotonic()
        house.advance(now_s - began_s)
        if now_s - said_s >= _SAY_EVERY_S:
            said_s = now_s
            shown = {name: str(value) for name, value in house.plant.readings(house.state).items()}
            say("shown", seconds=house.state.steps, **shown)


def _obey(lines: Mapping[str, SimulatedLine], say: Callable[..., None]) -> None:
    """Takes orders from stdin until its end; the end of stdin is not the end of the plant."""
    for text in sys.stdin:
        if not text.strip():
            continue
        try:
            carry_out(text, lines)
        except FormErrors as errors:
            say("order-refused", detail="; ".join(f"{each.path} {each.code}" for each in errors.problems))
        except OSError as error:
            say("order-refused", detail=str(error))
        else:
            say("order-done", order=text.strip())


def _speaker(messages: Messages, *, is_json: bool) -> Callable[..., None]:
    """Says what happens: JSON lines for machines, sentences for people."""

    def say(event: str, **arguments: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            if is_json:
                print(json.dumps({"event": f"plant.{event}", **arguments}, ensure_ascii=False), flush=True)
            else:
                print(messages.text(f"plant.{event}", **arguments), flush=True)

    return say
