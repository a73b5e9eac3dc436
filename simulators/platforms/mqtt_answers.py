"""What an MQTT platform says, 3.1.1 and 5.0: each function gives the bytes of one packet. Pure.

`level` is the client's protocol level, `mqtt_wire.V311` or `mqtt_wire.V5`. Clause numbers are those of 5.0.
"""

from __future__ import annotations

from collections.abc import Iterable

from simulators.platforms.mqtt_fields import NO_PROPERTIES, Code, Properties, put_properties, put_text, put_varint
from simulators.platforms.mqtt_wire import V5, Message

_CONNACK = 2  # control packet types, §2.1.2, table 2-1
_PUBLISH = 3
_PUBACK = 4
_SUBACK = 9
_UNSUBACK = 11
_PINGRESP = 13
_DISCONNECT = 14


def _framed(kind: int, flags: int, body: bytes) -> bytes:
    return bytes((kind << 4 | flags,)) + put_varint(len(body)) + body


def connack(level: int, code: int, properties: Properties = NO_PROPERTIES) -> bytes:
    """The answer to CONNECT; no session is ever kept. `code` is of the client's own version. Source: §3.2."""
    return _framed(_CONNACK, 0, bytes((0, code)) + (put_properties(properties) if level == V5 else b""))


def puback(level: int, number: int, code: int = Code.SUCCESS) -> bytes:
    """The acknowledgement of a publish; version 3.1.1 has no reason code in it. Source: §3.4."""
    reason = bytes((code,)) if level == V5 and code else b""
    return _framed(_PUBACK, 0, number.to_bytes(2, "big") + reason)


def suback(level: int, number: int, codes: Iterable[int]) -> bytes:
    """The answer to SUBSCRIBE: the granted QoS or a failure per filter. Source: §3.9."""
    body = number.to_bytes(2, "big") + (b"\0" if level == V5 else b"") + bytes(codes)
    return _framed(_SUBACK, 0, body)


def unsuback(level: int, number: int, codes: Iterable[int]) -> bytes:
    """The answer to UNSUBSCRIBE; version 3.1.1 carries no codes. Source: §3.11."""
    return _framed(_UNSUBACK, 0, number.to_bytes(2, "big") + (b"\0" + bytes(codes) if level == V5 else b""))


def pingresp() -> bytes:
    """We are there. Source: §3.13."""
    return _framed(_PINGRESP, 0, b"")


def disconnect(code: int) -> bytes:
    """The platform closes and says why; version 5 only. Source: §3.14."""
    return _framed(_DISCONNECT, 0, bytes((code,)))


def publish(level: int, message: Message, *, number: int = 0) -> bytes:
    """A message for a subscriber, at `message.qos`; `number` is its packet identifier at QoS 1. Source: §3.3."""
    flags = message.qos << 1 | message.retain
    body = put_text(message.topic) + (number.to_bytes(2, "big") if message.qos else b"")
    if level == V5:
        body += put_properties(message.properties)
    return _framed(_PUBLISH, flags, body + message.payload)
