"""A TCP proxy that fakes bad links: slow, late, silent, refusing, cutting. In process, or `python -m tests.proxy`.

Strategy: one selector loop in one thread. Each direction of a connection is a queue of chunks with the moment at which
they may leave: the rate spaces them, the latency shifts them, a black hole lets nothing in or out (what is under way
stays, as in a radio's buffers). All connections share the rate. Buffers are small and the sender is no longer read
when they are full, so a slow link is felt by whoever sends. As a command it prints {"port": …} and then reads one JSON
object a line from stdin: {"rate_bit_s": 64000}, {"latency_s": 0.3}, {"hole": true}, {"refuse": true}, {"cut": true},
{"cut_after": 1000}, {"quit": true}.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import selectors
import socket
import struct
import sys
import threading
import time
from collections import deque
from typing import Any, Self

CHUNK = 1024
KERNEL_BUFFER = 16 * 1024  # asked of the kernel for each socket: loopback would swallow megabytes
ABORT = struct.pack("ii", 1, 0)


class _Lane:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, sink: socket.socket, *, up: bool) -> None:
        self.source, self.sink, self.up = source, sink, up
        self.chunks: deque[tuple[float, bytes]] = deque()
        self.ended = False


class Proxy:
    """Listens on 127.0.0.1 and connects each client to `target_port`. Settings may change at any time.

    `rate_bit_s` 0: unlimited; `latency_s` one way. `buffered_s`: how much the link itself may hold.
    """

    def __init__(
        self, target_port: int, *, rate_bit_s: float = 0, latency_s: float = 0, port: int = 0, buffered_s: float = 0.5
    ) -> None:
        self.target_port = target_port
        self.rate_bit_s = rate_bit_s
        self.latency_s = latency_s
        self.buffered_s = buffered_s
        self.carried = 0  # bytes towards the target
        self.connections = 0
        self._hole = False
        self._refuse = False
        self._cut_after: int | None = None
        self._lanes: list[_Lane] = []
        self._free_at = {True: 0.0, False: 0.0}  # when the link has carried, up and down, what it took so far
        self._stop = threading.Event()
        self._calls: deque[Any] = deque()
        self._listener: socket.socket | None = None
        self.port = port
        self._listen()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    # -- controls, from any thread

    def hole(self, on: bool) -> None:
        """Nothing passes either way and nobody is told; connections are still accepted."""
        self._hole = on

    def refuse(self, on: bool) -> None:
        """Connections are refused, existing ones reset."""
        self._do(self._stop_listening if on else self._listen)

    def cut(self) -> None:
        """Resets every connection."""
        self._do(self._abort_all)

    def cut_after(self, size: int) -> None:
        """Resets every connection once `size` more bytes went towards the target, in the middle of a frame."""
        self._cut_after = self.carried + size

    def _do(self, call: Any) -> None:
        done = threading.Event()
        self._calls.append((call, done))
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            assert done.wait(5)

    # -- the loop

    def _listen(self) -> None:
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._abort_all()

    def _abort_all(self) -> None:
        for sock in {end for lane in self._lanes for end in (lane.source, lane.sink)}:
            self._abort(sock)
        self._lanes.clear()

    @staticmethod
    def _abort(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        sock.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            while self._calls:
                call, done = self._calls.popleft()
                call()
                done.set()
            self._wait()
            self._accept()
            for lane in tuple(self._lanes):
                if lane in self._lanes:
                    self._move(lane)
        self._stop_listening()

    def _wait(self) -> None:
        now = time.monotonic()
        timeout = 0.02
        with selectors.DefaultSelector() as selector:
            if self._listener is not None:
                selector.register(self._listener, selectors.EVENT_READ)
            for lane in () if self._hole else self._lanes:
                if self._has_room(lane, now):
                    selector.register(lane.source, selectors.EVENT_READ)
                if lane.chunks:
                    timeout = min(timeout, max(0.0005, lane.chunks[0][0] - now))
            selector.select(timeout)

    def _has_room(self, lane: _Lane, now: float) -> bool:
        return not lane.ended and len(lane.chunks) < 256 and self._free_at[lane.up] - now < self.buffered_s

    def _accept(self) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(BlockingIOError):
            near, _ = self._listener.accept()
            self.connections += 1
            far = socket.socket()
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
            try:
                far.settimeout(1)
                far.connect(("127.0.0.1", self.target_port))
            except OSError:
                self._abort(near)
                self._abort(far)
                return
            for sock in (near, far):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._lanes += [_Lane(near, far, up=True), _Lane(far, near, up=False)]

    def _move(self, lane: _Lane) -> None:
        if self._hole:
            return
        try:
            now = time.monotonic()
            if self._has_room(lane, now):
                self._take_in(lane, now)
            while lane.chunks and lane.chunks[0][0] <= now:
                sent = lane.sink.send(lane.chunks[0][1])
                self._count(lane, sent)
                due, chunk = lane.chunks.popleft()
                if sent < len(chunk):
                    lane.chunks.appendleft((due, chunk[sent:]))
                    return
            if lane.ended and not lane.chunks:
                lane.sink.shutdown(socket.SHUT_WR)
                self._lanes.remove(lane)
                if not any(other.source is lane.sink for other in self._lanes):
                    lane.source.close()
                    lane.sink.close()
        except BlockingIOError:
            return
        except OSError:
            self._drop(lane)

    def _take_in(self, lane: _Lane, now: float) -> None:
        with contextlib.suppress(BlockingIOError):
            data = lane.source.recv(CHUNK if self.rate_bit_s else 65536)
            if not data:
                lane.ended = True
                return
            free_at = max(self._free_at[lane.up], now)
            if self.rate_bit_s:
                free_at += len(data) * 8 / self.rate_bit_s
            self._free_at[lane.up] = free_at
            lane.chunks.append((free_at + self.latency_s, data))

    def _count(self, lane: _Lane, size: int) -> None:
        if not lane.up:
            return
        self.carried += size
        if self._cut_after is not None and self.carried >= self._cut_after:
            self._cut_after = None
            raise ConnectionAbortedError

    def _drop(self, lane: _Lane) -> None:
        """Resets both ends of the connection this lane belongs to."""
        ends = {lane.source, lane.sink}
        self._lanes = [other for other in self._lanes if other.source not in ends]
        for sock in ends:
            self._abort(sock)


def main() -> None:
    parser = argparse.ArgumentParser(description="TCP proxy that fakes bad links")
    parser.add_argument("target_port", type=int)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    with Proxy(arguments.target_port, port=arguments.port) as proxy:
        print(json.dumps({"port": proxy.port}), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            if order.get("quit"):
                break
            for name in ("rate_bit_s", "latency_s", "buffered_s"):
                if name in order:
                    setattr(proxy, name, order[name])
            for name in ("hole", "refuse"):
                if name in order:
                    getattr(proxy, name)(order[name])
            if order.get("cut"):
                proxy.cut()
            if "cut_after" in order:
                proxy.cut_after(order["cut_after"])
            print(json.dumps({"done": order, "carried": proxy.carried, "connections": proxy.connections}), flush=True)


if __name__ == "__main__":
    main()
