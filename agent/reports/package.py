"""A report as the files that leave the gateway: tables, workbook, voucher, the report itself, a list of hashes. Pure.

Everything is made of the report alone: the same frozen report gives the same bytes, in any process and time zone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from agent.messages import Messages
from agent.reports.report import Report, Status, superseded
from agent.reports.tables import csv_bytes, tables
from agent.reports.voucher import Sealing, voucher
from agent.reports.wording import Wording
from agent.reports.workbook import xlsx_bytes

FORMATS = ("csv", "xlsx", "html", "json")
FORM = 2
"""Of the manifest; before it there was one that bore no signature of its own."""

_IN_CSV = ("intakes", "rows")  # what the platform takes; the workbook has the rest as well


class File(NamedTuple):
    """A file by its name."""

    name: str
    content: bytes


Reads = Callable[[str], bytes | None]
"""What a file in the package's directory holds; None where there is none of that name."""

Signs = Callable[[Mapping[str, Any]], dict[str, Any]]
"""A manifest with `public` and `signature`, the same each time; as it is where the key is not at hand."""


def package(
    report: Report,
    sealing: Sealing,
    messages: Messages,
    *,
    formats: Collection[str] = FORMATS,
    is_old: bool = False,
    reads: Reads = lambda _: None,
    signs: Signs = dict,
) -> list[File]:
    """The files, the list of their hashes last. `is_old`: a later version was frozen since.

    The list goes on naming what an earlier run put there for the same report, in another language or format.
    """
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
    document = _document(shown, sealing)
    name = f"{stem}-manifest.json"
    listed = {each.name: _sha256(each.content) for each in files}
    document["files"] = {**_kept(document, stem, reads(name), reads, signs), **listed}
    return [*files, File(name, manifest_text(signs(document)))]


def stem_of(report: Report) -> str:
    """How the names of its files begin: `pumphouse-12-2026Q3-v1`."""
    return f"{report.station}-{report.span.name}-{'draft' if report.status is Status.DRAFT else f'v{report.version}'}"


def manifest_text(manifest: Mapping[str, Any]) -> bytes:
    """The one way to write a manifest, so that nothing fits between its words."""
    return (json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _document(report: Report, sealing: Sealing) -> dict[str, Any]:
    """What the manifest says beside the files."""
    return {
        "form": FORM,
        "station": report.station,
        "period": report.span.name,
        "status": report.status,
        "version": report.version,
        "report_sha256": sealing.sha256,
        "report_signature": sealing.signature,
        "key": sealing.key,
        "software": report.software,
    }


def _kept(
    document: Mapping[str, object], stem: str, before: bytes | None, reads: Reads, signs: Signs
) -> dict[str, str]:
    """The files that the manifest of before lists and that are still as it says, where it is of the same report.

    Where the key is at hand that manifest must bear its signature: nothing is signed that somebody else put there.
    """
    try:
        known = json.loads(before or b"{}")
        given = {key: value for key, value in known.items() if key not in {"public", "signature"}}
        is_same = {key: value for key, value in given.items() if key != "files"} == document
        files = dict(known["files"]) if is_same and signs(given) == known else {}
    except (ValueError, TypeError, LookupError, AttributeError):
        return {}
    found = {name: reads(name) for name in files if name.startswith(stem) and "/" not in name}
    return {name: files[name] for name, held in found.items() if held is not None and _sha256(held) == files[name]}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
