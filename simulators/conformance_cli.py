"""`qushui-sim conformance meter PORT|HOST:PORT --profile P --address A`: pass or fail, with the clause.

Of meters it only reads: no register is written and no clock is set, whatever the meter does.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent.form.problems import FormErrors
from agent.messages import Messages, language_of, problem_lines
from agent.profiles import Library
from agent.settings import Profile
from drivers.contract import SpecError
from drivers.registry import DRIVERS
from simulators import conformance_links_cli
from simulators.conformance.output import (
    FIELD_SAYS_NO,
    INPUT_IS_WRONG,
    InputError,
    add_reports,
    check_files,
    reported,
    say,
)
from simulators.conformance.report import Run
from simulators.conformance.runner import CASES, cases_for, expected_s, run
from simulators.conformance.session import Session, planned
from simulators.conformance.verdict import GATEWAY, SERIAL_PORT, TCP_METER, Case
from simulators.conformance.wire import SerialWire, TcpWire, Wire, WireError, be_punctual

_HOST_PORT = re.compile(r"\[?([0-9A-Za-z._:-]+?)\]?:([0-9]{1,5})")
_LAST_PORT = 65535
_PARITIES = ("none", "even", "odd")


def add_arguments(subparsers: Any) -> None:
    """Adds `conformance` to the command line; `arguments.run(arguments)` carries it out."""
    parser = subparsers.add_parser("conformance", help="pass or fail, with the clause / 一致性测试")
    kinds = parser.add_subparsers(dest="kind", required=True)
    meter = kinds.add_parser("meter", help="a real or simulated meter; reads only / 表计，只读不写")
    meter.add_argument("place", metavar="PORT|HOST:PORT", help="serial port or TCP endpoint / 串口或 TCP 地址")
    meter.add_argument("--profile", required=True, metavar="NAME|FILE", help="what it is / 表型名或表型文件")
    meter.add_argument("--address", required=True, help="its address / 表地址")
    meter.add_argument("--profiles", type=Path, metavar="DIR", help="profiles of your own / 自己的表型目录")
    meter.add_argument("--baud", type=int, help="default as the profile says / 默认按表型")
    meter.add_argument("--parity", choices=_PARITIES)
    meter.add_argument("--stop-bits", type=int, choices=(1, 2))
    meter.add_argument("--framing", choices=("rtu", "tcp"), help="rtu: behind a serial server / rtu：透明串口服务器")
    meter.add_argument("--timeout", type=float, default=1.0, metavar="S", help="limit of an answer / 应答时限（秒）")
    meter.add_argument("--watch", type=float, default=10.0, metavar="S", help="watch totals for S seconds / 观察累计量")
    meter.add_argument("--echo", action="store_true", help="the adapter hears itself / 转换器有回显")
    add_reports(meter)
    meter.set_defaults(run=run_meter)
    conformance_links_cli.add_arguments(kinds)


def run_meter(arguments: argparse.Namespace) -> int:
    """Tests one meter. Exit status 1 when a test failed or the port cannot be had, 2 for wrong input."""
    messages = Messages(arguments.lang or language_of(os.environ))
    try:
        profile = _profile(arguments)
        where = _where(arguments, profile)
        _check(arguments, profile, where)
    except FormErrors as errors:
        print(*problem_lines(messages, errors.problems), sep="\n", file=sys.stderr)
        return INPUT_IS_WRONG
    except SpecError as error:
        print(messages.text(f"form.{error.code}", key=error.key, **error.arguments), file=sys.stderr)
        return INPUT_IS_WRONG
    except InputError as error:
        print(messages.text(f"conformance.wrong.{error.key}", **error.arguments), file=sys.stderr)
        return INPUT_IS_WRONG
    be_punctual()
    try:
        wire = _wire(arguments, profile, where)
    except WireError as error:
        print(messages.text("conformance.cannot-open", place=arguments.place, detail=str(error)), file=sys.stderr)
        return FIELD_SAYS_NO
    try:
        return _tested(arguments, profile, where, wire, messages)
    except KeyboardInterrupt:
        print(messages.text("conformance.interrupted"), file=sys.stderr)
        return FIELD_SAYS_NO
    finally:
        wire.close()


def _profile(arguments: argparse.Namespace) -> Profile:
    """The profile by name, or from the file given. Raises FormErrors."""
    directories = [arguments.profiles] if arguments.profiles else []
    name = arguments.profile
    if name.endswith(".yaml"):
        file = Path(name)
        if not file.is_file():
            raise InputError("no-file", file=name)
        directories, name = [file.parent, *directories], file.stem
    return Library(drivers=DRIVERS, directories=directories).load(name)


def _where(arguments: argparse.Namespace, profile: Profile) -> str:
    match = None if "/" in arguments.place else _HOST_PORT.fullmatch(arguments.place)
    if match is None:
        if arguments.framing == "tcp":
            raise InputError("framing-on-port", place=arguments.place)
        return SERIAL_PORT
    if int(match[2]) > _LAST_PORT:
        raise InputError("place", place=arguments.place)
    return TCP_METER if (arguments.framing or ("tcp" if profile.protocol == "modbus" else "rtu")) == "tcp" else GATEWAY


def _framing(where: str) -> str:
    return "tcp" if where == TCP_METER else "rtu"


def _check(arguments: argparse.Namespace, profile: Profile, where: str) -> None:
    """What can be wrong before anything is opened. Raises SpecError for the address."""
    if profile.protocol not in CASES:
        raise InputError("protocol", protocol=profile.protocol, allowed=" ".join(CASES))
    if not profile.entries:
        raise InputError("no-items", profile=profile.name)
    planned(profile, arguments.address, _framing(where))
    if not arguments.address.isdigit():
        raise InputError("wildcard", address=arguments.address)
    numbers = (
        ("timeout", arguments.timeout, 0.01, 60),
        ("watch", arguments.watch, 0, 3600),
        ("baud", arguments.baud or profile.line.baud, 300, 921600),
    )
    for name, value, least, most in numbers:
        if not least <= value <= most:
            raise InputError("number", name=f"--{name}", value=value, least=least, most=most)
    check_files(arguments)


def _wire(arguments: argparse.Namespace, profile: Profile, where: str) -> Wire:
    extra_s = profile.silence_ms / 1000
    if where != SERIAL_PORT:
        match = _HOST_PORT.fullmatch(arguments.place)
        assert match is not None
        return TcpWire(match[1], int(match[2]), extra_silence_s=extra_s)
    return SerialWire(arguments.place, **_serial(arguments, profile), extra_silence_s=extra_s)


def _serial(arguments: argparse.Namespace, profile: Profile) -> dict[str, Any]:
    return {
        "baud": arguments.baud or profile.line.baud,
        "parity": arguments.parity or profile.line.parity,
        "stop_bits": arguments.stop_bits or profile.line.stop_bits,
    }


def _settings(arguments: argparse.Namespace, profile: Profile, where: str) -> str:
    if where != SERIAL_PORT:
        return f"TCP, {_framing(where)}"
    serial = _serial(arguments, profile)
    return f"{serial['baud']} 8{serial['parity'][0].upper()}{serial['stop_bits']}"


def _tested(arguments: argparse.Namespace, profile: Profile, where: str, wire: Wire, messages: Messages) -> int:
    session = Session(
        wire=wire, framing_name=_framing(where), where=where, profile=profile, address=arguments.address,
        limit_s=arguments.timeout, watch_s=arguments.watch, has_echo=arguments.echo,
    )  # fmt: skip
    expected, began, began_s = expected_s(session), datetime.now(UTC).astimezone(), time.monotonic()
    say(messages, "begins", place=arguments.place, total=len(cases_for(session)), seconds=f"{expected:.0f}")

    def progress(at: int, total: int, case: Case) -> None:
        title = messages.text(f"conformance.case.{case.id}.title")
        elapsed = f"{time.monotonic() - began_s:.0f}"
        say(messages, "progress", at=at, total=total, title=title, elapsed=elapsed, seconds=f"{expected:.0f}")

    outcomes = run(session, progress=progress)
    done = Run(
        place=arguments.place, settings=_settings(arguments, profile, where), address=arguments.address,
        profile=profile, began=began, expected_s=expected, took_s=time.monotonic() - began_s,
        is_strict=arguments.strict, version=version("qushui"), outcomes=outcomes,
    )  # fmt: skip
    return reported(arguments, done, messages)
