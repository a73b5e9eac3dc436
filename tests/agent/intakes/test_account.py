"""An intake's account: water from rounds and declarations, whenever they are derived and however they were entered."""

from __future__ import annotations

import json
from datetime import date

import pytest

from agent.derive.exact import OutOfDomain, midnight_ms
from agent.intakes.account import Account, Late
from agent.intakes.outcome import Closed, Declared, Derived
from agent.intakes.settings import Channel, PumpSource
from tests.agent.intakes.rounds import (
    DAY,
    HOUR,
    SOFTWARE,
    START,
    STEP,
    ZONE,
    D,
    coefficient,
    converted,
    decision,
    energies,
    heard,
    metered,
    proof_of,
    replacement,
    stored,
    value_of,
    volumes,
    withdrawal,
)


def test_the_first_reading_gives_no_water_and_the_second_one_what_lies_between():
    found = stored(converted(), coefficient()).hear(*energies("100", "101"))
    (reading,) = found.now
    assert reading.quantities == ("flow_rate", "volume_withdrawn", "energy_pumping")
    assert reading.values == (D("26.4"), D("2.2"), D(1))
    assert (reading.at_ms, reading.period_ms, reading.quality) == (START + STEP, STEP, {})


def test_the_proof_of_a_reading_is_canonical_and_names_all_it_rests_on():
    found = stored(converted(), coefficient()).hear(*energies("100", "101"))
    text = found.now[0].proof
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) == text
    assert proof_of(found.now[0]) == {
        "form": 1, "origin": "derived", "from": "e-1", "to": "e-2", "energy": "1", "pumping": "1.000000",
        "registers": {"pump-kwh": {"from": "100", "to": "101", "multiplier": "1"}}, "volume": "2.200000",
        "u": "0.080875", "coefficient": "W7@1", "model": "fixed", "qc": 1, "software": SOFTWARE,
    }  # fmt: skip


def test_a_metered_intake_gives_its_meters_own_flow():
    first, second = volumes("100", "104")
    second = second._replace(values={**second.values, "flow_rate": D("47.9")})
    found = stored(metered()).hear(first, second)
    assert found.now[0].quantities == ("flow_rate", "volume_withdrawn")
    assert found.now[0].values == (D("47.9"), D(4))
    assert proof_of(found.now[0])["origin"] == "measured"


def test_several_flow_meters_add_up():
    found = stored(metered("main-flow", "side-flow")).hear(
        heard(1, "main-flow", START, volume_forward=10),
        heard(2, "side-flow", START + 1, volume_forward=500),
        heard(3, "main-flow", START + STEP, volume_forward=12, flow_rate=24),
        heard(4, "side-flow", START + STEP + 1, volume_forward=501, flow_rate=12),
    )
    assert [value_of(each, "volume_withdrawn") for each in found.now] == [2, 3]
    assert [value_of(each, "flow_rate") for each in found.now] == [None, 36]
    assert found.now[0].quality["flow_rate"] == ("GAP",)


def test_without_a_coefficient_there_is_energy_and_no_water():
    found = stored(converted()).hear(*energies("100", "101"))
    assert found.now[0].values == (None, None, D(1))
    assert found.now[0].quality["volume_withdrawn"] == ("NO_COEFFICIENT",)


def test_a_held_reading_has_no_volume_and_says_why():
    found = stored(metered()).hear(*volumes("100", "5000", "102"))
    assert found.totals() == [None, 2]
    assert found.now[0].quality["volume_withdrawn"] == ("JUMPED",)
    assert proof_of(found.now[0])["qc"] == 9


def test_a_value_out_of_range_makes_no_water_and_a_fall_is_judged_by_the_register_itself():
    rounds = volumes("100", "101", "102")
    odd = rounds[1]._replace(quality={"volume_forward": ("OUT_OF_RANGE",)})
    assert stored(metered()).hear(rounds[0], odd, rounds[2]).totals() == [2]
    rolled = volumes("999999", "1")
    rolled[1] = rolled[1]._replace(quality={"volume_forward": ("NEGATIVE_DELTA",)})
    found = stored(metered()).hear(*rolled)
    assert found.totals() == [2]
    assert found.now[0].quality["volume_withdrawn"] == ("ROLLOVER",)


def test_an_unconfirmed_profile_is_used_and_said():
    rounds = [each._replace(quality={"volume_forward": ("UNCONFIRMED",)}) for each in volumes("100", "101")]
    assert stored(metered()).hear(*rounds).now[0].quality == {"volume_withdrawn": ("UNCONFIRMED",)}


def test_the_multiplier_is_applied_once_where_the_register_is_secondary():
    site = {
        "ct_ratio": D(30),
        "rated_kw": D(450),
        "pumps": (PumpSource(id="p", coefficients=("W7",), running_kw=D(9)),),
    }
    found = stored(converted(register_is_primary=False, **site), coefficient()).hear(*energies("100", "101"))
    assert found.totals() == [66]
    assert proof_of(found.now[0])["registers"]["pump-kwh"]["multiplier"] == "30"
    primary = stored(converted(register_is_primary=True, **site), coefficient()).hear(*energies("100", "130"))
    assert primary.totals() == [66]


