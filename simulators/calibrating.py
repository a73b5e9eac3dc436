"""From calibration runs on the simulated plant to coefficient records, by the product's own functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from random import Random

from agent.derive.coefficient import Basis, Coefficient
from agent.derive.exact import ZERO
from agent.derive.fit import fit_level
from simulators.irrigation import DAY_MS, HOUR_MS
from simulators.plant_form import PlantForm
from simulators.plant_long import Turn
from simulators.trial import Tester, Trial, trial

_RUN_H = 3
_PLACES = Decimal("0.000001")


def trials_from(
    form: PlantForm,
    tester: Tester,
    chance: Random,
    *,
    midnight_ms: int,
    count: int,
    epoch_ms: int,
    speeds: tuple[float, float] = (1.0, 1.0),
) -> list[Trial]:
    """Runs on so many days from this local midnight on, each of 3 h from 8 o'clock, as the field is watered then."""
    found = []
    for day in range(count):
        begin_ms = midnight_ms + day * DAY_MS + 8 * HOUR_MS
        turn = Turn(begin_ms, begin_ms + _RUN_H * HOUR_MS + 1, chance.uniform(0.7, 1.0), chance.uniform(*speeds))
        found.append(trial(form, turn, tester, chance, epoch_ms=epoch_ms))
    return found


def affine_level(trials: Sequence[Trial], tester: Tester, *, name: str, tested: date, until: date) -> Coefficient:
    """The line of specific energy over depth, through stable and falling parts of the runs."""
    runs = [each for trial in trials for each in (trial.run, trial.falling)]
    points = [(run.depth_m or ZERO, run.volume_m3 / run.energy_kwh) for run in runs]
    fitted = fit_level(points)
    assert fitted.u_rel is not None
    return Coefficient(
        id=name,
        version=1,
        well_code=f"WELL-{name}",
        delivery_mode="open_outlet",
        model=fitted.model,
        u_rel=together(fitted.u_rel, tester.u_reference),
        valid_from=tested,
        valid_to=until,
        basis=Basis(
            runs=len(trials),
            depth_range_m=fitted.model.depths,
            p_run_kw=mean([trial.power_kw for trial in trials]),
            reference="reference-meter",
            u_reference=tester.u_reference,
        ),
    )


def together(*parts: Decimal) -> Decimal:
    """Independent uncertainties as one, cut to a millionth above."""
    return sum((part * part for part in parts), ZERO).sqrt().quantize(_PLACES)


def mean(values: Sequence[Decimal]) -> Decimal:
    """The mean, to a millionth."""
    return (sum(values, ZERO) / len(values)).quantize(_PLACES)
