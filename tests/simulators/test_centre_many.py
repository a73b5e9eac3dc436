"""Thousands of stations on one simulated centre, none of whose reports is lost. In `make test` a tenth of them."""

from __future__ import annotations

import os
import resource
import selectors
import socket
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from agent.uplinks.sl651_wire.codes import Function
from agent.uplinks.sl651_wire.elements import number
from agent.uplinks.sl651_wire.link import Link
from agent.uplinks.sl651_wire.parts import MINUTE, SECOND, ObservedAt, Station, digits_of
from agent.uplinks.szy206_wire.content import compose
from agent.uplinks.szy206_wire.frame import Frame
from agent.uplinks.szy206_wire.names import Afn, Kind
from simulators.platforms.centre.server import CentreServer

STATIONS = 2000 if os.environ.get("QUSHUI_BULK") else 200
REPORTS = 3
CHINA = timezone(timedelta(hours=8))


@pytest.fixture(autouse=True)
def _enough_descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * STATIONS + 500, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def sl651_frame(station: int, report: int) -> bytes:
    """Report `report` of station `station`; the volume says which."""
    address, now = f"330106{station:04X}", datetime.now(CHINA)
    parts = (
        Station(address, 0x49),
        ObservedAt(digits_of(now, MINUTE)),
        number(b"\xff\x2b", Decimal(station * 10 + report), digits=12, decimals=0),
        number(b"\x38", Decimal("12.65")),
    )
    link = Link(centre=1, station=address, password="1234")
    return link.report(Function.TIMED, serial=report, sent=digits_of(now, SECOND), parts=parts).encode()


def szy206_frame(station: int, report: int) -> bytes:
    now = datetime.now(CHINA)
    fields = {
        "meters": [{"instant": Decimal("1.5"), "cumulative_m3": station * 10 + report}],
        "alarm_bits": [],
        "work_mode": 1,
        "state_bits": [5],
        "tp": {"sec": now.second, "min": now.minute, "hour": now.hour, "day": now.day, "delay_min": 0},
    }
    body = compose(fields, is_up=True, afn=Afn.REPORT, func=Kind.FLOW)
    address = bytes.fromhex("330106") + station.to_bytes(2, "little")
    return Frame(is_up=True, func=Kind.FLOW, address=address, afn=Afn.REPORT, body=body).to_bytes()


FRAMES = {"sl651": sl651_frame, "szy206": szy206_frame}


def drive(port: int, protocol: str, timeout_s: float) -> int:
    """All stations at once, each sending its next report when the one before was answered; answers that came."""
    selector, sent, answers = selectors.DefaultSelector(), {}, 0
    end_s = time.monotonic() + timeout_s
    try:
        for station in range(1, STATIONS + 1):
            connection = socket.create_connection(("127.0.0.1", port), 10)
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ, station)
            sent[station] = 1
            connection.send(FRAMES[protocol](station, 1))
        while answers < STATIONS * REPORTS and time.monotonic() < end_s:
            for key, _ in selector.select(0.5):
                assert isinstance(key.fileobj, socket.socket)
                assert key.fileobj.recv(4096), "the centre closed"
                answers += 1
                if sent[key.data] < REPORTS:
                    sent[key.data] += 1
                    key.fileobj.send(FRAMES[protocol](key.data, sent[key.data]))
        return answers
    finally:
        for each in list(selector.get_map().values()):
            assert isinstance(each.fileobj, socket.socket)
            each.fileobj.close()
        selector.close()


@pytest.mark.parametrize("protocol", list(FRAMES))
def test_many_stations_report_at_once_and_nothing_is_lost(protocol: str):
    with CentreServer(protocol) as centre:
        answers = drive(centre.port, protocol, 120)
        received = centre.received()
        assert answers == STATIONS * REPORTS
        assert all(report.acks == 1 and report.copies == 1 for report in received)
        volumes = [
            int(report.values["FF2B"] if protocol == "sl651" else report.values["meters"][0]["cumulative_m3"])
            for report in received
        ]
        expected = [station * 10 + report for station in range(1, STATIONS + 1) for report in range(1, REPORTS + 1)]
        assert sorted(volumes) == expected
        assert len(centre.stations()) == STATIONS
        codes = {each.code for each in centre.violations()}  # a station reports three times within a second
        assert codes <= {"tag_reused"}
