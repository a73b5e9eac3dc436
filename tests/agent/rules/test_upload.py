"""The upload rate: what counts, what it will be, and that the alarm comes before 95 % is lost."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.rules.compliance import upload_rate
from agent.rules.upload import Month, UploadRates
from tests.agent.rules.plain import BEGIN, DAY, HOUR, MIN, ZONE, D

FIRST = BEGIN + HOUR  # the record of the month's first hour falls due at its end
MAY_HOURS = 31 * 24


def after(arrivals: list[int | None], rates: UploadRates | None = None, first: int = 0) -> UploadRates:
    """One hour after the other; each arrives so many minutes after it, or not at all."""
    rates = rates or UploadRates()
    for at, minutes in enumerate(arrivals, first):
        hour = FIRST + at * HOUR
        rates = rates.scheduled(hour, ZONE)
        if minutes is not None:
            rates = rates.accepted(hour, hour + minutes * MIN, ZONE)
    return rates


@settings(deadline=None)
@given(st.lists(st.sampled_from([None, 0, 10, 11, 300]), min_size=1, max_size=80))
def test_the_rates_are_those_of_the_sheet(arrivals):
    on_time = sum(each is not None and each <= 10 for each in arrivals)
    late = sum(each is not None and each > 10 for each in arrivals)
    found = after(arrivals).forecast(FIRST + len(arrivals) * HOUR, ZONE)
    wanted = upload_rate(scheduled=len(arrivals), on_time=on_time, late=late)
    assert (found.on_time_pct, found.final_pct) == (wanted.on_time_pct, wanted.final_pct)
    assert found.scheduled == MAY_HOURS


def test_thirty_seven_hours_of_a_month_may_be_missed():
    rates = after([None] * 37)
    found = rates.forecast(FIRST + 37 * HOUR, ZONE)
    assert (found.may_miss, found.can_be_reached) == (0, True)  # 707 of 744 are 95.03 %
    found = after([None], rates, 37).forecast(FIRST + 38 * HOUR, ZONE)
    assert (found.may_miss, found.can_be_reached) == (0, False)
    assert round(found.best_pct, 2) == D("94.89")


def test_a_rate_that_heads_below_is_told_while_it_can_still_be_reached():
    found = after([0] * 22 + [None] * 2).forecast(FIRST + 24 * HOUR, ZONE)
    assert found.can_be_reached
    assert found.expected_pct < 95
    assert found.is_low
    assert not after([0] * 20 + [None] * 2).forecast(FIRST + 22 * HOUR, ZONE).is_low, "not before a day is known"
    assert not after([0] * 39 + [None]).forecast(FIRST + 40 * HOUR, ZONE).is_low


def test_an_hour_that_may_still_be_on_time_is_neither_missing_nor_sure():
    rates = after([0] * 30 + [None])
    hour = FIRST + 30 * HOUR
    assert rates.forecast(hour + 9 * MIN, ZONE).missing == 0
    assert rates.forecast(hour + 9 * MIN, ZONE).on_time_pct == 100
    assert rates.forecast(hour + 11 * MIN, ZONE).missing == 1


def test_repeats_count_once_and_what_was_not_due_not_at_all():
    rates = after([0] * 3)
    again = rates.accepted(FIRST, FIRST, ZONE).accepted(FIRST + 90 * HOUR, FIRST, ZONE).scheduled(FIRST, ZONE)
    assert again == rates


def test_the_text_of_the_rates_gives_them_back():
    rates = after([0, None, 20, 0])
    assert UploadRates.from_text(rates.to_text()) == rates


def test_a_record_belongs_to_the_month_of_its_hour_and_a_quarter_is_kept_while_the_next_begins():
    rates, last = UploadRates(), BEGIN + 31 * DAY  # the end of May's last hour, and the beginning of June
    for month in range(6):
        rates = rates.scheduled(last + 31 * month * DAY, ZONE).scheduled(last + 31 * month * DAY + HOUR, ZONE)
    assert list(rates.months) == ["2026-07", "2026-08", "2026-09", "2026-10", "2026-11"]
    assert rates.forecast(BEGIN, ZONE) is None


def test_the_rate_of_a_quarter_is_that_of_all_its_hours_where_every_month_is_known():
    months = {"2026-07": Month(due=10, on_time=10), "2026-08": Month(due=10, on_time=7, late=3),
              "2026-09": Month(due=20, waiting=(1,))}  # fmt: skip
    rates = UploadRates(months=months)
    assert rates.over(["2026-07", "2026-08"]) == (85, 100)
    assert rates.over(["2026-07", "2026-08", "2026-09"]) == (Decimal("42.5"), 50)
    assert rates.over(["2026-06", "2026-07"]) is None


def test_a_perfect_month_ends_at_a_hundred():
    found = after([1] * MAY_HOURS).forecast(FIRST + (MAY_HOURS - 1) * HOUR, ZONE)
    assert (found.scheduled, found.on_time, found.expected_pct) == (MAY_HOURS, MAY_HOURS, Decimal(100))
    assert not found.is_low
