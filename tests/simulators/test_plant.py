"""The simulated pump house: physics that agree with each other, and meters that show them."""

from __future__ import annotations

import itertools
import json
import math
import queue
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from agent.quantities import QUANTITIES as ALL
from simulators.meters.record import Answered
from simulators.plant import QUANTITIES, Plant, State
from simulators.plant_cli import PumpHouse, opened
from simulators.plant_form import GridForm, PipeForm, PlantForm, PumpForm, SecondForm, WellForm
from simulators.platforms.mqtt_archive import ReceivedRound
from simulators.truth import Journal, TruthLog, wrong_values

WATER_KN_M3 = 9.80665  # kN/m3: density 1000 kg/m3 times standard gravity, ISO 80000-3
HOUR_S = 3600
PATIENCE_S = 15.0
STATION = """
lines:
  lan: {tcp: "127.0.0.1:0"}
meters:
  flow: {line: lan, profile: l-mag, address: "1", values: {volume_forward: "777.25"}}
  kwh: {line: lan, profile: eastron-sdm630, address: "2", values: {energy_import: "4321.5"}}
plant: {seed: 3, speed: 60, tick: 50ms}
"""


def lived(steps: int, form: PlantForm | None = None) -> tuple[Plant, list[State]]:
    plant = Plant(form or PlantForm())
    states = [plant.start()]
    for _ in range(steps):
        states.append(plant.step(states[-1]))
    return plant, states


def test_the_same_seed_gives_the_same_day_and_another_seed_another():
    assert lived(3000)[1] == lived(3000)[1]
    assert lived(3000, PlantForm(seed=2))[1][-1] != lived(3000)[1][-1]


def test_a_state_needs_only_the_one_before_it():
    plant, states = lived(100)
    assert plant.step(states[50]) == states[51]


def test_totals_are_the_integral_of_what_flows_to_a_millionth_per_step():
    _, states = lived(2000)
    pairs = list(itertools.pairwise(states))
    volume = sum((before.flow_m3h + after.flow_m3h) / 2 / HOUR_S for before, after in pairs)
    energy = sum((before.power_kw + after.power_kw) / 2 / HOUR_S for before, after in pairs)
    assert float(states[-1].volume_m3) == pytest.approx(volume, abs=2000 * 0.5e-6)
    assert float(states[-1].energy_kwh) == pytest.approx(energy, abs=2000 * 0.5e-6)
    assert volume > 30


def test_counters_never_fall_and_are_cut_not_rounded():
    plant, states = lived(2000)
    totals = [plant.readings(state)["volume_forward"] for state in states]
    assert totals == sorted(totals)
    assert all(0 <= state.volume_m3 - total < Decimal("0.001") for state, total in zip(states, totals, strict=True))


def test_the_wells_water_balance_closes():
    _, states = lived(2000)
    storage_m2, capacity_m2h = 2.5, 12  # the defaults of WellForm
    taken = sum((before.flow_m3h + after.flow_m3h) / 2 for before, after in itertools.pairwise(states))
    inflow = sum(capacity_m2h * state.drawdown_m for state in states[:-1])
    assert states[-1].drawdown_m * storage_m2 == pytest.approx((taken - inflow) / HOUR_S, rel=1e-9)


def test_the_level_falls_while_the_pump_runs_and_recovers_when_it_rests():
    plant, states = lived(4000)
    resting = [place for place, state in enumerate(states) if state.speed == 0 and place > 100]
    assert states[resting[0] - 60].drawdown_m > 5
    assert states[resting[-1]].drawdown_m < states[resting[0]].drawdown_m
    shown = plant.readings(states[resting[0]])
    assert shown["level"] + shown["depth_to_water"] == Decimal("50.000")  # ground level


def test_flow_head_and_power_meet_on_the_pumps_curves():
    plant, states = lived(900)
    shown = plant.readings(states[-1])
    flow = float(shown["flow_rate"])
    head_m = 62 - (62 - 46) / 85**2 * flow**2  # the defaults of PumpForm: the curve through both points
    pipe_m = float(shown["pressure"]) / WATER_KN_M3 + 50 - float(shown["level"])  # wellhead pressure, lift to it
    assert head_m == pytest.approx(pipe_m, abs=0.01)
    hydraulic_kw = flow / HOUR_S * head_m * WATER_KN_M3
    efficiency = 0.74 * (1 - (flow / 85 - 1) ** 2)
    assert float(shown["power"]) == pytest.approx(0.06 + hydraulic_kw / efficiency / 0.88, abs=0.01)
    assert flow / HOUR_S / (math.pi / 4 * 0.15**2) == pytest.approx(float(shown["velocity"]), abs=1e-4)


