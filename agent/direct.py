"""Reads meters without a daemon: opens their lines itself, asks once, lets go."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent import logs
from agent.clock import SystemClock, sharpen_timers
from agent.comparing import DirectComparing
from agent.config import load
from agent.control import ControlError
from agent.line.line import Line
from agent.line.listening import DialIns
from agent.line.meter import PolledMeter
from agent.line.ports import LineDownError, LineHeldError
from agent.poll import read_now
from agent.uplinks.registry import settings_models
from agent.wiring import make_line, make_meters
from drivers.registry import DRIVERS

_DIAL_IN_S = 60.0  # DTUs try again every few seconds, some once a minute


class DirectReading:
    """The meters of a configuration, each line opened when the first of its meters is read."""

    def __init__(self, path: Path) -> None:
        """Raises FormErrors for a wrong configuration."""
        sharpen_timers()
        self._config = load(path, drivers=DRIVERS, uplink_settings=settings_models())
        self._clock = SystemClock(self._config.clock.trust)
        self._lines: dict[str, tuple[Line, dict[str, PolledMeter]]] = {}
        self.meters = list(self._config.meters)
        self._stop = threading.Event()
        self._dial_ins: DialIns | None = None
        self._listening: threading.Thread | None = None

    def read(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One poll now, as the daemon's `read` answers it; `arguments` may say what the display `shows`, and `who`.

        Raises:
            ControlError: LINE_DOWN or LINE_HELD and so on, as the daemon would refuse.
        """
        line_name = self._config.meters[name].line
        line, meters = self._line(line_name)
        try:
            result = read_now(line_name, line, meters[name], self._clock)
        except LineHeldError as error:
            raise ControlError("LINE_HELD", line=line_name, detail=error.detail, holder=error.holder) from error
        except LineDownError as error:
            raise ControlError("LINE_DOWN", line=line_name, detail=error.detail) from error
        comparing = DirectComparing(self._config.store, clock=self._clock, log=logs.set_up(level="warning"))
        return comparing.told(result, self._config.profiles[self._config.meters[name].profile], arguments)

    def close(self) -> None:
        """Lets go of every line it has opened."""
        for line, _ in self._lines.values():
            line.close()
        if self._dial_ins is not None and self._listening is not None:
            self._stop.set()
            self._dial_ins.nudge()
            self._listening.join()
            self._dial_ins.close()

    def _listen(self) -> DialIns:
        """Listens for the DTUs of all lines."""
        if self._dial_ins is None:
            self._dial_ins = DialIns(clock=self._clock, log=logs.set_up(level="warning"))
            self._dial_ins.serve(self._config.lines.values(), ZoneInfo(self._config.station.timezone))
            body = (self._stop, lambda: None)
            self._listening = threading.Thread(target=self._dial_ins.run, args=body, daemon=True)
            self._listening.start()
        return self._dial_ins

    def _line(self, name: str) -> tuple[Line, dict[str, PolledMeter]]:
        if name not in self._lines:
            settings = self._config.lines[name]
            meters = {meter.name: meter for meter in make_meters(self._config, settings)}
            dial_ins = None if settings.dial_in is None else self._listen()
            line = make_line(settings, clock=self._clock, dial_ins=dial_ins, patience_s=_DIAL_IN_S)
            self._lines[name] = line, meters
        return self._lines[name]
