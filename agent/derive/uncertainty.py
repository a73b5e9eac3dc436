"""How well a volume is known, for an interval and for a period (§9.4). Everything is k = 1 unless it says otherwise.

What is independent is added in quadrature, what is shared is added up first: the errors of a coefficient, a meter, a CT
do not average out over the intervals they serve, and those of a reference flow meter not over the wells tested with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from agent.derive.exact import PERCENT, SQRT3, SQRT6, ZERO, exact, not_negative, positive

COVERAGE = Decimal(2)  # k of the stated uncertainty


class Terms(NamedTuple):
    """The independent parts of a relative uncertainty."""

    tc: Decimal
    meter: Decimal
    ct: Decimal
    resolution: Decimal
    drift: Decimal
    model: Decimal

    @property
    @exact
    def combined(self) -> Decimal:
        """All of them together."""
        return sum((term * term for term in self), ZERO).sqrt()


@exact
def limit_rel(class_pct: Decimal) -> Decimal:
    """The relative standard uncertainty of a class limit in per cent: evenly distributed within it."""
    return not_negative("class", class_pct) / PERCENT / SQRT3


@exact
def resolution_kwh(step_kwh: Decimal) -> Decimal:
    """Of the difference of two readings with this last place, both truncated or rounded: triangular."""
    return not_negative("register step", step_kwh) / SQRT6


@exact
def drift_rel(drift_per_year: Decimal, age_years: Decimal) -> Decimal:
    """The rms of a bias that lies anywhere between 0 and drift × age."""
    return not_negative("drift_per_year", drift_per_year) * not_negative("age_years", age_years) / SQRT3


@exact
def seasonal_level_rel(range_m: Decimal, head_m: Decimal, *, calibrated_at_end: bool) -> Decimal:
    """The u_model of a fixed coefficient from the level's known seasonal range: half of it, if calibrated near its
    middle.
    """
    width = not_negative("seasonal range", range_m) / positive("head_m", head_m) / SQRT3
    return width if calibrated_at_end else width / 2


class Share(NamedTuple):
    """A volume by one coefficient and one meter, and what it is known with.

    `reference` names what the calibration shares with others (the flow meter, the stratum) and `u_reference` that part
    of `u_tc`; "" and 0 where there is none. `meter` names the installation: a replaced meter has a new name.
    """

    coefficient: str
    meter: str
    volume_m3: Decimal
    energy_kwh: Decimal
    u_tc: Decimal
    age_years: Decimal
    drift_per_year: Decimal
    u_model: Decimal
    class_pct: Decimal
    ct_class_pct: Decimal
    step_kwh: Decimal
    reference: str = ""
    u_reference: Decimal = ZERO


@exact
def terms_of(share: Share) -> Terms:
    """The parts of one share's relative uncertainty; the resolution is 0 where no energy was used."""
    step = resolution_kwh(share.step_kwh) / share.energy_kwh if share.energy_kwh else ZERO
    return Terms(
        tc=share.u_tc,
        meter=limit_rel(share.class_pct),
        ct=limit_rel(share.ct_class_pct),
        resolution=step,
        drift=drift_rel(share.drift_per_year, share.age_years),
        model=share.u_model,
    )


@exact
def uncertainty_m3(shares: Iterable[Share]) -> Decimal:
    """The uncertainty of a sum of volumes, m³: of an interval's parts, a period's intervals, an area's wells."""
    tally = Tally()
    for share in shares:
        tally.add(share)
    return tally.uncertainty_m3()


class Tally:
    """Adds up shares and knows the uncertainty of their sum, in memory that does not grow with their number."""

    def __init__(self) -> None:
        self.volume_m3 = ZERO
        self.energy_kwh = ZERO
        self._own: dict[str, Decimal] = defaultdict(Decimal)  # by coefficient: V·√(u_tc² − u_reference²)
        self._drift: dict[str, Decimal] = defaultdict(Decimal)  # by coefficient: V·drift
        self._model: dict[str, Decimal] = defaultdict(Decimal)  # by coefficient: V·u_model
        self._shared: dict[str, Decimal] = defaultdict(Decimal)  # by reference: V·u_reference
        self._meter: dict[str, Decimal] = defaultdict(Decimal)  # by meter: V·class
        self._ct: dict[str, Decimal] = defaultdict(Decimal)  # by meter: V·CT class
        self._read: dict[str, tuple[Decimal, Decimal, Decimal]] = {}  # by meter: V, E, step

    @exact
    def add(self, share: Share) -> None:
        """Takes a share in."""
        volume, name = share.volume_m3, share.coefficient
        terms = terms_of(share)
        own = share.u_tc * share.u_tc - share.u_reference * share.u_reference
        self.volume_m3 += volume
        self.energy_kwh += share.energy_kwh
        self._own[name] += volume * max(ZERO, own).sqrt()
        self._drift[name] += volume * terms.drift
        self._model[name] += volume * terms.model
        self._shared[share.reference or name] += volume * share.u_reference
        self._meter[share.meter] += volume * terms.meter
        self._ct[share.meter] += volume * terms.ct
        before = self._read.get(share.meter, (ZERO, ZERO, ZERO))
        step = max(before[2], resolution_kwh(share.step_kwh))
        self._read[share.meter] = (before[0] + volume, before[1] + share.energy_kwh, step)

    @exact
    def uncertainty_m3(self) -> Decimal:
        """The uncertainty of the sum, m³. The register's steps count once per meter: only its two ends were read."""
        absolute = [
            value
            for group in (self._own, self._drift, self._model, self._shared, self._meter, self._ct)
            for value in group.values()
        ]
        absolute += [volume / energy * step for volume, energy, step in self._read.values() if energy]
        return sum((value * value for value in absolute), ZERO).sqrt()
