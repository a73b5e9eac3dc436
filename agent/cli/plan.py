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
from agent.planning import TURNAROUND_S, LinePlan, MeterPlan, ask_s, plans_of
from agent.settings import Config
from agent.uplinks.registry import settings_models
from agent.wiring import cost_of, wire_of
from drivers.contract import Ask
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.plan"

_FULL = 1.0  # share of a line's time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT_CONFIG, help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 when a line cannot keep its poll periods; 2 for a wrong file."""
    try:
        config = load(arguments.file, drivers=DRIVERS, uplink_settings=settings_models())
    except FormErrors as errors:
        print("\n".join(problem_lines(out, errors.problems)), file=sys.stderr)
        return 2
    plan = planned(config)
    print(json.dumps(plan, ensure_ascii=False, indent=2) if arguments.json else "\n".join(_lines(plan, out)))
    return int(any(line["load"] > _FULL for line in plan["lines"].values()))


def planned(config: Config) -> dict[str, Any]:
    """Requests with their times in ms per meter; cycle, shortest period and load (1.0: all of the time) per line."""
    plans = plans_of(config, drivers=DRIVERS, wire_of=wire_of, cost_of=cost_of)
    return {
        "lines": {plan.settings.name: _line_figures(plan) for plan in plans},
        "meters": {each.settings.name: _meter_figures(config, plan, each) for plan in plans for each in plan.meters},
    }


def _line_figures(plan: LinePlan) -> dict[str, Any]:
    return {
        "place": plan.settings.place,
        "meters": len(plan.meters),
        "requests": sum(len(meter.asks) for meter in plan.meters),
        "cycle_ms": round(1000 * plan.cycle_s, 1),
        "shortest_period_ms": min((meter.settings.poll_ms for meter in plan.meters), default=None),
        "load": round(plan.load, 4),
    }


def _meter_figures(config: Config, plan: LinePlan, meter: MeterPlan) -> dict[str, Any]:
    wire = None if plan.settings.framing == "tcp" else wire_of(meter.settings)
    entries = config.entries(meter.settings.name)
    return {
        "line": plan.settings.name,
        "profile": meter.settings.profile,
        "address": meter.settings.address,
        "period_ms": meter.settings.poll_ms,
        "poll_takes_ms": round(1000 * meter.seconds, 1),
        "requests": [
            {
                "request_hex": ask.begin(0).request.hex().upper(),
                "request_bytes": ask.request_size,
                "reply_bytes": ask.reply_size,
                "takes_ms": round(1000 * ask_s(ask, wire), 1),
                "quantities": list(_quantities(ask, entries)),
            }
            for ask in meter.asks
        ],
    }


def _quantities(ask: Ask, entries: tuple[Entry, ...]) -> Iterator[str]:
    """The quantities that need something of this request."""
    asked = frozenset(ask.items)
    for entry in entries:
        if any(item in asked for bundle in bundles([entry]) for item in bundle):
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
        lines += [
            f"{name}  {line['place']}",
            page.table(rows, out.texts("plan.columns"), right=(2, 3), width=out.width),
        ]
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
