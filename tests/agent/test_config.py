"""The station's configuration: every mistake at once, defaults as documented, and the last good one kept whole."""

from __future__ import annotations

import json
import re
from datetime import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import copy_of, load, load_copy
from agent.form.problems import FormErrors, Problem
from agent.messages import Messages, problem_lines
from agent.settings import Config, TcpAddress
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

ROOT = Path(__file__).resolve().parent.parent.parent
GOOD = """\
station: {id: pumphouse-12}
lines:
  bus: {port: /dev/ttyUSB0}
  lan: {tcp: "192.168.1.50:502"}
meters:
  flow: {line: bus, profile: tuf2000, address: "1", poll: 60s}
  power: {line: lan, profile: eastron-sdm630, address: "0", poll: 1.5s}
"""
SITE_PROFILE = """\
profile: own
title: {zh: 自有, en: own}
source: own manual
protocol: modbus
line: {baud: 2400, parity: even, silence: 20ms}
items:
  - {quantity: flow_rate, table: holding, register: 0, type: f32}
  - {quantity: volume_forward, table: holding, register: 2, type: u32}
"""


def loaded(tmp_path: Path, text: str, **files: str) -> Config:
    path = tmp_path / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    for name, content in files.items():
        (tmp_path / "profiles").mkdir(exist_ok=True)
        (tmp_path / "profiles" / f"{name}.yaml").write_text(content, encoding="utf-8")
    return load(path, drivers=DRIVERS, uplink_settings=settings_models())


def problems(tmp_path: Path, text: str, **files: str) -> list[Problem]:
    with pytest.raises(FormErrors) as caught:
        loaded(tmp_path, text, **files)
    for lang in ("zh", "en"):
        assert len(list(problem_lines(Messages(lang), caught.value.problems))) == len(caught.value.problems)
    return list(caught.value.problems)


def found(tmp_path: Path, text: str, **files: str) -> list[tuple[int, str, str]]:
    return [(each.line, each.path, each.code) for each in problems(tmp_path, text, **files)]


def test_a_file_with_six_different_mistakes_reports_all_six_with_their_lines(tmp_path: Path) -> None:
    text = """\
station: {id: Pumphouse 12}
lines:
  bus: {port: /dev/ttyUSB0, boud: 9600}
meters:
  flow: {line: buss, profile: tuf2000, address: "1", poll: 60s}
  kwh: {line: bus, profile: eastron-sdm63, address: "2", poll: 60s}
  well: {line: bus, profile: l-mag, address: "300", poll: 60s}
  tank: {line: bus, profile: mag6000, address: "4", poll: 60}
"""
    assert found(tmp_path, text) == [
        (1, "station.id", "name"),
        (3, "lines.bus.boud", "unknown-key"),
        (5, "meters.flow.line", "line"),
        (6, "meters.kwh.profile", "profile"),
        (7, "meters.well.address", "spec.address"),
        (8, "meters.tank.poll", "duration"),
    ]


def test_the_smallest_configuration_gets_the_documented_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD)
    assert (config.station.name, config.station.timezone, config.station.day_start) == (
        "pumphouse-12",
        "Asia/Shanghai",
        time(0, 0),
    )
    assert config.store.path == "/var/lib/qushui/qushui.db"
    assert (config.store.keep_s, config.store.max_size, config.store.free_disk) == (800 * 86400, 4 * 10**9, 500 * 10**6)
    assert config.clock.trust == "ntp"
    assert config.uplinks == {}
    bus, lan = config.lines["bus"], config.lines["lan"]
    assert (bus.port, bus.tcp, bus.framing, bus.place) == ("/dev/ttyUSB0", None, "rtu", "/dev/ttyUSB0")
    assert (bus.baud, bus.parity, bus.stop_bits) == (9600, "none", 1)
    assert (bus.echo, bus.rs485, bus.timeout_s, bus.silence_ms) == (False, False, 1.0, 0)
    assert (lan.port, lan.tcp, lan.framing, lan.place) == (
        None,
        TcpAddress("192.168.1.50", 502),
        "tcp",
        "192.168.1.50:502",
    )
    assert config.meters["flow"].poll_ms == 60_000
    assert config.meters["power"].poll_ms == 1500
    assert config.meters["flow"].quantities[:2] == ("flow_rate", "velocity")
    assert set(config.profiles) == {"tuf2000", "eastron-sdm630"}


