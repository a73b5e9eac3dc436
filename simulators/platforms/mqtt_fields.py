"""MQTT's basic field types and the properties of version 5, both ways. Pure.

`Body` walks over one packet's bytes and raises `MqttError` with the reason code of the standard where they are wrong;
the `put_…` functions give the bytes of one field. Integers are big-endian throughout.

Source: OASIS MQTT 5.0 (2019), sections 1.5 and 2.2.2; MQTT 3.1.1 (2014), section 1.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType

_VARINT_MAX_BYTES = 4  # 5.0 §1.5.5
_VARINT_DIGIT = 0x7F  # seven bits to a byte, the eighth says that more follow
_TEXT_MAX_BYTES = 65_535  # 5.0 §1.5.4


class Code(IntEnum):
    """The reason codes this receiver uses by name. Source: 5.0 §2.4, table 2-6."""

    SUCCESS = 0x00
    NO_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION = 0x11
    UNSPECIFIED = 0x80
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    UNSUPPORTED_VERSION = 0x84
    IDENTIFIER_REFUSED = 0x85
    BAD_USER_OR_PASSWORD = 0x86
    NOT_AUTHORISED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    FILTER_INVALID = 0x8F
    TOPIC_INVALID = 0x90
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    PAYLOAD_INVALID = 0x99
    QOS_UNSUPPORTED = 0x9B
    SHARED_UNSUPPORTED = 0x9E


class MqttError(Exception):
    """Bytes that the standard forbids: `code` is the reason to close with, `detail` says what was found."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Kind(StrEnum):
    """How a property's value is written. Source: 5.0 §2.2.2.2, table 2-4."""

    BYTE = "byte"
    U16 = "u16"
    U32 = "u32"
    VARINT = "varint"
    TEXT = "text"
    BINARY = "binary"
    PAIR = "pair"


