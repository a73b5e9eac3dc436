"""A station that speaks SZY206 and the frames of its centre."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from agent.report.content import Content, Kind, Sample
from agent.uplinks.dialogue import (
    Delivery,
    Moment,
)
from agent.uplinks.szy206.dialogue import Szy206Dialogue
from agent.uplinks.szy206.options import WireOptions
from agent.uplinks.szy206_wire.content import compose
from agent.uplinks.szy206_wire.exchange import confirm_of
from agent.uplinks.szy206_wire.frame import Frame, parse
from tests.agent.uplinks.szy206_frames import VECTORS

BYTES = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS}
OPTIONS = WireOptions(station="5303810D00", wants_login_answer=False)


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=timezone(timedelta(hours=8))).timestamp() * 1000)


SLOT = at("2026-11-09T08:45:00")
NOW = at("2026-11-09T08:46:00")


def sample(channel: int, quantity: str, text: str | None) -> Sample:
    return Sample(channel, quantity, text, SLOT, "measured", "9f3c2a71-1")


FLOW = Content(
    kind=Kind.TIMED,
    slot_ms=SLOT,
    samples=(sample(1, "flow_rate", "5.900"), sample(1, "volume_withdrawn", "106182.9")),
    alarms=("mains_lost", "volume_alarm"),
)
BOTH = replace(FLOW, samples=(*FLOW.samples, sample(1, "level", "-3.25")))


def moment(s: float, at_ms: int = NOW) -> Moment:
    return Moment(s, at_ms)


def dialogue(**changes: object) -> Szy206Dialogue:
    return Szy206Dialogue(replace(OPTIONS, **changes), allows_sets=True)


def delivery(tag: int = 1, content: Content = FLOW) -> Delivery:
    return Delivery(tag=tag, serial=tag, content=content)


def confirm(sent: bytes) -> bytes:
    return confirm_of(parse(sent), 1).to_bytes()


def command(
    afn: int, fields: dict[str, object], *, func: int = 0, address: str = "5303810D00", **tail: object
) -> bytes:
    body = compose({**fields, **tail}, is_up=False, afn=afn, func=func)
    return Frame(is_up=False, func=func, address=bytes.fromhex(address), afn=afn, body=body).to_bytes()


TAIL = {"pw_hex": "0000", "tp": {"sec": 0, "min": 46, "hour": 8, "day": 9, "delay_min": 0}}
