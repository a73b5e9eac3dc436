"""The store against kill -9, power cuts, a full disk and failing fsyncs: real files, a real process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.store.conftest import fill, round_of

ROOT = Path(__file__).parents[3]
SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = struct.pack("I", 2)
FRAME = 24 + 1024
FRAMES_AT = 16  # of the log's index: how many frames readers may see, which are those an fsync has returned for


@contextlib.contextmanager
def writing(path: Path, *arguments: object, under: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """The writing process, ended at the end whatever happens."""
    command = [*under, sys.executable, "-m", "tests.agent.store.writing", str(path), *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], lines: int) -> int:
    """Reads some lines of its output; gives the highest number it said to be committed."""
    top = 0
    for _ in range(lines):
        line = process.stdout.readline()
        if line.startswith(("committed", "open", "end")):
            top = int(line.split()[1])
    return top


def rest(process: subprocess.Popen[str]) -> list[str]:
    """All of its output until it ends by itself."""
    return process.communicate(timeout=60)[0].splitlines()


def check(site, least: int) -> int:
    """Everything said to be committed is there, whole and unchanged; gives the highest number."""
    store = site.open()
    rounds = site.rounds()
    assert [each.number for each in rounds] == list(range(1, len(rounds) + 1))
    assert all(each.texts[0] == f"{each.number / 100:.2f}" for each in rounds)
    assert len(rounds) >= least
    assert store.committed == len(rounds)
    assert store.faults.open() == ()
    owed = store.begin_cursor("cloud")
    assert owed[-1][1] is None
    assert owed[0][0] <= len(rounds) + 1
    assert site.sql("PRAGMA integrity_check") == [("ok",)]
    site.close()
    return len(rounds)


def test_kill_9_at_any_moment_loses_nothing_that_was_committed(site):
    chance = random.Random(20)
    top = 0
    for _ in range(10):
        with writing(site.path) as process:
            least = said(process, chance.randrange(2, 30))
            process.send_signal(signal.SIGKILL)
            least = max(least, *(int(line.split()[1]) for line in process.stdout if line.startswith("committed")), 0)
        before, top = top, check(site, least)
        assert top >= before


def cut_by_copy(site, chance: random.Random) -> int:
    """Takes the files as they are at one moment, and spoils what no fsync had promised yet."""
    with writing(site.path) as process:
        least, log = 0, site.path.with_name("qushui.db-wal")
        for _ in range(chance.randrange(3, 30)):
            least = said(process, 1) or least
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        data, index = log.read_bytes(), log.with_name("qushui.db-shm").read_bytes()
        (frames,) = struct.unpack_from("=I", index, FRAMES_AT)
        cut = chance.randrange(32 + frames * FRAME, len(data) + 1)
        kept = site.path.read_bytes(), data[:cut] + chance.randbytes(len(data) - cut)
        process.kill()
        process.wait()
    site.path.write_bytes(kept[0])
    log.write_bytes(kept[1])
    site.path.with_name("qushui.db-shm").unlink(missing_ok=True)
    return least


def cut_by_shutdown(site, chance: random.Random) -> int:
    """Shuts a file system of its own down without writing its journal, as a power cut does."""
    image, mount = site.path.parent / "disk", site.path.parent / "mount"
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(24 << 20)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
        mount.mkdir()
        site.path = mount / "qushui.db"
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    try:
        with writing(site.path) as process:
            least = said(process, chance.randrange(3, 30))
            descriptor = os.open(mount, os.O_RDONLY)
            fcntl.ioctl(descriptor, SHUTDOWN, NO_LOG_FLUSH)
            os.close(descriptor)
            process.kill()
            process.wait()
    finally:
        subprocess.run(["umount", str(mount)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    return least


def can_mount() -> bool:
    return os.geteuid() == 0 and Path("/dev/loop-control").exists() and shutil.which("mkfs.ext4") is not None


def test_a_power_cut_loses_nothing_that_was_committed(site):
    chance = random.Random(21)
    top = 0
    for _ in range(5):
        least = cut_by_copy(site, chance)
        before, top = top, check(site, least)
        assert top >= before


def test_a_disk_that_goes_away_in_mid_write_loses_nothing_that_was_committed(site):
    chance = random.Random(22)
    cut = cut_by_shutdown if can_mount() else cut_by_copy  # without the right to mount, the other way once more
    for _ in range(3):
        least = cut(site, chance)
        try:
            check(site, least)
        finally:
            site.close()
            if cut is cut_by_shutdown:
                subprocess.run(["umount", str(site.path.parent)], check=True)


def inject(*rules: str) -> tuple[str, ...]:
    traced = ",".join(rule.split(":")[0] for rule in rules)
    return ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={traced}", *(f"-einject={rule}" for rule in rules))


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        (("pwrite64:error=ENOSPC:when=60..70",), "STORE-FULL"),
        (("pwrite64:error=EIO:when=60..64",), "STORE-WRITE-FAILED"),
        (("fdatasync:error=EIO:when=5..7",), "STORE-WRITE-FAILED"),
        (("fdatasync:error=ENOSPC:when=5..6",), "STORE-WRITE-FAILED"),
    ],
)
def test_a_failing_disk_is_survived_without_losing_a_round(site, rules, code):
    site.open()
    site.close()  # the schema is there: what fails are rounds
    with writing(site.path, 300, 0.002, under=inject(*rules)) as process:
        lines = rest(process)
    assert f"fault.raised {code}" in lines
    assert f"fault.cleared {code}" in lines
    assert lines[-1] == "end 300"
    assert check(site, 300) == 300


@contextlib.contextmanager
def small_disk(site) -> Iterator[None]:
    """3 MB in all: a file system where we may mount one, else SQLite's own limit, which says the same."""
    if not can_mount():
        yield
        return
    mount = site.path.parent / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(mount)], check=True)
    site.path = mount / "qushui.db"
    try:
        yield
    finally:
        site.close()
        subprocess.run(["umount", str(mount)], check=True)


