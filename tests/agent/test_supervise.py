"""A worker that fails is started again and said so; one that stops beating starves the watchdog."""

from __future__ import annotations

import socket
import threading

from agent.faults import FaultCode
from agent.supervise import Supervisor, tell_systemd
from tests.fakes import FakeClock, KeptFaults, QuietLog


def made():
    clock, faults = FakeClock(), KeptFaults()
    return clock, faults, Supervisor(clock=clock, faults=faults, log=QuietLog())


def test_a_worker_that_raises_is_started_again_after_a_pause():
    clock, faults, supervisor = made()
    runs, again = [], threading.Event()

    def body(stop, beat):
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("boom")
        again.set()
        stop.wait(10)

    supervisor.start("line:a", body)
    assert _until(lambda: FaultCode.THREAD_RESTARTED in {code for code, _ in faults.open})
    assert supervisor.watch()
    assert len(runs) == 1, "not before its pause is over"
    clock.advance(1.5)
    supervisor.watch()
    assert again.wait(5)
    assert supervisor.join("line:a", 5)


def test_a_worker_that_stops_beating_starves_the_watchdog_until_it_beats_again():
    clock, _, supervisor = made()
    go, beaten = threading.Event(), threading.Event()

    def body(stop, beat):
        go.wait(10)
        beat()
        beaten.set()
        stop.wait(10)

    supervisor.start("uplink:x", body, slack_s=120)
    clock.advance(119)
    assert supervisor.watch()
    clock.advance(2)
    assert not supervisor.watch()
    go.set()
    assert beaten.wait(5)
    assert supervisor.watch()
    assert supervisor.join("uplink:x", 5)


def test_systemd_is_told_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_systemd("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        tell_systemd("WATCHDOG=1")
        assert listener.recv(100) == b"WATCHDOG=1"


def _until(condition, tries=500):
    wait = threading.Event()
    return any(condition() or wait.wait(0.01) for _ in range(tries))
