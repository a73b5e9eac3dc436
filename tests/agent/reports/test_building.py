"""The figures of a report: differences of settled boundaries, what is withheld, what is not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.derive.exact import midnight_ms
from agent.reports.closings import standing_of
from agent.reports.report import report_from
from agent.reports.spans import SpanKind, span_of
from tests.agent.intakes.rounds import Store, coefficient, converted, heard
from tests.agent.reports.made import DAY_MS, SETTINGS, W7, ZONE, facts_of, intake, month, report, standing

BEGIN, END = month().begin_ms, month().end_ms
AMOUNTS = st.decimals(min_value=0, max_value=10**6, places=6)


@given(st.lists(AMOUNTS, min_size=2, max_size=31))
def test_the_rows_of_a_report_add_up_to_its_volume_to_the_last_digit(amounts: list[Decimal]) -> None:
    total = Decimal(0)
    standings = [standing(BEGIN, "0")]
    for place, amount in enumerate(amounts, 1):
        total += amount
        standings.append(standing(BEGIN + place * DAY_MS, total))
    told = intake(facts_of(standings))
    assert told.volume_m3 == total
    assert sum(row.volume_m3 for row in told.rows if row.volume_m3 is not None) == total


def test_three_months_add_up_to_their_quarter_and_share_their_boundaries() -> None:
    totals = {"2026-07-01": "11.000001", "2026-08-01": "123.456789", "2026-09-01": "333.000003", "2026-10-01": "1000.7"}
    at = {day: standing(midnight_ms(date.fromisoformat(day), ZONE), volume) for day, volume in totals.items()}
    days = list(at)
    months = [
        intake(facts_of([at[days[place]], at[days[place + 1]]]), span=month(f"2026-0{7 + place}")) for place in range(3)
    ]
    quarter = intake(facts_of(list(at.values())), span=span_of(SpanKind.QUARTER, "2026Q3", ZONE))
    assert sum(each.volume_m3 or 0 for each in months) == quarter.volume_m3 == Decimal("989.699999")
    assert [months[0].end, months[1].end] == [months[1].begin, months[2].begin]


def test_the_expanded_uncertainty_has_the_boundaries_doubts_in_it() -> None:
    told = intake(facts_of([standing(BEGIN, "0", doubt="3"), standing(END, "100", doubt="0")]))
    assert told.u_m3 == Decimal("8.485281")  # 2·√(3² + (0.03·100)²) = 6·√2
    assert intake(facts_of([standing(BEGIN, "0"), standing(END, "100")])).u_m3 == 6


def test_water_by_an_expired_coefficient_is_shown_and_kept_out_of_the_voucher() -> None:
    ended = replace(W7, valid_to=date(2026, 9, 2))
    standings = [standing(BEGIN, "0"), standing(BEGIN + DAY_MS, "10"), standing(END, "30")]
    told = intake(facts_of(standings, coefficients=(ended,)))
    assert (told.volume_m3, told.withheld_m3, told.voucher_m3) == (30, 20, 10)
    assert [row.withheld_m3 for row in told.rows] == [0, 20]
    assert told.coefficients[0].state == "EXPIRED_GRACE"
    assert told.u_m3 == Decimal("0.6")  # 3 % of 10 m³, k = 2
    accepted = intake(facts_of(standings, coefficients=(ended,)), accepted_expired=True)
    assert (accepted.voucher_m3, accepted.withheld_m3) == (30, 20)


@pytest.mark.parametrize(
    ("read_on", "quarter", "volume", "withheld"),
    [
        (("2024-06-11", "2024-07-11"), "2024Q2", 13_200, 4_400),  # the month is Q2's, ten of its thirty days expired
        (("2024-06-11", "2024-07-11"), "2024Q3", 0, 0),
        (("2024-06-25", "2024-07-25"), "2024Q2", 0, 0),
        (("2024-06-25", "2024-07-25"), "2024Q3", 13_200, 10_560),  # 24 of 30
        (("2024-07-02", "2024-08-01"), "2024Q3", 13_200, 13_200),
        (("2024-05-02", "2024-06-01"), "2024Q2", 13_200, 0),
    ],
)
def test_of_a_month_read_by_hand_only_what_flowed_behind_the_coefficients_end_is_withheld(
    read_on: tuple[str, str], quarter: str, volume: int, withheld: int
) -> None:
    """6000 kWh in thirty days at 2.2 m³/kWh, by a coefficient that ends on 1 July without successor (§9.3-5, -7)."""
    begin, end = (midnight_ms(date.fromisoformat(day), ZONE) for day in read_on)
    readings = ((begin - 1, 0), (begin, 0), (end, 6000), (end + 80 * DAY_MS, 6000))
    account = Store(converted())
    account.declare(coefficient(valid_to="2024-07-01"))
    for number, (at_ms, shown) in enumerate(readings, 1):
        account.hear(heard(number, "pump-kwh", at_ms, is_manual=True, energy_import=shown))
    span = span_of(SpanKind.QUARTER, quarter, ZONE)
    edges = [at_ms for at_ms in span.edges_ms(ZONE) if at_ms in account.closings]
    facts = facts_of(
        [standing_of(at_ms, 1, account.body(at_ms)) for at_ms in edges],
        has_begun=edges[0] == span.begin_ms,
        coefficients=(replace(W7, valid_from=date(2024, 4, 1), valid_to=date(2024, 7, 1)),),
    )
    told = intake(facts, span=span)
    assert (told.volume_m3, told.withheld_m3, told.voucher_m3) == (volume, withheld, volume - withheld)


def test_running_hours_of_a_meter_that_people_read_are_not_known() -> None:
    """Months with 1000 kWh each by a pump of 15 kW: two and a half days of pumping that nobody saw start or stop."""
    account = Store(converted(standby_kw=Decimal("0.01")))
    account.declare(coefficient())
    first = midnight_ms(date(2024, 7, 1), ZONE)
    for number, (day, shown) in enumerate([(0, 0), (30, 1000), (60, 2000), (92, 2000), (122, 2000)], 1):
        at_ms = first + day * DAY_MS
        account.hear(heard(number, "pump-kwh", at_ms, is_manual=True, energy_import=shown))
    span = span_of(SpanKind.QUARTER, "2024Q3", ZONE)
    standings = [standing_of(at_ms, 1, account.body(at_ms)) for at_ms in span.edges_ms(ZONE)]
    told = intake(facts_of(standings), span=span)
    assert told.pumping_kwh is not None
    assert told.pumping_kwh > 1900
    assert told.counts.run_h is None
    assert not told.has_known_runs


def test_a_period_in_which_the_pump_ran_and_no_run_ended_has_no_running_hours() -> None:
    counts = {"expected": 0, "good": 0, "flags": {}, "qc": {}, "runs": 0, "run_h": "0.000000"}
    told = intake(facts_of([standing(BEGIN, "0", counts=counts), standing(END, "30", counts=counts)]))
    assert not told.has_known_runs
    still = intake(facts_of([standing(BEGIN, "0", counts=counts), standing(END, "0", counts=counts)]))
    assert still.has_known_runs
    over = {**counts, "runs": 1, "run_h": "24.000000"}
    ended = intake(facts_of([standing(BEGIN, "0", counts=counts), standing(END, "30", counts=over)]))
    assert (ended.has_known_runs, ended.counts.starts, ended.counts.run_h) == (True, 1, 24)


@pytest.mark.parametrize(
    ("share", "withheld"), [("20.000000333", "20.000000"), ("19.999999667", "20.000000"), ("19.5000004", "19.500000")]
)
def test_what_is_withheld_has_no_more_places_than_the_volume_and_never_exceeds_it(share: str, withheld: str) -> None:
    """Shares are kept to 10⁻⁹ m³: the whole of a volume by an expired coefficient must leave a voucher of exactly 0."""
    others = {} if share != "19.5000004" else {"W8@1": "0.4999996"}
    ended = replace(W7, valid_to=date(2026, 9, 1))
    end = standing(END, "20")
    tally = {**end.tally, "volumes": {**end.tally["volumes"], **others, "W7@1": share}}
    told = intake(facts_of([standing(BEGIN, "0"), replace(end, tally=tally)], coefficients=(ended,)))
    assert told.withheld_m3 == Decimal(withheld)
    assert told.voucher_m3 == 20 - Decimal(withheld)


def test_an_account_that_began_inside_the_period_counts_from_nought() -> None:
    told = intake(facts_of([standing(BEGIN + DAY_MS, "7"), standing(END, "30")], has_begun=False))
    assert told.begin is not None
    assert (told.volume_m3, told.begin.method, told.begin.at_ms) == (30, "began", BEGIN)


def test_a_boundary_at_which_a_register_was_silent_gives_no_volume() -> None:
    told = intake(facts_of([standing(BEGIN, "0"), standing(END, "30", unknown=True)]))
    assert (told.volume_m3, told.voucher_m3, told.u_m3) == (None, None, None)
    assert (told.rows[0].volume_m3, told.rows[0].level) == (None, 9)


@pytest.mark.parametrize("standings", [[], [standing(END, "30")]])
def test_one_closing_or_none_makes_no_volume(standings: list) -> None:
    assert intake(facts_of(standings)).volume_m3 is None


def test_counts_are_those_of_the_period_and_days_are_counted_by_their_flags() -> None:
    counts = [
        {"expected": 100, "good": 90, "flags": {"GAP": 2}, "qc": {"1": 90}, "runs": 3, "run_h": "1.5", "gaps": 2},
        {"expected": 148, "good": 138, "flags": {"GAP": 2}, "qc": {"1": 137, "3": 1}, "runs": 4, "run_h": "2.25",
         "gaps": 2},
        {"expected": 196, "good": 180, "flags": {"GAP": 3, "ROLLOVER": 1}, "qc": {"1": 179, "3": 1}, "runs": 5,
         "run_h": "4.5", "gaps": 3, "rollovers": 1},
    ]  # fmt: skip
    at = (BEGIN, BEGIN + DAY_MS, END)
    told = intake(facts_of([standing(when, "0", counts=each) for when, each in zip(at, counts, strict=True)]))
    assert told.completeness_pct == Decimal("93.75")  # 90 of 96
    assert (told.counts.starts, told.counts.run_h, told.counts.rollovers) == (2, 3, 1)
    assert (told.counts.flags, told.days_by_flag) == ({"GAP": 1, "ROLLOVER": 1}, {"GAP": 1, "ROLLOVER": 1})
    assert told.days_by_level == {"1": 1, "3": 1}


def test_the_permits_use_counts_from_the_beginning_of_the_year() -> None:
    year = standing(midnight_ms(date(2026, 1, 1), ZONE), "1000")
    told = intake(facts_of([standing(BEGIN, "5000"), standing(END, "6000")], year=year)).permit
    assert (told.used_m3, told.used_pct) == (5000, 10)


@pytest.mark.parametrize(
    ("kind", "name", "parts", "plan"),
    [
        (SpanKind.QUARTER, "2026Q3", 4, 3),
        (SpanKind.QUARTER, "2026Q3", 12, 7 + 8 + 9),
        (SpanKind.MONTH, "2026-09", 12, 9),
        (SpanKind.MONTH, "2026-09", 4, None),
        (SpanKind.DAY, "2026-09-30", 12, None),
    ],
)
def test_a_plan_is_stated_for_the_periods_it_is_made_for(
    kind: SpanKind, name: str, parts: int, plan: int | None
) -> None:
    assert SETTINGS.permit is not None
    permit = replace(SETTINGS.permit, plan_m3=tuple(Decimal(part) for part in range(1, parts + 1)))
    given = facts_of([], settings=replace(SETTINGS, permit=permit))
    assert intake(given, span=span_of(kind, name, ZONE)).permit.plan_m3 == plan


def test_the_range_of_the_coefficient_is_that_of_the_days_on_which_the_pump_ran() -> None:
    at = [BEGIN, BEGIN + DAY_MS, BEGIN + 2 * DAY_MS, END]
    told = intake(facts_of([standing(when, volume) for when, volume in zip(at, ("0", "10", "10", "30"), strict=True)]))
    assert (told.tc_low, told.tc_high) == (2, 2)


def test_a_report_comes_back_from_its_json_with_the_same_hash() -> None:
    made = report(facts_of([standing(BEGIN, "0"), standing(END, "0.000001")]))
    again = report_from(made.plain)
    assert again == made
    assert again.sha256 == made.sha256
