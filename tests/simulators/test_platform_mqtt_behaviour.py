"""How the simulated MQTT platform behaves when ordered to: refusals, delays, resets, limits, sessions; its command."""

from __future__ import annotations

import json
import queue
import shutil
import socket
import subprocess
import sys
import time

import paho.mqtt.client as paho
import pytest

from simulators.platforms.mqtt_behaviour import Behaviour, OrderError, obeyed
from tests.simulators.mqtt_clients import (
    PATIENCE_S,
    TOPIC,
    VERSIONS,
    Client,
    a_round,
    client,
    eventually,
    payload,
    running,
)


@pytest.mark.parametrize("code", [0x80, 0x87, 0x90, 0x97, 0x99])
def test_an_acknowledgement_is_refused_with_the_ordered_reason_and_nothing_is_kept(platform, code):
    platform.order({"ack": "refuse", "code": code, "times": 1})
    with client(platform) as station:
        refused, accepted = station.send(payload(a_round(1))), station.send(payload(a_round(2)))
        assert station.published.get(timeout=PATIENCE_S) == (refused, code)
        assert station.published.get(timeout=PATIENCE_S) == (accepted, 0)
    report = platform.report()
    assert (report["rounds"], report["refused_acks"], report["acks"]) == (1, 1, 1)
    assert report["sequences"][0]["first"] == 2


def test_a_311_client_is_closed_where_5_would_get_a_reason(platform):
    platform.order({"ack": "refuse", "code": 151, "times": 1})
    with client(platform, paho.MQTTv311) as station:
        station.send(payload(a_round()))
        station.ended.get(timeout=PATIENCE_S)


def test_a_dropped_acknowledgement_leaves_the_message_kept(platform):
    platform.order({"ack": "drop", "times": 1})
    with client(platform) as station:
        station.send(payload(a_round(1)))
        second = station.send(payload(a_round(2)))
        assert station.published.get(timeout=PATIENCE_S) == (second, 0)
        assert station.published.empty()
    assert (platform.report()["rounds"], platform.report()["dropped_acks"]) == (2, 1)


def test_a_delayed_acknowledgement_comes_after_its_time(platform):
    platform.order({"ack": "delay", "seconds": 0.3})
    with client(platform) as station:
        began = time.monotonic()
        station.send(payload(a_round()))
        station.published.get(timeout=PATIENCE_S)
        assert time.monotonic() - began >= 0.3


@VERSIONS
@pytest.mark.parametrize("code", [0x84, 0x86, 0x87, 0x88, 0x97])
def test_a_connection_is_refused_with_the_ordered_reason(platform, version, code):
    platform.order({"connect": "refuse", "code": code})
    station = Client(platform, version)
    station.paho.connect(*platform.address)
    station.paho.loop_start()
    found, _ = station.connected.get(timeout=PATIENCE_S)
    station.close()
    assert found.is_failure
    if version == paho.MQTTv5:
        assert found.value == code
    assert platform.report()["refused_connections"] >= 1


def test_a_silent_platform_accepts_the_socket_and_says_nothing(platform):
    platform.order({"connect": "silent"})
    with socket.create_connection(platform.address, timeout=0.3) as wire:
        wire.sendall(bytes.fromhex("10 0c 0004 4d515454 04 02 000a 0000"))
        with pytest.raises(TimeoutError):
            wire.recv(10)


def test_a_link_is_reset_in_mid_burst_and_what_was_not_acknowledged_may_come_again(platform):
    platform.order({"link": "reset", "after": 3})
    station = Client(platform, paho.MQTTv5).open()
    for number in range(1, 6):
        station.send(payload(a_round(number)))
    assert station.ended.get(timeout=PATIENCE_S).is_failure
    eventually(lambda: platform.report()["rounds"] == 5)  # paho comes back and repeats
    station.close()
    assert platform.report()["resets"] == 1
    assert platform.report()["complaints"] == {}


def test_a_platform_that_is_down_refuses_and_is_back_at_the_same_port(platform):
    platform.order({"link": "down"})
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(platform.address, timeout=PATIENCE_S)
    platform.order({"link": "up"})
    with client(platform) as station:
        station.send(payload(a_round()))
        station.published.get(timeout=PATIENCE_S)


