"""Coefficient records: what is accepted, which one is in force, and how they are written down."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.derive.coefficient import (
    DEFAULT_U,
    Basis,
    CoefficientState,
    EvidenceTier,
    Sanity,
    evidence_tier,
    plain_tc,
    sanity,
    state_on,
)
from agent.derive.exact import OutOfDomain, midnight_ms
from agent.derive.ledger import Ledger, age_years
from agent.derive.models import AffineLevel, Curve, Dated, Fixed, Physical, Regional, Sensed, Slice, TwoPhase
from agent.derive.records import coefficient_from, record_of
from tests.agent.derive.sites import STEP, ZONE, D, coefficient

PART = Slice(D(1), D(1) / 12, date(2024, 5, 1), D(0), Sensed())


def chosen(records, day, part=PART):
    at_ms = midnight_ms(day, ZONE)
    choice = Ledger(records, zone=ZONE).timeline.choose(at_ms, at_ms + STEP, part)
    return None if choice.coefficient is None else choice.coefficient.name, set(choice.flags)


def test_an_open_end_never_expires_and_an_open_beginning_is_always_valid():
    assert state_on(date(2099, 1, 1), date(2024, 1, 1), None) is CoefficientState.VALID
    assert state_on(date(1999, 1, 1), None, date(2024, 1, 1)) is CoefficientState.VALID


@given(st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.integers(0, 500), st.integers(-800, 800))
def test_every_day_has_exactly_one_state_and_they_follow_one_another(begin, length, offset):
    order = list(CoefficientState)
    end, day = begin + timedelta(days=length), begin + timedelta(days=offset)
    today, tomorrow = (state_on(d, begin, end) for d in (day, day + timedelta(days=1)))
    assert order.index(tomorrow) >= order.index(today)


def test_a_coefficient_no_pump_can_have_is_refused_and_an_unlikely_one_doubted():
    """At 40…60 m: K/H 9.177…6.118, so 0.918…7.801 is possible and 1.530…6.883 likely."""
    verdicts = [sanity(D(tc), D(40), D(60)) for tc in ("0.91", "0.92", "1.52", "1.54", "6.88", "6.89", "7.80", "7.81")]
    assert [verdict.name[0] for verdict in verdicts] == list("RDDSSDDR")
    assert Sanity.SANE in verdicts


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"delivery_mode": "fountain"},
        {"u_rel": D("-0.1")},
        {"valid_to": date(2024, 3, 31)},
    ],
)
def test_a_record_that_makes_no_sense_is_refused(changes):
    with pytest.raises(OutOfDomain):
        coefficient(**changes)


def test_versions_are_appended_one_by_one():
    ledger = Ledger([coefficient()], zone=ZONE).appended(coefficient(version=2))
    assert [record.name for record in ledger.records] == ["W7@1", "W7@2"]
    for version in (1, 2, 4):
        with pytest.raises(OutOfDomain):
            ledger.appended(coefficient(version=version))


def test_coefficients_of_two_delivery_modes_are_never_mixed():
    with pytest.raises(OutOfDomain):
        Ledger([coefficient(), coefficient(id="W8", delivery_mode="drip")], zone=ZONE)


def test_a_later_version_takes_over_and_the_earlier_one_does_not_come_back():
    records = [coefficient(), coefficient(version=2, valid_from=date(2024, 6, 1), valid_to=date(2024, 7, 1))]
    assert chosen(records, date(2024, 5, 31)) == ("W7@1", {"DUE_SOON"})
    assert chosen(records, date(2024, 6, 1)) == ("W7@2", {"DUE_SOON"})
    assert chosen(records, date(2024, 7, 1)) == ("W7@2", {"EXPIRED_GRACE"})


def test_a_version_from_the_same_day_corrects_the_earlier_one():
    records = [coefficient(), coefficient(version=2)]
    assert chosen(records, date(2024, 5, 1)) == ("W7@2", set())


def test_the_youngest_of_several_wells_coefficients_is_taken():
    records = [coefficient(), coefficient(id="W7b", valid_from=date(2024, 5, 1))]
    assert chosen(records, date(2024, 5, 1))[0] == "W7b@1"
    assert chosen(records, date(2024, 4, 30))[0] == "W7@1"


def test_what_is_in_force_goes_before_what_has_expired_whatever_its_rank():
    level = coefficient(AffineLevel(a=D("0.1"), b=D("0.01")), id="L", valid_to=date(2024, 5, 1))
    region = coefficient(Regional(tc=D(2)), id="R")
    speaking = PART._replace(sensed=Sensed(depth_m=D(30)))
    assert chosen([level, region], date(2024, 4, 30), speaking)[0] == "L@1"
    assert chosen([level, region], date(2024, 5, 1), speaking) == ("R@1", set())


def test_the_last_one_to_end_serves_when_none_is_in_force():
    records = [coefficient(id="A", valid_to=date(2024, 5, 1)), coefficient(id="B", valid_to=date(2024, 6, 1))]
    assert chosen(records, date(2024, 8, 29)) == ("B@1", {"EXPIRED_GRACE"})
    assert chosen(records, date(2024, 8, 30)) == ("B@1", {"EXPIRED"})


def test_without_any_coefficient_the_word_says_which_kind_of_nothing_it_is():
    assert chosen([], date(2024, 5, 1)) == (None, {"NO_COEFFICIENT"})
    assert chosen([coefficient()], date(2024, 3, 31)) == (None, {"NOT_YET_VALID"})
    level = coefficient(AffineLevel(a=D("0.1"), b=D("0.01")))
    assert chosen([level], date(2024, 5, 1)) == (None, {"HEAD_FALLBACK", "NO_COEFFICIENT"})


def test_age_counts_from_the_calibration_to_the_middle_and_never_backwards():
    begin = midnight_ms(date(2025, 4, 1), ZONE)
    assert abs(age_years(coefficient(), begin, begin, ZONE) - D(365) / D("365.25")) < D("1e-9")
    assert age_years(coefficient(calibrated_on=date(2026, 1, 1)), begin, begin, ZONE) == 0
    assert age_years(coefficient(valid_from=None), begin, begin, ZONE) == 0


@pytest.mark.parametrize(
    ("model", "runs", "tier"),
    [
        (AffineLevel(a=D("0.1"), b=D("0.01")), 5, "B"),
        (Fixed(tc=D(2)), 5, "C"),
        (Regional(tc=D(2)), None, "D"),
        (Fixed(tc=D(2)), None, "E"),
        (Physical(eta=D("0.5")), None, "E"),
    ],
)
def test_a_coefficient_belongs_to_the_tier_of_its_evidence(model, runs, tier):
    assert evidence_tier(coefficient(model, basis=Basis(runs=runs))) == tier
    assert DEFAULT_U[EvidenceTier(tier)][0] <= DEFAULT_U[EvidenceTier(tier)][1]


# Models


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Fixed(tc=D(0)),
        lambda: Regional(tc=D(-1)),
        lambda: Dated(steps=()),
        lambda: Dated(steps=(((7, 1), D(2)), ((4, 1), D(2)))),
        lambda: TwoPhase(drop_volume_m3=D(8), drop_energy_kwh=D(8), tc_stable=D("2.2")),  # V_drop/E_drop < Tc_s
        lambda: TwoPhase(drop_volume_m3=D(8), drop_energy_kwh=D(0), tc_stable=D("2.2")),
        lambda: Physical(eta=D("1.1")),
        lambda: Curve(table="flow_by_power", points=((D(1), D(1)),)),
        lambda: Curve(table="flow_by_power", points=((D(1), D(1)), (D(2), D(3)), (D(3), D(2)))),
        lambda: Curve(table="flow_by_power", points=((D(1), D(1)), (D(1), D(3)))),
        lambda: Curve(table="flow_by_hope", points=((D(1), D(1)), (D(2), D(3)))),
        lambda: Curve(table="volume_by_energy", points=((D(1), D(1)), (D(2), D(3)))),
    ],
)
def test_parameters_that_no_pump_has_are_refused(wrong):
    with pytest.raises(OutOfDomain):
        wrong()


def test_a_season_goes_on_into_the_next_year():
    model = Dated(steps=(((4, 1), D("2.3")), ((7, 1), D("2.05"))))
    assert [model.tc_on(day) for day in (date(2024, 3, 31), date(2024, 4, 1), date(2024, 6, 30), date(2024, 7, 1))] == [
        D("2.05"), D("2.3"), D("2.3"), D("2.05"),
    ]  # fmt: skip
    leap = Dated(steps=(((2, 29), D(2)),))
    assert leap.begins_in(2023) == (date(2023, 3, 1),)
    assert leap.begins_in(2024) == (date(2024, 2, 29),)


def test_a_table_is_straight_between_its_points_and_goes_on_beyond_them():
    curve = Curve(table="tc_by_frequency", points=((D(30), D(1)), (D(40), D(2)), (D(50), D("2.5"))))
    values = [curve.at(D(hz)) for hz in ("30", "35", "40", "45", "50")]
    assert values == [(D(1), ()), (D("1.5"), ()), (D(2), ()), (D("2.25"), ()), (D("2.5"), ())]
    assert curve.at(D(60)) == (D(3), ("CURVE_EXTRAPOLATED",))
    assert curve.at(D(10))[0] == 0  # never below


def test_a_falling_table_is_monotone_too():
    curve = Curve(table="tc_by_power", points=((D(10), D(3)), (D(14), D(2)), (D(15), D(2))))
    assert curve.at(D(12))[0] == D("2.5")


@given(st.lists(st.decimals(D("0.01"), D(3), places=2), min_size=1, max_size=20))
def test_a_run_of_two_phases_does_not_depend_on_how_it_is_cut(pieces):
    model = TwoPhase(drop_volume_m3=D(22), drop_energy_kwh=D(8), tc_stable=D("2.2"))
    done, volume = D(0), D(0)
    for piece in pieces:
        volume += model.convert(PART._replace(energy_kwh=piece, run_kwh=done)).volume_m3
        done += piece
    assert volume == model.convert(PART._replace(energy_kwh=done)).volume_m3


def test_only_plain_models_have_one_coefficient():
    assert plain_tc(Fixed(tc=D(2))) == 2
    assert plain_tc(AffineLevel(a=D(1), b=D(1))) is None


# Written down

RECORD = {
    "id": "W7", "version": 4, "well_code": "WELL-7", "delivery_mode": "open_outlet", "model": "affine_level",
    "params": {"a": "0.081", "b": "0.0103"},
    "basis": {"runs": 5, "s_ratio": "0.011", "depth_range_m": ["28", "40"], "p_run_kw": "14.6"},
    "u_rel": "0.03", "drift_per_year": "0.025", "valid_from": "2024-04-01", "valid_to": "2025-04-01",
    "evidence": {"report_no": "R-12", "tester": "李工", "sha256": "ab"},
}  # fmt: skip


def test_the_record_of_the_sheet_is_read():
    read = coefficient_from(RECORD)
    assert read.name == "W7@4"
    assert read.model == AffineLevel(a=D("0.081"), b=D("0.0103"), depths=(D(28), D(40)))
    assert read.basis.p_run_kw == D("14.6")
    assert read.valid_to == date(2025, 4, 1)


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("fixed", {"tc": "2.2"}),
        ("regional", {"tc": "2"}),
        ("dated", {"steps": [["04-01", "2.3"], ["07-01", "2.05"]]}),
        ("two_phase", {"drop_volume_m3": "22", "drop_energy_kwh": "8", "tc_stable": "2.2"}),
        ("affine_level", {"a": "0.081", "b": "0.0103"}),
        ("physical", {"eta": "0.52", "discharge_height_m": "1.5", "friction_m": "4", "has_gauge": True}),
        ("physical", {"eta": "0.52", "static_level_m": "32", "drawdown_m": "6"}),
        ("curve", {"table": "flow_by_power", "points": [["10", "30"], ["14", "40"]]}),
        ("curve", {"table": "volume_by_energy", "points": [["0", "0"], ["2", "5"]], "interval_h": "0.25"}),
    ],
)
def test_every_model_is_read_written_and_read_again_the_same(model, params):
    read = coefficient_from({**RECORD, "model": model, "params": params})
    assert read.model.name == model
    written = json.loads(json.dumps(record_of(read)))
    assert coefficient_from(written) == read
    assert record_of(coefficient_from(written)) == written
    for key, value in params.items():
        assert written["params"][key] == value


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"u_rel": None}, "u_rel"),
        ({"u_rel": 0.03}, "u_rel"),
        ({"u_rel": "NaN"}, "u_rel"),
        ({"version": "4"}, "version"),
        ({"valid_from": "2024-13-01"}, "valid_from"),
        ({"model": "magic"}, "model"),
        ({"params": {"a": "1"}}, "params.b"),
        ({"params": {"a": "1", "b": "1", "c": "1"}}, "params.c"),
        ({"basis": {"depth_range_m": ["40", "28"]}}, "basis.depth_range_m"),
        ({"basis": {"colour": "blue"}}, "basis.colour"),
        ({"colour": "blue"}, "colour"),
        ({"params": []}, "params.a"),
    ],
)
def test_a_wrong_record_is_refused_by_the_name_of_the_field(changes, name):
    with pytest.raises(OutOfDomain) as caught:
        coefficient_from({**RECORD, **changes})
    assert caught.value.name == name
