"""`qushui probe METER`: registers or data identifiers in every type and order, and which is the number displayed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent import page
from agent.asking import Place, asking_for, place_of, wire_of
from agent.client import DEFAULT_CONFIG, site_of
from agent.clock import SystemClock, sharpen_timers
from agent.config import load
from agent.control import ControlError, DaemonAwayError
from agent.form.problems import FormErrors
from agent.line.asking import Whom
from agent.line.ports import LineDownError, LineHeldError, WireSettings
from agent.messages import Messages, problem_lines, refusal_text
from agent.probe.fits import FEW_DIGITS, Row, Shown, fitting, rows_of, shown_of
from agent.probe.image import image_of
from agent.probe.reading import Probed, probed
from agent.quantities import QUANTITIES
from agent.settings import Config, SerialSettings
from agent.uplinks.registry import settings_models
from drivers.contract import NoValue, SpecError, WireCost
from drivers.registry import DRIVERS
from drivers.views import VIEWS

HELP_KEY = "cli.verb.probe"
_TABLES = ("holding", "input", "coil", "discrete")
_MOST_REGISTERS = 1000
_LAST_REGISTER = 0xFFFF
_COUNT = 20
_IDS = {"dlt645": "00010000,02010100,02020100,02030000", "cjt188": "901F"}
_WAIT_S = 1.0
_MARK = "◀"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("meter", nargs="?", metavar="METER", help="probe.meter")
    parser.add_argument("--line", metavar="PORT|LINE", help="probe.line_option")
    parser.add_argument("--address", metavar="ADDRESS", help="probe.address_option")
    parser.add_argument("--protocol", choices=tuple(VIEWS), help="probe.protocol_option")
    parser.add_argument("--baud", type=int, metavar="BAUD", help="probe.baud_option")
    parser.add_argument("--parity", choices=("none", "even", "odd"), help="probe.parity_option")
    parser.add_argument("--framing", choices=("rtu", "tcp"), help="scan.framing_option")
    parser.add_argument("--table", choices=_TABLES, default="holding", help="probe.table_option")
    parser.add_argument("--from", dest="first", type=_number, metavar="REGISTER", default=0, help="probe.from_option")
    parser.add_argument("--count", type=int, metavar="COUNT", default=_COUNT, help="probe.count_option")
    parser.add_argument("--id", dest="ids", metavar="LIST", help="probe.id_option")
    parser.add_argument("--shows", metavar="NUMBER", help="probe.shows_option")
    parser.add_argument("--quantity", choices=tuple(QUANTITIES), metavar="QUANTITY", help="probe.quantity_option")
    parser.add_argument("--all", action="store_true", help="probe.all_option")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def _number(text: str) -> int:
    return int(text, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """The meter that is probed."""

    place: Place
    protocol: str
    address: str
    serial: SerialSettings
    wire: WireSettings
    limits: Mapping[str, Any]


class _WrongError(Exception):
    """Wrong input; the text says what."""


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0 when something was read (and fits, with --shows); 1 when not, or the line is away; 2 for wrong input."""
    try:
        shown = None if arguments.shows is None else _shown(arguments.shows, out)
        target = _target(arguments, _config(arguments.config), out)
        found = _read(target, _where(target, arguments, out), arguments, out)
    except FormErrors as errors:
        print("\n".join(problem_lines(out, errors.problems)), file=sys.stderr)
        return 2
    except _WrongError as error:
        print(error, file=sys.stderr)
        return 2
    if found is None:
        return 1
    return _conclude(target, found, shown, arguments, out)


def _shown(text: str, out: Messages) -> Shown:
    try:
        return shown_of(text)
    except ValueError as error:
        raise _WrongError(out.text("cli.wrong.value", name="--shows", value=text)) from error


def _config(path: Path) -> Config | None:
    """The configuration, if there is one. Raises FormErrors."""
    return load(path, drivers=DRIVERS, uplink_settings=settings_models()) if path.exists() else None


