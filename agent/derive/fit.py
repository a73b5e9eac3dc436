"""From calibration runs to a coefficient, with reasons when the runs are not good enough (§6, §9.4).

The coefficient is the ratio of sums ΣV/ΣE of the kept runs; their scatter is that of the single ratios. Nothing is ever
dropped unnamed, and a refusal names what was found and what is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from statistics import median
from typing import NamedTuple

from agent.derive.exact import ONE, PERCENT, ZERO, OutOfDomain, exact, not_negative, positive
from agent.derive.models import AffineLevel
from agent.derive.physics import K_M3_M_PER_KWH
from agent.derive.student import quantile_975

MAD_K = Decimal("3.5")
MAD_TO_SD = Decimal("1.4826")  # of a normal distribution
DROPPED_AT_MOST = 5  # one run in five
FEWEST_RUNS = 3
_MOST_CV = Decimal("0.03")
_MOST_RANGE = Decimal("0.05")  # of the mean ratio
_SHORTEST_MIN = Decimal(30)
_FEWEST_STEPS = Decimal(200)
_WORST_REFERENCE = Decimal("0.01")  # k = 1: expanded uncertainty of 2 %
_FEW_RUNS = 10  # §9.4: below, Student's t takes the place of k = 2
_K = Decimal(2)
_NOISE = Decimal("1e-12")  # of a mean volume: an intercept this small is none
_ETA_OF_SLOPE = (Decimal("0.25"), Decimal("0.85"))


class CalibrationRun(NamedTuple):
    """One run: energy in kWh, volume in m³ by the reference meter, minutes, and the pumping level's depth in m."""

    energy_kwh: Decimal
    volume_m3: Decimal
    minutes: Decimal | None = None
    depth_m: Decimal | None = None


class Objection(StrEnum):
    """Why a calibration is not accepted, or (the last three) what should be looked at."""

    TOO_FEW_RUNS = "TOO_FEW_RUNS"
    RUN_TOO_SHORT = "RUN_TOO_SHORT"
    ENERGY_TOO_SMALL = "ENERGY_TOO_SMALL"
    SCATTER_TOO_WIDE = "SCATTER_TOO_WIDE"
    RANGE_TOO_WIDE = "RANGE_TOO_WIDE"
    OUTLIERS_REMAIN = "OUTLIERS_REMAIN"
    REFERENCE_TOO_UNCERTAIN = "REFERENCE_TOO_UNCERTAIN"
    STANDBY_OR_FILLING = "STANDBY_OR_FILLING"  # volume is missing from the start on: intercept below 0
    DRAWDOWN = "DRAWDOWN"  # more water at the start: intercept above 0, a two_phase model may fit
    ETA_DOUBTFUL = "ETA_DOUBTFUL"  # no pump has the efficiency that the level's slope implies


REMARKS = frozenset({Objection.STANDBY_OR_FILLING, Objection.DRAWDOWN, Objection.ETA_DOUBTFUL})


class Finding(NamedTuple):
    """An objection with what was found and the limit; `runs` are the indices (from 0) that it concerns."""

    objection: Objection
    found: Decimal
    limit: Decimal
    runs: tuple[int, ...] = ()

    @property
    def refuses(self) -> bool:
        """Whether the calibration is not accepted because of it."""
        return self.objection not in REMARKS


class Calibration(NamedTuple):
    """What the kept runs say. `tc` and every u in m³/kWh; indices from 0, ascending.

    `u_a` is s/√n, `ci95` the half-width of the 95 % interval, `u_combined` holds the reference meter's error as well.
    `u_rel` is what a coefficient record carries: as `u_combined`, but for fewer than ten runs with half of `ci95`.
    """

    kept: tuple[int, ...]
    rejected: tuple[int, ...]
    remaining: tuple[int, ...]
    tc: Decimal
    mean_ratio: Decimal
    s_ratio: Decimal
    cv: Decimal
    spread: Decimal
    u_a: Decimal
    ci95: Decimal
    u_combined: Decimal
    u_rel: Decimal

    @property
    @exact
    def u_combined_rel(self) -> Decimal:
        """The combined uncertainty as a fraction of the coefficient."""
        return self.u_combined / self.tc