@pytest.mark.parametrize("steps", [0, 2, 900])
def test_volts_amperes_and_kilowatts_agree(steps):
    plant, states = lived(steps)
    shown = {name: float(value) for name, value in plant.readings(states[-1]).items()}
    apparent_va = sum(shown[f"voltage_{phase}"] * shown[f"current_{phase}"] for phase in "abc")
    assert apparent_va * shown["power_factor"] == pytest.approx(shown["power"] * 1000, abs=3 * 0.005 * 240)
    assert 215 < shown["voltage_a"] < 245
    assert 49.5 < shown["frequency"] < 50.5


def test_a_pump_that_runs_dry_trips_and_waits():
    form = PlantForm(well=WellForm(specific_capacity=Decimal(2)), pump=PumpForm(on="10h"))
    _, states = lived(4000, form)
    assert any(not state.is_on for state in states)
    assert min(38 - state.drawdown_m for state in states) > 21  # a little below the intake at 22, never far


def test_every_quantity_of_the_plant_is_one_of_ours():
    assert set(ALL) >= QUANTITIES
    assert set(Plant(PlantForm()).readings(State())) == QUANTITIES


@pytest.fixture
def house(tmp_path: Path) -> PumpHouse:
    file = tmp_path / "station.yaml"
    file.write_text(STATION)
    return opened(file, [])


def test_meters_show_the_plant_and_their_counters_go_on_from_the_file(house):
    house.advance(10)  # 600 plant seconds
    flow, kwh = house.lines["lan"].meters["flow"], house.lines["lan"].meters["kwh"]
    shown = house.plant.readings(house.state)
    assert house.state.steps == 600
    assert flow.values["volume_forward"] == Decimal("777.25") + shown["volume_forward"]
    assert flow.values["flow_rate"] == shown["flow_rate"]
    assert float(str(kwh.values["energy_import"])) == pytest.approx(4321.5 + float(shown["energy_import"]), rel=1e-7)
    assert float(str(kwh.values["power"])) == pytest.approx(float(shown["power"]), rel=1e-7)


def test_the_journal_holds_exactly_what_was_answered(house, tmp_path):
    log = TruthLog(tmp_path / "truth.jsonl")
    meter = house.lines["lan"].meters["flow"]
    house.advance(10)
    log(Answered(line="lan", meter="flow", request=b"", reply=b"", early=False, heard_ns=0, at_ns=0,
                 snapshot=meter.image.snapshot))  # fmt: skip
    log.close()
    (line,) = (tmp_path / "truth.jsonl").read_text().splitlines()
    assert Decimal(json.loads(line)["values"]["volume_forward"]) == meter.values["volume_forward"]
    assert json.loads(line)["values"]["status"] == []


def served(at_ms: int, **values: object) -> str:
    return json.dumps({"at_ms": at_ms, "meter": "flow", "values": values}) + "\n"


def received(at: str, **values: object) -> ReceivedRound:
    return ReceivedRound("9f3c2a71-1", "flow", at, values)  # type: ignore[arg-type]


AT = "2026-11-21T08:00:00.000+08:00"
AT_MS = 1_795_219_200_000


@pytest.mark.parametrize(
    ("lines", "values", "wrong"),
    [
        ([served(AT_MS, flow_rate="12.50")], {"flow_rate": "12.5"}, []),
        ([served(AT_MS, flow_rate="12.5")], {"flow_rate": "12.6"}, ["flow_rate"]),
        ([served(AT_MS, flow_rate="12.5")], {"flow_rate": None}, []),  # missing is not wrong
        ([served(AT_MS, flow_rate=None)], {"flow_rate": "0"}, ["flow_rate"]),  # never 0 for what is missing
        ([served(AT_MS - 5000, flow_rate="12.5")], {"flow_rate": "12.5"}, ["flow_rate"]),  # the last value again
        ([served(AT_MS + 5000, flow_rate="12.5")], {"flow_rate": "12.5"}, ["flow_rate"]),
        ([served(AT_MS, status=["empty_pipe", "low_alarm"])], {"status": ["low_alarm", "empty_pipe"]}, []),
        ([served(AT_MS, status=[])], {"status": ["empty_pipe"]}, ["status"]),
        ([], {"flow_rate": "12.5"}, ["flow_rate"]),  # nobody served it
        ([served(AT_MS, flow_rate="1"), served(AT_MS + 40, flow_rate="2")], {"flow_rate": "2"}, []),
        ([served(AT_MS, flow_rate="1"), served(AT_MS, flow_rate="2")[:-1]], {"flow_rate": "2"}, ["flow_rate"]),
    ],
)
def test_a_reading_is_right_only_when_the_meter_served_it_then(lines, values, wrong):
    found = Journal(lines).wrong_values(received(AT, **values))
    assert [each.quantity for each in found] == wrong


