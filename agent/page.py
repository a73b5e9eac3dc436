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
    if width_of(head) > column:  # a long label has a line of its own
        return [head, *(" " * column + line for line in lines)]
    return [(head + lines[0]).rstrip(), *(" " * column + line for line in lines[1:])]


def table(rows: Iterable[Sequence[object]], headers: Sequence[str], *, right: Iterable[int] = ()) -> str:
    """A table without rules, columns two blanks apart; those numbered in `right` are flush right."""
    from tabulate import tabulate  # noqa: PLC0415 - a daemon that lays out no table does not pay for it

    aligned = set(right)
    return tabulate(
        [["" if cell is None else str(cell) for cell in row] for row in rows],
        headers=list(headers),
        tablefmt="plain",
        disable_numparse=True,
        colalign=["right" if at in aligned else "left" for at in range(len(headers))],
    )


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
