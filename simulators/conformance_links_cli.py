"""`qushui-sim conformance station|platform sl651|szy206`: we play the other end, pass or fail with the clause."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from agent.messages import Messages, language_of
from simulators.conformance import platform_cases, station_cases
from simulators.conformance.link_runner import run
from simulators.conformance.output import (
    FIELD_SAYS_NO,
    INPUT_IS_WRONG,
    InputError,
    add_reports,
    check_files,
    reported,
    say,
)
from simulators.conformance.platform_link import PlatformLink
from simulators.conformance.platform_sides import SL651, SZY206_SHEET, side_of
from simulators.conformance.report import Run, Subject
from simulators.conformance.station_link import StationLink
from simulators.conformance.verdict import Case
from simulators.conformance.wire import WireError
from simulators.platforms.centre.behaviour import Protocol
from simulators.platforms.centre.protocols import KINDS
from simulators.stations import cli as stations_cli
from simulators.stations.cli import duration
from simulators.stations.links import LAST_STATION

_SOURCES = {"sl651": SL651, "szy206": "SZY206-2016, SL/T 427-2021"}
_STANDARDS = {"sl651": SL651, "szy206": SZY206_SHEET}


def add_arguments(kinds: Any) -> None:
    """Adds `station` and `platform` to `conformance`."""
    station = kinds.add_parser("station", help="a station that dials in / 拨入的遥测站")
    for protocol, parser in _protocols(station):
        parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="where it dials / 监听地址")
        parser.add_argument("--station", default="", metavar="HEX", help="its address; else any / 站地址，缺省不限")
        parser.add_argument("--timeout", type=duration, default=10.0, metavar="S", help="of an answer / 应答时限")
        parser.add_argument("--report", type=duration, default=3700.0, metavar="S", help="a report within / 等待一份报")
        parser.add_argument("--repeat", type=duration, default=30.0, metavar="S", help="a repeat within / 等待重发")
        parser.add_argument("--idle", type=duration, default=70.0, metavar="S", help="a keep-alive within / 等待保活")
        parser.add_argument("--outage", type=duration, default=0.0, metavar="S", help="cut it off so long / 断开时长")
        if protocol == "szy206":
            parser.add_argument("--password", default="0000", metavar="HEX", help="of settings / 设置命令的密码")
        add_reports(parser)
        parser.set_defaults(run=run_station)
    platform = kinds.add_parser("platform", help="a platform that listens / 监听的平台")
    for protocol, parser in _protocols(platform):
        parser.add_argument("place", metavar="HOST:PORT", help="the platform / 平台地址")
        stations_cli.add_link(parser, protocol)
        parser.add_argument("--stations", type=int, default=20, metavar="N", help="at once / 同时在线站数")
        add_reports(parser)
        parser.set_defaults(run=run_platform)


def _protocols(parser: Any) -> list[tuple[str, Any]]:
    protocols = parser.add_subparsers(dest="protocol", required=True)
    return [(name, protocols.add_parser(name, help=title)) for name, title in _SOURCES.items()]


def run_station(arguments: argparse.Namespace) -> int:
    """Tests one station. Exit status 1 when a test failed, 2 for wrong input."""
    messages = Messages(arguments.lang or language_of(os.environ))
    protocol = Protocol(arguments.protocol)
    try:
        check_files(arguments)
        options = replace(KINDS[protocol].options(), timeout_s=arguments.timeout)
        if protocol is Protocol.SZY206:
            options = replace(options, password=stations_cli.hex_of("--password", arguments.password, 4))
        station = stations_cli.hex_of("--station", arguments.station, 10) if arguments.station else ""
        link = StationLink(
            protocol=protocol, address=stations_cli.place_of(arguments.listen), options=options, station=station,
            limit_s=arguments.timeout, report_s=arguments.report, repeat_s=arguments.repeat, idle_s=arguments.idle,
            outage_s=arguments.outage,
        )  # fmt: skip
        link.listen()
    except (InputError, stations_cli.InputError) as error:
        return _refused(messages, error)
    except WireError as error:
        print(messages.text("conformance.cannot-open", place=arguments.listen, detail=str(error)), file=sys.stderr)
        return FIELD_SAYS_NO
    place = f"{link.address[0]}:{link.address[1]}"
    try:
        return _tested(arguments, messages, link, station_cases.CASES[protocol], kind="station", place=place)
    finally:
        link.close()


def run_platform(arguments: argparse.Namespace) -> int:
    """Tests one platform. Exit status 1 when a test failed, 2 for wrong input."""
    messages = Messages(arguments.lang or language_of(os.environ))
    try:
        check_files(arguments)
        address, stations = stations_cli.place_of(arguments.place), stations_cli.link_of(arguments)
        _check_stations(arguments.stations)
    except (InputError, stations_cli.InputError) as error:
        return _refused(messages, error)
    link = PlatformLink(address=address, side=side_of(stations), limit_s=arguments.timeout, stations=arguments.stations)
    try:
        cases = platform_cases.CASES[arguments.protocol]
        return _tested(arguments, messages, link, cases, kind="platform", place=arguments.place)
    finally:
        link.close()


def _check_stations(count: int) -> None:
    if not 1 <= count <= LAST_STATION:
        raise InputError("number", name="--stations", value=count, least=1, most=LAST_STATION)


def _refused(messages: Messages, error: InputError | stations_cli.InputError) -> int:
    root = "conformance" if isinstance(error, InputError) else "stations"
    print(messages.text(f"{root}.wrong.{error.key}", **error.arguments), file=sys.stderr)
    return INPUT_IS_WRONG


def _tested(
    arguments: argparse.Namespace,
    messages: Messages,
    link: StationLink | PlatformLink,
    cases: Sequence[Case],
    *,
    kind: str,
    place: str,
) -> int:
    began, began_s = datetime.now(UTC).astimezone(), time.monotonic()
    say(messages, f"page-{kind}.begins", place=place, total=len(cases))

    def progress(at: int, total: int, case: Case) -> None:
        title = messages.text(f"conformance.case.{case.id}.title")
        say(messages, "link-progress", at=at, total=total, title=title, elapsed=f"{time.monotonic() - began_s:.0f}")

    try:
        outcomes = run(cases, link, progress=progress)
    except KeyboardInterrupt:
        print(messages.text("conformance.interrupted"), file=sys.stderr)
        return FIELD_SAYS_NO
    station = link.station if isinstance(link, StationLink) else arguments.station.upper()
    title = dict.fromkeys(("zh", "en"), f"{_SOURCES[arguments.protocol]} {place}")
    done = Run(
        place=place, settings=_SOURCES[arguments.protocol], address=station, began=began, expected_s=0.0,
        profile=Subject(
            name=arguments.protocol, protocol=arguments.protocol, source=_STANDARDS[arguments.protocol], title=title
        ),
        took_s=time.monotonic() - began_s, is_strict=arguments.strict, version=version("qushui"), outcomes=outcomes,
        kind=kind,
    )  # fmt: skip
    return reported(arguments, done, messages)