def test_serial_settings_are_the_meters_then_the_lines_then_the_profiles(tmp_path: Path) -> None:
    text = """\
station: {id: a}
lines:
  plain: {port: /dev/ttyUSB0}
  given: {port: /dev/ttyUSB1, baud: 4800, silence: 5ms}
meters:
  a: {line: plain, profile: own, address: "1", poll: 1m}
  b: {line: given, profile: own, address: "1", poll: 1m}
  c: {line: given, profile: own, address: "2", poll: 1m, baud: 19200, parity: odd, stop_bits: 2}
"""
    meters = loaded(tmp_path, text, own=SITE_PROFILE).meters
    assert [(each.baud, each.parity, each.stop_bits, each.silence_ms) for each in meters.values()] == [
        (2400, "even", 1, 20),
        (4800, "even", 1, 25),
        (19200, "odd", 2, 25),
    ]


def test_a_meter_may_read_a_part_of_its_profile_in_the_profiles_order(tmp_path: Path) -> None:
    text = GOOD.replace("poll: 60s}", "poll: 60s, quantities: [status, flow_rate]}")
    config = loaded(tmp_path, text)
    assert config.meters["flow"].quantities == ("flow_rate", "status")
    assert [entry.quantity for entry in config.entries("flow")] == ["flow_rate", "status"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{id: pumphouse-12}", "{id: a, timezone: Asia/Shangai}", (1, "station.timezone", "timezone")),
        ("{id: pumphouse-12}", "{id: a, day_start: 24:00}", (1, "station.day_start", "bare")),
        ("{id: pumphouse-12}", '{id: a, day_start: "8"}', (1, "station.day_start", "clock-time")),
        ("{id: pumphouse-12}", "{id: 12}", (1, "station.id", "name")),
        ("station:", "intake: {}\nstation:", (1, "intake", "unknown-key")),
        ("station:", "clock: {trust: gps}\nstation:", (1, "clock.trust", "choice")),
        ("station:", "store: {keep: 30m}\nstation:", (1, "store.keep", "out-of-range")),
        ("station:", "store: {max_size: 4 GB}\nstation:", (1, "store.max_size", "size")),
        ("{port: /dev/ttyUSB0}", "{}", (3, "lines.bus", "port-or-tcp")),
        ("{port: /dev/ttyUSB0}", "{port: }", (3, "lines.bus.port", "nothing")),
        ("{port: /dev/ttyUSB0}", '{port: /dev/ttyUSB0, tcp: "h:1"}', (3, "lines.bus.tcp", "port-and-tcp")),
        ("{port: /dev/ttyUSB0}", "{port: /dev/ttyUSB0, baud: 250}", (3, "lines.bus.baud", "too-small")),
        ("{port: /dev/ttyUSB0}", "{port: /dev/ttyUSB0, baud: 09600}", (3, "lines.bus.baud", "whole")),
        ("{port: /dev/ttyUSB0}", "{port: /dev/ttyUSB0, parity: E}", (3, "lines.bus.parity", "choice")),
        ("{port: /dev/ttyUSB0}", "{port: /dev/ttyUSB0, stop_bits: 3}", (3, "lines.bus.stop_bits", "choice")),
        ("{port: /dev/ttyUSB0}", "{port: /dev/ttyUSB0, echo: yes}", (3, "lines.bus.echo", "switch")),
        ("{port: /dev/ttyUSB0}", "{port: /dev/ttyUSB0, timeout: 1}", (3, "lines.bus.timeout", "duration")),
        ("{port: /dev/ttyUSB0}", "{port: /dev/ttyUSB0, framing: tcp}", (3, "lines.bus.framing", "framing-on-port")),
        ('"192.168.1.50:502"', '"192.168.1.50"', (4, "lines.lan.tcp", "host-port")),
        ('"192.168.1.50:502"', '"192.168.1.50:70000"', (4, "lines.lan.tcp", "host-port")),
        ('"192.168.1.50:502"', '"h:1", parity: even', (4, "lines.lan.parity", "serial-on-tcp")),
        ('"192.168.1.50:502"', '"h:1", framing: rtu, rs485: true', (4, "lines.lan.rs485", "serial-on-tcp")),
        ("  lan: {", "  LAN: {", (4, "lines.LAN", "name")),
        ('address: "1"', "address: 1", (6, "meters.flow.address", "quote")),
        ('address: "1"', "address: 000012", (6, "meters.flow.address", "bare")),
        ('address: "1"', 'address: "0"', (6, "meters.flow.address", "spec.address")),
        ('address: "1"', 'address: "248"', (6, "meters.flow.address", "spec.address")),
        ('address: "1"', 'address: "one"', (6, "meters.flow.address", "spec.address")),
        ('address: "0"', 'address: "256"', (7, "meters.power.address", "spec.address")),
        ("poll: 60s", "poll: 9h", (6, "meters.flow.poll", "out-of-range")),
        ("poll: 60s", "poll: 0ms", (6, "meters.flow.poll", "out-of-range")),
        (", poll: 60s", "", (6, "meters.flow.poll", "missing")),
        ("poll: 60s", "poll: 60s, quantities: [power]", (6, "meters.flow.quantities[0]", "meter-quantity")),
        ("poll: 60s", "poll: 60s, quantities: [watts]", (6, "meters.flow.quantities[0]", "quantity")),
        ("poll: 60s", "poll: 60s, quantities: []", (6, "meters.flow.quantities", "too-few")),
    ],
)
def test_every_mistake_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, expected: tuple[int, str, str]
) -> None:
    assert old in GOOD
    assert expected in found(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize("section", ["lines", "meters"])
def test_a_station_without_lines_or_meters_is_refused(tmp_path: Path, section: str) -> None:
    kept = [line for line in GOOD.splitlines() if line.startswith(("station", "lines", "  bus", "  lan"))]
    text = "\n".join(kept) + "\nmeters: {}\n" if section == "meters" else "station: {id: a}\nlines: {}\nmeters: {}\n"
    assert (section, "too-few") in [(path, code) for _, path, code in found(tmp_path, text)]


def test_what_only_shows_in_company_shows_beside_other_mistakes(tmp_path: Path) -> None:
    text = """\
station: {id: a, nme: x}
lines:
  one: {port: /dev/ttyUSB0}
  two: {port: /dev/ttyUSB0}
  net: {tcp: "10.0.0.8:502"}
  same: {tcp: "10.0.0.8:502"}
meters:
  a: {line: one, profile: tuf2000, address: "1", poll: 1m}
  b: {line: one, profile: l-mag, address: "01", poll: 1m}
  c: {line: net, profile: l-mag, address: "1", poll: 1m}
"""
    assert found(tmp_path, text) == [
        (1, "station.nme", "unknown-key"),
        (4, "lines.two.port", "port-taken"),
        (6, "lines.same.tcp", "port-taken"),
        (9, "meters.b.address", "address-taken"),
    ]


def test_unknown_references_name_what_there_is_and_what_was_probably_meant(tmp_path: Path) -> None:
    text = GOOD.replace("line: bus", "line: bas").replace("profile: tuf2000", "profile: tuf200")
    arguments = {each.path: dict(each.arguments) for each in problems(tmp_path, text)}
    assert arguments["meters.flow.line"] == {"value": "bas", "allowed": "bus lan", "near": "bus"}
    assert arguments["meters.flow.profile"]["near"] == "tuf2000"


def test_the_section_of_an_uplink_is_judged_by_its_own_model(tmp_path: Path) -> None:
    text = (
        GOOD
        + """\
uplinks:
  cloud: {type: mqtt, url: "mqtts://mq.example.cn:8883", pasword_file: /etc/qushui/mqtt.pw}
  typeless: {url: "mqtts://mq.example.cn:8883"}
  other: {type: mqqt}
  wrong: {type: mqtt, url: "http://mq.example.cn", keepalive: 60}
  none:
"""
    )
    assert found(tmp_path, text) == [
        (9, "uplinks.cloud.pasword_file", "unknown-key"),
        (10, "uplinks.typeless", "missing"),
        (11, "uplinks.other.type", "choice"),
        (12, "uplinks.wrong.url", "mqtt-url"),
        (12, "uplinks.wrong.keepalive", "duration"),
        (13, "uplinks.none", "nothing"),
    ]


def test_what_is_wrong_in_a_sites_profile_is_reported_in_that_file_once(tmp_path: Path) -> None:
    text = """\
station: {id: a, nme: b}
lines: {bus: {port: /dev/ttyUSB0}}
meters:
  a: {line: bus, profile: own, address: "1", poll: 1m}
  b: {line: bus, profile: own, address: "2", poll: 1m}
"""
    broken = SITE_PROFILE.replace("register: 2", "register: 99999")
    told = [(Path(each.file).name, each.line, each.code) for each in problems(tmp_path, text, own=broken)]
    assert told == [("agent.yaml", 1, "unknown-key"), ("own.yaml", 8, "spec.register")]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ("{max_register: 10}", "spec.unknown-key"),
        ("{max_registers: 126}", "spec.choice"),
        ("{max_registers: 1}", "spec.too-wide"),
        ("{even: 1}", "spec.choice"),
        ("{max_gap: false}", "spec.choice"),
    ],
)
def test_limits_that_the_protocol_does_not_know_are_shown_at_the_meter(tmp_path: Path, limits: str, code: str) -> None:
    own = SITE_PROFILE + f"limits: {limits}\n"
    assert found(tmp_path, GOOD.replace("tuf2000", "own"), own=own) == [(6, "meters.flow.profile", code)]


