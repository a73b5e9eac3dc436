"""The daemon: finds its configuration, runs a station, reloads, stops. The order of start and stop lives here.

Strategy: a copy of the configuration that last passed is kept, so that a mistake in the file never stops a station that
worked. A reload restarts only what changed; a change of the store or the clock restarts everything inside
the same process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from agent import config as configuration
from agent import logs
from agent.clock import SystemClock, sharpen_timers
from agent.faults import FaultCode
from agent.form.problems import FormErrors, Problem
from agent.settings import Config
from agent.station import RunningStation
from agent.store.database import StoreHeldError
from agent.supervise import tell_systemd
from agent.uplinks.registry import SETTINGS
from drivers.registry import DRIVERS

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


def run_daemon(path: Path) -> int:
    """Runs the station described in `path` until SIGTERM or SIGINT; gives the exit status.

    Raises StartError when there is no configuration to start with or the store cannot be opened.
    """
    sharpen_timers()
    log = logs.set_up()
    return _Daemon(path, log).run()


class _Daemon:
    def __init__(self, path: Path, log: Any) -> None:
        self._path = path
        self._log = log
        self._wake = threading.Event()
        self._stop_asked = False
        self._reload_asked = False
        self._refused: FormErrors | None = None

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
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

    def _load(self) -> Config:
        """The file's configuration, else the last good one. Raises StartError when there is neither."""
        try:
            config = configuration.load(self._path, drivers=DRIVERS, uplink_settings=SETTINGS)
        except FormErrors as errors:
            self._refused = errors
        else:
            self._refused = None
            return config
        assert self._refused is not None
        try:
            text = copy_place(self._path).read_text(encoding="utf-8")
            return configuration.load_copy(text, self._path, drivers=DRIVERS, uplink_settings=SETTINGS)
        except (OSError, ValueError, FormErrors):
            raise StartError("configuration", self._refused.problems, file=str(self._path)) from self._refused

    def _keep(self, config: Config) -> None:
        """Keeps a copy of what passed; a power cut leaves the old copy or the new one. Never stops the daemon."""
        copy = copy_place(self._path)
        part = copy.with_name(copy.name + ".part")
        try:
            with part.open("w", encoding="utf-8") as file:
                file.write(configuration.copy_of(config))
                file.flush()
                os.fsync(file.fileno())
            part.replace(copy)
        except OSError as error:
            self._log.warning("config.not_kept", file=str(copy), error=str(error))

    def _say_refused(self, station: RunningStation) -> None:
        if self._refused is None:
            station.faults.cleared(FaultCode.CONFIG_REFUSED, "config")
            return
        problems = self._refused.problems
        first = "; ".join(f"{each.place} {each.path} {each.code}" for each in problems[:_MOST_PROBLEMS])
        station.faults.raised(
            FaultCode.CONFIG_REFUSED, "config", file=str(self._path), mistakes=len(problems), first=first
        )

    # --- one life

    def _run_once(self) -> _End:
        config = self._load()
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
            self._say_refused(station)
            if self._refused is None:
                self._keep(config)
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
            config = configuration.load(self._path, drivers=DRIVERS, uplink_settings=SETTINGS)
        except FormErrors as errors:
            self._refused = errors
            self._say_refused(station)
            return None
        self._refused = None
        self._say_refused(station)
        before = station.config
        if (config.store, config.clock) != (before.store, before.clock):
            return _End.AGAIN
        station.take_up(config)
        self._keep(config)
        self._log.info("config.reloaded", file=str(self._path))
        return None


def copy_place(path: Path) -> Path:
    """Where the last good copy of the file `path` lies: in the service's state directory, else beside the file.

    Not beside the database: only the configuration knows where that is, and it may be the one that is broken.
    """
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return (Path(state) if state else path.parent) / f"{path.name}.last-good"
