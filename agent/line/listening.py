"""Listens for DTUs that dial in and finds out which line each connection belongs to. One thread for all addresses.

Strategy: nothing here ever waits for a client. A newcomer has 30 s and 512 bytes to register; when what it sent has
stood for a moment and names exactly one DTU, the connection becomes that DTU's, at once and in place of any older one.
At most 32 newcomers wait at an address; the oldest goes when another comes, because a DTU registers within seconds and
an intruder does not. Listeners and DTUs that a new configuration still has keep their sockets.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any

from agent.clock import Clock
from agent.line.dial_in import Dtu, Link
from agent.settings import DialInSettings, LineSettings, TcpAddress

_BACKLOG = 64
_ACCEPTED_AT_ONCE = 16
_READ_SIZE = 2048
_MOST_NEWCOMERS = 32
_MOST_REGISTRATION = 512
_REGISTER_S = 30.0
_SETTLED_S = 0.3  # so long nothing more came: the registration is whole, even where the network cut it in two
_RETRY_S = 5.0
_LOOK_S = 1.0
_LOG_AGAIN_S = 60.0  # two DTUs with the same registration replace each other for ever; the log survives it
_MOST_REMEMBERED = 64
_SHOWN_BYTES = 32
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_KEEPALIVE = (  # a silent connection is proved alive after 5 minutes, one that does not take our questions ends in 30 s
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 300),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


@dataclass(slots=True, eq=False)
class _Newcomer:
    """A connection that has not said yet whose it is."""

    link: Link
    give_up_s: float
    judge_at_s: float
    heard: bytes = b""


@dataclass(slots=True, eq=False)
class _Listener:
    """One address with its DTUs, by line."""

    address: TcpAddress
    dtus: dict[str, Dtu] = field(default_factory=dict)
    door: socket.socket | None = None
    retry_at_s: float = 0.0
    newcomers: dict[socket.socket, _Newcomer] = field(default_factory=dict)
    trouble: str = ""
    refused: int = 0


@dataclass(slots=True, eq=False)
class _Bound:
    """A connection that is a DTU's."""

    line: str
    dtu: Dtu
    link: Link