def test_a_sites_profile_goes_before_the_packaged_one_of_the_same_name(tmp_path: Path) -> None:
    own = SITE_PROFILE.replace("profile: own", "profile: tuf2000")
    assert loaded(tmp_path, GOOD, tuf2000=own).profiles["tuf2000"].source == "own manual"


def test_the_last_good_copy_stands_by_itself(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD.replace("tuf2000", "own"), own=SITE_PROFILE)
    copy = copy_of(config)
    (tmp_path / "profiles" / "own.yaml").write_text("profile: [", encoding="utf-8")
    (tmp_path / "agent.yaml").write_text("station: [", encoding="utf-8")
    again = load_copy(copy, tmp_path / "agent.yaml", drivers=DRIVERS, uplink_settings=settings_models())
    assert again == config


@pytest.mark.parametrize("copy", ["", "{", "[]", "{}", json.dumps({"text": GOOD})])
def test_a_damaged_copy_is_refused(tmp_path: Path, copy: str) -> None:
    with pytest.raises(ValueError):
        load_copy(copy, tmp_path / "agent.yaml", drivers=DRIVERS, uplink_settings=settings_models())


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FormErrors) as caught:
        load(tmp_path / "none.yaml", drivers=DRIVERS, uplink_settings=settings_models())
    assert [each.code for each in caught.value.problems] == ["file-missing"]


