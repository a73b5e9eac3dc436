"""From the runs of a table to a model with its uncertainty and everything that speaks against it. Pure.

Strategy: every model but the level's line is a ratio of sums of the right two things: volume over energy (fixed, and by
season or operating point), volume over what the energy could lift through the head (physical), stable volume over
stable energy (two_phase). So one rule accepts or refuses them all. The line is accepted by what is left between it and
the runs, as the ratio of measured to predicted volume.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

from agent.calibration.remarks import (
    Remark,
    eta_remarks,
    reference_remarks,
    remark_of,
    run_remarks,
    sanity_remarks,
    tcs_of,
)
from agent.calibration.result import Fit, Group, NotFitted, Site, group_of, needed
from agent.calibration.runs import Run, Table
from agent.derive.coefficient import DEFAULT_U, EvidenceTier
from agent.derive.exact import ONE, ZERO, OutOfDomain, exact
from agent.derive.fit import (
    FEWEST_RUNS,
    Calibration,
    CalibrationRun,
    Finding,
    LevelFit,
    Objection,
    calibrate,
    fit_level,
    fit_weighted,
    judged,
    with_reference,
)
from agent.derive.models import AffineLevel, Curve, Dated, Fixed, Model, Physical, Regional, TwoPhase
from agent.derive.physics import K_M3_M_PER_KWH, total_dynamic_head_m
from agent.derive.region import effective_wells, single_well_rel, total_rel, wells_needed_unknown_cv
from agent.derive.student import quantile_975

REGIONAL = "regional"
_MINUTES = Decimal(60)
_FEW_WELLS = 30  # below, the spread is not known but seen: Student's t takes the place of k = 2 (§7)
_ONE_WELL = DEFAULT_U[EvidenceTier.D][0]  # u of a stratum's Tc at one untested well, at best (§9.4)
_WANTED = Decimal("0.2")  # relative error of a regional mean that a few wells can reach (§7)
_ALIKE = Decimal("0.02")  # runs whose power or frequency differ by less are one operating point
_OF_A_PHASE = frozenset({Objection.SCATTER_TOO_WIDE, Objection.RANGE_TOO_WIDE, Objection.OUTLIERS_REMAIN})


@exact
def fitted(name: str, table: Table, site: Site) -> Fit:
    """The model `name` of the runs in `table`.

    Raises:
        NotFitted: a column that the model needs is not there, or too few runs to compute anything.
    """
    try:
        found = _FITS[name](table, site)
    except OutOfDomain as error:
        raise NotFitted("DOMAIN", detail=str(error)) from error
    remarks = list(found.remarks)
    if name != REGIONAL:
        remarks += run_remarks(table.runs, found.kept)
        remarks += reference_remarks(site.reference, table.last_day)
    if isinstance(found.model, Physical):
        remarks += eta_remarks(found.model.eta)
    elif found.model is not None:
        remarks += sanity_remarks(tcs_of(found.model), site.heads)
    runs = found.runs or table.runs
    depths = [depth for depth in (runs[at].depth_m for at in found.kept) if depth is not None]
    spread = (min(depths), max(depths)) if depths else None
    return found._replace(remarks=tuple(remarks), runs=runs, depths=spread)


def _fixed(table: Table, site: Site) -> Fit:
    every = range(len(table.runs))
    group, remarks = group_of("", every, [run.energy_kwh for run in table.runs], table, site)
    tc, u_rel, weighted = group.result.tc, group.result.u_rel, None
    weights = [(run.energy_kwh, run.volume_m3, run.u_m3) for run in (table.runs[at] for at in group.kept)]
    given = [(energy, volume, u) for energy, volume, u in weights if u is not None]
    if len(given) == len(weights):
        weighted = fit_weighted(given)
        tc = weighted.tc
        u_rel = max(u_rel, with_reference(weighted.u_reported, site.reference.u_rel, tc) / tc)
    elif given:
        remarks.append(Remark("U_INCOMPLETE", refuses=False))
    if any(remark.code == Objection.SCATTER_TOO_WIDE for remark in remarks):
        remarks += _level_hint(table, site)
    return Fit("fixed", Fixed(tc=tc), (group,), u_rel, tuple(remarks), weighted)


def _level_hint(table: Table, site: Site) -> list[Remark]:
    """Whether it is the level that makes the runs scatter."""
    try:
        by_level = _affine_level(table, site)
    except NotFitted:
        return []
    is_better = not any(remark.refuses for remark in by_level.remarks)
    return [Remark("TRY_LEVEL", False, str(by_level.groups[0].result.cv))] if is_better else []


def _dated(table: Table, site: Site) -> Fit:
    needed(table, "dated", "season")
    groups, remarks = [], []
    for season in sorted({run.season for run in table.runs}):
        positions = [at for at, run in enumerate(table.runs) if run.season == season]
        group, found = group_of(season, positions, [table.runs[at].energy_kwh for at in positions], table, site)
        groups.append(group)
        remarks += found
    steps = tuple(((int(group.label[:2]), int(group.label[3:])), group.result.tc) for group in groups)
    return Fit("dated", Dated(steps=steps), tuple(groups), _worst(groups), tuple(remarks))


def _worst(groups: Sequence[Group]) -> Decimal:
    return max(group.result.u_rel for group in groups)


def _two_phase(table: Table, site: Site) -> Fit:
    needed(table, "two_phase", "drop_energy_kwh", "drop_volume_m3")
    runs = table.runs
    drops = [(run.drop_energy_kwh or ZERO, run.drop_volume_m3 or ZERO) for run in runs]
    for run, (energy, volume) in zip(runs, drops, strict=True):
        if not (0 < energy < run.energy_kwh and 0 < volume < run.volume_m3):
            raise NotFitted("DROP", run=run.label, line=str(run.line))
    stable = [(run.energy_kwh - e, run.volume_m3 - v) for run, (e, v) in zip(runs, drops, strict=True)]
    phase = calibrate([CalibrationRun(e, v) for e, v in stable], u_ref_rel=site.reference.u_rel)
    count = len(phase.kept)
    drop_energy = sum((drops[at][0] for at in phase.kept), ZERO) / count
    drop_volume = sum((drops[at][1] for at in phase.kept), ZERO) / count
    # What such a model says of each run, in kWh of the stable phase, so that the ratio is again a coefficient.
    x = [drop_volume / phase.tc + run.energy_kwh - drop_energy for run in runs]
    group, remarks = group_of("", range(len(runs)), x, table, site)
    remarks += [remark_of(each, range(len(runs))) for each in _phase_findings(runs, stable, phase, site)]
    try:
        model: Model | None = TwoPhase(drop_volume_m3=drop_volume, drop_energy_kwh=drop_energy, tc_stable=phase.tc)
    except OutOfDomain:
        model = None
        found = f"{drop_volume / drop_energy:.4g}"
        remarks.append(Remark("DROP_BELOW_STABLE", refuses=True, found=found, limit=f"{phase.tc:.4g}"))
    return Fit("two_phase", model, (group,), max(group.result.u_rel, phase.u_rel), tuple(remarks))


def _phase_findings(
    runs: Sequence[Run], stable: Sequence[tuple[Decimal, Decimal]], phase: Calibration, site: Site
) -> list[Finding]:
    """What stands against the stable phase alone."""
    own = [CalibrationRun(e, v, run.minutes) for (e, v), run in zip(stable, runs, strict=True)]
    found = judged(own, phase, u_ref_rel=ZERO, step_kwh=site.step_kwh)
    return [each for each in found if each.objection in _OF_A_PHASE]


def _affine_level(table: Table, site: Site) -> Fit:
    needed(table, "affine_level", "depth_m")
    every = range(len(table.runs))
    first = _line_of(table, every)
    group, _ = group_of("", every, _predicted(table, first), table, site)
    line = _line_of(table, group.kept)
    fit = fit_level([_point(table.runs[at]) for at in group.kept])
    group, remarks = group_of("", every, _predicted(table, line), table, site)
    remarks += [remark_of(each, group.kept) for each in fit.remarks]
    remarks += _slope_remarks(fit, [_point(table.runs[at])[0] for at in group.kept])
    u_rel = ONE if fit.u_rel is None else with_reference(fit.u_rel, site.reference.u_rel, ONE)
    return Fit("affine_level", fit.model, (group,), u_rel, tuple(remarks), eta=fit.eta)


def _slope_remarks(fit: LevelFit, depths: Sequence[Decimal]) -> list[Remark]:
    """Whether the levels lie far enough apart for what the runs scatter: the slope must differ from 0."""
    if fit.n < FEWEST_RUNS:
        return []
    middle = sum(depths, ZERO) / fit.n
    width = sum(((depth - middle) ** 2 for depth in depths), ZERO).sqrt()
    limit = quantile_975(fit.n - 2) * fit.residual / width
    if abs(fit.model.b) > limit:
        return []
    return [Remark("SLOPE_UNPROVEN", True, f"{fit.model.b:.3g}", f"{limit:.3g}")]


def _point(run: Run) -> tuple[Decimal, Decimal]:
    assert run.depth_m is not None
    return run.depth_m, run.volume_m3 / run.energy_kwh


def _line_of(table: Table, positions: Sequence[int]) -> AffineLevel:
    try:
        return fit_level([_point(table.runs[at]) for at in positions]).model
    except OutOfDomain as error:
        raise NotFitted("ONE_LEVEL") from error


def _predicted(table: Table, line: AffineLevel) -> list[Decimal]:
    """The volume that the line says of each run, m³."""
    energies = [line.specific_energy(run.depth_m or ZERO) for run in table.runs]
    if any(energy <= 0 for energy in energies):
        raise NotFitted("LINE_BELOW_ZERO")
    return [run.energy_kwh / energy for run, energy in zip(table.runs, energies, strict=True)]


def _physical(table: Table, site: Site) -> Fit:
    needed(table, "physical", "depth_m")
    has_gauge = "pressure_mpa" in table.columns
    if has_gauge:
        needed(table, "physical", "pressure_mpa")
    heads = [_head_m(run, site) for run in table.runs]
    if any(head <= 0 for head in heads):
        raise NotFitted("HEAD_BELOW_ZERO")
    x = [K_M3_M_PER_KWH * run.energy_kwh / head for run, head in zip(table.runs, heads, strict=True)]
    group, remarks = group_of("", range(len(table.runs)), x, table, site)
    depths = [run.depth_m for run in (table.runs[at] for at in group.kept) if run.depth_m is not None]
    eta = group.result.tc
    model: Model | None = None
    if eta <= 1:
        model = Physical(
            eta=eta,
            discharge_height_m=site.discharge_height_m,
            friction_m=site.friction_m,
            has_gauge=has_gauge,
            depths=(min(depths), max(depths)),
        )
    else:
        remarks += eta_remarks(eta)
    return Fit("physical", model, (group,), group.result.u_rel, tuple(remarks), eta=eta)


def _head_m(run: Run, site: Site) -> Decimal:
    return total_dynamic_head_m(
        level_depth_m=run.depth_m or ZERO,
        discharge_height_m=site.discharge_height_m,
        pressure_mpa=run.pressure_mpa or ZERO,
        friction_m=site.friction_m,
    )


_ARGUMENTS = {"flow_by_power": "power_kw", "tc_by_power": "power_kw", "tc_by_frequency": "frequency_hz"}


def _curve(table: Table, site: Site) -> Fit:
    argument = _ARGUMENTS[site.curve]
    needed(table, "curve", argument, *(["minutes"] if site.curve == "flow_by_power" else []))
    groups, remarks, points = [], [], []
    for positions in _operating_points(table, argument):
        runs = [table.runs[at] for at in positions]
        at_x = sum((getattr(run, argument) for run in runs), ZERO) / len(runs)
        is_flow = site.curve == "flow_by_power"
        x = [(run.minutes or ZERO) / _MINUTES if is_flow else run.energy_kwh for run in runs]
        group, found = group_of(f"{at_x:.4g}", positions, x, table, site)
        groups.append(group)
        remarks += found
        points.append((at_x, group.result.tc))
    model: Model | None = None
    try:
        model = Curve(table=site.curve, points=tuple(points))
    except OutOfDomain:
        remarks.append(Remark("NOT_MONOTONE", refuses=True, found=str(len(points))))
    return Fit("curve", model, tuple(groups), _worst(groups), tuple(remarks))


def _operating_points(table: Table, argument: str) -> list[list[int]]:
    """The runs by power or frequency, rising; those that differ by less than two per cent from the first are one."""
    order = sorted(range(len(table.runs)), key=lambda at: (getattr(table.runs[at], argument), at))
    points: list[list[int]] = []
    for at in order:
        value = getattr(table.runs[at], argument)
        if points and value <= getattr(table.runs[points[-1][0]], argument) * (ONE + _ALIKE):
            points[-1].append(at)
        else:
            points.append([at])
    return points


def _regional(table: Table, site: Site) -> Fit:
    """A stratum's coefficient from its typical wells: nothing is dropped, the spread between wells is what counts."""
    needed(table, REGIONAL, "well")
    wells = wells_of(table)
    if len(wells) < FEWEST_RUNS:
        raise NotFitted("FEW_WELLS", count=str(len(wells)), limit=str(FEWEST_RUNS))
    result = calibrate([CalibrationRun(well.energy_kwh, well.volume_m3) for well in wells], u_ref_rel=ZERO, mad_k=None)
    energies = tuple(well.energy_kwh for well in wells)
    n_eff = effective_wells(energies)
    cv, remarks = _spread(result.cv, len(wells), n_eff)
    u_rel = with_reference(total_rel(cv, n_eff, site.wells), site.reference.u_rel, ONE)
    enough = wells_needed_unknown_cv(result.cv, _WANTED) if result.cv > 0 else FEWEST_RUNS
    if len(wells) < enough:
        remarks.append(Remark("MORE_WELLS", False, str(enough), str(_WANTED)))
    group = Group("", tuple(range(len(wells))), energies, result)
    own = with_reference(cv / n_eff.sqrt(), site.reference.u_rel, ONE)
    model = Regional(tc=result.tc)
    return Fit(REGIONAL, model, (group,), u_rel, tuple(remarks), runs=wells, shared=min(own, u_rel))