def test_the_plant_serves_its_meters_and_keeps_the_journal_until_a_signal(tmp_path):
    from pymodbus.client import ModbusTcpClient  # noqa: PLC0415 - the witness that is not ours

    (tmp_path / "station.yaml").write_text(STATION)
    truth = tmp_path / "truth.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators", "plant", "station.yaml", "--truth", str(truth), "--json"],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    said: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: [said.put(line) for line in process.stdout], daemon=True).start()
    place = json.loads(said.get(timeout=PATIENCE_S))["lines"]["lan"]
    host, port = place.split(":")
    with ModbusTcpClient(host, port=int(port)) as client:
        answer = client.read_input_registers(4120, count=4, device_id=1)
        registers = answer.registers
        whole, part = (
            registers[0] << 16 | registers[1],
            client.convert_from_registers(registers[2:], client.DATATYPE.FLOAT32),
        )
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    process.communicate()
    (line,) = truth.read_text().splitlines()
    assert float(json.loads(line)["values"]["volume_forward"]) == pytest.approx(whole + part, abs=1e-6)
    assert whole >= 777


def test_a_mistake_in_the_file_is_shown_at_its_place(tmp_path):
    (tmp_path / "station.yaml").write_text(STATION.replace("seed: 3", "sede: 3"))
    done = subprocess.run(
        [sys.executable, "-m", "simulators", "plant", "station.yaml", "--lang", "en"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("station.yaml:7:9: plant.sede: ")
    assert "seed" in done.stderr


def test_wrong_values_are_found_in_what_a_platform_received(tmp_path):
    truth = tmp_path / "truth.jsonl"
    truth.write_text(served(AT_MS, flow_rate="12.5"))
    (wrong,) = wrong_values([received(AT, flow_rate="12.6"), received(AT, flow_rate="12.5")], truth)
    assert (wrong.value, wrong.served) == ("12.6", ("12.5",))


def test_meters_of_the_plant_end_are_swapped_and_stand_behind_transformers(tmp_path):
    file = tmp_path / "station.yaml"
    fitted = "{kwh: {digits: 4, ratio: 20, swaps: [{after: 5m, starts: 7, ratio: 10}]}, flow: {digits: 3}}"
    file.write_text(STATION.replace("tick: 50ms", f"tick: 50ms, meters: {fitted}").replace("4321.5", "9999.999"))
    house = opened(file, [])
    flow, kwh = house.lines["lan"].meters["flow"], house.lines["lan"].meters["kwh"]
    house.advance(4)  # 240 plant seconds, about 1 kWh
    first = house.plant.readings(house.state)
    assert float(str(kwh.values["energy_import"])) == pytest.approx(
        float(first["energy_import"]) / 20 - 0.001, abs=2e-3
    )
    assert float(str(kwh.values["power"])) == pytest.approx(float(first["power"]) / 20, abs=1e-3)
    house.advance(5)
    house.advance(9)
    last = house.plant.readings(house.state)
    assert flow.values["volume_forward"] == (Decimal("777.25") + last["volume_forward"]) % 1000
    assert 7 < float(str(kwh.values["energy_import"])) < 7 + float(last["energy_import"]) / 10
    assert float(str(kwh.values["power"])) == pytest.approx(float(last["power"]) / 10, abs=1e-3)


def test_years_seasons_pressure_and_other_loads_act_on_the_plant_of_seconds():
    def after_an_hour(**sections):
        plant, states = lived(1200, PlantForm(**sections))
        return {name: float(value) for name, value in plant.readings(states[-1]).items()}

    new = after_an_hour()
    worn = after_an_hour(pump=PumpForm(wear=Decimal("0.02"), age=Decimal(5)))
    assert worn["power"] - 0.06 == pytest.approx((new["power"] - 0.06) / 0.9, rel=1e-3)  # 2 % a year for 5 years
    assert worn["flow_rate"] == new["flow_rate"]
    low = after_an_hour(well=WellForm(season=Decimal(3), highest_day=Decimal(60)), first_day=Decimal(243))
    assert low["depth_to_water"] > new["depth_to_water"] + 2
    pressed = after_an_hour(pipe=PipeForm(pressure=Decimal(100)))
    assert pressed["flow_rate"] < new["flow_rate"]
    loaded = after_an_hour(grid=GridForm(auxiliary=Decimal("0.5")), second=SecondForm(power=Decimal(4)))
    assert loaded["power"] == pytest.approx(new["power"] + 4.5, abs=0.002)
    assert after_an_hour(pump=PumpForm(speed=Decimal("0.9")))["flow_rate"] < new["flow_rate"]
