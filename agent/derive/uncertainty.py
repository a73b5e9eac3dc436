"""How well a volume is known, for an interval and for a period (§9.4). Everything is k = 1 unless it says otherwise.

What is independent is added in quadrature, what is shared is added up first: the errors of a coefficient, a meter, a CT
do not average out over the intervals they serve, and those of a reference flow meter not over the wells tested with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
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
    `is_expired`: the coefficient was no longer valid when the water flowed.
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
    is_expired: bool = False


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


Groups = Mapping[str, Mapping[str, Decimal]]
"""The sums of a tally by group and name; `steps` alone are no sums but the largest of each meter."""

_ABSOLUTE = ("own", "drift", "model", "shared", "meter", "ct")
_SUMS = (*_ABSOLUTE, "volumes", "expired", "energies", "metered", "used")
_STEPS = "steps"
_TALLY_STEP = Decimal("1e-9")


class Tally:
    """Adds up shares and knows the uncertainty of their sum, in memory that does not grow with their number.

    Its sums are linear in the shares, so that what lies between two tallies of one account is their difference. By
    coefficient: `own` V·√(u_tc² − u_reference²), `drift`, `model`, `volumes`, `expired` ones, `energies`; by reference:
    `shared`; by meter: `meter` V·class, `ct`, `metered` V, `used` E, `steps` the resolution.
    """

    def __init__(self, groups: Groups | None = None) -> None:
        """Goes on from the sums of another one."""
        given = groups or {}
        self._sums = {group: defaultdict(Decimal, given.get(group, {})) for group in (*_SUMS, _STEPS)}

    @property
    def groups(self) -> dict[str, dict[str, Decimal]]:
        """Its sums, without those that are 0."""
        found = {group: {name: value for name, value in sums.items() if value} for group, sums in self._sums.items()}
        return {group: sums for group, sums in found.items() if sums}

    @property
    @exact
    def volume_m3(self) -> Decimal:
        """The sum of the volumes."""
        return sum(self._sums["volumes"].values(), ZERO)

    @property
    @exact
    def energy_kwh(self) -> Decimal:
        """The sum of the energies."""
        return sum(self._sums["energies"].values(), ZERO)

    @exact
    def add(self, share: Share) -> None:
        """Takes a share in."""
        volume, name, sums = share.volume_m3, share.coefficient, self._sums
        terms = terms_of(share)
        own = share.u_tc * share.u_tc - share.u_reference * share.u_reference
        sums["volumes"][name] += volume
        sums["expired"][name] += volume if share.is_expired else ZERO
        sums["energies"][name] += share.energy_kwh
        sums["own"][name] += volume * max(ZERO, own).sqrt()
        sums["drift"][name] += volume * terms.drift
        sums["model"][name] += volume * terms.model
        sums["shared"][share.reference or name] += volume * share.u_reference
        sums["meter"][share.meter] += volume * terms.meter
        sums["ct"][share.meter] += volume * terms.ct
        sums["metered"][share.meter] += volume
        sums["used"][share.meter] += share.energy_kwh
        steps = sums[_STEPS]
        steps[share.meter] = max(steps[share.meter], resolution_kwh(share.step_kwh))

    @exact
    def uncertainty_m3(self) -> Decimal:
        """The uncertainty of the sum, m³. The register's steps count once per meter: only its two ends were read."""
        sums = self._sums
        absolute = [value for group in _ABSOLUTE for value in sums[group].values()]
        absolute += [
            sums["metered"][meter] / energy * sums[_STEPS][meter] for meter, energy in sums["used"].items() if energy
        ]
        return sum((value * value for value in absolute), ZERO).sqrt()


@exact
def plus(groups: Groups, shares: Iterable[Share]) -> Groups:
    """The sums with these shares, to a billionth."""
    tally = Tally(groups)
    for share in shares:
        tally.add(share)
    return _rounded(tally.groups)


@exact
def between(before: Groups, after: Groups, part: Decimal) -> Groups:
    """The sums of a tally at that part (0…1) of the way from one state of it to a later one, to a billionth."""
    return _rounded(_combined(before, after, lambda old, new: old + (new - old) * part))


@exact
def gained(before: Groups, after: Groups) -> Groups:
    """The sums of what was added between two states of one tally."""
    return _combined(before, after, lambda old, new: new - old)


@exact
def together(tallies: Iterable[Groups]) -> Groups:
    """The sums of several tallies."""
    total: Groups = {}
    for groups in tallies:
        total = _combined(total, groups, lambda old, new: old + new)
    return total


def _combined(before: Groups, after: Groups, combine: Callable[[Decimal, Decimal], Decimal]) -> Groups:
    found: dict[str, dict[str, Decimal]] = {}
    for group in (*_SUMS, _STEPS):
        old, new = before.get(group, {}), after.get(group, {})
        how = max if group == _STEPS else combine
        found[group] = {name: how(old.get(name, ZERO), new.get(name, ZERO)) for name in {**old, **new}}
    return {group: sums for group, sums in found.items() if sums}


def _rounded(groups: Groups) -> Groups:
    return {
        group: {name: value.quantize(_TALLY_STEP) for name, value in sums.items()} for group, sums in groups.items()
    }
