"""What systemd is told: the unit agrees with the product, and systemd itself finds nothing wrong with it."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.client import DEFAULT_CONFIG, site_of

SYSTEMD = Path(__file__).parents[2] / "systemd"


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=True, interpolation=None, comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(SYSTEMD / "qushui.service", encoding="utf-8")
    return unit["Service"]


def test_the_watchdog_outlasts_what_cannot_be_bounded(service: configparser.SectionProxy) -> None:
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) == 180  # a name server or an fsync may take 120 s
    assert int(service["TimeoutStopSec"]) > 10  # the agent stops within 10 s


def test_it_is_restarted_and_reloaded(service: configparser.SectionProxy) -> None:
    assert service["Restart"] == "always"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_it_runs_without_privileges_but_reaches_serial_ports(service: configparser.SectionProxy) -> None:
    assert (service["User"], service["SupplementaryGroups"]) == ("qushui", "dialout")
    assert service["CapabilityBoundingSet"] == ""
    assert service["DeviceAllow"] == "char-tty* rw"
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"


def test_it_may_ask_whether_the_clock_is_set(service: configparser.SectionProxy) -> None:
    allowed = service["SystemCallFilter"].split()
    assert {"adjtimex", "clock_adjtime", "clock_adjtime64"} <= set(allowed)  # which one depends on libc and board
    assert "ProtectClock" not in service


def test_what_the_agent_writes_is_its_state_directory(service: configparser.SectionProxy) -> None:
    assert site_of(Path("/nonexistent")).store.parent == Path("/var/lib") / service["StateDirectory"]
    assert f"-c {DEFAULT_CONFIG}" in service["ExecStart"]


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    unit = (SYSTEMD / "qushui.service").read_text(encoding="utf-8")
    assert "ExecStart=/opt/qushui/bin/qushui " in unit
    copy = tmp_path / "qushui.service"
    copy.write_text(unit.replace("/opt/qushui/bin/qushui", "/bin/true").replace("man:", "https://example.invalid/"))
    analyzer = shutil.which("systemd-analyze")
    if analyzer is None:  # a machine without systemd: the other tests have parsed the unit
        return
    found = subprocess.run([analyzer, "verify", "--man=no", str(copy)], check=False, capture_output=True, text=True)
    about = [line for line in found.stderr.splitlines() if "qushui" in line]
    assert about == []
    assert found.returncode == 0 or "qushui" not in found.stderr


@pytest.mark.parametrize("name", ["qushui.sysusers.conf", "qushui.tmpfiles.conf", "99-qushui.rules"])
def test_every_line_is_a_comment_or_an_entry(name: str) -> None:
    for line in (SYSTEMD / name).read_text(encoding="utf-8").splitlines():
        assert not line or line.startswith(("#", "u ", "m ", "d ", "z ", "ACTION==", "SUBSYSTEM=="))
