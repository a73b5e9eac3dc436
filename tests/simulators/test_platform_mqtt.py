"""The simulated MQTT platform, driven by clients that others wrote: what it keeps and what it finds wrong."""

from __future__ import annotations

import zlib

import paho.mqtt.client as paho
import pytest

from simulators.platforms.mqtt_payload import Fall, judge
from tests.simulators.mqtt_clients import (
    PATIENCE_S,
    VERSIONS,
    a_round,
    client,
    payload,
)


@VERSIONS
def test_a_round_is_acknowledged_and_kept(platform, version):
    with client(platform, version) as station:
        mid = station.send(payload(a_round(1), a_round(2)))
        assert station.published.get(timeout=PATIENCE_S) == (mid, 0)
    report = platform.report()
    assert (report["rounds"], report["copies"], report["readings"]) == (2, 2, 4)
    assert report["complaints"] == {}
    assert report["sequences"] == [{"epoch": "9f3c2a71", "first": 1, "last": 2, "missing": 0, "gaps": []}]


@pytest.mark.parametrize(
    ("version", "content_type"), [(paho.MQTTv311, None), (paho.MQTTv5, None), (paho.MQTTv5, "application/json+zlib")]
)
def test_a_compressed_payload_is_understood_by_its_type_or_its_head(platform, version, content_type):
    with client(platform, version) as station:
        station.send(zlib.compress(payload(a_round())), content_type=content_type)
        station.published.get(timeout=PATIENCE_S)
    assert platform.report()["rounds"] == 1


def test_repeats_are_counted_and_a_changed_one_is_an_error_with_its_name(platform):
    with client(platform) as station:
        for each in (
            a_round(1),
            a_round(1, resent=True),
            a_round(1, resent=True, at="2026-11-21T09:00:07.000+08:00", slot="2026-11-21T09:00:00+08:00"),
            a_round(2),
            a_round(2, values={"volume_forward": "1234.57", "flow_rate": None}),
            a_round(4),
        ):
            station.send(payload(each))
            station.published.get(timeout=PATIENCE_S)
    report = platform.report()
    assert (report["rounds"], report["repeated"], report["copies"]) == (3, 2, 6)
    assert report["complaints"] == {"CHANGED_REPEAT": 1}
    assert report["sequences"][0] | {"epoch": ""} == {
        "epoch": "",
        "first": 1,
        "last": 4,
        "missing": 1,
        "gaps": [[3, 3]],
    }


def test_a_live_lane_beside_a_backlog_is_in_order_and_a_number_below_both_is_not(platform):
    with client(platform) as station:
        for number in (1, 100, 2, 101, 3):
            station.send(payload(a_round(number)))
            station.published.get(timeout=PATIENCE_S)
        assert platform.report()["out_of_order"] == 0
        station.send(payload(a_round(99)))  # the backlog lane has reached 99 …
        station.send(payload(a_round(50)))  # … and now steps back
        station.published.get(timeout=PATIENCE_S)
        station.published.get(timeout=PATIENCE_S)
    assert platform.report()["out_of_order"] == 1


@pytest.mark.parametrize(
    ("changes", "fall"),
    [
        ({"id": "1"}, Fall.BAD_ID),
        ({"id": "9F3C2A71-1"}, Fall.BAD_ID),
        ({"meter": "Main Flow"}, Fall.BAD_METER),
        ({"at": "2026-11-21T08:00:07.412"}, Fall.BAD_TIME),
        ({"at": "2026-02-30T08:00:07.412+08:00"}, Fall.BAD_TIME),
        ({"slot": "2026-11-21T08:01:00+08:00"}, Fall.BAD_TIME),
        ({"at": None}, Fall.BAD_TIME),
        ({"resent": 0}, Fall.BAD_RESENT),
        ({"values": {"volume_forward": 1234.56}, "quality": {}}, Fall.BAD_VALUE),
        ({"values": {"volume_forward": "1e3"}, "quality": {}}, Fall.BAD_VALUE),
        ({"values": {"volume_forward": "NaN"}, "quality": {}}, Fall.BAD_VALUE),
        ({"values": {"status": ["no_such_flag"]}, "quality": {}}, Fall.BAD_VALUE),
        ({"values": {"volume": "1"}, "quality": {}}, Fall.UNKNOWN_QUANTITY),
        ({"quality": {}}, Fall.VALUE_WITHOUT_REASON),
        ({"quality": {"flow_rate": "NO_REPLY"}}, Fall.BAD_QUALITY),
        ({"origin": "guessed"}, Fall.BAD_SOURCE),
        ({"flags": "GAP"}, Fall.BAD_SOURCE),
        ({"quality": {"flow_rate": ["NO_REPLY"], "power": ["NO_REPLY"]}}, Fall.BAD_QUALITY),
        ({"extra": 1}, Fall.UNKNOWN_KEY),
    ],
)
def test_each_mistake_in_a_round_is_named(changes, fall):
    rounds, complaints = judge(payload(a_round(1, **changes), a_round(2)), None)
    assert [each.number for each in rounds] == [2]
    assert [each.code for each in complaints] == [fall]


@pytest.mark.parametrize(
    ("data", "content_type", "fall"),
    [
        (b"", None, Fall.NOT_JSON),
        (b"{", None, Fall.NOT_JSON),
        (b"[NaN]", None, Fall.NOT_JSON),
        (b'[{"id":"9f3c2a71-1","id":"9f3c2a71-1"}]', None, Fall.NOT_JSON),
        (b"[" * 100_000, None, Fall.NOT_JSON),
        (b"\xff\xfe[\x00]\x00", None, Fall.NOT_JSON),
        (b"{}", None, Fall.NOT_ROUNDS),
        (b"[]", None, Fall.NOT_ROUNDS),
        (b"[1]", None, Fall.NOT_ROUNDS),
        (b"[]", "application/json+zlib", Fall.NOT_ZLIB),
        (zlib.compress(b"[]" * 99)[:-1], None, Fall.NOT_ZLIB),
        (zlib.compress(b" " * 20_000_000), None, Fall.TOO_LARGE),
        (zlib.compress(b"[]"), "application/json", Fall.NOT_JSON),
    ],
)
def test_a_payload_that_is_none_is_named_and_bounded(data, content_type, fall):
    assert [each.code for each in judge(data, content_type)[1]] == [fall]


def test_a_topic_beside_the_agreed_ones_is_named(platform):
    with client(platform) as station:
        station.send(b"[]", topic="qushui/pumphouse-12/readings")
        station.published.get(timeout=PATIENCE_S)
        station.send(b"hello", topic="somebody/else")
        station.published.get(timeout=PATIENCE_S)
    assert platform.report()["complaints"] == {"WRONG_TOPIC": 1}
