"""Hostile bytes against Modbus: no crash, no hang, no value without a sound frame. `QUSHUI_BULK=1`: ten times more."""

from __future__ import annotations

import os
import random

import pytest
from pymodbus.framer import FramerRTU

from drivers.contract import NEED_DATA, Reply, WireError
from drivers.modbus import ModbusDriver
from drivers.modbus_frame import DirectionNeeded, FrameError, decode_rtu, decode_tcp

TOTAL = 10_000_000 if os.environ.get("QUSHUI_BULK") else 1_000_000


def asked(driver):
    items = [driver.item({"table": "holding", "register": 0, "type": "u32"})]
    items.append(driver.item({"table": "holding", "register": 2, "type": "f32"}))
    (ask,) = driver.plan("1", [(item,) for item in items], {})
    memory = {"1": {"holding": {0: 1, 1: 0xE240, 2: 0x4148, 3: 0}}}
    return ask, driver.answer(ask.begin(1).request, memory)


def hostile(chance: random.Random, good: bytes) -> bytes:
    """Random bytes, a mutated, cut, doubled or glued answer, an exception, an answer to another question."""
    mutated = bytearray(good)
    for _ in range(chance.randrange(1, 5)):
        mutated[chance.randrange(len(mutated))] = chance.randrange(256)
    return chance.choice([
        chance.randbytes(chance.randrange(1, 400)),
        bytes(mutated),
        good[: chance.randrange(len(good))] + chance.randbytes(chance.randrange(20)),
        bytes(mutated) + bytes(mutated),
        chance.randbytes(chance.randrange(60)) + bytes(mutated),
        bytes([1, 0x83, chance.randrange(256), chance.randrange(256), chance.randrange(256)]),
        bytes([1, 3, chance.randrange(256)]) * chance.randrange(1, 80),
    ])  # fmt: skip


@pytest.mark.parametrize("framing", ["rtu", "tcp"])
def test_no_hostile_stream_crashes_hangs_or_makes_a_value(framing):
    chance = random.Random(20261121)
    ask, good = asked(ModbusDriver(framing=framing))
    fed = 0
    while fed < TOTAL:
        data = hostile(chance, good)
        exchange, at = ask.begin(1), 0
        outcome = NEED_DATA
        while at < len(data) and outcome is NEED_DATA:
            size = chance.randrange(1, 1 + len(data))
            try:
                outcome = exchange.receive(data[at : at + size])
            except WireError:
                break
            at += size
            assert outcome is not NEED_DATA or exchange.want > at - size
        fed += len(data)
        if isinstance(outcome, Reply) and framing == "rtu":  # Modbus TCP leans on TCP: it has no check sum
            body, crc = outcome.frame[:-2], outcome.frame[-2:]
            assert FramerRTU.compute_CRC(body).to_bytes(2, "big") == crc
            assert (outcome.frame[:3], len(outcome.frame)) == (good[:3], len(good))
        elif outcome is NEED_DATA:
            assert exchange.end() is None or isinstance(exchange.end(), WireError)


@pytest.mark.parametrize("decode", [decode_rtu, decode_tcp], ids=["rtu", "tcp"])
def test_no_hostile_frame_crashes_the_frame_tool(decode):
    chance = random.Random(7)
    _, good = asked(ModbusDriver(framing="rtu" if decode is decode_rtu else "tcp"))
    fed = 0
    while fed < TOTAL // 10:
        data = hostile(chance, good)
        fed += len(data)
        try:
            decode(data)
        except (FrameError, DirectionNeeded):
            continue
