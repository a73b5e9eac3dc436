"""`qushui scan [PORT|LINE]`: finds the meters of a bus and names their profiles; without one, lists the ports."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent import page
from agent.asking import Place, asking_for, place_of
from agent.board import look_at_ports, stable_name
from agent.client import DEFAULT_CONFIG, Site, site_of
from agent.clock import SystemClock, sharpen_timers
from agent.config import PROFILES, load
from agent.control import ControlError, DaemonAwayError
from agent.form.problems import FormErrors
from agent.line.ports import LineDownError, LineHeldError
from agent.messages import Messages, problem_lines, refusal_text
from agent.profiles import Library
from agent.quantities import QUANTITIES
from agent.scan.draft import DraftLine, draft
from agent.scan.found import FoundMeter
from agent.scan.identify import Candidate
from agent.scan.interpret import findings
from agent.scan.job import Advanced, Event, Identified, Narrowed
from agent.scan.plan import EXPECTED_METERS, Wanted, numbers_in, wholes_in
from agent.scanning import LineScan, meter_json, protocols
from agent.settings import Config, SerialSettings
from agent.uplinks.registry import settings_models
from drivers.contract import SpecError
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.scan"
_ADDRESSES = "1-32"
_LAST_ADDRESS = 247
_BAUDS = (300, 600, 1200, 2400, 4800, 9600, 14400, 19200, 38400, 57600, 115200)
_PARITIES = ("none", "even", "odd")
_STATION = "station-1"
_MOST_VALUES = 2
_MINUTE_S = 100  # from there on minutes are easier to grasp


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("place", nargs="?", metavar="PORT|LINE", help="scan.place")
    parser.add_argument("--protocol", metavar="LIST", help="scan.protocol_option")
    parser.add_argument("--address", metavar="LIST", default=_ADDRESSES, help="scan.address_option")
    parser.add_argument("--baud", metavar="LIST", help="scan.baud_option")
    parser.add_argument("--parity", metavar="LIST", help="scan.parity_option")
    parser.add_argument("--framing", choices=("rtu", "tcp"), help="scan.framing_option")
    parser.add_argument("--quick", action="store_true", help="scan.quick_option")
    parser.add_argument("--draft", type=Path, metavar="FILE", help="scan.draft_option")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0 when a meter was found, or ports were listed; 1 when none answered or the line is away; 2 for wrong input."""
    config = _config(arguments.config, out)
    site = site_of(arguments.config)
    if arguments.place is None:
        _list(site, config, arguments.json, out)
        return 0
    place = place_of(arguments.place, config, framing=arguments.framing)
    if place is None:
        known = " ".join(config.lines) if config is not None else "-"
        print(out.text("scan.no_place", value=arguments.place, known=known), file=sys.stderr)
        return 2
    if arguments.draft is not None and arguments.draft.exists():
        print(out.text("scan.draft_exists", path=arguments.draft), file=sys.stderr)
        return 2
    try:
        wanted = _wanted(arguments)
    except _WrongOptionError as error:
        print(out.text("cli.wrong.value", name=error.option, value=error.value), file=sys.stderr)
        return 2
    return _scan(_Task(place, wanted, site, config, arguments, out))


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be done, and for whom."""

    place: Place
    wanted: Wanted
    site: Site
    config: Config | None
    arguments: argparse.Namespace
    out: Messages

    def name_of(self, meter: FoundMeter) -> str | None:
        """What the configuration calls this meter."""
        config, place = self.config, self.place
        if config is None or not place.is_configured:
            return None
        for each in config.meters.values():
            is_same = each.line == place.line.name and each.address.lstrip("0") == meter.address.lstrip("0")
            if is_same and config.profiles[each.profile].protocol == meter.protocol:
                return each.name
        return None


class _WrongOptionError(Exception):
    def __init__(self, option: str, value: str) -> None:
        super().__init__(f"{option} {value}")
        self.option = option
        self.value = value


def _config(path: Path, out: Messages) -> Config | None:
    """The configuration as far as there is one; what is wrong with it is said, and the scan goes on without it."""
    if not path.exists():
        return None
    try:
        return load(path, drivers=DRIVERS, uplink_settings=settings_models())
    except FormErrors as errors:
        print("\n".join(problem_lines(out, errors.problems)), file=sys.stderr)
        return None


def _wanted(arguments: argparse.Namespace) -> Wanted:
    """What was asked for. Raises _WrongOptionError."""
    return Wanted(
        protocols=_checked("--protocol", arguments.protocol, _words_in(protocols())) or tuple(protocols()),
        numbers=_checked("--address", arguments.address, lambda text: numbers_in(text, 1, _LAST_ADDRESS)),
        bauds=_checked("--baud", arguments.baud, lambda text: wholes_in(text, _BAUDS)),
        parities=_checked("--parity", arguments.parity, _words_in(_PARITIES)),
        is_quick=arguments.quick,
    )


def _checked(option: str, text: str | None, read: Callable[[str], tuple[Any, ...]]) -> tuple[Any, ...]:
    if text is None:
        return ()
    try:
        return read(text)
    except ValueError as error:
        raise _WrongOptionError(option, text) from error


def _words_in(allowed: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(text.split(",")))
        if not set(words) <= set(allowed):
            raise ValueError(text)
        return words

    return read


# --- scanning


def _scan(task: _Task) -> int:
    sharpen_timers()
    config, out = task.config, task.out
    clock = SystemClock("ntp" if config is None else config.clock.trust)
    library = Library(drivers=DRIVERS, directories=(task.arguments.config.parent / PROFILES,))
    try:
        with closing(asking_for(task.place, task.site, clock=clock)) as asking:
            scan = LineScan(task.place, asking, task.wanted, library, clock=clock)
            _announce(scan, task, is_guest=asking.is_guest)
            began_s = clock.monotonic()
            trouble = _followed(scan, task)
            took_s = clock.monotonic() - began_s
    except PermissionError:
        print(out.text("cli.not_permitted"), file=sys.stderr)
        return 1
    except ControlError as refused:
        print(refusal_text(out, refused.code, refused.arguments), file=sys.stderr)
        return 1
    except SpecError as error:
        print(out.text("cli.wrong.value", name="--address", value=error.arguments.get("value", "")), file=sys.stderr)
        return 2
    if trouble:
        print(trouble, file=sys.stderr)
    _conclude(scan, task, took_s)
    return int(not scan.heard.meters)


def _announce(scan: LineScan, task: _Task, *, is_guest: bool) -> None:
    """What will be done and how long it takes, before it begins."""
    out, line = task.out, task.place.line
    settings = dict.fromkeys(step.serial for step in scan.plan.steps)
    shown = " ".join(_serial_text(each) for each in settings) if line.port is not None else line.place
    arguments = {"place": line.place, "protocols": " ".join(task.wanted.protocols), "settings": shown}
    text = out.text(
        "scan.announce",
        **arguments,
        duration=_duration(scan.announced_s, out),
        meters=EXPECTED_METERS,
        each=_duration(scan.plan.identify_s, out),
    )
    if is_guest:
        text += "\n" + out.text("scan.shared", line=line.name)
    print("\n".join(page.wrapped(text, out.width)), file=sys.stderr, flush=True)


def _duration(seconds: float, out: Messages) -> str:
    if seconds < _MINUTE_S:
        return out.text("scan.seconds", count=f"{seconds:.0f}")
    return out.text("scan.minutes", count=f"{seconds / 60:.0f}")


def _followed(scan: LineScan, task: _Task) -> str:
    """Runs the scan and shows how far it is; what ended it early, as a sentence."""
    from tqdm import tqdm  # type: ignore[import-untyped]  # noqa: PLC0415 - it has no types; only a scan shows progress

    out, line = task.out, task.place.line
    is_shown = sys.stderr.isatty() and not task.arguments.json
    form = "{l_bar}{bar}| {n:.0f}/{total:.0f} s"
    with tqdm(total=scan.plan.seconds, bar_format=form, file=sys.stderr, disable=not is_shown) as bar:
        try:
            for event in scan.run():
                _show(event, bar, out)
        except KeyboardInterrupt:
            return out.text("scan.interrupted")
        except LineHeldError as error:
            return refusal_text(out, "LINE_HELD", {"line": line.name, "holder": error.holder})
        except LineDownError as error:
            return refusal_text(out, "LINE_DOWN", {"line": task.arguments.place, "detail": error.detail})
        except ControlError as refused:
            return refusal_text(out, refused.code, refused.arguments)
        except DaemonAwayError:
            return out.text("scan.daemon_left")
    return ""


def _show(event: Event, bar: Any, out: Messages) -> None:
    match event:
        case Advanced(seconds) if not bar.disable:
            bar.update(min(seconds, bar.total - bar.n))
        case Narrowed(calls, seconds):
            bar.write(out.text("scan.narrowed", count=calls, duration=_duration(seconds, out)), file=sys.stderr)
        case Identified(meter):
            profile = meter.best.profile if meter.best is not None else out.text("scan.no_profile")
            arguments = {"protocol": meter.protocol, "address": meter.address, "profile": profile}
            bar.write(out.text("scan.found", **arguments, serial=_serial_text(meter.serial)), file=sys.stderr)


# --- telling


def _conclude(scan: LineScan, task: _Task, took_s: float) -> None:
    arguments, out, heard = task.arguments, task.out, scan.heard
    text = _draft(scan, task)
    found = findings(heard)
    if text is not None and arguments.draft is not None:
        arguments.draft.write_text(text, encoding="utf-8")
    if arguments.json:
        document = {
            "line": task.place.line.name,
            "place": task.place.line.place,
            "announced_s": round(scan.announced_s, 1),
            "took_s": round(took_s, 1),
            "asked": heard.asked,
            "meters": [meter_json(meter, task.name_of(meter)) for meter in heard.meters],
            "findings": [{"code": each.code, "arguments": dict(each.arguments)} for each in found],
            "draft": text,
        }
        print(json.dumps(document, ensure_ascii=False, indent=2))
        return
    print(out.text("scan.count", count=len(heard.meters), took=_duration(took_s, out)))
    if heard.meters:
        columns = ("meter", "serial", "delay", "profile", "sure", "values")
        headers = [out.text(f"scan.column.{each}") for each in columns]
        print(page.table([_row(meter, task) for meter in heard.meters], headers, width=out.width))
    for each in found:
        _advise(f"scan.finding.{each.code}", each.arguments, out)
    if text is not None and arguments.draft is None:
        print("\n" + text, end="")
    elif text is not None:
        _advise("scan.draft_written", {"path": str(arguments.draft)}, out)


def _advise(key: str, arguments: Mapping[str, str], out: Messages) -> None:
    print("\n" + "\n".join(page.wrapped(out.text(key, **arguments), out.width)), file=sys.stderr)


def _row(meter: FoundMeter, task: _Task) -> list[str]:
    best, out, configured = meter.best, task.out, task.name_of(meter)
    name = f"{meter.protocol} {meter.address}" + (f" ({configured})" if configured else "")
    delay = f"{1000 * meter.delay_s:.0f} ms"
    if best is None:
        told = out.text("scan.no_profile" if meter.is_identified else "scan.not_asked")
        return [name, _serial_text(meter.serial), delay, told, "", ""]
    others = "".join(f" / {each.profile}" for each in meter.candidates[1:])
    sure = out.text(f"scan.confidence.{meter.confidence}")
    return [name, _serial_text(meter.serial), delay, best.profile + others, sure, "  ".join(_values(best, out))]


def _values(best: Candidate, out: Messages) -> Iterator[str]:
    """The first numbers, to compare with the display."""
    numbers = {quantity: value for quantity, value in best.values.items() if isinstance(value, Decimal)}
    for quantity in list(numbers)[:_MOST_VALUES]:
        yield f"{out.quantity(quantity)} {numbers[quantity].normalize():f} {QUANTITIES[quantity].unit}".rstrip()


def _serial_text(serial: SerialSettings) -> str:
    return f"{serial.baud} 8{serial.parity[0].upper()}{serial.stop_bits}"


def _draft(scan: LineScan, task: _Task) -> str | None:
    line = task.place.line
    if line.dial_in is not None:
        return None  # how a DTU registers is not seen from here
    described = DraftLine(
        name=line.name,
        port=None if line.port is None else stable_name(line.port),
        tcp=None if line.tcp is None else str(line.tcp),
        framing=line.framing,
        echo=bool(scan.heard.echoes),
        rs485=line.rs485,
    )
    return draft(
        scan.heard.meters,
        described,
        station=_STATION if task.config is None else task.config.station.id,
        note=lambda code, **arguments: task.out.text(f"scan.draft.{code}", **arguments),
        names=task.name_of,
    )


# --- listing


def _list(site: Site, config: Config | None, as_json: bool, out: Messages) -> None:
    """The serial ports, who holds them, and the lines of the configuration."""
    ports = [dict(finding.values) for finding in look_at_ports()]
    lines = [] if config is None else [{"line": each.name, "place": each.place} for each in config.lines.values()]
    states = _states(site)
    for line in lines:
        line["state"] = states.get(line["line"], "")
    for port in ports:
        names = {str(port["port"]), str(port["device"])}
        port["line"] = next((line["line"] for line in lines if names & {line["place"], stable_name(line["place"])}), "")
    if as_json:
        print(json.dumps({"ports": ports, "lines": lines}, ensure_ascii=False, indent=2))
        return
    if not ports:
        print(out.text("scan.no_ports"), file=sys.stderr)
    else:
        rows = [(each["port"], each["title"], each["holder"] or _free(each, out), each["line"]) for each in ports]
        headers = [out.text(f"scan.column.{each}") for each in ("port", "title", "holder", "line")]
        print(page.table(rows, headers, width=out.width))
    if lines:
        told = [(each["line"], each["place"], _state(each["state"], out)) for each in lines]
        print("\n" + page.table(told, [out.text(f"scan.column.{each}") for each in ("line", "place", "state")]))
    print(out.text("scan.how"), file=sys.stderr)


def _states(site: Site) -> dict[str, str]:
    try:
        return {name: str(line["state"]) for name, line in site.ask("status")["lines"].items()}
    except (DaemonAwayError, PermissionError, ControlError):
        return {}


def _state(state: str, out: Messages) -> str:
    return out.text(f"line.state.{state}") if state else out.text("scan.not_polled")


def _free(port: dict[str, Any], out: Messages) -> str:
    return out.text("scan.free" if port["may_open"] else "scan.not_permitted")
