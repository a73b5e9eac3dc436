"""What tells the protocols apart for a tester: which frame stands in what came, and what is harmless to send. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from drivers.cjt188_wire import HEADER_SIZE, READ, READ_ADDRESS, START, sound_frames
from drivers.dlt645_wire import candidates
from simulators.conformance.frames import FRAMINGS, Framing, Seen

_DLT645_READS = frozenset({0x11, 0x12, 0x13, 0x01, 0x02})  # read, follow-up, address; read and follow-up of 1997
_CJT188_READS = frozenset({READ, READ_ADDRESS})


class Dialect(Protocol):
    """One protocol as its tests see it."""

    def found(self, data: bytes) -> Any:
        """The first sound frame in what came, in the protocol's own terms; None where there is none."""
        ...

    def is_harmless(self, data: bytes) -> bool:
        """Whether a receiver can find nothing but reads in `data`."""
        ...


class ModbusDialect:
    """Modbus in one of its framings."""

    def __init__(self, framing: str) -> None:
        self.framing: Framing = FRAMINGS[framing]

    def found(self, data: bytes) -> Seen | None:
        """The first sound frame."""
        return self.framing.found(data)

    def is_harmless(self, data: bytes) -> bool:
        """Whether nothing but reads, and the unassigned function, can be found in it."""
        return self.framing.is_harmless(data)


class Dlt645Dialect:
    """DL/T 645 of either edition."""

    def found(self, data: bytes) -> Seen | None:
        """The first sound frame: control code as function, data without 33H; the address as printed is in `address`."""
        for each in candidates(data):
            if each.is_sound and each.control is not None:
                end = each.at + len(each.raw)
                address = each.address[::-1].hex().upper()
                return Seen(0, each.control, each.data, data[: each.at], data[end:], address=address)
        return None

    def is_harmless(self, data: bytes) -> bool:
        """Everything that may be a frame, sound or not, whole or not, is a read as far as its control code is there."""
        return all(each.control is None or each.control in _DLT645_READS for each in candidates(data))


class Cjt188Dialect:
    """CJ/T 188 of either edition."""

    def found(self, data: bytes) -> Seen | None:
        """The first sound frame: control code as function; the address as printed is in `address`."""
        for at, each in sound_frames(data):
            after = data[at + len(each.raw) :]
            return Seen(each.meter_type, each.control, each.data, data[:at], after, address=each.address)
        return None

    def is_harmless(self, data: bytes) -> bool:
        """The first start byte that has a control code behind it begins a read, and so does every sound frame."""
        at = data.find(START)
        control = data[at + HEADER_SIZE - 2 : at + HEADER_SIZE - 1] if at >= 0 else b""
        is_read = not control or control[0] in _CJT188_READS
        return is_read and all(frame.control in _CJT188_READS for _, frame in sound_frames(data))


DIALECTS: Mapping[str, Callable[[str], Dialect]] = MappingProxyType(
    {
        "modbus": ModbusDialect,
        "dlt645": lambda _framing: Dlt645Dialect(),
        "cjt188": lambda _framing: Cjt188Dialect(),
    }
)
"""Protocol to its dialect, made for a framing."""
