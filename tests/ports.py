"""A port that nobody has now, and nobody will be given."""

from __future__ import annotations

import random
import socket

_PORTS = range(20_000, 32_000)  # below those that Linux gives to whoever connects: ip_local_port_range
_TRIES = 100


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on; tests beside this one draw others."""
    for port in random.SystemRandom().sample(_PORTS, _TRIES):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"none of {_TRIES} ports is free")
