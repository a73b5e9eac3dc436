"""What a centre may set from afar, and what that changes."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from agent.report.compose import Limit
from agent.uplinks.sl651 import parameters as sl651
from agent.uplinks.szy206 import parameters as szy206

HOUR = 3_600_000


def test_an_interval_of_hours_holds_and_one_that_does_not_divide_the_day_is_refused():
    assert sl651.in_force({"run:20": "6"}).every_ms == 6 * HOUR
    assert sl651.is_acceptable("run:20", "6")
    assert not sl651.is_acceptable("run:20", "5")
    assert not sl651.is_acceptable("run:20", "0")
    assert sl651.in_force({"run:20": "0"}).every_ms is None


def test_limits_are_taken_in_the_units_of_our_quantities():
    found = sl651.in_force({"run:42": "0.010", "run:49": "12.50", "run:4A": "1.00", "run:5B": "300.00"})
    assert found.limits[1, "flow_rate"] == Limit(change=Decimal("36.000"))
    assert found.limits[8, "flow_rate"] == Limit(change=Decimal("36.000"))
    assert found.limits[1, "level"] == Limit(high=Decimal("12.50"), low=Decimal("1.00"))
    assert found.limits[2, "pressure"] == Limit(high=Decimal("300.00"))


@pytest.mark.parametrize("name", ["basic:01", "basic:02", "basic:04", "basic:0B"])
def test_what_could_cut_the_station_off_is_refused(name: str):
    assert not sl651.is_acceptable(name, "0000000001")


def test_parameters_without_effect_are_kept_and_unknown_ones_refused():
    assert sl651.is_acceptable("run:23", "60")
    assert not sl651.is_acceptable("run:A9", "1")
    assert not sl651.is_acceptable("run:23", "AABB")


def test_szy206_intervals_and_limits_take_effect():
    values = {
        "A1": json.dumps({"kinds_bits": [1, 2], "intervals_min": {"1": 5, "2": 30}}),
        "17": json.dumps({"level_limits": [{"base_m": "0", "low_m": "1.00", "high_m": "9.50"}]}),
        "1F": json.dumps({"flow_limits": [{"value": "0.010", "unit": "m3/s"}, {"value": "50"}]}),
        "20/2/1": json.dumps({"kind": 2, "sensor_no": 1, "storage_interval_min": 5, "threshold": "3.5"}),
    }
    found = szy206.in_force(values)
    assert found.every_ms == 30 * 60_000
    assert found.limits[1, "level"] == Limit(low=Decimal("1.00"), high=Decimal("9.50"))
    assert found.limits[1, "flow_rate"] == Limit(high=Decimal("36.000"), change=Decimal("3.5"))
    assert found.limits[2, "flow_rate"] == Limit(high=Decimal(50))


def test_another_address_and_an_interval_off_the_wall_clock_are_refused():
    assert not szy206.is_acceptable("10", "{}")
    assert not szy206.is_acceptable("A1", json.dumps({"intervals_min": {"2": 7}}))
    assert szy206.is_acceptable("A1", json.dumps({"intervals_min": {"2": 5}}))
    assert szy206.is_acceptable("12", json.dumps({"work_mode": 1}))
