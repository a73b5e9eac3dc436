"""The daemon with DTUs that dial in: from registration to the platform, through drops, a reload and a restart."""

from __future__ import annotations

import copy
import signal
import socket
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.system.processes import SCRIPTS, Daemon, Process, until
from tests.system.station import TWENTY, Site


def _site(directory: Path, wells: int = 3, **far: Any) -> Site:
    """`wells` lines that share an address, each with a DTU and one meter."""
    site = Site(directory, poll="200ms")
    site.profile("five", {quantity: register for register, quantity in enumerate(TWENTY[:5])})
    port = free_port()
    for number in range(wells):
        name, registration = f"well-{number}", f"QS-{number}"
        site.lines[name] = {
            "dial_in": {"listen": f"127.0.0.1:{port}", "registration": registration, "heartbeat": "beat"},
            "timeout": "500ms",
        }
        site.far_lines[name] = {
            "dial_in": {
                "server": f"127.0.0.1:{port}",
                "registration": registration,
                "heartbeat": "beat",
                "every": "100ms",
                "redial": "200ms",
                **copy.deepcopy(far),
            },
            "baud": 9600,
        }
        site.meter(f"meter-{number}", name, "five", values=dict.fromkeys(TWENTY[:5], str(number + 5)))
    site.write()
    return site


def _dial_in(daemon: Daemon) -> dict[str, Any]:
    (found,) = daemon.status()["dial_ins"].values()
    return dict(found)


def _good(site: Site, meter: str) -> int:
    return sum(one.layout.meter == meter and not one.quality for one in site.stored())


def _values(site: Site, meter: str) -> set[tuple[str | None, ...]]:
    return {tuple(one.texts) for one in site.stored() if one.layout.meter == meter}


def test_wells_whose_dtus_drop_and_double_all_the_time_lose_nothing_and_mix_nothing(tmp_path: Path) -> None:
    far = {"drop": "3s", "behaviour": ["duplicate", "heartbeat_inside", "registration_glued"]}
    with _site(tmp_path, **far) as site:
        site.start_broker()
        collector = site.start_collector()
        daemon = site.start_daemon().ready()
        until(lambda: ("LINE-DOWN", "line/well-0") in daemon.faults(), 20, "the line waits for its DTU")
        (fault,) = (each for each in daemon.status()["faults"] if each["place"] == "line/well-0")
        assert "QS-0: has not dialled in since" in fault["evidence"]["detail"]
        site.start_meters()
        until(lambda: all(_good(site, f"meter-{number}") >= 10 for number in range(3)), 60, "all are read")
        until(lambda: _dial_in(daemon)["dtus"]["well-0"]["dialled"] >= 3, 30, "a DTU has dialled in again")
        for number in range(3):
            right = tuple([str(number + 5)] * 5)
            assert _values(site, f"meter-{number}") <= {right, (None,) * 5}
        assert daemon.stop() == 0
        delivery = site.delivery(collector)
        assert not delivery.missing
        assert not delivery.different


def test_a_reload_that_changes_one_line_leaves_the_others_connected(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        site.start_meters()
        daemon = site.start_daemon().ready()
        until(lambda: all(_good(site, f"meter-{number}") >= 3 for number in range(3)), 30, "all are read")
        site.lines["well-1"]["dial_in"]["registration"] = "QS-1*"
        site.lines["well-2"]["timeout"] = "700ms"
        site.write()
        daemon.signal(signal.SIGHUP)
        until(lambda: "config.reloaded" in daemon.text(), 10, "it is taken up")
        until(lambda: _dial_in(daemon)["dtus"]["well-1"]["dialled"] == 1, 30, "the changed one has dialled in anew")
        site.grows(12)
        assert [each["dialled"] for each in _dial_in(daemon)["dtus"].values()] == [1, 1, 1]
        bound = [line for line in daemon.text().splitlines() if '"dtu.bound"' in line]
        assert sum('"well-0"' in line for line in bound) == 1
        assert sum('"well-2"' in line for line in bound) == 1
        assert daemon.stop() == 0


def test_strangers_at_the_door_are_counted_and_disturb_nobody(tmp_path: Path) -> None:
    with _site(tmp_path, wells=1) as site:
        site.start_meters()
        daemon = site.start_daemon().ready()
        until(lambda: _good(site, "meter-0") >= 3, 30, "it is read")
        port = int(site.lines["well-0"]["dial_in"]["listen"].rpartition(":")[2])
        before = site.committed()
        strangers = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(60)]
        for number, stranger in enumerate(strangers):
            try:
                stranger.sendall(b"x" * 2000 if number % 2 else b"GET / HTTP/1.1\r\n\r\n")
            except OSError:
                continue  # it has been shown out already
        until(lambda: _dial_in(daemon)["refused"] >= 30, 10, "they are counted")
        until(lambda: site.committed() >= before + 10, 20, "the well is read on")
        assert _dial_in(daemon)["waiting"] <= 32
        assert _dial_in(daemon)["dtus"]["well-0"]["dialled"] == 1
        assert not [one for one in site.stored()[before:] if one.quality]
        for stranger in strangers:
            stranger.close()
        assert daemon.stop() == 0


def test_it_reads_a_dtu_without_a_daemon(tmp_path: Path) -> None:
    with _site(tmp_path, wells=1) as site:
        site.start_meters()
        process = site.keep(Process("read", [SCRIPTS / "qushui", "read", "meter-0", "-c", site.config], tmp_path))
        assert process.child.wait(60) == 0
        assert "5" in process.text()