def test_on_a_full_disk_the_newest_rounds_are_kept_and_what_was_given_up_is_counted(site):
    with small_disk(site):
        store = site.open()
        store.begin_cursor("cloud")
        if not can_mount():
            store._writer._connection.execute("PRAGMA max_page_count=1500")
        for number in range(1, 120_001):
            store.append(round_of(number, boot_ms=number))
            if number % 500 == 0:
                while not store.commit():
                    site.clock.advance(1)
        rounds = site.rounds()
        assert [each.number for each in rounds] == list(range(rounds[0].number, 120_001))
        assert all(each.texts[0] == f"{each.number / 100:.2f}" for each in rounds)
        assert len(rounds) > 20_000
        counts = site.reader().counts()
        assert counts.evicted == rounds[0].number - 1 > 0
        assert {fault.code for fault in store.faults.open()} == {"STORE-FULL", "STORE-EVICTED"}
        site.close()
        assert site.open().committed == 120_000  # and the agent starts on such a disk


def test_a_slow_card_does_not_slow_the_line(site):
    delay_s = 0.3
    site.open()
    site.close()
    with writing(site.path, 150, 0.004, under=inject(f"fdatasync:delay_exit={round(delay_s * 1e6)}")) as process:
        lines = rest(process)
    assert lines[-1] == "end 150"
    (longest_s,) = [float(line.split()[1]) for line in lines if line.startswith("longest_s")]
    assert longest_s < delay_s
    assert len([line for line in lines if line.startswith("committed")]) < 15  # while a commit lasts, many rounds come


def test_rounds_wait_in_memory_while_the_disk_refuses_and_are_on_it_when_it_no_longer_does(site, monkeypatch):
    store = site.open()
    fill(store, 10)
    connection = store._writer._connection
    failures = iter([sqlite3.OperationalError("disk I/O error")] * 4)

    class Refusing:
        in_transaction = False

        def execute(self, *_):
            raise next(failures)

        def close(self):
            connection.close()

    store._writer._connection = Refusing()
    for number in range(11, 41):
        store.append(round_of(number))
    assert not store.commit()
    assert store.committed == 10
    assert [fault.code for fault in store.faults.open()] == ["STORE-WRITE-FAILED"]
    assert store.commit()
    assert store.commit()
    assert site.numbers() == list(range(1, 41))
    assert store.faults.open() == ()
