"""A plot as SVG: points, outliers by name, lines, two axes with round ticks. Pure text, no fonts of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

WIDTH, HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 18, 18, 56
_MOST_TICKS = 7
_MARGIN = 0.06  # of the range, beyond the outermost points
_LABEL = 120  # the room that a name takes


@dataclass(frozen=True, slots=True)
class Point:
    """A measured point; `label` is shown beside an outlier and as its tip."""

    x: Decimal
    y: Decimal
    label: str
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class Trace:
    """A fitted line through these points of the plane."""

    points: tuple[tuple[Decimal, Decimal], ...]
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What is drawn; axis titles carry their unit. `from_zero`: both axes begin at 0."""

    x_title: str
    y_title: str
    points: tuple[Point, ...]
    traces: tuple[Trace, ...]
    from_zero: bool = False


class _Axis:
    """One axis: from value to pixel, and its ticks."""

    def __init__(self, values: Sequence[float], *, begin: int, end: int, from_zero: bool) -> None:
        low, high = min(values), max(values)
        span = (high - low) or abs(high) or 1.0
        low, high = (0.0 if from_zero else low - _MARGIN * span), high + _MARGIN * span
        self.step = _round_step((high - low) / _MOST_TICKS)
        self.low, self.high = low, high
        self._begin, self._scale = begin, (end - begin) / (high - low)
        self._places = max(0, -math.floor(math.log10(self.step)))

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return round(self._begin + (value - self.low) * self._scale, 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Pixel and text of each."""
        first = math.ceil(self.low / self.step - 1e-9)
        values = (number * self.step for number in range(first, math.floor(self.high / self.step + 1e-9) + 1))
        return [(self.at(value), f"{value:.{self._places}f}") for value in values]


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))


def drawn(plot: Plot) -> str:
    """The SVG element."""
    drawn_points = [*((p.x, p.y) for p in plot.points), *(p for trace in plot.traces for p in trace.points)]
    across = _Axis([float(x) for x, _ in drawn_points], begin=_LEFT, end=WIDTH - _RIGHT, from_zero=plot.from_zero)
    up = _Axis([float(y) for _, y in drawn_points], begin=HEIGHT - _BOTTOM, end=_TOP, from_zero=plot.from_zero)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(plot.y_title)} / {escape(plot.x_title)}" class="plot">'
    )
    parts = [head, *_frame(across, up, plot)]
    parts += [_trace(trace, across, up) for trace in plot.traces]
    parts += [_mark(point, across, up) for point in plot.points]
    return "\n".join([*parts, "</svg>"])


def _frame(across: _Axis, up: _Axis, plot: Plot) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for at, text in across.ticks():
        parts.append(f'<line class="grid" x1="{at}" y1="{_TOP}" x2="{at}" y2="{bottom}"/>')
        parts.append(f'<text x="{at}" y="{bottom + 18}" text-anchor="middle">{text}</text>')
    for at, text in up.ticks():
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{at}" x2="{right}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4}" text-anchor="end">{text}</text>')
    parts.append(f'<rect class="frame" x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}"/>')
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts.append(f'<text x="{middle_x}" y="{HEIGHT - 12}" text-anchor="middle">{escape(plot.x_title)}</text>')
    turned = f'transform="rotate(-90 16 {middle_y})" text-anchor="middle"'
    parts.append(f'<text x="16" y="{middle_y}" {turned}>{escape(plot.y_title)}</text>')
    return parts


def _trace(trace: Trace, across: _Axis, up: _Axis) -> str:
    places = " ".join(f"{across.at(float(x))},{up.at(float(y))}" for x, y in trace.points)
    title = f"<title>{escape(trace.label)}</title>" if trace.label else ""
    return f'<polyline class="fit" points="{places}">{title}</polyline>'


def _mark(point: Point, across: _Axis, up: _Axis) -> str:
    x, y = across.at(float(point.x)), up.at(float(point.y))
    title = f"<title>{escape(point.label)}</title>"
    if point.is_kept:
        return f'<circle class="kept" cx="{x}" cy="{y}" r="4.5">{title}</circle>'
    cross = f'<path class="out" d="M{x - 5} {y - 5}L{x + 5} {y + 5}M{x - 5} {y + 5}L{x + 5} {y - 5}">{title}</path>'
    is_right = x > WIDTH - _LABEL
    shift, anchor = (-9, "end") if is_right else (9, "start")
    return f'{cross}\n<text class="out" x="{x + shift}" y="{y + 4}" text-anchor="{anchor}">{escape(point.label)}</text>'