@exact
def outliers(ratios: Sequence[Decimal], mad_k: Decimal | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The runs to drop, and further candidates that may not be dropped: by distance from the median over all runs.

    One pass, the farthest first, at most one run in five; none where the median deviation is 0 or `mad_k` is None.
    """
    if mad_k is None or not ratios:
        return (), ()
    middle = median(ratios)
    deviations = [abs(ratio - middle) for ratio in ratios]
    limit = positive("mad_k", mad_k) * MAD_TO_SD * median(deviations)
    candidates = [index for index, deviation in enumerate(deviations) if 0 < limit < deviation]
    candidates.sort(key=lambda index: (-deviations[index], index))
    dropped = len(ratios) // DROPPED_AT_MOST
    return tuple(sorted(candidates[:dropped])), tuple(sorted(candidates[dropped:]))


@exact
def calibrate(runs: Sequence[CalibrationRun], *, u_ref_rel: Decimal, mad_k: Decimal | None = MAD_K) -> Calibration:
    """The coefficient of these runs. `u_ref_rel` is the reference meter's, k = 1. Raises: OutOfDomain below 2 runs."""
    ratios = [
        positive(f"volume of run {i}", run.volume_m3) / positive(f"energy of run {i}", run.energy_kwh)
        for i, run in enumerate(runs)
    ]
    rejected, remaining = outliers(ratios, mad_k)
    kept = tuple(index for index in range(len(runs)) if index not in rejected)
    n = len(kept)
    if n < 2:  # noqa: PLR2004 - one run has no scatter
        raise OutOfDomain("runs", n, "2 or more")
    tc = sum((runs[i].volume_m3 for i in kept), ZERO) / sum((runs[i].energy_kwh for i in kept), ZERO)
    mean, s = _mean_and_deviation([ratios[i] for i in kept])
    u_a = s / Decimal(n).sqrt()
    ci95 = quantile_975(n - 1) * u_a
    u_ref = not_negative("u_ref_rel", u_ref_rel) * tc
    u_stated = ci95 / _K if n < _FEW_RUNS else u_a
    return Calibration(
        kept=kept,
        rejected=rejected,
        remaining=remaining,
        tc=tc,
        mean_ratio=mean,
        s_ratio=s,
        cv=s / mean,
        spread=(max(ratios[i] for i in kept) - min(ratios[i] for i in kept)) / mean,
        u_a=u_a,
        ci95=ci95,
        u_combined=_together(u_a, u_ref),
        u_rel=_together(u_stated, u_ref) / tc,
    )


def _mean_and_deviation(values: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    n = len(values)
    mean = sum(values, ZERO) / n
    return mean, (sum(((value - mean) ** 2 for value in values), ZERO) / (n - 1)).sqrt()


def _together(*uncertainties: Decimal) -> Decimal:
    return sum((u * u for u in uncertainties), ZERO).sqrt()


@exact
def judged(
    runs: Sequence[CalibrationRun], fitted: Calibration, *, u_ref_rel: Decimal, step_kwh: Decimal
) -> tuple[Finding, ...]:
    """What stands against accepting the calibration (§6-4, -5), and remarks. `step_kwh`: the register's last place."""
    findings = []
    if len(fitted.kept) < FEWEST_RUNS:
        findings.append(Finding(Objection.TOO_FEW_RUNS, Decimal(len(fitted.kept)), Decimal(FEWEST_RUNS)))
    short = [(i, runs[i].minutes or ZERO) for i in fitted.kept if runs[i].minutes is not None]
    findings += _below(Objection.RUN_TOO_SHORT, short, _SHORTEST_MIN)
    small = [(i, runs[i].energy_kwh) for i in fitted.kept]
    findings += _below(Objection.ENERGY_TOO_SMALL, small, _FEWEST_STEPS * step_kwh)
    for objection, found, limit in (
        (Objection.SCATTER_TOO_WIDE, fitted.cv, _MOST_CV),
        (Objection.RANGE_TOO_WIDE, fitted.spread, _MOST_RANGE),
        (Objection.REFERENCE_TOO_UNCERTAIN, u_ref_rel, _WORST_REFERENCE),
    ):
        if found > limit:
            findings.append(Finding(objection, found, limit))
    if fitted.remaining:
        count = Decimal(len(fitted.remaining))
        findings.append(Finding(Objection.OUTLIERS_REMAIN, count, ZERO, fitted.remaining))
    intercept = intercept_remark([runs[i] for i in fitted.kept])
    return tuple(findings) if intercept is None else (*findings, intercept)


def _below(objection: Objection, values: Sequence[tuple[int, Decimal]], limit: Decimal) -> list[Finding]:
    below = [(i, value) for i, value in values if value < limit]
    if not below:
        return []
    return [Finding(objection, min(value for _, value in below), limit, tuple(i for i, _ in below))]


@exact
def intercept_remark(runs: Sequence[CalibrationRun]) -> Finding | None:
    """Whether V = c + Tc·E has an intercept beyond t(0.975, n−2) standard errors; None with fewer than three runs."""
    n = len(runs)
    if n < FEWEST_RUNS or len({run.energy_kwh for run in runs}) == 1:
        return None
    line = _line([(run.energy_kwh, run.volume_m3) for run in runs])
    limit = quantile_975(n - 2) * line.u_intercept
    noise = _NOISE * sum((run.volume_m3 for run in runs), ZERO) / n
    if abs(line.intercept) <= limit + noise:
        return None
    objection = Objection.STANDBY_OR_FILLING if line.intercept < 0 else Objection.DRAWDOWN
    return Finding(objection, line.intercept, limit)


class _Line(NamedTuple):
    """An ordinary least-squares line, its residual deviation (0 with two points) and its intercept's error."""

    intercept: Decimal
    slope: Decimal
    residual: Decimal
    u_intercept: Decimal


def _line(points: Sequence[tuple[Decimal, Decimal]]) -> _Line:
    n = len(points)
    mean_x, mean_y = (sum((point[axis] for point in points), ZERO) / n for axis in (0, 1))
    width = sum(((x - mean_x) ** 2 for x, _ in points), ZERO)
    slope = sum(((x - mean_x) * (y - mean_y) for x, y in points), ZERO) / width
    intercept = mean_y - slope * mean_x
    left = sum(((y - intercept - slope * x) ** 2 for x, y in points), ZERO)
    residual = (left / (n - 2)).sqrt() if n > 2 else ZERO  # noqa: PLR2004 - two points leave nothing
    return _Line(intercept, slope, residual, residual * (ONE / n + mean_x**2 / width).sqrt())


class LevelFit(NamedTuple):
    """e = a + b·depth from calibrations at several levels. `residual` of e in kWh/m³; `u_rel` at the middle of the
    range, k = 1 for a k = 2 statement, None for two points; `eta` follows from the slope, None where it does not rise.
    """

    model: AffineLevel
    n: int
    residual: Decimal
    u_rel: Decimal | None
    eta: Decimal | None
    remarks: tuple[Finding, ...]


@exact
def fit_level(points: Sequence[tuple[Decimal, Decimal]]) -> LevelFit:
    """The line of 1/Tc over depth for (depth in m, Tc in m³/kWh); never Tc itself, which is no line (§6).

    Raises: OutOfDomain without two different depths.
    """
    depths = [depth for depth, _ in points]
    if len(set(depths)) < 2:  # noqa: PLR2004 - a line
        raise OutOfDomain("depths", depths, "two different ones or more")
    energies = [(depth, ONE / positive("tc", tc)) for depth, tc in points]
    line = _line(energies)
    n = len(points)
    eta = ONE / (line.slope * K_M3_M_PER_KWH) if line.slope > 0 else None
    low, high = _ETA_OF_SLOPE
    remarks = [] if eta is not None and low <= eta <= high else [Finding(Objection.ETA_DOUBTFUL, eta or ZERO, high)]
    u_rel = None
    if n >= FEWEST_RUNS:
        factor = quantile_975(n - 2) / _K if n < _FEW_RUNS else ONE
        u_rel = factor * line.residual / Decimal(n).sqrt() / (sum((e for _, e in energies), ZERO) / n)
    model = AffineLevel(a=line.intercept, b=line.slope, depths=(min(depths), max(depths)))
    return LevelFit(model, n, line.residual, u_rel, eta, tuple(remarks))


class Weighted(NamedTuple):
    """A weighted fit through the origin. `u_reported` is widened by the Birge ratio above 1, never narrowed."""

    tc: Decimal
    u_internal: Decimal
    chi2: Decimal
    birge: Decimal
    u_reported: Decimal


@exact
def fit_weighted(runs: Sequence[tuple[Decimal, Decimal, Decimal]]) -> Weighted:
    """V = Tc·E for (E in kWh, V in m³, u of V in m³); u holds only what is independent from run to run (§6)."""
    if len(runs) < 2:  # noqa: PLR2004 - one run has no scatter
        raise OutOfDomain("runs", len(runs), "2 or more")
    weighted = [(energy, volume, ONE / positive("u", u) ** 2) for energy, volume, u in runs]
    squares = positive("ΣE²/u²", sum((energy * energy * weight for energy, _, weight in weighted), ZERO))
    tc = sum((energy * volume * weight for energy, volume, weight in weighted), ZERO) / squares
    chi2 = sum(((volume - tc * energy) ** 2 * weight for energy, volume, weight in weighted), ZERO)
    u_internal = ONE / squares.sqrt()
    birge = (chi2 / (len(runs) - 1)).sqrt()
    return Weighted(tc, u_internal, chi2, birge, u_internal * max(ONE, birge))


@exact
def with_reference(u: Decimal, u_ref_rel: Decimal, tc: Decimal) -> Decimal:
    """The uncertainty of a weighted fit with the reference meter's error, which all runs share, added once, m³/kWh."""
    return _together(u, u_ref_rel * tc)


def percent(fraction: Decimal) -> Decimal:
    """A fraction in per cent."""
    return fraction * PERCENT
