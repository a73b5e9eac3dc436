"""`qushui read` without a daemon, at a bus where nobody answers, and of a meter that hangs on none."""

from __future__ import annotations

import os
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cli.main import main

AGENT = """\
station: {{id: w}}
store: {{path: {state}/qushui.db}}
clock: {{trust: host}}
lines:
  bus: {{port: {port}, {serial}, timeout: 50ms}}
meters:
  pump: {{line: bus, profile: dlt645-2007-single, address: "000000000012", poll: 60s}}
  old-well: {{manual: [volume_forward]}}
"""
OTHERWISE = "baud: 9600, parity: none"
AS_SHIPPED = "baud: 2400, parity: even"

Read = Callable[..., tuple[int, str]]


@pytest.fixture
def read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Read]:
    """Reads a meter; gives the status and the advice in one line. At the far end of the port nobody listens."""
    far, near = os.openpty()
    tty.setraw(near)
    file = tmp_path / "agent.yaml"

    def said(meter: str, serial: str = OTHERWISE, lang: str = "en") -> tuple[int, str]:
        file.write_text(AGENT.format(state=tmp_path, port=os.ttyname(near), serial=serial), encoding="utf-8")
        status = main(["read", meter, "-c", str(file), "--lang", lang])
        return status, " ".join(capsys.readouterr().err.split())

    yield said
    os.close(near)
    os.close(far)


def test_silence_is_seen_with_the_serial_settings_and_how_the_meter_is_shipped(read: Read) -> None:
    status, advice = read("pump")
    assert status == 1
    assert "METER-NO-REPLY" in advice
    assert "baud 9600 parity none shipped with 2400 8E1" in advice
    assert "出厂设置 2400 8E1" in read("pump", lang="zh")[1]


def test_a_meter_that_is_asked_as_it_is_shipped_is_told_without_that(read: Read) -> None:
    _, advice = read("pump", AS_SHIPPED)
    assert "baud 2400 parity even" in advice
    assert "8E1" not in advice


def test_what_to_type_next_is_for_the_file_that_was_typed(read: Read, tmp_path: Path) -> None:
    _, advice = read("pump")
    assert f"qushui scan bus -c {tmp_path}/agent.yaml" in advice


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_meter_that_people_read_leads_to_entering_its_reading(read: Read, tmp_path: Path, lang: str) -> None:
    status, advice = read("old-well", lang=lang)
    assert status == 2
    assert "qushui enter reading old-well volume_forward" in advice
    assert advice.endswith(f"-c {tmp_path}/agent.yaml")
