"""`qushui report`: the volumes of a quarter, month or day with all they rest on; freezing a quarter; sheets to sign."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent import page
from agent.client import DEFAULT_CONFIG, Site, site_of
from agent.clock import SystemClock
from agent.config import load
from agent.control import ControlError
from agent.declaring import store_refusal
from agent.derive.exact import OutOfDomain, instant_ms, local_day
from agent.entering import Wrong, time_of
from agent.form.problems import FormErrors
from agent.freezing import Freezing
from agent.messages import Messages, problem_lines, refusal_text
from agent.reporting import Frozen, Reporting, frozen_versions
from agent.reports.freezing import Asked, Refused
from agent.reports.package import FORMATS, File, Reads, Signs, package
from agent.reports.report import Report
from agent.reports.spans import Span, SpanKind, span_before, span_of, span_with
from agent.reports.voucher import Sealing
from agent.reports.wording import Wording, grouped, number, stated
from agent.settings import Config
from agent.signing import KeyUnusableError, key_place, with_signature
from agent.store.book_reader import BookReader
from agent.uplinks.registry import settings_models
from agent.uploads import stored_rates
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.report"
_KINDS = {"quarter": SpanKind.QUARTER, "monthly": SpanKind.MONTH, "daily": SpanKind.DAY}
_EXAMPLES = {"quarter": "2026Q3", "monthly": "2026-09", "daily": "2026-09-30"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("action", choices=[*_KINDS, "acceptance", "export"], help="report.action")
    parser.add_argument("period", nargs="?", help="report.period")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--intake", action="append", metavar="NAME", help="report.intake_option")
    parser.add_argument("--out", type=Path, metavar="DIR", help="report.out_option")
    parser.add_argument("--since", metavar="TIME", help="report.since_option")
    parser.add_argument("--until", metavar="TIME", help="report.until_option")
    parser.add_argument("--format", action="append", choices=FORMATS, help="report.format_option")
    parser.add_argument("--version", type=int, metavar="N", help="report.version_option")
    parser.add_argument("--draft", action="store_true", help="report.draft_option")
    parser.add_argument("--freeze", action="store_true", help="report.freeze_option")
    parser.add_argument("--who", default="", metavar="NAME", help="report.who_option")
    parser.add_argument("--reason", default="", metavar="TEXT", help="report.reason_option")
    parser.add_argument("--now", action="store_true", help="report.now_option")
    parser.add_argument("--accept-expired", action="store_true", help="report.accept_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 where there is no database or it says no; 2 for wrong input."""
    site = site_of(arguments.config)
    carry_out = {"acceptance": _acceptance, "export": _export}.get(arguments.action, _report)
    try:
        with closing(BookReader(site.store)) as book:
            return carry_out(arguments, site, book, out)
    except FormErrors as errors:
        print("\n".join(problem_lines(out, errors.problems)), file=sys.stderr)
        return 2
    except (OSError, sqlite3.Error) as error:
        print(store_refusal(error, site, out), file=sys.stderr)
        return 1


def _report(arguments: argparse.Namespace, site: Site, book: BookReader, out: Messages) -> int:
    now_ms, is_known = _now(site)
    if arguments.freeze and not is_known:
        print(refusal_text(out, "CLOCK_UNTRUSTED", {}), file=sys.stderr)
        return 1
    try:
        span = _span(arguments, site, now_ms)
    except OutOfDomain:
        example = _EXAMPLES[arguments.action]
        print(out.text("report.no_period", value=arguments.period, example=example), file=sys.stderr)
        return 2
    versions = frozen_versions(book, span.name) if span.kind is SpanKind.QUARTER else []
    if span.begin_ms > now_ms and is_known and not versions:
        current = span_with(span.kind, local_day(now_ms, site.timezone), site.timezone).name
        facts = {"begin": site.local(span.begin_ms), "now": site.local(now_ms), "current": current}
        print(_nothing("not_begun", span, arguments, out, **facts), file=sys.stderr)
        return 2
    if arguments.freeze:
        return _freeze(arguments, site, book, (span, versions, now_ms), out)
    return _shown(arguments, site, book, (span, versions, now_ms), out)


def _shown(
    arguments: argparse.Namespace,
    site: Site,
    book: BookReader,
    known: tuple[Span, Sequence[Frozen], int],
    out: Messages,
) -> int:
    """A frozen version, or the draft as far as the data reach."""
    span, versions, now_ms = known
    if arguments.version is not None or (versions and not arguments.draft and not arguments.intake):
        return _frozen(arguments, versions, span, out)
    config = _config(arguments)
    if (wrong := _wrong_intakes(arguments, config, out)) is not None:
        print(wrong, file=sys.stderr)
        return 2
    reporting = _reporting(book, config, arguments.intake)
    report = reporting.draft(span, made_ms=now_ms)
    if all(intake.end is None for intake in report.intakes):
        print(_without_data(report, reporting.reach(), site, arguments, out), file=sys.stderr)
        return 1
    return _give(report, Sealing(report.sha256, "", ""), arguments, out)


