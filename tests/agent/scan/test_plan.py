"""What a scan asks, in which order, and how long it says that takes."""

from __future__ import annotations

import pytest

from agent.line.ports import WireSettings
from agent.scan.plan import ScanPlan, Wanted, numbers_in, plan_of, settings_of, wholes_in
from agent.settings import SerialSettings
from drivers.registry import SEARCHES

OWN = SerialSettings(baud=4800, parity="even")


def wire(serial: SerialSettings) -> WireSettings:
    return WireSettings(baud=serial.baud, parity=serial.parity, stop_bits=serial.stop_bits)


def planned(wanted: Wanted, own: SerialSettings = OWN, *, framing: str = "rtu", is_serial: bool = True) -> ScanPlan:
    return plan_of(
        wanted,
        own=own,
        framing=framing,
        is_serial=is_serial,
        searches=SEARCHES,
        profiles={"modbus": 40},
        wire_of=wire,
    )


def test_the_settings_of_the_line_come_first_then_the_likely_ones() -> None:
    wanted = Wanted(protocols=("modbus",), numbers=(1,))
    settings = settings_of(wanted, OWN, is_serial=True)
    assert settings[:3] == (OWN, SerialSettings(), SerialSettings(parity="even"))
    assert len(settings) == len(set(settings)) == 14


def test_what_was_asked_for_is_all_that_is_tried() -> None:
    wanted = Wanted(protocols=("modbus",), numbers=(1,), bauds=(9600,), parities=("none",))
    assert settings_of(wanted, OWN, is_serial=True) == (SerialSettings(),)
    assert settings_of(wanted, OWN, is_serial=False) == (OWN,), "nobody sees the serial side of a network"


def test_everybody_is_asked_quickly_before_anybody_is_asked_patiently() -> None:
    plan = planned(Wanted(protocols=("modbus",), numbers=tuple(range(1, 33))))
    patient = [step.is_patient for step in plan.steps]
    assert patient == sorted(patient)
    assert patient.count(True) == 14
    assert plan.steps[0].serial == OWN
    quick = planned(Wanted(protocols=("modbus",), numbers=(1,), is_quick=True))
    assert not any(step.is_patient for step in quick.steps)


def test_the_search_of_32_addresses_at_9600_is_announced_with_less_than_a_minute() -> None:
    wanted = Wanted(protocols=("modbus",), numbers=tuple(range(1, 33)), bauds=(9600,), parities=("none",))
    plan = planned(wanted)
    # 32 questions of 8 characters; 200 and 600 ms of waiting; 50 ms to hear the line out, 3.5 characters of silence
    dead_s = sum(32 * (8 * 10 / 9600 + wait_s + 0.05 + 3.5 * 10 / 9600) for wait_s in (0.2, 0.6))
    assert dead_s < plan.seconds < 60


def test_a_slow_line_is_announced_longer() -> None:
    fast, slow = (
        planned(Wanted(protocols=("modbus",), numbers=(1, 2), bauds=(baud,), parities=("none",))).seconds
        for baud in (9600, 1200)
    )
    assert slow > fast


def test_on_a_network_there_is_one_setting() -> None:
    plan = planned(Wanted(protocols=("modbus",), numbers=(1, 2)), framing="tcp", is_serial=False)
    assert {step.serial for step in plan.steps} == {OWN}


def test_addresses_are_written_as_ranges() -> None:
    assert numbers_in("1-3,7, 2", 1, 247) == (1, 2, 3, 7)
    assert wholes_in("9600,2400", (2400, 9600)) == (9600, 2400)


@pytest.mark.parametrize("text", ["0-3", "3-1", "248", "a", "", "1-", "-3", "1,,2"])
def test_impossible_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        numbers_in(text, 1, 247)
