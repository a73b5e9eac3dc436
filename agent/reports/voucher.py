"""The metering voucher (计量凭证): one A4 page or two for each intake, to print and sign. HTML without any other file.

Strategy: everything comes from the report, so that a frozen one prints the same for ever. Times are local with their
zone named once; what is not known says so, and nothing is left to guess. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from html import escape
from typing import NamedTuple

from agent.derive.exact import exact
from agent.messages import place_text
from agent.reports import html
from agent.reports.html import Pairs
from agent.reports.plot import bars
from agent.reports.report import CoefficientUse, IntakeReport, PermitUse, Report
from agent.reports.spans import SpanKind
from agent.reports.tables import facts_text
from agent.reports.wording import Wording, grouped, number, stated

_DAYS_PER_YEAR = Decimal("365.25")
_HOURS_PER_DAY = 24
_LINES = 12  # anomalies and declarations shown on the voucher; the workbook has all


class Sealing(NamedTuple):
    """What makes the report provable: the hash of its text, the gateway's key, its signature; "" while unsigned."""

    sha256: str
    key: str
    signature: str


def voucher(report: Report, sealing: Sealing, words: Wording) -> str:
    """The page of all intakes of the report."""
    title = words.text("voucher.title", span=report.span.name)
    sheets = "".join(_sheet(intake, report, sealing, words) for intake in report.intakes)
    return html.page(f"{title} {report.station}", sheets, lang=words.text("voucher.html_lang"))


def _sheet(intake: IntakeReport, report: Report, sealing: Sealing, words: Wording) -> str:
    parts = [
        _head(intake, report, words),
        _result(intake, words),
        _section("identity", _identity(intake, words), words),
        _registers(intake, words),
        _section("boundaries", _boundaries(intake, words), words),
        _coefficients(intake, words),
        _section("quality", _quality(intake, words), words),
        _plot(intake, report, words),
        _happened(intake, words),
        _section("evidence", _evidence(intake, report, sealing, words), words, is_small=True),
        html.sign_off(words.text(f"voucher.{name}") for name in ("filled", "checked", "date")),
    ]
    return f'<article class="{report.status}">' + "\n".join(filter(None, parts)) + "</article>\n"


def _head(intake: IntakeReport, report: Report, words: Wording) -> str:
    status = words.text(f"voucher.status.{report.status}", version=report.version, at=words.minute(report.made_ms))
    begin, end = words.minute(report.span.begin_ms), words.minute(report.span.end_ms)
    place = words.text("voucher.place", station=report.station_name or report.station, id=report.station)
    period = words.text("voucher.period", begin=begin, end=end, zone=report.timezone)
    lines = (f"{place} · {intake.title or intake.name}", period)
    return html.head(words.text("voucher.title", span=report.span.name), lines, status)


def _result(intake: IntakeReport, words: Wording) -> str:
    if intake.voucher_m3 is None:
        return f'<section class="result"><p class="none">{escape(words.text("voucher.no_volume"))}</p></section>'
    used = words.listed(f"{each.id}@{each.version}" for each in intake.coefficients)
    volume, u = grouped(intake.voucher_m3), ""
    if intake.u_m3 is not None:
        volume, u = stated(intake.voucher_m3, intake.u_m3)
    formula = f"V = {volume} m³ ± {u} m³ (k = 2)" if u else f"V = {volume} m³"
    lines = [words.text("voucher.exact", volume=grouped(intake.voucher_m3))]
    if used:
        lines.append(words.text("voucher.by_coefficient", names=used))
    if intake.withheld_m3:
        key = "included" if intake.voucher_m3 == intake.volume_m3 else "withheld"
        lines.append(words.text(f"voucher.{key}", volume=grouped(intake.withheld_m3)))
    told = " · ".join(escape(line) for line in lines)
    return f'<section class="result"><p class="formula">{escape(formula)}</p><p>{told}</p></section>'


def _section(name: str, pairs: Pairs, words: Wording, *, is_small: bool = False) -> str:
    told = ((words.text(f"voucher.{key}"), value) for key, value in pairs)
    return html.section(words.text(f"voucher.{name}"), told, is_small=is_small)


