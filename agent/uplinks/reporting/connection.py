"""One TCP connection to a centre: bytes out as far as they go, bytes in as they come. Nothing here waits long."""

from __future__ import annotations

import errno
import socket
from types import MappingProxyType

from agent.uplinks.contract import LinkError, Trouble

CONNECT_S = 5.0

_READ_BYTES = 4096
_MOST_UNSENT = 1 << 20  # a centre that reads nothing: an answer in packets may be long, but not this
_USER_TIMEOUT_MS = 30_000  # tcp(7) TCP_USER_TIMEOUT: ends a connection whose far end is gone
_TROUBLES = MappingProxyType(
    {
        errno.ECONNREFUSED: Trouble.CONNECTION_REFUSED,
        errno.ENETUNREACH: Trouble.NO_ROUTE,
        errno.EHOSTUNREACH: Trouble.NO_ROUTE,
        errno.ENETDOWN: Trouble.NO_ROUTE,
        errno.EADDRNOTAVAIL: Trouble.NO_ROUTE,
    }
)
_ANSWER_IS_NO = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAMILY})


class Connection:
    """A connected socket."""

    def __init__(self, address: tuple[str, int], timeout_s: float) -> None:
        """Connects within `timeout_s`; name resolution comes on top. Raises LinkError."""
        try:
            self._socket = socket.create_connection(address, timeout_s)
        except OSError as error:
            raise LinkError(_trouble(error), str(error.strerror or error)) from error
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._unsent = bytearray()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    @property
    def wants_to_write(self) -> bool:
        """Whether bytes wait for the network."""
        return bool(self._unsent)

    def send(self, data: bytes) -> None:
        """Hands bytes over; what the network does not take now goes with `flush`. Raises LinkError."""
        self._unsent += data
        if len(self._unsent) > _MOST_UNSENT:
            raise LinkError(Trouble.SILENT, f"{len(self._unsent)} bytes not taken")
        self.flush()

    def flush(self) -> None:
        """Sends what waits, as far as it goes. Raises LinkError."""
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return
            except OSError as error:
                raise LinkError(_trouble(error), str(error.strerror or error)) from error
            del self._unsent[:sent]

    def receive(self) -> bytes:
        """What has arrived, b"" for nothing. Raises LinkError when the centre closed."""
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LinkError(_trouble(error), str(error.strerror or error)) from error
        if not data:
            raise LinkError(Trouble.CLOSED, "closed by the centre")
        return data

    def close(self) -> None:
        """Ends it at once."""
        self._socket.close()


def _trouble(error: OSError) -> Trouble:
    match error:
        case socket.gaierror():
            return Trouble.NAME_UNKNOWN if error.errno in _ANSWER_IS_NO else Trouble.NAME_SERVER_SILENT
        case TimeoutError():
            return Trouble.TIMED_OUT
    return _TROUBLES.get(error.errno or 0, Trouble.CLOSED)
