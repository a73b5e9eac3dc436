"""A fit as a coefficient record to be activated: rounded to what it is worth, with what it rests on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from types import MappingProxyType

from agent.calibration.result import Fit, Site
from agent.derive.coefficient import Basis, Coefficient
from agent.derive.exact import ZERO, exact
from agent.derive.models import Model

VALID_MONTHS = 12  # §5: a year, or one irrigation year
DIGITS = 6  # of a coefficient: far beyond what it is worth, so that rounding adds nothing
_U_STEP = Decimal("0.0001")
_MINUTES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Whose coefficient it is, and from when to when: local days, `valid_to` exclusive; None: a year from the start."""

    id: str
    well_code: str
    delivery_mode: str
    version: int = 1
    valid_from: date
    valid_to: date | None = None
    calibrated_on: date | None = None
    evidence: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def rounded(value: Decimal, digits: int = DIGITS) -> Decimal:
    """A number to so many significant digits, written without exponent."""
    if value == 0:
        return ZERO
    found = value.quantize(Decimal(1).scaleb(value.adjusted() - digits + 1))
    return found if found.as_tuple().exponent <= 0 else found.quantize(Decimal(1))  # type: ignore[operator] # finite


def year_after(day: date) -> date:
    """The same day a year later; 1 March for 29 February."""
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return date(day.year + 1, 3, 1)


@exact
def drafted(fit: Fit, site: Site, naming: Naming) -> Coefficient:
    """The record of an accepted fit. Raises: OutOfDomain for a naming that is none."""
    assert fit.model is not None, "an accepted fit has a model"
    shared = site.reference.u_rel if fit.shared is None else fit.shared
    u_rel = fit.u_rel.quantize(_U_STEP, rounding=ROUND_UP)
    kept = [fit.runs[at] for at in fit.kept]
    minutes = [run.minutes for run in kept if run.minutes is not None]
    p_run_kw = None
    if len(minutes) == len(kept):
        p_run_kw = rounded(sum((run.energy_kwh for run in kept), ZERO) * _MINUTES / sum(minutes, ZERO), 4)
    s_ratio = rounded(fit.groups[0].result.s_ratio, 4) if len(fit.groups) == 1 else None
    return Coefficient(
        id=naming.id,
        version=naming.version,
        well_code=naming.well_code,
        delivery_mode=naming.delivery_mode,
        model=_rounded(fit.model),
        u_rel=u_rel,
        valid_from=naming.valid_from,
        valid_to=naming.valid_to or year_after(naming.valid_from),
        calibrated_on=naming.calibrated_on,
        basis=Basis(
            runs=len(kept),
            s_ratio=s_ratio,
            depth_range_m=fit.depths,
            p_run_kw=p_run_kw,
            reference=site.reference.name,
            u_reference=min(u_rel, shared.quantize(_U_STEP, rounding=ROUND_DOWN)),
        ),
        evidence=naming.evidence,
    )


def _rounded(model: Model) -> Model:
    plain = {each.name: _rounded_item(getattr(model, each.name)) for each in fields(model)}  # type: ignore[arg-type] # all are
    return replace(model, **plain)  # type: ignore[type-var] # every model is a dataclass


def _rounded_item(item: object) -> object:
    if isinstance(item, Decimal):
        return rounded(item)
    return tuple(map(_rounded_item, item)) if isinstance(item, tuple) else item


def days_left(coefficient: Coefficient, today: date) -> int | None:
    """Days until it expires; None when it never does."""
    return None if coefficient.valid_to is None else (coefficient.valid_to - today) // timedelta(days=1)
