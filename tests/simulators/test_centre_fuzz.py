"""Damaged frames with right checks, millions of bytes of them: a simulated centre goes on, and what it says is JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from simulators.platforms.centre.behaviour import Protocol, plan_of
from simulators.platforms.centre.contract import CentreDialogue, Memory, Moment
from simulators.platforms.centre.protocols import KINDS
from simulators.platforms.centre.refusals import OrderError
from tests.agent.uplinks.sl651_frames import VECTORS as SL651
from tests.agent.uplinks.sl651_frames import sealed
from tests.agent.uplinks.szy206_frames import VECTORS as SZY206
from tests.agent.uplinks.szy206_frames import framed

BYTES = 5_000_000 if os.environ.get("QUSHUI_BULK") else 150_000  # of each protocol
AT = datetime(2026, 11, 22, tzinfo=timezone(timedelta(hours=8)))
SL651_BODIES = [
    bytes.fromhex(each["hex"])[14:-3] for each in SL651 if each["direction"] == "up" and each["hex"].startswith("7E")
]
SZY206_BODIES = [bytes.fromhex(each["hex"])[10:-2] for each in SZY206]
FUNCTIONS = [*range(0x2F, 0x52), 0xE1]
AFNS = [0xC0, 0x81, 0x82, 0x84, 0x02, 0xB0, 0xB1, 0xB2, 0x61, *range(0x10, 0x21), *range(0x50, 0x66), 0x90, 0x96, 0xA0]


def damaged(body: bytes, chance: random.Random) -> bytes:
    """Bytes changed, left out, put in; often to those that mean something."""
    found = bytearray(body)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(4):
            case 0:
                found[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del found[at : at + chance.randrange(6)]
            case 2:
                found[at:at] = chance.randbytes(chance.randrange(6))
            case _:
                found[at : at + 1] = bytes([chance.choice(b"\xff\xaa\x00\xf0\xf1\xf2\xf3\xf4\xf5\x04\x18")])
    return bytes(found)


def sl651_frame(chance: random.Random) -> bytes:
    body = damaged(chance.choice(SL651_BODIES), chance)
    start = b"\x02"
    if chance.random() < 0.2:
        total = chance.randrange(1, 4)
        start, body = b"\x16", bytes([0, total << 4, chance.randrange(1, total + 1)]) + body
    head = bytes.fromhex("7E7E0133010600011234") + bytes([chance.choice(FUNCTIONS)]) + len(body).to_bytes(2, "big")
    return sealed(head + start + body + chance.choice([b"\x03", b"\x03", b"\x17"]))


def szy206_frame(chance: random.Random) -> bytes:
    body = damaged(chance.choice(SZY206_BODIES), chance)[:240]
    return framed(chance.choice([0x80, 0xC0]) | chance.randrange(64), chance.choice(AFNS), body.hex())


CASES = [
    (Protocol.SL651, sl651_frame, "normal,nak,empty,glued,glued-query"),
    (Protocol.SZY206, szy206_frame, "normal,glued,with-tp,glued-query"),
]


def asked(centre: CentreDialogue, protocol: Protocol, chance: random.Random, now: Moment) -> None:
    with contextlib.suppress(OrderError):
        centre.ask(KINDS[protocol].downlink([f"{chance.randrange(256):02X}"]), now)


@pytest.mark.parametrize(("protocol", "frame", "plan"), CASES, ids=[each[0] for each in CASES])
def test_a_centre_goes_on_through_millions_of_damaged_bytes(
    protocol: Protocol, frame: Callable[[random.Random], bytes], plan: str
):
    chance, fed, now_s = random.Random(651), 0, 0.0
    memory = Memory(plan=plan_of(plan, protocol))
    while fed < BYTES:
        centre = KINDS[protocol].dialogue(KINDS[protocol].options(), memory)
        for _ in range(60):
            data, now = frame(chance), Moment(now_s, AT)
            turn = centre.receive(data, now)
            fed += len(data)
            json.dumps([dataclasses.asdict(event) for event in turn.events], default=str)
            if chance.random() < 0.1:
                asked(centre, protocol, chance, now)
            now_s += chance.choice([0, 0.1, 30])
            centre.tick(Moment(now_s, AT))
