"""Taking frames apart: whatever the bytes, either fields or a named mistake; a flipped bit is always noticed."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus_frame import Direction, DirectionNeeded, FrameError, decode_rtu, decode_tcp
from drivers.octets import crc16


def rtu(pdu: str) -> bytes:
    body = b"\x11" + bytes.fromhex(pdu)
    return body + crc16(body)


@pytest.mark.parametrize(
    "pdu", ["0100130013", "0306022B00000064", "0400080001", "0600010003", "100001000204000A0102", "8302"]
)
def test_a_flipped_bit_is_always_noticed(pdu: str) -> None:
    frame = rtu(pdu)
    decode_rtu(frame)
    for at in range(8 * len(frame)):
        flipped = bytearray(frame)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(FrameError):
            decode_rtu(bytes(flipped))


@pytest.mark.parametrize("decode", [decode_rtu, decode_tcp])
@given(data=st.binary(max_size=300), direction=st.sampled_from([None, *Direction]))
def test_any_bytes_give_fields_or_a_named_mistake(decode, data: bytes, direction: Direction | None) -> None:
    with suppress(FrameError, *([] if direction else [DirectionNeeded])):
        decode(data, direction)


@given(body=st.binary(min_size=2, max_size=254), direction=st.sampled_from([None, *Direction]))
def test_any_body_with_a_sound_check_sum_gives_fields_or_a_named_mistake(
    body: bytes, direction: Direction | None
) -> None:
    try:
        frame = decode_rtu(body + crc16(body), direction)
    except (FrameError, DirectionNeeded):
        return
    assert frame.address == body[0]
    assert frame.crc == crc16(body)


@given(pdu=st.binary(min_size=1, max_size=253), transaction=st.integers(0, 0xFFFF))
def test_a_tcp_frame_says_the_same_as_the_rtu_frame_around_its_body(pdu: bytes, transaction: int) -> None:
    body = b"\x11" + pdu
    tcp = transaction.to_bytes(2, "big") + b"\0\0" + len(body).to_bytes(2, "big") + body
    outcomes = []
    for decode, frame in ((decode_rtu, body + crc16(body)), (decode_tcp, tcp)):
        try:
            found = decode(frame)
            outcomes.append((found.function, found.direction, found.register, found.count, found.data, found.exception))
        except (FrameError, DirectionNeeded) as doubt:
            outcomes.append((type(doubt), getattr(doubt, "code", "")))
    assert outcomes[0] == outcomes[1] or outcomes[1] == (FrameError, "looks_like_rtu")
