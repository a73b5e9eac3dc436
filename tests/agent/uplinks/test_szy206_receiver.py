"""The receiver of SZY206 frames: each vector however it comes, and hostile bytes (`QUSHUI_BULK=1`: ten times more)."""

from __future__ import annotations

import os
import random
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.uplinks.szy206_wire import crc
from agent.uplinks.szy206_wire.content import decode
from agent.uplinks.szy206_wire.fields import fields_of_frame, frame_of
from agent.uplinks.szy206_wire.frame import MOST_FRAME, Frame, parse
from agent.uplinks.szy206_wire.names import Dialect, Edition
from agent.uplinks.szy206_wire.receiver import Receiver
from tests.agent.uplinks.szy206_frames import VECTORS, check, framed, image, name_of
from tests.wire import NOISES

TOTAL = 10_000_000 if os.environ.get("QUSHUI_BULK") else 1_000_000
FRAMES = [bytes.fromhex(vector["hex"]) for vector in VECTORS]
LOGIN = framed(0xB0, 0x02, "F0")


@pytest.mark.parametrize("data", FRAMES, ids=[name_of(vector) for vector in VECTORS])
def test_a_frame_is_found_whole_byte_by_byte_and_between_noise(data: bytes) -> None:
    wanted = parse(data)
    assert Receiver().feed(data) == [wanted]
    slow = Receiver()
    assert [frame for byte in data for frame in slow.feed(bytes([byte]))] == [wanted]
    assert (slow.dropped, slow.pending) == (0, 0)
    for noise in NOISES:
        receiver = Receiver()
        assert receiver.feed(noise + data + noise + data) == [wanted, wanted]
        assert receiver.dropped == 2 * len(noise)


@pytest.mark.parametrize("data", FRAMES, ids=[name_of(vector) for vector in VECTORS])
def test_a_frame_with_a_wrong_bit_gives_none_and_the_next_is_found(data: bytes) -> None:
    """Bytes of an image are anything, also frames; so only the head and the end of one are turned round."""
    bits = [bit for bit in range(8 * len(data)) if bit < 160 or bit >= 8 * len(data) - 16]
    for bit in bits:
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        receiver = Receiver()
        frames = receiver.feed(bytes(wrong)) + receiver.feed(LOGIN) + receiver.give_up()
        assert frames == [parse(LOGIN)]
        assert receiver.dropped == len(data)


def test_frames_in_one_segment_all_come_in_order() -> None:
    receiver = Receiver()
    assert receiver.feed(b"".join(FRAMES)) == [parse(data) for data in FRAMES]
    assert receiver.dropped == 0


def test_nothing_inside_an_image_is_taken_for_a_frame() -> None:
    data = image(3000)
    receiver = Receiver()
    found = [frame for at in range(0, len(data), 100) for frame in receiver.feed(data[at : at + 100])]
    assert [frame.block_length for frame in found] == [3000]
    longest = image(0xFFFF)
    assert len(longest) == MOST_FRAME
    assert receiver.feed(longest + LOGIN) == [parse(longest), parse(LOGIN)]


def test_a_station_waits_for_no_image() -> None:
    head = image(1024)[:14]
    receiver = Receiver(images=False)
    assert receiver.feed(head + LOGIN) == [parse(LOGIN)]
    assert (receiver.pending, receiver.dropped) == (0, len(head))
    assert Receiver().feed(head + LOGIN) == []


def test_a_length_that_promises_too_much_ends_with_silence() -> None:
    receiver = Receiver()
    assert receiver.feed(b"\x68\xff\x68" + LOGIN + LOGIN) == []
    assert receiver.give_up() == [parse(LOGIN)] * 2
    assert (receiver.pending, receiver.dropped) == (0, 3)
    assert receiver.feed(LOGIN) == [parse(LOGIN)]


