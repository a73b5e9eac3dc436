"""`qushui enter`: what only a person knows: readings, replacements, decisions, nameplates, what was seen or wrong."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent import page
from agent.calibration.typed import person, positive, ratio
from agent.client import DEFAULT_CONFIG, Site, site_of
from agent.config import load
from agent.control import ControlError
from agent.declaring import Declaring, store_refusal
from agent.entering import Desk, NotWithdrawable, Odd, Wrong, time_of
from agent.form.problems import FormErrors
from agent.intakes.withdrawing import WITHDRAWAL
from agent.messages import Messages, place_text, problem_lines, refusal_text
from agent.photos import MOST_BYTES, PhotoError, keep
from agent.reporting import NAMEPLATE
from agent.store.book_reader import BookReader, LedgerRow
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.enter"
_MEGABYTE = 1_000_000
_NOT_THE_INPUT = frozenset({"CLOCK", "NOTHING_OPEN", "PURGED"})
_TEXTS = ("reason", "serial_old", "serial_new", "seal_old", "seal_new", "tester")


class _Unconfirmed(Exception):
    """What has to be confirmed with --yes."""

    def __init__(self, odd: Sequence[Odd]) -> None:
        super().__init__(str(odd))
        self.odd = odd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="enter.action")
    for name, add in (
        ("reading", _add_reading),
        ("replacement", _add_replacement),
        ("decision", _add_decision),
        ("acknowledge", _add_acknowledge),
        ("withdrawal", _add_withdrawal),
        ("nameplate", _add_nameplate),
    ):
        action = actions.add_parser(name, help=f"enter.{name}", description=f"enter.{name}")
        add(action)
        action.add_argument("--who", type=person, required=True, metavar="NAME", help="enter.who_option")
        action.add_argument("--yes", action="store_true", help="enter.yes_option")
        action.add_argument(
            "-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option"
        )
        action.add_argument("--json", action="store_true", help="cli.json_option")


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("meter", metavar="METER", help="enter.meter")
    parser.add_argument("quantity", metavar="QUANTITY", help="enter.quantity")
    parser.add_argument("value", metavar="VALUE", help="enter.value")
    parser.add_argument("--at", metavar="TIME", required=True, help="enter.at_option")
    parser.add_argument("--note", default="", metavar="TEXT", help="enter.note_option")
    _add_photo(parser)


def _add_replacement(parser: argparse.ArgumentParser) -> None:
    add: Callable[..., Any] = parser.add_argument
    add("meter", metavar="METER", help="enter.meter")
    add("--quantity", required=True, metavar="Q", help="enter.counter_option")
    add("--at", metavar="TIME", required=True, help="enter.at_option")
    add("--old-final", metavar="N", help="enter.old_final_option")
    add("--new-initial", required=True, metavar="N", help="enter.new_initial_option")
    factor = parser.add_mutually_exclusive_group()
    factor.add_argument("--multiplier", type=positive, metavar="N", help="enter.multiplier_option")
    factor.add_argument("--ct", type=ratio, metavar="100/5", help="enter.ct_option")
    add("--pt", type=ratio, default=Decimal(1), metavar="10000/100", help="enter.pt_option")
    add("--reset", action="store_true", help="enter.reset_option")
    for name in _TEXTS:
        add(f"--{name.replace('_', '-')}", default="", metavar="TEXT", help=f"enter.{name}_option")
    _add_photo(parser)


def _add_decision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("meter", metavar="METER", help="enter.meter")
    parser.add_argument("--quantity", required=True, metavar="Q", help="enter.counter_option")
    parser.add_argument("--register", required=True, metavar="N", help="enter.register_option")
    parser.add_argument("--at", metavar="TIME", help="enter.at_now_option")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--wraps", type=int, metavar="N", help="enter.wraps_option")
    way.add_argument("--restart", action="store_true", help="enter.restart_option")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="enter.reason_option")


def _add_acknowledge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="INTAKE|METER", help="enter.name")
    parser.add_argument("rule", metavar="RULE", help="enter.rule")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="enter.reason_option")


def _add_withdrawal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("row", type=int, metavar="NUMBER", help="enter.row")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="enter.reason_option")


def _add_nameplate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("meter", metavar="METER", help="enter.meter")
    parser.add_argument("--at", metavar="TIME", help="enter.at_now_option")
    parser.add_argument("--note", default="", metavar="TEXT", help="enter.note_option")
    _add_photo(parser, is_required=True)


def _add_photo(parser: argparse.ArgumentParser, *, is_required: bool = False) -> None:
    parser.add_argument(
        "--photo", type=Path, action="append", default=[], metavar="FILE", required=is_required,
        help="enter.photo_option",
    )  # fmt: skip
    parser.add_argument(
        "--photo-max", type=positive, default=Decimal(MOST_BYTES) / _MEGABYTE, metavar="MB",
        help="enter.photo_max_option",
    )  # fmt: skip


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 when something is to be confirmed, or the agent or the books say no; 2 for wrong input."""
    site = site_of(arguments.config)
    book = BookReader(site.store)
    try:
        config = load(arguments.config, drivers=DRIVERS, uplink_settings=settings_models())
        desk = Desk(config=config, site=site, book=book, now_ms=time_of(site, config.clock.trust))
        declaring = Declaring(site, config)
        told = _ACTIONS[arguments.action](arguments, desk, declaring)
    except _Unconfirmed as unconfirmed:
        _say_odd(unconfirmed.odd, out)
        return 1
    except (FormErrors, Wrong, PhotoError) as error:
        print("\n".join(_wrong_lines(error, site, out)), file=sys.stderr)
        return 1 if isinstance(error, Wrong) and error.code in _NOT_THE_INPUT else 2
    except (ControlError, OSError, sqlite3.Error) as error:
        print(_refusal(error, site, out), file=sys.stderr)
        return 1
    finally:
        book.close()
    _print(told, arguments, desk, out)
    return 0