def test_a_stalled_platform_reads_nothing_until_it_is_told_to(platform):
    with client(platform) as station:
        platform.order({"read": "stall"})
        station.send(payload(a_round()))
        with pytest.raises(queue.Empty):
            station.published.get(timeout=0.3)
        assert platform.report()["messages"] == 0
        platform.order({"read": "on"})
        station.published.get(timeout=PATIENCE_S)


def test_limits_are_told_at_connect_and_kept(platform):
    platform.order({"limits": {"receive_maximum": 2, "maximum_packet_size": 600}, "ack": "drop"})
    with client(platform) as station:
        assert (station.properties.ReceiveMaximum, station.properties.MaximumPacketSize) == (2, 600)
        for number in range(1, 4):  # paho does not obey
            station.send(payload(a_round(number)))
        assert station.ended.get(timeout=PATIENCE_S).value == 0x93
    with client(platform) as station:
        station.send(payload(*(a_round(number) for number in range(10))))
        assert station.ended.get(timeout=PATIENCE_S).value == 0x95
    assert platform.report()["protocol_errors"] == 2


def test_a_password_is_checked_when_there_is_one():
    with running(users={"station": b"secret"}) as platform:
        right, wrong = Client(platform, paho.MQTTv5), Client(platform, paho.MQTTv5)
        right.paho.username_pw_set("station", "secret")
        right.open().close()
        wrong.paho.username_pw_set("station", "guess")
        wrong.paho.connect(*platform.address)
        wrong.paho.loop_start()
        assert wrong.connected.get(timeout=PATIENCE_S)[0].value == 0x86
        wrong.close()


@VERSIONS
def test_a_will_is_published_retained_when_the_station_vanishes_and_not_when_it_leaves(platform, version):
    leaves = Client(platform, version, will=b"left").open()
    leaves.close()
    vanishes = Client(platform, version, will=b"vanished").open()
    vanishes.paho.loop_stop()
    vanishes.paho.socket().shutdown(socket.SHUT_RDWR)
    eventually(lambda: platform.report()["states"] == {"pumphouse-12": "vanished"})
    with client(platform, version) as reader:
        reader.paho.subscribe("qushui/+/state", qos=1)
        message = reader.messages.get(timeout=PATIENCE_S)
        assert (message.payload, message.retain, message.qos) == (b"vanished", True, 1)


@VERSIONS
def test_subscribers_get_what_is_published_at_their_qos(platform, version):
    with client(platform, version) as reader, client(platform, version) as station:
        reader.paho.subscribe([("qushui/+/rounds", 1), ("other/#", 0)])
        assert reader.subscribed.get(timeout=PATIENCE_S) == [1, 0]
        for number in range(1, 301):  # more than may be in flight
            station.send(payload(a_round(number)))
        station.send(b"x", topic="other/thing")
        ids = [json.loads(reader.messages.get(timeout=PATIENCE_S).payload)[0]["id"] for _ in range(300)]
        assert ids == [f"9f3c2a71-{number}" for number in range(1, 301)]
        message = reader.messages.get(timeout=PATIENCE_S)
        assert (message.topic, message.qos, message.retain) == ("other/thing", 0, False)


def test_a_client_identifier_that_comes_again_takes_the_session_over(platform):
    first = Client(platform, paho.MQTTv5, name="station").open()
    first.paho.reconnect_delay_set(30, 30)
    with client(platform, name="station"):
        assert first.ended.get(timeout=PATIENCE_S).value == 0x8E
    first.close()