def _without_data(
    report: Report, reach: tuple[int, int] | None, site: Site, arguments: argparse.Namespace, out: Messages
) -> str:
    """Why there are no figures in a period, and which period has some. `reach` as `Reporting.reach`."""
    span = report.span
    if reach is None:
        return _nothing("never", span, arguments, out)
    first, last = (span_with(span.kind, local_day(at_ms - 1, site.timezone), site.timezone) for at_ms in reach)
    if span.end_ms <= reach[0]:
        return _nothing("before_first", span, arguments, out, first=site.local(reach[0]), earliest=first.name)
    if span.begin_ms >= reach[1]:
        facts = {"last": site.local(reach[1]), "now": site.local(report.made_ms), "latest": last.name}
        return _nothing("behind_last", span, arguments, out, **facts)
    facts = {"first": site.local(reach[0]), "last": site.local(reach[1])}
    return _nothing("between", span, arguments, out, **facts, intake=report.intakes[0].name)


def _nothing(code: str, span: Span, arguments: argparse.Namespace, out: Messages, **facts: object) -> str:
    told = out.text(f"report.nothing.{code}", span=span.name, action=arguments.action, **facts)
    return "\n".join(page.wrapped(told, out.width))


def _config(arguments: argparse.Namespace) -> Config:
    return load(arguments.config, drivers=DRIVERS, uplink_settings=settings_models())


def _wrong_intakes(arguments: argparse.Namespace, config: Config, out: Messages) -> str | None:
    """What is wrong with the intakes asked for."""
    if not config.intakes:
        return out.text("report.no_intakes", config=arguments.config)
    for name in arguments.intake or ():
        if name not in config.intakes:
            return out.text("report.no_intake", value=name, known=" ".join(config.intakes))
    return None


def _reporting(book: BookReader, config: Config, names: Sequence[str] | None) -> Reporting:
    intakes = [config.intakes[name] for name in names or config.intakes]
    rates = stored_rates(Path(config.store.path))
    return Reporting(book, station=config.station, intakes=intakes, software=version("qushui"), rates=rates)


def _freeze(
    arguments: argparse.Namespace,
    site: Site,
    book: BookReader,
    known: tuple[Span, Sequence[Frozen], int],
    out: Messages,
) -> int:
    """Fixes the quarter as its next version."""
    span, versions, now_ms = known
    if span.kind is not SpanKind.QUARTER or arguments.intake:
        print(out.text("report.freeze.whole" if arguments.intake else "report.freeze.only_quarters"), file=sys.stderr)
        return 2
    config = _config(arguments)
    if (wrong := _wrong_intakes(arguments, config, out)) is not None:
        print(wrong, file=sys.stderr)
        return 2
    asked = Asked(
        who=arguments.who,
        reason=arguments.reason,
        is_early=arguments.now,
        accepts_expired=arguments.accept_expired,
    )
    freezing = Freezing(site, config, reporting=_reporting(book, config, None), now_ms=now_ms)
    try:
        result = freezing.freeze(span, [each.report for each in versions], asked)
    except ControlError as error:
        print(refusal_text(out, error.code, error.arguments), file=sys.stderr)
        return 1
    if isinstance(result, Refused):
        told = out.text(f"report.freeze.{result.code}", at=site.local(result.from_ms), **result.arguments)
        print("\n".join(page.wrapped(told, out.width)), file=sys.stderr)
        return 2 if result.is_input else 1
    if not result.signature:
        print(out.text("report.freeze.no_key"), file=sys.stderr)
    sealing = Sealing(result.sha256, result.key, result.signature)
    return _give(result.report, sealing, arguments, out)


def _acceptance(arguments: argparse.Namespace, site: Site, book: BookReader, out: Messages) -> int:
    """The sheet to sign on site, with every meter read now."""
    from agent.accepting import accepted  # noqa: PLC0415 - brings serial ports along, which no report needs
    from agent.reports.acceptance import acceptance_sheet  # noqa: PLC0415

    config = _config(arguments)
    if (wrong := _wrong_intakes(arguments, config, out)) is not None and arguments.intake:
        print(wrong, file=sys.stderr)
        return 2
    sheet = accepted(site, config, book, now_ms=_now(site)[0], software=version("qushui"))
    if arguments.intake:
        sheet = replace(sheet, intakes=tuple(config.intakes[name] for name in arguments.intake))
    name = f"{config.station.id}-acceptance.{out.lang}.html"
    return _write([File(name, acceptance_sheet(sheet, out).encode())], arguments.out or Path(), out)


def _export(arguments: argparse.Namespace, site: Site, _: BookReader, out: Messages) -> int:
    """Everything that the figures rest on as one file, for `qushui verify`."""
    from agent.export import export  # noqa: PLC0415 - only here

    try:
        since_ms, until_ms = (_moment(text, site) for text in (arguments.since, arguments.until))
    except ValueError as error:
        print(out.text("report.no_time", value=error.args[0]), file=sys.stderr)
        return 2
    if since_ms is not None and until_ms is not None and until_ms <= since_ms:
        print(out.text("report.no_span", since=arguments.since, until=arguments.until), file=sys.stderr)
        return 2
    directory = arguments.out or Path()
    path = directory / "qushui-export.zip"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        done = export(site.store, since_ms, until_ms, path, key_place(site.store))
    except KeyUnusableError as error:
        print(out.text("report.key_unusable", detail=error), file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps({"file": str(path), **done._asdict()}, ensure_ascii=False))
    else:
        told = out.text("report.exported", path=path, **{**done._asdict(), "key": done.key or "-"})
        print("\n".join(page.wrapped(told, out.width)))
    if not done.key:
        print("\n".join(page.wrapped(out.text("report.export_unsigned"), out.width)), file=sys.stderr)
    return 0


