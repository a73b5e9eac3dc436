"""The line and its poller on a real pseudo-terminal with paced meters, and every mischief a bus knows."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from agent.faults import FaultCode
from agent.line.ports import LineHeldError, SerialPort
from tests.agent.line.bus import PROFILE, Bus

GOOD = (Decimal(111), Decimal(222))


@pytest.mark.parametrize(
    ("mischief", "reason"),
    [
        ({"kind": "wrong_crc"}, "BAD_CHECKSUM"),
        ({"kind": "wrong_address"}, "WRONG_ADDRESS"),
        ({"kind": "cut"}, "MALFORMED"),
        ({"kind": "wrong_function"}, "MALFORMED"),
        ({"kind": "wrong_count", "registers": 1}, "MALFORMED"),
        ({"kind": "wrong_count", "registers": -1}, "MALFORMED"),
        ({"kind": "exception", "code": 4}, "REFUSED"),
        ({"kind": "exception", "code": 11}, "NO_REPLY"),
        ({"kind": "exception", "code": 6}, "BUSY"),
        ({"kind": "dead"}, "NO_REPLY"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_a_wrong_answer_gives_no_value_but_its_name_and_a_fault(tmp_path, mischief, reason):
    with Bus(tmp_path) as bus:
        bus.mischief(1, mischief)
        bus.start()
        bus.sink.reached(lambda: bool(bus.sink.rounds))
        bus.stop()
    assert bus.sink.rounds[0].values == (None, None)
    assert set(bus.sink.rounds[0].quality.values()) == {(reason,)}
    code = FaultCode(f"METER-{reason.replace('_', '-')}")
    evidence = bus.faults.open[code, "meter/m1"]
    assert evidence["sent_hex"] == "01 03 00 00 00 01 84 0a"


@pytest.mark.parametrize(
    "mischief", [{"kind": "noise", "leading": 3}, {"kind": "noise", "trailing": 2}, {"kind": "glued"}]
)
def test_noise_around_an_answer_costs_nothing(tmp_path, mischief):
    with Bus(tmp_path) as bus:
        bus.mischief(1, mischief)
        bus.start()
        bus.sink.reached(lambda: len(bus.sink.rounds) >= 5)
        bus.stop()
    assert all(found.values == GOOD and not found.quality for found in bus.sink.rounds)


def test_a_late_answer_is_never_taken_for_that_of_another_question(tmp_path):
    """Two registers whose answers have the same shape, a meter that answers every third request after the timeout."""
    with Bus(tmp_path, timeout="200ms") as bus:
        bus.mischief(1, {"kind": "late", "period": 3, "delay": "350ms"})
        bus.start()
        bus.sink.reached(lambda: len(bus.sink.rounds) >= 12, 40)
        bus.stop()
    for found in bus.sink.rounds:
        assert all(value in {None, good} for value, good in zip(found.values, GOOD, strict=True))
    assert any(found.values == GOOD for found in bus.sink.rounds)


def test_failing_meters_leave_the_bus_to_the_living(tmp_path):
    with Bus(tmp_path, 6, poll="20ms") as bus:
        for number in (2, 4):
            bus.mischief(number, {"kind": "dead"})
        bus.start()
        bus.sink.reached(lambda: len(bus.sink.of("m2")) >= 2 and len(bus.sink.of("m1")) >= 200, 60)
        bus.stop()
        stats = bus.far.stats()
    dead = sum(len(bus.sink.of(name)) for name in ("m2", "m4"))
    assert dead < 0.05 * len(bus.sink.rounds)
    assert stats.early == 0
    lively = [len(bus.sink.of(f"m{number}")) for number in (1, 3, 5, 6)]
    assert max(lively) - min(lively) <= 2


def test_a_meter_that_comes_back_is_polled_again_and_its_fault_ends(tmp_path):
    with Bus(tmp_path, timeout="100ms") as bus:
        bus.mischief(1, {"kind": "dead"})
        bus.start()
        bus.sink.reached(lambda: bool(bus.sink.rounds))
        assert (FaultCode.METER_NO_REPLY, "meter/m1") in bus.faults.open
        bus.mischief(1)
        bus.sink.reached(lambda: bus.sink.rounds[-1].values == GOOD, 30)
        bus.stop()
    assert (FaultCode.METER_NO_REPLY, "meter/m1") not in bus.faults.open


def test_meters_of_different_speeds_share_one_bus(tmp_path):
    with Bus(tmp_path, 3, poll="100ms", meters={2: {"baud": 19200}, 3: {"baud": 9600}}) as bus:
        bus.start()
        bus.sink.reached(lambda: all(len(bus.sink.of(f"m{number}")) >= 5 for number in (1, 2, 3)))
        bus.stop()
        stats = bus.far.stats()
    assert all(found.values == GOOD for found in bus.sink.rounds)
    assert (stats.wrong_baud, stats.early) == (0, 0)


def test_an_adapter_that_echoes_is_read_past_its_echo(tmp_path):
    with Bus(tmp_path, far={"echo": True}) as bus:
        bus.start()
        bus.sink.reached(lambda: len(bus.sink.rounds) >= 5)
        bus.stop()
    assert all(found.values == GOOD for found in bus.sink.rounds)


def test_a_port_that_comes_back_is_opened_again(tmp_path):
    with Bus(tmp_path) as bus:
        bus.start()
        bus.sink.reached(lambda: len(bus.sink.rounds) >= 3)
        bus.far.stop()
        bus.sink.reached(lambda: any("LINE_DOWN" in str(found.quality) for found in bus.sink.rounds))
        assert (FaultCode.LINE_DOWN, "line/bus") in bus.faults.open
        seen = len(bus.sink.rounds)
        bus.far.start()
        bus.sink.reached(lambda: any(found.values == GOOD for found in bus.sink.rounds[seen:]))
        bus.stop()
    assert (FaultCode.LINE_DOWN, "line/bus") not in bus.faults.open


def test_a_held_port_names_its_holder(tmp_path):
    with Bus(tmp_path) as bus:
        script = (
            "import serial, sys; port = serial.Serial(sys.argv[1], exclusive=True); print('held', flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script, bus.far.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(LineHeldError) as raised:
                SerialPort(bus.far.path).open()
            assert f"pid {holder.pid} " in raised.value.holder
            assert "import serial" in raised.value.holder
            holder.communicate("\n", timeout=10)


def test_a_merged_read_that_is_refused_is_split_learned_and_said_once(tmp_path):
    profile = PROFILE.replace("register: 1000", "register: 4")
    with Bus(tmp_path, profile=profile) as bus:
        bus.start()
        bus.sink.reached(lambda: len(bus.sink.rounds) >= 6)
        bus.stop()
        stats = bus.far.stats()
    assert all(found.values == GOOD for found in bus.sink.rounds)
    assert all(b"" not in found.raw and len(found.raw) == 2 for found in bus.sink.rounds), "also of the first round"
    assert bus.faults.times(FaultCode.METER_READ_SPLIT) == 1
    assert stats.requests in {2 * len(bus.sink.rounds) + 1, 2 * len(bus.sink.rounds) + 2, 2 * len(bus.sink.rounds) + 3}


def test_a_person_reads_between_the_rounds(tmp_path):
    with Bus(tmp_path, 2) as bus:
        bus.mischief(2, {"kind": "dead"})
        bus.start()
        bus.sink.reached(lambda: len(bus.sink.of("m1")) >= 2)
        told = bus.poller.read("m1", 10)
        silent = bus.poller.read("m2", 10)
        before = len(bus.sink.of("m1"))
        bus.sink.reached(lambda: len(bus.sink.of("m1")) > before)
        bus.stop()
    assert told["values"] == {"flow_rate": "111", "pressure": "222"}
    assert told["exchanges"][0]["received_hex"] == "01 03 02 00 6f f8 68"
    assert silent["exchanges"][0]["error"] == "NO_REPLY"
    assert silent["values"] == {"flow_rate": None, "pressure": None}


def test_a_fault_left_open_by_an_earlier_run_ends_with_the_first_good_round(tmp_path):
    with Bus(tmp_path) as bus:
        for code in (FaultCode.METER_NO_REPLY, FaultCode.METER_READ_SPLIT):
            bus.faults.raised(code, "meter/m1")
        bus.start()
        bus.sink.reached(lambda: len(bus.sink.rounds) >= 2)
        bus.stop()
    assert not bus.faults.open
