"""Configuration that changes while the daemon runs or while it is down, and how it stops."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from agent.cli.main import main
from tests.ports import free_port
from tests.system.processes import SCRIPTS, Process, until
from tests.system.station import TWENTY, Site

ESTABLISHED = "01"  # /proc/net/tcp, include/net/tcp_states.h


def _site(directory: Path, *, poll: str = "100ms", meters: int = 2) -> Site:
    site = Site(directory, poll=poll)
    site.profile("five", {quantity: register for register, quantity in enumerate(TWENTY[:5])})
    for index in range(meters):
        site.tcp(f"lan-{index}")
        site.meter(f"meter-{index}", f"lan-{index}", "five", values=dict.fromkeys(TWENTY[:5], str(index)))
    site.write()
    return site


def test_a_configuration_made_wrong_while_it_is_down_does_not_stop_the_station(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with _site(tmp_path) as site:
        site.start_meters()
        daemon = site.start_daemon().ready()
        until(lambda: site.committed() > 3, 20, "rounds are stored")
        assert daemon.stop() == 0
        site.config.write_text(
            site.config.read_text(encoding="utf-8").replace("poll: 100ms", "pol: 100ms"), encoding="utf-8"
        )
        before = site.committed()
        daemon = site.start_daemon().ready()
        until(lambda: site.committed() > before + 3, 20, "it polls with the last good configuration")
        until(lambda: ("CONFIG-REFUSED", "config") in daemon.faults(), 10, "it says that the file is refused")
        capsys.readouterr()
        assert main(["check", str(site.config), "--lang", "zh"]) == 2
        mistakes = capsys.readouterr().out.splitlines()
        assert len(mistakes) == 4
        assert main(["status", "-c", str(site.config), "--lang", "zh"]) == 0
        said = "".join(capsys.readouterr().out.split())
        assert all("".join(mistake.split()) in said for mistake in mistakes)
        assert f"qushuicheck{site.config}" in said
        site.write()
        daemon.signal(signal.SIGHUP)
        until(lambda: ("CONFIG-REFUSED", "config") not in daemon.faults(), 10, "the mended file clears the fault")
        assert daemon.stop() == 0


def test_without_any_good_configuration_it_ends_with_2_and_names_every_error(tmp_path: Path) -> None:
    site = _site(tmp_path)
    site.config.write_text(
        site.config.read_text(encoding="utf-8").replace("poll: 100ms", "pol: 100ms"), encoding="utf-8"
    )
    process = Process("qushui", [SCRIPTS / "qushui", "run", "-c", site.config], tmp_path)
    assert process.child.wait(20) == 2
    wrong = [
        number for number, line in enumerate(site.config.read_text(encoding="utf-8").splitlines(), 1) if "pol:" in line
    ]
    assert len(wrong) == 2
    assert all(f"agent.yaml:{number}:" in process.text() for number in wrong)


def test_a_configuration_made_wrong_while_it_runs_changes_nothing(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        site.start_meters()
        daemon = site.start_daemon().ready()
        until(lambda: site.committed() > 3, 20, "rounds are stored")
        site.config.write_text("station: [", encoding="utf-8")
        daemon.signal(signal.SIGHUP)
        until(lambda: ("CONFIG-REFUSED", "config") in daemon.faults(), 10, "it says that the file is refused")
        before = site.committed()
        until(lambda: site.committed() > before + 3, 20, "it polls on")
        assert daemon.stop() == 0


def test_a_reload_restarts_only_what_changed(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        site.tcp("lan-new")
        site.write()
        site.lines["lan-new"], held = site.lines["lan-new"], site.lines.pop("lan-new")
        site.write()
        site.lines["lan-new"] = held
        site.far_meters["meter-new"] = {
            "line": "lan-new",
            "profile": "five",
            "address": "1",
            "values": dict.fromkeys(TWENTY[:5], "9"),
        }
        site._write(tmp_path / "meters.yaml", {"lines": site.far_lines, "meters": site.far_meters})
        site.start_meters()
        site.start_broker()
        collector = site.start_collector()
        daemon = site.start_daemon().ready()
        until(lambda: collector.count() > 10, 20, "readings arrive")
        connected = len(collector.states())
        polls = daemon.status()["lines"]["lan-0"]["polls"]
        connections = {line: _connection(site, line) for line in ("lan-0", "lan-1")}
        site.meters["meter-new"] = {"line": "lan-new", "profile": "five", "address": "1", "poll": "100ms"}
        site.meters["meter-1"]["poll"] = "300ms"
        site.write()
        daemon.signal(signal.SIGHUP)
        until(
            lambda: any(one["meter"] == "meter-new" for one in collector.rounds()),
            20,
            "the new meter's readings arrive",
        )
        assert _connection(site, "lan-0") == connections["lan-0"], "a line that did not change goes on"
        assert _connection(site, "lan-1") != connections["lan-1"], "a line that changed starts again"
        assert daemon.status()["lines"]["lan-0"]["polls"] > polls
        assert len(collector.states()) == connected, "the broker saw no reconnection"
        assert daemon.stop() == 0
        delivery = site.delivery(collector)
        assert (delivery.missing, delivery.different) == ([], [])


def test_the_faults_of_a_dead_uplink_end_when_it_is_removed(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        site.uplink(free_port())
        site.write()
        site.start_meters()
        daemon = site.start_daemon().ready()
        until(lambda: ("UPLINK-DOWN", "uplink/cloud") in daemon.faults(), 20, "nobody is there")
        until(lambda: site.committed() > 10, 20, "rounds are owed")
        site.uplinks.clear()
        site.write()
        daemon.signal(signal.SIGHUP)
        until(lambda: "config.reloaded" in daemon.text(), 20, "it is taken up")
        until(lambda: ("UPLINK-DOWN", "uplink/cloud") not in daemon.faults(), 5, "nothing is down that is not there")
        assert daemon.stop() == 0


def _connection(site: Site, line: str) -> set[str]:
    """The client's ends of the connections to a simulated meter: another one means that it was made anew."""
    far = f":{int(site.lines[line]['tcp'].rpartition(':')[2]):04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return {local for _, local, remote, state, *_ in rows if remote.endswith(far) and state == ESTABLISHED}


def test_a_stop_under_load_loses_nothing_and_ends_well(tmp_path: Path) -> None:
    with _site(tmp_path, poll="10ms", meters=6) as site:
        site.start_meters()
        site.start_broker()
        collector = site.start_collector()
        for _ in range(3):
            daemon = site.start_daemon()
            site.grows(100)
            assert daemon.stop(10) == 0
        delivery = site.delivery(collector)
        assert (delivery.missing, delivery.different, delivery.repeated) == ([], [], 0)
        assert collector.states()[-1][1]["state"] == "offline"
