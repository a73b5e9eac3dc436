"""`qushui clock`: what time it is and who says so; `qushui clock set TIME` sets the agent's own clock."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.client import DEFAULT_CONFIG, Site, site_of
from agent.clock import SystemClock, date_of
from agent.control import ControlError, DaemonAwayError
from agent.messages import Messages, refusal_text

HELP_KEY = "cli.verb.clock"
_YEARS = range(2024, 2100)  # another one is a slip of the finger, and water would be booked under it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("action", nargs="?", choices=["show", "set"], default="show", help="clock.action")
    parser.add_argument("time", nargs="*", help="clock.time")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 without a daemon or when it refuses; 2 for a time that is none."""
    site = site_of(arguments.config)
    moment = None
    if arguments.action == "set":
        moment = moment_of(" ".join(arguments.time), site)
        if moment is None:
            print(out.text("clock.no_time", value=" ".join(arguments.time)), file=sys.stderr)
            return 2
    try:
        if moment is not None:
            site.ask("clock-set", {"at_ms": round((moment - date_of(0)) / timedelta(milliseconds=1))})
        told: dict[str, Any] = site.ask("status")["clock"]
    except DaemonAwayError:
        return _without_daemon(arguments, site, out)
    except PermissionError:
        print(out.text("cli.not_permitted"), file=sys.stderr)
        return 1
    except ControlError as refused:
        print(refusal_text(out, refused.code, refused.arguments), file=sys.stderr)
        return 1
    _print(told, arguments, site, out)
    return 0


def moment_of(text: str, site: Site) -> datetime | None:
    """The moment that `2026-11-21 08:00:00` (station's time) or ISO 8601 with an offset means; None if neither."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.year not in _YEARS:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=site.timezone)


def _without_daemon(arguments: argparse.Namespace, site: Site, out: Messages) -> int:
    print(out.text("cli.daemon_needed", socket=site.store.parent), file=sys.stderr)
    if arguments.action == "set":
        return 1
    clock = SystemClock("ntp")  # without the daemon only the kernel can be asked
    told = {"now": clock.now().isoformat(timespec="milliseconds"), "synced": clock.synced, "source": clock.source}
    _print(told, arguments, site, out)
    return 1


def _print(told: dict[str, Any], arguments: argparse.Namespace, site: Site, out: Messages) -> None:
    if arguments.json:
        print(json.dumps(told))
        return
    print(site.local(told["now"]))
    print(out.text("clock.set_by" if told["synced"] else "clock.unset", source=told["source"]))