def _confirm(odd: Sequence[Odd], arguments: argparse.Namespace) -> None:
    """Raises _Unconfirmed unless the person said yes."""
    if odd and not arguments.yes:
        raise _Unconfirmed(odd)


def _photos(arguments: argparse.Namespace, desk: Desk) -> list[dict[str, Any]]:
    most = int(arguments.photo_max * _MEGABYTE)
    return [keep(path, desk.site.store, most_bytes=most)._asdict() for path in arguments.photo]


# --- what each action does; each tells what was kept


def _reading(arguments: argparse.Namespace, desk: Desk, declaring: Declaring) -> dict[str, Any]:
    meter = desk.meter(arguments.meter)
    quantity = desk.quantity(meter, arguments.quantity)
    value, at_ms = desk.value(arguments.value, meter, quantity), desk.moment(arguments.at)
    _confirm(desk.oddities(meter, quantity, value, at_ms), arguments)
    asked = {"meter": meter, "quantity": quantity, "value": f"{value:f}", "at_ms": at_ms, "who": arguments.who,
             "note": arguments.note, "photo": _photos(arguments, desk)}  # fmt: skip
    return {**asked, **declaring.enter_reading(asked)}


def _replacement(arguments: argparse.Namespace, desk: Desk, declaring: Declaring) -> dict[str, Any]:
    meter = desk.meter(arguments.meter)
    quantity = desk.quantity(meter, arguments.quantity, counter=True)
    at_ms, new = desk.moment(arguments.at), desk.value(arguments.new_initial, meter, quantity)
    desk.reach(meter, at_ms)
    odd = []
    if arguments.old_final is None:
        final = None
        odd.append(Odd("NO_FINAL", {"meter": meter}))
    else:
        final = desk.value(arguments.old_final, meter, quantity)
        odd += desk.ends_oddly(meter, quantity, final, at_ms)
    odd += desk.begins_oddly(meter, quantity, new, at_ms) + desk.repeats_oddly(meter, quantity, at_ms)
    _confirm(odd, arguments)
    factor = arguments.ct * arguments.pt if arguments.ct is not None else arguments.multiplier
    body: dict[str, Any] = {
        "quantity": quantity,
        "old_final": None if final is None else f"{final:f}",
        "new_initial": f"{new:f}",
        "multiplier": None if factor is None else f"{factor.normalize():f}",
        "reset": arguments.reset,
        **{name: getattr(arguments, name) for name in _TEXTS if getattr(arguments, name)},
        "photo": _photos(arguments, desk),
    }
    return {
        "meter": meter,
        "at_ms": at_ms,
        **body,
        **declaring.declare("replacement", meter, at_ms, body, arguments.who),
    }


def _decision(arguments: argparse.Namespace, desk: Desk, declaring: Declaring) -> dict[str, Any]:
    meter = desk.meter(arguments.meter)
    quantity = desk.quantity(meter, arguments.quantity, counter=True)
    register, at_ms = desk.value(arguments.register, meter, quantity), desk.moment(arguments.at)
    desk.reach(meter, at_ms)
    if arguments.wraps is not None and arguments.wraps < 0:
        raise Wrong("WRAPS", value=arguments.wraps)
    known = desk.known(meter, quantity, at_ms)
    if known is not None and known.value != register:
        words = {"value": register, "known": known.value, "at": desk.site.local(known.at_ms), "meter": meter}
        _confirm([Odd("OTHER", words)], arguments)
    body = {"quantity": quantity, "register": f"{register:f}", "wraps": arguments.wraps, "reason": arguments.reason}
    return {"meter": meter, "at_ms": at_ms, **body, **declaring.declare("decision", meter, at_ms, body, arguments.who)}


