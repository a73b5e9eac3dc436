"""The intakes of a configuration: every mistake at its place, defaults from the sheets, meters that people read."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import copy_of, load, load_copy
from agent.form.problems import FormErrors
from agent.intakes.settings import Channel, IntakeSettings, SourceType, Use
from agent.messages import Messages, problem_lines
from agent.rules.names import RULES
from agent.rules.table import RULES_BY_ID
from agent.settings import Config, ManualMeter
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

D = Decimal
METERS = """\
station: {id: a}
lines: {bus: {port: /dev/ttyUSB0}}
meters:
  flow: {line: bus, profile: tuf2000, address: "1", poll: 60s}
  second: {line: bus, profile: tuf2000, address: "2", poll: 5m}
  kwh: {line: bus, profile: eastron-sdm630, address: "3", poll: 60s}
  old: {manual: [volume_forward, depth_to_water]}
"""
FLOW = "intakes:\n  w: {code: '1', water: {meter: flow}}\n"
KWH = "intakes:\n  w: {code: '1', water: {electricity: kwh, coefficient: W7, rated_kw: 15}}\n"


def loaded(text: str) -> Config:
    return load(Path("/nowhere/agent.yaml"), text=text, drivers=DRIVERS, uplink_settings=settings_models())


def intake(text: str) -> IntakeSettings:
    return next(iter(loaded(METERS + text).intakes.values()))


def found(text: str) -> list[tuple[str, str]]:
    with pytest.raises(FormErrors) as caught:
        loaded(METERS + text)
    for lang in ("zh", "en"):
        told = list(problem_lines(Messages(lang), caught.value.problems))
        assert not any("form." in line for line in told), told
    return [(each.path, each.code) for each in caught.value.problems]


def test_the_sketch_of_the_product_is_a_configuration() -> None:
    text = """\
intakes:
  well-3:
    code: "4302810001"
    permit: {number: "D430281G2021-0001", annual_m3: 50000, valid_until: 2027-12-31}
    water: {meter: flow}
"""
    one = intake(text)
    assert (one.name, one.code, one.title, str(one.zone)) == ("well-3", "4302810001", "well-3", "Asia/Shanghai")
    assert one.permit is not None
    assert (one.permit.number, one.permit.annual_m3) == ("D430281G2021-0001", D(50000))
    assert one.permit.valid_until == date(2027, 12, 31)
    assert intake(FLOW.replace("water", "source: surface, water")).source is SourceType.SURFACE
    assert (one.source, one.is_converted, one.use_on(date(2026, 1, 1))) == (SourceType.GROUND, False, Use.IN_USE)
    assert one.periods_ms == {"flow": 60_000}


def test_defaults_are_those_of_the_sheets() -> None:
    """Thresholds: metering guideline §1.5; Q4: §3; energy: electricity-to-water §9.3."""
    one = intake("intakes: {w: {code: '1', range: {q3_m3h: 100}, water: {meter: flow}}}\n")
    thresholds = (one.obligation.surface_m3, one.obligation.ground_m3, one.obligation.head_mu)
    assert thresholds == (D(500_000), D(50_000), D(50_000))
    assert one.range.q4_m3h == D(125)
    energy = intake(KWH).energy
    assert energy is not None
    assert (energy.overload_factor, energy.pump_on_fraction, energy.standby_kw) == (D("1.5"), D("0.2"), None)
    assert (energy.ct_ratio, energy.pt_ratio, energy.register_is_primary, energy.digits) == (1, 1, False, 6)
    assert [(pump.coefficients, pump.running_kw) for pump in energy.pumps] == [(("W7",), D(15))]


def test_everything_that_can_be_said_of_an_intake_arrives() -> None:
    text = """\
intakes:
  w:
    code: "43/1"
    name: 三号井
    source: ground
    aquifer: deep
    water_zone: overdraft
    status: [{use: in_use}, {use: sealed, since: "2026-02-01"}]
    permit: {number: n, holder: h, annual_m3: 100.5, plan_m3: [1, 2, 3, 4], valid_from: 2024-01-01}
    category: irrigation_head
    area_mu: 12000
    online: {surface_m3: 300000, head_mu: 0}
    range: {q1_m3h: 1, q3_m3h: 100, q4_m3h: 110, start_m3h: 0.5}
    pipe: {dn_mm: 150, material: steel, up_cm: 150, down_cm: 75}
    season: [10-01, 03-31]
    water:
      meters:
        - flow
        - {meter: second, quantity: volume_reverse, digits: 7, step_m3: 0.1, class_pct: 1, serial: "x",
           certificate: {number: c, issued: 2025-03-01}}
    check:
      electricity: kwh
      rated_kw: 26
      ct: 100/5
      pt: 10000/100
      pumps:
        a: {coefficient: [W7, R1], running_kw: 14.6, running: kwh/power, rated_m3h: 80}
        b: {coefficient: W8, running_kw: 10.2, running: second/flow_rate}
      power: kwh/power
    heads: [old/depth_to_water]
    rules: {R3: {fail: 1.3, hold_off: 10m, min_samples: 2}, R8: {enabled: false}}
