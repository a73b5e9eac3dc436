"""`qushui outbox`: per platform what is stored, waiting, acknowledged, parked; retry a parked row, drop a queue."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from agent import page
from agent.client import DEFAULT_CONFIG, Site, site_of
from agent.control import ControlError, DaemonAwayError
from agent.messages import Messages, cause_text, refusal_text
from agent.store.outbox_reader import OutboxReader
from agent.store.reader import Reader

HELP_KEY = "cli.verb.outbox"
_RATES = ("expected", "on_time_pct", "final_pct")
_COLUMNS = ("stored", "sent", "acknowledged", "waiting", "parked")
_MOST_PARKED = 10  # shown; --json has them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("action", nargs="?", choices=["show", "retry", "drop"], default="show", help="outbox.action")
    parser.add_argument("uplink", nargs="?", help="outbox.uplink")
    parser.add_argument("number", nargs="?", type=int, help="outbox.number")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 where there is no database, or the daemon said no; 2 for wrong arguments."""
    site = site_of(arguments.config)
    if arguments.action == "show":
        return _show(arguments, site, out)
    if arguments.uplink is None:
        print(out.text("outbox.uplink_needed", action=arguments.action), file=sys.stderr)
        return 2
    return _order(arguments, site, out)


def _order(arguments: argparse.Namespace, site: Site, out: Messages) -> int:
    """Has the daemon carry out what only it may do: it owns the store."""
    asked: dict[str, object] = {"uplink": arguments.uplink}
    if arguments.action == "retry":
        asked["number"] = arguments.number
    try:
        done = site.ask(f"outbox-{arguments.action}", asked)
    except DaemonAwayError:
        print(out.text("cli.daemon_needed", socket=site.store.parent), file=sys.stderr)
        return 1
    except PermissionError:
        print(out.text("cli.not_permitted"), file=sys.stderr)
        return 1
    except ControlError as refused:
        print(refusal_text(out, refused.code, refused.arguments), file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(done))
    else:
        print(out.text(f"outbox.{arguments.action}_done", uplink=arguments.uplink, **done))
    return 0


def _show(arguments: argparse.Namespace, site: Site, out: Messages) -> int:
    reader, reports = Reader(site.store), OutboxReader(site.store)
    try:
        told = outbox_of(reader)
        told["centres"] = centres_of(reports)
    except FileNotFoundError:
        print(out.text("cli.no_store", path=site.store, config=site.config), file=sys.stderr)
        return 1
    except PermissionError:
        print(out.text("cli.not_permitted"), file=sys.stderr)
        return 1
    except sqlite3.Error as error:
        print(out.text("cli.store_unreadable", path=site.store, detail=error), file=sys.stderr)
        return 1
    finally:
        reader.close()
        reports.close()
    _add_live(told, site)
    if arguments.json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(told, site, out)))
    return 0


def outbox_of(reader: Reader) -> dict[str, Any]:
    """What the database says; moments in UTC ms since 1970. Raises as `Reader` does."""
    counts = reader.counts()
    last = counts.last
    stored = {"rounds": counts.rounds, "first": counts.first, "last": last, "evicted": counts.evicted,
              "undated": reader.undated(counts.first, last) if counts.rounds else 0}  # fmt: skip
    uplinks = {}
    for name in reader.uplinks():
        due, parked = reader.due(name), reader.parked(name)
        gaps = [_gap(reader, first, last if end is None else min(end, last), counts.first)
                for first, end in reader.cursor(name) or () if max(first, counts.first) <= last]  # fmt: skip
        waiting = sum(gap["rounds"] for gap in gaps)
        uplinks[name] = {
            "stored": due,
            "sent": None,
            "acknowledged": max(0, due - waiting - len(parked)),
            "waiting": waiting,
            "parked": [{"number": row.number, "reason": row.reason} for row in parked],
            "gaps": gaps,
        }
    return {"store": stored, "uplinks": uplinks, "centres": {}}


def centres_of(reader: OutboxReader) -> dict[str, Any]:
    """The same of centres that take composed reports; moments in UTC ms."""
    found: dict[str, Any] = {}
    for name in reader.uplinks():
        parked = reader.rows(name, state="parked", limit=100_000)
        waiting = reader.rows(name, state="waiting", limit=100_000)
        counts = reader.counts(name)
        found[name] = {
            "stored": sum(counts.values()),
            "sent": None,
            "acknowledged": counts.get("accepted", 0),
            "waiting": len(waiting),
            "parked": [{"number": row.waiting.tag, "reason": row.reason} for row in parked],
            "oldest_ms": min((row.waiting.slot_ms for row in waiting), default=None),
        }
    return found