def _grid(
    name: str, headers: Sequence[str], rows: Iterable[Sequence[str]], words: Wording, **looks: Collection[int]
) -> str:
    told = [words.text(f"voucher.{header}") for header in headers]
    return html.grid(words.text(f"voucher.{name}"), told, rows, **looks)


def _identity(intake: IntakeReport, words: Wording) -> Pairs:
    yield "permit_no", intake.permit.number
    yield "holder", intake.permit.holder
    yield from _permit(intake.permit)
    yield "code", intake.code
    yield "well_code", intake.well_code
    layer = words.word("aquifer", intake.aquifer)
    yield "source", " · ".join(filter(None, [words.word("source", intake.source), layer]))
    yield "method", words.word("method", intake.method)
    yield "use", words.word("use", intake.use)
    yield "archive", "" if intake.archive_version is None else str(intake.archive_version)


def _registers(intake: IntakeReport, words: Wording) -> str:
    rows = []
    for register in intake.registers:
        side = words.text("side.primary" if register.is_primary else "side.secondary")
        ratios = f"{number(register.ct_ratio)} × {number(register.pt_ratio)}"
        named = " ".join(filter(None, [register.meter, register.serial]))
        for name, shown in (("begin", register.begin), ("end", register.end)):
            rows.append([
                named if name == "begin" else "", f"{ratios} {side}" if name == "begin" else "",
                words.text(f"column.{name}"), *_reading(shown.before_ms, shown.before_value, words),
                *_reading(shown.after_ms, shown.after_value, words),
            ])  # fmt: skip
    headers = ("meter", "ratios", "boundary", "before_at", "before", "after_at", "after")
    return _grid("registers", headers, rows, words, fixed=(3, 5))


def _reading(at_ms: int | None, value: Decimal | None, words: Wording) -> list[str]:
    return [words.time(at_ms) or "—", grouped(value) or "—"]


def _boundaries(intake: IntakeReport, words: Wording) -> Pairs:
    for name, edge in (("begin_edge", intake.begin), ("end_edge", intake.end)):
        if edge is None:
            yield name, ""
            continue
        offset = words.text("voucher.offset", minutes=words.minutes(edge.offset_ms)) if edge.offset_ms else ""
        told = [words.minute(edge.at_ms), words.word("boundary", edge.method), offset, f"{grouped(edge.volume_m3)} m³"]
        yield name, " · ".join(filter(None, told))
    counts = intake.counts
    yield "swaps", words.text("voucher.swaps_told", swaps=counts.swaps, rollovers=counts.rollovers)
    if intake.energy_kwh is not None:
        yield "energy", f"{grouped(intake.energy_kwh)} kWh"
        yield "pumping", f"{grouped(intake.pumping_kwh)} kWh"
        yield "excluded", f"{grouped(intake.excluded_kwh)} kWh"
    if intake.has_known_runs:
        yield "runs", words.text("voucher.runs_told", starts=counts.starts, hours=number(counts.run_h))
    elif intake.pumping_kwh is not None:
        yield "runs", words.text("voucher.runs_going_on" if counts.run_h is not None else "voucher.runs_unseen")


def _coefficients(intake: IntakeReport, words: Wording) -> str:
    if not intake.coefficients:
        return ""
    tc = " … ".join(dict.fromkeys(filter(None, [number(intake.tc_low), number(intake.tc_high)]))) or "—"
    rows = [
        [
            f"{each.id}@{each.version}",
            words.word("model", each.model),
            _from_to(each),
            words.word("state", each.state),
            each.report_no or "—",
            "" if at else tc,
            grouped(each.volume_m3) or "—",
        ]
        for at, each in enumerate(intake.coefficients)
    ]
    headers = ("coefficient", "model", "validity", "state", "report_no", "tc_range", "volume")
    return _grid("coefficients", headers, rows, words, right=(5, 6))


def _from_to(used: CoefficientUse) -> str:
    return f"{used.valid_from or '…'} – {used.valid_to or '…'}"