class Property(IntEnum):
    """Property identifiers. Source: 5.0 §2.2.2.2, table 2-4."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_IDENTIFIER = 0x0B
    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT_IDENTIFIER = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    RESPONSE_INFORMATION = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_AVAILABLE = 0x28
    SUBSCRIPTION_IDENTIFIERS_AVAILABLE = 0x29
    SHARED_AVAILABLE = 0x2A


PropertyValue = int | str | bytes | tuple[tuple[str, str], ...]
"""A number, text or bytes; for USER_PROPERTY all its pairs, in order."""

Properties = Mapping[Property, PropertyValue]

NO_PROPERTIES: Properties = MappingProxyType({})

_P = Property
_KINDS = MappingProxyType(
    {
        Kind.BYTE: {
            _P.PAYLOAD_FORMAT,
            _P.REQUEST_PROBLEM_INFORMATION,
            _P.REQUEST_RESPONSE_INFORMATION,
            _P.MAXIMUM_QOS,
            _P.RETAIN_AVAILABLE,
            _P.WILDCARD_AVAILABLE,
            _P.SUBSCRIPTION_IDENTIFIERS_AVAILABLE,
            _P.SHARED_AVAILABLE,
        },
        Kind.U16: {_P.SERVER_KEEP_ALIVE, _P.RECEIVE_MAXIMUM, _P.TOPIC_ALIAS_MAXIMUM, _P.TOPIC_ALIAS},
        Kind.U32: {_P.MESSAGE_EXPIRY, _P.SESSION_EXPIRY, _P.WILL_DELAY, _P.MAXIMUM_PACKET_SIZE},
        Kind.VARINT: {_P.SUBSCRIPTION_IDENTIFIER},
        Kind.BINARY: {_P.CORRELATION_DATA, _P.AUTHENTICATION_DATA},
        Kind.PAIR: {_P.USER_PROPERTY},
    }
)
_KIND_OF = MappingProxyType({found: kind for kind, members in _KINDS.items() for found in members})  # the rest is text


class Body:
    """The bytes of one packet behind its fixed header, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        """Whether everything has been taken."""
        return self._at >= len(self._data)

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises MqttError (malformed) when fewer are left."""
        end = self._at + count
        if end > len(self._data):
            raise MqttError(Code.MALFORMED, f"field of {count} bytes, {len(self._data) - self._at} left")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def rest(self) -> bytes:
        """Everything left."""
        return self.take(len(self._data) - self._at)

    def unsigned(self, size: int) -> int:
        """An unsigned integer of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def varint(self) -> int:
        """A variable byte integer, 0 to 268 435 455. Source: 5.0 §1.5.5."""
        value = 0
        for place in range(_VARINT_MAX_BYTES):
            digit = self.unsigned(1)
            value |= (digit & 0x7F) << (7 * place)
            if not digit & 0x80:
                return value
        raise MqttError(Code.MALFORMED, "variable byte integer longer than 4 bytes")

    def binary(self) -> bytes:
        """Binary data with its 2-byte length in front."""
        return self.take(self.unsigned(2))

    def text(self) -> str:
        """UTF-8 text with its 2-byte length; ill-formed text and U+0000 are malformed. Source: 5.0 §1.5.4."""
        try:
            found = self.binary().decode("utf-8")
        except UnicodeDecodeError as error:
            raise MqttError(Code.MALFORMED, f"text is not UTF-8: {error.reason}") from error
        if "\0" in found:
            raise MqttError(Code.MALFORMED, "text holds U+0000")
        return found

    def properties(self, allowed: frozenset[Property]) -> Properties:
        """A property list; one that is unknown, out of place or twice there is refused. Source: 5.0 §2.2.2."""
        body = Body(self.take(self.varint()))
        found: dict[Property, PropertyValue] = {}
        pairs: list[tuple[str, str]] = []
        while not body.is_empty:
            number = body.varint()
            if number not in allowed:
                raise MqttError(Code.MALFORMED, f"property {number:#04x} has no place in this packet")
            name = Property(number)
            if name is Property.USER_PROPERTY:
                pairs.append((body.text(), body.text()))
                continue
            if name in found:
                raise MqttError(Code.PROTOCOL_ERROR, f"property {name.name} twice")
            found[name] = body._value(_KIND_OF.get(name, Kind.TEXT))
        if pairs:
            found[Property.USER_PROPERTY] = tuple(pairs)
        return found

    def _value(self, kind: Kind) -> int | str | bytes:
        match kind:
            case Kind.BYTE:
                return self.unsigned(1)
            case Kind.U16:
                return self.unsigned(2)
            case Kind.U32:
                return self.unsigned(4)
            case Kind.VARINT:
                return self.varint()
            case Kind.BINARY:
                return self.binary()
            case _:
                return self.text()


def put_varint(value: int) -> bytes:
    """The variable byte integer for 0 to 268 435 455. Source: 5.0 §1.5.5."""
    out = bytearray()
    while value > _VARINT_DIGIT:
        out.append(value & _VARINT_DIGIT | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put_binary(data: bytes) -> bytes:
    """`data` behind its 2-byte length. Raises ValueError above 65 535 bytes."""
    if len(data) > _TEXT_MAX_BYTES:
        raise ValueError(f"{len(data)} bytes do not fit a field of 65535")
    return len(data).to_bytes(2, "big") + data


def put_text(text: str) -> bytes:
    """`text` as UTF-8 behind its 2-byte length. Raises ValueError above 65 535 bytes."""
    return put_binary(text.encode())


def put_properties(properties: Properties) -> bytes:
    """A property list with its length in front."""
    out = b"".join(_put_property(name, value) for name, value in properties.items())
    return put_varint(len(out)) + out


def _put_property(name: Property, value: PropertyValue) -> bytes:
    head = put_varint(name)
    match value:
        case str():
            return head + put_text(value)
        case bytes():
            return head + put_binary(value)
        case tuple():
            return b"".join(head + put_text(key) + put_text(text) for key, text in value)
        case _:
            kind = _KIND_OF[name]
            if kind is Kind.VARINT:
                return head + put_varint(value)
            return head + value.to_bytes({Kind.BYTE: 1, Kind.U16: 2}.get(kind, 4), "big")
