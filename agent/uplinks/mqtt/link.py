"""One connection to one broker: a paho client that lives and dies with it.

Strategy: nothing here waits but `connect` and `wait`. paho's loop functions run in `pump`; its callbacks only note
what came, since an exception or a pause in them would end or stall its loop. The descriptor to wait on is an epoll
that watches the socket for reading, and for writing while paho has something to write.
"""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import termios
from typing import TYPE_CHECKING, Any

from agent.model import Receipt
from agent.uplinks.contract import LinkError, TooLargeError, Trouble
from agent.uplinks.mqtt_wire import is_failure, outcome_of, trouble_of

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

_PROTOCOL_ERROR = 0x82  # as paho says it, which hides the CONNACK 1 of MQTT 3.1.1
_USER_TIMEOUT_MS = 15_000  # tcp(7) TCP_USER_TIMEOUT: ends an idle dead connection sooner than the keepalive can
_ABORT = struct.pack(
    "ii", 1, 0
)  # socket(7) SO_LINGER 0: drops what is unsent, it would compete with the next connection
_REFUSED_OURS = (
    "CERTIFICATE",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
    "HANDSHAKE_FAILURE",
)  # in TLS alerts about our certificate


class TlsContext(ssl.SSLContext):
    """A context that knows the socket it wrapped: paho forgets it, open, when the handshake fails."""

    wrapped: ssl.SSLSocket | None = None

    def wrap_socket(self, *args: Any, **keys: Any) -> ssl.SSLSocket:
        """As in `ssl.SSLContext`."""
        self.wrapped = super().wrap_socket(*args, **keys)
        return self.wrapped


