"""A scenario for each quality rule: what happens at the well of `site.py` that this rule is there for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from agent.intakes.settings import Certificate, Permit, Pipe, StatusChange, Use
from simulators.irrigation import DAY_MS, HOUR_MS, MINUTE_MS
from simulators.plant_long import LongPlant, Turn, Unit
from simulators.plant_meters import FlowMeter, Sensor
from simulators.scenarios import changes, site
from simulators.scenarios.scenario import Change, Fixture, Scenario

Build = Callable[[str, int], Scenario]
_BEGIN_MS = site.BEGIN_MS
_NOON_MS = _BEGIN_MS + 5 * DAY_MS + 12 * HOUR_MS  # of a day on which the pump runs from 8 to 16 o'clock
_EVENING_MS = _BEGIN_MS + 5 * DAY_MS + 20 * HOUR_MS
_FOREVER_MS = site.END_MS + DAY_MS
_DAYS = 8


def days(scenario: Scenario, count: int, *others: Turn, runs: bool = True) -> Scenario:
    """So many days of it, each with a run from 8 to 16 o'clock, and further runs in the order of time."""
    daily = [Turn(_at(day, 8), _at(day, 16), opening=0.85) for day in range(count)] if runs else []
    turns = tuple(sorted([*daily, *others]))
    return replace(
        scenario,
        plant=LongPlant([Unit(form=site.FORM, turns=turns)], begin_ms=_BEGIN_MS, epoch_ms=site.EPOCH_MS),
        end_ms=_BEGIN_MS + count * DAY_MS,
    )


def _at(day: int, hour: float) -> int:
    return _BEGIN_MS + day * DAY_MS + round(hour * HOUR_MS)


def _told(scenario: Scenario, rule: str, *happens: Change, follows: Sequence[str] = ()) -> Scenario:
    return replace(scenario, raises=frozenset({rule}), follows=frozenset(follows), changes=happens)


def _no_data(name: str, seed: int) -> Scenario:
    """The flow meter does not answer for 26 hours; so the day's rate falls."""
    silent = changes.silent(_NOON_MS, _NOON_MS + 26 * HOUR_MS, "main-flow")
    return _told(days(site.metered(name, seed), _DAYS), "R1", silent, follows=["R5"])


def _long_zero(name: str, seed: int) -> Scenario:
    """In use, in the season, and 20 days without water."""
    last = Turn(_at(0, 8), _at(0, 16))
    return _told(days(site.metered(name, seed), 22, last, runs=False), "R2")


def _huge(name: str, seed: int) -> Scenario:
    """A pulse counter gains 400 m³ between two polls; it has no flow that would contradict it."""
    jump = changes.added(_NOON_MS, _FOREVER_MS, "main-flow", "volume_forward", Decimal(400))
    only = changes.only("main-flow", "volume_forward")
    return _told(days(site.metered(name, seed), _DAYS), "R3", only, jump)


def _negative(name: str, seed: int) -> Scenario:
    """A register falls by 900 m³ and nobody says why."""
    fall = changes.added(_NOON_MS, _FOREVER_MS, "main-flow", "volume_forward", Decimal(-900))
    only = changes.only("main-flow", "volume_forward")
    return _told(days(site.metered(name, seed), _DAYS), "R4", only, fall)


def _frequency(name: str, seed: int) -> Scenario:
    """One poll in eight does not take place."""
    return _told(days(site.metered(name, seed), _DAYS), "R5", changes.missing("main-flow", 0.14, seed))


def _spike(name: str, seed: int) -> Scenario:
    """One value 35 m³/h too high; flow times time then differs from what the register counted."""
    spike = changes.added(_NOON_MS, _NOON_MS + site.PERIOD_MS, "main-flow", "flow_rate", Decimal(35))
    return _told(days(site.metered(name, seed), _DAYS), "R6", spike, follows=["R10"])


def _rate(name: str, seed: int) -> Scenario:
    """Polled every minute: a second outlet is opened at noon, and the flow is three times as much within seconds."""
    turns = [
        part
        for day in range(4)
        for part in (Turn(_at(day, 8), _at(day, 12), opening=0.18), Turn(_at(day, 12), _at(day, 16), opening=1.0))
    ]
    scenario = days(site.metered(name, seed), 4, *turns, runs=False)
    settings = replace(scenario.settings, periods_ms={"main-flow": MINUTE_MS})
    return _told(replace(scenario, settings=settings, period_ms=MINUTE_MS), "R7")


def _frozen(name: str, seed: int) -> Scenario:
    """The flow stands still to the last digit for an hour, while the register counts on."""
    held = changes.held(_NOON_MS, _NOON_MS + HOUR_MS, "main-flow", "flow_rate")
    return _told(days(site.metered(name, seed), _DAYS), "R8", held)


