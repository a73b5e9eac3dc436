"""`qushui coefficient`: runs into a coefficient (`fit`), what there is (`show`), one of them in force (`activate`)."""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from agent import page
from agent.activating import (
    KIND,
    NotActivated,
    Version,
    begins_ms,
    body_of,
    frozen_until,
    head_remarks,
    heads_of,
    next_version,
    proposed,
    record_in,
    today,
    told_version,
    users_of,
    versions_of,
)
from agent.calibration.drafting import Naming, drafted
from agent.calibration.fitting import MODELS, fitted
from agent.calibration.of_intake import NothingGiven, given_by
from agent.calibration.remarks import Reference
from agent.calibration.report import as_html
from agent.calibration.result import NotFitted, Site
from agent.calibration.runs import Table, table_of
from agent.calibration.telling import lines_of, model_text, percent, remark_text, told
from agent.calibration.typed import day_of, number, percentage, person, positive, span
from agent.client import DEFAULT_CONFIG, site_of
from agent.client import Site as ClientSite
from agent.clock import SystemClock
from agent.config import load
from agent.control import ControlError
from agent.declaring import Declaring, store_refusal
from agent.derive.coefficient import DELIVERY_MODES, Coefficient, evidence_tier
from agent.derive.exact import ONE, ZERO, OutOfDomain
from agent.derive.records import record_of
from agent.form.problems import FormErrors, Problem
from agent.intakes.settings import IntakeSettings
from agent.messages import Messages, evidence_lines, problem_lines, refusal_text
from agent.store.book_reader import BookReader
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.coefficient"
_CURVES = ("flow_by_power", "tc_by_power", "tc_by_frequency")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="coefficient.action")
    fit = actions.add_parser("fit", help="coefficient.fit", description="coefficient.fit")
    _add_fit(fit)
    show = actions.add_parser("show", help="coefficient.show", description="coefficient.show")
    show.add_argument("ids", nargs="*", metavar="ID", help="coefficient.ids")
    activate = actions.add_parser("activate", help="coefficient.activate", description="coefficient.activate")
    activate.add_argument("record", type=Path, metavar="RECORD.yaml", help="coefficient.record")
    activate.add_argument("--from", dest="valid_from", type=day_of, required=True, metavar="DATE",
                          help="coefficient.activate_from_option")  # fmt: skip
    activate.add_argument("--who", type=person, required=True, metavar="NAME", help="coefficient.who_option")
    activate.add_argument("--reason", default="", metavar="TEXT", help="coefficient.reason_option")
    activate.add_argument("--heads", type=span, metavar="LOW-HIGH", help="coefficient.heads_option")
    for each in (fit, show, activate):
        each.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
        each.add_argument("--json", action="store_true", help="cli.json_option")


