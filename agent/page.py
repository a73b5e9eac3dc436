"""Text laid out for a terminal and a phone: widths counted as shown, wrapped lines, tables. Pure.

A Chinese character takes two columns; wcwidth knows. Chinese has no blanks between words, so a line may end after any
wide character, except before the punctuation that closes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

WIDTH = 80
"""Columns of a page unless the terminal has fewer."""

_CLOSING = "，。；：、！？）》」』”’％"  # never at the beginning of a line
_OPENING = "（《「『“‘"  # never at the end of one
_WIDE = 2


def width_of(text: str) -> int:
    """The columns `text` takes; a control character counts one."""
    if text.isascii() and text.isprintable():
        return len(text)
    from wcwidth import wcswidth  # noqa: PLC0415 - its tables take 7 MB, which a daemon that lays out nothing saves

    width: int = wcswidth(text)
    return width if width >= 0 else sum(max(1, wcswidth(character)) for character in text)


def padded(text: str, width: int) -> str:
    """`text` with blanks up to `width` columns."""
    return text + " " * max(0, width - width_of(text))


def wrapped(text: str, width: int) -> list[str]:
    """The lines of `text`, each at most `width` columns where a break is possible; its own line ends stay."""
    return [line for paragraph in text.split("\n") for line in _wrapped_paragraph(paragraph, max(1, width))]


def labelled(label: str, text: str, *, indent: int, column: int, width: int) -> list[str]:
    """`text` wrapped beside a `label` that begins at `indent`; the text begins at `column`."""
    lines = wrapped(text, width - column) or [""]
    head = padded(" " * indent + label, column)
    if label and width_of(head.rstrip()) >= column:  # a label that leaves no blank has a line of its own
        return [head, *(" " * column + line for line in lines)]
    return [(head + lines[0]).rstrip(), *(" " * column + line for line in lines[1:])]


def table(
    rows: Iterable[Sequence[object]], headers: Sequence[str], *, right: Iterable[int] = (), width: int | None = None
) -> str:
    """A table without rules, columns two blanks apart; those numbered in `right` are flush right.

    Where it is wider than `width` each row becomes a block of its own, as a phone held upright can show it.
    """
    from tabulate import tabulate  # noqa: PLC0415 - a daemon that lays out no table does not pay for it

    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    aligned = set(right)
    text = tabulate(
        cells,
        headers=list(headers),
        tablefmt="plain",
        disable_numparse=True,
        colalign=["right" if at in aligned else "left" for at in range(len(headers))] if cells else None,
    )
    lines = [line.rstrip() for line in text.split("\n")]
    if width is not None and max(width_of(line) for line in lines) > width:
        lines = [line for row in cells for line in _block(row, headers, width)]
    return "\n".join(lines)


def _block(row: Sequence[str], headers: Sequence[str], width: int) -> list[str]:
    """One row of a table: its first cell, and below it the others that say something, each behind its header."""
    column = 4 + max(width_of(header) for header in headers[1:])
    lines = [row[0]] if row[0] else []
    for header, cell in zip(headers[1:], row[1:], strict=True):
        if cell:
            lines += labelled(header, cell, indent=2, column=column, width=width)
    return lines


def spaced_hex(digits: str) -> str:
    """Hex digits in pairs, as people compare them with a protocol's text."""
    bare = digits.replace(" ", "").upper()
    return " ".join(bare[at : at + 2] for at in range(0, len(bare), 2))


def _wrapped_paragraph(paragraph: str, width: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for piece in _pieces(paragraph):
        if line.strip() and width_of(line + piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()]


def _pieces(paragraph: str) -> list[str]:
    """The shortest pieces that a line break may stand between."""
    pieces: list[str] = []
    breakable = True
    for character in paragraph:
        wide = width_of(character) == _WIDE
        if pieces and (character in _CLOSING or not (breakable or (wide and pieces[-1][-1] not in _OPENING))):
            pieces[-1] += character
        else:
            pieces.append(character)
        breakable = character == " " or (wide and character not in _OPENING)
    return pieces
