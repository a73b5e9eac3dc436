"""The simulated platform's MQTT codec against bytes written by hand from the standards."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.platforms import mqtt_answers
from simulators.platforms.mqtt_fields import Body, Code, MqttError, Property, put_varint
from simulators.platforms.mqtt_topics import is_valid_filter, matches
from simulators.platforms.mqtt_wire import (
    V5,
    V311,
    Connect,
    Disconnect,
    Filter,
    Message,
    Packet,
    PacketReader,
    Pingreq,
    Puback,
    Publish,
    Subscribe,
    Unsubscribe,
)

CONNECT_311 = (
    bytes.fromhex(  # 3.1.1 §3.1: clean, keepalive 60, client "c1", will "w" = "x" at QoS 1 retained, user, password
        "10 1a 0004 4d515454 04 ee 003c 0002 6331 0001 77 0001 78 0001 75 0001 70"
    )
)
CONNECT_5 = (
    bytes.fromhex(  # 5.0 §3.1: clean start, keepalive 10, receive maximum 20, user property a=b, empty client id
        "10 17 0004 4d515454 05 02 000a 0a 21 0014 26 0001 61 0001 62 0000"
    )
)
PUBLISH_311 = bytes.fromhex("3a 07 0003 612f62 000a")  # 3.1.1 §3.3.2.3, example: topic a/b, packet identifier 10
PUBLISH_5 = bytes.fromhex("33 0b 0001 74 0007 02 01 01 686921")
SUBSCRIBE_311 = bytes.fromhex("82 0e 000a 0003 612f62 01 0003 632f64 02")  # 3.1.1 §3.8.3, example: a/b QoS 1, c/d QoS 2
SUBSCRIBE_5 = bytes.fromhex("82 09 000a 00 0003 612f23 1d")  # 5.0 §3.8: a/#, QoS 1, no local, as published, handling 1
UNSUBSCRIBE_311 = bytes.fromhex("a2 0c 000a 0003 612f62 0003 632f64")  # 3.1.1 §3.10.3, example
PINGREQ = bytes.fromhex("c0 00")
PUBACK_5 = bytes.fromhex("40 04 0007 97 00")
DISCONNECT_5 = bytes.fromhex("e0 01 04")  # with will message


def packets(data: bytes, *, piece: int = 0) -> list[Packet]:
    reader = PacketReader(10_000)
    found: list[Packet] = []
    for start in range(0, len(data), piece or len(data)):
        reader.feed(data[start : start + (piece or len(data))])
        while (packet := reader.next()) is not None:
            found.append(packet)
    assert not reader.is_inside
    return found


def opened(connect: bytes, data: bytes) -> Packet:
    whole, bytewise = packets(connect + data), packets(connect + data, piece=1)
    assert whole == bytewise
    return whole[-1]


def refusal(data: bytes) -> Code:
    with pytest.raises(MqttError) as caught:
        packets(data)
    return caught.value.code


def test_a_311_connect_is_read_with_its_will_user_and_password():
    assert packets(CONNECT_311, piece=1) == [
        Connect(
            level=V311,
            client="c1",
            clean=True,
            keepalive_s=60,
            user="u",
            password=b"p",
            will=Message(topic="w", payload=b"x", qos=1, retain=True),
            properties={},
        )
    ]


def test_a_5_connect_is_read_with_its_properties():
    (connect,) = packets(CONNECT_5, piece=1)
    assert isinstance(connect, Connect)
    assert connect.level == V5
    assert connect.properties == {Property.RECEIVE_MAXIMUM: 20, Property.USER_PROPERTY: (("a", "b"),)}
    assert (connect.client, connect.clean, connect.keepalive_s, connect.will) == ("", True, 10, None)


@pytest.mark.parametrize(
    ("connect", "data", "expected"),
    [
        (CONNECT_311, PUBLISH_311, Publish(message=Message(topic="a/b", payload=b"", qos=1), number=10, dup=True)),
        (
            CONNECT_5,
            PUBLISH_5,
            Publish(
                message=Message(topic="t", payload=b"hi!", qos=1, retain=True, properties={Property.PAYLOAD_FORMAT: 1}),
                number=7,
                dup=False,
            ),
        ),
        (
            CONNECT_311,
            SUBSCRIBE_311,
            Subscribe(
                number=10,
                filters=(
                    Filter(text="a/b", qos=1, no_local=False, retain_as_published=False, retain_handling=0),
                    Filter(text="c/d", qos=2, no_local=False, retain_as_published=False, retain_handling=0),
                ),
            ),
        ),
        (
            CONNECT_5,
            SUBSCRIBE_5,
            Subscribe(
                number=10,
                filters=(Filter(text="a/#", qos=1, no_local=True, retain_as_published=True, retain_handling=1),),
            ),
        ),
        (CONNECT_311, UNSUBSCRIBE_311, Unsubscribe(number=10, filters=("a/b", "c/d"))),
        (CONNECT_5, PUBACK_5, Puback(number=7, code=0x97)),
        (CONNECT_311, PINGREQ, Pingreq()),
        (CONNECT_5, DISCONNECT_5, Disconnect(code=4)),
        (CONNECT_311, bytes.fromhex("e0 00"), Disconnect(code=0)),
    ],
)
def test_each_packet_of_the_standard_is_read_whole_and_byte_by_byte(connect, data, expected):
    assert opened(connect, data) == expected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (PINGREQ, Code.PROTOCOL_ERROR),  # [MQTT-3.1.0-1]: the first packet is CONNECT
        (CONNECT_5 + CONNECT_5, Code.PROTOCOL_ERROR),  # [MQTT-3.1.0-2]: and the only one
        (bytes.fromhex("10 0c 0004 4d515454 03 02 000a 0000"), Code.UNSUPPORTED_VERSION),
        (bytes.fromhex("10 0e 0006 4d5149736470 03 02 000a 0000"), Code.UNSUPPORTED_VERSION),  # version 3.1
        (bytes.fromhex("10 0c 0004 4d515454 04 03 000a 0000"), Code.MALFORMED),  # reserved flag
        (bytes.fromhex("10 0c 0004 4d515454 04 22 000a 0000"), Code.MALFORMED),  # will retain without a will
        (bytes.fromhex("10 0c 0004 4d515454 04 42 000a 0000"), Code.MALFORMED),  # password without a user
        (bytes.fromhex("10 0d 0004 4d515454 04 02 000a 0000 00"), Code.MALFORMED),  # a byte left over
        (CONNECT_5 + bytes.fromhex("34 05 0001 74 0007"), Code.QOS_UNSUPPORTED),  # QoS 2
        (CONNECT_311 + bytes.fromhex("36 05 0001 74 0007"), Code.MALFORMED),  # QoS 3
        (CONNECT_311 + bytes.fromhex("32 05 0001 74 0000"), Code.MALFORMED),  # packet identifier 0
        (CONNECT_311 + bytes.fromhex("38 03 0001 74"), Code.MALFORMED),  # DUP at QoS 0
        (CONNECT_311 + bytes.fromhex("30 05 0003 612f23"), Code.TOPIC_INVALID),  # wildcard in a topic name
        (CONNECT_311 + bytes.fromhex("30 02 0000"), Code.TOPIC_INVALID),
        (CONNECT_311 + bytes.fromhex("30 04 0002 c328"), Code.MALFORMED),  # not UTF-8
        (CONNECT_311 + bytes.fromhex("30 04 0002 6100"), Code.MALFORMED),  # U+0000
        (CONNECT_5 + bytes.fromhex("30 07 0001 74 03 23 0001"), Code.TOPIC_ALIAS_INVALID),
        (CONNECT_5 + bytes.fromhex("30 08 0001 74 04 01 00 01 00"), Code.PROTOCOL_ERROR),  # property twice
        (CONNECT_5 + bytes.fromhex("30 07 0001 74 03 21 0001"), Code.MALFORMED),  # property out of place
        (CONNECT_311 + bytes.fromhex("80 08 000a 0003 612f62 01"), Code.MALFORMED),  # flags of SUBSCRIBE
        (CONNECT_311 + bytes.fromhex("82 08 000a 0003 612f62 03"), Code.MALFORMED),  # QoS 3
        (CONNECT_311 + bytes.fromhex("82 02 000a"), Code.PROTOCOL_ERROR),  # nothing wanted
        (CONNECT_311 + bytes.fromhex("20 02 0000"), Code.PROTOCOL_ERROR),  # CONNACK from a client
        (CONNECT_311 + bytes.fromhex("30 ff ff ff ff 01"), Code.MALFORMED),  # length of five bytes
        (CONNECT_311 + bytes.fromhex("30 ff ff ff 7f"), Code.PACKET_TOO_LARGE),  # before it is collected
    ],
)
def test_what_the_standard_forbids_is_refused_with_its_reason(data, code):
    assert refusal(data) is code


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_garbage_ends_in_packets_or_one_named_error(noise):
    reader = PacketReader(1000)
    reader.feed(CONNECT_5 + noise)
    with contextlib.suppress(MqttError):
        for _ in range(len(noise) + 2):
            if reader.next() is None:
                return
        pytest.fail("more packets than bytes")


@pytest.mark.parametrize(
    ("value", "wire"),  # 5.0 §1.5.5, table 1-1: the borders of each length
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001"), (2_097_151, "ffff7f"),
     (2_097_152, "80808001"), (268_435_455, "ffffff7f")],
)  # fmt: skip
def test_lengths_are_written_and_read_as_in_the_standards_table(value, wire):
    assert put_varint(value).hex() == wire
    assert Body(bytes.fromhex(wire)).varint() == value


def test_answers_are_written_as_the_standards_print_them():
    assert mqtt_answers.connack(V311, 5) == bytes.fromhex("20 02 00 05")
    assert mqtt_answers.connack(V5, 0, {Property.RECEIVE_MAXIMUM: 3}) == bytes.fromhex("20 06 00 00 03 21 0003")
    assert mqtt_answers.puback(V311, 10) == bytes.fromhex("40 02 000a")
    assert mqtt_answers.puback(V5, 10, Code.QUOTA_EXCEEDED) == bytes.fromhex("40 03 000a 97")
    assert mqtt_answers.suback(V311, 10, [0, 2, 0x80]) == bytes.fromhex("90 05 000a 00 02 80")  # 3.1.1 §3.9.3, example
    assert mqtt_answers.suback(V5, 10, [1]) == bytes.fromhex("90 04 000a 00 01")
    assert mqtt_answers.unsuback(V311, 10, [0]) == bytes.fromhex("b0 02 000a")
    assert mqtt_answers.unsuback(V5, 10, [0, 0x11]) == bytes.fromhex("b0 05 000a 00 00 11")
    assert mqtt_answers.pingresp() == bytes.fromhex("d0 00")
    assert mqtt_answers.disconnect(Code.PACKET_TOO_LARGE) == bytes.fromhex("e0 01 95")
    message = Message(topic="a/b", payload=b"!", qos=1, retain=True)
    assert mqtt_answers.publish(V311, message, number=10) == bytes.fromhex("33 08 0003 612f62 000a 21")
    assert mqtt_answers.publish(V5, message, number=10) == bytes.fromhex("33 09 0003 612f62 000a 00 21")


@pytest.mark.parametrize(
    ("wanted", "topic", "fits"),  # 5.0 §4.7.1.2, §4.7.1.3, §4.7.2: the standard's own examples
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor", True),
    ],
)
def test_filters_cover_what_the_standards_examples_say(wanted, topic, fits):
    assert is_valid_filter(wanted)
    assert matches(wanted, topic) is fits


@pytest.mark.parametrize("wanted", ["", "sport/tennis#", "sport/tennis/#/ranking", "sport+", "a/b+/c"])
def test_filters_that_the_standard_calls_invalid_are_invalid(wanted):
    assert not is_valid_filter(wanted)
