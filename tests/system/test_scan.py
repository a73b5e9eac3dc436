"""`qushui scan` on paced buses: alone, and through a running daemon."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent.cli.main import main
from agent.config import load
from agent.control import ControlError
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS
from tests.system.processes import SCRIPTS, Process, until
from tests.system.station import Site


class Said(NamedTuple):
    status: int
    out: str
    err: str


def scanned(capsys: pytest.CaptureFixture[str], site: Site, place: str, *words: str) -> Said:
    status = main(["scan", place, "-c", str(site.config), "--protocol", "modbus", "--lang", "en", *words])
    return Said(status, *capsys.readouterr())


def told(said: Said) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(said.out)
    return document


def three_meters(site: Site, **far: Any) -> None:
    """A bus with three models of meter at 3, 17 and 31, none of them configured."""
    site.serial("bus", strict=True, latency="20ms", **far)
    site.meter("flow", "bus", "tuf2000", 3, values={"flow_rate": "12.5", "volume_forward": "1234.56"})
    site.meter("old-flow", "bus", "l-mag", 17, values={"flow_rate": "3.25", "volume_forward": "99.5"})
    site.meter("pump", "bus", "eastron-sdm630", 31, values={"voltage_a": "230.5", "power": "7.5"})
    site.meters.clear()
    site.lines.clear()


def place_of(site: Site) -> str:
    return str(site.directory / "bus")


def test_three_meters_among_32_addresses_are_found_and_named_in_the_time_announced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Site(tmp_path) as site:
        three_meters(site)
        site.write()
        site.config.unlink()
        site.start_meters()
        words = ("--address", "1-32", "--baud", "9600", "--parity", "none", "--json")
        said = scanned(capsys, site, place_of(site), *words)
        document = told(said)
        assert said.status == 0
        found = {meter["address"]: meter["profiles"][0]["profile"] for meter in document["meters"]}
        assert found == {"3": "tuf2000", "17": "l-mag", "31": "eastron-sdm630"}
        assert document["announced_s"] <= 60
        assert document["took_s"] < 1.2 * document["announced_s"]
        assert document["findings"] == []
        config = load(tmp_path / "x.yaml", text=document["draft"], drivers=DRIVERS, uplink_settings=settings_models())
        assert {each.profile: each.address for each in config.meters.values()} == {
            "tuf2000": "3", "l-mag": "17", "eastron-sdm630": "31",
        }  # fmt: skip


def test_a_meter_slower_than_every_wait_betrays_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Site(tmp_path) as site:
        site.serial("bus", latency="260ms")
        site.meter("slow", "bus", "l-mag", 4)
        site.meters.clear()
        site.lines.clear()
        site.write()
        site.config.unlink()
        site.start_meters()
        words = ("--address", "1-8", "--baud", "9600", "--parity", "none", "--quick", "--json")
        document = told(scanned(capsys, site, place_of(site), *words))
        assert [meter["address"] for meter in document["meters"]] == ["4"]
        assert document["meters"][0]["delay_ms"] >= 260, "the quick wait is 200 ms"


def test_a_meter_with_another_baud_is_found_and_an_empty_bus_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Site(tmp_path) as site:
        site.serial("bus", baud=2400, latency="20ms")
        site.meter("flow", "bus", "tuf2000", 2)
        site.meters.clear()
        site.lines.clear()
        site.write()
        site.config.unlink()
        site.start_meters()
        words = ("--address", "1-3", "--parity", "none", "--quick")
        document = told(scanned(capsys, site, place_of(site), "--baud", "9600,2400", "--json", *words))
        assert [(meter["address"], meter["baud"]) for meter in document["meters"]] == [("2", 2400)]
        nobody = scanned(capsys, site, place_of(site), "--baud", "9600", *words)
        assert nobody.status == 1
        assert "A and B swapped" in nobody.err


def test_the_running_daemon_keeps_its_slots_while_its_bus_is_scanned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Site(tmp_path, poll="1s") as site:
        three_meters(site)
        path = str(site.directory / "bus")
        site.lines["bus"] = {"port": path, "baud": 9600}
        site.meters["main-flow"] = {"line": "bus", "profile": "tuf2000", "address": "3", "poll": "1s"}
        site.write()
        site.start_meters()
        daemon = site.start_daemon().ready()
        site.grows(3)
        words = ("--address", "15-17", "--baud", "9600", "--parity", "none", "--quick", "--json")
        said = scanned(capsys, site, "bus", *words)
        assert [meter["address"] for meter in told(said)["meters"]] == ["17"]
        assert "running agent asks for us" in said.err
        by_port = scanned(capsys, site, path, *words, "--draft", str(tmp_path / "draft.yaml"))
        assert by_port.status == 0, "a port that is a line of the configuration is that line"
        assert "l-mag-17" in (tmp_path / "draft.yaml").read_text(encoding="utf-8")
        again = scanned(capsys, site, path, *words, "--draft", str(tmp_path / "draft.yaml"))
        assert again.status == 2, "a draft overwrites nothing"
        status = daemon.status()
        assert status["lines"]["bus"]["skipped"] == 0
        assert status["meters"]["main-flow"]["state"] == "good"


def test_the_daemon_puts_no_question_that_writes(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.serial("bus")
        site.meter("flow", "bus", "tuf2000", 3)
        site.write()
        site.start_meters()
        daemon = site.start_daemon().ready()
        until(lambda: daemon.status()["lines"]["bus"]["state"] == "open", 10, "the line is open")
        wire = {"baud": 9600, "parity": "none", "stop_bits": 1, "silence_ms": 0, "wait_ms": 200}
        question = {"line": "bus", "protocol": "modbus", "address": "3", **wire}
        for request in ("030600000001480B", "zz", "", "0303000000", 7):
            with pytest.raises(ControlError) as refused:
                daemon.ask("ask", **question, request=request)
            assert refused.value.code == "BAD_ASK"
        with pytest.raises(ControlError) as refused:
            daemon.ask("ask", **{**question, "line": "other"}, request="030300000002C5E9")
        assert refused.value.code == "LINE_NOT_POLLED"
        answer = daemon.ask("ask", **question, request="030300000002C5E9")
        assert bytes.fromhex(answer["received"])[:3] == b"\x03\x03\x04"


def test_a_scan_that_is_broken_off_keeps_what_it_has_found(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        three_meters(site)
        site.write()
        site.config.unlink()
        site.start_meters()
        words = ["scan", place_of(site), "--protocol", "modbus", "--lang", "en", "-c", site.config]
        scan = site.keep(Process("scan", [SCRIPTS / "qushui", *words], tmp_path))
        until(lambda: "address 3, 9600 8N1: tuf2000" in scan.text(), 20, "the first meter is found")
        scan.signal(signal.SIGINT)
        until(lambda: not scan.running, 10, "the scan ends")
        assert scan.child.returncode == 0
        assert 'tuf2000-3: {line: rs485-1, profile: tuf2000, address: "3", poll: 60s}' in scan.text()


def test_echo_and_garbled_answers_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Site(tmp_path) as site:
        site.serial("bus", latency="20ms", echo=True)
        site.meter("flow", "bus", "tuf2000", 1)
        site.meter("torn", "bus", "tuf2000", 2, mischief=[{"kind": "wrong_crc"}])
        site.meters.clear()
        site.lines.clear()
        site.write()
        site.config.unlink()
        site.start_meters()
        words = ("--address", "1-3", "--baud", "9600", "--parity", "none", "--quick", "--json")
        document = told(scanned(capsys, site, place_of(site), *words))
        assert [meter["address"] for meter in document["meters"]] == ["1"]
        findings = {finding["code"]: finding["arguments"] for finding in document["findings"]}
        assert set(findings) == {"echo", "garbled"}
        assert findings["garbled"]["addresses"] == "2"
        assert "echo: true" in document["draft"]


def test_a_network_endpoint_is_scanned_by_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Site(tmp_path) as site:
        site.tcp("lan")
        site.meter("flow", "lan", "tuf2000", 2)
        endpoint = str(site.lines["lan"]["tcp"])
        site.meters.clear()
        site.lines.clear()
        site.write()
        site.config.unlink()
        site.start_meters()
        document = told(scanned(capsys, site, endpoint, "--address", "1-2", "--quick", "--json"))
        assert [meter["address"] for meter in document["meters"]] == ["2"]
        assert document["findings"] == []
        config = load(tmp_path / "x.yaml", text=document["draft"], drivers=DRIVERS, uplink_settings=settings_models())
        assert str(config.lines["lan-1"].tcp) == endpoint
