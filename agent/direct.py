"""Reads meters without a daemon: opens their lines itself, asks once, lets go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.clock import SystemClock, sharpen_timers
from agent.config import load
from agent.control import ControlError
from agent.line.line import Line
from agent.line.meter import PolledMeter
from agent.line.ports import LineDownError, LineHeldError
from agent.poll import read_now
from agent.uplinks.registry import settings_models
from agent.wiring import make_line, make_meters
from drivers.registry import DRIVERS


class DirectReading:
    """The meters of a configuration, each line opened when the first of its meters is read."""

    def __init__(self, path: Path) -> None:
        """Raises FormErrors for a wrong configuration."""
        sharpen_timers()
        self._config = load(path, drivers=DRIVERS, uplink_settings=settings_models())
        self._clock = SystemClock(self._config.clock.trust)
        self._lines: dict[str, tuple[Line, dict[str, PolledMeter]]] = {}
        self.meters = list(self._config.meters)

    def read(self, name: str) -> dict[str, Any]:
        """One poll now, as the daemon's `read` answers it.

        Raises:
            ControlError: LINE_DOWN or LINE_HELD, as the daemon would refuse.
        """
        line_name = self._config.meters[name].line
        line, meters = self._line(line_name)
        try:
            return read_now(line_name, line, meters[name], self._clock)
        except LineHeldError as error:
            raise ControlError("LINE_HELD", line=line_name, detail=error.detail, holder=error.holder) from error
        except LineDownError as error:
            raise ControlError("LINE_DOWN", line=line_name, detail=error.detail) from error

    def close(self) -> None:
        """Lets go of every line it has opened."""
        for line, _ in self._lines.values():
            line.close()

    def _line(self, name: str) -> tuple[Line, dict[str, PolledMeter]]:
        if name not in self._lines:
            settings = self._config.lines[name]
            meters = {meter.name: meter for meter in make_meters(self._config, settings)}
            self._lines[name] = make_line(settings, clock=self._clock), meters
        return self._lines[name]