def hostile(total: int, seed: int) -> list[bytes]:
    """Segments of noise, frames, cut frames, frames with wrong bytes, and runs of starts."""
    chance = random.Random(seed)
    segments, size = [], 0
    while size < total:
        data = bytearray(chance.choice(FRAMES))
        match chance.randrange(6):
            case 0:
                data = bytearray(chance.randbytes(chance.randrange(300)))
            case 1:
                del data[chance.randrange(len(data)) :]
            case 2:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            case 3:
                data = bytearray(chance.choice([b"\x68", b"\x68\xff\x68", b"\x68\x01\x68\xf0", b"\x68\x16"]) * 100)
            case 4:
                data = bytearray(image(chance.randrange(1, 5000))[: chance.randrange(1, 5000)])
        segments.append(bytes(data))
        size += len(data)
    return segments


def test_hostile_bytes_neither_crash_nor_pile_up() -> None:
    receiver = Receiver()
    taken = fed = 0
    for segment in hostile(TOTAL, 206):
        fed += len(segment)
        for frame in receiver.feed(segment):
            again = frame.to_bytes()
            taken += len(again)
            assert again[-2] == check(frame.user_data) if len(again) < 300 else True
            decode(frame)
            decode(frame, Dialect(edition=Edition.SLT427))
        assert receiver.pending <= MOST_FRAME
        assert taken + receiver.dropped + receiver.pending == fed
    taken += sum(len(frame.to_bytes()) for frame in receiver.give_up())
    assert taken + receiver.dropped == fed
    assert taken > fed // 10


def test_the_dearest_bytes_cost_no_more_memory_than_one_frame() -> None:
    """Starts that all promise the longest image, with its end where each of them promises it."""
    head = b"\x68\x40\x68\xb0\x53\x03\x81\x0d\x00\x61\xff\xff\x16"
    receiver = Receiver()
    tracemalloc.start()
    for _ in range(200):
        receiver.feed(head * 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert receiver.pending <= MOST_FRAME
    assert peak < 10 * MOST_FRAME
    receiver.give_up()
    assert receiver.feed(LOGIN) == [parse(LOGIN)]


@given(st.binary(max_size=600), st.data())
def test_the_check_byte_of_any_part_is_that_of_its_bytes(data: bytes, draw: st.DataObject) -> None:
    running = bytearray(1)
    crc.run_on(running, data)
    first, last = sorted((draw.draw(st.integers(0, len(data))), draw.draw(st.integers(0, len(data)))))
    assert crc.crc8_between(running, first, last) == crc.crc8(data[first:last]) == check(data[first:last])


@given(st.binary(max_size=1500), st.lists(st.integers(0, 1500), max_size=6))
def test_how_bytes_are_cut_changes_nothing(noise: bytes, cuts: list[int]) -> None:
    data = LOGIN + noise + LOGIN
    whole, pieces = Receiver(), Receiver()
    frames = whole.feed(data)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert [frame for first, last in pairwise(edges) for frame in pieces.feed(data[first:last])] == frames
    assert (whole.dropped, whole.pending) == (pieces.dropped, pieces.pending)


@settings(max_examples=300)
@given(
    st.booleans(),
    st.integers(0, 15),
    st.sampled_from(
        sorted({int(vector["fields"]["afn"], 16) for vector in VECTORS} | {*range(0x10, 0x66), *range(256)})
    ),
    st.binary(max_size=60),
    st.sampled_from([Edition.AUTO, Edition.SZY206, Edition.SLT427]),
)
def test_any_body_is_read_without_a_crash_and_written_again(
    is_up: bool, func: int, afn: int, body: bytes, edition: Edition
) -> None:
    frame = Frame(is_up=is_up, func=func, address=b"\x53\x03\x81\x0d\x00", afn=afn, body=body)
    dialect = Dialect(edition=edition)
    assert parse(frame.to_bytes()) == frame
    assert frame_of(fields_of_frame(frame, dialect), dialect) == frame
