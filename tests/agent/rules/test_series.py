"""Rules over a series: the levels at their bounds. The worked cases are in tests/vectors."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.derive.exact import OutOfDomain
from agent.derive.flags import Qartod
from agent.rules.compliance import prewarning, upload_rate
from agent.rules.series import flow_total_consistency, frozen_flow, huge_value, long_zero

D = Decimal
FLOWS = st.lists(st.decimals(0, 5, places=3), max_size=40)


@given(FLOWS, st.integers(1, 6), st.integers(1, 10))
def test_a_frozen_flow_is_judged_by_the_longest_repeat_that_ends_with_it(flows, suspect, fail):
    eps = D("0.5")
    levels = frozen_flow(flows, eps_m3h=eps, suspect_count=suspect, fail_count=fail)
    for index, (flow, found) in enumerate(zip(flows, levels, strict=True)):
        count = max(
            index - begin + 1
            for begin in range(index + 1)
            if all(abs(value - flows[begin]) <= eps for value in flows[begin : index + 1])
        )
        wanted = Qartod.FAIL if count >= fail else Qartod.SUSPECT if count >= suspect else Qartod.PASS
        assert found == (Qartod.PASS if abs(flow) <= eps else wanted)


@given(FLOWS, st.integers(1, 40))
def test_a_frozen_flow_is_never_judged_again_later(flows, length):
    assert frozen_flow(flows[:length]) == frozen_flow(flows)[:length]


def test_a_flow_without_any_value_has_no_level():
    assert frozen_flow([]) == []
    assert huge_value([], most_m3=D(1)) == []


def test_a_flow_of_zero_and_a_total_that_moves_fails_beyond_the_floor():
    totals = [D(0), D("0.5"), D("1.01")]
    levels = flow_total_consistency([D(0), D(0)], totals, duration_h=D(1))
    assert levels == [Qartod.PASS, Qartod.FAIL]


def test_a_zero_day_with_energy_fails_and_stays_in_the_streak():
    volumes, energies = [D(0)] * 3, [D(0), D(5), D(0)]
    assert long_zero(volumes, energies, pump_on_kwh=D(5), suspect_days=3) == [1, 4, 3]


@pytest.mark.parametrize(
    "asked",
    [
        lambda: long_zero([D(0)], [], pump_on_kwh=D(1)),
        lambda: flow_total_consistency([D(0)], [D(0)], duration_h=D(1)),
        lambda: flow_total_consistency([D(0)], [D(0), D(0)], duration_h=D(0)),
        lambda: huge_value([D(1)], most_m3=D(0)),
        lambda: upload_rate(scheduled=0, on_time=0, late=0),
        lambda: upload_rate(scheduled=1, on_time=-1, late=0),
        lambda: prewarning(
            permit_m3=D(0), used_m3=D(0), mean_m3_per_day=D(0), days_left=D(0), levels_pct=[]
        ),
    ],
)  # fmt: skip
def test_what_a_rule_is_not_defined_for_is_refused(asked):
    with pytest.raises(OutOfDomain):
        asked()


def test_a_level_is_reached_at_its_very_value_and_the_permit_exceeded_only_above_it():
    at = prewarning(
        permit_m3=D(100), used_m3=D(90), mean_m3_per_day=D(1), days_left=D(10), levels_pct=[80, 90, 100]
    )  # fmt: skip
    assert (at.level_reached, at.forecast_exceeds) == (90, False)
