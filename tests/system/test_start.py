"""What a start loads: the first reading waits for each module that somebody names too early.

No time is asserted; the import lists of the real processes tell what makes it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.processes import Process, until
from tests.system.station import PLAIN, Site

IMPORTED = re.compile(r"^import time: +[0-9]+ \| +[0-9]+ \| +(\S+)$", re.MULTILINE)
JUDGE = "import sys; from pathlib import Path; from agent.loading import judge_for; judge_for(Path(sys.argv[1]))"

JUDGING = {"pydantic", "yaml", "agent.config", "agent.form.nodes", "agent.form.fields", "agent.profiles"}
RUNNING = {"agent.station", "agent.store.store", "agent.poll", "agent.line.line", "sqlite3", "structlog", "asyncio"}
ELSEWHERE = {  # protocols, platforms and verbs that this station does not have
    "drivers.dlt645", "drivers.cjt188", "drivers.modbus_search", "drivers.dlt645_search", "drivers.cjt188_search",
    "agent.uplinks.sl651", "agent.uplinks.szy206", "agent.uplinks.reporting", "agent.centres",
    "cryptography", "openpyxl", "tabulate", "wcwidth", "tqdm", "importlib.metadata",
}  # fmt: skip


def loaded_by(text: str) -> set[str]:
    """Every module in an interpreter's list of imports, and the packages around it."""
    names = set(IMPORTED.findall(text))
    return names | {name[:at] for name in names for at, mark in enumerate(name) if mark == "."}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A Modbus meter that nobody answers for, a broker that is not there: the usual station, without intakes."""
    site = Site(tmp_path)
    site.profile("plain", dict.fromkeys(PLAIN[:1], 0))
    site.tcp("lan")
    site.meter("meter-1", "lan", "plain")
    site.write()
    return site


def test_the_daemon_loads_nothing_that_judges_and_nothing_that_its_station_lacks(site: Site) -> None:
    argv: list[str | Path] = [sys.executable, "-X", "importtime", "-m", "agent.cli", "run", "-c", site.config]
    with site:
        daemon = site.keep(Process("daemon", argv, site.directory))
        until(lambda: "daemon.started" in daemon.text(), 30, "the daemon has started")
        daemon.stop()
    loaded = loaded_by(daemon.text())
    assert loaded >= RUNNING
    assert loaded & (JUDGING | ELSEWHERE) == set()


def test_judging_a_file_loads_nothing_that_runs_and_nothing_that_the_file_lacks(site: Site) -> None:
    argv = [sys.executable, "-X", "importtime", "-c", JUDGE, str(site.config)]
    ended = subprocess.run(argv, capture_output=True, timeout=60, check=True)
    loaded = loaded_by(ended.stderr.decode())
    assert loaded >= JUDGING
    unneeded = {"pymodbus", "paho", "ssl", "subprocess", "agent.intakes.form", "agent.archive.form", "agent.rules"}
    assert loaded & (RUNNING | ELSEWHERE - {"importlib.metadata"} | unneeded) == set()  # pydantic's own


def test_the_judging_begins_before_the_daemon_loads_its_parts() -> None:
    code = "import sys, agent.cli.main, agent.cli.run; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    later = {"agent.settings", "agent.clock", "agent.control", "socket", "dataclasses", "importlib.resources"}
    assert set(ended.stdout.split()) & (JUDGING | RUNNING | ELSEWHERE | later) == set()
