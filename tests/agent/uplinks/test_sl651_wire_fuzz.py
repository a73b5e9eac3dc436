"""Hostile bytes at the SL 651 receiver: no crash, no memory, no frame without a sound check sum.

`QUSHUI_BULK=1` takes ten times as many.
"""

from __future__ import annotations

import contextlib
import os
import random

import pytest

from agent.uplinks.sl651_wire import body, receiver, text
from agent.uplinks.sl651_wire.codes import BodyError, Encoding, FrameError
from agent.uplinks.sl651_wire.fields import fields_of, frame_fields
from agent.uplinks.sl651_wire.frame import LONGEST_FRAME, Frame
from agent.uplinks.sl651_wire.receiver import Receiver, first_frame
from tests.agent.uplinks.sl651_frames import REPORT, VECTORS, sealed, up, witness

TOTAL = 10_000_000 if os.environ.get("QUSHUI_BULK") else 1_000_000
CHUNK = 4096
FRAMES = [bytes.fromhex(vector["hex"]) for vector in VECTORS]
HOSTILE = [
    bytes.fromhex("7E7E0133010600011234328FFF02"),  # claims 4095 bytes
    bytes.fromhex("7E7E0133010600011234320FFF16"),
    b"\x7e\x7e",
    b"\x01010133010600011234320FFF\x02",
    b"\x01",
]


