"""Simulated meters on TCP: Modbus TCP and RTU over TCP, read by pymodbus's own clients."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from pymodbus import FramerType
from pymodbus.client import ModbusTcpClient

from simulators.meters.meter import SimulatedMeter
from tests.simulators.far_end import ask_tcp, counted, meter, packaged, read_request, tcp


@pytest.mark.parametrize(("framing", "framer"), [("tcp", FramerType.SOCKET), ("rtu", FramerType.RTU)])
def test_pymodbus_reads_what_the_meter_shows(framing: str, framer: FramerType) -> None:
    lmag = SimulatedMeter(
        "flow", profile=packaged("l-mag"), address="3", values={"flow_rate": "-625.5", "volume_forward": "28785.5"}
    )
    with tcp(lmag, framing=framing) as line:
        client = ModbusTcpClient("127.0.0.1", port=line.port, framer=framer, timeout=2, retries=0)
        assert client.connect()
        words = client.read_input_registers(4112, count=2, device_id=3).registers
        assert client.convert_from_registers(words, client.DATATYPE.FLOAT32) == -625.5
        words = client.read_input_registers(4120, count=4, device_id=3).registers
        assert client.convert_from_registers(words[:2], client.DATATYPE.UINT32) == 28785
        assert client.convert_from_registers(words[2:], client.DATATYPE.FLOAT32) == 0.5
        lmag.set("volume_forward", "28786.25")
        words = client.read_input_registers(4120, count=4, device_id=3).registers
        assert client.convert_from_registers(words[:2], client.DATATYPE.UINT32) == 28786
        assert client.convert_from_registers(words[2:], client.DATATYPE.FLOAT32) == 0.25
        assert client.read_holding_registers(4112, count=2, device_id=3).exception_code == 2
        client.close()


def test_several_connections_are_served_and_each_gets_its_own_answers() -> None:
    with tcp(meter("a", "1", values={"volume_forward": "1"}), meter("b", "2", values={"volume_forward": "2"})) as line:
        clients = [ModbusTcpClient("127.0.0.1", port=line.port, timeout=2, retries=0) for _ in range(5)]
        for client in clients:
            assert client.connect()
        for _ in range(3):
            for number, client in enumerate(clients):
                unit = 1 + number % 2
                assert client.read_holding_registers(0, count=2, device_id=unit).registers == [0, 100 * unit]
        for client in clients:
            client.close()
        assert counted(line, 15).meters == {"a": 9, "b": 6}


def test_a_gateway_that_is_full_closes_further_connections() -> None:
    with tcp(max_connections=1) as line:
        first = socket.create_connection(("127.0.0.1", line.port), timeout=5)
        request = bytes.fromhex("000100000006010300000002")
        first.sendall(request)
        assert first.recv(64)[:2] == b"\x00\x01"
        with socket.create_connection(("127.0.0.1", line.port), timeout=5) as second:
            assert second.recv(64) == b""
        assert line.stats().refused_connections == 1
        first.close()
        for _ in range(100):
            if ask_tcp(line.port, request):
                break
        else:
            raise AssertionError("the place of a closed connection stays taken")


def test_requests_in_one_packet_and_a_request_in_pieces_are_answered() -> None:
    first, second = bytes.fromhex("000100000006010300000001"), bytes.fromhex("000200000006010300000001")
    with tcp() as line:
        assert [ask_tcp(line.port, first + second)[at : at + 2] for at in (0, 11)] == [b"\x00\x01", b"\x00\x02"]
        with socket.create_connection(("127.0.0.1", line.port), timeout=5) as connection:
            for at in range(len(first)):
                connection.sendall(first[at : at + 1])
                time.sleep(0.001)
            assert connection.recv(64)[:2] == b"\x00\x01"


def middle_s(ask: Callable[[], object]) -> float:
    found = []
    for _ in range(5):
        before = time.monotonic()
        ask()
        found.append(time.monotonic() - before)
    return sorted(found)[2]


def test_the_latency_is_that_of_the_line_or_of_the_meter() -> None:
    slow = meter("slow", "2", latency_s=0.2)
    with tcp(meter(), slow, latency_s=0.05) as line:
        client = ModbusTcpClient("127.0.0.1", port=line.port, timeout=2, retries=0)
        assert client.connect()
        line_s = middle_s(lambda: client.read_holding_registers(0, count=1, device_id=1))
        meter_s = middle_s(lambda: client.read_holding_registers(0, count=1, device_id=2))
        client.close()
    assert 2.5 < meter_s / line_s < 4.5  # 0.2 against 0.05


@pytest.mark.parametrize("garbage", [b"\xff" * 3000, b"GET / HTTP/1.1\r\n\r\n", bytes(20)])
def test_garbage_is_survived(garbage: bytes) -> None:
    with tcp() as line:
        ask_tcp(line.port, garbage)
        assert ask_tcp(line.port, bytes.fromhex("000100000006010300000001"))[7:] == b"\x03\x02\x00\x00"


def test_a_client_that_hangs_up_before_its_answer_disturbs_nobody() -> None:
    with tcp(framing="rtu", latency_s=0.05) as line:
        with socket.create_connection(("127.0.0.1", line.port), timeout=5) as connection:
            connection.sendall(read_request(1, 0, 1))
        assert len(ask_tcp(line.port, read_request(1, 0, 1))) == 7
        assert counted(line, 2).unanswered == 1


def test_no_port_is_kept_after_the_end() -> None:
    line = tcp()
    with line:
        port = line.port
        assert line.place == f"127.0.0.1:{port}"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
