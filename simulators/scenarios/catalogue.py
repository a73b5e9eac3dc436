"""Every scenario by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from simulators.scenarios import rules, site
from simulators.scenarios.scenario import Scenario

_ALL: Mapping[str, Callable[[str, int], Scenario]] = MappingProxyType(
    {
        "normal-metered": site.metered,
        "normal-converted": site.converted,
        "normal-checked": site.checked,
        **rules.SCENARIOS,
    }
)
NAMES = tuple(_ALL)


def scenario(name: str, seed: int = 1) -> Scenario:
    """The scenario of that name; the seed draws the meters' errors and the plan of runs. Raises: KeyError."""
    return _ALL[name](name, seed)
