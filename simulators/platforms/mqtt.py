"""A small MQTT platform, 3.1.1 and 5.0: receives a station's rounds, judges them, and misbehaves on demand.

One thread, one selector. Each turn reads what arrived, lets the broker answer, commits the archive, and only then
sends: what a client sees acknowledged is on record. A client that does not read, says nothing or never ends a packet
is closed after a while; what it can make us hold is bounded (see `mqtt_broker`, `mqtt_peer`).
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulators.platforms.mqtt_archive import Archive, ReceivedRound
from simulators.platforms.mqtt_behaviour import Order
from simulators.platforms.mqtt_broker import Broker
from simulators.platforms.mqtt_inbox import Emit, Inbox
from simulators.platforms.mqtt_peer import End, Peer

_CHUNK = 65_536
_BACKLOG = 64
_HOLD_BYTES = 262_144  # owed to a client: above this it must read before it may say more
_NO_PROGRESS_S = 20.0  # a client that takes nothing of what it is owed
_FAREWELL_S = 1.0  # for a client to close after we did
_TURN_S = 5.0  # how long an order waits for the loop
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER, zero seconds: close() sends RST


class _Link:
    """A peer's socket and what the selector watches it for."""

    def __init__(self, socket_: socket.socket, peer: Peer, now_s: float) -> None:
        self.socket = socket_
        self.peer = peer
        self.mask = 0
        self.is_finished = False  # we sent our FIN
        self.is_gone = False  # it closed, or its socket failed
        self.took_s = now_s  # when it last took something, or was owed nothing


