"""DTUs that dial in: registration, heartbeats, re-dial, duplicates, and clients that mean no good."""

from __future__ import annotations

import contextlib
import socket
import time
from decimal import Decimal
from pathlib import Path

import pytest

from agent import config
from agent.faults import FaultCode
from drivers.registry import DRIVERS
from simulators.meters import station as far_station
from tests.agent.line.dtus import Station, answer, question, value_of
from tests.system.processes import until

DOWN = FaultCode.LINE_DOWN, "line/well-7"
WELL_7 = {"registration": "QS-0007", "heartbeat": "HB!"}


def is_closed(connection: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(64) == b""
    return True


def let_in(station: Station, sent: bytes) -> socket.socket:
    """A connection that sends `sent`, taken in or already refused."""

    def counted() -> int:
        return station.refused() + sum(int(each["waiting"]) for each in station.dial_ins.snapshot().values())

    before = counted()
    made = station.dial(sent)
    until(lambda: counted() > before, 5, "it has been let in")
    return made


def test_a_line_is_down_until_its_dtu_dials_in_and_says_since_when(tmp_path):
    with Station(tmp_path, {"well-7": WELL_7}) as station:
        station.listens().poll()
        station.reached(lambda: len(station.sink.rounds) == 1)
        assert set(station.sink.rounds[0].quality.values()) == {("LINE_DOWN",)}
        detail = str(station.faults.open[DOWN]["detail"])
        assert f"127.0.0.1:{station.port}: DTU QS-0007: has not dialled in since 20" in detail
        assert detail.endswith("+08:00")
        with station.dtu("well-7", registration=b"QS-0007"):
            station.reached(lambda: station.good("well-7") >= 3)
        assert DOWN not in station.faults.open or station.faults.times(FaultCode.LINE_DOWN) == 2


@pytest.mark.parametrize(
    "manners",
    [
        {"behaviour": frozenset({"heartbeat_inside"})},
        {"behaviour": frozenset({"heartbeat_glued"})},
        {"behaviour": frozenset({"registration_glued"}), "drop_s": 2.5},
        {"behaviour": frozenset({"registration_slow"})},
        {"every_s": 0.01},
    ],
    ids=lambda manners: "-".join([*manners.get("behaviour", ()), *("often" for _ in [1] if "every_s" in manners)]),
)
def test_what_a_dtu_sends_of_its_own_costs_no_value(tmp_path, manners):
    with (
        Station(tmp_path, {"well-7": WELL_7}) as station,
        station.listens().dtu("well-7", registration=b"QS-0007", heartbeat=b"HB!", **manners),
    ):
        station.poll()
        station.reached(lambda: station.good("well-7") >= 10)
        assert station.no_wrong_number()
        answered = [found for found in station.sink.rounds if "LINE_DOWN" not in str(found.quality)]
        assert sum(found.values == (111, 222) for found in answered) >= 0.9 * len(answered)


@pytest.mark.parametrize("heartbeat", ["hex: 00", "hex: 6F", "hex: 01 03", "hex: 02 00"])
def test_a_heartbeat_whose_bytes_every_answer_holds_costs_no_value(tmp_path, heartbeat):
    keys = {"registration": "QS-0007", "heartbeat": heartbeat}
    packet = bytes.fromhex(heartbeat.removeprefix("hex:"))
    with (
        Station(tmp_path, {"well-7": keys}) as station,
        station.listens().dtu("well-7", registration=b"QS-0007", heartbeat=packet, every_s=0.05),
    ):
        station.poll()
        station.reached(lambda: station.good("well-7") >= 20)
        assert station.no_wrong_number()


@pytest.mark.parametrize(
    ("profile", "address", "quantity"),
    [("dlt645-2007", "000000000012", "energy_import"), ("cjt188-cold-2004", "00000000001234", "volume_forward")],
)
def test_every_protocol_is_read_through_a_dtu_and_its_heartbeats(tmp_path, profile, address, quantity):
    behaviour = {"behaviour": frozenset({"heartbeat_inside"}), "registration": b"QS-0007", "heartbeat": b"HB!"}
    with (
        Station(tmp_path, {"well-7": WELL_7}, profile=profile, address=address, timeout="1s") as station,
        station.listens().dtu("well-7", {quantity: "1234.56"}, **behaviour),
    ):
        station.poll()
        at = [entry.quantity for entry in station.config.entries("well-7-m")].index(quantity)
        station.reached(lambda: sum(found.values[at] == Decimal("1234.56") for found in station.sink.rounds) >= 3)
        assert {found.values[at] for found in station.sink.rounds} <= {None, Decimal("1234.56")}


def test_modbus_tcp_of_a_dtu_is_read_through_its_heartbeats(tmp_path):
    with (
        Station(tmp_path, {"well-7": WELL_7}, more={"framing": "tcp"}) as station,
        station.listens().dial(b"QS-0007") as dtu,
    ):
        station.poll()
        for _ in range(20):
            asked = dtu.recv(12)
            value = 111 if asked[8:10] == b"\0\0" else 222
            dtu.sendall(b"HB!" + asked[:4] + bytes([0, 5, 1, 3, 2]) + value.to_bytes(2, "big") + b"HB!")
        station.reached(lambda: station.good("well-7") >= 9)
        assert station.no_wrong_number()
        assert len(station.sink.rounds) <= 11


def test_lines_that_share_an_address_get_their_own_dtus_and_a_silent_one_delays_nobody(tmp_path):
    lines = {f"well-{number}": {"registration": f"QS-{number}"} for number in (1, 17, 2, 3)}
    with Station(tmp_path, lines, timeout="1s") as station, contextlib.ExitStack() as stack:
        station.listens()
        mute = stack.enter_context(station.dial(b"QS-3"))
        for number in (1, 17, 2):
            dtu = station.dtu(f"well-{number}", registration=f"QS-{number}".encode())
            dtu.meters[f"well-{number}-m"].update({"pressure": number})
            stack.enter_context(dtu)
        station.poll()
        names = [f"well-{number}-m" for number in (1, 17, 2)]
        station.reached(lambda: all(len(station.sink.of(name)) >= 20 for name in names))
        for number in (1, 17, 2):
            values = {found.values for found in station.sink.of(f"well-{number}-m")} - {(None, None)}
            assert values == {(111, number)}
        assert question(mute)
        assert len(station.sink.of("well-3-m")) < 10


def test_the_newest_connection_wins_and_nothing_of_the_old_one_is_read(tmp_path):
    with Station(tmp_path, {"well-7": WELL_7}, timeout="3s") as station:
        old = station.listens().dial(b"QS-0007")
        station.poll()
        asked = question(old)
        new = station.dial(b"QS-0007")
        until(lambda: station.dialled("well-7") == 2, 10, "the new connection is bound")
        with contextlib.suppress(OSError):
            old.sendall(answer(999))
        assert is_closed(old)
        new.settimeout(1)
        with pytest.raises(TimeoutError):  # the answer to the old question may still come through the new connection
            new.recv(8)
        new.sendall(answer(998))
        time.sleep(0.1)
        station.clock.ahead_s += 6  # twice the timeout
        new.settimeout(10)
        asked = question(new)
        assert asked
        for _ in range(8):
            new.sendall(answer(value_of(asked)))
            asked = question(new)
        station.reached(lambda: station.good("well-7") >= 2)
        assert station.no_wrong_number()
        old.close()
        new.close()


def test_a_dtu_that_drops_and_dials_again_all_the_time_never_gives_a_wrong_number(tmp_path):
    with Station(tmp_path, {"well-7": WELL_7}, timeout="200ms") as station:
        manners = {"behaviour": frozenset({"duplicate", "heartbeat_inside"}), "drop_s": 1.7, "air_s": 0.03}
        with station.listens().dtu("well-7", registration=b"QS-0007", heartbeat=b"HB!", **manners):
            station.poll()
            until(lambda: station.dialled("well-7") >= 6, 30, "it has dialled in six times")
        assert station.good("well-7") >= 5
        assert station.no_wrong_number()


def test_an_answer_that_was_stuck_in_the_air_is_never_that_of_another_question(tmp_path):
    """The answer comes after the pause of decision 0001, to the next try; that one's own answer comes behind it."""
    with Station(tmp_path, {"well-7": WELL_7}) as station, station.listens().dial(b"QS-0007") as dtu:
        station.poll()
        stuck: list[bytes] = []
        for number in range(30):
            asked = question(dtu)
            stuck.append(answer(value_of(asked)))
            if number % 7 == 2:
                continue  # the network stalls: nothing comes, all is kept
            for packet in stuck:
                dtu.sendall(packet)
                time.sleep(0.02)
            stuck.clear()
        station.reached(lambda: station.good("well-7") >= 8)
        assert station.no_wrong_number()


def test_a_line_without_registration_takes_whoever_dials_its_address(tmp_path):
    with Station(tmp_path, {"well-7": {}}) as station:
        first = station.listens().dial()
        station.poll()
        assert question(first)
        second = station.dial()
        assert is_closed(first)
        station.clock.ahead_s += 1.1
        assert question(second)
        first.close()
        second.close()


def test_registration_and_heartbeat_are_answered_where_the_dtu_expects_it(tmp_path):
    keys = {**WELL_7, "registration_answer": "hex: 06", "heartbeat_answer": "ok"}
    with Station(tmp_path, {"well-7": keys}) as station, station.listens().dial(b"QS-0007") as dtu:
        assert dtu.recv(8) == b"\x06"
        dtu.sendall(b"HB!")
        assert dtu.recv(8) == b"ok"
        dtu.sendall(b"H")
        time.sleep(0.05)
        dtu.sendall(b"B!")
        assert dtu.recv(8) == b"ok"
        dtu.sendall(b"\x01\x03HB!")
        dtu.settimeout(0.2)
        with pytest.raises(TimeoutError):  # may be part of an answer
            dtu.recv(8)


def test_a_dead_meter_does_not_cost_its_dtu_the_connection(tmp_path):
    with Station(tmp_path, {"well-7": WELL_7}) as station, station.listens().dial(b"QS-0007") as dtu:
        station.poll()
        for _ in range(8):
            assert question(dtu)
            time.sleep(0.4)
            station.clock.ahead_s += 61
            station.pollers["well-7"].nudge()
        assert station.dialled("well-7") == 1


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"QS-00070", "unknown registration"),
        (b"XQS-0007", "unknown registration"),
        (b"\x00\xff\x10garbage", "unknown registration"),
        (b"", "unknown registration"),
        (b"x" * 600, "too long"),
    ],
)
def test_who_is_nobodys_dtu_is_closed_in_bounded_time_counted_and_logged_once(tmp_path, sent, reason):
    with Station(tmp_path, {"well-7": WELL_7}) as station:
        station.listens()
        for _ in range(3):
            with let_in(station, sent) as intruder:
                time.sleep(0.4)
                station.clock.ahead_s += 31
                station.dial_ins.nudge()
                assert is_closed(intruder)
        assert station.refused() == 3
        (logged,) = station.events("dtu.refused")
        assert logged["reason"] == reason
        assert len(str(logged["received_hex"])) < 100
        assert station.dialled("well-7") == 0