@pytest.mark.parametrize("version", ["311", "5"])
def test_mosquittos_own_clients_publish_and_subscribe(platform, version):
    host, port = platform.address
    for program in ("mosquitto_sub", "mosquitto_pub"):
        assert shutil.which(program), f"{program} is missing: apt-get install mosquitto-clients"
    to = ["-h", host, "-p", str(port), "-V", version, "-q", "1"]
    keep = payload(a_round())
    state = ["-t", "qushui/pumphouse-12/state", "-r", "-m", '{"station":"pumphouse-12","state":"online"}']
    subprocess.run(["mosquitto_pub", *to, *state], check=True, timeout=PATIENCE_S)
    reader = subprocess.Popen(
        ["mosquitto_sub", *to, "-t", "qushui/#", "-C", "2", "-W", "10", "-F", "%t %r %p"], stdout=subprocess.PIPE
    )
    assert reader.stdout is not None
    assert reader.stdout.readline().startswith(b"qushui/pumphouse-12/state 1 ")  # subscribed, and told what is retained
    subprocess.run(["mosquitto_pub", *to, "-t", TOPIC, "-s"], input=keep, check=True, timeout=PATIENCE_S)
    assert reader.stdout.readline().strip() == f"{TOPIC} 0 ".encode() + keep
    assert reader.wait(PATIENCE_S) == 0
    reader.stdout.close()
    assert platform.report()["rounds"] == 1
    assert platform.report()["protocol_errors"] == 0


def test_garbage_closes_its_own_connection_and_disturbs_nobody(platform):
    with client(platform) as station:
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\x7f", b"\x00" * 70_000):
            with socket.create_connection(platform.address, timeout=PATIENCE_S) as wire:
                wire.sendall(noise)
                try:
                    while wire.recv(1000):
                        pass
                except ConnectionResetError:
                    pass
        station.send(payload(a_round()))
        station.published.get(timeout=PATIENCE_S)
    assert platform.report()["protocol_errors"] == 3


def test_a_subscriber_that_does_not_read_is_cut_off(platform):
    with socket.create_connection(platform.address) as slow, client(platform) as station:
        slow.sendall(bytes.fromhex("10 0c 0004 4d515454 04 02 0000 0000 82 06 0001 0001 23 00"))
        slow.recv(4)
        eventually(lambda: platform.report()["clients"] == 2)
        for _ in range(40):
            station.paho.publish("bulk", b"x" * 1_000_000, qos=1)
            station.published.get(timeout=PATIENCE_S)
        eventually(lambda: platform.report()["clients"] == 1)


def test_what_was_acknowledged_outlives_a_kill(tmp_path):
    store = tmp_path / "received.sqlite"
    process = _spawn("--store", str(store))
    port = json.loads(process.stdout.readline())["port"]
    received: queue.Queue[int] = queue.Queue()
    station = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    station.on_publish = lambda _c, _u, mid, _r, _p: received.put(mid)
    station.connect("127.0.0.1", port)
    station.loop_start()
    for number in range(1, 21):
        station.publish(TOPIC, payload(a_round(number)), qos=1)
        received.get(timeout=PATIENCE_S)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    station.disconnect()
    station.loop_stop()
    with running(store=store) as again:
        assert again.report()["rounds"] == 20


def test_orders_come_on_stdin_and_the_report_is_one_line_of_json():
    process = _spawn()
    assert json.loads(process.stdout.readline())["event"] == "platform.opened"
    for order, event in (('{"ack": "drop"}', None), ('{"ack": "no"}', "order.refused"), ("{", "order.refused")):
        process.stdin.write(order + "\n")
        process.stdin.flush()
        if event:
            assert json.loads(process.stdout.readline())["event"] == event
    process.stdin.write('{"report": true}\n{"stop": true}\n')
    process.stdin.flush()
    report = json.loads(process.stdout.readline())
    assert (report["event"], report["rounds"], report["complaints"]) == ("report.made", 0, {})
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert json.loads(output)["event"] == "report.made"
    assert process.returncode == 0


def _spawn(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "simulators", "platform", "mqtt", "--json", *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"ack": "maybe"},
        {"ack": "delay", "seconds": -1},
        {"ack": "delay", "seconds": True},
        {"ack": "refuse", "code": 5},
        {"code": 151},
        {"link": "reset", "after": -1},
        {"limits": {"speed": 1}},
        {"limits": {"receive_maximum": 0}},
        {"coffee": "yes"},
        [],
    ],
)
def test_an_order_that_means_nothing_changes_nothing(order):
    with pytest.raises(OrderError):
        obeyed(order, Behaviour())


def test_an_order_with_times_ends_by_itself():
    behaviour = obeyed({"ack": "drop", "times": 2}, Behaviour()).behaviour
    assert behaviour.ack == "drop"
    assert behaviour.counted().ack == "drop"
    assert behaviour.counted().counted() == Behaviour()
