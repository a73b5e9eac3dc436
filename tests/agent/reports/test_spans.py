"""Periods go from local midnight to local midnight and meet without a gap."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from agent.derive.exact import OutOfDomain
from agent.reports.spans import SpanKind, span_before, span_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (SpanKind.QUARTER, ["2025Q4", "2026Q1", "2026Q2", "2026Q3", "2026Q4", "2027Q1"]),
        (SpanKind.MONTH, ["2026-11", "2026-12", "2027-01"]),
        (SpanKind.DAY, ["2026-12-30", "2026-12-31", "2027-01-01"]),
    ],
)
def test_a_period_ends_where_the_next_begins(kind: SpanKind, names: list[str]) -> None:
    spans = [span_of(kind, name, SHANGHAI) for name in names]
    assert [each.end_ms for each in spans[:-1]] == [each.begin_ms for each in spans[1:]]
    assert all(edges[0] == each.begin_ms and edges[-1] == each.end_ms
               for each in spans for edges in [each.edges_ms(SHANGHAI)])  # fmt: skip


def test_rows_are_days_and_those_of_a_day_are_hours() -> None:
    assert len(span_of(SpanKind.QUARTER, "2026Q3", SHANGHAI).edges_ms(SHANGHAI)) == 93
    assert len(span_of(SpanKind.DAY, "2026-09-30", SHANGHAI).edges_ms(SHANGHAI)) == 25


def test_a_day_on_which_clocks_change_has_the_hours_it_has() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert len(span_of(SpanKind.DAY, "2026-10-25", berlin).edges_ms(berlin)) == 26
    assert len(span_of(SpanKind.MONTH, "2026-10", berlin).edges_ms(berlin)) == 32


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (SpanKind.QUARTER, "2026Q5"), (SpanKind.QUARTER, "2026-09"), (SpanKind.MONTH, "2026-13"),
        (SpanKind.MONTH, "2026-9"), (SpanKind.DAY, "2026-02-29"), (SpanKind.DAY, "2026Q3"), (SpanKind.DAY, ""),
        (SpanKind.QUARTER, "0000Q1"), (SpanKind.MONTH, "9999-12"), (SpanKind.DAY, "9999-12-31"),
    ],
)  # fmt: skip
def test_what_is_no_period_is_refused(kind: SpanKind, name: str) -> None:
    with pytest.raises(OutOfDomain):
        span_of(kind, name, SHANGHAI)


@pytest.mark.parametrize(
    ("day", "names"),
    [
        (date(2026, 10, 1), ["2026Q3", "2026-09", "2026-09-30"]),
        (date(2026, 1, 31), ["2025Q4", "2025-12", "2026-01-30"]),
        (date(2026, 12, 31), ["2026Q3", "2026-11", "2026-12-30"]),
    ],
)
def test_without_a_name_it_is_the_one_that_ended_last(day: date, names: list[str]) -> None:
    assert [span_before(kind, day, SHANGHAI).name for kind in SpanKind] == names
