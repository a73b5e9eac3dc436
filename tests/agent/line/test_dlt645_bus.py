"""DL/T 645 meters polled over real bytes: beside a Modbus meter of another rate, in several frames, refusing blocks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent import config
from agent.clock import SystemClock
from agent.faults import FaultCode
from agent.model import Round
from agent.poll import Poller
from agent.wiring import make_line, make_meters
from drivers.registry import DRIVERS
from simulators.meters.bus import SimulatedLine
from simulators.meters.line_settings import SimulatedLineSettings
from simulators.meters.meter import SimulatedMeter
from simulators.meters.record import Answered
from tests.agent.line.bus import PROFILE, Sink
from tests.fakes import KeptFaults, QuietLog

POWER = "000000000645"
SHOWN = {
    "energy_import": "123456.78",
    "energy_export": "12.34",
    "power": "-5.1234",
    "voltage_a": "225.6",
    "voltage_b": "230.5",
    "voltage_c": "219.9",
    "current_a": "0.188",
    "current_b": "12.345",
    "current_c": "-0.916",
    "power_factor": "-0.501",
    "frequency": "49.98",
    "status": ["relay_open", "voltage_lost_b"],
}
MIXED = """
station: {{id: t}}
lines: {{bus: {{port: {path}, timeout: 500ms}}}}
meters:
  water: {{line: bus, profile: two, address: "1", poll: 100ms, baud: 9600, parity: none}}
  power: {{line: bus, profile: {profile}, address: "{address}", poll: {poll}{more}}}
