"""Starts, watches and restarts threads, and tells systemd that all of them are alive.

Strategy: a worker is a function of (stop, beat). One that raises is started again after a growing pause; one that stops
beating cannot be killed from inside, so the watchdog is no longer fed and systemd restarts the process, which is
always safe.
"""

from __future__ import annotations

import os
import socket
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent.clock import Clock
from agent.faults import FaultCode, FaultSink

_FIRST_PAUSE_S, _LAST_PAUSE_S = 1.0, 60.0
_STEADY_S = 300.0  # a worker that ran this long starts again without much pause

Body = Callable[[threading.Event, Callable[[], None]], None]


@dataclass(slots=True)
class _Worker:
    name: str
    body: Body
    slack_s: float
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    beat_s: float = 0.0
    began_s: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    again_at_s: float | None = None


class Supervisor:
    """Owns the threads. Its own methods are called from the main thread only."""

    def __init__(self, *, clock: Clock, faults: FaultSink, log: Any) -> None:
        self._clock = clock
        self._faults = faults
        self._log = log
        self._workers: dict[str, _Worker] = {}

    def start(self, name: str, body: Body, *, slack_s: float = 15.0) -> None:
        """Runs `body` in a thread called `name`; it must beat at least every `slack_s` seconds."""
        worker = _Worker(name, body, slack_s)
        self._workers[name] = worker
        self._launch(worker)

    def has(self, name: str) -> bool:
        """Whether a worker of this name was started and not joined."""
        return name in self._workers

    def _launch(self, worker: _Worker) -> None:
        worker.beat_s = worker.began_s = self._clock.monotonic()
        worker.again_at_s = None
        worker.thread = threading.Thread(target=self._run, args=(worker,), name=worker.name, daemon=True)
        worker.thread.start()

    def _run(self, worker: _Worker) -> None:
        def beat() -> None:
            worker.beat_s = self._clock.monotonic()

        try:
            worker.body(worker.stop, beat)
        except Exception as error:  # noqa: BLE001 - the one place where any error of a worker ends: restart, say so
            now_s = self._clock.monotonic()
            if now_s - worker.began_s > _STEADY_S:
                worker.pause_s = _FIRST_PAUSE_S
            worker.again_at_s = now_s + worker.pause_s
            worker.pause_s = min(_LAST_PAUSE_S, 2 * worker.pause_s)
            self._log.error("thread.failed", thread=worker.name, error=repr(error), traceback=traceback.format_exc())
            self._faults.raised(FaultCode.THREAD_RESTARTED, f"thread/{worker.name}", error=repr(error))

    def watch(self) -> bool:
        """Starts again what failed; true while every worker beats. Call about once a second."""
        now_s = self._clock.monotonic()
        alive = True
        for worker in self._workers.values():
            if worker.again_at_s is not None:
                if now_s >= worker.again_at_s and not worker.stop.is_set():
                    self._log.warning("thread.restarted", thread=worker.name)
                    self._launch(worker)
            elif now_s - worker.beat_s > worker.slack_s:
                self._log.error("thread.stalled", thread=worker.name, silent_s=round(now_s - worker.beat_s, 1))
                alive = False
            elif now_s - worker.began_s > _STEADY_S:
                self._faults.cleared(FaultCode.THREAD_RESTARTED, f"thread/{worker.name}")
        return alive

    def ask_to_stop(self, name: str) -> None:
        """Sets its stop; does not wait."""
        self._workers[name].stop.set()

    def join(self, name: str, timeout_s: float) -> bool:
        """Waits for a worker that was asked to stop; true when it has ended."""
        worker = self._workers.pop(name)
        worker.stop.set()
        if worker.thread is not None:
            worker.thread.join(timeout_s)
            return not worker.thread.is_alive()
        return True


def tell_systemd(message: str) -> None:
    """Sends a line such as `READY=1` to the service manager; does nothing where there is none. Source: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)
