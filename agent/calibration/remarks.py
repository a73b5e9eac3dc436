"""What stands against a calibration, and what should be looked at: more than the runs alone can say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from agent.calibration.runs import Run
from agent.derive.coefficient import Sanity, sanity
from agent.derive.exact import ONE, exact
from agent.derive.fit import Finding
from agent.derive.models import AffineLevel, Curve, Dated, Fixed, Model, Regional, TwoPhase
from agent.derive.physics import K_M3_M_PER_KWH

_POWER_DIFFERS = Decimal("0.1")  # of the noted power: a multiplier or a wrong row makes more
_MINUTES = 60


class Remark(NamedTuple):
    """One thing found: `code` names its sentence `calibration.remark.CODE`; `runs` are positions in the table from 0.

    `refuses`: the calibration is not accepted because of it. `group` names the season or operating point it is about.
    """

    code: str
    refuses: bool
    found: str = ""
    limit: str = ""
    runs: tuple[int, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The flow meter that measured the volumes: `u_rel` is k = 1, `valid_until` its certificate's last day."""

    u_rel: Decimal
    name: str = ""
    certificate: str = ""
    valid_until: date | None = None


def remark_of(finding: Finding, positions: Sequence[int], group: str = "") -> Remark:
    """A finding about some of the runs, as one about the whole table."""
    runs = tuple(positions[at] for at in finding.runs)
    return Remark(finding.objection.value, finding.refuses, str(finding.found), str(finding.limit), runs, group)


def reference_remarks(reference: Reference, last_day: date | None) -> list[Remark]:
    """What is missing of the reference meter's certificate (§6-4)."""
    if not reference.certificate:
        return [Remark("NO_CERTIFICATE", refuses=True)]
    if reference.valid_until is None:
        return [Remark("CERTIFICATE_UNDATED", refuses=True, found=reference.certificate)]
    if last_day is not None and reference.valid_until < last_day:
        return [Remark("CERTIFICATE_EXPIRED", True, str(reference.valid_until), str(last_day))]
    return []


@exact
def run_remarks(runs: Sequence[Run], kept: Iterable[int]) -> list[Remark]:
    """What the table does not say of its runs, or says twice differently."""
    kept = tuple(kept)
    remarks = []
    if undated := tuple(at for at in kept if runs[at].day is None):
        remarks.append(Remark("DAY_UNKNOWN", refuses=False, runs=undated))
    if unknown := tuple(at for at in kept if runs[at].minutes is None):
        remarks.append(Remark("DURATION_UNKNOWN", refuses=True, runs=unknown))
    if no_level := tuple(at for at in kept if runs[at].depth_m is None):
        remarks.append(Remark("LEVEL_UNKNOWN", refuses=False, runs=no_level))
    differing = tuple(at for at in kept if _power_differs(runs[at]))
    if differing:
        remarks.append(Remark("POWER_DIFFERS", refuses=False, limit=str(_POWER_DIFFERS), runs=differing))
    return remarks


def _power_differs(run: Run) -> bool:
    if run.power_kw is None or run.minutes is None:
        return False
    return abs(run.energy_kwh * _MINUTES / run.minutes / run.power_kw - ONE) > _POWER_DIFFERS


@exact
def tcs_of(model: Model) -> list[Decimal]:
    """Every coefficient that a model comes to where it was calibrated, m³/kWh; none where that depends on sensors."""
    match model:
        case Fixed() | Regional():
            return [model.tc]
        case Dated():
            return [tc for _, tc in model.steps]
        case TwoPhase():
            return [model.tc_stable]
        case AffineLevel():
            energies = [model.specific_energy(depth) for depth in model.depths or ()]
            return [ONE / energy for energy in energies if energy > 0]
        case Curve():
            return _of_curve(model)
    return []


def _of_curve(model: Curve) -> list[Decimal]:
    if model.table == "flow_by_power":
        return [flow / power for power, flow in model.points if power > 0]
    return [y / x if model.table == "volume_by_energy" else y for x, y in model.points if x > 0]


@exact
def sanity_remarks(tcs: Iterable[Decimal], heads: tuple[Decimal, Decimal] | None) -> list[Remark]:
    """Whether any pump could have these coefficients at the site's heads (§3.3)."""
    if heads is None:
        return [Remark("HEADS_UNKNOWN", refuses=False)]
    worst: dict[Sanity, Decimal] = {}
    for tc in tcs:
        worst.setdefault(sanity(tc, *heads), tc)
    span = f"{heads[0]}…{heads[1]}"
    for verdict in (Sanity.REFUSED, Sanity.DOUBTFUL):
        if verdict in worst:
            return [Remark(f"HEAD_{verdict}", verdict is Sanity.REFUSED, f"{worst[verdict]:.4g}", span)]
    return []


def eta_remarks(eta: Decimal) -> list[Remark]:
    """Whether any pump has this efficiency: the same limits, where every run's head is known."""
    verdict = sanity(K_M3_M_PER_KWH * eta, ONE, ONE)
    if verdict is Sanity.SANE:
        return []
    code = "ETA_IMPOSSIBLE" if verdict is Sanity.REFUSED else "ETA_UNUSUAL"
    return [Remark(code, verdict is Sanity.REFUSED, f"{eta:.3f}")]
