"""What fitting a table needs to know and what it gives, and the calibration of one group of runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from agent.calibration.remarks import Reference, Remark, remark_of
from agent.calibration.runs import Run, Table
from agent.derive.exact import ONE, ZERO
from agent.derive.fit import Calibration, CalibrationRun, Objection, Weighted, calibrate, judged
from agent.derive.models import Model

_OF_THE_LINE = frozenset({Objection.DRAWDOWN, Objection.STANDBY_OR_FILLING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the runs cannot say: the reference meter, the register's step in kWh, the heads, and constants in m.

    `wells`: to the total of how many (effective) untested wells a regional coefficient will be applied.
    """

    reference: Reference
    step_kwh: Decimal
    heads: tuple[Decimal, Decimal] | None = None
    discharge_height_m: Decimal = ZERO
    friction_m: Decimal = ZERO
    curve: str = "flow_by_power"
    wells: Decimal = ONE


class Group(NamedTuple):
    """Runs that are one calibration: where they stand in the table, `x` each one's abscissa, and what they give."""

    label: str
    positions: tuple[int, ...]
    x: tuple[Decimal, ...]
    result: Calibration

    @property
    def kept(self) -> tuple[int, ...]:
        """Positions in the table of the runs that count."""
        return tuple(self.positions[at] for at in self.result.kept)

    @property
    def rejected(self) -> tuple[int, ...]:
        """Positions of the runs that were dropped as outliers."""
        return tuple(self.positions[at] for at in self.result.rejected)


class Fit(NamedTuple):
    """What a table gives. `model` is None where the runs make none; `u_rel` is what the record carries, k = 1.

    `weighted` where the runs bring their own u; `eta` what the level's slope implies;
    `shared` the part of u_rel common to all wells of a stratum; `runs` are those that the
    positions count, for `regional` the wells; `depths` of the kept ones.
    """

    name: str
    model: Model | None
    groups: tuple[Group, ...]
    u_rel: Decimal
    remarks: tuple[Remark, ...]
    weighted: Weighted | None = None
    eta: Decimal | None = None
    shared: Decimal | None = None
    runs: tuple[Run, ...] = ()
    depths: tuple[Decimal, Decimal] | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether nothing refuses it."""
        return self.model is not None and not any(remark.refuses for remark in self.remarks)

    @property
    def kept(self) -> tuple[int, ...]:
        """Positions of all runs that count."""
        return tuple(sorted(at for group in self.groups for at in group.kept))

    @property
    def rejected(self) -> tuple[int, ...]:
        """Positions of all outliers."""
        return tuple(sorted(at for group in self.groups for at in group.rejected))


class NotFitted(ValueError):
    """The table does not hold what the model needs; `code` names the sentence `calibration.wrong.CODE`."""

    def __init__(self, code: str, **arguments: str) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


def needed(table: Table, model: str, *columns: str) -> None:
    """Raises NotFitted when a row lacks what the model needs."""
    for run in table.runs:
        for column in columns:
            if getattr(run, column) in {None, ""}:
                raise NotFitted("COLUMN", model=model, column=column, run=run.label, line=str(run.line))


def group_of(
    label: str, positions: Sequence[int], x: Sequence[Decimal], table: Table, site: Site
) -> tuple[Group, list[Remark]]:
    """A calibration of volume over `x`, and what stands against it; energies are judged as they were metered."""
    if len(positions) < 2:  # noqa: PLR2004 - one run has no scatter
        code = "FEW_RUNS_OF" if label else "FEW_RUNS"
        raise NotFitted(code, count=str(len(positions)), group=label)
    picked = [table.runs[at] for at in positions]
    runs = [CalibrationRun(each, run.volume_m3, run.minutes, run.depth_m) for each, run in zip(x, picked, strict=True)]
    result = calibrate(runs, u_ref_rel=site.reference.u_rel)
    metered = [run._replace(energy_kwh=own.energy_kwh) for run, own in zip(runs, picked, strict=True)]
    findings = judged(metered, result, u_ref_rel=site.reference.u_rel, step_kwh=site.step_kwh)
    if runs != metered:  # volume and energy alone make no line here, so its intercept says nothing
        findings = tuple(each for each in findings if each.objection not in _OF_THE_LINE)
    group = Group(label, tuple(positions), tuple(x), result)
    return group, [remark_of(finding, positions, label) for finding in findings]
