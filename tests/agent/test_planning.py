"""The predicted cycle of a line: characters, silences and the meter's delay, against the poll periods."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import load
from agent.planning import TURNAROUND_S, LinePlan, plans_of
from agent.settings import Config
from agent.uplinks.registry import settings_models
from agent.wiring import cost_of, wire_of
from drivers.registry import DRIVERS

PROFILE = """\
profile: one
title: {zh: 一, en: one}
source: none
protocol: modbus
items: [{quantity: flow_rate, table: holding, register: 0, type: f32}]
"""


def plans(tmp_path: Path, lines: str, meters: str) -> tuple[LinePlan, ...]:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "one.yaml").write_text(PROFILE, encoding="utf-8")
    file = tmp_path / "agent.yaml"
    file.write_text(f"station: {{id: a}}\nlines: {{{lines}}}\nmeters: {{{meters}}}\n", encoding="utf-8")
    config: Config = load(file, drivers=DRIVERS, uplink_settings=settings_models())
    return plans_of(config, drivers=DRIVERS, wire_of=wire_of, cost_of=cost_of)


def test_a_serial_request_costs_its_characters_two_silences_and_the_meters_delay(tmp_path: Path) -> None:
    """9600 8E1: 11 bits a character; 8 characters asked, 9 answered; silences of 3.5 (Modbus over serial line)."""
    (plan,) = plans(
        tmp_path,
        "bus: {port: /dev/ttyS0, baud: 9600, parity: even}",
        'm: {line: bus, profile: one, address: "1", poll: 1s}',
    )
    assert plan.cycle_s == pytest.approx((8 + 9 + 2 * 3.5) * 11 / 9600 + TURNAROUND_S)
    assert plan.load == pytest.approx(plan.cycle_s)


def test_above_19200_baud_the_silence_is_fixed(tmp_path: Path) -> None:
    (plan,) = plans(
        tmp_path,
        "bus: {port: /dev/ttyS0, baud: 115200, silence: 2ms}",
        'm: {line: bus, profile: one, address: "1", poll: 1s}',
    )
    assert plan.cycle_s == pytest.approx(17 * 10 / 115200 + 2 * (0.00175 + 0.002) + TURNAROUND_S)


def test_the_load_adds_up_over_meters_of_different_periods_and_lines_stay_apart(tmp_path: Path) -> None:
    bus, lan = plans(
        tmp_path,
        'bus: {port: /dev/ttyS0, baud: 9600}, lan: {tcp: "h:502"}',
        'a: {line: bus, profile: one, address: "1", poll: 100ms}, '
        'b: {line: bus, profile: one, address: "2", poll: 1s}, '
        'c: {line: lan, profile: one, address: "1", poll: 1s}',
    )
    one_s = (17 + 7) * 10 / 9600 + TURNAROUND_S
    assert [meter.settings.name for meter in bus.meters] == ["a", "b"]
    assert bus.cycle_s == pytest.approx(2 * one_s)
    assert bus.load == pytest.approx(one_s / 0.1 + one_s / 1)
    assert lan.cycle_s == pytest.approx(TURNAROUND_S)


def test_behind_a_transparent_serial_server_the_serial_side_counts(tmp_path: Path) -> None:
    (plan,) = plans(
        tmp_path,
        'far: {tcp: "h:4001", framing: rtu, baud: 1200}',
        'm: {line: far, profile: one, address: "1", poll: 1s}',
    )
    assert plan.cycle_s == pytest.approx(24 * 10 / 1200 + TURNAROUND_S)
