"""`make demo`, as it runs on a fresh machine: real processes, real sums, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from simulators.demo_books import balanced
from simulators.platforms.mqtt_archive import Archive
from simulators.platforms.mqtt_payload import judge

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


@pytest.fixture
def place() -> str:
    """A fresh directory with a short path: a socket's name is at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="qd-") as name:
        yield name


def spawn(place: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "simulators.demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": place, "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_behind(place: str) -> list[str]:
    """Command lines of processes that still work in `place`."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if str((process / "cwd").readlink()).startswith(place):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found


def test_the_demo_loses_nothing_over_an_outage_and_says_so_in_its_last_line(place):
    demo = spawn(place, "--seconds", "9", "--lang", "en")
    output, errors = demo.communicate(timeout=PATIENCE_S)
    last = json.loads(output.splitlines()[-1])
    assert demo.returncode == 0, errors
    assert last["stored"] >= 8
    assert last == {
        "stored": last["stored"],
        "acknowledged": {"cloud": last["stored"]},
        "lost": 0,
        "repeated": last["repeated"],
        "wrong_values": 0,
    }
    for meter in ("main-flow", "pump-kwh", "tank-flow", "field-flow"):
        assert f" {meter}" in output
    assert "platform back" in output
    assert left_behind(place) == []
    assert list(Path(place).iterdir()) == []


def test_ctrl_c_ends_the_demo_in_order(place):
    demo = spawn(place, "--lang", "zh")
    assert demo.stdout is not None
    while "main-flow" not in demo.stdout.readline():
        assert demo.poll() is None
    demo.send_signal(signal.SIGINT)
    output, errors = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 0, errors
    assert "丢失 0" in output
    assert json.loads(output.splitlines()[-1])["lost"] == 0
    assert left_behind(place) == []


def test_a_demo_that_is_killed_leaves_no_process(place):
    demo = spawn(place)
    assert demo.stdout is not None
    while "main-flow" not in demo.stdout.readline():
        assert demo.poll() is None
    demo.kill()
    demo.communicate(timeout=PATIENCE_S)
    give_up_s = time.monotonic() + PATIENCE_S
    while left_behind(place):
        assert time.monotonic() < give_up_s, left_behind(place)
        time.sleep(0.05)


AT_MS = 1_795_219_200_000  # 2026-11-21T08:00 in China


def a_round(number: int, value: str) -> dict[str, object]:
    return {
        "id": f"9f3c2a71-{number}",
        "meter": "main-flow",
        "at": f"2026-11-21T08:00:0{number}.000+08:00",
        "slot": f"2026-11-21T08:00:0{number}+08:00",
        "resent": False,
        "values": {"flow_rate": value},
        "quality": {},
    }


def test_water_is_compared_only_while_the_exact_meter_counted(tmp_path):
    received, truth = tmp_path / "received.sqlite", tmp_path / "truth.jsonl"
    with closing(Archive(received)) as archive:
        for number in range(1, 6):
            told = a_round(number, "36") | {"meter": "well-3"}
            told |= {"values": {"volume_withdrawn": f"{number}.000"}, "origin": "measured"}
            rounds, complaints = judge(json.dumps([told]).encode(), None)
            assert complaints == []
            archive.keep("pumphouse-12", rounds, 0)
    with truth.open("w") as journal:
        for number in (3, 4, 5):  # the exact meter was there two seconds later
            values = {"volume_forward": f"{number}.000"}
            journal.write(json.dumps({"at_ms": AT_MS + 1000 * number, "meter": "field-flow", "values": values}) + "\n")
    (found,) = balanced(store=tmp_path / "none.db", received=received, truth=truth).withdrawn
    assert (found.volume_m3, found.true_m3) == (2, 2)


def test_the_books_name_what_is_lost_repeated_and_wrong(tmp_path):
    store, received, truth = tmp_path / "qushui.db", tmp_path / "received.sqlite", tmp_path / "truth.jsonl"
    with closing(sqlite3.connect(store)) as database:
        for part in sorted((ROOT / "agent" / "schema").glob("*.sql")):
            database.executescript(part.read_text(encoding="utf-8"))
        database.execute("INSERT INTO epoch VALUES (1, '9f3c2a71')")
        database.executemany("INSERT INTO round VALUES (?, 1, 0, x'', NULL, x'')", [(1,), (2,), (3,), (4,)])
        database.execute("INSERT INTO uplink VALUES ('cloud', '[[3, 3], [5, null]]', 1)")
        database.commit()
    with closing(Archive(received)) as archive:
        for number, value in ((1, "1.5"), (2, "2.5"), (2, "2.5"), (4, "9.9")):
            rounds, complaints = judge(json.dumps([a_round(number, value)]).encode(), None)
            assert complaints == []
            archive.keep("pumphouse-12", rounds, 0)
    with truth.open("w") as journal:
        for number in range(1, 5):
            entry = {"at_ms": AT_MS + 1000 * number, "meter": "main-flow", "values": {"flow_rate": f"{number}.50"}}
            journal.write(json.dumps(entry) + "\n")
    books = balanced(store=store, received=received, truth=truth)
    assert json.loads(books.as_json()) == {
        "stored": 4, "acknowledged": {"cloud": 3}, "lost": 1, "repeated": 1, "wrong_values": 1,
    }  # fmt: skip
    assert [each.id for each in books.wrong] == ["9f3c2a71-4"]
    assert not books.are_balanced


def test_a_store_that_was_never_made_does_not_balance(tmp_path):
    truth = tmp_path / "truth.jsonl"
    truth.touch()
    books = balanced(store=tmp_path / "qushui.db", received=tmp_path / "received.sqlite", truth=truth)
    assert (books.stored, books.lost, books.are_balanced) == (0, 0, False)


def test_the_demo_shows_withdrawn_water_of_a_metered_and_a_converted_intake_beside_the_truth(place):
    demo = spawn(place, "--seconds", "16", "--lang", "en")
    output, errors = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 0, errors
    found = {
        intake: (float(volume), float(true))
        for intake, volume, true in re.findall(r"^(well-\d): (\S+) m3 withdrawn, true (\S+) m3", output, re.MULTILINE)
    }
    assert set(found) == {"well-3", "well-5"}
    for volume, true in found.values():
        assert volume == pytest.approx(true, rel=0.05, abs=0.12)  # a plant of seconds moves 0.027 m3 in each of them