def test_a_reading_by_hand_counts_and_a_late_one_changes_nothing():
    by_hand = heard(3, "main-flow", START + 2 * HOUR, is_manual=True, volume_forward="110")
    found = stored(metered()).hear(*volumes("100", "101"), by_hand)
    assert found.totals() == [1, 10]
    assert proof_of(found.now[1])["origin"] == "manual"
    late = heard(4, "main-flow", START + HOUR, is_manual=True, volume_forward="105")
    assert found.account.hear(late) == []
    assert found.hear(heard(5, "main-flow", START + 2 * HOUR + STEP, volume_forward="111")).totals()[-1] == 11


def test_a_round_is_never_heard_twice():
    found = stored(converted(), coefficient()).hear(*energies("100", "101"))
    before = found.account.state_text()
    assert found.account.hear(energies("100", "101")[1]) == []
    assert found.account.state_text() == before


def test_a_meter_of_another_intake_changes_nothing():
    found = stored(metered())
    assert found.account.hear(heard(7, "stranger", START + DAY, volume_forward=9)) == []
    assert (found.account.number, found.account.heard_ms) == (7, None)


def test_a_replaced_meter_is_booked_piece_by_piece():
    swap = replacement(2, "pump-kwh", START + STEP // 2, "100.5", "7")
    found = stored(converted(), coefficient(), swap).hear(*energies("100", "7.5"))
    assert found.totals() == [D("1.1"), D("2.2")]
    assert [proof_of(each)["to"] for each in found.now] == ["ledger/2", "e-2"]
    assert [each.at_ms for each in found.now] == [START + STEP // 2, START + STEP]
    assert all("METER_SWAP" in each.quality["volume_withdrawn"] for each in found.now)


def test_a_replacement_that_names_no_multiplier_keeps_the_one_in_force():
    site = {"ct_ratio": D(30), "rated_kw": D(450), "register_is_primary": False}
    swap = replacement(2, "pump-kwh", START + 1, "100", "0")
    found = stored(converted(**site), coefficient(), swap).hear(*energies("100", "1"))
    assert found.totals() == [0, 66]


def test_a_decision_lets_a_fallen_register_count_on():
    found = stored(metered()).hear(*volumes("5230", "12", "12.5", "13"))
    assert found.totals() == [None, None, None]
    found.declare(decision(1, "main-flow", START + 3 * STEP + 1, "13", None))
    found.hear(heard(5, "main-flow", START + 4 * STEP, volume_forward=14))
    assert found.totals()[-1] == 1


def test_a_new_coefficient_counts_from_its_day_on():
    second = coefficient(2, version=2, valid_from="2024-05-02", valid_to="2025-05-02", params={"tc": "3"})
    step = [D(100) + index for index in range(3)]
    rounds = energies(*step, begin_ms=START + DAY - STEP)
    found = stored(converted(), coefficient(), second).hear(*rounds)
    assert found.totals() == [D("2.2"), D("5.2")]
    assert [proof_of(each)["coefficient"] for each in found.now] == ["W7@1", "W7@2"]


def test_a_replacement_that_was_wrong_leaves_nothing_behind_once_it_is_withdrawn():
    rounds = energies(*range(100, 160))
    wrong = replacement(2, "pump-kwh", START + 3 * STEP, "9999", "101")
    right = stored(converted(), coefficient()).hear(*rounds)
    found = stored(converted(), coefficient(), wrong).hear(*rounds)
    assert found.totals()[-1] != right.totals()[-1]
    found.declare(withdrawal(3, wrong))
    assert found.totals() == right.totals()
    assert [each.body for each in found.closings.values()] == [each.body for each in right.closings.values()]
    found.restart()
    assert found.hear(*energies("160", first=61, begin_ms=START + 60 * STEP)).totals()[-1] == D("132")  # 60 kWh


def test_what_is_withdrawn_before_its_time_comes_is_never_booked():
    wrong = replacement(2, "pump-kwh", START + STEP, "9999", "100")
    found = stored(converted(), coefficient(), wrong, withdrawal(3, wrong)).hear(*energies("100", "101", "102"))
    assert found.totals() == [D("2.2"), D("4.4")]


def test_the_right_declaration_in_place_of_the_withdrawn_one_counts():
    wrong = replacement(2, "pump-kwh", START + STEP + 1, "999", "7")
    found = stored(converted(), coefficient(), wrong).hear(*energies("100", "101", "8"))
    found.declare(withdrawal(3, wrong))
    found.declare(replacement(4, "pump-kwh", START + STEP + 1, "101", "7"))
    assert found.totals() == [D("2.2"), D("2.2"), D("4.4")]


@pytest.mark.parametrize("body", [{}, {"id": "2", "kind": "replacement"}, {"id": 2, "kind": "coefficient"},
                                  {"id": 3, "kind": "replacement"}])  # fmt: skip
def test_a_withdrawal_of_nothing_that_can_be_withdrawn_is_refused(body):
    found = stored(converted(), coefficient())
    with pytest.raises(OutOfDomain):
        found.account.declare(Declared(id=3, kind="withdrawal", subject="pump-kwh", at_ms=START, body=body, who="x"))


def test_a_declaration_from_a_time_already_heard_is_late():
    found = stored(converted(), coefficient()).hear(*energies("100", "101"))
    swap = replacement(2, "pump-kwh", START + STEP, "100.5", "7")
    with pytest.raises(Late) as late:
        found.account.declare(swap)
    assert late.value.at_ms == START + STEP


def test_what_does_not_concern_an_intake_is_never_late():
    found = stored(converted(), coefficient()).hear(*energies("100", "101"))
    found.account.declare(replacement(2, "elsewhere", START, "1", "2"))
    found.account.declare(coefficient(3, id="W8"))
    found.account.declare(Declared(id=4, kind="config", subject="s", at_ms=START, body={}, who="x"))
    found.account.declare(Declared(id=5, kind="acknowledgement", subject="meter/x", at_ms=None, body={}, who="x"))


@pytest.mark.parametrize(
    "declared",
    [
        coefficient(1, u_rel="much"),
        coefficient(1, model="guess"),
        replacement(1, "pump-kwh", START, "1", "none"),
        decision(1, "pump-kwh", START, None, "1"),
        Declared(id=1, kind="replacement", subject="pump-kwh", at_ms=START, body={}, who="x"),
    ],
)
def test_a_declaration_that_cannot_be_read_is_refused_and_changes_nothing(declared):
    account = Account.begin(converted(), software=SOFTWARE)
    before = account.state_text()
    with pytest.raises(OutOfDomain):
        account.declare(declared)
    assert account.state_text() == before


def test_a_version_that_is_there_already_or_another_mode_is_refused():
    found = stored(converted(), coefficient())
    with pytest.raises(OutOfDomain):
        found.account.declare(coefficient(2))
    with pytest.raises(OutOfDomain):
        found.account.declare(coefficient(3, version=2, delivery_mode="drip"))


@pytest.mark.parametrize("text", ["", "null", '{"form": 2}', "[]"])
def test_a_text_that_is_no_state_is_refused(text):
    with pytest.raises(OutOfDomain):
        Account.load(converted(), text, software=SOFTWARE)


def test_a_register_that_is_no_longer_configured_leaves_its_water_in_the_total():
    found = stored(metered("main-flow", "side-flow")).hear(
        heard(1, "main-flow", START, volume_forward=10),
        heard(2, "side-flow", START, volume_forward=50),
        heard(3, "side-flow", START + STEP, volume_forward=53),
    )
    account = Account.load(metered(), found.account.state_text(), software=SOFTWARE)
    (reading,) = account.hear(heard(4, "main-flow", START + 2 * STEP, volume_forward=11))
    assert value_of(reading, "volume_withdrawn") == 4


def test_several_pumps_on_one_meter_are_told_apart_by_how_long_they_ran():
    pumps = (
        PumpSource(id="a", coefficients=("A",), running_kw=D(10), running=Channel(meter="a-kw", quantity="power")),
        PumpSource(id="b", coefficients=("B",), running_kw=D(5), running=Channel(meter="b-kw", quantity="power")),
    )
    found = stored(
        converted(pumps=pumps), coefficient(1, id="A", params={"tc": "2"}), coefficient(2, id="B", params={"tc": "4"})
    )
    found.hear(
        heard(1, "pump-kwh", START, energy_import=100),
        heard(2, "a-kw", START, power=10),
        heard(3, "b-kw", START, power=5),
        heard(4, "a-kw", START + STEP, power="9.9"),
        heard(5, "b-kw", START + STEP, power=0),
        heard(6, "pump-kwh", START + STEP, energy_import=101),
    )
    # 10 kW for 5 min and 5 kW for half of it: 4/5 of the energy and 1/5 of it.
    assert found.totals() == [D("2.4")]
    assert found.now[0].quality["volume_withdrawn"] == ("APPORTIONED",)
    assert [part["coefficient"] for part in proof_of(found.now[0])["parts"]] == ["A@1", "B@1"]


def test_every_kind_of_outcome_comes_in_the_stated_order():
    found = stored(converted(), coefficient()).hear(*energies("100", "101", begin_ms=START - 2 * STEP))
    outcomes = found.account.hear(heard(3, "pump-kwh", START, energy_import=102))
    assert [type(each) for each in outcomes] == [Derived, Closed, Derived]
    assert outcomes[1].number == 2
    assert outcomes[1].at_ms == midnight_ms(date(2024, 5, 1), ZONE)
    again = Account.load(converted(), outcomes[1].state, software=SOFTWARE)
    again.declare(coefficient())
    assert again.hear(heard(3, "pump-kwh", START, energy_import=102)) == outcomes