def test_one_byte_at_a_time_wins_no_time(tmp_path):
    with Station(tmp_path, {"well-7": WELL_7}) as station, station.listens().dial(b"Q") as intruder:
        with contextlib.suppress(OSError):
            for _ in range(6):
                time.sleep(0.05)
                station.clock.ahead_s += 6
                intruder.sendall(b"Q")
        assert is_closed(intruder)


def test_hundreds_of_silent_connections_keep_no_dtu_out(tmp_path):
    with Station(tmp_path, {"well-7": WELL_7}) as station, contextlib.ExitStack() as stack:
        station.listens()
        for _ in range(150):
            stack.enter_context(station.dial())
        with station.dtu("well-7", registration=b"QS-0007"):
            station.poll()
            station.reached(lambda: station.good("well-7") >= 3)
        assert all(each["waiting"] <= 32 for each in station.dial_ins.snapshot().values())
        assert station.refused() >= 118


def test_a_taken_port_is_a_fault_that_ends_when_the_port_is_free(tmp_path):
    holder = socket.create_server(("127.0.0.1", 0))
    with holder:
        station = Station(tmp_path, {"well-7": WELL_7})
        port = holder.getsockname()[1]
        station.document["lines"]["well-7"]["dial_in"]["listen"] = f"127.0.0.1:{port}"
        station.port = port
        station.config = station.loaded()
        with station:
            station.poll()
            until(lambda: "in use" in str(station.faults.open.get(DOWN)), 10, "the fault names the cause")
            holder.close()
            station.clock.ahead_s += 10
            station.dial_ins.nudge()
            with station.listens().dtu("well-7", registration=b"QS-0007"):
                station.clock.ahead_s += 10
                station.reached(lambda: station.good("well-7") >= 2)
            assert len(station.events("listener.failed")) == 1