def _gap(reader: Reader, first: int, last: int, oldest: int) -> dict[str, Any]:
    """A stretch of numbers a platform has not acknowledged, with the dates of its ends (None: no date yet)."""
    first = max(first, oldest)
    ends = [*reader.rounds(first, last, limit=1), *reader.rounds(last, last, limit=1)]
    return {
        "first": first,
        "last": last,
        "rounds": last - first + 1,
        "from_ms": ends[0].at_ms if ends else None,
        "to_ms": ends[-1].at_ms if ends else None,
        "undated": reader.undated(first, last),
    }


def _add_live(told: dict[str, Any], site: Site) -> None:
    """Adds what only the running daemon knows: what it has sent, and whether it is connected."""
    try:
        live = site.ask("status")["uplinks"]
    except (DaemonAwayError, PermissionError, ControlError):
        return
    for name, uplink in (*told["uplinks"].items(), *told["centres"].items()):
        known = live.get(name, {})
        uplink["state"] = known.get("state", "removed")
        uplink["sent"] = known.get("sent")
        uplink |= {key: known[key] for key in _RATES if key in known}


def _lines(told: dict[str, Any], site: Site, out: Messages) -> list[str]:
    store = told["store"]
    lines = [out.text("outbox.store", **store)]
    if store["undated"]:
        lines += page.wrapped(out.text("outbox.undated", count=store["undated"]), out.width)
    if store["evicted"]:
        lines += page.wrapped(out.text("outbox.evicted", count=store["evicted"]), out.width)
    if not told["uplinks"] and not told["centres"]:
        return [*lines, out.text("outbox.no_uplinks")]
    if told["uplinks"]:
        lines += ["", _table(told["uplinks"], _COLUMNS, out)]
    if told["centres"]:
        rates = [rate for rate in _RATES if any(rate in centre for centre in told["centres"].values())]
        lines += ["", out.text("outbox.centres"), _table(told["centres"], (*_COLUMNS, *rates), out)]
    for name, uplink in told["uplinks"].items():
        lines += _gap_lines(name, uplink, site, out)
    for name, uplink in (*told["uplinks"].items(), *told["centres"].items()):
        lines += _parked_lines(name, uplink["parked"], out)
    return lines


def _table(uplinks: dict[str, Any], columns: tuple[str, ...], out: Messages) -> str:
    rows = []
    for name, uplink in uplinks.items():
        figures = {**uplink, "parked": len(uplink["parked"])}
        shown = ["-" if figures.get(column) is None else figures[column] for column in columns]
        rows.append([name, *shown, out.text(f"uplink.state.{uplink['state']}") if "state" in uplink else ""])
    headers = [out.text("outbox.column.uplink"), *(out.text(f"outbox.column.{column}") for column in columns), ""]
    return page.table(rows, headers, right=range(1, 1 + len(columns)), width=out.width)


def _gap_lines(name: str, uplink: dict[str, Any], site: Site, out: Messages) -> list[str]:
    if not uplink["gaps"]:
        return []
    lines = ["", out.text("outbox.gaps", uplink=name)]
    for gap in uplink["gaps"]:
        nothing = out.text("outbox.no_date")
        begin, end = (site.local(gap[key]) or nothing for key in ("from_ms", "to_ms"))
        lines += page.wrapped(out.text("outbox.gap", **{**gap, "begin": begin, "end": end}), out.width)
    return lines


def _parked_lines(name: str, parked: list[dict[str, Any]], out: Messages) -> list[str]:
    if not parked:
        return []
    lines = ["", out.text("outbox.parked", uplink=name, count=len(parked))]
    for row in parked[:_MOST_PARKED]:
        lines += page.labelled(str(row["number"]), cause_text(out, row["reason"]), indent=2, column=14, width=out.width)
    if len(parked) > _MOST_PARKED:
        lines.append(out.text("outbox.more", count=len(parked) - _MOST_PARKED))
    return [*lines, out.text("outbox.retry_advice", uplink=name)]
