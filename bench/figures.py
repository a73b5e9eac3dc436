"""What the bench prints: one figure per row of the table, with what physics allows and the naive script reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tabulate import tabulate


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured row. `target` is what the project aims at on the reference machine; nothing here passes or fails."""

    name: str
    title: str
    unit: str
    target: str
    qushui: float | None
    naive: float | None = None
    limit: float | None = None
    note: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """qushui divided by the naive script; holds on any machine."""
        return self.qushui / self.naive if self.qushui is not None and self.naive else None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where the experiments work and how long they may take."""

    directory: Path
    scale: float
    full: bool

    def length_s(self, quick_s: float, full_s: float) -> float:
        """Seconds of one measurement: the full length, or the quick one stretched by --seconds."""
        return full_s if self.full else max(3.0, quick_s * self.scale)

    def site(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path


Experiment = Callable[[Bench], list[Figure]]


def number(value: float | None) -> str:
    """Three or four digits that matter; a dash where nothing is known."""
    if value is None:
        return "–"
    if value and abs(value) < 1:
        return f"{value:.3g}"
    return f"{value:,.1f}".removesuffix(".0") if abs(value) < 1000 else f"{value:,.0f}".replace(",", " ")


def table(figures: Sequence[Figure]) -> str:
    rows = [
        (f.title, f.unit, number(f.naive), number(f.limit), number(f.qushui), f.target, number(f.ratio), f.note)
        for f in figures
    ]
    return tabulate(
        rows,
        headers=("row", "unit", "naive", "limit", "qushui", "aim", "qushui/naive", "note"),
        disable_numparse=True,
        maxcolwidths=[46, 12, None, None, None, None, None, 60],
    )
