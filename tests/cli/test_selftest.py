"""`qushui selftest` on this machine. Nothing here depends on how fast the machine is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent import board
from agent.board import Finding, Judgement
from agent.cli import selftest
from agent.cli.main import main
from agent.clock import SystemClock
from agent.line.ports import LineDownError
from agent.messages import LANGUAGES, Messages
from drivers.registry import DRIVERS


def test_everything_is_measured_and_advised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["selftest", "--path", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)
    by_name = {finding["test"]: finding for finding in found}
    assert {"disk", "space", "timer", "silence", "use", "clock"} <= by_name.keys()
    assert {"port", "no_port"} & by_name.keys()
    assert status == int(any(finding["judgement"] == "poor" for finding in found))
    assert by_name["disk"]["values"]["path"] == str(tmp_path)
    assert 0 < by_name["disk"]["values"]["median_ms"] <= by_name["disk"]["values"]["p99_ms"]
    assert list(tmp_path.iterdir()) == []


def test_our_line_keeps_the_silence_and_asks_nothing_twice() -> None:
    silence, use = board.measure_line(DRIVERS["modbus"], SystemClock("host"))
    assert silence.judgement is Judgement.GOOD
    assert float(silence.values["least_ms"]) >= float(silence.values["due_ms"])
    assert use.values["answered"] == use.values["asked"]
    assert 0 < float(use.values["use_percent"]) <= 100


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_finding_and_judgement_has_its_sentence(lang: str) -> None:
    out = Messages(lang)
    judgements = {
        "disk": "good fair poor", "space": "good fair poor", "timer": "good fair poor", "silence": "good poor",
        "use": "good fair poor", "clock": "good fair rtc", "port": "good fair poor held", "write": "poor",
        "no_port": "fair",
    }  # fmt: skip
    for name, words in judgements.items():
        assert [word for word in (*words.split(), "title", "values") if not out.has(f"selftest.{name}.{word}")] == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    first = next(selftest.measured(tmp_path / "missing", SystemClock("host")))
    assert (first.name, first.judgement) == ("write", Judgement.POOR)


def test_a_directory_that_is_not_there_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--path", str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("lang", LANGUAGES)
def test_who_holds_a_port_is_named(lang: str) -> None:
    values: dict[str, float | int | str | bool] = {
        "port": "/dev/ttyUSB0", "device": "/dev/ttyUSB0", "title": "FT232R", "may_open": True,
        "holder": "pid 7 (minicom)", "latency_timer_ms": 16,
    }  # fmt: skip
    lines = selftest._lines(Finding(name="port", judgement=Judgement.FAIR, values=values), Messages(lang))
    assert any("pid 7 (minicom)" in line for line in lines)


def test_a_line_that_breaks_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails on our own pseudo-terminal is a defect, and shows as one."""

    def away(self: object) -> None:
        raise LineDownError("away")

    monkeypatch.setattr(board.SerialPort, "open", away)
    with pytest.raises(LineDownError):
        board.measure_line(DRIVERS["modbus"], SystemClock("host"))
