"""Thousands of simulated stations on one thread: sockets, deadlines, pieces.

Strategy: one selector for all sockets, one heap of moments at which a station wants to be looked at. A moment that was
replaced by an earlier one is passed over when it comes up. Nothing waits for one station: connecting, sending and
reading never block, and what a platform does not take stays in that station's own bounded queue.
"""

from __future__ import annotations

import errno
import heapq
import math
import resource
import selectors
import socket
import time
from collections.abc import Callable, Sequence

from agent.uplinks.dialogue import Moment
from simulators.stations.behaviour import Piece
from simulators.stations.station import SimulatedStation
from simulators.stations.tally import Tally

_CONNECT_S = 15.0
_READ_BYTES = 4096
_LONGEST_WAIT_S = 0.5
_SPARE_FILES = 64
_PROGRESS_S = 2.0
_IN_PROGRESS = 115  # EINPROGRESS, errno(3)

Progress = Callable[[int], None]


class CrowdError(OSError):
    """The run cannot begin."""


class _Line:
    """One station and its socket."""

    def __init__(self, station: SimulatedStation) -> None:
        self.station = station
        self.socket: socket.socket | None = None
        self.is_open = False
        self.until_s = math.inf  # of connecting
        self.piece: Piece | None = None  # the one on its way out
        self.left = b""
        self.piece_s = 0.0  # not before
        self.wake_s = math.inf  # the moment in the heap that counts
        self.is_over = False