"""


class Station:
    """Water and power meters on one simulated bus, and the poller that reads them."""

    def __init__(self, directory: Path, *, profile: str, shown: Mapping[str, Any], poll: str, more: str) -> None:
        path = directory / "bus"
        (directory / "profiles").mkdir()
        (directory / "profiles" / "two.yaml").write_text(PROFILE, encoding="utf-8")
        text = MIXED.format(path=path, profile=profile, address=POWER, poll=poll, more=more)
        (directory / "agent.yaml").write_text(text, encoding="utf-8")
        loaded = config.load(directory / "agent.yaml", drivers=DRIVERS, uplink_settings={})
        self.answers: list[Answered] = []
        self.meters = {
            name: SimulatedMeter(
                name,
                profile=loaded.profiles[meter.profile],
                address=meter.address,
                values={"flow_rate": 111, "pressure": 222} if name == "water" else shown,
                baud=meter.baud,
                parity=meter.parity,
            )
            for name, meter in loaded.meters.items()
        }
        settings = SimulatedLineSettings(name="bus", pty=path, strict=True)
        self.far = SimulatedLine(settings, tuple(self.meters.values()), observers=[self.answers.append])
        self.sink, self.faults = Sink(), KeptFaults()
        clock, line = SystemClock("host"), loaded.lines["bus"]
        self.poller = Poller(
            "bus",
            line=make_line(line, clock=clock),
            meters=make_meters(loaded, line),
            sink=self.sink,
            clock=clock,
            faults=self.faults,
            log=QuietLog(),
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.poller.run, args=(self._stop, lambda: None), daemon=True)

    def until(self, *, rounds: int) -> list[Round]:
        """So many rounds of the power meter."""
        self._thread.start()
        self.sink.reached(lambda: len(self.sink.of("power")) >= rounds)
        return self.sink.of("power")

    def stop(self) -> None:
        self._stop.set()
        self.poller.nudge()
        if self._thread.is_alive():
            self._thread.join(5)
            assert not self._thread.is_alive()


@contextmanager
def station(
    directory: Path,
    *,
    profile: str = "dlt645-2007",
    shown: Mapping[str, Any] = SHOWN,
    poll: str = "1s",
    more: str = "",
) -> Iterator[Station]:
    made = Station(directory, profile=profile, shown=shown, poll=poll, more=more)
    with made.far:
        try:
            yield made
        finally:
            made.stop()


def texts(found: Round) -> dict[str, Any]:
    return {
        quantity: sorted(value) if isinstance(value, frozenset) else None if value is None else f"{value.normalize():f}"
        for quantity, value in zip(found.layout.quantities, found.values, strict=True)
    }


def test_a_modbus_meter_at_9600_8n1_and_a_dlt645_meter_at_2400_8e1_share_one_port(tmp_path: Path) -> None:
    quantities = ["energy_import", "power", "voltage_a", "voltage_b"]
    with station(tmp_path, poll="2s", more=f", quantities: {quantities}") as made:
        rounds = made.until(rounds=3)
        for found in rounds[:3]:
            assert texts(found) == {quantity: SHOWN[quantity] for quantity in quantities}
        water = made.sink.of("water")
        assert len(water) > 5, "the slow meter leaves time for the fast one"
        assert {found.values for found in water} == {(Decimal(111), Decimal(222))}
        assert made.faults.open.keys() <= {(FaultCode.LINE_OVERBOOKED, "line/bus")}
        stats = made.far.stats()
        assert (stats.dropped, stats.collided, stats.wrong_baud, stats.garbage_bytes) == (0, 0, 0, 0)


def test_a_1997_meter_is_read_at_1200(tmp_path: Path) -> None:
    shown = {"energy_import": "100", "power": "5.1234", "voltage_a": "220", "current_a": "12.34"}
    with station(tmp_path, profile="dlt645-1997-single", shown=shown) as made:
        assert texts(made.until(rounds=1)[0]) == shown


def test_an_answer_in_several_frames_is_read_to_its_end(tmp_path: Path) -> None:
    with station(tmp_path, more=", baud: 9600") as made:
        image = made.meters["power"].image
        image._snapshot = image.snapshot.with_memory({**image.memory(), "most": 9})  # four bytes of data a frame
        found = made.until(rounds=1)[0]
        assert texts(found) == SHOWN
        assert any(each.request[12:13] == b"\x12" for each in made.answers), "a follow-up was asked for"
        assert len(found.raw) == len(found.layout.requests)


def test_a_meter_that_refuses_blocks_is_asked_one_by_one_from_then_on(tmp_path: Path) -> None:
    with station(tmp_path, more=", baud: 9600") as made:
        made.meters["power"].mischief = [{"kind": "refuse_merged"}]
        first, second = made.until(rounds=2)[:2]
        assert texts(first) == texts(second) == SHOWN
        assert made.faults.times(FaultCode.METER_READ_SPLIT) == 1
        assert len(second.layout.requests) == 5 + 3 + 3 + 7


@pytest.mark.parametrize(
    ("mischief", "reason"),
    [
        ({"kind": "all_ones"}, "NOT_AVAILABLE"),
        ({"kind": "not_bcd"}, "NOT_BCD"),
        ({"kind": "exception", "code": 2}, "REFUSED"),
        ({"kind": "wrong_crc"}, "BAD_CHECKSUM"),
        ({"kind": "wrong_address"}, "WRONG_ADDRESS"),
        ({"kind": "wrong_function"}, "MALFORMED"),
        ({"kind": "wrong_count", "registers": -2}, "MALFORMED"),
        ({"kind": "cut"}, "MALFORMED"),
        ({"kind": "dead"}, "NO_REPLY"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else value,
)
def test_mischief_never_becomes_a_value(tmp_path: Path, mischief: dict[str, Any], reason: str) -> None:
    with station(tmp_path, more=", quantities: [energy_import], baud: 9600") as made:
        made.meters["power"].mischief = [mischief]
        found = made.until(rounds=1)[0]
        assert texts(found) == {"energy_import": None}
        assert found.quality == {"energy_import": (reason,)}


def test_noise_and_glued_answers_cost_no_value(tmp_path: Path) -> None:
    with station(tmp_path, more=", quantities: [energy_import], baud: 9600") as made:
        made.meters["power"].mischief = [{"kind": "glued"}, {"kind": "noise", "leading": 5, "trailing": 3}]
        assert texts(made.until(rounds=2)[1]) == {"energy_import": SHOWN["energy_import"]}