def _stuck(name: str, seed: int) -> Scenario:
    """The register stands still for half an hour of flow, and goes on from there."""
    stuck = changes.lost(_NOON_MS, _NOON_MS + HOUR_MS // 2, "main-flow", "volume_forward")
    return _told(days(site.metered(name, seed), _DAYS), "R9", stuck, follows=["R10"])


def _flow_total(name: str, seed: int) -> Scenario:
    """The flow is shown in the wrong range: a fifth too much for what the register counts."""
    register = site.flow_register(seed)
    sensor = Sensor(gain=1.2, noise=0.25, decimals=3)
    fixture = Fixture("main-flow", lambda: FlowMeter(register, flow=sensor))
    scenario = days(site.metered(name, seed), _DAYS)
    return _told(replace(scenario, fixtures=(fixture,)), "R10")


def _energy_water(name: str, seed: int) -> Scenario:
    """The flow meter counts 30 % too little."""
    register = replace(site.flow_register(seed), error_ppm=-300_000)
    sensor = Sensor(gain=0.7, noise=0.25, decimals=3)
    scenario = days(site.checked(name, seed), _DAYS)
    fixture = Fixture("main-flow", lambda: FlowMeter(register, flow=sensor))
    return _told(replace(scenario, fixtures=(*scenario.fixtures[:-1], fixture)), "R11")


def _power_flow(name: str, seed: int) -> Scenario:
    """One evening the pump turns for an hour behind a closed valve."""
    dry = Turn(_EVENING_MS, _EVENING_MS + HOUR_MS, is_dry=True)
    return _told(days(site.checked(name, seed), _DAYS, dry), "R12")


def _range(name: str, seed: int) -> Scenario:
    """A pipe of 90 mm: the water runs faster than 3 m/s."""
    scenario = days(site.metered(name, seed), _DAYS)
    return _told(replace(scenario, settings=replace(scenario.settings, pipe=Pipe(dn_mm=Decimal(90)))), "R13")


def _clock(name: str, seed: int) -> Scenario:
    """The clock is set back by a poll: one time occurs twice."""
    return _told(days(site.metered(name, seed), _DAYS), "R14", changes.set_back(_NOON_MS, site.PERIOD_MS))


def _certificate(name: str, seed: int) -> Scenario:
    """The flow meter's certificate ended a month ago."""
    scenario = days(site.metered(name, seed), _DAYS)
    certificate = Certificate(number="LL-2024-118", issued=date(2024, 2, 1), valid_until=date(2026, 1, 31))
    (water,) = scenario.settings.water
    settings = replace(scenario.settings, water=(replace(water, certificate=certificate),))
    return _told(replace(scenario, settings=settings), "R15")


def _config(name: str, seed: int) -> Scenario:
    """Somebody set another CT ratio in the energy meter than the archive's."""
    right = changes.shows(_BEGIN_MS, _NOON_MS, "pump-kwh", {"ct_ratio": site.CT_RATIO})
    wrong = changes.shows(_NOON_MS, _FOREVER_MS, "pump-kwh", {"ct_ratio": Decimal(30)})
    return _told(days(site.converted(name, seed), _DAYS), "R16", right, wrong)


def _permitted(scenario: Scenario, permit: Permit) -> Scenario:
    return replace(scenario, settings=replace(scenario.settings, permit=permit))


def _permit(name: str, seed: int) -> Scenario:
    """A permit of 25 000 m³ a year, and 40 days of irrigation."""
    permit = Permit(number="D430281G2021-0001", annual_m3=Decimal(25_000), valid_until=date(2027, 12, 31))
    return _told(_permitted(days(site.metered(name, seed), 40), permit), "R17")


def _plan(name: str, seed: int) -> Scenario:
    """A plan of 10 000 m³ for the quarter, and 20 days of irrigation in it."""
    permit = Permit(
        number="D430281G2021-0001",
        annual_m3=Decimal(1_000_000),
        plan_m3=(Decimal(10_000), *[Decimal(300_000)] * 3),
        valid_until=date(2027, 12, 31),
    )
    return _told(_permitted(days(site.metered(name, seed), 20), permit), "R18")


def _licence(name: str, seed: int) -> Scenario:
    """The permit ends on 20 March."""
    permit = Permit(number="D430281G2021-0001", annual_m3=Decimal(250_000), valid_until=date(2026, 3, 20))
    return _told(_permitted(days(site.metered(name, seed), 25), permit), "R19")


def _status(name: str, seed: int) -> Scenario:
    """Sealed since 4 March, and pumping."""
    scenario = days(site.metered(name, seed), _DAYS)
    statuses = (StatusChange(use=Use.IN_USE), StatusChange(use=Use.SEALED, since=date(2026, 3, 4)))
    return _told(replace(scenario, settings=replace(scenario.settings, statuses=statuses)), "R20")


def _supply(name: str, seed: int) -> Scenario:
    """Phase B is lost for an hour of a run."""
    sound = {f"voltage_{phase}": Decimal("231.4") for phase in "abc"}
    lost = changes.shows(_NOON_MS, _NOON_MS + HOUR_MS, "pump-kwh", {"voltage_b": Decimal("112.0")})
    always = changes.shows(_BEGIN_MS, _FOREVER_MS, "pump-kwh", sound)
    return _told(days(site.converted(name, seed), _DAYS), "R21", always, lost)


SCENARIOS: Mapping[str, Build] = MappingProxyType(
    {
        "r1-no-data": _no_data,
        "r2-long-zero": _long_zero,
        "r3-huge": _huge,
        "r4-negative": _negative,
        "r5-frequency": _frequency,
        "r6-spike": _spike,
        "r7-rate-of-change": _rate,
        "r8-frozen": _frozen,
        "r9-stuck": _stuck,
        "r10-flow-total": _flow_total,
        "r11-energy-water": _energy_water,
        "r12-power-flow": _power_flow,
        "r13-range": _range,
        "r14-clock": _clock,
        "r15-certificate": _certificate,
        "r16-config-change": _config,
        "r17-near-permit": _permit,
        "r18-near-plan": _plan,
        "r19-licence": _licence,
        "r20-status": _status,
        "r21-supply": _supply,
    }
)
