"""MQTT 5 and 3.1.1 through paho, whose network loop runs in the uplink's own thread.

Strategy: a new paho client for each connection with a clean start, so nothing is left in its memory that the store
does not know; messages are given to it only while connected, and settled only by the reason code of their PUBACK.
The broker's limits (Receive Maximum, Maximum Packet Size, Retain Available) are ours to obey: paho does not. Topic
aliases are never used: with QoS 1 they end in a loop of disconnects. paho is imported with the first connection, when
the lines already poll. Files of secrets are read at each connection: to mend one needs no restart.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.clock import Clock
from agent.model import Receipt
from agent.settings import Station
from agent.uplinks.contract import Batch, Limits, LinkError, Trouble
from agent.uplinks.mqtt.options import PORTS, MqttOptions
from agent.uplinks.mqtt_wire import (
    CONTENT_TYPES,
    RETAIN_NOT_SUPPORTED,
    Composer,
    head_topic,
    rounds_topic,
    state_payload,
    state_topic,
)
from agent.uplinks.thingsboard_wire import CONNECT, TELEMETRY, ThingsBoardComposer, connect_payload

if TYPE_CHECKING:
    from paho.mqtt.properties import Properties

    from agent.uplinks.mqtt.link import Link, TlsContext

_HEADER_BYTES = 64  # of a PUBLISH beside topic and payload: fixed header, packet id, properties
_MANY = 65_535  # Receive Maximum when the broker names none. Source: OASIS MQTT 5.0, section 3.2.2.3.3
_V5 = 5
_CERTIFICATE_TROUBLES = MappingProxyType(
    {  # X509_V_ERR_* of openssl's x509_vfy.h
        9: Trouble.TLS_NOT_YET_VALID,
        10: Trouble.TLS_EXPIRED,
        62: Trouble.TLS_NAME_MISMATCH,
        64: Trouble.TLS_NAME_MISMATCH,  # of an IP address
    }
)
_NETWORK_TROUBLES = MappingProxyType(
    {
        errno.ECONNREFUSED: Trouble.CONNECTION_REFUSED,
        errno.ENETUNREACH: Trouble.NO_ROUTE,
        errno.EHOSTUNREACH: Trouble.NO_ROUTE,
        errno.ENETDOWN: Trouble.NO_ROUTE,
        errno.EADDRNOTAVAIL: Trouble.NO_ROUTE,
    }
)
_ANSWER_IS_NO = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAMILY})


class MqttUplink:
    """The connection to one broker. `name` is the uplink's name in the configuration."""

    def __init__(self, name: str, *, settings: MqttOptions, station: Station, clock: Clock) -> None:
        self._settings = settings
        self._station = station.id
        self._clock = clock
        self._client_id = settings.client_id or f"qushui-{station.id}-{name}"
        self._rounds_topic = TELEMETRY.get(settings.format) or rounds_topic(settings.topic, station.id)
        self._state_topic = state_topic(settings.topic, station.id)
        self._head_topic = head_topic(settings.topic, station.id)
        self._composer = _composer(settings, station)
        self._announced: set[str] = set()  # devices that this connection has named, where the platform wants that
        parts = urlsplit(settings.url)
        self._host, self._port = str(parts.hostname), parts.port or PORTS[parts.scheme]
        self._is_tls = parts.scheme == "mqtts"
        self._may_retain = True
        self._link: Link | None = None

    @property
    def address(self) -> str:
        """The broker's URL."""
        return self._settings.url

    def open(self, timeout_s: float) -> Limits:
        """Connects, waits for CONNACK, publishes the retained state. Raises LinkError.

        `timeout_s` bounds the whole where the network answers, and each of TCP, TLS and CONNACK where it stalls.
        """
        self.close()
        link = self._link = self._new_link()
        try:
            return self._welcomed(link, self._shake_hands(link, timeout_s))
        except OSError as error:
            self.close()
            raise self._explained(error) from error
        except LinkError:
            self._may_retain = self._may_retain and link.refused_code != RETAIN_NOT_SUPPORTED
            self.close()
            raise

    def send(self, batch: Batch, tag: int) -> int:
        """Publishes one message at QoS 1. Raises TooLargeError."""
        assert self._link is not None
        payload = self._composer.payload(batch.rounds, batch.resent)
        if isinstance(self._composer, ThingsBoardComposer) and len(payload) <= self._link.largest:
            for device in self._composer.devices(batch.rounds):
                if device not in self._announced:
                    self._announced.add(device)
                    self._link.say(CONNECT, connect_payload(device), retain=False, qos=1)
        return self._link.publish(self._rounds_topic, payload, tag)

    @property
    def takes_heads(self) -> bool:
        """Whether the form has a topic of ours for them."""
        return self._settings.format not in TELEMETRY

    def send_head(self, head: str, tag: int) -> None:
        """Publishes the chain's head, retained, at QoS 1."""
        assert self._link is not None
        self._link.publish_head(self._head_topic, head.encode("utf-8"), tag, retain=self._may_retain)

    def fileno(self) -> int:
        """The descriptor of this connection."""
        assert self._link is not None
        return self._link.fileno()

    def pump(self) -> Sequence[Receipt]:
        """Reads, writes and keeps alive. Raises LinkError when the connection is over."""
        assert self._link is not None
        return self._link.pump()

    def unsent(self) -> int:
        """Bytes in paho's queue and in the kernel's."""
        return 0 if self._link is None else self._link.unsent()

    def close(self, farewell_s: float = 0.0) -> None:
        """Publishes "offline" and disconnects within `farewell_s`; with 0 drops the connection, the will speaks."""
        link, self._link = self._link, None
        if link is None:
            return
        if farewell_s > 0:
            with contextlib.suppress(LinkError):
                self._say(link, online=False, qos=0 if link.has_flights() else 1)
                until = self._clock.monotonic() + farewell_s
                while link.is_busy() and (left_s := until - self._clock.monotonic()) > 0:
                    link.wait(left_s)
                    link.pump()
                link.disconnect()
        link.close()

    def _shake_hands(self, link: Link, timeout_s: float) -> Properties:
        until = self._clock.monotonic() + timeout_s
        link.connect(self._host, self._port, self._settings.keepalive // 1000, timeout_s)
        link.pump()
        while link.welcome is None:
            left_s = until - self._clock.monotonic()
            if left_s <= 0:
                raise LinkError(Trouble.TIMED_OUT, f"no CONNACK in {timeout_s:g} s")
            link.wait(left_s)
            link.pump()
        return link.welcome

    def _welcomed(self, link: Link, welcome: Properties) -> Limits:
        """Obeys what CONNACK says and publishes the state. Source: OASIS MQTT 5.0, section 3.2.2.3."""
        if getattr(welcome, "MaximumQoS", 1) < 1:
            raise LinkError(Trouble.NO_RECEIPTS, "Maximum QoS 0")
        self._may_retain = self._may_retain and bool(getattr(welcome, "RetainAvailable", 1))
        in_flight = getattr(welcome, "ReceiveMaximum", _MANY)
        largest = getattr(welcome, "MaximumPacketSize", None)
        link.largest = self._settings.message_max
        if largest is not None:
            link.largest = min(link.largest, largest - len(self._rounds_topic) - _HEADER_BYTES)
        # The state message is one in flight too; where only one may be, it goes without receipt.
        self._say(link, online=True, qos=1 if in_flight > 1 else 0)
        return Limits(message_bytes=max(1, link.largest), in_flight=max(1, in_flight - 1))

    def _say(self, link: Link, *, online: bool, qos: int) -> None:
        if isinstance(self._composer, ThingsBoardComposer):
            return  # it knows from the connection itself
        link.say(self._state_topic, state_payload(self._station, online=online), retain=self._may_retain, qos=qos)

    def _new_link(self) -> Link:
        """A fresh client. Raises LinkError when a file cannot be read."""
        from paho.mqtt.client import Client  # noqa: PLC0415 - imported when the lines already poll
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion  # noqa: PLC0415
        from paho.mqtt.packettypes import PacketTypes  # noqa: PLC0415
        from paho.mqtt.properties import Properties  # noqa: PLC0415

        from agent.uplinks.mqtt.link import Link  # noqa: PLC0415

        settings = self._settings
        is_v5 = settings.protocol == _V5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if is_v5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if is_v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(0)  # the forwarder counts; paho would scan its queue at each PUBACK
        if settings.username is not None or settings.password_file is not None:
            client.username_pw_set(settings.username or "", _password(settings.password_file))
        context = _tls_context(settings) if self._is_tls else None
        if context is not None:
            client.tls_set_context(context)
        self._announced.clear()
        if isinstance(self._composer, Composer):
            will = state_payload(self._station, online=False)
            client.will_set(self._state_topic, will, qos=1, retain=self._may_retain)
        if not is_v5:
            return Link(client, None, context)
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = CONTENT_TYPES[settings.encoding]
        return Link(client, properties, context)

    def _explained(self, error: OSError) -> LinkError:
        """The trouble behind an exception of socket or ssl."""
        trouble = _trouble_of(error)
        if trouble is Trouble.TLS_NOT_YET_VALID and not self._clock.synced:
            trouble = Trouble.TLS_CLOCK_UNSET
        return LinkError(trouble, str(error.strerror or error))


def _composer(settings: MqttOptions, station: Station) -> Composer | ThingsBoardComposer:
    if settings.format in TELEMETRY:
        return ThingsBoardComposer(station.id, settings.format)
    return Composer(station.timezone, settings.encoding)


def _password(path: str | None) -> str | None:
    """The first line of the file."""
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise LinkError(Trouble.FILE_UNREADABLE, f"{path}: {error}") from error


def _tls_context(settings: MqttOptions) -> TlsContext:
    """TLS 1.2 or newer, certificate and host name verified."""
    from agent.uplinks.mqtt.link import TlsContext  # noqa: PLC0415 - as above

    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ", ".join(path for path in (settings.ca_file, settings.cert_file, settings.key_file) if path)
    try:
        if settings.ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")  # else it asks
    except (OSError, ValueError) as error:
        raise LinkError(Trouble.FILE_UNREADABLE, f"{paths}: {error}") from error
    return context


def _trouble_of(error: OSError) -> Trouble:
    """What an exception of socket or ssl means to a technician."""
    match error:
        case socket.gaierror():
            return Trouble.NAME_UNKNOWN if error.errno in _ANSWER_IS_NO else Trouble.NAME_SERVER_SILENT
        case ssl.SSLCertVerificationError():
            return _CERTIFICATE_TROUBLES.get(error.verify_code, Trouble.TLS_UNTRUSTED)
        case ssl.SSLError() if not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Trouble.TLS_CERTIFICATE_WANTED if "_ALERT_" in str(error.reason) else Trouble.TLS_FAILED
        case TimeoutError():
            return Trouble.TIMED_OUT
    return _NETWORK_TROUBLES.get(error.errno or 0, Trouble.CLOSED)
