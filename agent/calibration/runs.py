"""Calibration runs out of a table: every number checked, every mistake at its place, all at once. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from agent.calibration.columns import Column, Kind, UnitMissing, column_of, plain, scaled, words
from agent.calibration.sheet import Cell, rows_of
from agent.derive.coefficient import DELIVERY_MODES
from agent.derive.exact import ONE, exact
from agent.form.problems import FormErrors, Problem, near

MOST_RUNS = 2000
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,2})?")
_MOMENT = re.compile(r"(?:(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?[ t]*)?(\d{1,2})[:时](\d{2})(?:[:分](\d{2})秒?)?")
_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ t]+0{1,2}:00(?::00)?)?")
_DAY = re.compile(r"(\d{1,2})[-/.月](\d{1,2})日?")
_NO_DAY = date(1, 1, 1)
_SAME_MINUTES = Decimal(2)  # a duration beside its two times may be rounded
_MODE_WORDS = {"管口": "open_outlet", "明口": "open_outlet", "敞口": "open_outlet", "低压管道": "low_pressure_pipe",
               "管灌": "low_pressure_pipe", "喷灌": "sprinkler", "滴灌": "drip", "微灌": "drip"}  # fmt: skip
_NEEDED = (("energy_kwh", ("energy_from", "energy_to")), ("volume_m3", ("volume_from", "volume_to")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row: energy and volume, and what else was noted. Units are in the names; `day` is its last local day."""

    line: int
    label: str
    energy_kwh: Decimal
    volume_m3: Decimal
    minutes: Decimal | None = None
    start: datetime | None = None  # local, with its day
    end: datetime | None = None
    day: date | None = None
    depth_m: Decimal | None = None
    pressure_mpa: Decimal | None = None
    power_kw: Decimal | None = None
    frequency_hz: Decimal | None = None
    u_m3: Decimal | None = None
    drop_energy_kwh: Decimal | None = None
    drop_volume_m3: Decimal | None = None
    well: str = ""
    season: str = ""
    mode: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The runs of a file. `step_kwh` is the last place of its energies; `unread` are headers that nobody understood."""

    file: str
    runs: tuple[Run, ...]
    columns: frozenset[str]
    step_kwh: Decimal
    unread: tuple[str, ...] = ()

    @property
    def mode(self) -> str:
        """The delivery mode of its runs; "" where the table does not say."""
        return next((run.mode for run in self.runs if run.mode), "")

    @property
    def last_day(self) -> date | None:
        """The local day of the last run."""
        return max((run.day for run in self.runs if run.day is not None), default=None)


_VALUES = frozenset(each.name for each in fields(Run)) - {"line", "label"}


@dataclass(slots=True)
class _Reading:
    """What is being read: the columns by position, and the mistakes so far."""

    file: str
    multiplier: Decimal
    columns: dict[int, tuple[Column, Fraction]] = field(default_factory=dict)
    heads: dict[str, Cell] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    width: int = 0
    mode: str = ""

    def say(self, cell: Cell, path: str, code: str, **arguments: str) -> None:
        """Notes a mistake; `path` names a column, which is told as the table calls it."""
        path = self.heads[path].text if path in self.heads else path
        problem = Problem(file=self.file, line=cell.line, column=cell.column, path=path, code=code, arguments=arguments)
        self.problems.append(problem)


def table_of(data: bytes, file: str, *, multiplier: Decimal = ONE) -> Table:
    """The runs in the bytes of a CSV file; `multiplier` makes primary kWh of register differences.

    Raises:
        FormErrors: everything that is wrong with it.
    """
    rows = rows_of(data, file)
    if len(rows) < 2:  # noqa: PLR2004 - a header and a run
        raise FormErrors([Problem(file=file, line=1, column=1, path="", code="csv-empty")])
    reading = _Reading(file, multiplier)
    _read_header(rows[0], reading)
    found = [] if reading.problems else [_run(row, at, reading) for at, row in enumerate(rows[1 : MOST_RUNS + 1], 1)]
    runs = tuple(run for run in found if run is not None)
    if len(rows) > MOST_RUNS + 1:
        reading.say(rows[MOST_RUNS + 1][0], "", "too-many", limit=str(MOST_RUNS))
    _check_apart(runs, reading)
    if reading.problems:
        raise FormErrors(reading.problems)
    scale = multiplier if "energy_from" in reading.heads else ONE
    return Table(
        file=file,
        runs=runs,
        columns=frozenset(reading.heads),
        step_kwh=Decimal(1).scaleb(-max(reading.places, default=0)) * scale,
        unread=tuple(reading.unread),
    )


def _check_apart(runs: Sequence[Run], reading: _Reading) -> None:
    """Two runs at one well do not overlap in time: a run that counts twice makes their spread smaller than it is."""
    last: dict[str, tuple[datetime, Run]] = {}
    for start, end, run in sorted(
        ((run.start, run.end, run) for run in runs if run.start and run.end), key=lambda each: each[:2]
    ):
        until, before = last.get(run.well, (start, run))
        if start < until:
            told = {"value": run.label, "other": before.label, "first": str(before.line)}
            reading.say(Cell("", run.line, 1), "", "csv-overlap", **told)
        if run.well not in last or end > until:
            last[run.well] = (end, run)


# --- the header


def _read_header(row: Sequence[Cell], reading: _Reading) -> None:
    reading.width = len(row)
    for at, cell in enumerate(row):
        if not cell.text:
            continue
        try:
            found = column_of(cell.text)
        except UnitMissing as error:
            reading.say(cell, cell.text, "csv-unit", units=" ".join(error.units))
            continue
        if found is None:
            reading.unread.append(cell.text)
            continue
        column, _ = found
        if column.name in reading.heads:
            other = reading.heads[column.name].text
            reading.say(cell, cell.text, "csv-column-twice", name=column.name, other=other)
            continue
        reading.columns[at] = found
        reading.heads[column.name] = cell
    for name, others in _NEEDED:
        if name not in reading.heads and not all(other in reading.heads for other in others):
            given = " ".join(cell.text for cell in row if cell.text)
            guess = near(name, [plain(word) for word in reading.unread]) or _guess(reading.unread, name)
            reading.say(row[0], "", f"csv-needs-{name.partition('_')[0]}", found=given, **guess)


def _guess(unread: Sequence[str], name: str) -> dict[str, str]:
    """A header that nobody understood and that is nearly a word for that column."""
    wanted = name.partition("_")[0]
    for header in unread:
        found = near(plain(header), words())
        if found and wanted in plain(found["near"]):
            return {"near": found["near"]}
    return {}


# --- a row


def _run(row: Sequence[Cell], at: int, reading: _Reading) -> Run | None:
    before = len(reading.problems)
    found: dict[str, object] = {}
    cells: dict[str, Cell] = {}
    for place, cell in enumerate(row):
        if place not in reading.columns:
            if cell.text and place >= reading.width:
                reading.say(cell, "", "csv-too-many-cells", value=cell.text)
            continue
        column, factor = reading.columns[place]
        if not cell.text:
            continue
        cells[column.name] = cell
        value = _value(cell, column, factor, reading)
        if value is not None:
            found[column.name] = value
    _take_registers(found, cells, reading)
    _take_times(found, cells, reading)
    for name, _ in _NEEDED:
        if name not in found and name not in cells and len(reading.problems) == before:
            reading.say(row[0], name, "csv-missing")
    if len(reading.problems) > before:
        return None
    values = {name: value for name, value in found.items() if name in _VALUES}
    values["label"] = found.get("run", str(at))
    return Run(line=row[0].line, **values)  # type: ignore[arg-type] # each value came through its own column


def _value(cell: Cell, column: Column, factor: Fraction, reading: _Reading) -> object:
    match column.kind, column.name:
        case Kind.NUMBER, _:
            return _number(cell, column, factor, reading)
        case Kind.TIME, _:
            return _moment(cell, column, reading)
        case Kind.DAY, _:
            return _date(cell, column, reading)
        case _, "mode":
            return _mode(cell, reading)
        case _, "season":
            return _season(cell, reading)
        case _:
            return cell.text


@exact
def _number(cell: Cell, column: Column, factor: Fraction, reading: _Reading) -> Decimal | None:
    text = plain(cell.text)
    if not _NUMBER.fullmatch(text):
        code = "csv-comma" if re.fullmatch(r"[\d.]*,[\d,.]*", text) else "csv-number"
        reading.say(cell, column.name, code, value=cell.text)
        return None
    value = scaled(Decimal(text), factor)
    is_register = column.name.endswith(("_from", "_to"))
    is_level = column.name in {"depth_m", "pressure_mpa", "drop_energy_kwh", "drop_volume_m3"}
    if value < 0 or (value == 0 and not (is_register or is_level)):
        reading.say(cell, column.name, "csv-not-positive", value=cell.text)
        return None
    if column.name in {"energy_kwh", "energy_to", "energy_from"}:
        reading.places.append(max(0, -int(value.as_tuple().exponent)))
    return value


def _moment(cell: Cell, column: Column, reading: _Reading) -> datetime | None:
    with suppress(ValueError):
        if found := _MOMENT.fullmatch(plain(cell.text)):
            year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
            on = date(year, month, day) if year else _NO_DAY
            return datetime(on.year, on.month, on.day, hour, minute, second)  # noqa: DTZ001 - local, only compared
    reading.say(cell, column.name, "csv-time", value=cell.text)
    return None


def _date(cell: Cell, column: Column, reading: _Reading) -> date | None:
    with suppress(ValueError):
        if found := _DATE.fullmatch(plain(cell.text)):
            return date(*(int(part) for part in found.groups()))
    reading.say(cell, column.name, "csv-date", value=cell.text)
    return None


def _mode(cell: Cell, reading: _Reading) -> str | None:
    text = plain(cell.text).replace(" ", "_")
    mode = _MODE_WORDS.get(text, text)
    if mode not in DELIVERY_MODES:
        reading.say(cell, "mode", "choice", value=cell.text, allowed=" ".join(DELIVERY_MODES))
        return None
    if mode != (reading.mode or mode):
        reading.say(cell, "mode", "csv-modes", value=mode, other=reading.mode)  # never averaged across modes (§7)
        return None
    reading.mode = mode
    return mode


def _season(cell: Cell, reading: _Reading) -> str | None:
    with suppress(ValueError):
        if found := _DAY.fullmatch(plain(cell.text)):
            return f"{date(2024, int(found[1]), int(found[2])):%m-%d}"  # a leap year knows every day
    reading.say(cell, "season", "csv-season", value=cell.text)
    return None


@exact
def _take_registers(found: dict[str, object], cells: dict[str, Cell], reading: _Reading) -> None:
    """Differences of registers, where a row has no energy or volume of its own."""
    for name, scale in (("energy_kwh", reading.multiplier), ("volume_m3", ONE)):
        stem = name.partition("_")[0]
        begin, end = found.get(f"{stem}_from"), found.get(f"{stem}_to")
        if name in found or not isinstance(begin, Decimal) or not isinstance(end, Decimal):
            continue
        if end <= begin:
            reading.say(cells[f"{stem}_to"], f"{stem}_to", "csv-register", value=str(end), begin=str(begin))
            continue
        found[name] = (end - begin) * scale


@exact
def _take_times(found: dict[str, object], cells: dict[str, Cell], reading: _Reading) -> None:
    """Minutes and the day, from the two times; a day of their own is theirs where they have none."""
    day = found.pop("day", None)
    start, end = (_on_day(found.pop(name, None), day) for name in ("start", "end"))
    for moment in (end, start):
        if isinstance(moment, datetime) and moment.date() != _NO_DAY:
            found.setdefault("day", moment.date())
    if isinstance(day, date):
        found.setdefault("day", day)
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        return
    if (start.date() == _NO_DAY) != (end.date() == _NO_DAY):
        end = end.replace(year=start.year, month=start.month, day=start.day) if end.date() == _NO_DAY else end
    if end <= start or (end.date() != _NO_DAY and start.date() == _NO_DAY):
        reading.say(cells["end"], "end", "csv-order", value=cells["end"].text, begin=cells["start"].text)
        return
    if start.date() != _NO_DAY:
        found["start"], found["end"] = start, end
    minutes = Decimal((end - start) // timedelta(seconds=1)) / 60
    given = found.setdefault("minutes", minutes)
    if isinstance(given, Decimal) and abs(given - minutes) > _SAME_MINUTES:
        reading.say(cells["minutes"], "minutes", "csv-minutes", value=str(given), between=f"{minutes:.0f}")


def _on_day(moment: object, day: object) -> object:
    if isinstance(moment, datetime) and isinstance(day, date) and moment.date() == _NO_DAY:
        return datetime.combine(day, moment.time())
    return moment
