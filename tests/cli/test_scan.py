"""`qushui scan` where no meter is needed: ports, lines, wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.main import main

CONFIG = """
station: {id: t-1}
lines: {rs485-1: {port: /dev/nowhere-1}, lan: {tcp: "127.0.0.1:1"}}
meters:
  a: {line: rs485-1, profile: tuf2000, address: "1", poll: 60s}
  b: {line: lan, profile: tuf2000, address: "1", poll: 60s}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "agent.yaml"
    path.write_text(CONFIG.replace("station:", f"store: {{path: {tmp_path}/q.db}}\nstation:", 1), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_without_a_place_ports_and_lines_are_listed(config: str, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "-c", config, "--lang", lang]) == 0
    said = capsys.readouterr()
    assert "/dev/nowhere-1" in said.out
    assert "127.0.0.1:1" in said.out
    assert "qushui scan" in said.err
    assert main(["scan", "-c", config, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [line["line"] for line in document["lines"]] == ["rs485-1", "lan"]


def test_a_place_that_is_none_is_refused_with_those_there_are(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "rs485-2", "-c", config, "--lang", "en"]) == 2
    assert "rs485-1 lan" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("--address", "0-5"), ("--address", "x"), ("--baud", "9601"), ("--parity", "some"), ("--protocol", "morse"),
    ],
)  # fmt: skip
def test_wrong_options_are_named(config: str, words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "rs485-1", "-c", config, "--lang", "en", *words]) == 2
    assert words[0] in capsys.readouterr().err


@pytest.mark.parametrize("place", ["rs485-1", "lan"])
def test_a_line_that_cannot_be_opened_is_said(config: str, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", place, "-c", config, "--lang", "en", "--address", "1"]) == 1
    assert f"Line {place} cannot be opened" in capsys.readouterr().err


def test_a_wrong_configuration_is_told_and_a_port_can_still_be_scanned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "agent.yaml"
    wrong.write_text("station: {}\n", encoding="utf-8")
    assert main(["scan", str(tmp_path / "tty"), "-c", str(wrong), "--lang", "en", "--address", "1"]) == 1
    said = capsys.readouterr().err
    assert "agent.yaml:1" in said
    assert "cannot be opened" in said
