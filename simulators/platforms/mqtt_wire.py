"""What MQTT clients send, 3.1.1 and 5.0: bytes in, packets out. Pure; `mqtt_answers` is the other direction.

`PacketReader` is fed whatever arrived and gives whole packets: `next()` returns one, or None while bytes are missing,
or raises MqttError, after which nothing more can be read. A packet's length is known from its first five bytes, so an
oversize one is refused before it is collected: memory stays below `maximum` plus one read. The first packet must be a
CONNECT; its protocol level decides how everything after it is read.

QoS 2, topic aliases, shared subscriptions and enhanced authentication are not offered; asking for them is an error.
Source: OASIS MQTT 3.1.1 (2014) and 5.0 (2019); clause numbers are those of 5.0, the two agree up to properties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

from simulators.platforms.mqtt_fields import (
    NO_PROPERTIES,
    Body,
    Code,
    MqttError,
    Properties,
    Property,
)

V311 = 4  # protocol level, §3.1.2.2
V5 = 5

_SECOND_QOS = 2
_RESERVED_QOS = 3


class _Type(IntEnum):
    """The control packets a client may send. Source: §2.1.2, table 2-1."""

    CONNECT = 1
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    UNSUBSCRIBE = 10
    PINGREQ = 12
    DISCONNECT = 14


_FLAGS_0010 = frozenset({_Type.SUBSCRIBE, _Type.UNSUBSCRIBE})  # §2.1.3, table 2-2

_P = Property
_USER = frozenset({_P.USER_PROPERTY})
_CONNECT_PROPERTIES = _USER | {
    _P.SESSION_EXPIRY,
    _P.RECEIVE_MAXIMUM,
    _P.MAXIMUM_PACKET_SIZE,
    _P.TOPIC_ALIAS_MAXIMUM,
    _P.REQUEST_RESPONSE_INFORMATION,
    _P.REQUEST_PROBLEM_INFORMATION,
    _P.AUTHENTICATION_METHOD,
    _P.AUTHENTICATION_DATA,
}
_MESSAGE_PROPERTIES = _USER | {
    _P.PAYLOAD_FORMAT,
    _P.MESSAGE_EXPIRY,
    _P.CONTENT_TYPE,
    _P.RESPONSE_TOPIC,
    _P.CORRELATION_DATA,
}
_WILL_PROPERTIES = _MESSAGE_PROPERTIES | {_P.WILL_DELAY}
_PUBLISH_PROPERTIES = _MESSAGE_PROPERTIES | {_P.TOPIC_ALIAS}
_PUBACK_PROPERTIES = _USER | {_P.REASON_STRING}
_SUBSCRIBE_PROPERTIES = _USER | {_P.SUBSCRIPTION_IDENTIFIER}
_DISCONNECT_PROPERTIES = _USER | {_P.SESSION_EXPIRY, _P.REASON_STRING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An application message: what is published, retained, left as a will and handed to subscribers."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=lambda: NO_PROPERTIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """A client introduces itself. `level` is V311 or V5; `keepalive_s` 0 means none. Source: §3.1."""

    level: int
    client: str
    clean: bool
    keepalive_s: int
    user: str | None
    password: bytes | None
    will: Message | None
    properties: Properties


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """A message from the client; `number` is its packet identifier, 0 at QoS 0. Source: §3.3."""

    message: Message
    number: int
    dup: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Puback:
    """The client has what we sent it as `number`. Source: §3.4."""

    number: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One topic filter of a SUBSCRIBE and its options. Source: §3.8.3.1."""

    text: str
    qos: int
    no_local: bool
    retain_as_published: bool
    retain_handling: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """What the client wants to hear. Source: §3.8."""

    number: int
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """What the client no longer wants to hear. Source: §3.10."""

    number: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pingreq:
    """The client asks whether we are there. Source: §3.12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """The client leaves; with code 0 its will is not published. Source: §3.14."""

    code: int


Packet = Connect | Publish | Puback | Subscribe | Unsubscribe | Pingreq | Disconnect


class PacketReader:
    """Bytes of one connection in, packets out; `maximum` bounds a packet, fixed header included."""

    def __init__(self, maximum: int) -> None:
        self.level = 0  # V311 or V5 once a CONNECT was read
        self._maximum = maximum
        self._buffer = bytearray()

    @property
    def is_inside(self) -> bool:
        """Whether a packet has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes what arrived."""
        self._buffer += data

    def next(self) -> Packet | None:
        """The next whole packet, None while bytes are missing. Raises MqttError."""
        if self._buffer and (self.level == 0) != (self._buffer[0] >> 4 == _Type.CONNECT):
            kind, place = self._buffer[0] >> 4, "after" if self.level else "before"
            raise MqttError(
                Code.PROTOCOL_ERROR, f"packet type {kind} {place} CONNECT"
            )  # [MQTT-3.1.0-1], [MQTT-3.1.0-2]
        header = self._header()
        if header is None:
            return None
        start, end = header
        if len(self._buffer) < end:
            return None
        first = self._buffer[0]
        body = Body(bytes(self._buffer[start:end]))
        del self._buffer[:end]
        packet = self._packet(first, body)
        if not body.is_empty:
            raise MqttError(Code.MALFORMED, "bytes left behind the last field")
        return packet

    def _header(self) -> tuple[int, int] | None:
        """Where the body of the packet in front begins and ends, None while its length is not there."""
        length = 0
        for place in range(4):
            if len(self._buffer) <= place + 1:
                return None
            digit = self._buffer[place + 1]
            length |= (digit & 0x7F) << (7 * place)
            if not digit & 0x80:
                end = place + 2 + length
                if end > self._maximum:
                    raise MqttError(Code.PACKET_TOO_LARGE, f"packet of {end} bytes, at most {self._maximum}")
                return place + 2, end
        raise MqttError(Code.MALFORMED, "remaining length of more than 4 bytes")

    def _packet(self, first: int, body: Body) -> Packet:
        kind, flags = first >> 4, first & 0x0F
        if kind == _Type.PUBLISH:
            return _publish(flags, body, self.level)
        if flags != (0b0010 if kind in _FLAGS_0010 else 0):
            raise MqttError(Code.MALFORMED, f"flags {flags:#06b} on packet type {kind}")
        if kind == _Type.CONNECT:
            connect = _connect(body)
            self.level = connect.level
            return connect
        parse = _PARSERS.get(kind)
        if parse is None:
            raise MqttError(Code.PROTOCOL_ERROR, f"packet type {kind} is not for this side")
        return parse(body, self.level)


def _connect(body: Body) -> Connect:
    name = body.text()
    level = body.unsigned(1)
    if name != "MQTT" or level not in {V311, V5}:
        raise MqttError(Code.UNSUPPORTED_VERSION, f"protocol {name!r} level {level}")
    flags = body.unsigned(1)
    if flags & 0x01:
        raise MqttError(Code.MALFORMED, "reserved connect flag set")  # [MQTT-3.1.2-3]
    keepalive_s = body.unsigned(2)
    properties = body.properties(_CONNECT_PROPERTIES) if level == V5 else NO_PROPERTIES
    client = body.text()
    will = _will(flags, body, level)
    if level == V311 and flags & 0x40 and not flags & 0x80:
        raise MqttError(Code.MALFORMED, "password without user name")  # [MQTT-3.1.2-22] of 3.1.1
    return Connect(
        level=level,
        client=client,
        clean=bool(flags & 0x02),
        keepalive_s=keepalive_s,
        user=body.text() if flags & 0x80 else None,
        password=body.binary() if flags & 0x40 else None,
        will=will,
        properties=properties,
    )


def _will(flags: int, body: Body, level: int) -> Message | None:
    qos = flags >> 3 & 0x03
    if not flags & 0x04:
        if flags & 0x38:
            raise MqttError(Code.MALFORMED, "will flags without a will")  # [MQTT-3.1.2-11], [MQTT-3.1.2-13]
        return None
    if qos == _RESERVED_QOS:
        raise MqttError(Code.MALFORMED, "will with QoS 3")  # [MQTT-3.1.2-12]
    properties = body.properties(_WILL_PROPERTIES) if level == V5 else NO_PROPERTIES
    topic = _topic(body.text())
    return Message(topic=topic, payload=body.binary(), qos=qos, retain=bool(flags & 0x20), properties=properties)


def _topic(text: str) -> str:
    if not text or "+" in text or "#" in text:
        raise MqttError(Code.TOPIC_INVALID, f"topic {text!r}")  # [MQTT-3.3.2-2], [MQTT-4.7.3-1]
    return text


def _number(body: Body) -> int:
    number = body.unsigned(2)
    if number == 0:
        raise MqttError(Code.MALFORMED, "packet identifier 0")  # [MQTT-2.2.1-3]
    return number


def _publish(flags: int, body: Body, level: int) -> Publish:
    qos = flags >> 1 & 0x03
    if qos >= _SECOND_QOS:
        raise MqttError(Code.MALFORMED if qos == _RESERVED_QOS else Code.QOS_UNSUPPORTED, f"QoS {qos}")
    dup = bool(flags & 0x08)
    if dup and qos == 0:
        raise MqttError(Code.MALFORMED, "DUP at QoS 0")  # [MQTT-3.3.1-2]
    topic = body.text()
    number = _number(body) if qos else 0
    properties = body.properties(_PUBLISH_PROPERTIES) if level == V5 else NO_PROPERTIES
    if Property.TOPIC_ALIAS in properties:
        raise MqttError(Code.TOPIC_ALIAS_INVALID, "topic alias, none was granted")  # [MQTT-3.2.2-18]
    message = Message(
        topic=_topic(topic), payload=body.rest(), qos=qos, retain=bool(flags & 0x01), properties=properties
    )
    return Publish(message=message, number=number, dup=dup)


def _puback(body: Body, level: int) -> Puback:
    number = _number(body)
    code = 0
    if level == V5 and not body.is_empty:
        code = body.unsigned(1)
        if not body.is_empty:
            body.properties(_PUBACK_PROPERTIES)
    return Puback(number=number, code=code)


def _subscribe(body: Body, level: int) -> Subscribe:
    number = _number(body)
    if level == V5 and Property.SUBSCRIPTION_IDENTIFIER in body.properties(_SUBSCRIBE_PROPERTIES):
        raise MqttError(Code.PROTOCOL_ERROR, "subscription identifier, none was offered")
    filters: list[Filter] = []
    while not body.is_empty:
        filters.append(_filter(body.text(), body.unsigned(1), level))
    if not filters:
        raise MqttError(Code.PROTOCOL_ERROR, "SUBSCRIBE without a filter")  # [MQTT-3.8.3-2]
    return Subscribe(number=number, filters=tuple(filters))


def _filter(text: str, options: int, level: int) -> Filter:
    qos, handling = options & 0x03, options >> 4 & 0x03
    reserved = options & (0xC0 if level == V5 else 0xFC)
    if reserved or _RESERVED_QOS in {qos, handling}:
        raise MqttError(Code.MALFORMED, f"subscription options {options:#04x}")  # [MQTT-3.8.3-5]
    return Filter(
        text=text,
        qos=qos,
        no_local=bool(options & 0x04),
        retain_as_published=bool(options & 0x08),
        retain_handling=handling,
    )


def _unsubscribe(body: Body, level: int) -> Unsubscribe:
    number = _number(body)
    if level == V5:
        body.properties(_USER)
    filters: list[str] = []
    while not body.is_empty:
        filters.append(body.text())
    if not filters:
        raise MqttError(Code.PROTOCOL_ERROR, "UNSUBSCRIBE without a filter")  # [MQTT-3.10.3-2]
    return Unsubscribe(number=number, filters=tuple(filters))


def _disconnect(body: Body, level: int) -> Disconnect:
    if level == V311 or body.is_empty:
        return Disconnect(code=0)
    code = body.unsigned(1)
    if not body.is_empty:
        body.properties(_DISCONNECT_PROPERTIES)
    return Disconnect(code=code)


def _pingreq(_body: Body, _level: int) -> Pingreq:
    return Pingreq()


_PARSERS: Mapping[int, Callable[[Body, int], Packet]] = MappingProxyType(
    {
        _Type.PUBACK: _puback,
        _Type.SUBSCRIBE: _subscribe,
        _Type.UNSUBSCRIBE: _unsubscribe,
        _Type.PINGREQ: _pingreq,
        _Type.DISCONNECT: _disconnect,
    }
)
