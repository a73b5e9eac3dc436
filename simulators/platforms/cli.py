"""`qushui-sim platform`: the far ends of the uplinks. Here MQTT, with orders on stdin and events on stdout."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.messages import LANGUAGES, Messages, language_of
from simulators.platforms.centre import cli as centres
from simulators.platforms.mqtt import MqttPlatform
from simulators.platforms.mqtt_behaviour import OrderError
from simulators.truth import wrong_values

_DONE = 0
_FIELD_SAYS_NO = 1
_INPUT_IS_WRONG = 2
_WRONG_SHOWN = 20


def add_arguments(subparsers: Any) -> None:
    """Adds `platform` and its protocols to the command line; `arguments.run(arguments)` carries it out."""
    platform = subparsers.add_parser("platform", help="a platform's receiver / 平台接收端")
    protocols = platform.add_subparsers(dest="protocol", required=True)
    centres.add_arguments(protocols)
    mqtt = protocols.add_parser("mqtt", help="MQTT 3.1.1, 5.0")
    mqtt.add_argument("--host", default="127.0.0.1")
    mqtt.add_argument("--port", type=int, default=0, help="0: any free one / 任意空闲端口")
    mqtt.add_argument("--store", type=Path, metavar="FILE.sqlite", help="keep what arrives / 保存收到的数据")
    mqtt.add_argument("--prefix", default="qushui", help="first level of the topics / 主题前缀")
    mqtt.add_argument("--truth", type=Path, metavar="FILE", help="what the plant served / 泵房真值记录")
    mqtt.add_argument("--user", help="only this user / 只允许此用户")
    mqtt.add_argument("--password-file", type=Path, metavar="FILE")
    mqtt.add_argument("--order", action="append", default=[], metavar="JSON", help='e.g. \'{"ack": "drop"}\'')
    mqtt.add_argument("--json", action="store_true", help="events as JSON lines / 以 JSON 行输出事件")
    mqtt.add_argument("--quiet", action="store_true", help="only reports / 只输出统计")
    mqtt.add_argument("--lang", choices=LANGUAGES)
    mqtt.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM, SIGINT or an order to stop; ends with a report.

    Exit status 1 when what was received has to be complained about or is not what the plant served, 2 when it could
    not start.
    """
    messages = Messages(arguments.lang or language_of(os.environ))
    printer = _Printer(messages, is_json=arguments.json, is_quiet=arguments.quiet)
    try:
        platform = _platform(arguments, printer)
    except (OSError, OrderError, ValueError, OverflowError) as error:
        print(messages.text("platform.cannot_start", detail=str(error)), file=sys.stderr)
        return _INPUT_IS_WRONG
    stop = threading.Event()
    _stop_on_signals(stop, platform.wake)
    printer.show({"event": "platform.opened", "host": platform.address[0], "port": platform.address[1]})
    threading.Thread(target=_obey, args=(platform, printer, stop, arguments.truth), daemon=True).start()
    platform.run(stop)
    report = _report(platform, arguments.truth)
    platform.close()
    printer.report(report)
    return _FIELD_SAYS_NO if report["complaints"] or report.get("wrong_values") else _DONE


def _report(platform: MqttPlatform, truth: Path | None) -> dict[str, Any]:
    """The platform's counts; with a journal also `wrong_values`, and the first of them in full."""
    report = platform.report()
    if truth is not None:
        wrong = wrong_values(platform.rounds(), truth)
        report |= {"wrong_values": len(wrong), "wrong": [asdict(each) for each in wrong[:_WRONG_SHOWN]]}
    return report


def _platform(arguments: argparse.Namespace, printer: _Printer) -> MqttPlatform:
    users = {}
    if arguments.user is not None:
        users[arguments.user] = arguments.password_file.read_bytes().rstrip(b"\r\n") if arguments.password_file else b""
    platform = MqttPlatform(
        host=arguments.host,
        port=arguments.port,
        store=arguments.store,
        prefix=arguments.prefix,
        users=users,
        emit=printer.show,
    )
    try:
        for text in arguments.order:
            platform.order(json.loads(text))
    except (ValueError, OrderError):
        platform.close()
        raise
    return platform


def _stop_on_signals(stop: threading.Event, wake: Callable[[], None]) -> None:
    def stopped(_number: int, _frame: object) -> None:
        stop.set()
        wake()

    signal.signal(signal.SIGTERM, stopped)
    signal.signal(signal.SIGINT, stopped)


def _obey(platform: MqttPlatform, printer: _Printer, stop: threading.Event, truth: Path | None) -> None:
    """Takes orders from stdin, a JSON object a line, until its end; the end of stdin is not the end of the platform."""
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            order = platform.order(json.loads(line))
        except (ValueError, RecursionError, OrderError) as error:
            printer.show({"event": "order.refused", "detail": str(error)})
            continue
        if order.is_report:
            printer.report(_report(platform, truth))
        if order.is_stop:
            stop.set()
            platform.wake()
            return


class _Printer:
    """Shows events: JSON lines for machines, sentences for people. A lock keeps lines whole."""

    def __init__(self, messages: Messages, *, is_json: bool, is_quiet: bool) -> None:
        self._messages = messages
        self._is_json = is_json
        self._is_quiet = is_quiet
        self._lock = threading.Lock()

    def show(self, event: dict[str, Any]) -> None:
        """One event."""
        if self._is_quiet and event["event"] != "platform.opened":
            return
        if self._is_json:
            self._print(json.dumps(event, ensure_ascii=False))
            return
        shown = dict(event)
        if event["event"] == "rounds.received":
            meters = sorted({each["meter"] for each in event["rounds"]})
            shown |= {"count": len(event["rounds"]), "meters": " ".join(meters)}
        self._print(self._messages.text(f"platform.{event['event']}", **shown))

    def report(self, counts: dict[str, Any]) -> None:
        """The counts, always one line of JSON."""
        self._print(json.dumps({"event": "report.made", **counts}, ensure_ascii=False))

    def _print(self, line: str) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError):  # nobody reads any more; the platform goes on
            print(line, flush=True)
