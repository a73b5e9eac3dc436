"""`qushui status`: the running daemon at a glance; without one, what the database says."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent import page
from agent.client import DEFAULT_CONFIG, Site, site_of
from agent.control import ControlError, DaemonAwayError
from agent.messages import Messages, cause_text, fault_text, place_text, refusal_text
from agent.quantities import QUANTITIES, STATUS
from agent.store.reader import Reader

HELP_KEY = "cli.verb.status"
_VALUES_SHOWN = 2  # of each meter; `qushui read` shows them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0 while the daemon runs, whatever it says; 1 when it does not."""
    site = site_of(arguments.config)
    try:
        told = site.ask("status")
    except DaemonAwayError:
        return _without_daemon(arguments, site, out)
    except PermissionError:
        print(out.text("cli.not_permitted"), file=sys.stderr)
        return 1
    except ControlError as refused:
        print(refusal_text(out, refused.code, refused.arguments), file=sys.stderr)
        return 1
    print(json.dumps(told, ensure_ascii=False, indent=2) if arguments.json else "\n".join(_lines(told, site, out)))
    return 0


def _without_daemon(arguments: argparse.Namespace, site: Site, out: Messages) -> int:
    print("\n".join(page.wrapped(out.text("status.away"), out.width)), file=sys.stderr)
    if not arguments.config.exists():
        print(out.text("cli.no_config", path=arguments.config), file=sys.stderr)
    reader = Reader(site.store)
    try:
        counts, faults = reader.counts(), reader.faults(open_only=True)
        newest = reader.rounds(counts.last, counts.last, limit=1)
    except (OSError, sqlite3.Error):
        print(out.text("cli.no_store", path=site.store, config=site.config), file=sys.stderr)
        return 1
    finally:
        reader.close()
    last_ms = newest[0].at_ms if newest else None
    if arguments.json:
        told = {"running": False, "store": {"path": str(site.store), **counts._asdict(), "last_at_ms": last_ms}}
        print(json.dumps(told, ensure_ascii=False, indent=2))
        return 1
    print(out.text("status.store_alone", path=site.store, rounds=counts.rounds, at=site.local(last_ms) or "-"))
    for fault in faults:
        print(f"{fault.code}  {site.local(fault.began_at_ms)}  {place_text(out, fault.place)}")
    print(out.text("status.see_outbox"), file=sys.stderr)
    return 1


def _lines(told: Mapping[str, Any], site: Site, out: Messages) -> list[str]:
    clock = told["clock"]
    trusted = "clock.set_by" if clock["synced"] else "clock.unset"
    return [
        out.text("status.head", station=told["station"], version=told["version"]),
        out.text("status.clock", now=site.local(clock["now"]), who=out.text(trusted, source=clock["source"])),
        *_section("lines", [_line_row(name, line, out) for name, line in told["lines"].items()], out, right=(2, 3, 4)),
        *_details(told["lines"], out),
        *_section(
            "meters", [_meter_row(name, meter, site, out) for name, meter in told["meters"].items()], out, right=(3,)
        ),
        *_section(
            "intakes",
            [_intake_row(name, intake, site, out) for name, intake in told.get("intakes", {}).items()],
            out,
            right=(2, 3, 4),
        ),
        *_section(
            "uplinks",
            [_uplink_row(name, uplink, site, out) for name, uplink in told["uplinks"].items()],
            out,
            right=(2, 4, 5),
        ),
        *_details(told["uplinks"], out),
        "",
        *page.wrapped(_store_text(told["store"], out), out.width),
        *_fault_lines(told["faults"], site, out),
    ]


def _section(name: str, rows: Sequence[Sequence[object]], out: Messages, *, right: Iterable[int]) -> list[str]:
    return ["", page.table(rows, out.texts(f"status.{name}"), right=right, width=out.width)] if rows else []


