"""`qushui check`: all mistakes at once, nothing opened, advice apart from data."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import jsonschema
import pytest
import yaml

from agent.cli.main import main

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "config" / "agent.example.yaml"
WRONG = """\
station: {id: Well 3}
lines: {bus: {port: /dev/ttyUSB0}}
meters:
  flow: {line: bas, profile: tuf2000, address: "1", poll: 60s}
"""
BUSY = """\
station: {id: well-3}
lines: {bus: {port: /dev/none, baud: 1200}}
meters:
  flow: {line: bus, profile: tuf2000, address: "1", poll: 500ms}
  kwh: {line: bus, profile: eastron-sdm630, address: "2", poll: 500ms}
"""


@pytest.fixture(autouse=True)
def nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a port nor a connection."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("check opened something")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("serial.Serial.open", refuse)


def test_the_example_passes_and_says_what_it_is_worth_knowing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(EXAMPLE), "--lang", "en"]) == 0
    out, err = capsys.readouterr()
    assert "pumphouse-12, 3 lines, 6 meters, 3 intakes, 1 uplinks" in " ".join(out.split())
    assert "inlet-flow (profile l-mag)" in " ".join(err.split())
    assert "late slots" not in " ".join(err.split())


def test_a_wrong_file_gives_every_mistake_on_a_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(WRONG, encoding="utf-8")
    assert main(["check", str(file), "--lang", "en"]) == 2
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{file}:1:15: station.id: Well 3 cannot be a name; use a-z, 0-9 and -, at most 32 of them",
        f"{file}:4:16: meters.flow.line: there is no line bas; there are bus · did you mean bus?",
    ]
    assert err == "2 mistakes.\n"
    assert main(["check", str(file), "--lang", "zh"]) == 2
    assert "没有总线 bas；有：bus · 是不是 bus？" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "meter", "said"),
    [
        ("port: /dev/none, baud: 9600, parity: none", "", True),
        ("port: /dev/none, baud: 9600, parity: none", ", baud: 9600, parity: none", False),
        ("port: /dev/none", "", False),
        ("port: /dev/none, baud: 2400, parity: even", "", False),
        ('tcp: "127.0.0.1:4001", framing: rtu, baud: 9600, parity: none', "", False),
    ],
    ids=["the line's", "the meter's own", "the profile's", "as shipped", "a network"],
)
def test_a_line_that_speaks_otherwise_than_the_meter_is_shipped_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, meter: str, *, said: bool
) -> None:
    file = tmp_path / "agent.yaml"
    energy = f'{{line: bus, profile: dlt645-2007-single, address: "000000000012", poll: 60s{meter}}}'
    file.write_text(f"station: {{id: w}}\nlines: {{bus: {{{line}}}}}\nmeters:\n  pump: {energy}\n", encoding="utf-8")
    for lang in ("zh", "en"):
        assert main(["check", str(file), "--lang", lang]) == 0
        advice = capsys.readouterr().err
        assert ("2400 8E1" in advice) is said  # DL/T 645-2007: the default speed
        assert ("9600 8N1" in advice) is said


def test_machines_get_codes_and_arguments_and_no_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(WRONG, encoding="utf-8")
    assert main(["check", str(file), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "file": str(file),
        "good": False,
        "problems": [
            {
                "file": str(file),
                "line": 1,
                "column": 15,
                "path": "station.id",
                "code": "name",
                "arguments": {"value": "Well 3"},
            },
            {
                "file": str(file),
                "line": 4,
                "column": 16,
                "path": "meters.flow.line",
                "code": "line",
                "arguments": {"value": "bas", "allowed": "bus", "near": "bus"},
            },
        ],
    }
    assert main(["check", str(EXAMPLE), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["good"], found["problems"], found["meters"]) == (True, [], 6)
    assert {"code": "unconfirmed", "arguments": {"profile": "l-mag", "meters": "inlet-flow"}} in found["advice"]


def test_a_poll_period_shorter_than_the_line_can_keep_is_said_once_and_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(BUSY, encoding="utf-8")
    assert main(["check", str(file), "--lang", "en"]) == 0
    out, err = capsys.readouterr()
    assert "all right" in " ".join(out.split())
    assert " ".join(err.split()).count("late slots are skipped") == 1
    file.write_text(BUSY.replace("500ms", "5m"), encoding="utf-8")
    assert main(["check", str(file), "--lang", "en"]) == 0
    assert "late slots" not in " ".join(capsys.readouterr().err.split())


def test_a_file_that_is_not_there_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.yaml"), "--lang", "en"]) == 2
    assert capsys.readouterr().out == f"{tmp_path}/none.yaml:1:1: there is no such file\n"


def test_the_schema_for_editors_accepts_the_example_and_refuses_a_wrong_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    example = json.loads(json.dumps(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")), default=str))  # dates are text
    assert list(validator.iter_errors(example)) == []
    for wrong in (
        {**example, "intake": {}},
        {**example, "station": {"id": "Well 3"}},
        {**example, "meters": {"flow": {**example["meters"]["main-flow"], "poll": 60}}},
        {**example, "uplinks": {"cloud": {"type": "mqtt"}}},
    ):
        assert list(validator.iter_errors(wrong))


def test_a_register_that_may_pass_its_end_between_two_readings_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six digits and 1.2 × 125 m³/h: 10⁶ / 150 = 6667 h = 277.8 days; read once a year, 547 days may pass."""
    file = tmp_path / "agent.yaml"
    text = """\
station: {id: well-3}
lines: {bus: {port: /dev/none}}
meters:
  flow: {line: bus, profile: l-mag, address: "2", poll: 1m}
  old: {manual: [volume_forward], period: 366d}
intakes:
  w: {code: "1", range: {q3_m3h: 100}, water: {meter: old, digits: 6}}
"""
    for period, codes in (("366d", ["wraps-first"]), ("186d", ["wraps-first"]), ("185d", [])):
        file.write_text(text.replace("366d", period), encoding="utf-8")
        assert main(["check", str(file), "--json"]) == 0
        told = [each for each in json.loads(capsys.readouterr().out)["advice"] if each["code"] != "unconfirmed"]
        assert [each["code"] for each in told] == codes
    file.write_text(text, encoding="utf-8")
    for lang in ("zh", "en"):
        assert main(["check", str(file), "--lang", lang]) == 0
        said = "".join(capsys.readouterr().err.split())
        assert all(each in said for each in ("277.8", "366", "150", "q3_m3h", "period"))


def test_a_plan_above_its_permit_and_an_energy_meter_read_too_rarely_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(
        """\
station: {id: well-3}
lines: {bus: {port: /dev/none}}
meters:
  kwh: {line: bus, profile: eastron-sdm630, address: "2", poll: 10m}
intakes:
  w:
    code: "1"
    permit: {number: n, annual_m3: 100, plan_m3: [30, 30, 30, 11]}
    water: {electricity: kwh, coefficient: W7, rated_kw: 15}
""",
        encoding="utf-8",
    )
    assert main(["check", str(file), "--json"]) == 0
    advice = json.loads(capsys.readouterr().out)["advice"]
    assert [(each["code"], each["arguments"]) for each in advice] == [
        ("plan-over-permit", {"intake": "w", "plan": "101", "limit": "100"}),
        ("rare-energy", {"intake": "w", "meter": "kwh"}),
    ]
    for lang in ("zh", "en"):
        assert main(["check", str(file), "--lang", lang]) == 0
        assert "101 m³" in capsys.readouterr().err