class Link:
    """A connection in the making or made. `properties` go with every message of rounds (MQTT 5)."""

    def __init__(self, client: Client, properties: Properties | None, context: TlsContext | None) -> None:
        self.welcome: Properties | None = None  # of CONNACK, when it came
        self.refused_code: int | None = None  # of CONNACK, when it says no
        self.largest = 0  # bytes of a payload
        self._client = client
        self._properties = properties
        self._context = context
        self._epoll = select.epoll()
        self._writes = False
        self._tags: dict[int, int] = {}  # packet id: tag
        self._own: set[int] = set()  # packet ids of state messages
        self._receipts: list[Receipt] = []
        self._end: LinkError | None = None
        self._said = ""  # paho's last complaint
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_log = self._on_log

    def connect(self, host: str, port: int, keepalive_s: int, timeout_s: float) -> None:
        """TCP and TLS, each within `timeout_s`, then sends CONNECT. Raises OSError."""
        self._client.connect_timeout = timeout_s
        self._client.connect(host, port, keepalive_s, clean_start=True if self._properties is not None else 3)
        self._watch()

    def publish(self, topic: str, payload: bytes, tag: int) -> int:
        """A message at QoS 1 whose receipt will carry `tag`; its bytes. Raises TooLargeError."""
        if len(payload) > self.largest:
            raise TooLargeError(len(payload), self.largest)
        info = self._client.publish(topic, payload, qos=1, properties=self._properties)
        self._tags[info.mid] = tag
        self._watch()
        return len(payload) + len(topic)

    def publish_head(self, topic: str, payload: bytes, tag: int, *, retain: bool) -> None:
        """A message at QoS 1, kept by the broker, whose receipt will carry `tag`."""
        self._tags[self._client.publish(topic, payload, qos=1, retain=retain).mid] = tag
        self._watch()

    def say(self, topic: str, payload: bytes, *, retain: bool, qos: int) -> None:
        """A message about ourselves; nobody waits for its receipt but `is_busy`."""
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if qos:
            self._own.add(info.mid)
        self._watch()

    def is_busy(self) -> bool:
        """Whether a message about ourselves, or a byte of any, is still on its way."""
        return bool(self._own) or self._client.want_write()

    def has_flights(self) -> bool:
        """Whether a message of rounds has no receipt."""
        return bool(self._tags)

    def fileno(self) -> int:
        """The epoll descriptor."""
        return self._epoll.fileno()

    def wait(self, seconds: float) -> None:
        """Until there is something to pump, at most `seconds`."""
        self._epoll.poll(seconds, 1)

    def pump(self) -> list[Receipt]:
        """Moves what can be moved. Raises LinkError when the connection is over, after the last receipt was given."""
        client = self._client
        if client.want_write():
            client.loop_write()
        client.loop_read()
        while self._has_decrypted():
            client.loop_read()
        client.loop_misc()
        self._watch()
        if self._receipts:
            receipts, self._receipts = self._receipts, []
            return receipts
        if self._end is not None:
            raise self._end
        if client.socket() is None:
            raise LinkError(Trouble.CLOSED, self._said)
        return []

    def unsent(self) -> int:
        """Bytes that paho holds, and those that the kernel has sent and not seen acknowledged."""
        ours = sum(packet["to_process"] for packet in tuple(self._client._out_packet))  # noqa: SLF001 - no public count
        sock = self._client.socket()
        if sock is None:
            return ours
        (kernel,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
        return ours + int(kernel)

    def disconnect(self) -> None:
        """Sends DISCONNECT, so that the will stays unsaid."""
        self._client.disconnect()

    def close(self) -> None:
        """Ends the connection at once and forgets everything."""
        sock = self._client.socket()
        if sock is not None:
            _tcp(sock).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            sock.close()
        if self._context is not None and self._context.wrapped is not None:
            self._context.wrapped.close()
        self._epoll.close()
        self._client.drop_out_messages()
        for name in ("on_socket_open", "on_socket_close", "on_connect", "on_publish", "on_disconnect", "on_log"):
            setattr(self._client, name, None)  # or client and link would keep each other, and a megabyte, alive

    def _watch(self) -> None:
        """Keeps the epoll in step with what paho wants."""
        sock, wants = self._client.socket(), self._client.want_write()
        if sock is not None and wants != self._writes:
            self._writes = wants
            self._epoll.modify(sock.fileno(), select.EPOLLIN | (select.EPOLLOUT if wants else 0))

    def _has_decrypted(self) -> bool:
        """Whether TLS holds bytes that the descriptor no longer shows."""
        pending = getattr(self._client.socket(), "pending", None)
        return pending is not None and bool(pending())

    def _on_socket_open(self, _client: Client, _userdata: Any, sock: Any) -> None:
        _tcp(sock).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _tcp(sock).setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _on_socket_close(self, _client: Client, _userdata: Any, sock: Any) -> None:
        """Reads what a broker said when it hung up: paho stops reading when it cannot write."""
        if isinstance(sock, ssl.SSLSocket):
            try:
                sock.recv(1)
            except OSError as error:
                if "_ALERT_" in str(error):
                    self._said = str(error)

    def _on_connect(
        self, _client: Client, _userdata: Any, _flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self.refused_code = int(code.value)
            self._end = LinkError(trouble_of(code.value), f"CONNACK {code.value:#04x} {code}")
        else:
            self.welcome = properties

    def _on_publish(
        self, _client: Client, _userdata: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self._own.discard(mid)
        tag = self._tags.pop(mid, None)
        if tag is not None:
            reason = f"{trouble_of(code.value)} PUBACK {code.value:#04x} {code}" if is_failure(code.value) else ""
            self._receipts.append(Receipt(tag=tag, outcome=outcome_of(code.value), reason=reason))

    def _on_disconnect(
        self, _client: Client, _userdata: Any, flags: DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if self._end is not None:
            return
        if flags.is_disconnect_packet_from_server and is_failure(code.value):
            trouble = trouble_of(code.value, otherwise=Trouble.CLOSED)
            self._end = LinkError(trouble, f"DISCONNECT {code.value:#04x} {code}")
        elif self.welcome is None and code.value == _PROTOCOL_ERROR:
            self._end = LinkError(Trouble.PROTOCOL_REFUSED, str(code))  # or no MQTT at all
        elif "_ALERT_" in self._said and any(word in self._said for word in _REFUSED_OURS):
            self._end = LinkError(Trouble.TLS_CERTIFICATE_WANTED, self._said)
        else:
            self._end = LinkError(Trouble.CLOSED, self._said)

    def _on_log(self, _client: Client, _userdata: Any, level: int, text: str) -> None:
        if level in {4, 8}:  # paho's MQTT_LOG_WARNING and MQTT_LOG_ERR
            self._said = text.partition(": ")[2] or text


def _tcp(sock: Any) -> socket.socket:
    """The socket under TLS, or itself: both take options."""
    assert isinstance(sock, socket.socket)
    return sock
