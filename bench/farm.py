"""Modbus TCP meters that answer as fast as Python can: the far end for rows where the meters must not be the limit.

Usage: python farm.py FIRST_PORT METERS LOG. Meter i listens on FIRST_PORT + i and serves 125 registers: register 0
counts its answers, the others follow from that count (`word`), so that every value received can be checked. On SIGTERM
it writes the answers given per meter to LOG as JSON.
"""

from __future__ import annotations

import json
import selectors
import signal
import socket
import struct
import sys
from pathlib import Path
from types import FrameType

REGISTERS = 125


def word(count: int, register: int) -> int:
    """What register `register` holds in the `count`-th answer of a meter."""
    return count & 0xFFFF if register == 0 else (count * 7 + register * 1009) % 60001


class _Meter:
    """One meter behind one connection at a time."""

    def __init__(self) -> None:
        self.count = 0

    def answer(self, request: bytes) -> bytes:
        number, _, _, unit, function, first, count = struct.unpack(">HHHBBHH", request[:12])
        if first + count > REGISTERS:
            return struct.pack(">HHHBBB", number, 0, 3, unit, function | 0x80, 2)
        self.count += 1
        base = self.count * 7
        words = [(base + register * 1009) % 60001 for register in range(first, first + count)]
        if first == 0:
            words[0] = self.count & 0xFFFF
        return struct.pack(f">HHHBBB{count}H", number, 0, 3 + 2 * count, unit, function, 2 * count, *words)


def main() -> None:
    """Serves until SIGTERM."""
    first_port, count, log = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    selector = selectors.EpollSelector()
    meters = [_Meter() for _ in range(count)]
    for index, meter in enumerate(meters):
        selector.register(socket.create_server(("127.0.0.1", first_port + index)), selectors.EVENT_READ, meter)

    def stop(_number: int, _frame: FrameType | None) -> None:
        log.write_text(json.dumps([meter.count for meter in meters]), encoding="ascii")
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    connections: dict[int, socket.socket] = {}
    while True:
        for key, _ in selector.select():
            connection = connections.get(key.fd)
            if connection is None:
                assert isinstance(key.fileobj, socket.socket)
                connection, _peer = key.fileobj.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                selector.register(connection, selectors.EVENT_READ, key.data)
                continue
            try:
                request = connection.recv(512)
                if request:
                    connection.send(key.data.answer(request))
                    continue
            except ConnectionError:
                pass
            selector.unregister(connection)
            del connections[key.fd]
            connection.close()


if __name__ == "__main__":
    main()
