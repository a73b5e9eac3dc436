"""The parts of a sheet to print: pairs of names and values, tables, the page around them; all is escaped. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

from agent.reports.style import STYLE

NOTHING = "—"  # stands where there is no value
Pairs = Iterable[tuple[str, str]]


def page(title: str, body: str, *, lang: str) -> str:
    """A whole document without any other file."""
    return (
        f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


def head(title: str, lines: Iterable[str], stamp: str) -> str:
    """The top of a sheet: its title, what it is about, a stamp at the right."""
    told = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f'<header><div><h1>{escape(title)}</h1>{told}</div><div class="stamp">{escape(stamp)}</div></header>'


def section(title: str, pairs: Pairs, *, is_small: bool = False) -> str:
    """Names and values, two pairs beside each other; small ones below each other."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value or NOTHING)}</dd></div>" for name, value in pairs)
    look = ' class="small"' if is_small else ""
    return f"<section{look}><h2>{escape(title)}</h2><dl>{items}</dl></section>"


def grid(
    title: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Collection[int] = (),
    fixed: Collection[int] = (),
    wide: Collection[int] = (),
) -> str:
    """A table, which goes on overleaf between rows; columns in `right` are numbers, those in `fixed` never break, and
    those in `wide` hold sentences.
    """

    def line(cells: Sequence[str], tag: str) -> str:
        looks = [
            ' class="n"' if at in right else ' class="t"' if at in fixed else ' class="w"' if at in wide else ""
            for at in range(len(cells))
        ]
        return "".join(f"<{tag}{look}>{escape(cell)}</{tag}>" for look, cell in zip(looks, cells, strict=True))

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    table = f"<table><thead><tr>{line(headers, 'th')}</tr></thead><tbody>{body}</tbody></table>"
    return f'<section class="list"><h2>{escape(title)}</h2>{table}</section>'


def sign_off(names: Iterable[str]) -> str:
    """Lines that people fill in."""
    fields = "".join(f"<div>{escape(name)}<i></i></div>" for name in names)
    return f'<footer class="sign">{fields}</footer>'
