"""`qushui coefficient`: runs into a coefficient (`fit`), what there is (`show`), one of them in force (`activate`)."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from agent.calibration.drafting import Naming, drafted
from agent.calibration.fitting import MODELS, fitted
from agent.calibration.remarks import Reference
from agent.calibration.report import as_html
from agent.calibration.result import NotFitted, Site
from agent.calibration.runs import Table, table_of
from agent.calibration.telling import lines_of, percent, told
from agent.derive.coefficient import DELIVERY_MODES, Coefficient
from agent.derive.exact import ZERO, OutOfDomain
from agent.derive.records import record_of
from agent.form.problems import FormErrors, Problem
from agent.messages import Messages, problem_lines

HELP_KEY = "cli.verb.coefficient"
_CURVES = ("flow_by_power", "tc_by_power", "tc_by_frequency")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="fit|show|activate")
    _add_fit(actions.add_parser("fit", help="coefficient.fit", description="coefficient.fit"))


def _add_fit(parser: argparse.ArgumentParser) -> None:
    add: Callable[..., Any] = parser.add_argument
    add("runs", type=Path, metavar="RUNS.csv", help="coefficient.runs")
    add("--model", choices=MODELS, default="fixed", help="coefficient.model_option")
    add("--table", choices=_CURVES, default="flow_by_power", help="coefficient.table_option")
    add("--reference", default="", metavar="NAME", help="coefficient.reference_option")
    add("--certificate", default="", metavar="NO", help="coefficient.certificate_option")
    add("--certificate-until", type=_day, metavar="DATE", help="coefficient.certificate_until_option")
    add("--u-ref", type=_percent, default=Decimal("0.02"), metavar="PCT", help="coefficient.u_ref_option")
    add("--step", type=_positive, metavar="KWH", help="coefficient.step_option")
    add("--multiplier", type=_positive, default=Decimal(1), metavar="N", help="coefficient.multiplier_option")
    add("--heads", type=_span, metavar="LOW-HIGH", help="coefficient.heads_option")
    add("--height", type=_number, default=ZERO, metavar="M", help="coefficient.height_option")
    add("--friction", type=_number, default=ZERO, metavar="M", help="coefficient.friction_option")
    add("--wells", type=_positive, default=Decimal(1), metavar="N", help="coefficient.wells_option")
    add("--id", default="", help="coefficient.id_option")
    add("--well", default="", metavar="CODE", help="coefficient.well_option")
    add("--mode", choices=DELIVERY_MODES, help="coefficient.mode_option")
    add("--tester", default="", metavar="NAME", help="coefficient.tester_option")
    add("--report-no", default="", metavar="NO", help="coefficient.report_no_option")
    add("--from", dest="valid_from", type=_day, metavar="DATE", help="coefficient.from_option")
    add("--to", dest="valid_to", type=_day, metavar="DATE", help="coefficient.to_option")
    add("--out", type=Path, metavar="RECORD.yaml", help="coefficient.out_option")
    add("--html", type=Path, metavar="FILE", help="coefficient.html_option")
    add("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 when the runs are not good enough, or the agent or the ledger says no; 2 for wrong input."""
    return _fit(arguments, out)


# --- values of options


def _number(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(text) from error
    if not value.is_finite():
        raise ValueError(text)
    return value


def _positive(text: str) -> Decimal:
    value = _number(text)
    if value <= 0:
        raise ValueError(text)
    return value


def _percent(text: str) -> Decimal:
    return _positive(text.rstrip("%％ ")) / 100


def _span(text: str) -> tuple[Decimal, Decimal]:
    """LOW-HIGH, above 0."""
    found = re.fullmatch(r"\s*([\d.]+)\s*(?:-|–|~|…|\.\.\.?)\s*([\d.]+)\s*", text)
    if found is None:
        raise ValueError(text)
    low, high = _positive(found[1]), _positive(found[2])
    if low > high:
        raise ValueError(text)
    return low, high


_day = date.fromisoformat


# --- fit


def _fit(arguments: argparse.Namespace, out: Messages) -> int:
    if problem := _unusable(arguments, out):
        print(problem, file=sys.stderr)
        return 2
    try:
        data = arguments.runs.read_bytes()
        table = table_of(data, str(arguments.runs), multiplier=arguments.multiplier)
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


def _unusable(arguments: argparse.Namespace, out: Messages) -> str:
    """Why nothing should be computed at all; "" when all is well."""
    if arguments.out is not None and not (arguments.id and arguments.well):
        return out.text("coefficient.names_needed")
    for path in (arguments.out, arguments.html, arguments.out and arguments.out.with_suffix(".html")):
        if path is not None and path.exists():
            return out.text("coefficient.exists", path=path)
        if path is not None and not path.parent.is_dir():
            return out.text("coefficient.no_directory", path=path.parent)
    return ""


def _wrong_lines(error: Exception, arguments: argparse.Namespace, out: Messages) -> list[str]:
    if isinstance(error, NotFitted):
        return [out.text(f"calibration.wrong.{error.code}", **error.arguments)]
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
        "model": arguments.model,
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
