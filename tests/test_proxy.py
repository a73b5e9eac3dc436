"""The proxy that fakes bad links: it must be slow, silent and rude when told, or it proves nothing."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that gives back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(65536):
                    connection.sendall(data)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def received(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += sock.recv(65536)
    return data


def test_bytes_pass_unchanged(echo: int):
    data = bytes(range(256)) * 400
    with Proxy(echo) as proxy, connected(proxy.port) as sock:
        threading.Thread(target=sock.sendall, args=(data,), daemon=True).start()
        assert received(sock, len(data)) == data


def test_a_slow_link_takes_its_time(echo: int):
    with Proxy(echo, rate_bit_s=80_000, latency_s=0.1) as proxy, connected(proxy.port) as sock:
        began = time.monotonic()
        sock.sendall(bytes(5000))
        received(sock, 5000)
        assert time.monotonic() - began >= 0.5 + 2 * 0.1


def test_a_black_hole_keeps_what_is_under_way_and_tells_nobody(echo: int):
    with Proxy(echo) as proxy, connected(proxy.port) as sock:
        sock.sendall(b"before")
        assert received(sock, 6) == b"before"
        proxy.hole(True)
        sock.sendall(b"during")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(10)
        sock.settimeout(5)
        proxy.hole(False)
        assert received(sock, 6) == b"during"


def test_connections_are_refused_and_cut_when_told(echo: int):
    with Proxy(echo) as proxy:
        with connected(proxy.port) as sock:
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                sock.recv(10)
        proxy.refuse(True)
        with pytest.raises(ConnectionRefusedError):
            connected(proxy.port)
        proxy.refuse(False)
        with connected(proxy.port) as sock:
            proxy.cut_after(10)
            with pytest.raises(ConnectionResetError):  # noqa: PT012 - the kernel decides which call notices
                while True:
                    sock.sendall(bytes(6))
                    sock.recv(10)


def test_it_obeys_orders_on_its_standard_input(echo: int):
    command = [sys.executable, "-m", "tests.proxy", str(echo)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        with connected(port) as sock:
            sock.sendall(b"hello")
            assert received(sock, 5) == b"hello"
        print(json.dumps({"rate_bit_s": 64000, "refuse": True}), file=process.stdin, flush=True)
        assert json.loads(process.stdout.readline())["carried"] == 5
        with pytest.raises(ConnectionRefusedError):
            connected(port)
        print(json.dumps({"quit": True}), file=process.stdin, flush=True)
        assert process.wait(5) == 0
