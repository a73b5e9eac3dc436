"""The worked examples of the electricity sheet (§11), from rounds and declarations to the intake's water."""

from __future__ import annotations

from agent.derive.physics import FOOT_M, US_GALLON_M3
from agent.intakes.settings import Channel, PumpSource
from tests.agent.intakes.rounds import HOUR, MINUTE, START, STEP, D, Store, coefficient, converted, heard

DEPTH = Channel(meter="depth", quantity="depth_to_water")


def water(rounds, record, **site):
    found = Store(converted(**site))
    found.declare(record)
    return found.hear(*rounds).totals()[-1]


def physical(eta, head_m):
    return coefficient(
        model="physical", params={"eta": str(eta), "discharge_height_m": str(head_m), "static_level_m": "0"}
    )


def one_interval(energy_kwh, duration_h):
    return [
        heard(1, "pump-kwh", START, energy_import=1000),
        heard(2, "pump-kwh", START + duration_h * HOUR, energy_import=1000 + energy_kwh),
    ]


def near(value, expected, rel):
    return abs(value / D(str(expected)) - 1) <= D(str(rel))


def test_example_1_a_published_pump():
    """800 gpm for 1,000 h, 250 ft, 0.69 overall, 54,604 kWh: 181,700 m³; the physical model 181,510 m³."""
    found = water(one_interval(54604, 1000), physical("0.69", 250 * FOOT_M), rated_kw=D(60))
    assert near(found, 181_510, 0.0005)
    assert near(found, 181_700, 0.0015)


def test_example_2_the_constant_of_a_rule():
    """10,000 kWh, 0.75 × 0.90, 200 ft: 10,752,750 gal = 40,704 m³; first principles 40,648 m³."""
    found = water(one_interval(10_000, 200), physical("0.675", 200 * FOOT_M), rated_kw=D(60))
    assert near(found, 40_648, 0.0005)
    assert near(found, 10_752_750 * US_GALLON_M3, 0.002)


def test_example_3_a_level_model_with_its_sensor():
    """Tc 2.60 at 28 m, 2.00 at 40 m: at 34 m e = 0.44231, Tc = 2.2609."""
    low, high = 1 / D("2.60"), 1 / D("2.00")
    slope = (high - low) / 12
    record = coefficient(
        model="affine_level",
        params={"a": str(low - 28 * slope), "b": str(slope)},
        basis={"depth_range_m": ["28", "40"]},
    )
    rounds = [
        heard(1, "depth", START, depth_to_water=34),
        heard(2, "pump-kwh", START, energy_import=100),
        heard(3, "depth", START + STEP, depth_to_water=34),
        heard(4, "pump-kwh", START + STEP, energy_import=101),
    ]
    assert near(water(rounds, record, depth=DEPTH), 2.2609, 0.0001)
    level = Channel(meter="depth", quantity="level", datum_m=D("102.5"))
    above = [each._replace(values={"level": D("68.5")}) if each.meter == "depth" else each for each in rounds]
    assert near(water(above, record, depth=level), 2.2609, 0.0001)


def test_example_3_without_the_sensor_falls_back_and_says_so():
    found = Store(converted(depth=DEPTH, pumps=(PumpSource(id="p", coefficients=("W7", "W8"), running_kw=D(14)),)))
    found.declare(coefficient(1, model="affine_level", params={"a": "0.081", "b": "0.0103"}))
    found.declare(coefficient(2, id="W8"))
    found.hear(heard(1, "pump-kwh", START, energy_import=100), heard(2, "pump-kwh", START + STEP, energy_import=101))
    assert found.totals() == [D("2.2")]
    assert found.now[0].quality["volume_withdrawn"] == ("HEAD_FALLBACK",)


def test_example_4_six_runs_of_two_phases():
    """6 starts, 22 m³ and 8 kWh each, Tc_s 2.20, 400 kWh: 906.4 m³."""
    record = coefficient(
        model="two_phase", params={"drop_volume_m3": "22", "drop_energy_kwh": "8", "tc_stable": "2.20"}
    )
    rounds, register, at_ms = [], D(1000), START
    for _ in range(6):
        for step in [D(0), *[D(400) / 60] * 10]:  # ten steps of a run, one of rest
            rounds.append(heard(len(rounds) + 1, "pump-kwh", at_ms, energy_import=register))
            at_ms, register = at_ms + 30 * MINUTE, register + step
    rounds.append(heard(len(rounds) + 1, "pump-kwh", at_ms, energy_import=register))
    assert near(water(rounds, record), D("906.4"), 1e-6)


def test_a_gauge_in_kpa_makes_the_head_of_a_physical_model():
    """0.25 MPa adds 25.5 m (§3.4): K·0.5/(20 + 25.5) m³/kWh."""
    record = coefficient(model="physical", params={"eta": "0.5", "static_level_m": "20", "has_gauge": True})
    rounds = [
        heard(1, "pump-kwh", START, energy_import=100, pressure=250),
        heard(2, "pump-kwh", START + STEP, energy_import=101, pressure=250),
    ]
    found = water(rounds, record, pressure=Channel(meter="pump-kwh", quantity="pressure"))
    assert near(found, D("367.098") * D("0.5") / D("45.493"), 0.0001)
