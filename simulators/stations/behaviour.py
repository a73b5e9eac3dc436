"""How a simulated station misbehaves: what becomes of its frames on the way to the wire. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

_GAP_S = 0.05  # between pieces, so that they travel apart
_PIECE = 7
_NOISE = bytes.fromhex("7E00681668FF7E16010368")  # starts of both protocols, none of them a frame


class Behaviour(StrEnum):
    """What a platform must stand."""

    WRONG_PASSWORD = "wrong-password"  # noqa: S105 - a name
    WRONG_ADDRESS = "wrong-address"  # a station number that no station has: 0
    OVERSIZE = "oversize"  # a head that announces the greatest length, and a frame behind it
    SLOW = "slow"  # byte by byte
    SPLIT = "split"  # in pieces
    GLUED = "glued"  # a keep-alive and the report in one piece
    CUT = "cut"  # half a frame, and the connection ends; then the whole on a new one
    NOISE = "noise"  # bytes that are no frame in front of every report
    BAD_CHECK = "bad-check"  # each report with a wrong check sum first
    RECONNECT = "reconnect"  # a new connection for every report
    RESEND = "resend"  # takes no notice of the first answer: same serial, or lower FCB
    LATE = "late"  # old data
    SILENT = "silent"  # connects and says nothing


UNANSWERED = frozenset({Behaviour.WRONG_PASSWORD, Behaviour.WRONG_ADDRESS, Behaviour.SILENT})
"""What a platform need not acknowledge; of WRONG_PASSWORD it must not."""


@dataclass(frozen=True, slots=True)
class Share:
    """A behaviour and the percentage of stations that have it."""

    behaviour: Behaviour
    percent: int = 100


def shares_of(texts: Sequence[str]) -> tuple[Share, ...]:
    """`NAME` or `NAME:PERCENT`, each. Raises ValueError."""
    found = []
    for text in texts:
        name, _, percent = text.partition(":")
        if percent and not (percent.isascii() and percent.isdecimal() and 0 <= int(percent) <= 100):  # noqa: PLR2004 - percent
            raise ValueError(text)
        found.append(Share(Behaviour(name), int(percent) if percent else 100))
    return tuple(found)


def of_station(shares: Sequence[Share], place: int) -> frozenset[Behaviour]:
    """The behaviours of station number `place`: of any hundred in a row so many have each, not always the same."""
    return frozenset(share.behaviour for at, share in enumerate(shares) if (place * 37 + at * 53) % 100 < share.percent)


class Piece(NamedTuple):
    """Bytes that go out `after_s` behind the piece before them; `closes`: the connection ends with them."""

    data: bytes
    after_s: float = 0.0
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Extras:
    """What some behaviours need: a keep-alive, a head of the greatest length, seconds between single bytes."""

    idle: bytes
    oversize: bytes
    pace_s: float


def pieces_of(frame: bytes, behaviours: frozenset[Behaviour], extras: Extras, *, is_first: bool) -> tuple[Piece, ...]:
    """The pieces in which a frame goes out; `is_first`: the first send of its report."""
    if Behaviour.SILENT in behaviours:
        return ()
    if Behaviour.CUT in behaviours and is_first:
        return (Piece(frame[: len(frame) // 2], closes=True),)
    data = frame
    if Behaviour.BAD_CHECK in behaviours and is_first:
        data = _damaged(frame) + data
    if Behaviour.GLUED in behaviours:
        data = extras.idle + data
    if Behaviour.NOISE in behaviours:
        data = _NOISE + data
    if Behaviour.OVERSIZE in behaviours and is_first:
        data = extras.oversize + data
    if Behaviour.SLOW in behaviours:
        return tuple(Piece(bytes([byte]), extras.pace_s if at else 0.0) for at, byte in enumerate(data))
    if Behaviour.SPLIT in behaviours:
        cuts = range(0, len(data), _PIECE)
        return tuple(Piece(data[at : at + _PIECE], _GAP_S if at else 0.0) for at in cuts)
    return (Piece(data),)


def _damaged(frame: bytes) -> bytes:
    """The frame with one bit of its body wrong, so that its check sum is."""
    at = len(frame) * 2 // 3
    return frame[:at] + bytes([frame[at] ^ 0x01]) + frame[at + 1 :]