def _details(parts: Mapping[str, Mapping[str, Any]], out: Messages) -> Iterator[str]:
    """What the system said about a line or platform that is away; too long for a column."""
    for name, part in parts.items():
        if part["detail"]:
            yield from page.labelled(
                f"{name}:", cause_text(out, part["detail"]), indent=2, column=4 + len(name), width=out.width
            )


def _line_row(name: str, line: Mapping[str, Any], out: Messages) -> list[object]:
    state = out.text(f"line.state.{line['state']}")
    return [name, state, f"{100 * line['busy']:.0f} %", line["polls"], line["skipped"]]


def _meter_row(name: str, meter: Mapping[str, Any], site: Site, out: Messages) -> list[object]:
    state = out.text(f"meter.state.{meter['state']}")
    return [name, meter["line"], state, meter["skipped"], site.local(meter["at"])[5:], _values_text(meter, out)]


def _values_text(meter: Mapping[str, Any], out: Messages) -> str:
    """The first values, counters before others; in place of a missing one its reason."""
    known = [name for name in meter["values"] if name in QUANTITIES and name != STATUS]
    shown = []
    for name in sorted(known, key=lambda name: not QUANTITIES[name].counter)[:_VALUES_SHOWN]:
        value = meter["values"][name]
        if value is None:
            shown.append(out.reason(meter["quality"].get(name, ["-"])[0]))
        else:
            shown.append(f"{value} {QUANTITIES[name].unit}".rstrip())
    return " · ".join(dict.fromkeys(shown))


def _intake_row(name: str, intake: Mapping[str, Any], site: Site, out: Messages) -> list[object]:
    """State, flow, today's volume, total; in place of a missing flow its reason."""
    state = out.text(f"intake.state.{intake['state']}", rounds=intake["backlog_rounds"])
    flow, total = (_figure(intake, quantity, out) for quantity in ("flow_rate", "volume_withdrawn"))
    today = "-" if intake["today_m3"] is None else f"{_short(intake['today_m3'])} m3"
    rules = " ".join(dict.fromkeys(each["rule"] for each in intake["findings"]))
    return [name, state, flow, today, total, site.local(intake["at"])[5:], rules]


def _figure(intake: Mapping[str, Any], quantity: str, out: Messages) -> str:
    value = intake["values"].get(quantity)
    if value is None:
        return out.reason(intake["quality"].get(quantity, ["-"])[0]) if intake["at"] else "-"
    return f"{_short(value)} {QUANTITIES[quantity].unit}"


def _short(text: str) -> str:
    """Decimal text to litres: what is stored has more places than a line has room for."""
    return f"{Decimal(text):.3f}"


def _uplink_row(name: str, uplink: Mapping[str, Any], site: Site, out: Messages) -> list[object]:
    state = out.text(f"uplink.state.{uplink['state']}")
    figures = [uplink["backlog_rounds"], site.local(uplink["oldest"])[5:], uplink["acknowledged"], uplink["parked"]]
    return [name, state, *figures]


def _store_text(store: Mapping[str, Any], out: Messages) -> str:
    size_mb, free_mb = f"{store['bytes'] / 1e6:.1f}", f"{store['free_bytes'] / 1e6:.0f}"
    figures = {key: store[key] for key in ("path", "rounds", "waiting")}
    return out.text("status.store", size_mb=size_mb, free_mb=free_mb, **figures)


def _fault_lines(faults: Iterable[Mapping[str, Any]], site: Site, out: Messages) -> list[str]:
    """The first fault of each code as a whole, further ones of the same code as one line."""
    lines: list[str] = []
    seen: set[str] = set()
    for fault in sorted(faults, key=lambda fault: str(fault["code"])):
        since = out.text("status.since", at=site.local(fault["began"]) or "-", count=fault["count"])
        if fault["code"] in seen:
            lines.append(f"{fault['code']}  {place_text(out, fault['place'])}  {since}")
            continue
        seen.add(fault["code"])
        head, *rest = fault_text(out, fault["code"], fault["place"], fault["evidence"]).split("\n")
        lines += ["", head, f"  {since}", *rest]
    return lines or ["", out.text("status.no_faults")]
