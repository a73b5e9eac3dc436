"""Hostile bytes to the CJ/T 188 driver: no value but from sound frames, bounded memory."""

from __future__ import annotations

import os
import random

from drivers.contract import (
    NEED_DATA,
    WireError,
)
from tests.drivers.cjt188_asking import TOTAL, VECTORS, ask_of

BYTES = 10_000_000 if os.environ.get("QUSHUI_BULK") else 1_000_000
FRAMES = [bytes.fromhex(vector["hex"]) for vector in VECTORS]


def hostile(seed: int, size: int) -> bytes:
    """Random, mutated and glued: noise, runs of what frames are made of, frames with bytes changed, cut or doubled."""
    chance = random.Random(seed)
    pieces, made = [], 0
    while made < size:
        frame = bytearray(chance.choice(FRAMES))
        match chance.randrange(6):
            case 0:
                frame = bytearray(chance.randbytes(chance.randrange(1, 60)))
            case 1:
                frame = bytearray(chance.choices(b"\xfe\x68\x16\xaa\x10\x81\x90\x1f", k=chance.randrange(1, 60)))
            case 2:
                del frame[chance.randrange(len(frame)) :]
            case 3:
                frame += frame[chance.randrange(len(frame)) :]
            case 4:
                frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
            case _:
                for _ in range(chance.randrange(1, 4)):
                    frame[chance.randrange(len(frame))] = chance.randrange(256)
        pieces.append(bytes(frame))
        made += len(frame)
    return b"".join(pieces)


def is_in_a_sound_frame(data: bytes, frame: bytes) -> bool:
    """By the standard's own words, without the codec: start, length, sum, end."""
    return (
        frame in data and frame[0] == 0x68 and len(frame) == frame[10] + 13 and frame[-1] == 0x16
        and sum(frame[:-2]) % 256 == frame[-2]
    )  # fmt: skip


def test_garbage_gives_no_value_but_from_sound_frames():
    ask = ask_of(TOTAL, address="AAAAAAAAAAAAAA", meter_type="AA")
    chance = random.Random(1)
    done = 0
    while done < BYTES:
        data = hostile(done, 20_000)
        exchange, at = ask.begin(1), 0
        while at < len(data):
            chunk = data[at : at + chance.choice((1, 7, 60, 900))]
            at += len(chunk)
            try:
                outcome = exchange.receive(chunk)
            except WireError:
                exchange = ask.begin(1)
                continue
            if outcome is not NEED_DATA:
                assert is_in_a_sound_frame(data, outcome.frame)
                exchange = ask.begin(1)
                continue
            assert exchange.want > 0
        exchange.end()
        done += len(data)


def test_a_flood_for_one_question_stays_small():
    exchange = ask_of(TOTAL).begin(1)
    for seed in range(10):
        exchange.receive(
            hostile(seed, 20_000).replace(b"\x01\x00\x00\x05\x08\x00\x00", b"\x02\x00\x00\x05\x08\x00\x00")
        )
    assert len(exchange._buffer) < 2000
    assert isinstance(exchange.end(), WireError)
    assert len(exchange.end().received) < 2000
