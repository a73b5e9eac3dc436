"""Every order of a simulated centre: the frames of the sheets, and what real stations answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from agent.report.content import STATION, Content, Kind, Sample
from agent.uplinks.dialogue import Forbidden
from agent.uplinks.sl651.commands import NEVER
from agent.uplinks.szy206_wire.names import Dialect, Edition
from simulators.platforms.centre.archive import Exchange
from simulators.platforms.centre.behaviour import Protocol
from simulators.platforms.centre.contract import Answered, Memory, Moment, Posed
from simulators.platforms.centre.protocols import KINDS
from simulators.platforms.centre.refusals import OrderError
from simulators.platforms.centre.server import CentreServer
from simulators.platforms.centre.sl651 import Sl651Centre, Sl651Options
from simulators.platforms.centre.sl651_orders import _MAKERS
from simulators.platforms.centre.szy206 import Szy206Centre, Szy206Options
from simulators.platforms.centre.szy206_orders import EXAMPLES, KNOWN
from tests.agent.uplinks.szy206_frames import check
from tests.simulators.far_station import DIALOGUES, SL651_STATION, SZY206_STATION, FarStation, now_ms

VECTORS = Path(__file__).parents[1] / "vectors"
CHINA = timezone(timedelta(hours=8))
SHEET_TIMED = (
    "7E7E01330106000112343200440200072501020800 05F1F1330106000149F0F02501020800282B0000000125682A0000044950"
    "581A0250303C2BFF00000345FF2B300000001234564520000000003812 1265033D5E"
).replace(" ", "")
SHEET_37_UP = (
    "7E7E01330106000112343700220200082501020810 01F1F1330106000149F0F02501020810282B000000012738121264 03EF46"
).replace(" ", "")

SLOT_MS = now_ms() // 60_000 * 60_000
CONTENT = Content(
    kind=Kind.TIMED,
    slot_ms=SLOT_MS,
    samples=(
        Sample(1, "flow_rate", "450", SLOT_MS, "measured", "9f3c2a71-1"),
        Sample(1, "volume_withdrawn", "123456", SLOT_MS, "measured", "9f3c2a71-1"),
        Sample(STATION, "supply_voltage", "12.65", SLOT_MS, "measured", "9f3c2a71-1"),
        *(Sample(1, f"voltage_{phase}", "230.4", SLOT_MS, "measured", "9f3c2a71-1") for phase in "abc"),
        *(Sample(1, f"current_{phase}", "31.2", SLOT_MS, "measured", "9f3c2a71-1") for phase in "abc"),
    ),
)
ANSWERS: dict[str, dict[str, Any]] = {
    "current_values": {"content": CONTENT},
    "history": {"values": ["1", None, "3"]},
    "last_manual": {"text": "2611220800 1000"},
    "parameters_read": {"values": {}},
    "parameters_set": {"values": {"run:20": "1", "basic:0C": "02"}},
    "clock_read": {},
    "clock_set": {},
    "password_set": {"new": "1234"},
    "version": {"text": "qushui 0.1"},
    "event_counts": {"counts": list(range(32))},
    "status": {"alarms": ["mains_lost"]},
    "restart": {},
}

SZY206_STORED = {
    "A0": {"kinds_bits": [1, 2]},
    "A1": {"kinds_bits": [2], "intervals_min": {"2": 5}},
    "17": {"level_limits": [{"base_m": "0", "low_m": "1.5", "high_m": "9.5"}]},
    "18": {"pressure_limits": [{"low_kpa": "100", "high_kpa": "600"}]},
    "1F": {"flow_limits": [{"value": "500", "unit": "m3/h"}]},
}


def moment(digits: str, s: float = 0.0) -> Moment:
    return Moment(s, datetime.strptime(digits, "%y%m%d%H%M%S").replace(tzinfo=CHINA))


def vector(name: str) -> bytes:
    found = json.loads((VECTORS / "szy206.json").read_text(encoding="utf-8"))
    return bytes.fromhex(next(each["hex"] for each in found if each["name"] == name))


# --- the frames of the sheets


def sl651_centre(**options: Any) -> Sl651Centre:
    centre = Sl651Centre(Sl651Options(**options), Memory())
    centre.receive(bytes.fromhex(SHEET_TIMED), moment("250102080006"))
    return centre


@pytest.mark.parametrize(
    ("end", "answer"),
    [
        ("ESC", "7E7E33010600010112343280080200072501020800061BA6BA"),
        ("EOT", "7E7E3301060001011234328008020007250102080006046EFB"),
    ],
)
def test_a_report_is_confirmed_as_the_sheet_shows(end: str, answer: str):
    centre = Sl651Centre(Sl651Options(end=end), Memory())
    turn = centre.receive(bytes.fromhex(SHEET_TIMED), moment("250102080006"))
    assert [parcel.data.hex().upper() for parcel in turn.parcels] == [answer]


@pytest.mark.parametrize(
    ("order", "at", "frame"),
    [
        ("37", "250102081000", "7E7E3301060001011234378008020000250102081000052875"),
        ("query", "250102081000", "7E7E3301060001011234378008020000250102081000052875"),
        ("set-clock", "250102082000", "7E7E33010600010112344A8008020000250102082000055AD9"),
        ("4A at=250102082000", "250102080000", "7E7E33010600010112344A8008020000250102082000055AD9"),
    ],
)
def test_an_order_is_the_frame_of_the_sheet(order: str, at: str, frame: str):
    downlink = KINDS[Protocol.SL651].downlink(order.split())
    (parcel,) = sl651_centre().ask(downlink, moment(at)).parcels
    assert parcel.data.hex().upper() == frame


def test_an_answer_is_confirmed_as_the_sheet_shows():
    centre = sl651_centre(end="EOT")
    centre.ask(KINDS[Protocol.SL651].downlink(["37"]), moment("250102081000"))
    turn = centre.receive(bytes.fromhex(SHEET_37_UP), moment("250102081002"))
    (answer,) = [event for event in turn.events if isinstance(event, Answered)]
    assert answer.fields["groups"][0]["elements"][0]["value"] == "0.127"
    assert [parcel.data.hex().upper() for parcel in turn.parcels] == [
        "7E7E3301060001011234378008020008250102081002042EB4"
    ]


@pytest.mark.parametrize(
    ("report", "at", "confirm"),
    [("c0-flow-one-meter", "161109084600", "c0-ack-no-aux"), ("c0-flow-m3h-2021", None, "c0-ack-tp-2021")],
)
def test_a_report_of_szy206_is_confirmed_as_the_sheet_shows(report: str, at: str | None, confirm: str):
    mode = vector(confirm)[10]
    if at is None:
        second, minute, hour, day, month, year = vector(confirm)[11:17].hex(" ").split()
        at = f"{year}{month}{day}{hour}{minute}{second}"
    centre = Szy206Centre(Szy206Options(mode=mode), Memory())
    turn = centre.receive(_undelayed(vector(report)), moment(at))
    assert [parcel.data for parcel in turn.parcels] == [vector(confirm)]


def _undelayed(frame: bytes) -> bytes:
    """The same frame with the delay of its time tag switched off: it was published years ago."""
    data = frame[3:-3] + b"\0"
    return frame[:3] + data + bytes([check(data), 0x16])


@pytest.mark.parametrize(
    ("order", "name"),
    [
        ("B0", "b0-query-flow"),
        ("51", "clock-query"),
        ("12 work_mode=1", "set-work-mode"),
        ("A1 kinds_bits={} intervals_min={}", "set-report-kinds"),
        ("B1 kind={} sensor_no={} start={} end={} func=2", "b1-query"),
    ],
)
def test_an_order_of_szy206_is_the_frame_of_the_sheet(order: str, name: str):
    found = json.loads((VECTORS / "szy206.json").read_text(encoding="utf-8"))
    fields = next(each["fields"] for each in found if each["name"] == name)
    keys = [word.partition("=")[0] for word in order.split()[1:] if "{}" in word]
    text = order.format(*(json.dumps(fields[key]) for key in keys))
    tag = fields.get("tp")
    at = moment("160101000000")
    if tag is not None:
        at = Moment(0, at.at.replace(day=tag["day"], hour=tag["hour"], minute=tag["min"], second=tag["sec"]))
    options = Szy206Options(password=fields.get("pw_hex", "0000"), dialect=Dialect(edition=Edition.AUTO))
    centre = Szy206Centre(options, Memory())
    address = bytes.fromhex(fields["address"])
    login = bytes([0xB0]) + address + bytes.fromhex("02F0")
    centre.receive(bytes([0x68, len(login), 0x68]) + login + bytes([check(login), 0x16]), at)
    (parcel,) = centre.ask(KINDS[Protocol.SZY206].downlink(text.split()), at).parcels
    assert parcel.data.hex().upper() == vector(name).hex().upper()


# --- what real stations answer


@contextmanager
def station_at(centre: CentreServer, protocol: str, **changes: Any) -> Iterator[FarStation]:
    done = threading.Event()
    make = DIALOGUES[protocol](**changes)
    stored = {"values": {afn: json.dumps(fields) for afn, fields in SZY206_STORED.items()}}
    answers = ANSWERS if protocol == "sl651" else {**ANSWERS, "parameters_read": stored}
    station = FarStation(centre.port, make, {}, answers=answers)
    thread = threading.Thread(target=station.run, args=(60,), kwargs={"until": done.is_set})
    thread.start()
    try:
        assert centre.wait(centre.online, 10)
        yield station
    finally:
        done.set()
        thread.join()


def settled(centre: CentreServer, order: str) -> Exchange:
    centre.send(order)
    assert centre.wait(lambda: all(each.state != "waiting" for each in centre.answers()), 10)
    return centre.answers()[-1]


SL651_ORDERS: dict[str, Any] = {
    "37": "groups",
    "38 from=26112200 to=26112202 step=1h id=FF2B/30": "groups",
    "38 from=26112200 to=26112202 step=1h id=Q1": "groups",
    "39": "manual_text",
    "3A id=Q1,FF2B": "groups",
    "40 0C=02": "params",
    "41 id=01,0C": "params",
    "42 20=1": "params",
    "43 id=20,21": "params",
    "44": "groups",
    "45": "version",
    "46": "status",
    "49 old=1234 new=1234": "params",
    "4A": "send_time",
    "50": "event_counts",
    "51": "send_time",
}
SL651_SILENT = ("36", "47", "48", "4B", "4C", "4D", "4E data=01010050", "4F data=00")


def test_a_real_sl651_station_answers_every_order_that_it_carries_out():
    with CentreServer("sl651", options=Sl651Options(timeout_s=5)) as centre, station_at(centre, "sl651"):
        for order, key in SL651_ORDERS.items():
            found = settled(centre, order)
            assert found.state == "answered", order
            assert key in found.answers[0], order
        assert [each for each in centre.violations() if each.is_failed] == []


def test_what_is_never_carried_out_is_asked_three_times_and_not_answered():
    with (
        CentreServer("sl651", options=Sl651Options(timeout_s=0.03)) as centre,
        station_at(centre, "sl651") as station,
    ):
        for order in SL651_SILENT:
            assert settled(centre, order).state == "unanswered", order
        forbidden = [each.function for each in station.happenings if isinstance(each, Forbidden) and each.is_never]
        assert forbidden == [f"{function:02X}" for function in sorted(NEVER) for _ in range(3)]


def test_every_function_that_the_sheet_has_for_a_centre_is_asked_in_these_tests():
    asked = {order.split()[0] for order in (*SL651_ORDERS, *SL651_SILENT)}
    assert asked == {f"{function:02X}" for function in _MAKERS}
    assert asked >= {f"{function:02X}" for function in (*range(0x37, 0x3B), *range(0x40, 0x52))}


def test_an_answer_in_packets_is_put_together_and_a_refused_packet_comes_again():
    with (
        CentreServer("sl651", ack="nak", options=Sl651Options(timeout_s=5)) as centre,
        station_at(centre, "sl651", packet_bytes=40),
    ):
        found = settled(centre, "37")
        assert found.state == "answered"
        (answer,) = found.answers
        values = {each.get("code", each["id"]): each.get("value") for each in answer["groups"][0]["elements"]}
        assert (values["FF2B"], values["VT"]) == ("123456", "12.65")
        assert centre.wait(lambda: not [each for each in centre.violations() if each.is_failed], 1)


SZY206_ORDERS: dict[str, Any] = {
    "02": "link",
    "10": "reported_admin",
    "11": "clock",
    "12": "work_mode",
    "17": "level_limits",
    "18": "pressure_limits",
    "1F": "flow_limits",
    "20": "threshold",
    "96": "new_pw_hex",
    "A0": "kinds_bits",
    "A1": "intervals_min",
    "50": "reported_admin",
    "51": "clock",
    "53": "intervals_min",
    "54": "kinds_bits",
    "57": "level_limits",
    "58": "pressure_limits",
    "64": "flow_limits",
    "52": "work_mode",
    "5D": "event_counts",
    "5E": "alarm_bits",
    "5F": "voltages",
    "90": "result",
    "B0": "meters",
    "B1": "records",
}
SZY206_SILENT = {"15", "16", "1B", "30", "31", "32", "33", "34", "55", "56", "91", "92", "93", "B2"}


def order_of(afn: str) -> str:
    return f"{afn} {EXAMPLES.get(int(afn, 16), '')}".strip()


def test_a_real_szy206_station_answers_every_order_that_it_carries_out():
    with CentreServer("szy206", options=Szy206Options(timeout_s=5)) as centre, station_at(centre, "szy206"):
        for afn, key in SZY206_ORDERS.items():
            found = settled(centre, order_of(afn))
            assert found.state == "answered", afn
            assert key in found.answers[0], (afn, found.answers)
        assert [each for each in centre.violations() if each.is_failed] == []


def test_what_a_szy206_station_does_not_carry_out_is_not_answered():
    options = Szy206Options(timeout_s=0.03)
    with CentreServer("szy206", options=options) as centre, station_at(centre, "szy206") as station:
        for afn in sorted(SZY206_SILENT):
            assert settled(centre, order_of(afn)).state == "unanswered", afn
        assert settled(centre, "90 reset=2").state == "unanswered"
        never = {each.function for each in station.happenings if isinstance(each, Forbidden) and each.is_never}
        assert never == {"1B", "30", "31", "32", "33", "34", "90", "91", "92", "93"}


def test_every_afn_with_a_known_body_is_asked_in_these_tests():
    assert {*SZY206_ORDERS, *SZY206_SILENT} == {f"{afn:02X}" for afn in KNOWN}


@pytest.mark.parametrize(
    ("protocol", "order"),
    [
        ("sl651", ""),
        ("sl651", "99"),
        ("sl651", "37 now"),
        ("sl651", "38 from=26112200 to=26112299 step=1h id=28"),
        ("sl651", "38 from=26112200 to=26112201 step=90m id=28"),
        ("sl651", "3A id=ZZ"),
        ("sl651", "40"),
        ("sl651", "40 01=01"),
        ("sl651", "42 20=one"),
        ("sl651", "49 old=12 new=34"),
        ("sl651", "4A at=26113300"),
        ("szy206", "FE"),
        ("szy206", "12"),
        ("szy206", "12 work_mode=x"),
        ("szy206", "20 kind=1"),
        ("szy206", "B1 kind=2 sensor_no=1 start=yesterday end=today"),
        ("szy206", "C9 data=xyz"),
    ],
)
def test_an_order_that_means_nothing_is_refused(protocol: str, order: str):
    with pytest.raises(OrderError):
        KINDS[Protocol(protocol)].downlink(order.split() or [""])


def test_orders_wait_for_each_other_and_to_stations_that_are_not_there_are_refused():
    centre = sl651_centre()
    downlink = KINDS[Protocol.SL651].downlink
    first = centre.ask(downlink(["37"]), moment("250102081000"))
    second = centre.ask(downlink(["51"]), moment("250102081000"))
    assert (len(first.parcels), second.parcels) == (1, [])
    turn = centre.receive(bytes.fromhex(SHEET_37_UP), moment("250102081002"))
    assert [event.name for event in turn.events if isinstance(event, Posed)] == ["51"]
    with CentreServer("sl651") as server, pytest.raises(OrderError, match="not-connected"):
        server.send("37", SL651_STATION)
    with CentreServer("szy206") as server, pytest.raises(OrderError, match="not-connected"):
        server.send_raw(b"\x68", SZY206_STATION)
