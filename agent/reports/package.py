"""A report as the files that leave the gateway: tables, workbook, voucher, the report itself, a list of hashes. Pure.

Everything is made of the report alone: the same frozen report gives the same bytes, in any process and time zone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import NamedTuple

from agent.messages import Messages
from agent.reports.report import Report, Status, superseded
from agent.reports.tables import csv_bytes, tables
from agent.reports.voucher import Sealing, voucher
from agent.reports.wording import Wording
from agent.reports.workbook import xlsx_bytes

FORMATS = ("csv", "xlsx", "html", "json")
_IN_CSV = ("intakes", "rows")  # what the platform takes; the workbook has the rest as well


class File(NamedTuple):
    """A file by its name."""

    name: str
    content: bytes


def package(
    report: Report, sealing: Sealing, messages: Messages, *, formats: Collection[str] = FORMATS, is_old: bool = False
) -> list[File]:
    """The files, the list of their hashes last. `is_old`: a later version was frozen since."""
    shown = superseded(report) if is_old else report
    words = Wording(shown, messages)
    stem = stem_of(report)
    found = tables(shown, words)
    files = []
    if "csv" in formats:
        files += [File(f"{stem}-{each.name}.csv", csv_bytes(each)) for each in found if each.name in _IN_CSV]
    if "xlsx" in formats:
        titles = [words.text(f"table.{each.name}") for each in found]
        title = words.text("voucher.title", span=report.span.name)
        files.append(File(f"{stem}.xlsx", xlsx_bytes(found, titles, title=title, made_ms=report.made_ms)))
    if "html" in formats:
        files.append(File(f"{stem}.{messages.lang}.html", voucher(shown, sealing, words).encode()))
    if "json" in formats:
        files.append(File(f"{stem}.json", report.text.encode()))  # the bytes that the hash is over
    return [*files, _manifest(stem, shown, sealing, files)]


def stem_of(report: Report) -> str:
    """How the names of its files begin: `pumphouse-12-2026Q3-v1`."""
    return f"{report.station}-{report.span.name}-{'draft' if report.status is Status.DRAFT else f'v{report.version}'}"


def _manifest(stem: str, report: Report, sealing: Sealing, files: list[File]) -> File:
    """What belongs to the package and what each file hashes to."""
    listed = {each.name: hashlib.sha256(each.content).hexdigest() for each in files}
    document = {
        "form": 1,
        "station": report.station,
        "period": report.span.name,
        "status": report.status,
        "version": report.version,
        "report_sha256": sealing.sha256,
        "key": sealing.key,
        "signature": sealing.signature,
        "software": report.software,
        "files": listed,
    }
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return File(f"{stem}-manifest.json", text.encode())