class DialIns:
    """The listeners of a station. `serve` may be called from any thread; all else happens in the thread of `run`."""

    def __init__(self, *, clock: Clock, log: Any) -> None:
        self._clock = clock
        self._log = log
        self._zone: tzinfo = UTC
        self._lock = threading.Lock()
        self._wanted: dict[str, Dtu] = {}
        self._listeners: dict[TcpAddress, _Listener] = {}
        self._bound: dict[socket.socket, _Bound] = {}
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._logged_at_s: dict[str, float] = {}
        self._remembered: dict[tuple[str, bytes], None] = {}

    def serve(self, lines: Iterable[LineSettings], zone: tzinfo) -> None:
        """The lines to listen for from now on; a DTU whose settings stay the same keeps its connection."""
        with self._lock:
            known = {dtu.settings: dtu for dtu in self._wanted.values()}
            self._zone = zone
            self._wanted = {
                line.name: known.get(line.dial_in) or Dtu(line.dial_in, clock=self._clock, zone=lambda: self._zone)
                for line in lines
                if line.dial_in is not None
            }
        self.nudge()

    def dtu(self, settings: DialInSettings) -> Dtu:
        """The DTU with these settings, which must be served."""
        with self._lock:
            return next(dtu for dtu in self._wanted.values() if dtu.settings == settings)

    def nudge(self) -> None:
        """Ends the thread's pause: the lines have changed, or it is asked to stop."""
        os.eventfd_write(self._wake, 1)

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Listens until `stop` is set, then ends all connections."""
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        try:
            while not stop.is_set():
                beat()
                self._arrange()
                for key, _ in self._selector.select(self._pause_s()):
                    self._handle(key.data)
                self._judge()
        finally:
            self._selector.unregister(self._wake)
            for listener in list(self._listeners.values()):
                self._close_listener(listener)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Each address as `status` shows it."""
        return {
            str(each.address): {
                "listening": each.door is not None,
                "detail": each.trouble,
                "waiting": len(each.newcomers),
                "refused": each.refused,
                "dtus": {line: {"peer": dtu.peer, "dialled": dtu.dialled} for line, dtu in list(each.dtus.items())},
            }
            for each in list(self._listeners.values())
        }

    def _pause_s(self) -> float:
        now_s = self._clock.monotonic()
        due = [each.judge_at_s for listener in self._listeners.values() for each in listener.newcomers.values()]
        return max(0.0, min([_LOOK_S, *(due_s - now_s for due_s in due)]))

    def _handle(self, subject: object) -> None:
        match subject:
            case _Listener():
                self._accept(subject)
            case (_Listener() as listener, _Newcomer() as newcomer):
                self._hear_newcomer(listener, newcomer)
            case _Bound():
                self._hear(subject)
            case _:
                os.eventfd_read(self._wake)

    # --- addresses

    def _arrange(self) -> None:
        """Makes listeners and DTUs those that are wanted."""
        with self._lock:
            wanted = dict(self._wanted)
        for bound in list(self._bound.values()):
            if bound.dtu not in wanted.values():
                self._end(bound)
        by_address: dict[TcpAddress, dict[str, Dtu]] = {}
        for line, dtu in wanted.items():
            by_address.setdefault(dtu.settings.listen, {})[line] = dtu
        for listener in list(self._listeners.values()):
            if listener.address not in by_address:
                self._close_listener(listener)
        for address, dtus in by_address.items():
            listener = self._listeners.setdefault(address, _Listener(address))
            listener.dtus = dtus
            if listener.door is None and self._clock.monotonic() >= listener.retry_at_s:
                self._open_listener(listener)

    def _open_listener(self, listener: _Listener) -> None:
        host, port = listener.address.host, listener.address.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            made = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            self._shut(listener, str(error))
            return
        made.setblocking(False)
        listener.door, listener.trouble = made, ""
        self._selector.register(made, selectors.EVENT_READ, listener)
        self._log.info("listener.opened", listen=str(listener.address), lines=list(listener.dtus))
        for dtu in listener.dtus.values():
            dtu.failed("")

    def _shut(self, listener: _Listener, trouble: str) -> None:
        """Nobody can dial in for a while; who has stays."""
        if listener.trouble != trouble:
            self._log.warning("listener.failed", listen=str(listener.address), error=trouble)
        if listener.door is not None:
            self._selector.unregister(listener.door)
            listener.door.close()
        listener.door, listener.trouble = None, trouble
        listener.retry_at_s = self._clock.monotonic() + _RETRY_S
        for dtu in listener.dtus.values():
            dtu.failed(trouble)

    def _close_listener(self, listener: _Listener) -> None:
        del self._listeners[listener.address]
        for newcomer in list(listener.newcomers.values()):
            self._drop(listener, newcomer)
        for bound in list(self._bound.values()):
            if bound.dtu.settings.listen == listener.address:
                self._end(bound)
        if listener.door is not None:
            self._selector.unregister(listener.door)
            listener.door.close()

    def close(self) -> None:
        """Gives back what the thread waited with, after its end."""
        self._selector.close()
        os.close(self._wake)

    # --- newcomers

    def _accept(self, listener: _Listener) -> None:
        assert listener.door is not None
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                made, place = listener.door.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:  # it would be offered again at once, for ever
                    self._shut(listener, str(error))
                    return
                continue  # gone before it was taken
            made.setblocking(False)
            for option in _KEEPALIVE:
                made.setsockopt(*option)
            now_s = self._clock.monotonic()
            newcomer = _Newcomer(Link(made, f"{place[0]}:{place[1]}"), now_s + _REGISTER_S, now_s + _REGISTER_S)
            listener.newcomers[made] = newcomer
            self._selector.register(made, selectors.EVENT_READ, (listener, newcomer))
            line, dtu = next(iter(listener.dtus.items()))
            if dtu.settings.registration is None:
                self._bind(listener, newcomer, line, dtu)
            elif len(listener.newcomers) > _MOST_NEWCOMERS:
                self._refuse(listener, next(iter(listener.newcomers.values())), "too many wait")

    def _hear_newcomer(self, listener: _Listener, newcomer: _Newcomer) -> None:
        if newcomer.link.socket not in listener.newcomers:
            return  # dropped in this very turn
        data = _received(newcomer.link.socket)
        if data is None:
            return
        before, newcomer.heard = newcomer.heard, newcomer.heard + data
        if not data:
            self._refuse(listener, newcomer, "closed before it registered")
        elif len(newcomer.heard) > _MOST_REGISTRATION:
            self._refuse(listener, newcomer, "too long")
        elif not before or _named(listener, before) != _named(listener, newcomer.heard):  # else heartbeats follow
            newcomer.judge_at_s = min(newcomer.give_up_s, self._clock.monotonic() + _SETTLED_S)

    def _judge(self) -> None:
        """Decides about newcomers whose registration has settled or whose time is over."""
        now_s = self._clock.monotonic()
        for listener in self._listeners.values():
            for newcomer in list(listener.newcomers.values()):
                if newcomer.judge_at_s > now_s:
                    continue
                named = _named(listener, newcomer.heard)
                if newcomer.heard and len(named) == 1:
                    self._bind(listener, newcomer, named[0], listener.dtus[named[0]])
                elif now_s >= newcomer.give_up_s:
                    self._refuse(listener, newcomer, "several lines fit" if named else "unknown registration")
                else:
                    newcomer.judge_at_s = newcomer.give_up_s

    def _bind(self, listener: _Listener, newcomer: _Newcomer, line: str, dtu: Dtu) -> None:
        del listener.newcomers[newcomer.link.socket]
        bound = _Bound(line, dtu, newcomer.link)
        self._selector.modify(newcomer.link.socket, selectors.EVENT_READ, bound)
        self._bound[newcomer.link.socket] = bound
        before = dtu.bound(newcomer.link)
        if before is not None and before.socket in self._bound:
            self._close(self._bound[before.socket])
        if self._is_news("dtu.bound", line):
            self._log.info("dtu.bound", line=line, peer=newcomer.link.peer, replaced=before is not None)

    def _refuse(self, listener: _Listener, newcomer: _Newcomer, reason: str) -> None:
        """Ends a connection that is nobody's; each registration is logged once, all are counted."""
        listener.refused += 1
        shown = newcomer.heard[:_SHOWN_BYTES]
        key = (reason, shown)
        if key not in self._remembered and len(self._remembered) < _MOST_REMEMBERED:
            self._remembered[key] = None
            self._log.warning(
                "dtu.refused",
                listen=str(listener.address),
                peer=newcomer.link.peer,
                reason=reason,
                received_hex=shown.hex(" "),
                received=shown.decode("ascii", "backslashreplace"),
            )
        self._drop(listener, newcomer)

    def _drop(self, listener: _Listener, newcomer: _Newcomer) -> None:
        del listener.newcomers[newcomer.link.socket]
        self._selector.unregister(newcomer.link.socket)
        newcomer.link.socket.close()

    # --- connections of DTUs

    def _hear(self, bound: _Bound) -> None:
        if bound.link.socket not in self._bound:
            return  # replaced in this very turn
        data = _received(bound.link.socket)
        if data:
            bound.dtu.heard(bound.link, data)
        elif data is not None:
            self._end(bound)

    def _end(self, bound: _Bound) -> None:
        bound.dtu.lost(bound.link)
        self._close(bound)
        if self._is_news("dtu.lost", bound.line):
            self._log.info("dtu.lost", line=bound.line, peer=bound.link.peer)

    def _close(self, bound: _Bound) -> None:
        del self._bound[bound.link.socket]
        self._selector.unregister(bound.link.socket)
        bound.link.socket.close()

    def _is_news(self, event: str, line: str) -> bool:
        """Whether to log what may happen to a line again and again: once a minute."""
        now_s, key = self._clock.monotonic(), f"{event} {line}"
        is_news = now_s - self._logged_at_s.get(key, -_LOG_AGAIN_S) >= _LOG_AGAIN_S
        if is_news:
            self._logged_at_s[key] = now_s
        return is_news


def _named(listener: _Listener, heard: bytes) -> list[str]:
    """The lines whose DTU a connection that began so may be of."""
    return [line for line, dtu in listener.dtus.items() if dtu.names(heard)]


def _received(source: socket.socket) -> bytes | None:
    """What has come; b"" when the connection has ended, None when there is nothing to say."""
    try:
        return source.recv(_READ_SIZE)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""
