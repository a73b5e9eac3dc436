"""`qushui selftest`: what this board can do, measured here and now."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from agent import page
from agent.board import (
    Finding,
    Judgement,
    look_at_clock,
    look_at_ports,
    look_at_space,
    measure_disk,
    measure_line,
    measure_timer,
)
from agent.client import DEFAULT_CONFIG, site_of
from agent.clock import Clock, SystemClock, sharpen_timers
from agent.messages import Messages
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.selftest"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("--path", type=Path, metavar="DIR", help="selftest.path_option")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0, or 1 when something is too poor to work with."""
    directory = arguments.path or site_of(arguments.config).store.parent
    if arguments.path and not directory.is_dir():
        print(out.text("selftest.no_directory", path=directory), file=sys.stderr)
        return 2
    while not directory.is_dir():  # not installed yet: its disk is the one that counts
        directory = directory.parent
    sharpen_timers()
    findings = []
    for finding in measured(directory, SystemClock("ntp")):
        findings.append(finding)
        if not arguments.json:
            print("\n".join(_lines(finding, out)), flush=True)
    if arguments.json:
        shown = [{"test": each.name, "judgement": each.judgement, "values": each.values} for each in findings]
        print(json.dumps(shown, ensure_ascii=False, indent=2))
    return int(any(finding.judgement is Judgement.POOR for finding in findings))


def measured(directory: Path, clock: Clock) -> Iterator[Finding]:
    """All findings, each as soon as it is there."""
    try:
        yield measure_disk(directory, clock)
    except OSError as error:
        yield Finding(name="write", judgement=Judgement.POOR, values={"path": str(directory), "error": str(error)})
    yield look_at_space(directory)
    yield measure_timer(clock)
    yield from measure_line(DRIVERS["modbus"], clock)
    yield look_at_clock(clock)
    yield from look_at_ports() or [Finding(name="no_port", judgement=Judgement.FAIR, values={})]


def _lines(finding: Finding, out: Messages) -> list[str]:
    title = f"{out.text(f'selftest.judgement.{finding.judgement}')}  {out.text(f'selftest.{finding.name}.title')}"
    values = dict(finding.values)
    if "free_bytes" in values:
        values["free_gb"] = f"{float(values['free_bytes']) / 1e9:.1f}"
    for name, value in values.items():
        if isinstance(value, bool):
            values[name] = out.text("cli.yes" if value else "cli.no")
    measured_text = out.text(f"selftest.{finding.name}.values", **values)
    advice = out.text(f"selftest.{finding.name}.{_advice(finding)}", **values)
    return [title, *(f"      {line}" for text in (measured_text, advice) for line in page.wrapped(text, out.width - 6))]


def _advice(finding: Finding) -> str:
    if finding.name == "port" and finding.values["holder"]:
        return "held"
    if finding.name == "clock" and finding.judgement is not Judgement.GOOD and finding.values["rtc"]:
        return "rtc"
    return str(finding.judgement)
