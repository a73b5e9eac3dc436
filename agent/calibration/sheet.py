"""A table as people hand it over: decoded, cut into cells, each cell with its place. Pure.

Strategy: spreadsheets in China write GBK as often as UTF-8, with commas, semicolons or tabs. Which it is, the
bytes say; what a person has to do about a file that is none is said at its place.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.form.problems import FormErrors, Problem

MOST_BYTES = 1_000_000
_ENCODINGS = ("utf-8-sig", "gb18030")
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # xlsx, xls
_SEPARATORS = ",;\t，；"
_COMMENT = "#"


class Cell(NamedTuple):
    """The text of a cell, and where it begins; both count from 1."""

    text: str
    line: int
    column: int


def rows_of(data: bytes, file: str) -> list[list[Cell]]:
    """The rows that hold something, remarks (#) left out.

    Raises:
        FormErrors: too big, a workbook, no text, an open quote.
    """
    text = _decoded(data, file)
    separator = _separator(text)
    rows = _cells(text, separator, file)
    return [row for row in rows if any(cell.text for cell in row) and not row[0].text.startswith(_COMMENT)]


def _decoded(data: bytes, file: str) -> str:
    if len(data) > MOST_BYTES:
        raise _refused(file, "file-too-big", value=str(len(data)), limit=str(MOST_BYTES))
    if data.startswith(_WORKBOOKS):
        raise _refused(file, "csv-workbook")
    marked = [name for mark, name in _MARKS if data.startswith(mark)]
    for encoding in marked or _ENCODINGS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise _refused(file, "csv-no-text")


def _refused(file: str, code: str, **arguments: str) -> FormErrors:
    return FormErrors([Problem(file=file, line=1, column=1, path="", code=code, arguments=arguments)])


def _separator(text: str) -> str:
    """What stands most often in the first row that is no remark."""
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(_COMMENT))
    head = next(lines, "")
    return max(_SEPARATORS, key=head.count)


def _cells(text: str, separator: str, file: str) -> list[list[Cell]]:
    """RFC 4180, any line end; blanks around a cell are none of it."""
    rows: list[list[Cell]] = [[]]
    line, column, at = 1, 1, 0
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"
    while at < len(text):
        begin_line, begin_column = line, column
        if text[at] == '"':
            end = _end_of_quote(text, at)
            if end is None:
                problem = Problem(file=file, line=line, column=column, path="", code="csv-quote")
                raise FormErrors([problem])
            inner = text[at + 1 : end].replace('""', '"')
            line += inner.count("\n")
            column += end + 1 - at
            at = end + 1
        else:
            inner = ""
        stop = at
        while text[stop] not in {separator, "\n"}:
            stop += 1
        rows[-1].append(Cell((inner + text[at:stop]).strip(), begin_line, begin_column))
        column += stop + 1 - at
        if text[stop] == "\n":
            rows.append([])
            line, column = line + 1, 1
        at = stop + 1
    return rows[:-1]


def _end_of_quote(text: str, at: int) -> int | None:
    """Where the quote that opens at `at` ends; None when it never does."""
    end = text.find('"', at + 1)
    while end >= 0 and text[end + 1 : end + 2] == '"':
        end = text.find('"', end + 2)
    return end if end >= 0 else None
