"""`qushui-sim station sl651|szy206 HOST:PORT`: one or thousands of stations against a platform."""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agent.messages import LANGUAGES, Messages, language_of
from agent.uplinks.sl651.options import WireOptions as Sl651Options
from agent.uplinks.sl651_wire.codes import Encoding
from agent.uplinks.szy206.options import WireOptions as Szy206Options
from agent.uplinks.szy206_wire.names import Edition, FlowBlock
from simulators.stations.behaviour import Behaviour, shares_of
from simulators.stations.crowd import Crowd, CrowdError
from simulators.stations.links import DEFAULT_STATION, LAST_STATION, LINKS, Link, Sl651Link, Szy206Link
from simulators.stations.making import many
from simulators.stations.station import Plan
from simulators.stations.tally import Tally

_DONE = 0
_FIELD_SAYS_NO = 1
_INPUT_IS_WRONG = 2
_HOST_PORT = re.compile(r"\[?([0-9A-Za-z._:-]+?)\]?:([0-9]{1,5})")
_LAST_PORT = 65535
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_HEX = re.compile(r"[0-9A-Fa-f]+")
_STATION_DIGITS, _PASSWORD_DIGITS = 10, 4
LAST_CENTRE = 255
_TROUBLES: Mapping[int, str] = MappingProxyType(
    {
        errno.ECONNREFUSED: "refused",
        errno.ETIMEDOUT: "silent",
        errno.ENETUNREACH: "no-route",
        errno.EHOSTUNREACH: "no-route",
    }
)


def add_arguments(subparsers: Any) -> None:
    """Adds `station` and its protocols to the command line; `arguments.run(arguments)` carries it out."""
    station = subparsers.add_parser("station", help="stations that report / 遥测站")
    protocols = station.add_subparsers(dest="protocol", required=True)
    for protocol in LINKS:
        parser = protocols.add_parser(protocol, help="SL 651-2014" if protocol == "sl651" else "SZY206, SL/T 427")
        parser.add_argument("place", metavar="HOST:PORT", help="the platform / 平台地址")
        add_link(parser, protocol)
        parser.add_argument("--stations", type=int, default=1, metavar="N", help="how many / 站数")
        parser.add_argument("--every", type=duration, default=60.0, metavar="60s", help="0: one after the other / 间隔")
        parser.add_argument("--reports", type=int, default=1, metavar="N", help="of each; 0: no end / 每站报数")
        parser.add_argument("--spread", type=duration, metavar="S", help="connect within / 在此时间内陆续连接")
        parser.add_argument("--late", type=duration, default=24 * 3600.0, metavar="1d", help="age of late data / 迟报")
        parser.add_argument("--pace", type=duration, default=60.0, metavar="60s", help="between single bytes / 逐字节")
        parser.add_argument("--behaviour", action="append", default=[], metavar="NAME[:PERCENT]", help=_behaviours())
        parser.add_argument("--quiet", action="store_true", help="only the result / 只输出结果")
        parser.add_argument("--lang", choices=LANGUAGES)
        parser.set_defaults(run=run)


def add_link(parser: argparse.ArgumentParser, protocol: str) -> None:
    """Adds what says how stations of a protocol talk; `link_of` reads it."""
    timeout_s = {"sl651": 20.0, "szy206": 10.0}[protocol]
    parser.add_argument("--station", default=DEFAULT_STATION[protocol], metavar="HEX", help="first address / 首站地址")
    parser.add_argument(
        "--timeout", type=duration, default=timeout_s, metavar="S", help="limit of an answer / 应答时限"
    )
    parser.add_argument("--keepalive", type=duration, default=60.0, metavar="S", help="while idle / 空闲保活间隔")
    if protocol == "sl651":
        parser.add_argument("--password", default="0000", metavar="HEX", help="密码")
        parser.add_argument("--centre", type=int, default=1, metavar="N", help="its number / 中心站地址")
        parser.add_argument("--ascii", action="store_true", help="ASCII 编码")
    else:
        parser.add_argument("--edition", choices=("206", "2021"), default="206")
        parser.add_argument("--flow-block", choices=tuple(FlowBlock), default="A", help="流量数据块")


def _behaviours() -> str:
    return f"{', '.join(Behaviour)} / 异常行为"