def _target(arguments: argparse.Namespace, config: Config | None, out: Messages) -> _Target:
    """Who is meant. Raises _WrongError."""
    if arguments.meter is not None:
        meter = None if config is None else config.meters.get(arguments.meter)
        if meter is None or config is None:
            known = " ".join(config.meters) if config is not None else "-"
            raise _WrongError(out.text("read.no_meter", value=arguments.meter, known=known))
        place, profile = Place(line=config.lines[meter.line], is_configured=True), config.profiles[meter.profile]
        protocol, address, limits = profile.protocol, meter.address, profile.limits
        serial = SerialSettings(baud=meter.baud, parity=meter.parity, stop_bits=meter.stop_bits)
        extra_ms = meter.silence_ms
    else:
        if arguments.line is None or arguments.address is None:
            raise _WrongError(out.text("probe.which"))
        named = place_of(arguments.line, config, framing=arguments.framing)
        if named is None:
            known = " ".join(config.lines) if config is not None else "-"
            raise _WrongError(out.text("scan.no_place", value=arguments.line, known=known))
        place, protocol, address, limits = named, arguments.protocol or "modbus", arguments.address, {}
        serial = SerialSettings(baud=place.line.baud, parity=place.line.parity, stop_bits=place.line.stop_bits)
        extra_ms = place.line.silence_ms
    serial = replace(serial, baud=arguments.baud or serial.baud, parity=arguments.parity or serial.parity)
    wire = replace(wire_of(serial, place.line), extra_silence_s=extra_ms / 1000)
    return _Target(place=place, protocol=protocol, address=address, serial=serial, wire=wire, limits=limits)


def _where(target: _Target, arguments: argparse.Namespace, out: Messages) -> dict[str, Any]:
    """What is read. Raises _WrongError."""
    if target.protocol != "modbus":
        return {"ids": (arguments.ids or _IDS[target.protocol]).upper().split(",")}
    is_whole = arguments.first >= 0 and 0 < arguments.count <= _MOST_REGISTERS
    if not is_whole or arguments.first + arguments.count - 1 > _LAST_REGISTER:
        value = f"{arguments.first} {arguments.count}"
        raise _WrongError(out.text("cli.wrong.value", name="--from --count", value=value))
    return {"table": arguments.table, "from": arguments.first, "count": arguments.count}


def _read(
    target: _Target, where: Mapping[str, Any], arguments: argparse.Namespace, out: Messages
) -> tuple[Probed, str] | None:
    """What came, and when; None after saying why nothing could. Raises _WrongError."""
    sharpen_timers()
    clock, line = SystemClock("host"), target.place.line
    try:
        driver = DRIVERS[target.protocol](framing=line.framing, cost=WireCost())
        bundles = [(driver.item(spec),) for spec in VIEWS[target.protocol].questions(where)]
        asks = driver.plan(target.address, bundles, target.limits)
    except SpecError as error:
        raise _WrongError(out.text(f"form.{error.code}", **{"key": error.key, **error.arguments})) from error
    whom = Whom(protocol=target.protocol, address=target.address, wire=target.wire)
    try:
        with closing(asking_for(target.place, site_of(arguments.config), clock=clock)) as asking:
            at = clock.now().astimezone(site_of(arguments.config).timezone).isoformat(timespec="seconds")
            return probed(asks, whom, asking, clock=clock, wait_s=max(_WAIT_S, line.timeout_s)), at
    except LineHeldError as error:
        trouble = refusal_text(out, "LINE_HELD", {"line": line.name, "holder": error.holder})
    except LineDownError as error:
        trouble = refusal_text(out, "LINE_DOWN", {"line": line.name, "detail": error.detail})
    except ControlError as refused:
        trouble = refusal_text(out, refused.code, refused.arguments)
    except DaemonAwayError:
        trouble = out.text("scan.daemon_left")
    except PermissionError:
        trouble = out.text("cli.not_permitted")
    print(trouble, file=sys.stderr)
    return None


# --- telling


def _conclude(
    target: _Target, found: tuple[Probed, str], shown: Shown | None, arguments: argparse.Namespace, out: Messages
) -> int:
    result, at = found
    driver = DRIVERS[target.protocol]()
    image = image_of(result.exchanges, driver)
    rows = rows_of(VIEWS[target.protocol].specs(image), image, driver, shown)
    marked = fitting(rows)
    if arguments.json:
        print(json.dumps(_document(target, result, at, rows, arguments), ensure_ascii=False, indent=2))
    else:
        _show(rows, marked, arguments, out)
    _advise(result, marked, shown, arguments, out)
    return int(not result.exchanges or (shown is not None and not marked))


