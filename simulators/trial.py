"""A calibration in the field, on the simulated plant (§6 of the conversion sheet): what the tester's table would hold.

The reference meter has an error of its own, the same in all runs, and each run reads a little differently; energy comes
off the site's own register, the level off a sounder. What is made of the table is the product's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from decimal import Decimal
from random import Random
from typing import NamedTuple

from agent.calibration.drafting import Naming, drafted
from agent.calibration.fitting import fitted
from agent.calibration.remarks import Reference
from agent.calibration.result import Fit, NotFitted, Site
from agent.calibration.runs import table_of
from agent.derive.coefficient import Coefficient
from simulators.irrigation import DAY_MS, HOUR_MS, MINUTE_MS
from simulators.plant_form import PlantForm
from simulators.plant_long import MICRO, LongPlant, Moment, Turn, Unit
from simulators.plant_meters import PPM, Register

MAINS_HZ = 50
_LEVEL_NOISE_M = 0.02
_REPEAT = 0.002  # of a reference meter from run to run
_SETTLED_MIN = 60
_RUN_H = 4
_COLUMNS = (
    "run", "start", "end", "energy_kwh", "volume_m3", "depth_m", "pressure_mpa", "power_kw", "frequency_hz",
    "drop_energy_kwh", "drop_volume_m3", "season", "well",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tester:
    """Who tests: the reference meter's error and its u (relative, k = 1), the sounder's offset in m."""

    reference_ppm: int
    u_reference: Decimal
    sounder_m: float


def drawn_tester(chance: Random, *, u_reference: float = 0.01) -> Tester:
    """A tester whose meter lies where its certificate says: an expanded uncertainty of 2 u, k = 2."""
    error_ppm = round(chance.gauss(0, u_reference) * PPM)
    return Tester(
        reference_ppm=error_ppm, u_reference=Decimal(str(u_reference)), sounder_m=round(chance.gauss(0, 0.03), 3)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Well:
    """What is tested: the plant, its energy register, how far valves are opened and how fast the pump turns there.

    Trend and wear count from `epoch_ms`.
    """

    form: PlantForm
    register: Register
    epoch_ms: int
    openings: tuple[float, float] = (0.8, 1.0)
    name: str = "W1"


Row = dict[str, str]


def runs_from(
    well: Well, tester: Tester, chance: Random, *, midnight_ms: int, speeds: Sequence[float], zone: tzinfo
) -> Iterator[Row]:
    """One run a day at each of these speeds, of 4 h from 8 o'clock: rows of the table.

    Other loads are off. Until the level is stable an hour goes by; it is in the run, and noted for itself.
    """
    alone = well.form.model_copy(update={"grid": well.form.grid.model_copy(update={"auxiliary": Decimal(0)})})
    for day, speed in enumerate(speeds):
        begin_ms = midnight_ms + day * DAY_MS + 8 * HOUR_MS
        turn = Turn(begin_ms, begin_ms + _RUN_H * HOUR_MS + 1, chance.uniform(*well.openings), speed)
        plant = LongPlant([Unit(form=alone, turns=(turn,))], begin_ms=begin_ms, epoch_ms=well.epoch_ms)
        noted = _Noted(list(plant.moments(range(begin_ms, turn.end_ms, MINUTE_MS))), well, tester, chance)
        yield noted.row(zone, speed)


class _Noted:
    """One run as it was noted every minute."""

    def __init__(self, moments: list[Moment], well: Well, tester: Tester, chance: Random) -> None:
        self._moments = moments
        self._register = replace(well.register, initial=Decimal(1000))
        self._name = well.name
        self._gain = (1 + tester.reference_ppm / PPM) * (1 + chance.gauss(0, _REPEAT))
        self._sounder_m = tester.sounder_m + chance.gauss(0, _LEVEL_NOISE_M)

    def row(self, zone: tzinfo, speed: float) -> Row:
        """The whole run; what went by until the level was stable has columns of its own beside that."""
        first, settled, last = self._moments[0], self._moments[_SETTLED_MIN], self._moments[-1]
        seen = [each.units[0] for each in self._moments]
        hours = (last.at_ms - first.at_ms) / HOUR_MS
        return {
            "start": _stamp(first.at_ms, zone),
            "end": _stamp(last.at_ms, zone),
            "energy_kwh": str(self._energy(first, last)),
            "volume_m3": self._volume(first, last),
            "depth_m": _cut(sum(unit.depth_m for unit in seen) / len(seen) + self._sounder_m),
            "pressure_mpa": _cut(sum(unit.pressure_kpa for unit in seen) / len(seen) / 1000),
            "power_kw": _cut(float(self._energy(first, last)) / hours),
            "frequency_hz": _cut(speed * MAINS_HZ),
            "drop_energy_kwh": str(self._energy(first, settled)),
            "drop_volume_m3": self._volume(first, settled),
            "well": self._name,
        }

    def _energy(self, first: Moment, last: Moment) -> Decimal:
        shown = [self._register.shown(each.energy_micro) for each in (first, last)]
        return (shown[1] - shown[0]) * self._register.ratio

    def _volume(self, first: Moment, last: Moment) -> str:
        return _cut((last.volume_micro - first.volume_micro) / MICRO * self._gain)


def _stamp(at_ms: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, zone):%Y-%m-%d %H:%M:%S}"


def _cut(value: float) -> str:
    return f"{value:.4f}"


def table_text(rows: Iterable[Row], *, leave_out: Sequence[str] = ()) -> str:
    """The table as a CSV file. Columns that a model must not see can be left out."""
    columns = [name for name in _COLUMNS if name not in leave_out]
    lines = [",".join(columns)]
    lines += [",".join([str(at), *(row.get(name, "") for name in columns[1:])]) for at, row in enumerate(rows, 1)]
    return "\n".join(lines) + "\n"


class Tested(NamedTuple):
    """What came of a test: the record, None where the product refuses the runs, and the product's findings."""

    coefficient: Coefficient | None
    fit: Fit | None


def calibrated(
    model: str, text: str, site: Site, *, name: str, valid_from: date, calibrated_on: date | None = None
) -> Tested:
    """What `qushui coefficient fit` makes of the table."""
    try:
        fit = fitted(model, table_of(text.encode(), "runs.csv"), site)
    except NotFitted:
        return Tested(None, None)
    if not fit.is_accepted:
        return Tested(None, fit)
    naming = Naming(
        id=name, well_code=name, delivery_mode="open_outlet", valid_from=valid_from, calibrated_on=calibrated_on
    )
    return Tested(drafted(fit, site, naming), fit)


def reference_of(tester: Tester, *, until: date) -> Reference:
    """The reference meter as its certificate has it."""
    return Reference(u_rel=tester.u_reference, name="reference", certificate="R-1", valid_until=until)
