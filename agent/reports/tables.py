"""A report as tables: one of the intakes, one of their days or hours, one of registers, one of what happened. Pure.

Each table is its name and rows of cells; a cell is text or a Decimal. CSV and XLSX are made of the same.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from agent.reports.report import Declaration, Edge, IntakeReport, Register, Report, Shown
from agent.reports.wording import Wording, number

Cell = str | Decimal
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet computes a text that begins so


class Table(NamedTuple):
    """`name` is its key; the first row are the headers."""

    name: str
    rows: tuple[tuple[Cell, ...], ...]


_INTAKE_COLUMNS = (
    "station", "period", "status", "version", "intake", "title", "code", "well_code", "permit_no", "holder", "source",
    "aquifer", "use", "method", "begin", "end", "voucher_m3", "volume_m3", "withheld_m3", "u_m3", "energy_kwh",
    "pumping_kwh", "excluded_kwh", "coefficient", "model", "tc_low", "tc_high", "validity", "coefficient_state",
    "report_no", "completeness_pct", "on_time_pct", "final_pct", "expected", "good", "flags", "days_by_flag", "swaps",
    "rollovers", "gaps", "starts", "run_h", "begin_method", "begin_offset", "end_method", "end_offset", "annual_m3",
    "plan_m3", "used_m3", "used_pct", "certificates", "open_anomalies", "closed_anomalies", "photos", "config_sha256",
    "software", "seal",
)  # fmt: skip
_ROW_COLUMNS = (
    "intake", "code", "begin", "end", "volume_m3", "withheld_m3", "energy_kwh", "pumping_kwh", "expected", "good",
    "level", "flags",
)  # fmt: skip
_REGISTER_COLUMNS = (
    "intake", "meter", "serial", "quantity", "ct", "pt", "side", "multiplier", "boundary", "before_at", "before",
    "before_id", "after_at", "after", "after_id",
)  # fmt: skip
_EVENT_COLUMNS = ("intake", "kind", "subject", "what", "level", "begin", "end", "who", "evidence")


def tables(report: Report, words: Wording) -> tuple[Table, ...]:
    """All of them, in the order in which a workbook shows them."""
    return (
        _table("intakes", _INTAKE_COLUMNS, (_intake(each, report, words) for each in report.intakes), words),
        _table("rows", _ROW_COLUMNS, (row for each in report.intakes for row in _rows(each, words)), words),
        _table("registers", _REGISTER_COLUMNS, (row for each in report.intakes for row in _ends(each, words)), words),
        _table("events", _EVENT_COLUMNS, (row for each in report.intakes for row in _events(each, words)), words),
    )


def _table(name: str, columns: Sequence[str], rows: Iterator[tuple[Cell, ...]], words: Wording) -> Table:
    return Table(name, (tuple(words.text(f"column.{column}") for column in columns), *rows))


def _cell(value: Decimal | int | None) -> Cell:
    return "" if value is None else Decimal(value)


def _intake(intake: IntakeReport, report: Report, words: Wording) -> tuple[Cell, ...]:
    permit, counts = intake.permit, intake.counts
    still_open = sum(1 for anomaly in intake.anomalies if anomaly.ended_ms is None)
    return (
        report.station, report.span.name, words.word("status", report.status), Decimal(report.version),
        intake.name, intake.title, intake.code, intake.well_code, permit.number, permit.holder,
        words.word("source", intake.source), words.word("aquifer", intake.aquifer), words.word("use", intake.use),
        words.word("method", intake.method),
        words.time(None if intake.begin is None else intake.begin.at_ms),
        words.time(None if intake.end is None else intake.end.at_ms),
        _cell(intake.voucher_m3), _cell(intake.volume_m3), _cell(intake.withheld_m3), _cell(intake.u_m3),
        _cell(intake.energy_kwh), _cell(intake.pumping_kwh), _cell(intake.excluded_kwh),
        *_coefficients(intake, words),
        _cell(intake.completeness_pct), _cell(intake.on_time_pct), _cell(intake.final_pct),
        Decimal(counts.expected), Decimal(counts.good),
        _counted(counts.flags), _counted(intake.days_by_flag),
        Decimal(counts.swaps), Decimal(counts.rollovers), Decimal(counts.gaps),
        *((Decimal(counts.starts), _cell(counts.run_h)) if intake.has_known_runs else ("", "")),
        *_boundary(intake.begin, words), *_boundary(intake.end, words),
        _cell(permit.annual_m3), _cell(permit.plan_m3), _cell(permit.used_m3), _cell(permit.used_pct),
        "; ".join(f"{each.meter} {each.number} {each.state}" for each in intake.certificates),
        Decimal(still_open), Decimal(len(intake.anomalies) - still_open),
        " ".join(photo.sha256 for photo in intake.photos), report.config_sha256, report.software,
        "" if report.seal is None else f"{report.seal.id} {report.seal.hash}",
    )  # fmt: skip


def _coefficients(intake: IntakeReport, words: Wording) -> tuple[Cell, ...]:
    used = intake.coefficients
    return (
        " ".join(f"{each.id}@{each.version}" for each in used),
        words.listed(dict.fromkeys(words.word("model", each.model) for each in used)),
        _cell(intake.tc_low),
        _cell(intake.tc_high),
        "; ".join(f"{each.valid_from}/{each.valid_to}" for each in used),
        " ".join(each.state for each in used),
        " ".join(each.report_no for each in used if each.report_no),
    )


def _counted(counts: object) -> str:
    assert isinstance(counts, dict)
    return " ".join(f"{word}:{count}" for word, count in sorted(counts.items()))


def _boundary(edge: Edge | None, words: Wording) -> tuple[Cell, ...]:
    if edge is None:
        return ("", "")
    return (words.word("boundary", edge.method), Decimal(words.minutes(edge.offset_ms)))


def _rows(intake: IntakeReport, words: Wording) -> Iterator[tuple[Cell, ...]]:
    for row in intake.rows:
        amounts = (_cell(row.volume_m3), row.withheld_m3, _cell(row.energy_kwh), _cell(row.pumping_kwh))
        counts = (Decimal(row.expected), Decimal(row.good), Decimal(row.level))
        times = (words.time(row.begin_ms), words.time(row.end_ms))
        yield (intake.name, intake.code, *times, *amounts, *counts, " ".join(row.flags))


def _ends(intake: IntakeReport, words: Wording) -> Iterator[tuple[Cell, ...]]:
    for register in intake.registers:
        for boundary, shown in (("begin", register.begin), ("end", register.end)):
            yield _shown(intake, register, words.text(f"column.{boundary}"), shown, words)


def _shown(intake: IntakeReport, register: Register, boundary: str, shown: Shown, words: Wording) -> tuple[Cell, ...]:
    side = words.text("side.primary" if register.is_primary else "side.secondary")
    return (
        intake.name, register.meter, register.serial, words.out.quantity(register.quantity), register.ct_ratio,
        register.pt_ratio, side, register.multiplier, boundary,
        words.time(shown.before_ms), _cell(shown.before_value), shown.before,
        words.time(shown.after_ms), _cell(shown.after_value), shown.after,
    )  # fmt: skip


def _events(intake: IntakeReport, words: Wording) -> Iterator[tuple[Cell, ...]]:
    for anomaly in intake.anomalies:
        what = f"{anomaly.rule} {words.rule(anomaly.rule)}"
        ended = words.text("still_open") if anomaly.ended_ms is None else words.time(anomaly.ended_ms)
        yield (
            intake.name, words.text("kind.anomaly"), anomaly.subject, what, Decimal(anomaly.level),
            words.time(anomaly.began_ms), ended, "", f"{anomaly.first} {anomaly.last}",
        )  # fmt: skip
    for declared in intake.declarations:
        yield (
            intake.name, words.word("kind", declared.kind), declared.subject, facts_text(declared, words), "",
            words.time(declared.at_ms), "", declared.who, f"#{declared.id}",
        )  # fmt: skip


def facts_text(declared: Declaration, words: Wording) -> str:
    """What a declaration says, as key and value pairs."""
    return words.facts(
        f"{words.word('fact', key)} {_fact_value(key, value, words)}" for key, value in sorted(declared.facts.items())
    )


def _fact_value(key: str, value: str, words: Wording) -> str:
    match key:
        case "quantity":
            return words.out.quantity(value)
        case "kind":
            return words.word("kind", value)
        case _:
            return value


def csv_bytes(table: Table) -> bytes:
    """A table as CSV, UTF-8 with its mark (Excel needs it for Chinese), lines ended with CR LF (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in table.rows:
        writer.writerow([number(cell) if isinstance(cell, Decimal) else _inert(cell) for cell in row])
    return text.getvalue().encode("utf-8-sig")


def _inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
