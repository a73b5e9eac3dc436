"""`qushui profiles [list|show|test|new]`: the meter library, from the package and beside the configuration."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from agent import page
from agent.client import DEFAULT_CONFIG
from agent.config import PROFILES
from agent.decode import bundles
from agent.entries import Entry
from agent.form.nodes import is_name
from agent.form.problems import FormErrors, Problem
from agent.messages import Messages, problem_lines
from agent.probe.starting import UnusableProbeError, chosen, profile_text
from agent.profiles import Library
from agent.quantities import QUANTITIES
from agent.replay import UNCOVERED, Field, Outcome, replayed
from agent.settings import Profile
from drivers.contract import SpecError, WireError
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.profiles"
_NAMELESS = ("list", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    actions = ("list", "show", "test", "new")
    parser.add_argument("action", nargs="?", choices=actions, default="list", help="cli.profiles.action")
    parser.add_argument("names", nargs="*", metavar="PROFILE", help="cli.profiles.names")
    parser.add_argument(
        "--from-probe", type=Path, action="append", metavar="FILE", help="cli.profiles.from_probe_option"
    )
    parser.add_argument("--quantity", metavar="QUANTITY", help="cli.profiles.quantity_option")
    parser.add_argument("--row", type=int, default=1, metavar="N", help="cli.profiles.row_option")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.profiles.config")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 when a profile's frames do not decode to what it says; 2 for a wrong name or a wrong profile."""
    library = Library(drivers=DRIVERS, directories=(arguments.config.parent / PROFILES,))
    if arguments.action not in _NAMELESS and not arguments.names:
        print(out.text("cli.profiles.name-needed", action=arguments.action), file=sys.stderr)
        return 2
    if arguments.action == "new":
        return _new(arguments, out)
    try:
        profiles = _loaded(library, arguments.names or library.names())
    except FormErrors as errors:
        print("\n".join(problem_lines(out, errors.problems)), file=sys.stderr)
        return 2
    match arguments.action:
        case "list":
            _list(profiles, arguments.json, out)
        case "show":
            _show(profiles, arguments.json, out)
        case _:
            return _test(profiles, arguments.json, out)
    return 0


def _loaded(library: Library, names: Sequence[str]) -> list[Profile]:
    """The profiles of these names. Raises FormErrors with what is wrong in any of them."""
    found: list[Profile] = []
    problems: list[Problem] = []
    for name in names:
        try:
            found.append(library.load(name))
        except FormErrors as errors:
            problems += errors.problems
    if problems:
        raise FormErrors(problems)
    return found


def _new(arguments: argparse.Namespace, out: Messages) -> int:
    """Prints a profile to fill in, or one that reads what probes have found."""
    names = arguments.names
    if len(names) != 1 or not is_name(names[0]):
        print(out.text("cli.profiles.one-name"), file=sys.stderr)
        return 2
    if arguments.from_probe:
        try:
            text = _started(names[0], arguments)
        except UnusableProbeError as error:
            print(out.text(f"probe.unusable.{error.code}", **error.arguments), file=sys.stderr)
            return 2
    else:
        template = (resources.files("agent") / "data" / "profile.template.yaml").read_text(encoding="utf-8")
        text = template.replace("profile: template", f"profile: {names[0]}")
    print(text, end="")
    print(out.text("cli.profiles.new-hint", name=names[0]), file=sys.stderr)
    return 0


def _started(name: str, arguments: argparse.Namespace) -> str:
    """The profile that reads what the probes have found. Raises UnusableProbeError."""
    choices = []
    for path in arguments.from_probe:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            choices.append(chosen(dict(document), quantity=arguments.quantity, number=arguments.row))
            profile_text(name, choices[-1:], DRIVERS)
        except (OSError, ArithmeticError, ValueError, LookupError, TypeError, SpecError, WireError) as error:
            raise UnusableProbeError("file", path=str(path)) from error
    return profile_text(name, choices, DRIVERS)


def _list(profiles: Sequence[Profile], as_json: bool, out: Messages) -> None:
    if as_json:
        print(json.dumps([_head(profile) for profile in profiles], ensure_ascii=False))
        return
    rows = [
        (each.name, each.protocol, out.text(f"cli.profiles.by.{each.tested}"), each.title[out.lang])
        for each in profiles
    ]
    print(page.table(rows, [out.text(f"cli.profiles.{column}") for column in ("name", "protocol", "tested", "title")]))


def _head(profile: Profile) -> dict[str, Any]:
    return {
        "profile": profile.name,
        "title": dict(profile.title),
        "source": profile.source,
        "tested": profile.tested,
        "protocol": profile.protocol,
        "version": profile.version,
        "quantities": [entry.quantity for entry in profile.entries],
        "tests": len(profile.tests),
    }


