"""When a quarter may be frozen: after late data had their time, with everybody's data, by somebody, for a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.reports.freezing import Asked, frozen, record, refused, unreached
from agent.reports.report import Report, report_from
from agent.reports.spans import SpanKind, span_of
from tests.agent.reports.made import DAY_MS, ZONE, facts_of, report, standing

SPAN = span_of(SpanKind.QUARTER, "2026Q3", ZONE)
LATE_MS = SPAN.end_ms + 5 * DAY_MS
LI = Asked(who="Li Wei")


def draft(volume: str = "30", end_ms: int = SPAN.end_ms, **changes: object) -> Report:
    return report(facts_of([standing(SPAN.begin_ms, "0"), standing(end_ms, volume, **changes)]), span=SPAN)


def why(made: Report, asked: Asked = LI, *, last: Report | None = None, now_ms: int = LATE_MS) -> str | None:
    found = refused(made, last, asked, now_ms=now_ms)
    return None if found is None else found.code


def test_a_quarter_may_be_frozen_when_late_data_had_five_days() -> None:
    assert why(draft(), now_ms=LATE_MS - 1) == "too_early"
    assert why(draft(), now_ms=LATE_MS) is None
    assert why(draft(), replace(LI, is_early=True), now_ms=LATE_MS - 1) == "reason"
    assert why(draft(), replace(LI, is_early=True, reason="inspection"), now_ms=LATE_MS - 1) is None


@pytest.mark.parametrize("made", [draft(end_ms=SPAN.end_ms - 1), draft(unknown=True), report(facts_of([]), span=SPAN)])
def test_a_quarter_whose_data_do_not_reach_its_end_is_not_frozen(made: Report) -> None:
    assert unreached(made) == ["well-3"]
    assert why(made) == "not_reached"
    assert why(made, replace(LI, is_early=True, reason="the well is closed")) is None


@pytest.mark.parametrize("who", ["", "  "])
def test_somebody_freezes_it(who: str) -> None:
    assert why(draft(), Asked(who=who)) == "who"


def test_expired_coefficients_are_accepted_for_a_reason() -> None:
    assert why(draft(), replace(LI, accepts_expired=True)) == "reason"


def test_another_version_needs_a_reason_and_another_figure() -> None:
    first = frozen(draft(), LI, version=1, now_ms=LATE_MS)
    assert why(draft("31"), last=first) == "again"
    assert why(draft("31"), replace(LI, reason="a swap was entered late"), last=first) is None
    assert why(draft(), replace(LI, reason="again"), last=first, now_ms=LATE_MS + DAY_MS) == "same"


def test_the_record_holds_the_report_and_its_hash() -> None:
    made = frozen(draft(), replace(LI, reason=" late "), version=2, now_ms=LATE_MS)
    body = record(made, keep=[(1, 2), (9, 9)], key="aa", signature="bb")
    assert report_from(body["report"]) == made
    assert (body["version"], body["reason"], body["keep"]) == (2, "late", [[1, 2], [9, 9]])
    assert body["sha256"] == made.sha256