"""
    one = intake(text)
    assert (one.title, one.source, one.aquifer, one.water_zone) == ("三号井", SourceType.GROUND, "deep", "overdraft")
    assert [one.use_on(date(2026, 1, 31)), one.use_on(date(2026, 2, 1))] == [Use.IN_USE, Use.SEALED]
    assert one.permit is not None
    assert (one.permit.holder, one.permit.annual_m3, one.permit.plan_m3) == ("h", D("100.5"), (1, 2, 3, 4))
    assert (one.obligation.category, one.obligation.area_mu, one.obligation.surface_m3) == (
        "irrigation_head", D(12000), D(300_000),
    )  # fmt: skip
    assert one.obligation.head_mu == 0
    assert (one.range.q4_m3h, one.range.start_m3h, one.pipe.dn_mm, one.pipe.material) == (110, D("0.5"), 150, "steel")
    assert one.season == ((10, 1), (3, 31))
    first, second = one.water
    assert (first.meter, first.quantity, second.meter, second.quantity) == (
        "flow", "volume_forward", "second", "volume_reverse",
    )  # fmt: skip
    assert (second.digits, second.step_m3, second.class_pct, second.serial) == (7, D("0.1"), 1, "x")
    assert second.certificate is not None
    assert second.certificate.valid_until == date(2027, 2, 28), "two years where the certificate does not say"
    energy = one.energy
    assert energy is not None
    assert not one.is_converted
    assert (energy.ct_ratio, energy.pt_ratio, energy.power) == (20, 100, Channel(meter="kwh", quantity="power"))
    assert [(pump.id, pump.coefficients, pump.rated_m3h) for pump in energy.pumps] == [
        ("a", ("W7", "R1"), 80), ("b", ("W8",), None),
    ]  # fmt: skip
    assert one.meters == {"flow", "second", "kwh", "old"}
    assert one.periods_ms == {"flow": 60_000, "second": 300_000, "kwh": 60_000, "old": 30 * 86_400_000}
    assert (one.rules["R3"].fail, one.rules["R3"].hold_off_s, one.rules["R3"].min_samples) == (D("1.3"), 600, 2)
    assert not one.rules["R8"].enabled


def test_a_submerged_probe_gives_a_depth_below_its_datum() -> None:
    meters = METERS.replace("depth_to_water]", "level]")
    text = KWH.replace("rated_kw: 15", "rated_kw: 15, depth: old/level, datum_m: 60.5")
    energy = loaded(meters + text).intakes["w"].energy
    assert energy is not None
    assert energy.depth == Channel(meter="old", quantity="level", datum_m=D("60.5"))


def test_a_converted_intake_may_be_checked_by_a_flow_meter_that_does_not_count() -> None:
    one = intake(
        "intakes: {w: {code: '1', water: {electricity: kwh, coefficient: W7, rated_kw: 9}, check: {meter: flow}}}\n"
    )
    assert one.is_converted
    assert [each.meter for each in one.check_meters] == ["flow"]


def test_a_meter_without_a_line_is_read_by_people() -> None:
    config = loaded(METERS + FLOW)
    assert config.manual == {
        "old": ManualMeter(name="old", quantities=("volume_forward", "depth_to_water"), period_ms=30 * 86_400_000)
    }
    assert "old" not in config.meters
    assert config.quantities("old") == ("volume_forward", "depth_to_water")
    assert intake("intakes: {w: {code: '1', water: {meter: old}}}\n").water[0].meter == "old"


@pytest.mark.parametrize(
    ("meter", "expected"),
    [
        ("{manual: []}", ("meters.m.manual", "too-few")),
        ("{manual: [status]}", ("meters.m.manual[0]", "manual-quantity")),
        ("{manual: [volume_day]}", ("meters.m.manual[0]", "manual-quantity")),
        ("{manual: [power, power]}", ("meters.m.manual[1]", "named-twice")),
        ("{manual: [volume]}", ("meters.m.manual[0]", "quantity")),
        ("{manual: [power], period: 30}", ("meters.m.period", "duration")),
        ("{manual: [power], line: bus}", ("meters.m.line", "unknown-key")),
        ('{line: bus, profile: l-mag, address: "9", poll: 1m, period: 1d}', ("meters.m.period", "unknown-key")),
    ],
)
def test_what_is_wrong_with_a_meter_that_people_read_is_said(meter: str, expected: tuple[str, str]) -> None:
    assert found(f"  m: {meter}\n{FLOW}") == [expected]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("code: '1'", "code: 4302810001", ("intakes.w.code", "quote")),
        ("code: '1'", "code: 'a b'", ("intakes.w.code", "intake-code")),
        ("code: '1', ", "", ("intakes.w.code", "missing")),
        ("meter: flow", "meter: flaw", ("intakes.w.water.meter", "meter")),
        ("meter: flow", "meter: kwh", ("intakes.w.water.meter", "meter-without")),
        ("meter: flow", "meter: flow, quantity: energy_import", ("intakes.w.water.quantity", "choice")),
        ("meter: flow", "meter: old, quantity: volume_net", ("intakes.w.water.quantity", "meter-without")),
        ("meter: flow", "meters: []", ("intakes.w.water.meters", "too-few")),
        ("meter: flow", "meters: [flow, flow]", ("intakes.w.water.meters[1]", "total-taken")),
        ("meter: flow", "meters: [flow, 5]", ("intakes.w.water.meters[1]", "mapping")),
        ("meter: flow", "meter: flow, digits: 0", ("intakes.w.water.digits", "too-small")),
        ("meter: flow", "meter: flow, class_pct: 60", ("intakes.w.water.class_pct", "out-of-range")),
        ("meter: flow", "meter: flow, step: 1", ("intakes.w.water.step", "unknown-key")),
        ("water: {meter: flow}", "water: {}", ("intakes.w.water.meter", "missing")),
        ("water: {meter: flow}", "water: flow", ("intakes.w.water", "mapping")),
        (", water: {meter: flow}", "", ("intakes.w.water", "missing")),
        ("}}", "}, check: {meter: flow}}", ("intakes.w.check.meter", "check-same")),
        ("}}", "}, permit: {number: n, plan_m3: [1, 2]}}", ("intakes.w.permit.plan_m3", "plan-parts")),
        ("}}", "}, permit: {number: n, annual_m3: -1}}", ("intakes.w.permit.annual_m3", "out-of-range")),
        (
            "}}",
            "}, permit: {number: n, valid_from: 2026-01-02, valid_until: 2026-01-01}}",
            ("intakes.w.permit.valid_until", "ends-before"),
        ),
        ("}}", "}, permit: {number: n, valid_until: 2026-02-30}}", ("intakes.w.permit.valid_until", "date")),
        ("}}", "}, permit: {number: n, valid_until: 2026}}", ("intakes.w.permit.valid_until", "date")),
        ("}}", "}, range: {q1_m3h: 5, q3_m3h: 4}}", ("intakes.w.range.q3_m3h", "below")),
        ("}}", "}, range: {start_m3h: 5, q4_m3h: 4}}", ("intakes.w.range.q4_m3h", "below")),
        ("}}", "}, rules: {R3: {suspect: 2, fail: 1}}}", ("intakes.w.rules.R3.fail", "milder")),
        ("}}", "}, rules: {R10: {suspect: 0.3}}}", ("intakes.w.rules.R10.suspect", "milder")),
        ("}}", "}, rules: {R5: {fail: 96}}}", ("intakes.w.rules.R5.fail", "milder")),
        ("}}", "}, status: seald}", ("intakes.w.status", "choice")),
        ("}}", "}, status: [{use: sealed}, {use: in_use}]}", ("intakes.w.status[1]", "missing")),
        (
            "}}",
            "}, status: [{use: sealed, since: 2026-01-02}, {use: in_use, since: 2026-01-02}]}",
            ("intakes.w.status[1].since", "not-after"),
        ),
        (
            "meter: flow",
            "meter: flow, certificate: {issued: 2026-04-17, valid_until: 2026-04-16}",
            ("intakes.w.water.certificate.valid_until", "ends-before"),
        ),
        (
            "meter: flow",
            "meters: [flow, {meter: second, certificate: {issued: 2026-04-17, valid_until: 2025-04-17}}]",
            ("intakes.w.water.meters[1].certificate.valid_until", "ends-before"),
        ),
        ("}}", "}, source: surface, aquifer: deep}", ("intakes.w.aquifer", "aquifer-alone")),
        ("}}", "}, season: [04-31, 10-31]}", ("intakes.w.season", "season")),
        ("}}", "}, season: [04-01]}", ("intakes.w.season", "season")),
        ("}}", "}, heads: [flow/velocity]}", ("intakes.w.heads[0]", "channel-quantity")),
        ("}}", "}, heads: [flow/level]}", ("intakes.w.heads[0]", "meter-without")),
        ("}}", "}, heads: [flow]}", ("intakes.w.heads[0]", "meter-channel")),
        ("}}", "}, rules: {R22: {}}}", ("intakes.w.rules.R22", "rule")),
        ("}}", "}, rules: {R1: {fails: 1}}}", ("intakes.w.rules.R1.fails", "unknown-key")),
        ("}}", "}, archiv: x}", ("intakes.w.archiv", "unknown-key")),
        ("  w:", "  flow:", ("intakes.flow", "intake-is-meter")),
        ("}}", "}}\n  v: {code: '1', water: {meter: second}}", ("intakes.v.code", "code-taken")),
        ("}}", "}}\n  v: {code: '2', water: {meter: flow}}", ("intakes.v.water.meter", "total-taken")),
    ],
)
def test_every_mistake_of_a_metered_intake_is_named(old: str, new: str, expected: tuple[str, str]) -> None:
    assert old in FLOW
    assert found(FLOW.replace(old, new, 1)) == [expected]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("coefficient: W7, ", "", ("intakes.w.water", "coefficient-or-pumps")),
        ("coefficient: W7", "coefficient: W7@4", ("intakes.w.water.coefficient", "coefficient-id")),
        ("coefficient: W7", "coefficient: [W7, W7]", ("intakes.w.water.coefficient", "named-twice")),
        (", rated_kw: 15", "", ("intakes.w.water.rated_kw", "missing")),
        ("electricity: kwh", "electricity: flow", ("intakes.w.water.electricity", "meter-without")),
        ("rated_kw: 15", "rated_kw: 15, ct: 5/0", ("intakes.w.water.ct", "ratio")),
        ("rated_kw: 15", "rated_kw: 15, ct: 5/100", ("intakes.w.water.ct", "ratio")),
        ("rated_kw: 15", "rated_kw: 15, ct: 0.5", ("intakes.w.water.ct", "ratio")),
        ("rated_kw: 15", "rated_kw: 15, standby_kw: 3", ("intakes.w.water.standby_kw", "load-high")),
        ("rated_kw: 15", "rated_kw: 15, aux_kw: 15", ("intakes.w.water.aux_kw", "load-high")),
        ("rated_kw: 15", "rated_kw: 15, running_kw: 40", ("intakes.w.water.running_kw", "out-of-range")),
        ("rated_kw: 15", "rated_kw: 15, power: kwh/frequency", ("intakes.w.water.power", "channel-quantity")),
        ("rated_kw: 15", "rated_kw: 15, pressure: kwh/pressure", ("intakes.w.water.pressure", "meter-without")),
        ("rated_kw: 15", "rated_kw: 15, depth: old/level", ("intakes.w.water.depth", "datum-missing")),
        ("rated_kw: 15", "rated_kw: 15, datum_m: 60", ("intakes.w.water.datum_m", "datum-alone")),
        ("rated_kw: 15", "rated_kw: 15, depth: kwh/depht", ("intakes.w.water.depth", "quantity")),
        (
            "coefficient: W7, rated_kw: 15",
            "rated_kw: 15, pumps: {a: {coefficient: W7, running_kw: 5}, b: {coefficient: W8, running_kw: 5}}",
            ("intakes.w.water.pumps.a", "pump-running"),
        ),
        ("rated_kw: 15", "rated_kw: 15, pumps: {a: {coefficient: W7, running_kw: 5}}",
         ("intakes.w.water.coefficient", "pumps-and")),
        ("}}", "}, check: {electricity: kwh, coefficient: W7, rated_kw: 1}}", ("intakes.w.check.electricity",
                                                                              "check-electricity")),
    ],
)  # fmt: skip
def test_every_mistake_of_a_converted_intake_is_named(old: str, new: str, expected: tuple[str, str]) -> None:
    assert old in KWH
    assert expected in found(KWH.replace(old, new, 1))


def test_an_energy_meter_that_people_read_needs_its_standby_power_said() -> None:
    by_hand = "  book: {manual: [energy_import]}\n" + KWH.replace("kwh", "book")
    assert found(by_hand) == [("intakes.w.water.electricity", "standby-by-hand")]
    energy = intake(by_hand.replace("rated_kw: 15", "rated_kw: 15, standby_kw: 0")).energy
    assert energy is not None
    assert energy.standby_kw == 0


def test_a_mistake_in_one_section_hides_none_in_another() -> None:
    text = """\
