"""An intake's account: water from rounds and declarations, whenever they are derived and however they were entered."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    Store,
    coefficient,
    converted,
    decision,
    energies,
    heard,
    metered,
    proof_of,
    replacement,
    value_of,
    volumes,
    withdrawal,
)


def store(settings_, *declared):
    found = Store(settings_)
    for each in declared:
        found.declare(each)
    return found


def test_the_first_reading_gives_no_water_and_the_second_one_what_lies_between():
    found = store(converted(), coefficient()).hear(*energies("100", "101"))
    (reading,) = found.now
    assert reading.quantities == ("flow_rate", "volume_withdrawn", "energy_pumping")
    assert reading.values == (D("26.4"), D("2.2"), D(1))
    assert (reading.at_ms, reading.period_ms, reading.quality) == (START + STEP, STEP, {})


def test_the_proof_of_a_reading_is_canonical_and_names_all_it_rests_on():
    found = store(converted(), coefficient()).hear(*energies("100", "101"))
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
    found = store(metered()).hear(first, second)
    assert found.now[0].quantities == ("flow_rate", "volume_withdrawn")
    assert found.now[0].values == (D("47.9"), D(4))
    assert proof_of(found.now[0])["origin"] == "measured"


def test_several_flow_meters_add_up():
    found = store(metered("main-flow", "side-flow")).hear(
        heard(1, "main-flow", START, volume_forward=10),
        heard(2, "side-flow", START + 1, volume_forward=500),
        heard(3, "main-flow", START + STEP, volume_forward=12, flow_rate=24),
        heard(4, "side-flow", START + STEP + 1, volume_forward=501, flow_rate=12),
    )
    assert [value_of(each, "volume_withdrawn") for each in found.now] == [2, 3]
    assert [value_of(each, "flow_rate") for each in found.now] == [None, 36]
    assert found.now[0].quality["flow_rate"] == ("GAP",)


def test_without_a_coefficient_there_is_energy_and_no_water():
    found = store(converted()).hear(*energies("100", "101"))
    assert found.now[0].values == (None, None, D(1))
    assert found.now[0].quality["volume_withdrawn"] == ("NO_COEFFICIENT",)


def test_a_held_reading_has_no_volume_and_says_why():
    found = store(metered()).hear(*volumes("100", "5000", "102"))
    assert found.totals() == [None, 2]
    assert found.now[0].quality["volume_withdrawn"] == ("JUMPED",)
    assert proof_of(found.now[0])["qc"] == 9


def test_a_value_out_of_range_makes_no_water_and_a_fall_is_judged_by_the_register_itself():
    rounds = volumes("100", "101", "102")
    odd = rounds[1]._replace(quality={"volume_forward": ("OUT_OF_RANGE",)})
    assert store(metered()).hear(rounds[0], odd, rounds[2]).totals() == [2]
    rolled = volumes("999999", "1")
    rolled[1] = rolled[1]._replace(quality={"volume_forward": ("NEGATIVE_DELTA",)})
    found = store(metered()).hear(*rolled)
    assert found.totals() == [2]
    assert found.now[0].quality["volume_withdrawn"] == ("ROLLOVER",)


def test_an_unconfirmed_profile_is_used_and_said():
    rounds = [each._replace(quality={"volume_forward": ("UNCONFIRMED",)}) for each in volumes("100", "101")]
    assert store(metered()).hear(*rounds).now[0].quality == {"volume_withdrawn": ("UNCONFIRMED",)}


def test_the_multiplier_is_applied_once_where_the_register_is_secondary():
    site = {
        "ct_ratio": D(30),
        "rated_kw": D(450),
        "pumps": (PumpSource(id="p", coefficients=("W7",), running_kw=D(9)),),
    }
    found = store(converted(register_is_primary=False, **site), coefficient()).hear(*energies("100", "101"))
    assert found.totals() == [66]
    assert proof_of(found.now[0])["registers"]["pump-kwh"]["multiplier"] == "30"
    primary = store(converted(register_is_primary=True, **site), coefficient()).hear(*energies("100", "130"))
    assert primary.totals() == [66]


def test_a_reading_by_hand_counts_and_a_late_one_changes_nothing():
    by_hand = heard(3, "main-flow", START + 2 * HOUR, is_manual=True, volume_forward="110")
    found = store(metered()).hear(*volumes("100", "101"), by_hand)
    assert found.totals() == [1, 10]
    assert proof_of(found.now[1])["origin"] == "manual"
    late = heard(4, "main-flow", START + HOUR, is_manual=True, volume_forward="105")
    assert found.account.hear(late) == []
    assert found.hear(heard(5, "main-flow", START + 2 * HOUR + STEP, volume_forward="111")).totals()[-1] == 11


def test_a_round_is_never_heard_twice():
    found = store(converted(), coefficient()).hear(*energies("100", "101"))
    before = found.account.state_text()
    assert found.account.hear(energies("100", "101")[1]) == []
    assert found.account.state_text() == before


def test_a_meter_of_another_intake_changes_nothing():
    found = store(metered())
    assert found.account.hear(heard(7, "stranger", START + DAY, volume_forward=9)) == []
    assert (found.account.number, found.account.heard_ms) == (7, None)


def test_a_replaced_meter_is_booked_piece_by_piece():
    swap = replacement(2, "pump-kwh", START + STEP // 2, "100.5", "7")
    found = store(converted(), coefficient(), swap).hear(*energies("100", "7.5"))
    assert found.totals() == [D("1.1"), D("2.2")]
    assert [proof_of(each)["to"] for each in found.now] == ["ledger/2", "e-2"]
    assert [each.at_ms for each in found.now] == [START + STEP // 2, START + STEP]
    assert all("METER_SWAP" in each.quality["volume_withdrawn"] for each in found.now)


def test_a_replacement_that_names_no_multiplier_keeps_the_one_in_force():
    site = {"ct_ratio": D(30), "rated_kw": D(450), "register_is_primary": False}
    swap = replacement(2, "pump-kwh", START + 1, "100", "0")
    found = store(converted(**site), coefficient(), swap).hear(*energies("100", "1"))
    assert found.totals() == [0, 66]


def test_a_decision_lets_a_fallen_register_count_on():
    found = store(metered()).hear(*volumes("5230", "12", "12.5", "13"))
    assert found.totals() == [None, None, None]
    found.declare(decision(1, "main-flow", START + 3 * STEP + 1, "13", None))
    found.hear(heard(5, "main-flow", START + 4 * STEP, volume_forward=14))
    assert found.totals()[-1] == 1


def test_a_new_coefficient_counts_from_its_day_on():
    second = coefficient(2, version=2, valid_from="2024-05-02", valid_to="2025-05-02", params={"tc": "3"})
    step = [D(100) + index for index in range(3)]
    rounds = energies(*step, begin_ms=START + DAY - STEP)
    found = store(converted(), coefficient(), second).hear(*rounds)
    assert found.totals() == [D("2.2"), D("5.2")]
    assert [proof_of(each)["coefficient"] for each in found.now] == ["W7@1", "W7@2"]


def test_a_replacement_that_was_wrong_leaves_nothing_behind_once_it_is_withdrawn():
    rounds = energies(*range(100, 160))
    wrong = replacement(2, "pump-kwh", START + 3 * STEP, "9999", "101")
    right = store(converted(), coefficient()).hear(*rounds)
    found = store(converted(), coefficient(), wrong).hear(*rounds)
    assert found.totals()[-1] != right.totals()[-1]
    found.declare(withdrawal(3, wrong))
    assert found.totals() == right.totals()
    assert [each.body for each in found.closings.values()] == [each.body for each in right.closings.values()]
    found.restart()
    assert found.hear(*energies("160", first=61, begin_ms=START + 60 * STEP)).totals()[-1] == D("132")  # 60 kWh


def test_what_is_withdrawn_before_its_time_comes_is_never_booked():
    wrong = replacement(2, "pump-kwh", START + STEP, "9999", "100")
    found = store(converted(), coefficient(), wrong, withdrawal(3, wrong)).hear(*energies("100", "101", "102"))
    assert found.totals() == [D("2.2"), D("4.4")]


def test_the_right_declaration_in_place_of_the_withdrawn_one_counts():
    wrong = replacement(2, "pump-kwh", START + STEP + 1, "999", "7")
    found = store(converted(), coefficient(), wrong).hear(*energies("100", "101", "8"))
    found.declare(withdrawal(3, wrong))
    found.declare(replacement(4, "pump-kwh", START + STEP + 1, "101", "7"))
    assert found.totals() == [D("2.2"), D("2.2"), D("4.4")]


@pytest.mark.parametrize("body", [{}, {"id": "2", "kind": "replacement"}, {"id": 2, "kind": "coefficient"},
                                  {"id": 3, "kind": "replacement"}])  # fmt: skip
def test_a_withdrawal_of_nothing_that_can_be_withdrawn_is_refused(body):
    found = store(converted(), coefficient())
    with pytest.raises(OutOfDomain):
        found.account.declare(Declared(id=3, kind="withdrawal", subject="pump-kwh", at_ms=START, body=body, who="x"))


def test_a_declaration_from_a_time_already_heard_is_late():
    found = store(converted(), coefficient()).hear(*energies("100", "101"))
    swap = replacement(2, "pump-kwh", START + STEP, "100.5", "7")
    with pytest.raises(Late) as late:
        found.account.declare(swap)
    assert late.value.at_ms == START + STEP


def test_what_does_not_concern_an_intake_is_never_late():
    found = store(converted(), coefficient()).hear(*energies("100", "101"))
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
    found = store(converted(), coefficient())
    with pytest.raises(OutOfDomain):
        found.account.declare(coefficient(2))
    with pytest.raises(OutOfDomain):
        found.account.declare(coefficient(3, version=2, delivery_mode="drip"))


@pytest.mark.parametrize("text", ["", "null", '{"form": 2}', "[]"])
def test_a_text_that_is_no_state_is_refused(text):
    with pytest.raises(OutOfDomain):
        Account.load(converted(), text, software=SOFTWARE)


def test_a_register_that_is_no_longer_configured_leaves_its_water_in_the_total():
    found = store(metered("main-flow", "side-flow")).hear(
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
    found = store(
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


# The same rounds and declarations give the same water

MOMENT = st.integers(0, 3 * 288)


@st.composite
def histories(draw):
    """Three days of an energy meter with a pump that comes and goes, gaps, wrong readings, and what people declare."""
    steps = draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 120), st.integers(0, 40)), min_size=40, max_size=160)
    )
    rounds, register, at_ms = [], D("999950.00"), START + 7 * STEP + 1234
    for number, (gap, grown, odd) in enumerate(steps, 1):
        at_ms += STEP * (1 if gap < 3 else 1 + grown)
        register = (register + Decimal(grown).scaleb(-2)) % 1_000_000
        shown = D("123456") if odd == 0 else register
        values = {} if odd == 1 else {"energy_import": shown}
        meter = "depth" if odd in (2, 3) else "pump-kwh"
        rounds.append(
            heard(number, meter, at_ms, **({"depth_to_water": 30 + grown % 5} if meter == "depth" else values))
        )
    span = rounds[-1].at_ms - START
    places = draw(st.lists(st.integers(1, 40), min_size=0, max_size=4, unique=True))
    declared = [
        decision(10 + index, "pump-kwh", START + span * place // 40, "123456", None)
        for index, place in enumerate(places)
    ]
    swaps = draw(st.lists(st.integers(1, 39), min_size=0, max_size=2, unique=True))
    declared += [
        replacement(20 + index, "pump-kwh", START + span * place // 40 + 7, None, "5.00")
        for index, place in enumerate(swaps)
    ]
    wrong = draw(st.lists(st.sampled_from(declared), max_size=3, unique_by=lambda each: each.id)) if declared else []
    declared += [withdrawal(30 + index, each) for index, each in enumerate(wrong)]
    declared.append(coefficient(1))
    declared.append(coefficient(2, version=2, valid_from="2024-05-02", valid_to="2025-05-02", params={"tc": "3"}))
    order = draw(st.permutations(declared))
    when = [draw(st.integers(0, len(rounds))) for _ in order]
    restarts = draw(st.sets(st.integers(0, len(rounds)), max_size=8))
    return rounds, declared, list(zip(when, order, strict=True)), restarts


def site():
    return converted(depth=Channel(meter="depth", quantity="depth_to_water"))


@given(histories())
@settings(max_examples=25, deadline=None)
def test_totals_depend_on_what_is_stored_alone(history):
    rounds, declared, entered, restarts = history
    plain = store(site(), *sorted(declared, key=lambda each: each.id)).hear(*rounds)
    other = Store(site())
    for index, each in enumerate([*rounds, None]):
        for when, one in entered:
            if when == index:
                other.declare(one)
        if index in restarts:
            other.restart()
        if each is not None:
            other.hear(each)
    assert other.account.state_text() == plain.account.state_text()
    assert list(other.derived.items()) == list(plain.derived.items())
    assert other.closings == plain.closings


@given(histories())
@settings(max_examples=15, deadline=None)
def test_what_is_withdrawn_counts_as_if_it_had_never_been_declared(history):
    rounds, declared, _, _ = history
    gone = {each.body["id"] for each in declared if each.kind == "withdrawal"}
    right = [each for each in declared if each.kind != "withdrawal" and each.id not in gone]
    found, plain = store(site(), *declared).hear(*rounds), store(site(), *right).hear(*rounds)
    assert list(found.derived.values()) == list(plain.derived.values())
    assert [each.body for each in found.closings.values()] == [each.body for each in plain.closings.values()]


@given(histories())
@settings(max_examples=15, deadline=None)
def test_nothing_is_booked_twice_and_hours_add_up(history):
    rounds, declared, _, _ = history
    found = store(site(), *declared).hear(*rounds)
    totals = [total for total in found.totals() if total is not None]
    assert totals == sorted(totals)
    booked = [D(proof["volume"]) for each in found.now if "volume" in (proof := proof_of(each))]
    assert sum(booked, D(0)) == (totals[-1] if totals else 0)
    views = [value_of(each, "volume_withdrawn") for each in found.hourly]
    hours = [value_of(each, "volume_hour") for each in found.hourly]
    assert views == sorted(views)
    assert all(after - before == hour for before, after, hour in zip(views, views[1:], hours[1:], strict=False))
    settled = [D(found.body(at_ms)["settled"]["volume"]) for at_ms in sorted(found.closings)]
    assert settled == sorted(settled)


def test_every_kind_of_outcome_comes_in_the_stated_order():
    found = store(converted(), coefficient()).hear(*energies("100", "101", begin_ms=START - 2 * STEP))
    outcomes = found.account.hear(heard(3, "pump-kwh", START, energy_import=102))
    assert [type(each) for each in outcomes] == [Derived, Closed, Derived]
    assert outcomes[1].number == 2
    assert outcomes[1].at_ms == midnight_ms(date(2024, 5, 1), ZONE)
    again = Account.load(converted(), outcomes[1].state, software=SOFTWARE)
    again.declare(coefficient())
    assert again.hear(heard(3, "pump-kwh", START, energy_import=102)) == outcomes
