"""Every codec vector four ways: whole; byte by byte; with noise before and after; with each single bit flipped.

The last two may end in a WireError or in NEED_DATA, never in another value. Bit flips are for checksummed frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from drivers.contract import NEED_DATA, Exchange, NeedData, RawValue, Reply, WireError

NOISES = (b"\x00", b"\xff", b"\x00\xff\x00", b"\xf8\xfe\x55\xaa")


def values_of(outcome: Reply | NeedData) -> tuple[RawValue, ...]:
    assert isinstance(outcome, Reply), "no reply"
    return outcome.values


def fed(exchange: Exchange, chunks: Iterable[bytes]) -> Reply | NeedData | WireError:
    """The first outcome other than NEED_DATA, fed chunk by chunk; every step asks `want` as the line does."""
    taken = 0
    for chunk in chunks:
        taken += len(chunk)
        try:
            outcome = exchange.receive(chunk)
        except WireError as error:
            return error
        if not isinstance(outcome, NeedData):
            return outcome
        assert exchange.want > taken, "asks for no more than it has"
    return NEED_DATA


def check_whole(begin: Callable[[], Exchange], reply: bytes, expected: tuple[RawValue, ...]) -> None:
    outcome = fed(begin(), [reply])
    assert isinstance(outcome, Reply), outcome
    assert outcome.values == expected
    assert outcome.frame == reply


def check_byte_by_byte(begin: Callable[[], Exchange], reply: bytes, expected: tuple[RawValue, ...]) -> None:
    outcome = fed(begin(), [bytes([byte]) for byte in reply])
    assert isinstance(outcome, Reply), outcome
    assert outcome.values == expected


def check_noise(begin: Callable[[], Exchange], reply: bytes, expected: tuple[RawValue, ...], *, found: bool) -> None:
    """`found`: behind leading noise the frame must be found (RTU); else it may also be refused."""
    for noise in NOISES:
        for before, after in ((noise, b""), (b"", noise), (noise, noise)):
            outcome = fed(begin(), [before + reply + after])
            if isinstance(outcome, Reply):
                assert outcome.values == expected
            else:
                assert not found, f"not found behind {before.hex()}: {outcome}"


def check_flips(begin: Callable[[], Exchange], reply: bytes, expected: tuple[RawValue, ...]) -> None:
    for at in range(8 * len(reply)):
        flipped = bytearray(reply)
        flipped[at // 8] ^= 1 << at % 8
        exchange = begin()
        outcome = fed(exchange, [bytes(flipped)])
        if isinstance(outcome, Reply):
            assert outcome.values == expected, f"bit {at} gave another value"
        elif isinstance(outcome, NeedData):
            assert exchange.end() is not None, f"bit {at}: bytes came, and yet nothing is said of them"