intakes:
  w:
    code: 7
    permit: {number: n, plan_m3: [1]}
    range: {q1_m3h: 9, q3_m3h: 1}
    water: {meter: flaw}
    sorce: surface
"""
    assert found(text) == [
        ("intakes.w.code", "quote"),
        ("intakes.w.permit.plan_m3", "plan-parts"),
        ("intakes.w.range.q3_m3h", "below"),
        ("intakes.w.water.meter", "meter"),
        ("intakes.w.sorce", "unknown-key"),
    ]


def test_what_was_probably_meant_is_said() -> None:
    with pytest.raises(FormErrors) as caught:
        loaded(METERS + FLOW.replace("meter: flow", "meter: flwo").replace("code:", "cod:"))
    assert {each.path: each.arguments.get("near") for each in caught.value.problems} == {
        "intakes.w.water.meter": "flow", "intakes.w.cod": "code", "intakes.w.code": None,
    }  # fmt: skip


def test_intakes_outlive_their_files_and_reach_the_daemon() -> None:
    config = loaded(METERS + KWH)
    again = load_copy(copy_of(config), Path("/x/agent.yaml"), drivers=DRIVERS, uplink_settings=settings_models())
    assert again == config
    assert pickle.loads(pickle.dumps(config.intakes["w"].energy)) == config.intakes["w"].energy


def test_the_rules_that_can_be_set_are_the_rules_that_run() -> None:
    assert set(RULES) == set(RULES_BY_ID)


NASTY = (
    "",
    "~",
    "{}",
    "[]",
    "[[1]]",
    "{a: {b: 1}}",
    "-1",
    "1e9",
    "010",
    "yes",
    "2026-13-01",
    "'~'",
    "x/y",
    "flow/power",
)
WORDS = [word for word in (FLOW + KWH).replace("intakes:\n", "").replace("{", " ").replace("}", " ").split() if word]


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(WORDS), st.sampled_from(NASTY), st.sampled_from([FLOW, KWH]))
def test_no_damaged_intake_ends_in_anything_but_its_problems(word: str, nasty: str, text: str) -> None:
    try:
        loaded(METERS + text.replace(word.rstrip(","), nasty, 1))
    except FormErrors as errors:
        told = list(problem_lines(Messages("en"), errors.problems))
        assert told


def test_names_that_our_own_machinery_uses_are_names_like_any_other() -> None:
    """Sections that are told apart by their keys have tags; what a person writes is never taken for one."""
    text = METERS.replace("  flow:", "  polled:").replace("  old:", "  manual:")
    wrong = "intakes:\n  converted: {code: '1', water: {metered: 1, meter: polled}}\n"
    with pytest.raises(FormErrors) as caught:
        loaded(text.replace("poll: 60s", "pol: 60s", 1) + wrong)
    assert [(each.path, each.code) for each in caught.value.problems] == [
        ("meters.polled.poll", "missing"),
        ("meters.polled.pol", "unknown-key"),
        ("intakes.converted.water.metered", "unknown-key"),
    ]
    assert loaded(text + wrong.replace("metered: 1, ", "")).intakes["converted"].water[0].meter == "polled"


@pytest.mark.parametrize(
    ("ratios", "class_pct"),
    [("", "0"), (", ct: 100/5", "0.5"), (", pt: 100", "0.5"), (", ct: 20, ct_class_pct: 0.2", "0.2")],
)
def test_transformers_of_unknown_class_have_the_usual_one(ratios: str, class_pct: str) -> None:
    energy = intake(KWH.replace("rated_kw: 15", f"rated_kw: 15{ratios}")).energy
    assert energy is not None
    assert energy.ct_class_pct == D(class_pct)
