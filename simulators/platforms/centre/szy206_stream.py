"""A name for what is wrong with bytes of a station that are no frame of SZY206. Pure.

As precise as the bytes allow: a length that does not fit a check byte that does, what the first candidate lacks, a
frame that stopped, and only then noise.
"""

from __future__ import annotations

from agent.uplinks.szy206_wire.crc import crc8
from agent.uplinks.szy206_wire.frame import END, HEAD, START, TAIL, parse
from agent.uplinks.szy206_wire.names import FrameError
from simulators.platforms.centre.contract import Wrong

_CLAUSE = "sheet §2"
_ANONYMOUS = ""  # whoever finds it says which station
_UNNAMED = frozenset({"szy206_start", "szy206_length"})
_LEAST = HEAD + 7 + TAIL  # a frame of the smallest length


def trouble(raw: bytes) -> Wrong:
    """What is wrong with the bytes of a turn in which some belonged to no frame."""
    at = raw.find(bytes([START]))
    wrong_length = _wrong_length(raw)
    if wrong_length is not None or at < 0:
        return wrong_length or _said("noise", raw)
    try:
        parse(raw[at:])
    except FrameError as error:
        if error.code not in _UNNAMED:
            return _said(error.code, raw, **error.arguments)
    return _said("noise", raw)


def unfinished(raw: bytes) -> Wrong:
    """What is said of bytes that wait for a rest which does not come."""
    expected = HEAD + raw[1] + TAIL if len(raw) > 1 else _LEAST
    stopped = Wrong(
        station=_ANONYMOUS,
        code="unfinished",
        clause=_CLAUSE,
        arguments={"size": len(raw), "expected": expected},
        is_failed=False,
        data=raw,
    )
    return _wrong_length(raw) or stopped


def _wrong_length(raw: bytes) -> Wrong | None:
    """An L that does not fit, where starts, check byte and end do: the bytes are one frame of another length."""
    if len(raw) < _LEAST or raw[0] != START or raw[2] != START or raw[-1] != END:
        return None
    real = len(raw) - HEAD - TAIL
    if raw[1] == real or crc8(raw[HEAD:-TAIL]) != raw[-TAIL]:
        return None
    return _said("wrong_length", raw, received=raw[1], expected=real)


def _said(code: str, raw: bytes, /, **arguments: object) -> Wrong:
    return Wrong(station=_ANONYMOUS, code=code, clause=_CLAUSE, arguments=arguments, data=raw)
