"""Finds Modbus meters: a read of two registers is answered by every server, if only with an exception. Pure.

Source: Modbus application protocol V1.1b3, 7 (a server that cannot handle a request addressed to it returns an
exception). Two registers from an even address: some meters answer neither odd addresses nor odd counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.contract import Ask
from drivers.modbus import EXCEPTION_BIT, MBAP_SIZE, ModbusDriver
from drivers.octets import has_sound_crc
from drivers.raw import RawProtocol
from drivers.search import Call

_REGISTERS = 2
_EXCEPTION_SIZE = 5
_REPLY_SIZE = 5 + 2 * _REGISTERS
_FUNCTION = 3  # read holding registers
_READS = frozenset({1, 2, 3, 4})
_RTU_READ_SIZE, _TCP_READ_SIZE = 8, 12
FIRST_ADDRESS, LAST_ADDRESS = 1, 247  # serial line V1.02, 2.2


@dataclass(frozen=True, slots=True)
class ModbusCall:
    """Calls one address."""

    ask: Ask
    address: str
    framing: str

    def heard(self, received: bytes) -> str | None:
        """The address in the first sound answer to a call (RTU; on TCP answers carry their question's number)."""
        if self.framing != "rtu":
            unit = received[MBAP_SIZE - 1 : MBAP_SIZE]
            return str(unit[0]) if unit else None
        for at in range(len(received)):
            head = received[at : at + 3]
            for start, size in (
                (bytes([_FUNCTION, 2 * _REGISTERS]), _REPLY_SIZE),
                (bytes([_FUNCTION | EXCEPTION_BIT]), _EXCEPTION_SIZE),
            ):
                frame = received[at : at + size]
                if head[1:].startswith(start) and len(frame) == size and has_sound_crc(frame):
                    return str(frame[0])
        return None

    def narrower(self) -> tuple[Call, ...]:
        """Nothing: meters that share an address cannot be told apart."""
        return ()


def modbus_calls(*, framing: str, numbers: Sequence[int]) -> tuple[Call, ...]:
    """A call for each of the addresses, in their order. Raises SpecError for one that Modbus does not have."""
    driver = ModbusDriver(framing=framing)
    items = [driver.item({"table": "holding", "register": at, "type": "u16"}) for at in range(_REGISTERS)]
    return tuple(ModbusCall(driver.plan(str(number), [items], {})[0], str(number), framing) for number in numbers)


def is_whole_modbus(request: bytes, received: bytes) -> bool:
    """Whether a Modbus answer to `request` is complete: a sound frame of its meter (RTU), or its whole frame (TCP)."""
    if not has_sound_crc(request):
        return _has_whole_tcp(request, received)
    for at in range(len(received)):
        head = received[at : at + 3]
        if head[:1] != request[:1] or len(head) < len(request[:3]) or head[1] & ~EXCEPTION_BIT != request[1]:
            continue
        size = _EXCEPTION_SIZE if head[1] & EXCEPTION_BIT else 5 + head[2]
        if len(received) >= at + size and has_sound_crc(received[at : at + size]):
            return True
    return False


def _has_whole_tcp(request: bytes, received: bytes) -> bool:
    while len(received) >= MBAP_SIZE:
        size = MBAP_SIZE - 1 + int.from_bytes(received[4:6], "big")
        if len(received) >= size and received[:2] == request[:2]:
            return True
        received = received[size:]
    return False


def is_modbus_read(framing: str, request: bytes) -> bool:
    """Whether `request` is a sound frame that reads registers or bits of one meter, and does nothing else."""
    if framing == "rtu":
        return len(request) == _RTU_READ_SIZE and has_sound_crc(request) and request[0] != 0 and request[1] in _READS
    return len(request) == _TCP_READ_SIZE and request[MBAP_SIZE] in _READS


RAW_MODBUS = RawProtocol(is_read=is_modbus_read, is_whole=is_whole_modbus)