def duration(text: str) -> float:
    """Seconds of `500ms`, `60s`, `1m`, `2h`, `1d` or a plain number of seconds. Raises ArgumentTypeError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: 500ms, 60s, 5m, 1h, 1d")
    return float(match[1]) * _SECONDS[match[2]]


class InputError(Exception):
    """What was typed is wrong: the key of the sentence and its arguments."""

    def __init__(self, key: str, **arguments: object) -> None:
        super().__init__(key)
        self.key = key
        self.arguments = arguments


def place_of(text: str) -> tuple[str, int]:
    """IPv4 address and port of `HOST:PORT`. Raises InputError."""
    match = _HOST_PORT.fullmatch(text)
    if match is None or not 0 <= int(match[2]) <= _LAST_PORT:
        raise InputError("place", value=text)
    try:
        found = socket.getaddrinfo(match[1], int(match[2]), family=socket.AF_INET, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # no such name, or none that a name server could be asked for
        raise InputError("host", value=match[1], detail=str(error)) from error
    host, port = found[0][4][:2]
    return str(host), int(port)


def link_of(arguments: argparse.Namespace) -> Link:
    """How the stations talk. Raises InputError."""
    station = hex_of("--station", arguments.station, _STATION_DIGITS)
    if arguments.protocol == "szy206":
        return Szy206Link(
            Szy206Options(
                station=station, timeout_s=arguments.timeout, keepalive_s=arguments.keepalive,
                edition=Edition(arguments.edition), flow_block=FlowBlock(arguments.flow_block),
            )
        )  # fmt: skip
    password = hex_of("--password", arguments.password, _PASSWORD_DIGITS)
    within("--centre", arguments.centre, 0, LAST_CENTRE)
    return Sl651Link(
        Sl651Options(
            station=station, timeout_s=arguments.timeout, keepalive_s=arguments.keepalive,
            password=password, centre=arguments.centre,
            encoding=Encoding.ASCII if arguments.ascii else Encoding.BINARY,
        )
    )  # fmt: skip


def hex_of(name: str, text: str, digits: int) -> str:
    """Exactly so many hex digits, upper case. Raises InputError."""
    if len(text) != digits or _HEX.fullmatch(text) is None:
        raise InputError("hex", name=name, value=text, digits=digits)
    return text.upper()


def within(name: str, value: float, least: float, most: float) -> None:
    """Nothing, where a number is within its bounds. Raises InputError."""
    if not least <= value <= most:
        raise InputError("number", name=name, value=value, least=least, most=most)


def run(arguments: argparse.Namespace) -> int:
    """Plays the stations until all have reported, or a signal. Exit status 1: not all was acknowledged as it must."""
    messages = Messages(arguments.lang or language_of(os.environ))
    try:
        address, link, behaviours = place_of(arguments.place), link_of(arguments), _shares(arguments)
        _check(arguments, link)
    except InputError as error:
        print(messages.text(f"stations.wrong.{error.key}", **error.arguments), file=sys.stderr)
        return _INPUT_IS_WRONG
    tally = Tally()
    plan = Plan(every_s=arguments.every, reports=arguments.reports, pace_s=arguments.pace)
    spread_s = min(arguments.every, 60.0) if arguments.spread is None else arguments.spread
    stations = many(
        arguments.stations, link=link, first=arguments.station.upper(), plan=plan, tally=tally, shares=behaviours,
        spread_s=spread_s if arguments.stations > 1 else 0.0, late_s=arguments.late,
    )  # fmt: skip
    stop = _stop_on_signals()

    def progress(left: int) -> None:
        if not arguments.quiet:
            failed = _failed(tally, messages) if tally.failed_connections else ""
            line = messages.text("stations.progress", left=left, **tally.as_json()) + failed
            print(line, file=sys.stderr, flush=True)

    began_s = time.monotonic()
    try:
        Crowd(address, stations, tally).run(stop.is_set, progress)
    except CrowdError as error:
        print(messages.text("stations.cannot-begin", detail=str(error)), file=sys.stderr)
        return _INPUT_IS_WRONG
    result = {"event": "stations.done", **tally.as_json(), "seconds": round(time.monotonic() - began_s, 1)}
    if not arguments.quiet:
        print("\n".join(_verdict(tally, arguments, messages)), file=sys.stderr, flush=True)
    print(json.dumps(result), flush=True)
    return _DONE if tally.is_good and tally.connections else _FIELD_SAYS_NO


def _failed(tally: Tally, messages: Messages) -> str:
    """How many connections could not be made, and why the last one."""
    reason = messages.text(f"stations.trouble.{_TROUBLES.get(tally.connect_error, 'other')}")
    return messages.text("stations.failed", count=tally.failed_connections, reason=reason)


def _verdict(tally: Tally, arguments: argparse.Namespace, messages: Messages) -> list[str]:
    """What came of the run, in words: what is good, or what is not and what to look at next."""
    counts: dict[str, Any] = {**tally.as_json(), "protocol": arguments.protocol, "place": arguments.place}
    if not tally.connections:
        return [messages.text("stations.verdict.nobody", **counts) + _failed(tally, messages)]
    found = [name for name in ("unanswered", "wrongly_acknowledged") if counts[name]]
    if not found:
        return [messages.text("stations.verdict.good", **counts)]
    found += [name for name in ("lost", "violations") if counts[name]]
    return [messages.text(f"stations.verdict.{name}", **counts) for name in (*found, "try")]


def _shares(arguments: argparse.Namespace) -> Any:
    try:
        return shares_of(arguments.behaviour)
    except ValueError as error:
        raise InputError("behaviour", value=str(error), allowed=" ".join(Behaviour)) from error


def _check(arguments: argparse.Namespace, link: Link) -> None:
    numbers = (
        ("--stations", arguments.stations, 1, LAST_STATION),
        ("--reports", arguments.reports, 0, 10**9),
        ("--timeout", arguments.timeout, 0.1, 3600),
        ("--keepalive", arguments.keepalive, 0.1, 86400),
        ("--pace", arguments.pace, 0, 3600),
    )
    for name, value, least, most in numbers:
        within(name, value, least, most)
    is_forged = any(text.startswith(Behaviour.WRONG_PASSWORD) for text in arguments.behaviour)
    if is_forged and not link.has_password:
        raise InputError("no-password", protocol=link.protocol)
    if not arguments.reports and not arguments.every:
        raise InputError("endless")


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stop.set())
    return stop