def _quality(intake: IntakeReport, words: Wording) -> Pairs:
    counts = intake.counts
    yield "completeness", words.text(
        "voucher.completeness_told", percent=number(intake.completeness_pct) or "—", good=counts.good,
        expected=counts.expected,
    )  # fmt: skip
    rates = [number(intake.on_time_pct), number(intake.final_pct)]
    yield "rates", " / ".join(f"{rate} %" if rate else words.text("voucher.not_known") for rate in rates)
    yield "gaps", str(counts.gaps)
    yield "levels", words.listed(f"{words.word('level', level)} {days}" for level, days in intake.days_by_level.items())
    yield "flags", words.listed(f"{words.flag(flag)} {count}" for flag, count in counts.flags.items())
    yield "days_by_flag", words.listed(f"{words.flag(flag)} {days}" for flag, days in intake.days_by_flag.items())
    yield (
        "certificates",
        words.listed(
            " ".join(filter(None, [each.meter, each.number, each.valid_until, words.word("state", each.state)]))
            for each in intake.certificates
        ),
    )


@exact
def _plot(intake: IntakeReport, report: Report, words: Wording) -> str:
    if not intake.rows:
        return ""
    is_day = report.span.kind is SpanKind.DAY
    allowed = None
    if intake.permit.annual_m3 is not None:
        allowed = intake.permit.annual_m3 / _DAYS_PER_YEAR / (_HOURS_PER_DAY if is_day else 1)
    labels = [words.minute(row.begin_ms)[11:] if is_day else words.minute(row.begin_ms)[5:10] for row in intake.rows]
    told = "" if allowed is None else words.text("voucher.allowed", volume=grouped(round(allowed, 1)))
    title = words.text("voucher.hourly" if is_day else "voucher.daily")
    drawn = bars(intake.rows, labels=labels, allowed_m3=allowed, allowed=told, title=title)
    legend = escape(words.text("voucher.legend"))
    return f'<section><h2>{escape(title)}</h2>{drawn}<p class="legend">{legend}</p></section>'


def _permit(permit: PermitUse) -> Pairs:
    yield "annual", f"{grouped(permit.annual_m3)} m³" if permit.annual_m3 is not None else ""
    yield "valid_until", permit.valid_until
    share = "" if permit.used_pct is None else f" ({number(permit.used_pct)} %)"
    yield "used", "" if permit.used_m3 is None else f"{grouped(permit.used_m3)} m³{share}"
    if permit.plan_m3 is not None:
        yield "plan", f"{grouped(permit.plan_m3)} m³"


def _happened(intake: IntakeReport, words: Wording) -> str:
    """Anomalies and declarations, the open ones first."""
    found = sorted(intake.anomalies, key=lambda each: (each.ended_ms is not None, -each.level, each.began_ms))
    rows = []
    for each in found:
        what, level = f"{each.rule} {words.rule(each.rule)}", words.word("finding", str(each.level))
        ended = words.minute(each.ended_ms).replace(" ", "\u00a0") or words.text("still_open")
        rows.append([what, level, place_text(words.out, each.subject), words.minute(each.began_ms), ended])
    for declared in intake.declarations:
        what, place = words.word("kind", declared.kind), place_text(words.out, declared.subject)
        rows.append([what, facts_text(declared, words), place, words.minute(declared.at_ms), declared.who])
    if not rows:
        return ""
    shown = _grid(
        "happened", ("what", "detail", "subject", "began", "ended"), rows[:_LINES], words, fixed=(0, 3), wide=(1,)
    )
    more = len(rows) - _LINES
    return shown if more <= 0 else shown + f'<p class="legend">{escape(words.text("voucher.more", count=more))}</p>'


def _evidence(intake: IntakeReport, report: Report, sealing: Sealing, words: Wording) -> Iterator[tuple[str, str]]:
    named = (report.span.name, intake.title or intake.name, intake.code)
    yield "sheet", " · ".join(filter(None, named))  # on a second page nothing else says whose it is
    yield "sha256", sealing.sha256
    seal = report.seal
    yield "seal", "" if seal is None else words.text("voucher.seal_told", id=seal.id, last=seal.last, hash=seal.hash)
    yield "key", sealing.key
    yield "signature", sealing.signature
    yield "software", f"qushui {report.software}"
    yield "config", report.config_sha256
    if report.reason:
        yield "reason", words.text("voucher.reason_told", reason=report.reason, who=report.who)
    for photo in intake.photos:
        kind, _, subject = photo.about.partition(" ")
        about = f"{words.word('kind', kind)} {place_text(words.out, subject)}"
        yield "photo", f"{about} · {photo.file} · SHA-256 {photo.sha256}"
