"""A platform under test: a connection to it, exact bytes out, the frames that come back, all of it kept as evidence."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulators.conformance.platform_sides import Side
from simulators.conformance.verdict import Heard
from simulators.conformance.wire import WireError

_CONNECT_S = 5.0
_READ_BYTES = 4096
_TAIL_S = 0.05  # what comes so soon behind an answer belongs to it
_LEAST_QUIET_S = 1.0
_MOST_BYTES = 65_536


@dataclass(kw_only=True)
class PlatformLink:
    """One run against one platform, as one station. `limit_s`: an acknowledgement comes within it."""

    address: tuple[str, int]
    side: Side
    limit_s: float
    stations: int = 20
    trace: list[Heard] = field(default_factory=list)
    worst_s: float = 0.0
    came: list[Any] = field(default_factory=list)
    """The sound frames of the last exchange, wanted or not."""
    has_acknowledged: bool | None = None
    """Whether any report was acknowledged; None before one was sent."""

    def __post_init__(self) -> None:
        self._socket: socket.socket | None = None
        self._receiver = self.side.receiver()

    @property
    def quiet_s(self) -> float:
        """How long to listen where nothing must come: three times the longest delay seen, one second at least."""
        return min(self.limit_s, max(_LEAST_QUIET_S, 3 * self.worst_s))

    @property
    def is_open(self) -> bool:
        """Whether a connection stands as far as is known."""
        return self._socket is not None

    def open(self) -> None:
        """A new connection, with the login where there is one. Raises WireError."""
        self.close()
        try:
            self._socket = socket.create_connection(self.address, _CONNECT_S)
        except OSError as error:
            raise WireError(f"{self.address[0]}:{self.address[1]}: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._receiver = self.side.receiver()

    def login(self) -> Any:
        """Opens and logs in; the answer, None where there is none, or no login."""
        self.open()
        frame = self.side.login()
        if frame is None:
            return None
        return next(iter(self.ask(frame, self.side.is_link, wait_s=self.quiet_s)), None)

    def close(self) -> None:
        """Hangs up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def reset_evidence(self) -> None:
        """Forgets what was heard, in front of the next test."""
        self.trace.clear()

    def ask(
        self,
        data: bytes,
        wanted: Callable[[Any], bool],
        *,
        count: int = 1,
        wait_s: float | None = None,
        pieces: Sequence[bytes] = (),
        gap_s: float = 0.0,
    ) -> list[Any]:
        """Sends, and gives the wanted frames that came: `count` of them, or those of `wait_s` (the limit).

        `pieces`: what is sent instead of `data` at once, with `gap_s` between them. Raises WireError.
        """
        if self._socket is None:
            self.login()
        assert self._socket is not None
        began_s = time.monotonic()
        for at, piece in enumerate(pieces or (data,)):
            if at:
                time.sleep(gap_s)
            try:
                self._socket.sendall(piece)
            except OSError as error:
                self.close()
                raise WireError(str(error)) from error
        return self._listen(
            b"".join(pieces) or data, began_s, wanted, count, self.limit_s if wait_s is None else wait_s
        )

    def listen(self, wanted: Callable[[Any], bool], wait_s: float) -> list[Any]:
        """What comes without being asked for."""
        return self._listen(b"", time.monotonic(), wanted, 1, wait_s)

    def _listen(
        self, sent: bytes, began_s: float, wanted: Callable[[Any], bool], count: int, wait_s: float
    ) -> list[Any]:
        end_s = time.monotonic()
        self.came = []
        chunks: list[tuple[float, bytes]] = []
        found: list[Any] = []
        until_s, is_closed = end_s + wait_s, False
        while (left_s := until_s - time.monotonic()) > 0 and sum(len(data) for _, data in chunks) < _MOST_BYTES:
            data = self._read(left_s)
            if data is None:
                is_closed = True
                break
            if data:
                chunks.append((time.monotonic(), data))
                fresh = self._receiver.feed(data)
                self.came += fresh
                found += [frame for frame in fresh if wanted(frame)]
                if len(found) >= count:
                    until_s = min(until_s, time.monotonic() + _TAIL_S)
        heard = Heard(sent, began_s, end_s, tuple(chunks), closed=is_closed)
        if found and heard.delay_s is not None:
            self.worst_s = max(self.worst_s, heard.delay_s)
        self.trace.append(heard)
        if is_closed:
            self.close()
        return found

    def _read(self, wait_s: float) -> bytes | None:
        """What came within `wait_s`; None when the platform hung up."""
        if self._socket is None:
            return None
        with contextlib.suppress(OSError):
            if not select.select([self._socket], [], [], wait_s)[0]:
                return b""
            return self._socket.recv(_READ_BYTES) or None
        return None