def test_a_changed_line_costs_other_dtus_of_the_same_address_nothing(tmp_path):
    lines = {"well-7": WELL_7, "well-8": {"registration": "QS-0008"}, "well-9": {"registration": "QS-0009"}}
    with Station(tmp_path, lines) as station, contextlib.ExitStack() as stack:
        station.listens()
        far = {name: stack.enter_context(station.dial(keys["registration"].encode())) for name, keys in lines.items()}
        until(lambda: all(station.dialled(name) == 1 for name in lines), 10, "all have dialled in")
        station.document["lines"]["well-8"]["dial_in"]["registration"] = "QS-0088"
        station.document["lines"]["well-9"]["timeout"] = "1s"
        station.config = station.loaded()
        station.serve()
        assert is_closed(far["well-8"])
        station.poll("well-7", "well-9")
        assert question(far["well-7"])
        assert question(far["well-9"])
        assert [station.dialled(name) for name in lines] == [1, 0, 1]


def test_a_registration_names_one_line_or_none(tmp_path):
    with (
        Station(tmp_path, {"well-7": {"registration": "*IMEI1*"}, "well-8": {"registration": "*IMEI2*"}}) as station,
        station.listens().dial(b"{csq:23,id:IMEI1,also:IMEI2}"),
        station.dial(b"{csq:23,id:IMEI2}\r\n"),
    ):
        until(lambda: station.dialled("well-8") == 1, 10, "the second is bound")
        assert station.dialled("well-7") == 0


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_files_of_the_page_are_right(tmp_path, lang):
    page = (Path(__file__).parents[3] / "docs" / "technicians" / f"dial-in.{lang}.md").read_text(encoding="utf-8")
    agent, far = (each.partition("```")[0] for each in page.split("```yaml\n")[1:])
    found = config.load(tmp_path / "agent.yaml", text=agent, drivers=DRIVERS, uplink_settings={})
    assert [str(line.dial_in and line.dial_in.registration) for line in found.lines.values()] == [
        "QS-0007",
        "hex: 7B 01 00 08 ??",
    ]
    assert {line.timeout_s for line in found.lines.values()} == {5.0}
    file = tmp_path / "meters.yaml"
    file.write_text(far, encoding="utf-8")
    assert [line.kind for line in far_station.load(file).values()] == ["dial_in"]
