"""`qushui-sim platform sl651|szy206`: a centre with a console on stdin, events on stdout, and an archive to look at."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import sqlite3
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent import page
from agent.messages import LANGUAGES, Messages, language_of
from agent.uplinks.szy206_wire.fields import EDITIONS, OPTIONS
from agent.uplinks.szy206_wire.names import AlarmOrder, ByteOrder, Dialect, Edition, FlowBlock
from simulators.platforms.centre import showing
from simulators.platforms.centre.archive import Archive
from simulators.platforms.centre.behaviour import STYLES, Protocol
from simulators.platforms.centre.refusals import OrderError, sentence_of
from simulators.platforms.centre.script import Action, action_of
from simulators.platforms.centre.server import CentreServer
from simulators.platforms.centre.sl651_options import Sl651Options
from simulators.platforms.centre.szy206 import Szy206Options
from simulators.stations.cli import LAST_CENTRE, InputError, duration, hex_of, within

_DONE, _FIELD_SAYS_NO, _INPUT_IS_WRONG = 0, 1, 2
_HEX_DIGITS = 4  # of a password


def add_arguments(protocols: Any) -> None:
    """Adds both protocols to `platform`; `arguments.run(arguments)` carries one out."""
    sl651 = protocols.add_parser("sl651", help="SL 651-2014")
    _common(sl651)
    sl651.add_argument("--end", choices=("ESC", "EOT"), default="ESC", help="behind a last frame / 最后一包的应答")
    sl651.add_argument("--centre", type=int, metavar="N", help="only frames to this centre / 只收发往此中心站的报文")
    sl651.add_argument("--password", metavar="HEX", help="only with this password / 只收此密码的报文")
    sl651.set_defaults(timeout=20.0)
    szy206 = protocols.add_parser("szy206", help="SZY206-2016, SL/T 427-2021")
    _common(szy206)
    szy206.add_argument("--edition", choices=EDITIONS, default=EDITIONS[0])
    for name, values in OPTIONS.items():
        szy206.add_argument(f"--{name.replace('_', '-')}", choices=values, default=values[0])
    szy206.add_argument("--login", choices=("echo", "F2", "00", "silent"), default="echo", help="answer / 登录应答")
    szy206.add_argument("--mode", type=int, choices=range(4), help="in confirms; else the station's / 确认中的工作模式")
    szy206.add_argument("--password", metavar="HEX", default="0000", help="of settings / 设置密码")
    szy206.set_defaults(timeout=10.0)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one / 任意空闲端口")
    parser.add_argument("--store", type=Path, metavar="FILE.sqlite", help="keep what arrives / 保存收到的数据")
    parser.add_argument("--show", type=Path, metavar="FILE.sqlite", help="show what was kept, and end / 显示保存的数据")
    parser.add_argument("--ack", default="normal", metavar="PLAN", help="e.g. never,late:3,normal / 应答方式")
    parser.add_argument("--script", type=Path, metavar="FILE.yaml", help="steps / 脚本")
    parser.add_argument("--timeout", type=duration, metavar="S", help="for answers to orders / 等待应答的秒数")
    parser.add_argument("--idle", type=duration, default=900.0, metavar="S", help="then a link is closed / 空闲断开")
    parser.add_argument("--json", action="store_true", help="events as JSON lines / 以 JSON 行输出事件")
    parser.add_argument("--quiet", action="store_true", help="only what was asked for / 只输出所问")
    parser.add_argument("--lang", choices=LANGUAGES)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM, SIGINT or `stop`, and ends with a line of JSON; or shows an archive.

    Exit status 1 when a station broke a rule, 2 when it could not start.
    """
    messages = Messages(arguments.lang or language_of(os.environ))
    if arguments.show is not None:
        return _show(arguments.show, messages)
    printer = _Printer(messages, is_json=arguments.json, is_quiet=arguments.quiet)
    try:
        centre = _centre(arguments, printer)
    except InputError as error:
        print(messages.text(f"stations.wrong.{error.key}", **error.arguments), file=sys.stderr)
        return _INPUT_IS_WRONG
    except OrderError as error:
        print(
            messages.text("simulated_centre.cannot_start", detail=sentence_of(error.event(), messages)), file=sys.stderr
        )
        return _INPUT_IS_WRONG
    except (OSError, ValueError, OverflowError, sqlite3.Error) as error:
        print(messages.text("simulated_centre.cannot_start", detail=str(error)), file=sys.stderr)
        return _INPUT_IS_WRONG
    _allow_many_links()
    stop = threading.Event()
    _stop_on_signals(stop, centre)
    host, port = centre.host, centre.port
    printer.show({"event": "platform.opened", "protocol": centre.protocol.value, "host": host, "port": port})
    threading.Thread(target=_obey, args=(centre, printer, stop), daemon=True).start()
    centre.run(stop)
    report = centre.report()
    centre.close()
    printer.report(report)
    return _FIELD_SAYS_NO if report["failed"] else _DONE


def _show(path: Path, messages: Messages) -> int:
    try:
        archive = Archive(path, is_read_only=True)
        print("\n".join(showing.whole(archive, messages)))
        archive.close()
    except sqlite3.Error as error:
        print(messages.text("simulated_centre.cannot_show", detail=f"{path}: {error}"), file=sys.stderr)
        return _INPUT_IS_WRONG
    return _DONE


