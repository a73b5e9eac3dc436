"""A coefficient record: versioned, append-only, with its validity and what it rests on (§9.2, §9.3-7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from agent.derive.exact import ZERO, OutOfDomain, exact, not_negative, positive
from agent.derive.models import Fixed, Model, Regional, Tier
from agent.derive.physics import K_M3_M_PER_KWH

WARN_DAYS = 30  # §9.3-7
GRACE_DAYS = 90
DRIFT_PER_YEAR = Decimal("0.025")  # §5
DELIVERY_MODES = ("open_outlet", "low_pressure_pipe", "sprinkler", "drip")
_REFUSED = (Decimal("0.15"), Decimal("0.85"))  # §3.3, efficiency that no set has
_DOUBTED = (Decimal("0.25"), Decimal("0.75"))


class CoefficientState(StrEnum):
    """Where a day lies in a coefficient's life. All bounds are half-open; days begin at local midnight."""

    NOT_YET_VALID = "NOT_YET_VALID"
    VALID = "VALID"
    DUE_SOON = "DUE_SOON"
    EXPIRED_GRACE = "EXPIRED_GRACE"
    EXPIRED = "EXPIRED"


EXPIRED_STATES = frozenset({CoefficientState.EXPIRED_GRACE, CoefficientState.EXPIRED})
"""Water made in these is shown, and kept out of vouchers without sign-off (§9.3-7)."""


def state_on(
    day: date,
    valid_from: date | None,
    valid_to: date | None,
    *,
    warn_days: int = WARN_DAYS,
    grace_days: int = GRACE_DAYS,
) -> CoefficientState:
    """The state on a local day; a missing bound is open (§9.3-7). Raises: OutOfDomain for an empty validity."""
    if valid_from is not None and valid_to is not None and valid_to < valid_from:
        raise OutOfDomain("valid_to", valid_to, f"on or after valid_from {valid_from}")
    if valid_from is not None and day < valid_from:
        return CoefficientState.NOT_YET_VALID
    if valid_to is None or day < valid_to - timedelta(days=warn_days):
        return CoefficientState.VALID
    if day < valid_to:
        return CoefficientState.DUE_SOON
    return CoefficientState.EXPIRED_GRACE if day < valid_to + timedelta(days=grace_days) else CoefficientState.EXPIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What the calibration rests on. `reference` names the flow meter, or the stratum of a regional coefficient, whose
    error `u_reference` (relative, k = 1, contained in u_rel) is common to all coefficients that share it.
    """

    runs: int | None = None
    s_ratio: Decimal | None = None  # m³/kWh
    depth_range_m: tuple[Decimal, Decimal] | None = None
    p_run_kw: Decimal | None = None  # mean power while running
    reference: str = ""
    u_reference: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One version of a well's coefficient for one delivery mode. `u_rel` is at calibration, k = 1.

    `valid_to` is exclusive; `calibrated_on` (default: `valid_from`) is where its age begins; `u_model` replaces the
    model's own u_model, where the seasonal range of the level is known.
    """

    id: str
    version: int
    well_code: str
    delivery_mode: str
    model: Model
    u_rel: Decimal
    drift_per_year: Decimal = DRIFT_PER_YEAR
    valid_from: date | None = None
    valid_to: date | None = None
    calibrated_on: date | None = None
    u_model: Decimal | None = None
    basis: Basis = field(default_factory=Basis)
    evidence: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    warn_days: int = WARN_DAYS
    grace_days: int = GRACE_DAYS

    def __post_init__(self) -> None:
        if self.version < 1:
            raise OutOfDomain("version", self.version, "1 or more")
        if self.delivery_mode not in DELIVERY_MODES:
            raise OutOfDomain("delivery_mode", self.delivery_mode, f"one of {DELIVERY_MODES}")
        not_negative("u_rel", self.u_rel)
        not_negative("drift_per_year", self.drift_per_year)
        if not 0 <= self.basis.u_reference <= self.u_rel:
            raise OutOfDomain("u_reference", self.basis.u_reference, f"between 0 and u_rel {self.u_rel}")
        if self.valid_from is not None and self.valid_to is not None and self.valid_to < self.valid_from:
            raise OutOfDomain("valid_to", self.valid_to, f"on or after valid_from {self.valid_from}")

    @property
    def name(self) -> str:
        """The provenance that a volume carries: `id@version`."""
        return f"{self.id}@{self.version}"

    @property
    def tested_on(self) -> date | None:
        """The day from which its age counts."""
        return self.calibrated_on or self.valid_from

    def state_on(self, day: date) -> CoefficientState:
        """Its state on a local day."""
        return state_on(day, self.valid_from, self.valid_to, warn_days=self.warn_days, grace_days=self.grace_days)


class EvidenceTier(StrEnum):
    """How directly a volume is known (§9.4), best first. A is a meter in the pipe."""

    A = "A"
    B = "B"  # a tested model of this well that watches the level
    C = "C"  # a tested coefficient of this well
    D = "D"  # a stratum's
    E = "E"  # nameplate or prior


DEFAULT_U = MappingProxyType(
    {  # the range of u_rel, k = 1, where a record brings none of its own; A has its meter's class
        EvidenceTier.B: (Decimal("0.03"), Decimal("0.05")),
        EvidenceTier.C: (Decimal("0.05"), Decimal("0.08")),
        EvidenceTier.D: (Decimal("0.20"), Decimal("0.45")),
        EvidenceTier.E: (Decimal("0.50"), Decimal("0.50")),
    }
)


def evidence_tier(coefficient: Coefficient) -> EvidenceTier:
    """The tier of a coefficient: without calibration runs it is a prior, whatever its model."""
    if coefficient.model.tier is Tier.REGION:
        return EvidenceTier.D
    if not coefficient.basis.runs:
        return EvidenceTier.E
    return EvidenceTier.B if coefficient.model.tier is Tier.HEAD else EvidenceTier.C


class Sanity(StrEnum):
    """What the head range of a site says about a configured coefficient."""

    SANE = "SANE"
    DOUBTFUL = "DOUBTFUL"
    REFUSED = "REFUSED"


@exact
def sanity(tc: Decimal, head_min_m: Decimal, head_max_m: Decimal) -> Sanity:
    """Whether any set could have this coefficient at the site's heads (§3.3): refuse outside 0.15…0.85 of K/H."""
    if positive("head_min_m", head_min_m) > head_max_m:
        raise OutOfDomain("head_max_m", head_max_m, f"at least head_min_m {head_min_m}")
    for limits, verdict in ((_REFUSED, Sanity.REFUSED), (_DOUBTED, Sanity.DOUBTFUL)):
        if not limits[0] * K_M3_M_PER_KWH / head_max_m <= tc <= limits[1] * K_M3_M_PER_KWH / head_min_m:
            return verdict
    return Sanity.SANE


def plain_tc(model: Model) -> Decimal | None:
    """The model's one coefficient, where it has one, m³/kWh."""
    return model.tc if isinstance(model, Fixed | Regional) else None
