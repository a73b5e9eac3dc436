"""`qushui-sim meters FILE`: simulated meters until a signal, with orders on stdin.

Orders are JSON objects, one a line: see `simulators.meters.orders`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.form.problems import FormErrors
from agent.messages import LANGUAGES, Messages, language_of, problem_lines
from simulators.meters.bus import SimulatedLine
from simulators.meters.orders import carry_out
from simulators.meters.record import AnswerLog
from simulators.meters.station import load

_DONE = 0
_FIELD_SAYS_NO = 1
_INPUT_IS_WRONG = 2
_FLUSH_S = 0.5
_SWITCH_S = 0.0005  # the interpreter's default of 5 ms would show as jitter where several lines are paced


def add_arguments(subparsers: Any) -> None:
    """Adds `meters` to the command line; `arguments.run(arguments)` carries it out."""
    parser = subparsers.add_parser("meters", help="meters on pseudo-terminals and TCP / 虚拟表计")
    parser.add_argument("file", type=Path, metavar="FILE", help="lines and meters, YAML / 总线与表计")
    parser.add_argument("--log", type=Path, metavar="FILE", help="every answer as a JSON line / 逐条应答记录")
    parser.add_argument("--stats", type=Path, metavar="FILE", help="counters as JSON at the end / 结束时写统计")
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after that long / 运行秒数")
    parser.add_argument("--json", action="store_true", help="events as JSON lines / 以 JSON 行输出事件")
    parser.add_argument("--lang", choices=LANGUAGES)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM, SIGINT or `--seconds`. Exit status 1 when a port cannot be had, 2 for a wrong file."""
    printer = _Printer(Messages(arguments.lang or language_of(os.environ)), is_json=arguments.json)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with contextlib.ExitStack() as stack:
        try:
            log = stack.enter_context(AnswerLog(arguments.log)) if arguments.log else None
            lines = load(arguments.file, observers=() if log is None else (log,))
            for line in lines.values():
                stack.enter_context(line)
        except FormErrors as errors:
            printer.problems(errors)
            return _INPUT_IS_WRONG
        except OSError as error:
            printer.show("cannot-start", detail=str(error))
            return _FIELD_SAYS_NO
        _serve(arguments, lines, log, printer, stop)
    stats = {name: line.stats().as_json() for name, line in lines.items()}
    if arguments.stats:
        arguments.stats.write_text(json.dumps({"lines": stats}, indent=1) + "\n", encoding="utf-8")
    printer.stats(stats)
    return _DONE


def _serve(
    arguments: argparse.Namespace,
    lines: Mapping[str, SimulatedLine],
    log: AnswerLog | None,
    printer: _Printer,
    stop: threading.Event,
) -> None:
    """Waits for the end while the lines' threads serve."""
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()  # what is loaded stays: no long collection in the middle of an answer
    printer.ready(lines)
    threading.Thread(target=_obey, args=(lines, printer), daemon=True).start()
    left_s = float("inf") if arguments.seconds is None else arguments.seconds
    while left_s > 0 and not stop.wait(min(_FLUSH_S, left_s)):
        left_s -= _FLUSH_S
        if log is not None:
            log.flush()


def _obey(lines: Mapping[str, SimulatedLine], printer: _Printer) -> None:
    """Takes orders from stdin until its end; the end of stdin is not the end of the meters."""
    for text in sys.stdin:
        if not text.strip():
            continue
        try:
            order = carry_out(text, lines)
        except FormErrors as errors:
            printer.refused(errors)
        except OSError as error:
            printer.show("cannot-start", detail=str(error))
        else:
            printer.show("order-done", order=text.strip())
            if order.stats:
                printer.stats({name: line.stats().as_json() for name, line in lines.items()})


class _Printer:
    """Says what happens: JSON lines for machines, sentences for people."""

    def __init__(self, messages: Messages, *, is_json: bool) -> None:
        self._messages = messages
        self._is_json = is_json

    def ready(self, lines: Mapping[str, SimulatedLine]) -> None:
        """Everything is open; scripts wait for this line."""
        if self._is_json:
            places = {name: {line.kind: line.place, "meters": list(line.meters)} for name, line in lines.items()}
            self._json("meters.ready", lines=places)
            return
        for name, line in lines.items():
            print(self._messages.text("sim.meters.line", line=name, place=line.place, count=len(line.meters)))
        print(self._messages.text("sim.meters.ready"), flush=True)

    def show(self, event: str, **arguments: str) -> None:
        """Something happened; what went wrong goes to stderr."""
        if self._is_json:
            self._json(f"meters.{event}", **arguments)
        else:
            print(self._messages.text(f"sim.meters.{event}", **arguments), file=sys.stderr, flush=True)

    def problems(self, errors: FormErrors) -> None:
        """Everything that is wrong with the file."""
        print(*problem_lines(self._messages, errors.problems), sep="\n", file=sys.stderr, flush=True)

    def refused(self, errors: FormErrors) -> None:
        """Everything that is wrong with an order."""
        if self._is_json:
            found = [{"path": each.path, "code": each.code, **each.arguments} for each in errors.problems]
            self._json("meters.order-refused", problems=found)
        else:
            self.problems(errors)

    def stats(self, stats: Mapping[str, Mapping[str, Any]]) -> None:
        """What each line saw."""
        if self._is_json:
            self._json("meters.stats", lines=stats)
            return
        for name, counts in stats.items():
            shown = {key: value for key, value in counts.items() if key != "meters"}
            print(self._messages.text("sim.meters.stats", line=name, **shown), flush=True)

    def _json(self, event: str, **arguments: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"event": event, **arguments}, ensure_ascii=False), flush=True)