class MqttPlatform:
    """The receiver. `port` 0 takes a free one; `address` says which. Nothing happens until `run`.

    `order`, `report` and `wake` may be called from any thread.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        store: Path | None = None,
        users: Mapping[str, bytes] | None = None,
        prefix: str = "qushui",
        emit: Emit | None = None,
    ) -> None:
        emit = emit or _silence
        self._turned = threading.Condition()  # guards everything below; notified after each turn of the loop
        self._turns = 0
        self._is_running = False
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = _listening(host, port)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._inbox = Inbox(Archive(store), prefix=prefix, emit=emit, wall_ms=_wall_ms)
        self._broker = Broker(self._inbox, emit=emit, users=users)
        self._links: dict[int, _Link] = {}
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)

    @property
    def archive(self) -> Archive:
        """What was received. Only while `run` is not running."""
        return self._inbox.archive

    def order(self, found: Any) -> Order:
        """Obeys an order, already read from JSON (see `mqtt_behaviour`); it holds on return. Raises OrderError."""
        with self._turned:
            order = self._broker.order(found)
            after = self._turns + 1  # the turn in which the loop acts on it
            self.wake()
            self._turned.wait_for(lambda: self._turns >= after or not self._is_running, timeout=_TURN_S)
            return order

    def report(self) -> dict[str, Any]:
        """Everything counted so far: links, acknowledgements, rounds, repeats, gaps and complaints."""
        with self._turned:
            counts = self._inbox.counts
            return {
                **self._broker.report(),
                "messages": counts["messages"],
                "readings": counts["readings"],
                **self.archive.totals(),
                "out_of_order": counts["out_of_order"],
                "complaints": dict(self._inbox.complaints),
                "sequences": self.archive.sequences(),
                "states": self.archive.states(),
                "heads": self.archive.heads(),
            }

    def rounds(self) -> list[ReceivedRound]:
        """All rounds received so far."""
        with self._turned:
            return list(self.archive.rounds())

    def run(self, stop: threading.Event) -> None:
        """Serves until `stop` is set; `wake` makes it look at once, else it does within a second."""
        wait_s = 0.0
        self._is_running = True
        while not stop.is_set():
            ready = self._selector.select(wait_s)
            with self._turned:
                wait_s = self._turn(ready, time.monotonic())
                self._turns += 1
                self._turned.notify_all()
        with self._turned:
            self._is_running = False
            self.archive.commit()
            self._turned.notify_all()

    def wake(self) -> None:
        """Makes `run` take a turn now."""
        with contextlib.suppress(BlockingIOError):
            self._waker.send(b"\0", socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Closes every socket and the archive; `run` must have ended."""
        for link in self._links.values():
            link.socket.close()
        self._links.clear()
        self._stop_listening()
        self._selector.close()
        self._woken.close()
        self._waker.close()
        self.archive.close()

    def _turn(self, ready: list[tuple[selectors.SelectorKey, int]], now_s: float) -> float:
        for key, mask in ready:
            if key.fileobj is self._listener:
                self._accept(now_s)
            elif key.fileobj is self._woken:
                self._woken.recv(_CHUNK)
            elif mask & selectors.EVENT_READ and self._broker.behaviour.is_reading:
                self._read(key.data, now_s)
        wait_s = self._broker.tick(now_s)
        self.archive.commit()  # before anything is sent: acknowledged means on record
        self._listen_as_ordered()
        for link in list(self._links.values()):
            self._settle(link, now_s)
        self.archive.commit()  # wills of those who went
        return max(0.0, wait_s)

    def _accept(self, now_s: float) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                peer = self._broker.arrived(now_s)
                if peer is None:
                    accepted.close()
                    continue
                accepted.setblocking(False)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._links[peer.key] = _Link(accepted, peer, now_s)

    def _read(self, link: _Link, now_s: float) -> None:
        try:
            data = link.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            link.is_gone = True
        elif link.peer.end is End.OPEN:
            self._broker.received(link.peer, data, now_s)

    def _settle(self, link: _Link, now_s: float) -> None:
        """Sends what is owed, ends what is to end, and watches for what can happen next."""
        peer = link.peer
        if link.is_gone or peer.end is End.RESET:
            self._drop(link)
        elif not self._broker.behaviour.is_reading:
            link.took_s = now_s
            self._watch(link, 0)
        else:
            self._send(link, now_s)
            if peer.end is End.CLOSE and not peer.out:
                self._finish(link, now_s)
            patience_s = _NO_PROGRESS_S if peer.out else _FAREWELL_S
            if link.is_gone or ((peer.out or link.is_finished) and now_s - link.took_s > patience_s):
                self._drop(link)
                return
            reads = selectors.EVENT_READ if len(peer.out) < _HOLD_BYTES else 0
            self._watch(link, reads | (selectors.EVENT_WRITE if peer.out else 0))

    def _finish(self, link: _Link, now_s: float) -> None:
        """Says the end but goes on reading for a moment: closing over unread bytes would reset what was just said."""
        if not link.is_finished:
            link.is_finished = True
            link.took_s = now_s
            with contextlib.suppress(OSError):
                link.socket.shutdown(socket.SHUT_WR)

    def _send(self, link: _Link, now_s: float) -> None:
        try:
            while link.peer.out:
                sent = link.socket.send(bytes(link.peer.out[:_CHUNK]))
                del link.peer.out[:sent]
                link.took_s = now_s
            if not link.is_finished:
                link.took_s = now_s
        except BlockingIOError:
            return
        except OSError:
            link.is_gone = True

    def _watch(self, link: _Link, mask: int) -> None:
        if mask == link.mask:
            return
        if not mask:
            self._selector.unregister(link.socket)
        elif link.mask:
            self._selector.modify(link.socket, mask, link)
        else:
            self._selector.register(link.socket, mask, link)
        link.mask = mask

    def _drop(self, link: _Link) -> None:
        self._watch(link, 0)
        del self._links[link.peer.key]
        if link.peer.end is End.RESET:
            link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        link.socket.close()
        self._broker.gone(link.peer)

    def _listen_as_ordered(self) -> None:
        if self._broker.behaviour.is_listening and self._listener is None:
            self._listener = _listening(*self.address)
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif not self._broker.behaviour.is_listening:
            self._stop_listening()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    return listener


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _silence(_event: dict[str, Any]) -> None:
    return
