"""A station that speaks SL 651 and the frames of its centre."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from agent.report.content import STATION, Content, Kind, Sample
from agent.uplinks.dialogue import (
    Delivery,
    Moment,
    Step,
)
from agent.uplinks.sl651.dialogue import Sl651Dialogue
from agent.uplinks.sl651.options import ElementForm, WireOptions
from agent.uplinks.sl651_wire.link import Link
from agent.uplinks.sl651_wire.parts import Part

# Fact sheet section 20, a report with three decimals of flow; its acknowledgements and queries.
TIMED = (
    "7E7E01330106000112343200440200072501020800 05F1F1330106000149F0F02501020800282B0000000125682A0000044950581A025030"
    "3C2BFF00000345FF2B300000001234564520000000003812 1265033D5E"
).replace(" ", "")
ACK_ESC = "7E7E33010600010112343280080200072501020800061BA6BA"
ACK_EOT = "7E7E3301060001011234328008020007250102080006046EFB"
KEEPALIVE = "7E7E01330106000112342F0008020007250102080045 03558A".replace(" ", "")
QUERY_37 = "7E7E330106000101123437800802000025010208100005 2875".replace(" ", "")
SET_CLOCK = "7E7E33010600010112344A800802000025010208200005 5AD9".replace(" ", "")
CLOCK_ANSWER = "7E7E01330106000112344A000F020009250102082001F1F1330106000103 6048".replace(" ", "")

OPTIONS = WireOptions(
    station="3301060001",
    centre=1,
    password="1234",
    flow_decimals=3,
    totals={1: ElementForm(identifier=b"\xff\x2b", digits=12, decimals=0)},
)


def at(text: str) -> int:
    local = datetime.strptime(text, "%y%m%d%H%M%S").replace(tzinfo=timezone(timedelta(hours=8)))
    return round(local.timestamp() * 1000)


SLOT = at("250102080000")


def sample(channel: int, quantity: str, text: str | None, at_ms: int = SLOT) -> Sample:
    return Sample(channel, quantity, text, at_ms, "measured", "9f3c2a71-1")


CONTENT = Content(
    kind=Kind.TIMED,
    slot_ms=SLOT,
    samples=(
        sample(1, "flow_rate", "450"),
        sample(1, "volume_hour", "449.50"),
        sample(1, "pressure", "250.30"),
        sample(1, "level", "-0.345"),
        sample(1, "volume_withdrawn", "123456"),
        sample(STATION, "supply_voltage", "12.65"),
    ),
    alarms=("door_open",),
)


def dialogue(**changes: object) -> Sl651Dialogue:
    serials = itertools.count(9)
    return Sl651Dialogue(replace(OPTIONS, **changes), next_serial=lambda: next(serials), allows_sets=True)


def moment(s: float, text: str = "250102080005") -> Moment:
    return Moment(s, at(text))


def delivery(tag: int = 1, serial: int = 7, content: Content = CONTENT) -> Delivery:
    return Delivery(tag=tag, serial=serial, content=content)


def hexes(step: Step) -> list[str]:
    return [data.hex().upper() for data in step.data]


def centre(function: int, *, sent: str = "250102081000", parts: tuple[Part, ...] = (), **changes: object) -> bytes:
    link = Link(centre=1, station="3301060001", password="1234")
    return replace(link.command(function, sent=sent, parts=parts), **changes).encode()