def _spread(cv: Decimal, wells: int, n_eff: Decimal) -> tuple[Decimal, list[Remark]]:
    """The spread between wells to reckon with, so that k = 2 covers 95 %; a few wells alike by chance prove little."""
    if wells >= _FEW_WELLS:
        return cv, []
    cv *= quantile_975(wells - 1) / 2
    seen = single_well_rel(cv, n_eff)
    if seen >= _ONE_WELL:
        return cv, []
    return _ONE_WELL / single_well_rel(ONE, n_eff), [Remark("WELLS_ALIKE", False, str(seen), str(_ONE_WELL))]


def wells_of(table: Table) -> tuple[Run, ...]:
    """The wells of a table: the sums of all rows of each, in the order in which they first stand."""
    found: dict[str, Run] = {}
    for run in table.runs:
        before = found.get(run.well)
        energy = run.energy_kwh + (before.energy_kwh if before else ZERO)
        volume = run.volume_m3 + (before.volume_m3 if before else ZERO)
        found[run.well] = replace(before or run, label=run.well, energy_kwh=energy, volume_m3=volume)
    return tuple(found.values())


_FITS: Mapping[str, Callable[[Table, Site], Fit]] = MappingProxyType(
    {
        "fixed": _fixed,
        "dated": _dated,
        "two_phase": _two_phase,
        "affine_level": _affine_level,
        "physical": _physical,
        "curve": _curve,
        REGIONAL: _regional,
    }
)
MODELS = tuple(_FITS)
"""The models that can be fitted."""