def test_a_large_station_loads_in_a_moment(tmp_path: Path) -> None:
    """250 meters: the size of file the limits are made for."""
    meters = [
        f'  m{at}: {{line: l{at // 50}, profile: tuf2000, address: "{at % 50 + 1}", poll: 5m}}' for at in range(250)
    ]
    lines = [f"  l{at}: {{port: /dev/ttyS{at}}}" for at in range(5)]
    text = "\n".join(["station: {id: a}", "lines:", *lines, "meters:", *meters])
    assert len(loaded(tmp_path, text).meters) == 250


WORDS = [word for word in re.split(r"([\s{},:]+)", GOOD + SITE_PROFILE) if word.strip(" {},:\n")]
NASTY = (
    *("", "~", "{}", "[]", "{a: 1}", "[1, [2]]", "0", "-1", "1e99", "0x10", "010", "yes", "true", "2026-01-01", "\t"),
    *("'", '"', "|", "*a", "&a b", "!x y", "<<", "a: b", "三号", "9" * 40, "x" * 300, "../../etc/passwd"),
    *("station", "tcp", "flags", "sum", "codes", "times", "range", "expect"),
)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_damaged_file_ends_in_anything_but_its_problems(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged" / "agent.yaml"
    (path.parent / "profiles").mkdir(parents=True, exist_ok=True)
    texts = {path: GOOD.replace("tuf2000", "own"), path.parent / "profiles" / "own.yaml": SITE_PROFILE}
    word = data.draw(st.sampled_from(WORDS))
    nasty = data.draw(st.sampled_from(NASTY))
    for file, text in texts.items():
        file.write_text(text.replace(word, nasty, 1), encoding="utf-8")
    try:
        load(path, drivers=DRIVERS, uplink_settings=settings_models())
    except FormErrors as errors:
        told = list(problem_lines(Messages("en"), errors.problems))
        assert told
