"""One well or a region: how many typical wells, and what a stratum's coefficient is worth elsewhere (§7)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal

from agent.derive.exact import ONE, ZERO, OutOfDomain, exact, not_negative, positive
from agent.derive.student import quantile_975

Z_95 = Decimal("1.96")  # two-sided 95 % of a normal distribution
_WHOLE = Decimal("1e-9")  # a number this little above an integer counts as the integer
_MOST = 10_000


@exact
def wells_needed(cv: Decimal, relative_error: Decimal, *, z: Decimal = Z_95, stratum: int | None = None) -> int:
    """How many typical wells give the mean to that relative error when the between-well CV is known, rounded up.

    From a `stratum` of only so many wells fewer suffice.
    """
    n = (positive("z", z) * positive("cv", cv) / positive("relative_error", relative_error)) ** 2
    if stratum is not None:
        n = n / (ONE + (n - ONE) / stratum)
    return max(1, int((n - _WHOLE).to_integral_value(ROUND_CEILING)))


@exact
def wells_needed_unknown_cv(cv: Decimal, relative_error: Decimal) -> int:
    """The same when the CV is that of the same few wells: the smallest n with t(0.975, n−1)·CV/√n within the error."""
    positive("relative_error", relative_error)
    for n in range(2, _MOST):
        if quantile_975(n - 1) * positive("cv", cv) / Decimal(n).sqrt() <= relative_error:
            return n
    raise OutOfDomain("relative_error", relative_error, f"reached with {_MOST} wells")


@exact
def implied_cv(n: int, relative_error: Decimal, *, z: Decimal = Z_95) -> Decimal:
    """The between-well CV for which n wells give that relative error."""
    return positive("relative_error", relative_error) * positive("n", Decimal(n)).sqrt() / positive("z", z)


@exact
def single_well_rel(cv: Decimal, n: int | Decimal) -> Decimal:
    """The relative uncertainty of a stratum's coefficient, from n typical wells, at one untested well."""
    return not_negative("cv", cv) * (ONE + ONE / positive("n_typical_wells", Decimal(n))).sqrt()


@exact
def total_rel(cv: Decimal, n: int | Decimal, m: Decimal) -> Decimal:
    """The same for the total of m similar wells, none of them among the n; `effective_wells` for unequal ones."""
    return (
        not_negative("cv", cv) * (ONE / positive("m_wells", m) + ONE / positive("n_typical_wells", Decimal(n))).sqrt()
    )


@exact
def effective_wells(energies_kwh: Sequence[Decimal]) -> Decimal:
    """(ΣE)²/ΣE²: how many wells of equal energy scatter like these."""
    squares = sum((energy * energy for energy in energies_kwh), ZERO)
    return sum(energies_kwh, ZERO) ** 2 / positive("sum of squares", squares)


@exact
def coverage_interval(mean: Decimal, deviation: Decimal, k: Decimal) -> tuple[Decimal, Decimal]:
    """Mean ∓ k standard deviations."""
    if deviation < 0 or k < 0:
        raise OutOfDomain("sd, k", (deviation, k), "0 or more")
    return mean - k * deviation, mean + k * deviation