def _centre(arguments: argparse.Namespace, printer: _Printer) -> CentreServer:
    password = None if arguments.password is None else hex_of("--password", arguments.password, _HEX_DIGITS)
    within("--timeout", arguments.timeout, 0.1, 3600)
    within("--idle", arguments.idle, 0.1, 86400)
    return CentreServer(
        arguments.protocol,
        ack=arguments.ack,
        host=arguments.host,
        port=arguments.port,
        store=arguments.store,
        options=_options(arguments, password),
        emit=printer.show,
        idle_s=arguments.idle,
        script="" if arguments.script is None else arguments.script.read_text(encoding="utf-8"),
    )


def _options(arguments: argparse.Namespace, password: str | None) -> Sl651Options | Szy206Options:
    if arguments.protocol == Protocol.SL651:
        if arguments.centre is not None:
            within("--centre", arguments.centre, 0, LAST_CENTRE)
        return Sl651Options(end=arguments.end, password=password, centre=arguments.centre, timeout_s=arguments.timeout)
    dialect = Dialect(
        edition=Edition(arguments.edition),
        byte_order=ByteOrder(arguments.byte_order),
        flow_block=FlowBlock(arguments.flow_block),
        alarm_order=AlarmOrder(arguments.alarm_order),
    )
    return Szy206Options(
        dialect=dialect,
        login=arguments.login,
        mode=arguments.mode,
        password=password or "",
        timeout_s=arguments.timeout,
    )


def _allow_many_links() -> None:
    """As many descriptors as this user may have: each station takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _stop_on_signals(stop: threading.Event, centre: CentreServer) -> None:
    def stopped(_number: int, _frame: object) -> None:
        stop.set()
        centre.wake()

    signal.signal(signal.SIGTERM, stopped)
    signal.signal(signal.SIGINT, stopped)


def _obey(centre: CentreServer, printer: _Printer, stop: threading.Event) -> None:
    """Takes lines from stdin until its end; the end of stdin is not the end of the centre."""
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            action = action_of(line, centre.protocol)
            if action.verb == "stop":
                stop.set()
                centre.wake()
                return
            if not _asked(action, centre, printer):
                centre.do(action)
        except OrderError as error:
            printer.show(error.event(), is_asked=True)


def _asked(action: Action, centre: CentreServer, printer: _Printer) -> bool:
    """Shows what is asked for; False where the action is not a question."""
    match action.verb:
        case "stations":
            printer.lines(showing.stations(centre.stations(), printer.messages))
        case "last":
            printer.lines(showing.reports(centre.received(action.station, last=int(action.text)), printer.messages))
        case "answers":
            printer.lines(showing.exchanges(centre.answers(action.station), printer.messages))
        case "violations":
            printer.lines(showing.violations(centre.violations(action.station), printer.messages))
        case "report":
            printer.report(centre.report())
        case "help":
            styles = ", ".join(STYLES[centre.protocol])
            printer.lines(list(printer.messages.texts("simulated_centre.help", styles=styles)))
        case _:
            return False
    return True


class _Printer:
    """Shows events: JSON lines for machines, sentences for people. A lock keeps lines whole."""

    def __init__(self, messages: Messages, *, is_json: bool, is_quiet: bool) -> None:
        self.messages = messages
        self._is_json = is_json
        self._is_quiet = is_quiet
        self._lock = threading.Lock()

    def show(self, event: Mapping[str, Any], *, is_asked: bool = False) -> None:
        """One event; `is_asked`: the person at the console is told of it in any case."""
        if self._is_quiet and not is_asked and event["event"] != "platform.opened":
            return
        if self._is_json:
            self._print(json.dumps(event, ensure_ascii=False, default=str))
        else:
            self._print(self._sentence(event))

    def lines(self, found: list[str]) -> None:
        """What was asked for."""
        self._print("\n".join(found) or self.messages.text("simulated_centre.show.nothing"))

    def report(self, counts: dict[str, Any]) -> None:
        """The counts, always one line of JSON."""
        self._print(json.dumps({"event": "report.made", **counts}, ensure_ascii=False))

    def _sentence(self, event: Mapping[str, Any]) -> str:
        """An event said; one that can mean two things has a sentence for each."""
        name, shown = event["event"], dict(event)
        if name == "order.refused":
            text = self.messages.text(f"simulated_centre.{name}", detail=sentence_of(event, self.messages))
            return "\n".join(each for line in text.split("\n") for each in page.wrapped(line, self.messages.width))
        if name == "report.received":
            shown["shown"] = showing.shown_values(event["values"])
            name = "report.repeated" if event["repeated"] else name
        elif name == "report.replied":
            name = name if event["settles"] else "report.ignored"
        elif name == "violation.found":
            name = "violation.failed" if event["is_failed"] else "violation.differs"
            shown["sentence"] = showing.sentence_of(event["code"], event["arguments"], self.messages)
            shown["station"] = event["station"] or "?"
            shown["clause"] = showing.rule(event["clause"], self.messages)
            return self.messages.text(f"simulated_centre.{name}", **shown) + f"\n  {showing.proof(event['hex'])}"
        elif name == "station.said":
            shown["word"] = showing.said(event["word"], self.messages)
        return self.messages.text(f"simulated_centre.{name}", **shown)

    def _print(self, line: str) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError):  # nobody reads any more; the centre goes on
            print(line, flush=True)
