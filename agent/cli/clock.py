"""`qushui clock`: what time it is and who says so; `set TIME` for the agent, `broadcast LINE` for meters."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent import page
from agent.broadcasting import MIDNIGHT_MINUTES, broadcast_from_here, listeners
from agent.client import DEFAULT_CONFIG, Site, site_of
from agent.clock import SystemClock, date_of
from agent.config import load
from agent.control import ControlError, DaemonAwayError
from agent.form.problems import FormErrors
from agent.messages import Messages, problem_lines, refusal_text
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.clock"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("action", nargs="?", choices=["show", "set", "broadcast"], default="show", help="clock.action")
    parser.add_argument("time", nargs="*", metavar="TIME|LINE", help="clock.time")
    parser.add_argument("--yes", action="store_true", help="clock.yes_option")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 without a daemon or when it refuses; 2 for a time that is none."""
    site = site_of(arguments.config)
    if arguments.action == "broadcast":
        return _broadcast(arguments, site, out)
    moment = None
    if arguments.action == "set":
        moment = site.moment(" ".join(arguments.time))
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


def _broadcast(arguments: argparse.Namespace, site: Site, out: Messages) -> int:
    """Sends the time to the DL/T 645 meters of a line; without --yes says to whom, and sends nothing."""
    if len(arguments.time) != 1:
        print(out.text("clock.which_line"), file=sys.stderr)
        return 2
    (line,) = arguments.time
    try:
        config = load(arguments.config, drivers=DRIVERS, uplink_settings=settings_models())
        if not arguments.yes:
            meters = [name for names in listeners(config, line).values() for name in names]
            text = out.text("clock.broadcast_ask", line=line, meters=" ".join(meters), minutes=MIDNIGHT_MINUTES)
            print("\n".join(page.wrapped(text, out.width)), file=sys.stderr)
            return 1
        told = broadcast_from_here(config, site, line)
    except FormErrors as errors:
        print("\n".join(problem_lines(out, errors.problems)), file=sys.stderr)
        return 2
    except PermissionError:
        print(out.text("cli.not_permitted"), file=sys.stderr)
        return 1
    except ControlError as refused:
        print(refusal_text(out, refused.code, refused.arguments), file=sys.stderr)
        return 2 if refused.code == "LINE_NOT_POLLED" else 1
    if arguments.json:
        print(json.dumps(told))
    else:
        words = {**told, "at": site.local(told["at"]), "meters": " ".join(told["meters"])}
        print("\n".join(page.wrapped(out.text("clock.broadcast_done", **words), out.width)))
    return 0
