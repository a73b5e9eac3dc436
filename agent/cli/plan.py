"""`qushui plan FILE`: what each meter is asked, and how long a cycle of each line takes against its poll periods."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent import page
from agent.client import DEFAULT_CONFIG
from agent.config import load
from agent.decode import bundles
from agent.entries import Entry
from agent.form.problems import FormErrors
from agent.messages import Messages, problem_lines
from agent.settings import Config, MeterSettings
from agent.uplinks.registry import SETTINGS
from agent.wiring import cost_of, wire_of
from drivers.contract import Ask
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.plan"

TURNAROUND_S = 0.02  # what a typical meter takes before it answers; the daemon measures each meter's own
_FULL = 1.0  # share of a line's time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT_CONFIG, help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 when a line cannot keep its poll periods; 2 for a wrong file."""
    try:
        config = load(arguments.file, drivers=DRIVERS, uplink_settings=SETTINGS)
    except FormErrors as errors:
        print("\n".join(problem_lines(out, errors.problems)), file=sys.stderr)
        return 2
    plan = planned(config)
    print(json.dumps(plan, ensure_ascii=False, indent=2) if arguments.json else "\n".join(_lines(plan, out)))
    return int(any(line["load"] > _FULL for line in plan["lines"].values()))


def planned(config: Config) -> dict[str, Any]:
    """Requests with their times in ms per meter; cycle, shortest period and load (1.0: all of the time) per line."""
    meters = {name: _meter_plan(config, meter) for name, meter in config.meters.items()}
    lines = {}
    for name, line in config.lines.items():
        own = [meter for meter in meters.values() if meter["line"] == name]
        lines[name] = {
            "place": line.place,
            "meters": len(own),
            "requests": sum(len(meter["requests"]) for meter in own),
            "cycle_ms": round(sum(meter["poll_takes_ms"] for meter in own), 1),
            "shortest_period_ms": min((meter["period_ms"] for meter in own), default=None),
            "load": round(sum(meter["poll_takes_ms"] / meter["period_ms"] for meter in own), 4),
        }
    return {"lines": lines, "meters": meters}


def _meter_plan(config: Config, meter: MeterSettings) -> dict[str, Any]:
    line, profile = config.lines[meter.line], config.profiles[meter.profile]
    wire, entries = wire_of(meter), config.entries(meter.name)
    driver = DRIVERS[profile.protocol](framing=line.framing, cost=cost_of(line, wire))
    is_serial = line.port is not None
    character_s, silence_s = (wire.character_s, wire.silence_s) if is_serial else (0.0, 0.0)
    requests = []
    for ask in driver.plan(meter.address, bundles(entries), profile.limits):
        took_s = (ask.request_size + ask.reply_size) * character_s + TURNAROUND_S + silence_s
        requests.append(
            {
                "request_hex": ask.begin(0).request.hex().upper(),
                "request_bytes": ask.request_size,
                "reply_bytes": ask.reply_size,
                "quantities": list(_quantities(ask, entries)),
                "takes_ms": round(1000 * took_s, 1),
            }
        )
    return {
        "line": meter.line,
        "profile": meter.profile,
        "address": meter.address,
        "period_ms": meter.poll_ms,
        "requests": requests,
        "poll_takes_ms": round(sum(request["takes_ms"] for request in requests), 1),
    }


def _quantities(ask: Ask, entries: tuple[Entry, ...]) -> Iterator[str]:
    """The quantities that need something of this request."""
    asked: set[Any] = set(ask.items)
    for entry in entries:
        if any(not asked.isdisjoint(bundle) for bundle in bundles([entry])):
            yield entry.quantity


def _lines(plan: Mapping[str, Any], out: Messages) -> list[str]:
    lines: list[str] = []
    for name, line in plan["lines"].items():
        own = {meter: each for meter, each in plan["meters"].items() if each["line"] == name}
        rows = [
            ["" if at else meter, page.spaced_hex(each["request_hex"]), each["reply_bytes"], each["takes_ms"]]
            for meter, settings in own.items()
            for at, each in enumerate(settings["requests"])
        ]
        lines += [f"{name}  {line['place']}", page.table(rows, list(out.texts("plan.columns")), right=(2, 3))]
        lines += [*page.wrapped(_verdict(line, out), out.width), ""]
    return [*lines, *page.wrapped(out.text("plan.assumed", turnaround_ms=round(1000 * TURNAROUND_S)), out.width)]


def _verdict(line: Mapping[str, Any], out: Messages) -> str:
    if not line["meters"]:
        return out.text("plan.no_meters")
    key = "plan.overbooked" if line["load"] > _FULL else "plan.fits"
    return out.text(
        key,
        cycle_s=f"{line['cycle_ms'] / 1000:.2f}",
        period_s=f"{line['shortest_period_ms'] / 1000:g}",
        load_percent=f"{100 * line['load']:.0f}",
    )