def _add_fit(parser: argparse.ArgumentParser) -> None:
    add: Callable[..., Any] = parser.add_argument
    add("runs", type=Path, metavar="RUNS.csv", help="coefficient.runs")
    add("--model", choices=MODELS, default="fixed", help="coefficient.model_option")
    add("--table", choices=_CURVES, default="flow_by_power", help="coefficient.table_option")
    add("--reference", default="", metavar="NAME", help="coefficient.reference_option")
    add("--certificate", default="", metavar="NO", help="coefficient.certificate_option")
    add("--certificate-until", type=day_of, metavar="DATE", help="coefficient.certificate_until_option")
    add("--u-ref", type=percentage, default=Decimal("0.02"), metavar="PCT", help="coefficient.u_ref_option")
    add("--step", type=positive, metavar="KWH", help="coefficient.step_option")
    add("--multiplier", type=positive, metavar="N", help="coefficient.multiplier_option")
    add("--heads", type=span, metavar="LOW-HIGH", help="coefficient.heads_option")
    add("--height", type=number, default=ZERO, metavar="M", help="coefficient.height_option")
    add("--friction", type=number, default=ZERO, metavar="M", help="coefficient.friction_option")
    add("--wells", type=positive, default=Decimal(1), metavar="N", help="coefficient.wells_option")
    add("--id", default="", help="coefficient.id_option")
    add("--well", default="", metavar="CODE", help="coefficient.well_option")
    add("--mode", choices=DELIVERY_MODES, help="coefficient.mode_option")
    add("--tester", default="", metavar="NAME", help="coefficient.tester_option")
    add("--report-no", default="", metavar="NO", help="coefficient.report_no_option")
    add("--from", dest="valid_from", type=day_of, metavar="DATE", help="coefficient.from_option")
    add("--to", dest="valid_to", type=day_of, metavar="DATE", help="coefficient.to_option")
    add("--out", type=Path, metavar="RECORD.yaml", help="coefficient.out_option")
    add("--html", type=Path, metavar="FILE", help="coefficient.html_option")
    add("--intake", default="", metavar="NAME", help="coefficient.intake_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 when the runs are not good enough, or the agent or the ledger says no; 2 for wrong input."""
    match arguments.action:
        case "fit":
            return _fit(arguments, out)
        case "show":
            return _show(arguments, out)
        case _:
            return _activate(arguments, out)


# --- fit


def _fit(arguments: argparse.Namespace, out: Messages) -> int:
    if problem := _filled_in(arguments, out) or _unusable(arguments, out):
        print(problem, file=sys.stderr)
        return 2
    try:
        data = arguments.runs.read_bytes()
        multiplier = arguments.multiplier or ONE
        table = table_of(data, str(arguments.runs), multiplier=multiplier)
        if multiplier != ONE and "energy_from" not in table.columns:
            print(out.text("coefficient.not_multiplied", value=f"{multiplier.normalize():f}"), file=sys.stderr)
        site = _site(arguments, table)
        fit = fitted(arguments.model, table, site)
    except (OSError, FormErrors, NotFitted) as error:
        print("\n".join(_wrong_lines(error, arguments, out)), file=sys.stderr)
        return 2
    facts = _facts(arguments, table, site, out) | {"table_sha256": hashlib.sha256(data).hexdigest()}
    report = as_html(fit, table, facts, out).encode()
    record: Coefficient | None = None
    if arguments.out is not None and fit.is_accepted:
        try:
            record = drafted(fit, site, _naming(arguments, table, hashlib.sha256(report).hexdigest()))
        except OutOfDomain as error:
            print(out.text("coefficient.bad_record", detail=error), file=sys.stderr)
            return 2
    html = arguments.html or (arguments.out and arguments.out.with_suffix(".html"))
    if html is not None:
        html.write_bytes(report)
    if record is not None:
        arguments.out.write_text(_yaml_of(record, out), encoding="utf-8")
    if arguments.json:
        print(json.dumps(told(fit, table, site, record, out), ensure_ascii=False, indent=2))
    else:
        print("\n".join(lines_of(fit, table, out)))
    _say_written(html, record, arguments, out)
    return 0 if fit.is_accepted else 1


def _filled_in(arguments: argparse.Namespace, out: Messages) -> str:
    """Takes from the intake what was not typed; why that is impossible, "" when all is well."""
    if not arguments.intake:
        return ""
    try:
        config = load(arguments.config, drivers=DRIVERS, uplink_settings=settings_models())
        given = given_by(config.intakes, arguments.intake)
    except FormErrors as errors:
        return "\n".join(problem_lines(out, errors.problems))
    except NothingGiven as error:
        return out.text(f"coefficient.{error.code}", **error.arguments)
    for name, value in given._asdict().items():
        setattr(arguments, name, getattr(arguments, name) or value)
    return ""


def _unusable(arguments: argparse.Namespace, out: Messages) -> str:
    """Why nothing should be computed at all; "" when all is well."""
    if arguments.out is not None and not (arguments.id and arguments.well):
        return out.text("coefficient.names_needed")
    first, end = arguments.valid_from, arguments.valid_to
    if first is not None and end is not None and end <= first:
        return out.text("coefficient.ends_first", value=end, first=first)
    for path in (arguments.out, arguments.html, arguments.out and arguments.out.with_suffix(".html")):
        if path is not None and path.exists():
            return out.text("coefficient.exists", path=path)
        if path is not None and not path.parent.is_dir():
            return out.text("coefficient.no_directory", path=path.parent)
    return ""


def _wrong_lines(error: Exception, arguments: argparse.Namespace, out: Messages) -> list[str]:
    if isinstance(error, NotFitted):
        return page.wrapped(
            f"{arguments.runs}: {out.text(f'calibration.wrong.{error.code}', **error.arguments)}", out.width
        )
    if isinstance(error, FormErrors):
        return list(problem_lines(out, error.problems))
    is_there = not isinstance(error, FileNotFoundError)
    code, detail = ("file-unreadable", str(error)) if is_there else ("file-missing", "")
    problem = Problem(file=str(arguments.runs), line=1, column=1, path="", code=code, arguments={"detail": detail})
    return list(problem_lines(out, [problem]))


def _site(arguments: argparse.Namespace, table: Table) -> Site:
    reference = Reference(
        u_rel=arguments.u_ref / 2,  # certificates state k = 2
        name=arguments.reference or arguments.certificate,
        certificate=arguments.certificate,
        valid_until=arguments.certificate_until,
    )
    return Site(
        reference=reference,
        step_kwh=arguments.step or table.step_kwh,
        heads=arguments.heads,
        discharge_height_m=arguments.height,
        friction_m=arguments.friction,
        curve=arguments.table,
        wells=arguments.wells,
    )


def _naming(arguments: argparse.Namespace, table: Table, report_hash: str) -> Naming:
    """Raises OutOfDomain without a day from which it counts."""
    last = table.last_day
    valid_from = arguments.valid_from or (last and last + timedelta(days=1))
    if valid_from is None:
        raise OutOfDomain("--from", "nothing", "given, as no run has a date")
    given = {
        "report_no": arguments.report_no,
        "tester": arguments.tester,
        "ref_meter_cert": arguments.certificate,
        "runs_file": arguments.runs.name,
        "sha256": report_hash,
    }
    return Naming(
        id=arguments.id,
        well_code=arguments.well,
        delivery_mode=arguments.mode or table.mode or DELIVERY_MODES[0],
        valid_from=valid_from,
        valid_to=arguments.valid_to,
        calibrated_on=last,
        evidence=MappingProxyType({key: value for key, value in given.items() if value}),
    )


def _facts(arguments: argparse.Namespace, table: Table, site: Site, out: Messages) -> dict[str, str]:
    """What the report says first."""
    mode = arguments.mode or table.mode or DELIVERY_MODES[0]
    until = site.reference.valid_until
    certificate = site.reference.certificate + (f" → {until}" if until else "")
    heads = "" if site.heads is None else f"{site.heads[0]} … {site.heads[1]} m"
    return {
        "id": arguments.id,
        "well": arguments.well,
        "mode": out.text(f"calibration.mode.{mode}"),
        "model": out.text(f"calibration.kind.{arguments.model}"),
        "day": "" if table.last_day is None else str(table.last_day),
        "tester": arguments.tester,
        "report_no": arguments.report_no,
        "reference": site.reference.name,
        "certificate": certificate,
        "u_reference": f"{percent(2 * site.reference.u_rel)} (k = 2)",
        "step": f"{site.step_kwh} kWh",
        "heads": heads,
    }


def _yaml_of(record: Coefficient, out: Messages) -> str:
    body = yaml.safe_dump(record_of(record), allow_unicode=True, sort_keys=False, default_flow_style=None)
    return f"# {out.text('coefficient.draft_head', id=record.id)}\n{body}"


def _say_written(html: Path | None, record: Coefficient | None, arguments: argparse.Namespace, out: Messages) -> None:
    if html is not None:
        print(out.text("coefficient.report_written", path=html), file=sys.stderr)
    if arguments.out is not None:
        key = "coefficient.no_draft" if record is None else "coefficient.draft_written"
        print(out.text(key, path=arguments.out), file=sys.stderr)


# --- show


def _show(arguments: argparse.Namespace, out: Messages) -> int:
    site = site_of(arguments.config)
    book = BookReader(site.store)
    try:
        found, proposals = versions_of(book), proposed(book.rounds)
    except (OSError, sqlite3.Error) as error:
        print(store_refusal(error, site, out), file=sys.stderr)
        return 1
    finally:
        book.close()
    if unknown := [name for name in arguments.ids if name not in found]:
        print(out.text("coefficient.unknown", value=" ".join(unknown), known=" ".join(found)), file=sys.stderr)
        return 2
    day = today(SystemClock("host").now(), site.timezone)
    shown = {name: found[name] for name in arguments.ids or found}
    intakes = _intakes(arguments.config)
    if arguments.json:
        plain = {name: [told_version(each, name, day, intakes) for each in rows] for name, rows in shown.items()}
        print(json.dumps({"coefficients": plain, "proposals": proposals}, ensure_ascii=False, indent=2))
        return 0
    lines = [line for rows in shown.values() for each in rows for line in _version_lines(each, day, intakes, site, out)]
    print("\n".join(lines or [out.text("coefficient.none")]))
    for proposal in proposals:
        print("\n".join(["", *page.wrapped(out.text("coefficient.proposal", place=proposal.pop("place")), out.width)]))
        print("\n".join(f"  {line}" for line in evidence_lines(out, proposal)))
    return 0


def _intakes(config: Path) -> list[IntakeSettings]:
    """The intakes of a configuration; none where it does not pass (`qushui check` says why)."""
    try:
        return list(load(config, drivers=DRIVERS, uplink_settings=settings_models()).intakes.values())
    except FormErrors:
        return []


def _version_lines(
    version: Version, day: date, intakes: Sequence[IntakeSettings], site: ClientSite, out: Messages
) -> list[str]:
    coefficient = version.coefficient
    state = out.text(f"coefficient.state.{version.state_on(day)}")
    rows = {
        "model": model_text(coefficient.model, out),
        "u": out.text("coefficient.tier", u=percent(coefficient.u_rel), tier=evidence_tier(coefficient).value),
        "valid": f"{coefficient.valid_from or '…'} → {coefficient.valid_to or '…'}",
        "well": f"{coefficient.well_code} · {out.text(f'calibration.mode.{coefficient.delivery_mode}')}",
        "used": " ".join(users_of(coefficient.id, intakes)) or out.text("coefficient.unused"),
        "who": f"{version.who} · {site.local(version.entered_ms)}".rstrip(" ·"),
    }
    lines = [f"{coefficient.name}  {state}"]
    for key, text in rows.items():
        label = out.text(f"coefficient.row.{key}")
        lines += page.labelled(label, text, indent=2, column=14, width=out.width)
    return lines


# --- activate


def _activate(arguments: argparse.Namespace, out: Messages) -> int:
    site = site_of(arguments.config)
    book = BookReader(site.store)
    try:
        record = record_in(arguments.record)
        config = load(arguments.config, drivers=DRIVERS, uplink_settings=settings_models())
        known, frozen = _known(book, record.id)
        taken = next_version(record, known, valid_from=arguments.valid_from, frozen=frozen, zone=site.timezone)
        heads = arguments.heads or heads_of(record.id, config.intakes.values())
        for remark in head_remarks(taken, heads):
            print(remark_text(remark, (), out), file=sys.stderr)
            if remark.refuses:
                return 1
        declaring = Declaring(site, config)
        body = body_of(taken, reason=arguments.reason)
        answer = declaring.declare(KIND, taken.id, begins_ms(taken, site.timezone), body, arguments.who)
    except FormErrors as errors:
        print("\n".join(problem_lines(out, errors.problems)), file=sys.stderr)
        return 2
    except (NotActivated, ControlError, OutOfDomain, OSError, sqlite3.Error) as error:
        print(_refusal(error, site, out), file=sys.stderr)
        return 1
    finally:
        book.close()
    if arguments.json:
        print(json.dumps({**answer, "name": taken.name, "record": record_of(taken)}, ensure_ascii=False))
    else:
        print(out.text("coefficient.activated", name=taken.name, first=taken.valid_from, end=taken.valid_to))
    return 0


def _known(book: BookReader, name: str) -> tuple[list[Version], tuple[str, date] | None]:
    """The versions there are, and what is frozen; nothing before the first start of the agent."""
    try:
        return versions_of(book).get(name, []), frozen_until(book)
    except FileNotFoundError:
        return [], None


def _refusal(error: Exception, site: ClientSite, out: Messages) -> str:
    match error:
        case NotActivated():
            return out.text(f"coefficient.refused.{error.code}", **error.arguments)
        case ControlError():
            return refusal_text(out, error.code, error.arguments)
        case OutOfDomain():
            return out.text("coefficient.bad_record", detail=error)
        case _:
            return store_refusal(error, site, out)
