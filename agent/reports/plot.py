"""Daily (or hourly) volumes as bars, with what the permit allows on average: SVG to stand inside a page. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import escape

from agent.derive.exact import ONE, ZERO, exact
from agent.reports.report import Row
from agent.reports.wording import grouped

WIDTH, HEIGHT = 680, 150  # CSS pixels: the width of an A4 page between its margins
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 8, 18, 26
_TICKS = 4
_GAP = Decimal("0.2")  # of a bar's width
_SUSPECT, _FAIL = 3, 4
_LABELS = 8  # days named below the bars, at most
_NICE = (1, 2, 5, 10)
_HATCH = (
    '<defs><pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="4" height="4" fill="#fff"/><rect width="2" height="4" fill="#444"/></pattern></defs>'
)


@exact
def bars(rows: Sequence[Row], *, labels: Sequence[str], allowed_m3: Decimal | None, allowed: str, title: str) -> str:
    """The plot; `labels` names each row, `allowed` the line of what the permit allows for a row's time."""
    top = _nice(max([allowed_m3 or ZERO, *(row.volume_m3 or ZERO for row in rows)]))
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
        _HATCH,
        *_grid(top),
        *_columns(rows, labels, top),
    ]
    if allowed_m3 is not None and rows:
        parts += _allowed(allowed_m3, allowed, top)
    return "".join([*parts, "</svg>"])


def _nice(value: Decimal) -> Decimal:
    """The least of 1, 2, 5 × 10ⁿ that is not below; 1 for nothing."""
    if value <= 0:
        return ONE
    power = ONE.scaleb(value.adjusted())
    return next(factor * power for factor in _NICE if factor * power >= value)


def _y(value: Decimal, top: Decimal) -> str:
    height = Decimal(HEIGHT - _TOP - _BOTTOM)
    return f"{_TOP + height - height * max(ZERO, value) / top:.1f}"


def _grid(top: Decimal) -> Iterator[str]:
    yield f'<text x="{_LEFT}" y="{_TOP - 7}" class="unit">m³</text>'
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = _y(value, top)
        yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#ccc" stroke-width="0.5"/>'
        yield f'<text x="{_LEFT - 5}" y="{y}" dy="0.35em" text-anchor="end">{grouped(value)}</text>'


def _columns(rows: Sequence[Row], labels: Sequence[str], top: Decimal) -> Iterator[str]:
    if not rows:
        return
    step = Decimal(WIDTH - _LEFT - _RIGHT) / len(rows)
    named_every = -(-len(rows) // _LABELS)
    for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
        x, y = _LEFT + step * place, _y(row.volume_m3 or ZERO, top)
        height = Decimal(HEIGHT - _BOTTOM) - Decimal(y)
        if height:
            size = f'x="{x + step * _GAP / 2:.1f}" y="{y}" width="{step * (1 - _GAP):.1f}" height="{height:.1f}"'
            yield f"<rect {size} {_look(row)}/>"
        if place % named_every == 0:
            yield f'<text x="{x + step / 2:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{escape(label)}</text>'


def _look(row: Row) -> str:
    """Solid where all is well, grey where suspect, hatched where it failed or is withheld: any printer tells them."""
    if row.withheld_m3 or row.level == _FAIL:
        return 'fill="url(#hatch)" stroke="#444" stroke-width="0.4"'
    return 'fill="#9aa7b5"' if row.level == _SUSPECT else 'fill="#1f5f99"'


def _allowed(allowed_m3: Decimal, words: str, top: Decimal) -> list[str]:
    y = _y(allowed_m3, top)
    line = f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#b3261e" stroke-dasharray="5 3"/>'
    place = f'x="{WIDTH - _RIGHT}" y="{_TOP - 7}" text-anchor="end" class="allowed"'
    return [line, f"<text {place}>{escape(words)}</text>"]