class Crowd:
    """Plays `stations` against the platform at `address` until all are done."""

    def __init__(self, address: tuple[str, int], stations: Sequence[SimulatedStation], tally: Tally) -> None:
        self._address = address
        self._lines = [_Line(station) for station in stations]
        self._tally = tally
        self._selector = selectors.DefaultSelector()
        self._heap: list[tuple[float, int]] = []
        self._left = len(self._lines)
        tally.stations = len(stations)

    def run(self, stopped: Callable[[], bool] = lambda: False, progress: Progress = lambda _left: None) -> None:
        """Until all stations are done or `stopped`. `progress` gets the number that are not.

        Raises:
            CrowdError: this machine allows fewer open files than there are stations.
        """
        _raise_file_limit(len(self._lines) + _SPARE_FILES)
        began_s = shown_s = time.monotonic()
        for at, line in enumerate(self._lines):
            self._plan(at, began_s + line.station.connect_s)
        try:
            while self._left and not stopped():
                now = _now()
                if now.s - shown_s >= _PROGRESS_S:
                    shown_s = now.s
                    progress(self._left)
                self._serve_due(now)
                self._wait()
        finally:
            self._hang_up()
            self._selector.close()

    def _plan(self, at: int, wake_s: float) -> None:
        line = self._lines[at]
        if wake_s != line.wake_s:
            line.wake_s = wake_s
            if wake_s < math.inf:
                heapq.heappush(self._heap, (wake_s, at))

    def _serve_due(self, now: Moment) -> None:
        due = []
        while self._heap and self._heap[0][0] <= now.s:
            due.append(heapq.heappop(self._heap))
        for wake_s, at in due:  # one that is due again at once waits for its turn: the others get theirs
            line = self._lines[at]
            if wake_s == line.wake_s and not line.is_over:
                line.wake_s = math.inf
                self._serve(at, line, now)

    def _wait(self) -> None:
        next_s = self._heap[0][0] if self._heap else math.inf
        wait_s = max(0.0, min(_LONGEST_WAIT_S, next_s - time.monotonic()))
        for key, events in self._selector.select(wait_s):
            at: int = key.data
            line = self._lines[at]
            if line.socket is None or line.socket is not key.fileobj:
                continue
            now = _now()
            if not line.is_open:
                self._connected(line, now)
            elif events & selectors.EVENT_READ:
                self._read(line, now)
            self._serve(at, line, now)

    def _serve(self, at: int, line: _Line, now: Moment) -> None:
        """Looks at one station: connects, lets its time pass, sends, ends."""
        station = line.station
        if line.socket is None and not line.is_over:
            if station.is_done:
                self._end(line)
                return
            if now.s >= station.connect_s:
                self._connect(at, line, now)
        elif line.is_open and now.s >= station.wake_s:
            station.tick(now)
        elif not line.is_open and now.s >= line.until_s:
            self._tally.connect_error = errno.ETIMEDOUT
            self._close(line, now, is_lost=True)
        if line.is_open:
            self._write(at, line, now)
        if line.is_open and not line.left and not station.pieces and (station.wants_to_close or station.is_done):
            if station.is_done:
                station.farewell(now)
                self._write(at, line, now)
            self._close(line, now, is_lost=False)
        self._plan(at, self._wake_s(line))

    def _wake_s(self, line: _Line) -> float:
        if line.is_over:
            return math.inf
        if line.socket is None:
            return line.station.connect_s
        if not line.is_open:
            return line.until_s
        return min(line.station.wake_s, line.piece_s if line.station.pieces and not line.left else math.inf)

    def _connect(self, at: int, line: _Line, now: Moment) -> None:
        line.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        line.socket.setblocking(False)
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.until_s = now.s + _CONNECT_S
        error = line.socket.connect_ex(self._address)
        if error not in {0, _IN_PROGRESS}:
            self._tally.connect_error = error
            self._close(line, now, is_lost=True)
            return
        self._selector.register(line.socket, selectors.EVENT_WRITE, at)

    def _connected(self, line: _Line, now: Moment) -> None:
        assert line.socket is not None
        if error := line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._tally.connect_error = error
            self._close(line, now, is_lost=True)
            return
        line.is_open = True
        line.piece_s = now.s
        line.station.opened(now)

    def _read(self, line: _Line, now: Moment) -> None:
        assert line.socket is not None
        try:
            data = line.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            line.station.received(data, now)
        else:
            self._close(line, now, is_lost=True)

    def _write(self, at: int, line: _Line, now: Moment) -> None:
        """What may go now; the rest when the socket takes it, or its moment has come."""
        station = line.station
        while line.socket is not None and (line.left or station.pieces):
            if not line.left:
                line.piece_s = max(line.piece_s, now.s) if line.piece is None else line.piece_s
                piece = station.pieces[0]
                if line.piece is not piece:
                    line.piece, line.piece_s = piece, now.s + piece.after_s
                if now.s < line.piece_s:
                    break
                line.left = station.pieces.popleft().data
                station.wants_to_close |= piece.closes
            try:
                sent = line.socket.send(line.left)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._close(line, now, is_lost=True)
                return
            self._tally.bytes_out += sent
            line.left = line.left[sent:]
            if line.left:
                break
        if line.socket is not None:
            flags = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.left else 0)
            self._selector.modify(line.socket, flags, at)

    def _close(self, line: _Line, now: Moment, *, is_lost: bool) -> None:
        if line.socket is None:
            return
        if line.socket.fileno() in self._selector.get_map():
            self._selector.unregister(line.socket)
        line.socket.close()
        line.socket, line.is_open, line.left, line.piece = None, False, b"", None
        line.station.closed(now, is_lost=is_lost)
        if line.station.is_done:
            self._end(line)

    def _end(self, line: _Line) -> None:
        self._left -= not line.is_over
        line.is_over = True

    def _hang_up(self) -> None:
        """Ends what still stands, with a goodbye where that goes at once."""
        now = _now()
        for at, line in enumerate(self._lines):
            if line.is_open:
                line.station.farewell(now)
                self._write(at, line, now)
            if line.socket is not None:
                line.socket.close()
                line.socket, line.is_open = None, False


def _now() -> Moment:
    return Moment(time.monotonic(), time.time_ns() // 1_000_000)


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise CrowdError(f"{wanted} open files are needed, {hard} are allowed (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