def _show(profiles: Sequence[Profile], as_json: bool, out: Messages) -> None:
    if as_json:
        print(json.dumps([{**_head(profile), "text": profile.text} for profile in profiles], ensure_ascii=False))
        return
    print("\n\n".join("\n".join(_shown(profile, out)) for profile in profiles))


def _shown(profile: Profile, out: Messages) -> list[str]:
    """A profile as a page: what it is, then its quantities."""
    line = profile.line
    facts = {
        "title": profile.title[out.lang],
        "source": profile.source,
        "tested": out.text(f"cli.profiles.by.{profile.tested}"),
        "serial": f"{line.baud} 8{line.parity[0].upper()}{line.stop_bits}",
        "version": profile.version,
        "unconfirmed": profile.unconfirmed.get(out.lang, ""),
    }
    lines = [f"{profile.name}  ({profile.protocol})"]
    column = 4 + max(page.width_of(out.text(f"cli.profiles.{key}")) for key in facts)
    for key, fact in facts.items():
        if fact:
            lines += page.labelled(out.text(f"cli.profiles.{key}"), fact, indent=2, column=column, width=out.width)
    rows = [
        (entry.quantity, QUANTITIES[entry.quantity].unit, _range(entry), len(bundles([entry])))
        for entry in profile.entries
    ]
    headers = [out.text(f"cli.profiles.{column}") for column in ("quantity", "unit", "range", "reads")]
    return [*lines, "", page.table(rows, headers, right=[3])]


def _range(entry: Entry) -> str:
    if entry.low is None and entry.high is None:
        return ""
    low, high = ("" if limit is None else f"{limit:f}" for limit in (entry.low, entry.high))
    return f"{low} … {high}"


def _test(profiles: Sequence[Profile], as_json: bool, out: Messages) -> int:
    results = [(profile, replayed(profile, DRIVERS[profile.protocol]())) for profile in profiles]
    outcomes = [outcome for _, found in results for outcome in found]
    failed = sum(not outcome.passed for outcome in outcomes)
    if as_json:
        print(json.dumps([_as_json(profile, found) for profile, found in results], ensure_ascii=False))
        return int(failed > 0)
    for profile, found in results:
        print("\n".join(_lines(profile, found, out)))
    print(out.text("cli.profiles.summary", profiles=len(profiles), tests=len(outcomes), failed=failed))
    return int(failed > 0)


def _lines(profile: Profile, outcomes: Sequence[Outcome], out: Messages) -> list[str]:
    if not outcomes:
        return [f"{profile.name}: {out.text('cli.profiles.no-frames')}"]
    lines = [profile.name]
    for outcome in outcomes:
        origin = out.text(f"cli.profiles.origin.{outcome.test.origin}")
        head = " · ".join(filter(None, [origin, outcome.test.note]))
        lines += [f"  {line}" for line in page.wrapped(head, out.width - 2)]
        if outcome.error is not None:
            lines.append(f"    {out.text('cli.profiles.bad-frame', detail=outcome.error.detail)}")
        lines += [f"    {_verdict(field, out)}" for field in outcome.fields]
    return lines


def _verdict(field: Field, out: Messages) -> str:
    """`pass  flow_rate 12.5 m3/h`, or what was expected and what came."""
    unit = QUANTITIES[field.quantity].unit
    found = _value(field.found, field, out)
    if field.passed:
        return f"{out.text('cli.profiles.passed')}  {field.quantity} {found} {unit if field.found else ''}".rstrip()
    if field.reason == UNCOVERED:
        text = out.text("cli.profiles.not-in-frames")
    else:
        text = out.text("cli.profiles.expected", expected=_value(field.expected, field, out), found=found)
    return f"{out.text('cli.profiles.failed')}  {field.quantity}: {text}"


def _value(value: str | None, field: Field, out: Messages) -> str:
    if value is None:
        if not field.reason:
            return out.text("cli.profiles.no-value")
        return out.text("cli.profiles.no-value-because", reason=out.reason(field.reason))
    return value or out.text("cli.profiles.no-flag")


def _as_json(profile: Profile, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "profile": profile.name,
        "passed": all(outcome.passed for outcome in outcomes),
        "tests": [
            {
                "origin": outcome.test.origin,
                "note": outcome.test.note,
                "passed": outcome.passed,
                "error": None if outcome.error is None else outcome.error.detail,
                "fields": [
                    {"quantity": each.quantity, "expected": each.expected, "found": each.found, "reason": each.reason}
                    for each in outcome.fields
                ],
            }
            for outcome in outcomes
        ],
    }