def _moment(text: str | None, site: Site) -> int | None:
    """UTC ms of a local time or day. Raises ValueError with the text."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(text) from error
    return instant_ms(at if at.tzinfo is not None else at.replace(tzinfo=site.timezone))


def _now(site: Site) -> tuple[int, bool]:
    """The station's time, UTC ms, and whether anybody vouches for it; the running agent knows best."""
    try:
        return time_of(site, "host"), True
    except PermissionError:
        return instant_ms(SystemClock("host").now()), True
    except (Wrong, ControlError):
        return instant_ms(SystemClock("host").now()), False


def _span(arguments: argparse.Namespace, site: Site, now_ms: int) -> Span:
    kind = _KINDS[arguments.action]
    if arguments.period is None:
        return span_before(kind, local_day(now_ms, site.timezone), site.timezone)
    return span_of(kind, arguments.period, site.timezone)


def _frozen(arguments: argparse.Namespace, versions: Sequence[Frozen], span: Span, out: Messages) -> int:
    """Draws a frozen version from its record alone."""
    wanted = arguments.version if arguments.version is not None else len(versions)
    if not 1 <= wanted <= len(versions):
        known = " ".join(str(each.report.version) for each in versions) or "-"
        print(out.text("report.no_version", quarter=span.name, value=wanted, known=known), file=sys.stderr)
        return 2
    found = versions[wanted - 1]
    sealing = Sealing(found.sha256, found.key, found.signature)
    return _give(found.report, sealing, arguments, out, is_old=wanted < len(versions))


def _give(
    report: Report, sealing: Sealing, arguments: argparse.Namespace, out: Messages, *, is_old: bool = False
) -> int:
    """The report as files, as JSON, or as a table."""
    if arguments.out is not None:
        reads = _reader(arguments.out)
        signs = _signer(site_of(arguments.config), sealing, out)
        formats = arguments.format or FORMATS
        files = package(report, sealing, out, formats=formats, is_old=is_old, reads=reads, signs=signs)
        status = _write(files, arguments.out, out)
        if status:
            return status
    if arguments.json:
        print(json.dumps(report.plain, ensure_ascii=False, indent=1))
    elif arguments.out is None:
        print("\n".join(_lines(report, sealing, out)))
    return 0


def _signer(site: Site, sealing: Sealing, out: Messages) -> Signs:
    """Signs with the key that froze the version; says it where that key is not at hand."""

    def signs(manifest: Mapping[str, Any]) -> dict[str, Any]:
        return with_signature(manifest, key_place(site.store), {sealing.key})

    if not sealing.key:  # a draft, or frozen where there was no key
        return dict
    try:
        if "signature" in signs({}):
            return signs
    except (KeyUnusableError, ImportError, PermissionError):
        pass
    print("\n".join(page.wrapped(out.text("report.list_unsigned", key=sealing.key), out.width)), file=sys.stderr)
    return dict


def _reader(directory: Path) -> Reads:
    """What the files of a directory hold."""

    def reads(name: str) -> bytes | None:
        try:
            return (directory / name).read_bytes()
        except OSError:
            return None

    return reads


def _write(files: Sequence[File], directory: Path, out: Messages) -> int:
    for file in files:
        path = directory / file.name
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
        except OSError as error:
            print(out.text("report.cannot_write", path=path, detail=error.strerror), file=sys.stderr)
            return 1
        print(out.text("report.written", path=path), file=sys.stderr)
    return 0


def _lines(report: Report, sealing: Sealing, out: Messages) -> list[str]:
    words = Wording(report, out)
    if report.version:
        told = {"version": report.version, "at": words.minute(report.made_ms), "who": report.who}
        head = out.text("report.frozen_told", span=report.span.name, sha256=sealing.sha256, **told)
    else:
        until = words.minute(min(intake.end.at_ms for intake in report.intakes if intake.end is not None))
        head = out.text("report.draft_told", span=report.span.name, until=until)
    rows = []
    for intake in report.intakes:
        volume, u = grouped(intake.voucher_m3) or "-", "-"
        if intake.voucher_m3 is not None and intake.u_m3 is not None:
            u = stated(intake.voucher_m3, intake.u_m3)[1]
        percents = [number(intake.completeness_pct) or "-", number(intake.permit.used_pct) or "-"]
        rows.append([intake.name, volume, u, grouped(intake.withheld_m3), *percents])
    table = page.table(rows, out.texts("report.headers"), right=range(1, 6), width=out.width)
    return [*page.wrapped(head, out.width), "", table]