def stream(chance: random.Random) -> bytes:
    """About a chunk of bytes: random, all starts, or published frames cut, glued and with bytes changed."""
    kind = chance.random()
    if kind < 0.3:
        return chance.randbytes(CHUNK)
    if kind < 0.4:
        return b"".join(chance.choice(HOSTILE) for _ in range(CHUNK // 8))
    found = bytearray()
    while len(found) < CHUNK:
        frame = bytearray(chance.choice(FRAMES))
        for _ in range(chance.randrange(3)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        found += frame[chance.randrange(4) * chance.randrange(2) :][: chance.randrange(4, 400)]
        if chance.random() < 0.02:
            found += chance.choice(HOSTILE)
    return bytes(found)


def pieces(data: bytes, chance: random.Random, most: int) -> list[bytes]:
    found = []
    while data:
        size = chance.randrange(1, most)
        found.append(data[:size])
        data = data[size:]
    return found


def test_no_frame_without_a_sound_check_sum_and_no_memory_whatever_arrives() -> None:
    chance = random.Random(651)
    gate, fed, known, others = Receiver(), 0, 0, 0
    heard = b""
    while fed < TOTAL:
        data = stream(chance)
        fed += len(data)
        for piece in pieces(data, chance, 3000):
            heard = heard[-2 * LONGEST_FRAME :] + piece
            for frame in gate.feed(piece):
                raw = frame.encode()
                assert raw in heard
                known += raw in FRAMES
                if raw not in FRAMES:  # one in 65 536 damaged frames has a sound check sum
                    others += 1
                    assert frame.encoding is Encoding.BINARY
                    assert witness(raw[:-2]).to_bytes(2, "big") == raw[-2:]
                look_inside(frame)
            assert gate.waiting < LONGEST_FRAME
        if chance.random() < 0.05:
            gate.idle()
            assert gate.waiting == 0
    assert known > fed // 5000
    assert others < 1 + fed // 100_000
    assert gate.broken > 0


def look_inside(frame: Frame) -> None:
    """Everything that reads a frame reads it, or says what is wrong."""
    for read in (frame_fields, text.read if frame.encoding is Encoding.ASCII else body.decode):
        with contextlib.suppress(BodyError):
            read(frame)


def test_any_body_in_a_sound_frame_is_read_or_refused() -> None:
    chance = random.Random(2014)
    fed = 0
    while fed < TOTAL // 4:
        data = bytearray(chance.choice(FRAMES[:-1]))
        if data[0] != 0x7E:
            continue
        at = chance.randrange(14, len(data) - 3)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(at, min(at + 20, len(data) - 3))] = chance.choice(
                (0, 4, 0x18, 0xF0, 0xF1, 0xF4, 0xFF)
            )
        if chance.random() < 0.7:
            data[10] = chance.randrange(256)
        fed += len(data)
        raw = sealed(bytes(data[:-2]))
        try:
            _, frame = first_frame(raw)
        except FrameError:
            continue
        look_inside(frame)
        if "error" not in fields_of(raw):
            assert body.decode(frame).encode() == frame.payload
            assert frame.encode() == raw


def test_every_sound_frame_is_found_however_the_stream_is_cut_and_fouled() -> None:
    chance = random.Random(7)
    for most in (2, 30, 5000):
        sent = [chance.choice(FRAMES) for _ in range(150)]
        noise = (b"", b"", b"\x00", b"\x7e", b"\x01", b"\x7e\x7e", HOSTILE[0], chance.randbytes(40), FRAMES[0][:-1])
        data = b"".join(chance.choice(noise) + frame for frame in sent)
        gate = Receiver()
        found = [frame for piece in pieces(data, chance, most) for frame in gate.feed(piece)] + gate.idle()
        assert [frame.encode() for frame in found] == sent
        assert gate.skipped == len(data) - sum(map(len, sent))


def test_one_byte_at_a_time_gives_each_frame_with_its_last_byte() -> None:
    gate = Receiver()
    for raw in FRAMES:
        assert [gate.feed(raw[at : at + 1]) for at in range(len(raw) - 1)] == [[]] * (len(raw) - 1)
        (frame,) = gate.feed(raw[-1:])
        assert (frame.encode(), gate.waiting) == (raw, 0)
    assert (gate.skipped, gate.broken, gate.last_error) == (0, 0, None)


def test_a_false_start_holds_a_frame_back_only_until_the_line_is_idle() -> None:
    gate = Receiver()
    assert gate.feed(HOSTILE[0] + FRAMES[1]) == []
    (frame,) = gate.idle()
    assert frame.encode() == FRAMES[1]
    assert gate.idle() == []


def test_what_is_too_long_for_this_installation_is_skipped_at_its_head() -> None:
    gate = Receiver(longest=220)
    long = up("35", "F2F2", "41" * 400)
    assert gate.feed(long[:14]) == []
    assert gate.waiting < 14
    assert [frame.function for frame in gate.feed(long[14:] + FRAMES[0])] == [0x2F]


def test_only_the_encodings_of_this_installation_are_heard() -> None:
    words = next(raw for raw in FRAMES if raw[0] == 1)
    both = words + FRAMES[0]
    for encodings, found in (
        ((Encoding.BINARY,), [FRAMES[0]]),
        ((Encoding.ASCII,), [words]),
        ((Encoding.BINARY, Encoding.ASCII), [words, FRAMES[0]]),
    ):
        assert [frame.encode() for frame in Receiver(encodings=encodings).feed(both)] == found


def test_a_damaged_frame_is_counted_with_its_reason() -> None:
    gate = Receiver()
    sound = up("32", REPORT, "38 12 1265")
    gate.feed(sound[:-1] + b"\0" + sound[:-3] + b"\x05" + sound[-2:])
    assert gate.broken == 2
    assert gate.last_error is not None
    assert gate.last_error.code == "sl651_end"


@pytest.mark.parametrize("head", HOSTILE)
def test_hostile_bytes_cost_work_in_proportion_to_their_number(head, monkeypatch) -> None:
    """Looks at candidates, each of constant cost: no more than the bytes and the pieces they came in."""
    looks = 0
    real = receiver.frame_at

    def counted(*arguments, **options):
        nonlocal looks
        looks += 1
        return real(*arguments, **options)

    monkeypatch.setattr(receiver, "frame_at", counted)
    gate = Receiver()
    data = head * (40_000 // len(head))
    for at in range(0, len(data), 7):
        gate.feed(data[at : at + 7])
    gate.idle()
    assert looks <= 2 * len(data)
