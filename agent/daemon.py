"""The daemon: finds its configuration, runs a station, reloads, stops. The order of start and stop lives here.

Strategy: a copy of the configuration that last passed is kept, so that a mistake in the file never stops a station that
worked. A reload restarts only what changed; a change of the store or the clock restarts everything inside
the same process.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from agent import logs
from agent.clock import SystemClock, sharpen_timers
from agent.faults import FaultCode
from agent.form.problems import Problem
from agent.loading import Loaded, Loading, copy_place
from agent.station import RunningStation
from agent.store.database import StoreHeldError
from agent.supervise import tell_systemd
from agent.uplinks.registry import UPLINKS
from agent.whole import write_whole
from drivers.modbus import requests
from drivers.named import part_at

_LOOK_S = 1.0
_MOST_PROBLEMS = 5  # of a refused file, in the Fault; `qushui check` shows them all


class _End(Enum):
    STOP = 0
    AGAIN = 1


class StartError(Exception):
    """The daemon cannot start: `problems` of a file that has no last good version, or `code` with `arguments`."""

    def __init__(self, code: str, problems: Sequence[Problem] = (), **arguments: str) -> None:
        super().__init__(code)
        self.code = code
        self.problems = tuple(problems)
        self.arguments = arguments


def run_daemon(path: Path, loading: Loading, *, log_level: str = "info") -> int:
    """Runs the station described in `path`, which `loading` reads, until SIGTERM or SIGINT; gives the exit status.

    Raises StartError when there is no configuration to start with or the store cannot be opened.
    """
    sharpen_timers()
    log = logs.set_up(level=log_level)
    return _Daemon(path, log, loading).run()


def _load_usual_parts() -> None:
    """Loads what nearly every station needs while the configuration, which will ask for it, is still being judged."""
    requests()
    part_at(UPLINKS["mqtt"].maker)


class _Daemon:
    def __init__(self, path: Path, log: Any, loading: Loading) -> None:
        self._path = path
        self._log = log
        self._wake = threading.Event()
        self._stop_asked = False
        self._reload_asked = False
        self._loading: Loading | None = loading

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        _load_usual_parts()
        while self._run_once() is _End.AGAIN:
            self._log.info("daemon.restarted")
        return 0

    def _on_stop(self, *_: object) -> None:
        self._stop_asked = True
        self._wake.set()

    def _on_reload(self, *_: object) -> None:
        self._reload_asked = True
        self._wake.set()

    # --- configuration

    def _keep(self, loaded: Loaded) -> None:
        """Keeps a copy of what passed; a power cut leaves the old copy or the new one. Never stops the daemon."""
        if not loaded.copy:
            return
        copy = copy_place(self._path)
        try:
            write_whole(copy, loaded.copy)
        except OSError as error:
            self._log.warning("config.not_kept", file=str(copy), error=str(error))

    def _say_refused(self, station: RunningStation, problems: Sequence[Problem]) -> None:
        if not problems:
            station.faults.cleared(FaultCode.CONFIG_REFUSED, "config")
            return
        first = json.dumps([each.told() for each in problems[:_MOST_PROBLEMS]], ensure_ascii=False)
        file = str(self._path.absolute())
        station.faults.raised(FaultCode.CONFIG_REFUSED, "config", file=file, mistakes=len(problems), problems=first)

    # --- one life

    def _run_once(self) -> _End:
        loaded = (self._loading or Loading(self._path)).result()
        self._loading = None
        config = loaded.config
        if config is None:
            raise StartError("configuration", loaded.problems, file=str(self._path))
        clock = SystemClock(config.clock.trust)
        station = RunningStation(config, clock=clock, log=self._log, reload=self._ask_reload)
        try:
            station.open()
        except StoreHeldError as error:
            raise StartError("store-held", holder=error.holder, path=config.store.path) from error
        except OSError as error:
            raise StartError("store", path=config.store.path, error=str(error)) from error
        try:
            station.start()
            self._say_refused(station, loaded.problems)
            self._keep(loaded)
            tell_systemd("READY=1")
            self._log.info("daemon.started", station=config.station.id, pid=os.getpid())
            return self._watch(station, clock)
        finally:
            tell_systemd("STOPPING=1")
            station.stop()
            self._log.info("daemon.stopped")

    def _ask_reload(self) -> None:
        self._on_reload()

    def _watch(self, station: RunningStation, clock: SystemClock) -> _End:
        while not self._stop_asked:
            if station.watch():
                tell_systemd("WATCHDOG=1")
            if self._reload_asked:
                self._reload_asked = False
                tell_systemd("RELOADING=1")
                if self._reload(station) is _End.AGAIN:
                    return _End.AGAIN
                tell_systemd("READY=1")
            clock.wait(self._wake, _LOOK_S)
            self._wake.clear()
        return _End.STOP

    def _reload(self, station: RunningStation) -> _End | None:
        """Takes up the file as it is now; a wrong one changes nothing but the Fault."""
        try:
            loaded = Loading(self._path).result()
        except (TimeoutError, RuntimeError) as error:
            self._log.error("config.not_read", file=str(self._path), error=str(error))
            return None
        self._say_refused(station, loaded.problems)
        config = loaded.config
        if config is None:
            return None
        before = station.config
        if (config.store, config.clock) != (before.store, before.clock):
            return _End.AGAIN
        station.take_up(config)
        self._keep(loaded)
        self._log.info("config.reloaded", file=str(self._path))
        return None
