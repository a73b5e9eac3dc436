"""A report's tables as an XLSX workbook: the same report gives the same bytes, whenever and wherever it is made.

Strategy: openpyxl writes the parts; the archive is packed again without compression and with one fixed time, because
openpyxl stamps now into the archive and into the core properties, and a compressor may change its bytes from version to
version. Source: decision 0014.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from agent.page import width_of
from agent.reports.tables import Cell, Table

_STAMP = (1980, 1, 1, 0, 0, 0)  # the earliest that ZIP knows
_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDEST = 48
_MARGIN = 2


def xlsx_bytes(tables: Sequence[Table], titles: Sequence[str], *, title: str, made_ms: int) -> bytes:
    """The workbook of these tables, a sheet each; its core properties say when the report was made."""
    from openpyxl import Workbook  # noqa: PLC0415 - only a report needs it, and it takes 20 MB

    book = Workbook(write_only=True)
    made = (_EPOCH + timedelta(milliseconds=made_ms)).replace(microsecond=0, tzinfo=None)
    book.properties.title = title
    book.properties.creator = "qushui"
    book.properties.created = made
    for table, name in zip(tables, titles, strict=True):
        _fill(book.create_sheet(name), table)
    packed = io.BytesIO()
    book.save(packed)
    return _repacked(packed, made)


def _fill(sheet: Any, table: Table) -> None:
    from openpyxl.styles import Alignment, Font, PatternFill  # noqa: PLC0415
    from openpyxl.utils import get_column_letter  # noqa: PLC0415

    for at, width in enumerate(_widths(table), 1):
        sheet.column_dimensions[get_column_letter(at)].width = width
    sheet.freeze_panes = "B2"
    head, wrapped = PatternFill("solid", fgColor="DCE6F1"), Alignment(wrap_text=True, vertical="top")
    for place, row in enumerate(table.rows):
        cells = [_cell(sheet, value) for value in row]
        if not place:
            for cell in cells:
                cell.font, cell.fill, cell.alignment = Font(bold=True), head, wrapped
        sheet.append(cells)


def _cell(sheet: Any, value: Cell) -> Any:
    from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415

    cell = WriteOnlyCell(sheet, value=None)
    if isinstance(value, Decimal):
        cell.value = value
    elif value:
        cell.value = value
        cell.data_type = "s"  # text that begins with = stays text
    return cell


def _widths(table: Table) -> list[int]:
    """How wide each column has to be for what is in it, within reason."""
    columns = zip(*table.rows, strict=True)
    return [min(_WIDEST, _MARGIN + max(width_of(f"{cell}".split("\n")[0]) for cell in column)) for column in columns]


def _repacked(packed: io.BytesIO, made: datetime) -> bytes:
    again = io.BytesIO()
    stamp = made.isoformat().encode() + b"Z"
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(again, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = _MODIFIED.sub(lambda found: found[1] + stamp + found[2], content)
            target.writestr(zipfile.ZipInfo(name, _STAMP), content)
    return again.getvalue()
