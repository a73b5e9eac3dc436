"""`qushui read METER…`: one poll now, raw bytes and values; shares the port with a running daemon."""

from __future__ import annotations

import argparse
import difflib
import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from agent import page
from agent.client import DEFAULT_CONFIG, Site, site_of
from agent.confirmation import shown_number
from agent.control import ControlError, DaemonAwayError
from agent.form.problems import FormErrors
from agent.messages import Messages, fault_text, problem_lines, refusal_text
from agent.model import Reason
from agent.quantities import QUANTITIES

HELP_KEY = "cli.verb.read"
_COMPARED = ("matched", "confirmed", "unconfirmed")
_TIMEOUT_S = 60.0  # the daemon may be in the middle of another round, and the meter may be dead

Reading = Callable[[str, Mapping[str, str]], dict[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("meters", nargs="*", metavar="METER", help="read.meters")
    parser.add_argument("--all", action="store_true", help="read.all_option")
    parser.add_argument("--shows", metavar="NUMBER", help="read.shows_option")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0 when every meter answered; 1 when one did not; 2 for a wrong configuration or an unknown meter."""
    if bool(arguments.meters) == arguments.all:
        print(out.text("read.which"), file=sys.stderr)
        return 2
    if arguments.shows is not None and (len(arguments.meters) != 1 or shown_number(arguments.shows) is None):
        print(out.text("read.shows_what", value=arguments.shows), file=sys.stderr)
        return 2
    site = site_of(arguments.config)
    with ExitStack() as stack:
        try:
            known, read = _reading(site, stack)
        except FormErrors as errors:
            print("\n".join(problem_lines(out, errors.problems)), file=sys.stderr)
            return 2
        except ControlError as refused:
            print(refusal_text(out, refused.code, refused.arguments), file=sys.stderr)
            return 1
        if unknown := [name for name in arguments.meters if name not in known]:
            for name in unknown:
                _say_unknown(name, known, site, out)
            return 2
        return _read_all(known if arguments.all else arguments.meters, read, arguments, site, out)


def _reading(site: Site, stack: ExitStack) -> tuple[list[str], Reading]:
    """The meters there are, and what reads one: the daemon, or the lines themselves, which `stack` closes."""
    try:
        known = list(site.ask("status")["meters"])
    except (DaemonAwayError, PermissionError):
        from agent.direct import DirectReading  # noqa: PLC0415 - with a daemon none of it is needed

        reading = stack.enter_context(closing(DirectReading(site.config)))
        return reading.meters, reading.read
    return known, lambda name, more: dict(site.ask("read", {"meter": name, **more}, timeout_s=_TIMEOUT_S))


def _read_all(meters: list[str], read: Reading, arguments: argparse.Namespace, site: Site, out: Messages) -> int:
    results = []
    more = {} if arguments.shows is None else {"shows": arguments.shows, "who": _who()}
    for name in meters:
        try:
            result = read(name, more)
        except ControlError as refused:
            result = {"meter": name, "error": {"code": refused.code, "arguments": refused.arguments}}
        results.append(result)
        if not arguments.json:
            print("\n".join(_lines(result, site, out)), end="\n\n", flush=True)
            for advice in _advice(result, out):
                print(advice, end="\n\n", file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    return int(any(_failed(result) for result in results))


def _say_unknown(name: str, known: list[str], site: Site, out: Messages) -> None:
    if name in site.manual:
        print("\n".join(page.wrapped(out.text("read.by_hand", meter=name), out.width)), file=sys.stderr)
        quantity = site.manual[name]
        print(out.command(f"qushui enter reading {name} {quantity} N --at TIME --who NAME"), file=sys.stderr)
        return
    print(out.text("read.no_meter", value=name, known=" ".join(known)), file=sys.stderr)
    for near in difflib.get_close_matches(name, known, n=1):
        print(out.text("cli.did_you_mean", value=out.command(f"qushui read {near}")), file=sys.stderr)


def _failed(result: Mapping[str, Any]) -> bool:
    comparison = result.get("comparison", {"matched": True, "recorded": True})
    is_answered = "error" not in result and not any(exchange["error"] for exchange in result["exchanges"])
    return not (is_answered and comparison["matched"] and comparison["recorded"])


def _who() -> str:
    """The person at the keyboard, as far as the system knows."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a number without a name
        return str(os.getuid())


def _lines(result: Mapping[str, Any], site: Site, out: Messages) -> list[str]:
    if "error" in result:
        return [f"{result['meter']}  {refusal_text(out, result['error']['code'], result['error']['arguments'])}"]
    lines = [
        out.text("read.head", **{key: result[key] for key in ("meter", "line", "profile", "address")}),
        f"  {site.local(result['at'])}",
    ]
    for exchange in result["exchanges"]:
        for key in ("sent_hex", "received_hex"):
            text = page.spaced_hex(exchange[key]) or out.text("evidence.nothing")
            lines += page.labelled(out.text(f"evidence.{key}"), text, indent=2, column=12, width=out.width)
    return [*lines, *(f"  {line}" for line in _values(result, out)), *_compared(result, out)]


def _compared(result: Mapping[str, Any], out: Messages) -> list[str]:
    """What the number on the display said of the readings."""
    comparison = result.get("comparison")
    if comparison is None:
        return []
    names = {key: out.text("cli.comma").join(out.quantity(name) for name in comparison[key]) for key in _COMPARED}
    if not comparison["matched"]:
        texts = [out.text("read.no_match", shows=comparison["shows"])]
    else:
        texts = [out.text("read.matched", shows=comparison["shows"], names=names["matched"])]
        if comparison["confirmed"]:
            key = "read.confirmed" if comparison["recorded"] else "read.not_recorded"
            texts.append(out.text(key, names=names["confirmed"]))
    if comparison["unconfirmed"]:
        texts.append(out.text("read.unconfirmed", names=names["unconfirmed"]))
    return ["", *(f"  {line}" for text in texts for line in page.wrapped(text, out.width - 2))]


def _values(result: Mapping[str, Any], out: Messages) -> list[str]:
    rows = []
    for quantity, value in result["values"].items():
        reasons = " ".join(out.reason(word) for word in result["quality"].get(quantity, ()))
        unit = QUANTITIES[quantity].unit if quantity in QUANTITIES else ""
        if isinstance(value, list):
            shown = " ".join(out.flag(flag) for flag in value) or out.text("read.no_flags")
        else:
            shown = "-" if value is None else value
        rows.append([out.quantity(quantity), shown, unit, reasons])
    return page.table(rows, ["", "", "", ""], right=(1,)).split("\n")[1:] if rows else []


def _advice(result: Mapping[str, Any], out: Messages) -> Iterator[str]:
    """The fault behind each kind of failure, once."""
    if "error" in result:
        error = result["error"]
        code = error["code"].replace("_", "-")
        if out.has(f"fault.{code}.title"):
            yield fault_text(out, code, f"line/{error['arguments'].get('line', '')}", error["arguments"])
        return
    seen = set()
    for exchange in result["exchanges"]:
        word = exchange["error"]
        if word and word not in seen:
            seen.add(word)
            evidence = {"line": result["line"], "address": result["address"], **result["serial"]}
            evidence |= {key: exchange[key] for key in ("sent_hex", "received_hex", "tries")}
            if word == Reason.NO_REPLY:
                evidence["waited_s"] = f"{exchange['waited_ms'] / 1000:.3g}"
            else:
                evidence["detail"] = exchange["detail"]
            yield fault_text(out, f"METER-{word.replace('_', '-')}", f"meter/{result['meter']}", evidence)
