"""Electricity beside a flow meter: what the meter saw in each run, and the coefficient that follows from it."""

from __future__ import annotations

from dataclasses import replace

from agent.derive.flags import Qartod
from agent.intakes.account import Account
from agent.intakes.settings import PumpSource, WaterSource
from agent.rules.contract import Judgement
from tests.agent.intakes.rounds import SOFTWARE, START, STEP, D, Store, coefficient, converted, heard, value_of

FLOW = WaterSource(meter="main-flow", step_m3=D("0.01"), digits=6)


def both(tc="2.2", *, counts="water", coefficients=("W7",)):
    """A well with both meters; `counts` says whose water is the intake's."""
    pumps = (PumpSource(id="pump", coefficients=coefficients, running_kw=D(14), rated_m3h=D(40)),)
    changes = {"water": (FLOW,)} if counts == "water" else {"check_meters": (FLOW,)}
    found = Store(replace(converted(pumps=pumps), **changes))
    found.declare(coefficient(params={"tc": tc}))
    return found


def runs(count, tc, *, apart_ms=7000):
    """Runs of six steps at 12 kW with rests of two, both meters read one after the other."""
    rounds, energy, water, at_ms = [], D(100), D(500), START
    for step in ([D(0), D(0)] + [D(1)] * 6) * count + [D(0)] * 3:
        rounds.append(heard(len(rounds) + 1, "pump-kwh", at_ms, energy_import=energy))
        rounds.append(heard(len(rounds) + 1, "main-flow", at_ms + apart_ms, volume_forward=water))
        at_ms, energy, water = at_ms + STEP, energy + step, water + step * D(tc)
    return rounds


def test_the_flow_meter_counts_and_electricity_only_checks():
    found = both().hear(*runs(1, "2"))
    assert found.totals()[-1] == 12
    assert all(each.quantities == ("flow_rate", "volume_withdrawn") for each in found.now)


def test_electricity_counts_and_the_flow_meter_only_checks():
    found = both(counts="energy").hear(*runs(1, "2"))
    assert value_of(found.now[-1], "volume_withdrawn") == D("13.2")
    assert all("energy_pumping" in each.quantities for each in found.now)


def test_metered_runs_propose_a_coefficient_and_never_use_it():
    found = both().hear(*runs(2, "2.8"))
    assert found.account.proposal() is None
    found = both(counts="energy").hear(*runs(4, "2.8"))
    proposal = found.account.proposal()
    assert (proposal.runs, proposal.coefficient) == (4, "W7@1")
    assert abs(proposal.tc / D("2.8") - 1) < D("0.01")
    assert proposal.level is Qartod.FAIL
    assert found.totals()[-1] == 24 * D("2.2")


def test_a_coefficient_that_the_meter_confirms_passes():
    assert both().hear(*runs(4, "2.25")).account.proposal().level is Qartod.PASS


def test_a_proposal_needs_no_coefficient():
    proposal = both(coefficients=()).hear(*runs(3, "2.0")).account.proposal()
    assert (proposal.coefficient, proposal.level) == ("", None)
    assert abs(proposal.tc - 2) < D("0.02")


def test_a_proposal_survives_a_restart():
    found = both()
    for each in runs(4, "2.8"):
        found.restart()
        found.hear(each)
    assert found.account.proposal() == both().hear(*runs(4, "2.8")).account.proposal()


class Watcher:
    """Rules that remember how many glances there were, and find something in each."""

    def __init__(self, text):
        self.glances = []
        self.count = int(text or 0)

    def look(self, glance):
        self.glances.append(glance)
        self.count += 1
        return Judgement((), {"R3": 3, "R1": 1}, 3)

    def to_text(self):
        return str(self.count)


def test_rules_see_every_round_and_declaration_with_what_came_of_it():
    watcher = Watcher(None)
    site = replace(converted(), water=(FLOW,))
    account = Account.begin(site, software=SOFTWARE, rules=lambda _: watcher)
    account.declare(coefficient())
    rounds = runs(2, "2")
    outcomes = [outcome for each in rounds for outcome in account.hear(each)]
    glances = watcher.glances
    assert [each.declared.id for each in glances if each.declared is not None] == [1]
    assert [each.heard for each in glances if each.heard is not None] == rounds
    ran = [one for each in glances for one in each.ran]
    assert [(one.coefficient, one.tc, one.run.pump) for one in ran] == [("W7@1", D("2.2"), "pump")] * 2
    assert [round(one.run.water_m3 / one.run.volume_m3, 2) for one in ran] == [round(2 / D("2.2"), 2)] * 2
    steps = [step for each in glances for step in each.steps if step.meter == "pump-kwh"]
    assert sum(step.pumping_kwh for step in steps) == 12
    (standing,) = [standing for each in glances for standing in each.standings]
    assert (standing.at_ms, standing.pumping_kwh) == (START + 12 * STEP, 8)
    assert 14 < standing.volume_m3 < 16 < glances[-1].total_m3
    readings = [each for each in outcomes if hasattr(each, "proof")]
    assert all('"rules":{"R3":3}' in each.proof for each in readings)
    assert all('"qc":3' in each.proof or '"qc":9' in each.proof for each in readings)


def test_rules_remember_through_the_state():
    site = converted()
    account = Account.begin(site, software=SOFTWARE, rules=Watcher)
    for each in runs(1, "2"):
        account.hear(each)
    again = Account.load(site, account.state_text(), software=SOFTWARE, rules=Watcher)
    assert again.state_text() == account.state_text()
