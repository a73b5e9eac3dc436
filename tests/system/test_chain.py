"""The chain of a running station: sealed, signed, told to the platform; verified after kills and from outside."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agent.signing import key_place
from tests.mosquitto import Subscriber
from tests.system.processes import until
from tests.system.station import Site

REGISTERS = {"volume_forward": 0, "flow_rate": 1}


def verify(*words: object) -> tuple[int, dict]:
    command = [sys.executable, "-m", "agent.cli", "verify", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def site(tmp_path: Path):
    with Site(tmp_path, poll="200ms") as site:
        site.profile("plain", REGISTERS)
        site.tcp("lan")
        site.meter("main-flow", "lan", "plain", values={"volume_forward": "1234", "flow_rate": "12"})
        site.write()
        site.start_meters()
        yield site


def heads_of(site: Site) -> list[dict]:
    with closing(sqlite3.connect(f"file:{site.database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT body FROM ledger WHERE kind = 'head' ORDER BY id").fetchall()
    return [json.loads(body) for (body,) in rows]


def test_a_station_signs_its_head_tells_the_platform_and_is_verified_after_a_kill(site: Site):
    site.start_broker()
    daemon = site.start_daemon().ready()
    site.grows(5)
    until(lambda: bool(heads_of(site)), 20, "a signed head")
    (head,) = heads_of(site)
    assert key_place(site.database).stat().st_mode & 0o777 == 0o600
    retained: list[dict] = []

    def arrived() -> bool:
        with Subscriber(site.broker_port, topic="qushui/bench-1/head") as platform:
            until(lambda: bool(platform.heads), 5, "a retained head")
            retained[:] = platform.heads
            return retained == [head]

    until(arrived, 20, "the head at the broker")
    status, told = verify(site.database, "--head", json.dumps(head), "--key", head["key"])
    assert (status, told["held"]) == (0, "SAME")
    site.grows(5)
    daemon.kill()
    assert verify(site.database)[0] == 0
    daemon = site.start_daemon().ready()
    site.grows(5)
    assert daemon.stop() == 0
    status, told = verify(site.database, "--head", json.dumps(head), "--key", head["key"])
    assert status == 0
    assert told["rounds"]["unsealed"] == told["unsealed_rows"] == 0
    assert told["rounds"]["stored"] == site.committed()
    copy = site.directory / "copy.db"
    shutil.copy(site.database, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE era SET offset_ms = offset_ms + 1")
        connection.commit()
    status, told = verify(copy)
    assert (status, told["breaks"][0]["table"]) == (1, "era")
