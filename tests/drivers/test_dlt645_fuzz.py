"""Hostile bytes: no crash, no hang, no value without a sound frame. `QUSHUI_BULK=1` takes ten times as many."""

from __future__ import annotations

import contextlib
import os
import random

from drivers.contract import NEED_DATA, NoValue, Reply, WireError
from drivers.dlt645 import AddressAsk, Dlt645Driver
from drivers.dlt645_frame import fields_of
from drivers.dlt645_wire import candidates
from tests.drivers.test_dlt645_frame import VECTORS

DRIVER = Dlt645Driver()
TOTAL = 10_000_000 if os.environ.get("QUSHUI_BULK") else 1_000_000
CHUNK = 4096
FRAMES = [bytes.fromhex(vector["hex"]) for vector in VECTORS]


def stream(chance: random.Random) -> bytes:
    """About a chunk of bytes: random, all starts, or published frames cut, glued and with bytes changed."""
    kind = chance.random()
    if kind < 0.3:
        return chance.randbytes(CHUNK)
    if kind < 0.35:
        return bytes(chance.choice((0x68, 0x16, 0xFE, 0x91, 0x33)) for _ in range(CHUNK))
    found = bytearray()
    while len(found) < CHUNK:
        frame = bytearray(chance.choice(FRAMES))
        for _ in range(chance.randrange(3)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        found += frame[chance.randrange(4) * chance.randrange(2) :][: chance.randrange(4, 60)]
    return bytes(found)


def sound_frames(data: bytes) -> set[bytes]:
    return {each.raw for each in candidates(data) if sum(each.raw[:-2]) % 256 == each.raw[-2] and each.raw[-1] == 0x16}


def test_no_value_without_a_sound_frame_whatever_arrives() -> None:
    chance = random.Random(645)
    items = [(DRIVER.item({"id": identifier}),) for identifier in ("00010000", "00010100", "02010100", "9010")]
    asks = [*DRIVER.plan("AAAAAAAAAAAA", items, {}), AddressAsk()]
    fed = 0
    while fed < TOTAL:
        data = stream(chance)
        fed += len(data)
        sound = sound_frames(data)
        for ask in asks:
            exchange = ask.begin(0)
            try:
                outcome = exchange.receive(data)
            except WireError:
                continue
            if isinstance(outcome, Reply):
                assert outcome.frame in sound
            else:
                assert outcome is NEED_DATA
                assert exchange.want > len(data)
                assert isinstance(exchange.end(), WireError)
        fields = fields_of(data)
        assert fields["valid"] == bool(sound)


def test_an_endless_stream_costs_no_memory_and_its_end_is_told() -> None:
    chance = random.Random(1997)
    (ask,) = DRIVER.plan("645645645645", [(DRIVER.item({"id": "00010000"}),)], {})
    exchange = ask.begin(0)
    fed = 0
    while fed < TOTAL // 4:
        data = stream(chance)[: chance.randrange(1, 300)]
        fed += len(data)
        try:
            assert not isinstance(exchange.receive(data), Reply)
        except WireError:
            exchange = ask.begin(0)
            fed += 1
            continue
        assert len(exchange._sifter._buffer) <= 300 + 267
    assert isinstance(exchange.end(), WireError | None)


def test_the_meters_side_survives_it_too() -> None:
    chance = random.Random(2007)
    memory = {"000000000161": {"00010000": b"\x26\0\0\0", "0201FF00": b"\x01\x10"}}
    fed = 0
    while fed < TOTAL // 4:
        data = stream(chance)
        fed += len(data)
        size = DRIVER.request_size(data)
        assert size is None or size > 0
        DRIVER.answer(data, memory)
        request, reply = data[: chance.randrange(30)], data[chance.randrange(30) :]
        with contextlib.suppress(WireError):
            DRIVER.recall(request, reply)


def test_damaged_digits_in_a_sound_frame_are_never_a_number() -> None:
    chance = random.Random(7)
    item = DRIVER.item({"id": "00010000"})
    for _ in range(20_000):
        data = chance.randbytes(4)
        value = item.decode(data)
        assert isinstance(value, NoValue) == any(digit in "abcdef" for digit in data.hex())
