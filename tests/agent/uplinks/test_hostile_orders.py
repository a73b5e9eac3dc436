"""Orders that are whole frames, with a good check sum, and hold anything: none of them ends the uplink's thread."""

from __future__ import annotations

import itertools
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.report.compose import Wanted
from agent.report.content import Content, Kind, Sample
from agent.report.options import CentreOptions
from agent.uplinks.dialogue import Asked, Dialogue, Moment
from agent.uplinks.registry import CENTRES
from agent.uplinks.reporting.commands import Commands
from agent.uplinks.sl651.options import WireOptions as Sl651
from agent.uplinks.sl651_wire.codes import Encoding
from agent.uplinks.szy206.options import WireOptions as Szy206
from agent.uplinks.szy206_wire.names import Edition
from tests.agent.uplinks.sl651_frames import sealed, witness
from tests.agent.uplinks.szy206_frames import framed
from tests.fakes import FakeClock, KeptFaults, QuietLog
from tests.system.station import BULK

NOW_MS = 1_795_219_200_000
NOW = Moment(1.0, NOW_MS)
CONTENT = Content(
    kind=Kind.TIMED,
    slot_ms=NOW_MS,
    samples=tuple(
        Sample(1, each, "5", NOW_MS, "measured", "a-1") for each in ("flow_rate", "volume_withdrawn", "level")
    ),
)
WIRES: dict[str, tuple[str, Any]] = {
    "binary": ("sl651", Sl651(station="3301060001", password="1234", packet_bytes=64)),
    "ascii": ("sl651", Sl651(station="3301060001", password="1234", encoding=Encoding.ASCII)),
    "206": ("szy206", Szy206(station="5303810D00", wants_login_answer=False)),
    "2021": (
        "szy206",
        Szy206(station="5303810D00", wants_login_answer=False, edition=Edition.SLT427, flow_unit="m3/s"),
    ),
}


class Empty:
    """A station that has stored nothing, and keeps no setting on disk."""

    rounds = property(lambda self: self)

    def at(self, *_: object) -> None:
        return None

    def ledger(self, *_: object) -> list[Any]:
        return []

    def declare(self, *_: object) -> int:
        return 1

    def flush(self) -> bool:
        return True

    def set_clock(self, *_: object) -> None:
        return None

    def ask_restart(self) -> bool:
        return True


def station(kind: str) -> tuple[Dialogue, Commands]:
    """A dialogue and what carries its orders out, everything allowed."""
    name, wire = WIRES[kind]
    options = CentreOptions(
        type=name, host="", port=1, backup=None, station=wire.station, intakes={1: "well-3"}, every_ms=3_600_000,
        kinds=(), jitter_ms=0, backlog_per_min=1, sends_derived=True, allows_sets=True, trusts_clock=True,
        reconnect_max_ms=1, late_ms=1, wire=wire,
    )  # fmt: skip
    centre, empty, log = CENTRES[name], Empty(), QuietLog()
    wanted = [Wanted(channel=1, quantity=each.quantity, meter="well-3", period_ms=60_000) for each in CONTENT.samples]
    commands = Commands(
        "far", options=options, wanted=wanted, history=empty, store=empty, orders=empty, log=log, faults=KeptFaults(),
        latest=lambda: CONTENT, is_acceptable=centre.is_acceptable(), in_force=centre.in_force(),
        on_set=lambda _: None, version="q", clock=FakeClock(offset_ms=NOW_MS), zone=ZoneInfo("Asia/Shanghai"),
        defaults=centre.defaults()(options),
    )  # fmt: skip
    serials = itertools.cycle(range(1, 65_536))
    dialogue = centre.dialogue()(options, commands.parameters(), next_serial=lambda: next(serials), last_serial=1)
    return dialogue, commands


BCD = st.lists(st.integers(0, 99), max_size=12).map(
    lambda pairs: bytes.fromhex("".join(f"{each:02d}" for each in pairs))
)
FILL = st.builds(lambda byte, count: bytes([byte]) * count, st.sampled_from([0x00, 0xAA, 0xFF]), st.integers(0, 40))
DATA = st.one_of(BCD, FILL, st.binary(max_size=12))
WORD = st.sampled_from(
    ["20", "42", "8D", "49", "03", "0C", "Q1", "TT", "NaN", "Infinity", "1E999", "-1", "0.5", "M", "DRN05", "DRH00",
     "２", "26112000", "26112002", "FFFFFFFF", "99", "x" * 40, "1234", "5678", "FF2B", "0D"]
)  # fmt: skip


@st.composite
def binary(draw: st.DrawFn) -> bytes:
    function = draw(st.one_of(st.integers(0x2F, 0x51), st.integers(0, 255)))
    element = st.builds(
        lambda guide, size, data: bytes([guide, size]) + data, st.integers(0, 255), st.integers(0, 255), DATA
    )
    body = (
        b"\0\0"
        + draw(st.sampled_from([b"\x26\x11\x20\x08\0\0", b"\x99" * 6]))
        + b"".join(draw(st.lists(element, max_size=4)))
    )
    body = draw(st.sampled_from([body, body[:3], b""]))
    start, end = draw(st.sampled_from([2, 2, 2, 0x16])), draw(st.sampled_from([5, 5, 5, 6, 4, 0x1B, 0x15]))
    head = bytes.fromhex("7e7e3301060001011234") + bytes([function]) + (0x8000 | len(body)).to_bytes(2, "big")
    return sealed(head + bytes([start]) + body + bytes([end]))


@st.composite
def ascii_order(draw: st.DrawFn) -> bytes:
    words = "".join(f"{each} " for each in draw(st.lists(WORD, max_size=6)))
    body = ("0000261120080000" + words).encode("gbk")
    function = draw(st.integers(0x37, 0x51))
    data = f"\x013301060001011234{function:02X}{0x8000 | len(body):04X}\x02".encode() + body + b"\x05"
    return data + b"%04X" % witness(data)


@st.composite
def szy206(draw: st.DrawFn) -> bytes:
    control, afn = draw(st.integers(0, 127)), draw(st.one_of(st.integers(0x10, 0x64), st.integers(0, 255)))
    tail = draw(st.sampled_from(["", "0000 0046080900", "0000 00460809112600", "0000 0046083105"]))
    body = (draw(DATA) + draw(DATA)).hex() + tail
    return framed(control & ~0x40 if draw(st.booleans()) else control, afn, body)


FRAMES = {"binary": binary(), "ascii": ascii_order(), "206": szy206(), "2021": szy206()}


@pytest.mark.parametrize("kind", WIRES)
@settings(max_examples=5000 if BULK else 200, deadline=None)
@given(data=st.data())
def test_whatever_a_sound_frame_orders_the_station_goes_on(kind: str, data: st.DataObject) -> None:
    dialogue, commands = station(kind)
    for frame in data.draw(st.lists(FRAMES[kind], min_size=1, max_size=12)):
        for each in dialogue.receive(frame, NOW).happenings:
            if isinstance(each, Asked):
                answer = dialogue.answer(each.token, commands.carry_out(each), NOW)
                assert sum(map(len, answer.data)) <= 65_536
    commands.parameters()
