"""Simulated meters on a pseudo-terminal: the wire's own pace, and what a strict meter does not forgive."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import ModbusSerialClient

from simulators.meters.meter import SimulatedMeter
from simulators.meters.record import Answered
from tests.simulators.far_end import SerialClient, block, counted, meter, packaged, read_request, serial

ALL_OF_IT = 5  # address, function, size, CRC around the data


def answer_s(path: Path, count: int, baud: int, **characters: Any) -> float:
    """The time from the first to the last byte of an answer of `count` registers, the middle of three."""
    found = []
    far = meter(profile=block(count), gaps=True, baud=baud, **characters)
    with serial(path, far) as line, SerialClient(line.path, baud) as client:
        for _ in range(3):
            client.send(read_request(1, 0, count))
            chunks = client.chunks(2 * count + ALL_OF_IT)
            assert sum(len(data) for _, data in chunks) == 2 * count + ALL_OF_IT
            found.append(chunks[-1][0] - chunks[0][0])
            time.sleep(0.01)
    return statistics.median(found)


def test_an_answer_takes_its_characters_time(tmp_path: Path) -> None:
    long_s, short_s = answer_s(tmp_path / "a", 60, 9600), answer_s(tmp_path / "a", 15, 9600)
    assert 3 < long_s / short_s < 4.5  # 124 character times against 34
    slow_s = answer_s(tmp_path / "a", 15, 2400)
    assert 3.3 < slow_s / short_s < 4.7  # a quarter of the rate
    nominal_s = (2 * 60 + ALL_OF_IT - 1) * 10 / 9600
    assert 0.95 < long_s / nominal_s < 1.3


def test_parity_and_stop_bits_make_characters_longer(tmp_path: Path) -> None:
    plain_s = answer_s(tmp_path / "a", 8, 1200)
    longest_s = answer_s(tmp_path / "a", 8, 1200, parity="even", stop_bits=2)
    assert 1.1 < longest_s / plain_s < 1.35  # 12 bits against 10


def test_bytes_come_one_after_the_other(tmp_path: Path) -> None:
    far = meter(profile=block(20), gaps=True, baud=2400)
    with serial(tmp_path / "a", far) as line, SerialClient(line.path, 2400) as client:
        pieces = []
        for _ in range(3):
            client.send(read_request(1, 0, 20))
            pieces.append(len(client.chunks(45)))
            time.sleep(0.02)
        assert max(pieces) > 22  # a busy machine may wake the reader late


def test_the_answer_waits_for_the_requests_last_bit_and_the_turnaround(tmp_path: Path) -> None:
    """Request to first byte: 8 characters, the turnaround, one character."""
    character_s = 10 / 2400
    for latency_s in (0.0, 0.1):
        with serial(tmp_path / "a", meter(baud=2400), latency_s=latency_s) as line, SerialClient(line.path, 2400) as c:
            waited = []
            for _ in range(3):
                sent = c.send(read_request(1, 0, 2))
                waited.append(c.chunks(9)[0][0] - sent)
                time.sleep(0.05)
            nominal_s = 9 * character_s + latency_s
            assert 0.98 < statistics.median(waited) / nominal_s < 1.6


def test_a_request_before_the_silence_is_over_is_counted(tmp_path: Path) -> None:
    with serial(tmp_path / "a", meter(baud=1200)) as line, SerialClient(line.path, 1200) as client:
        for _ in range(4):
            assert len(client.ask(read_request(1, 0, 1), 7)) == 7
        stats = counted(line, 4)
        assert stats.early >= 2  # the first has nothing before it; a stalled test machine may miss one
        assert (stats.answered, stats.dropped) == (4, 0)


def test_a_strict_meter_drops_a_request_before_the_silence_is_over(tmp_path: Path) -> None:
    with serial(tmp_path / "a", meter(baud=1200), strict=True) as line, SerialClient(line.path, 1200) as client:
        for _ in range(10):
            assert len(client.ask(read_request(1, 0, 1), 7)) == 7
            client.send(read_request(1, 0, 1))
            came = client.chunks(7, within_s=0.4)
            if not came:
                break
        stats = line.stats()
        assert not came
        assert stats.dropped == stats.early == 1
        assert len(client.ask(read_request(1, 0, 1), 7)) == 7  # it forgives after a silence


@pytest.mark.parametrize("baud", [9600, 19200, 115200])
def test_a_client_that_keeps_the_silence_is_never_early(tmp_path: Path, baud: int) -> None:
    silence_s = 0.00175 if baud > 19200 else 3.5 * 10 / baud
    with serial(tmp_path / "a", meter(baud=baud), strict=True) as line, SerialClient(line.path, baud) as client:
        for _ in range(15):
            assert len(client.ask(read_request(1, 0, 2), 9)) == 9
            time.sleep(silence_s)
        assert counted(line, 15).early == 0


def test_a_request_that_collides_with_an_answer_is_lost(tmp_path: Path) -> None:
    far = meter(profile=block(20), gaps=True, baud=1200)
    with serial(tmp_path / "a", far) as line, SerialClient(line.path, 1200) as client:
        client.send(read_request(1, 0, 20))
        client.chunks(5)
        client.send(read_request(1, 0, 20))
        assert sum(len(data) for _, data in client.chunks(90)) == 40
        assert counted(line, 2).collided == 1


def test_a_meter_hears_only_its_own_rate(tmp_path: Path) -> None:
    meters = (meter("slow", "1", baud=2400), meter("fast", "2", baud=19200))
    with serial(tmp_path / "a", *meters) as line:
        for baud, address in ((2400, 1), (19200, 2)):
            with SerialClient(line.path, baud) as client:
                assert len(client.ask(read_request(address, 0, 1), 7)) == 7
                time.sleep(0.05)
        for baud, address in ((19200, 1), (4800, 1)):
            with SerialClient(line.path, baud) as client:
                assert client.ask(read_request(address, 0, 1), 7, within_s=0.1) == b""
        assert counted(line, 4).wrong_baud == 1


def test_a_foreign_address_and_a_bad_check_sum_get_no_answer(tmp_path: Path) -> None:
    with serial(tmp_path / "a") as line, SerialClient(line.path) as client:
        assert client.ask(read_request(9, 0, 1), 7, within_s=0.1) == b""
        spoilt = read_request(1, 0, 1)[:-1] + b"\x00"
        assert client.ask(spoilt, 7, within_s=0.1) == b""
        assert counted(line, 2).unanswered == 2


def test_an_unfinished_request_is_forgotten(tmp_path: Path) -> None:
    with serial(tmp_path / "a", meter(baud=19200)) as line, SerialClient(line.path, 19200) as client:
        client.send(read_request(1, 0, 1)[:5])
        time.sleep(0.1)
        assert len(client.ask(read_request(1, 0, 1), 7)) == 7
        assert line.stats().garbage_bytes == 5


def test_an_adapter_with_echo_returns_the_request_first(tmp_path: Path) -> None:
    with serial(tmp_path / "a", echo=True) as line, SerialClient(line.path) as client:
        request = read_request(1, 0, 1)
        assert client.ask(request, 15)[:8] == request


def test_a_usb_adapter_hands_over_in_lumps(tmp_path: Path) -> None:
    far = meter(profile=block(20), gaps=True)
    with serial(tmp_path / "a", far, usb_timer_s=0.016) as line, SerialClient(line.path) as client:
        client.send(read_request(1, 0, 20))
        assert len(client.chunks(45)) <= 5  # 47 ms of answer


def test_the_port_survives_clients_that_come_and_go(tmp_path: Path) -> None:
    with serial(tmp_path / "a") as line:
        for _ in range(3):
            with SerialClient(line.path) as client:
                assert len(client.ask(read_request(1, 0, 1), 7)) == 7
            time.sleep(0.01)


def test_the_link_replaces_an_old_one_and_is_gone_at_the_end(tmp_path: Path) -> None:
    link = tmp_path / "port"
    link.symlink_to("/nowhere")
    with serial(link) as line:
        assert link.resolve() == Path(os.path.realpath(line.path))
        assert link.is_char_device()
    assert not link.is_symlink()


def test_a_file_in_the_place_of_the_link_is_left_alone(tmp_path: Path) -> None:
    link = tmp_path / "port"
    link.write_text("mine")
    with pytest.raises(FileExistsError):
        serial(link).start()
    assert link.read_text() == "mine"


def test_a_stopped_line_can_be_started_again(tmp_path: Path) -> None:
    line = serial(tmp_path / "a")
    for _ in range(2):
        line.start()
        with SerialClient(line.path) as client:
            assert len(client.ask(read_request(1, 0, 1), 7)) == 7
        line.stop()


def test_an_observer_gets_what_was_on_the_wire_and_what_it_meant(tmp_path: Path) -> None:
    records: list[Answered] = []
    far = SimulatedMeter("m1", profile=packaged("tuf2000"), address="1", values={"volume_forward": "28785.5"})
    with serial(tmp_path / "a", far, observers=[records.append]) as line, SerialClient(line.path) as client:
        request = read_request(1, 8, 4)
        sent = client.send(request)
        chunks = client.chunks(13)
        reply = b"".join(data for _, data in chunks)
        counted(line, 1)
    (record,) = records
    assert (record.meter, record.request, record.reply, record.early) == ("m1", request, reply, False)
    assert sent <= record.heard_ns / 1e9 < record.at_ns / 1e9 <= chunks[0][0]
    assert str(record.values["volume_forward"]) == "28785.5"


def test_pymodbus_reads_every_meter_of_a_bus(tmp_path: Path) -> None:
    tuf = SimulatedMeter("tuf", profile=packaged("tuf2000"), address="1", values={"flow_rate": "12.5"})
    sdm = SimulatedMeter("sdm", profile=packaged("eastron-sdm630"), address="2", values={"energy_import": "1234.5"})
    client = ModbusSerialClient(str(tmp_path / "a"), baudrate=9600, timeout=1, retries=0)
    with serial(tmp_path / "a", tuf, sdm, strict=True):
        assert client.connect()
        words = client.read_holding_registers(0, count=2, device_id=1).registers
        assert client.convert_from_registers(words, client.DATATYPE.FLOAT32, word_order="little") == 12.5
        time.sleep(0.01)
        words = client.read_input_registers(0x48, count=2, device_id=2).registers
        assert client.convert_from_registers(words, client.DATATYPE.FLOAT32) == 1234.5
        time.sleep(0.01)
        refused = client.read_holding_registers(2, count=2, device_id=1)
        assert refused.isError()
        assert refused.exception_code == 2
        client.close()