def _show(rows: Sequence[Row], marked: Sequence[Row], arguments: argparse.Namespace, out: Messages) -> None:
    headers = [out.text(f"probe.column.{each}") for each in ("where", "type", "raw", "value", "fit")]
    pairs = [row for row in rows if len(row.specs) > 1]
    wanted = [row for row in rows if row.is_plausible or row.fit is not None or arguments.all]
    if wanted:
        told = [_cells(row) for row in wanted if row not in pairs]
        print(page.table([*told, *(_cells(row) for row in pairs)], headers, right=[3]))
    if marked:
        print("\n" + out.text("probe.fits", value=arguments.shows))
        print(page.table([_cells(row) for row in marked], headers, right=[3]))


def _cells(row: Row) -> list[str]:
    value = "-" if isinstance(row.value, NoValue) else _plain(row.value)
    mark = "" if row.fit is None else f"{_MARK} × {_plain(row.fit)}" if row.fit != 1 else _MARK
    return [_place_text(row), _type_text(row), row.raw.hex(" ").upper(), value, mark]


def _plain(value: Decimal) -> str:
    """At most 17 digits, without an exponent unless it is needed."""
    return f"{value.normalize():.17g}" if value else "0"


def _place_text(row: Row) -> str:
    spec = row.specs[0]
    if "register" in spec:
        return f"{spec['table']} {spec['register']}"
    return " ".join(str(spec[key]) for key in ("id", "at", "place") if key in spec)


def _type_text(row: Row) -> str:
    return " + ".join(
        " ".join(str(spec[key]) for key in ("type", "field", "size", "order") if key in spec)
        + (" signed" if spec.get("signed") else "")
        + ("" if scale == 1 else f" × {_plain(scale)}")
        for spec, scale in zip(row.specs, row.scales, strict=True)
    )


def _document(
    target: _Target, result: Probed, at: str, rows: Sequence[Row], arguments: argparse.Namespace
) -> dict[str, Any]:
    """The result for machines, and for `qushui profiles new --from-probe`."""
    places = {id(row): place for place, row in enumerate(fitting(rows), 1)}
    return {
        "line": target.place.line.name,
        "protocol": target.protocol,
        "address": target.address,
        "baud": target.serial.baud,
        "parity": target.serial.parity,
        "at": at,
        "shows": arguments.shows,
        "quantity": arguments.quantity,
        "refused": result.refused,
        "exchanges": [
            {"request_hex": asked.hex(" "), "reply_hex": reply.hex(" ")} for asked, reply in result.exchanges
        ],
        "rows": [
            {
                "place": places.get(id(row)),
                "text": f"{_place_text(row)} {_type_text(row)}",
                "specs": [dict(spec) for spec in row.specs],
                "scales": [f"{scale:f}" for scale in row.scales],
                "raw_hex": row.raw.hex(" "),
                "value": None if isinstance(row.value, NoValue) else f"{row.value:f}",
                "plausible": row.is_plausible,
                "fit": None if row.fit is None else f"{row.fit:f}",
            }
            for row in rows
            if row.is_plausible or row.fit is not None or arguments.all
        ],
    }


def _advise(
    result: Probed, marked: Sequence[Row], shown: Shown | None, arguments: argparse.Namespace, out: Messages
) -> None:
    advice = []
    if not result.exchanges and result.refused:
        advice.append(out.text("probe.refused"))
    elif not result.exchanges:
        advice.append(out.text("probe.error", detail=result.error.detail) if result.error else out.text("probe.silent"))
    elif result.refused:
        advice.append(out.text("probe.partly", count=result.refused))
    if shown is not None and result.exchanges:
        if shown.digits < FEW_DIGITS:
            advice.append(out.text("probe.few_digits", value=arguments.shows))
        if not marked:
            advice.append(out.text("probe.no_fit", value=arguments.shows))
        elif not arguments.json:
            advice.append(out.text("probe.next"))
    for text in advice:
        print("\n" + "\n".join(page.wrapped(text, out.width)), file=sys.stderr)
