"""What the product says of a season, through the account of its intake, beside the truth."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import NamedTuple

from agent.derive.uncertainty import COVERAGE, Tally
from agent.intakes.account import Account
from agent.intakes.outcome import Closed
from simulators.scenarios.scenario import Scenario
from simulators.seasons.lived import season


class Reckoned(NamedTuple):
    """A season in m³: the truth, the product's volume and its U (k = 2). `runs`: how many its calibration took.

    `happened` to its energy meter: `swap`, `rollover` or nothing.
    """

    model: str
    seed: int
    runs: int
    happened: str
    true_m3: Decimal
    volume_m3: Decimal
    u_m3: Decimal

    @property
    def error(self) -> float:
        """Relative to the truth."""
        return float(self.volume_m3 / self.true_m3 - 1)

    @property
    def stated(self) -> float:
        """U (k = 2) relative to the volume."""
        return float(self.u_m3 / self.volume_m3)

    @property
    def is_within(self) -> bool:
        """Whether the error lies inside the stated uncertainty."""
        return abs(self.volume_m3 - self.true_m3) <= self.u_m3


def reckoned(model: str, seed: int) -> Reckoned | None:
    """The season of that seed; None where the product refuses its calibration to the end."""
    found = season(model, seed)
    if found is None:
        return None
    volume_m3, u_m3 = closed(found.scenario)
    true_m3 = found.scenario.true_m3()
    return Reckoned(model, seed, found.prepared.runs, found.happened, true_m3, volume_m3, u_m3)


def closed(scenario: Scenario) -> tuple[Decimal, Decimal]:
    """The volume and its U (k = 2) with which the scenario's last hour closes, m³."""
    account = Account.begin(scenario.settings, software="simulated")
    for declared in scenario.declarations:
        account.declare(declared)
    last: Closed | None = None
    for heard in scenario.rounds:
        for outcome in account.hear(heard):
            if isinstance(outcome, Closed):
                last = outcome
    assert last is not None
    body = json.loads(last.body)
    groups = {group: {name: Decimal(text) for name, text in sums.items()} for group, sums in body["tally"].items()}
    return Decimal(body["settled"]["volume"]), Tally(groups).uncertainty_m3() * COVERAGE
