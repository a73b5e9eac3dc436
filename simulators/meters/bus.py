"""A simulated line to use from Python: `with SimulatedLine(settings, meters) as line: …`."""

from __future__ import annotations

import copy
import ctypes
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from simulators.meters.answering import Answering
from simulators.meters.dial_in_line import DialInLine
from simulators.meters.line_settings import SimulatedLineSettings
from simulators.meters.meter import SimulatedMeter
from simulators.meters.record import LineStats, Observer
from simulators.meters.serial_line import SerialLine
from simulators.meters.tcp_line import TcpLine

_PR_SET_TIMERSLACK = 29  # prctl(2)
_TIMER_SLACK_NS = 1000
_STOP_S = 5.0


class SimulatedLine:
    """Meters on one bus or endpoint, served by one thread while started.

    Each of `observers` is called from that thread with every answered request, after its last byte went out; it must
    be quick and must not raise. A process that also does other work makes pacing worse: for measurements use the
    command line in a process of its own.
    """

    def __init__(
        self, settings: SimulatedLineSettings, meters: Sequence[SimulatedMeter], *, observers: Sequence[Observer] = ()
    ) -> None:
        self.settings = settings
        self.meters: Mapping[str, SimulatedMeter] = {meter.name: meter for meter in meters}
        self._observers = tuple(observers)
        self._stats = LineStats()
        self._loop: SerialLine | TcpLine | DialInLine | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    def start(self) -> None:
        """Opens the port and begins to serve. Raises OSError when the port cannot be had."""
        assert self._thread is None, "started twice"
        self._stats = LineStats()
        answering = Answering(self.settings, tuple(self.meters.values()), stats=self._stats, observers=self._observers)
        kinds: dict[str, type[SerialLine | TcpLine | DialInLine]]
        kinds = {"pty": SerialLine, "tcp": TcpLine, "dial_in": DialInLine}
        self._loop = kinds[self.kind](self.settings, answering, self._stats)
        if isinstance(self._loop, TcpLine):
            self._port = self._loop.port
        self._thread = threading.Thread(
            target=_run, args=(self._loop,), name=f"simulated-line:{self.settings.name}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends the service: the link is gone, connections are closed. It may be started again."""
        if self._thread is None or self._loop is None:
            return
        self._loop.stop()
        self._thread.join(_STOP_S)
        self._thread = self._loop = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def path(self) -> str:
        """The path that clients of a serial line open."""
        return str(self.settings.pty)

    @property
    def port(self) -> int:
        """The TCP port, while started (chosen by the system when the settings say 0)."""
        return self._port

    @property
    def kind(self) -> str:
        """`pty`, `tcp` or `dial_in`."""
        return "pty" if self.settings.pty is not None else "tcp" if self.settings.tcp is not None else "dial_in"

    @property
    def place(self) -> str:
        """The path, or `HOST:PORT`: its own, or the one that it dials."""
        if self.settings.dial_in is not None:
            return "{}:{}".format(*self.settings.dial_in.server)
        return self.path if self.settings.tcp is None else f"{self.settings.tcp[0]}:{self._port}"

    def stats(self) -> LineStats:
        """A copy of the counters since the last start."""
        return copy.deepcopy(self._stats)


def _run(loop: SerialLine | TcpLine | DialInLine) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS, 0, 0, 0)  # of this thread
    loop.run()