def _acknowledge(arguments: argparse.Namespace, desk: Desk, declaring: Declaring) -> dict[str, Any]:
    name, rule = arguments.name, arguments.rule.upper()
    known = [*desk.config.intakes, *desk.config.meters, *desk.config.manual]
    if name not in known:
        raise Wrong("NAME", value=name, known=" ".join(known))
    subjects = list(dict.fromkeys(each.subject for each in desk.open_events(rule, name)))
    if not subjects:
        raise Wrong("NOTHING_OPEN", rule=rule, name=name)
    body = {"rule": rule, "reason": arguments.reason}
    ids = [
        declaring.declare("acknowledgement", subject, desk.now_ms, body, arguments.who)["id"] for subject in subjects
    ]
    return {"name": name, "subjects": subjects, **body, "id": ids[-1]}


def _withdrawal(arguments: argparse.Namespace, desk: Desk, declaring: Declaring) -> dict[str, Any]:
    row = desk.withdrawable(arguments.row)
    if row.at_ms is not None:
        desk.reach(row.subject, row.at_ms)
    body = {"id": row.id, "kind": row.kind, "reason": arguments.reason}
    told = declaring.declare(WITHDRAWAL, row.subject, row.at_ms, body, arguments.who)
    return {"withdrawn": row.id, "kind": row.kind, "subject": row.subject, "at_ms": row.at_ms,
            "reason": arguments.reason, **told}  # fmt: skip


def _nameplate(arguments: argparse.Namespace, desk: Desk, declaring: Declaring) -> dict[str, Any]:
    meter, at_ms = desk.meter(arguments.meter), desk.moment(arguments.at)
    note = {"note": arguments.note} if arguments.note else {}
    body = {"photo": _photos(arguments, desk), **note}
    return {"meter": meter, "at_ms": at_ms, **body, **declaring.declare(NAMEPLATE, meter, at_ms, body, arguments.who)}


_ACTIONS: Mapping[str, Callable[[argparse.Namespace, Desk, Declaring], dict[str, Any]]] = {
    "reading": _reading,
    "replacement": _replacement,
    "decision": _decision,
    "acknowledge": _acknowledge,
    "withdrawal": _withdrawal,
    "nameplate": _nameplate,
}


# --- telling


def _print(told: Mapping[str, Any], arguments: argparse.Namespace, desk: Desk, out: Messages) -> None:
    if arguments.json:
        print(json.dumps(dict(told), ensure_ascii=False))
        return
    words = {**told, "at": desk.site.local(told.get("at_ms")), "count": len(told.get("photo", ()))}
    if "kind" in told:
        words |= {"kind": out.text(f"report.kind.{told['kind']}"), "subject": place_text(out, str(told["subject"]))}
    if "quantity" in told:
        words["quantity"] = out.quantity(str(told["quantity"]))
    print(out.text(f"enter.done.{arguments.action}", **words))
    if words["count"]:
        print(out.text("enter.photos", **words))


def _say_odd(odd: Sequence[Odd], out: Messages) -> None:
    for each in odd:
        print("\n".join(page.wrapped(out.text(f"enter.odd.{each.code}", **each.arguments), out.width)), file=sys.stderr)
    print(out.text("enter.say_yes"), file=sys.stderr)


def _wrong_lines(error: Exception, site: Site, out: Messages) -> list[str]:
    if isinstance(error, FormErrors):
        return list(problem_lines(out, error.problems))
    assert isinstance(error, Wrong | PhotoError), "nothing else is caught"
    family = "enter.wrong" if isinstance(error, Wrong) else "photo.wrong"
    words = dict(error.arguments)
    if isinstance(error, NotWithdrawable):
        words["known"] = " · ".join(_row(row, site, out) for row in error.rows) or "-"
    lines = page.wrapped(out.text(f"{family}.{error.code}", **words), out.width)
    if error.arguments.get("near", "-") != "-":
        lines.append(out.text("cli.did_you_mean", value=error.arguments["near"]))
    return lines


def _row(row: LedgerRow, site: Site, out: Messages) -> str:
    """A declaration in a few words, its number first."""
    words = {"kind": out.text(f"report.kind.{row.kind}"), "subject": row.subject, "at": site.local(row.at_ms)}
    return out.text("enter.row_told", id=row.id, **words)


def _refusal(error: Exception, site: Site, out: Messages) -> str:
    if isinstance(error, ControlError):
        return refusal_text(out, error.code, error.arguments)
    return store_refusal(error, site, out)
