"""Modbus RTU, TCP and RTU over TCP: plans reads, recognises their answers, answers as a meter.

Strategy: `plan` merges fields into reads by what a request and a register cost on this line (dynamic programme over the
sorted fields). An RTU exchange looks for *its* header (device, function, byte count) anywhere in what arrived and takes
the frame only when the CRC fits; so leading noise costs nothing and no other answer passes. A TCP exchange drops frames
of other transactions and is strict with its own. The PDUs are pymodbus's; finding, counting and checking are ours,
because its framers do not compare count and function with the request.

Source: Modbus application protocol V1.1b3 (6.1–6.4, 7); Modbus over serial line V1.02 (2.5.1); Modbus messaging on
TCP/IP V1.0b (3.1.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from drivers.contract import (
    NEED_DATA,
    BadChecksum,
    Malformed,
    NeedData,
    RawValue,
    Refusal,
    Refused,
    Reply,
    SpecError,
    WireCost,
    WireError,
    WrongAddress,
)
from drivers.modbus_item import BIT_TABLES, ModbusItem, modbus_item
from drivers.modbus_meter import answer_pdu, recalled, request_pdu_size
from drivers.modbus_plan import end_of, grouped, limits_of, start_of
from drivers.octets import crc16, has_sound_crc

if TYPE_CHECKING:
    from pymodbus.pdu import ModbusPDU

_TABLES = ("coil", "discrete", "holding", "input")
EXCEPTION_BIT = 0x80  # application protocol 7: function code with its most significant bit set
EXCEPTION_SIZE = 5  # device, function, code, CRC
MBAP_SIZE = 7  # TCP/IP 3.1.3: transaction, protocol, length, unit
_MAX_MBAP_LENGTH = 254  # unit + PDU of at most 253 bytes (application protocol 4.1)
_MAX_BITS = 2000  # application protocol 6.1
_LAST_RTU_ADDRESS = 247  # serial line 2.2
_LAST_TCP_UNIT = 255

EXCEPTIONS = {  # application protocol 7
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
_REFUSALS = {
    2: Refusal.NARROWER,
    3: Refusal.NARROWER,
    5: Refusal.LATER,
    6: Refusal.LATER,
    10: Refusal.ABSENT,
    11: Refusal.ABSENT,
}


@cache
def requests() -> Mapping[str, type[ModbusPDU]]:
    """Table to the PDU that reads it. Checking and planning do without, and so without pymodbus (1 MB, 30 ms)."""
    from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest  # noqa: PLC0415 - only to ask
    from pymodbus.pdu.register_message import (  # noqa: PLC0415
        ReadHoldingRegistersRequest,
        ReadInputRegistersRequest,
    )

    classes = (ReadCoilsRequest, ReadDiscreteInputsRequest, ReadHoldingRegistersRequest, ReadInputRegistersRequest)
    return MappingProxyType(dict(zip(_TABLES, classes, strict=True)))


@dataclass(frozen=True)
class ModbusAsk:
    """One planned read of `size` registers (or bits) from `start`; `units` are the bundles it serves."""

    framing: str
    address: int
    table: str
    start: int
    size: int
    units: tuple[tuple[ModbusItem, ...], ...]
    even: bool = False  # this meter takes even addresses and counts only

    @cached_property
    def items(self) -> tuple[ModbusItem, ...]:
        """What it reads, in the order of the reply's values."""
        return tuple(item for unit in self.units for item in unit)

    @cached_property
    def function(self) -> int:
        """The function code."""
        return int(requests()[self.table].function_code)

    @cached_property
    def data_size(self) -> int:
        """Bytes of register or bit data in the reply."""
        return (self.size + 7) // 8 if self.table in BIT_TABLES else 2 * self.size

    @cached_property
    def _pdu(self) -> bytes:
        request = requests()[self.table](address=self.start, count=self.size, dev_id=self.address)
        return bytes([self.function]) + request.encode()

    @cached_property
    def _rtu_request(self) -> bytes:
        frame = bytes([self.address]) + self._pdu
        return frame + crc16(frame)

    @property
    def request_size(self) -> int:
        """Bytes of the request on the wire."""
        return len(self._rtu_request) if self.framing == "rtu" else MBAP_SIZE + len(self._pdu)

    @property
    def reply_size(self) -> int:
        """Bytes of the expected reply on the wire."""
        return self.data_size + (5 if self.framing == "rtu" else MBAP_SIZE + 2)

    def begin(self, number: int) -> RtuExchange | TcpExchange:
        """A new exchange; `number` modulo 65536 is the transaction number (TCP only)."""
        if self.framing == "rtu":
            return RtuExchange(self, self._rtu_request)
        head = (number & 0xFFFF).to_bytes(2, "big") + b"\0\0" + (len(self._pdu) + 1).to_bytes(2, "big")
        return TcpExchange(self, head + bytes([self.address]) + self._pdu)

    def parts(self) -> tuple[ModbusAsk, ...]:
        """Without the registers between the fields; a read that bridges nothing is halved."""
        runs: list[list[tuple[ModbusItem, ...]]] = []
        end = -1
        for unit in self.units:
            if start_of(unit) > end or not runs:
                runs.append([])
            runs[-1].append(unit)
            end = max(end, end_of(unit))
        if len(runs) == 1 and len(self.units) > 1:
            half = len(self.units) // 2
            runs = [list(self.units[:half]), list(self.units[half:])]
        return tuple(_ask(self.framing, self.address, tuple(run), even=self.even) for run in runs)

    def values(self, data: bytes) -> tuple[RawValue, ...]:
        """The raw values of all items from the reply's data bytes."""
        if self.table in BIT_TABLES:
            at = [item.register - self.start for item in self.items]
            return tuple(
                item.decode(bytes([data[bit // 8] >> bit % 8 & 1])) for item, bit in zip(self.items, at, strict=True)
            )
        return tuple([decode(data[low:high]) for decode, low, high in self._cuts])

    @cached_property
    def _cuts(self) -> tuple[tuple[Callable[[bytes], RawValue], int, int], ...]:
        start = self.start
        return tuple((item.decode, 2 * (item.register - start), 2 * (item.end - start)) for item in self.items)


def _ask(framing: str, address: int, units: tuple[tuple[ModbusItem, ...], ...], *, even: bool = False) -> ModbusAsk:
    start = min(start_of(unit) for unit in units)
    end = max(end_of(unit) for unit in units)
    if even:
        start, end = start - start % 2, end + end % 2
    return ModbusAsk(framing, address, units[0][0].table, start, end - start, units, even)


class RtuExchange:
    """One RTU question. The frame is found behind any noise; what is not ours is never taken."""

    def __init__(self, ask: ModbusAsk, request: bytes) -> None:
        self.request = request
        self._ask = ask
        self._header = bytes([ask.address, ask.function, ask.data_size])
        self._refusal = bytes([ask.address, ask.function | EXCEPTION_BIT])
        self._size = ask.data_size + 5
        self._buffer = b""

    @property
    def want(self) -> int:
        """Bytes in total after which asking again makes sense."""
        buffer = self._buffer
        if not buffer:
            return self._size
        for at in range(len(buffer)):
            size = self._size_at(at)
            if size is not None and at + size > len(buffer):
                return at + size
        return len(buffer) + 1

    def _size_at(self, at: int) -> int | None:
        """The size of our frame if it may begin at `at`; None when it cannot."""
        head = self._buffer[at : at + 3]
        if self._header.startswith(head):
            return self._size
        if len(head) > 1 and head[:2] == self._refusal:
            return EXCEPTION_SIZE
        return None

    def receive(self, data: bytes) -> Reply | NeedData:
        """Our frame if it is complete and sound. Raises Refused for a sound exception frame of ours."""
        self._buffer += data
        for at in range(len(self._buffer)):
            size = self._size_at(at)
            if size is None or at + size > len(self._buffer):
                continue
            frame = self._buffer[at : at + size]
            if not has_sound_crc(frame):
                continue
            if size == EXCEPTION_SIZE and frame[1] & EXCEPTION_BIT:
                raise _refused(frame[2], self._buffer)
            return Reply(self._ask.values(frame[3:-2]), frame)
        return NEED_DATA

    def end(self) -> WireError | None:
        """What the bytes prove at the deadline."""
        buffer = self._buffer
        if not buffer:
            return None
        for at in range(len(buffer)):
            foreign = self._foreign_at(at)
            if foreign is not None:
                return foreign
        if any((size := self._size_at(at)) is not None and at + size <= len(buffer) for at in range(len(buffer))):
            return BadChecksum("frame of the right shape, CRC does not fit", buffer)
        if len(buffer) >= self._size:
            return BadChecksum(f"{len(buffer)} bytes, no sound frame among them", buffer)
        return Malformed(f"{len(buffer)} of {self._size} bytes", buffer)

    def _foreign_at(self, at: int) -> WireError | None:
        """A sound frame at `at` that is not the answer to this request."""
        buffer = self._buffer[at:]
        if len(buffer) < EXCEPTION_SIZE:
            return None
        size = EXCEPTION_SIZE if buffer[1] & EXCEPTION_BIT else 5 + buffer[2]
        for length in {size, len(self.request)}:
            frame = buffer[:length]
            if len(frame) == length and has_sound_crc(frame):
                if frame == self.request:
                    return Malformed("our own request came back: the adapter echoes", self._buffer)
                if frame[0] != self._ask.address:
                    return WrongAddress(f"address {frame[0]} answered, {self._ask.address} was asked", self._buffer)
                return Malformed(
                    f"function {frame[1]} with {frame[2]} bytes, expected {self._ask.function} with {self._header[2]}",
                    self._buffer,
                )
        return None


class TcpExchange:
    """One Modbus TCP question. Frames of other transactions are dropped; the stream itself must stay sound."""

    def __init__(self, ask: ModbusAsk, request: bytes) -> None:
        self.request = request
        self._ask = ask
        self._size = ask.data_size + MBAP_SIZE + 2
        self._buffer = b""
        self._dropped = b""

    @property
    def want(self) -> int:
        """Bytes in total after which asking again makes sense."""
        return len(self._dropped) + (self._size if not self._buffer else self._frame_size() or MBAP_SIZE)

    def _frame_size(self) -> int | None:
        buffer = self._buffer
        if len(buffer) < MBAP_SIZE - 1:
            return None
        length = int.from_bytes(buffer[4:6], "big")
        if buffer[2:4] != b"\0\0" or not 2 <= length <= _MAX_MBAP_LENGTH:  # noqa: PLR2004 - unit and function at least
            raise Malformed("no Modbus TCP header: is this RTU behind a transparent gateway?", self._dropped + buffer)
        return MBAP_SIZE - 1 + length

    def receive(self, data: bytes) -> Reply | NeedData:
        """Our frame when it is complete. Raises WireError as soon as the stream or our frame is wrong."""
        self._buffer += data
        while (size := self._frame_size()) is not None and len(self._buffer) >= size:
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            if frame[:2] == self.request[:2]:
                return self._checked(frame)
            self._dropped += frame  # an answer to an earlier request
        return NEED_DATA

    def _checked(self, frame: bytes) -> Reply:
        unit, function = frame[6], frame[7]
        if unit != self._ask.address:
            raise WrongAddress(f"unit {unit} answered, {self._ask.address} was asked", frame)
        if function == self._ask.function | EXCEPTION_BIT and len(frame) == MBAP_SIZE + 2:
            raise _refused(frame[8], frame)
        if function != self._ask.function or len(frame) != self._size or frame[8] != self._ask.data_size:
            got = frame[8] if len(frame) > MBAP_SIZE + 1 else 0
            expected = f"expected {self._ask.function} with {self._ask.data_size}"
            raise Malformed(f"function {function} with {got} bytes, {expected}", frame)
        return Reply(self._ask.values(frame[9:]), frame)

    def end(self) -> WireError | None:
        """What the bytes prove at the deadline; late answers to earlier requests prove nothing."""
        if self._buffer:
            return Malformed(f"{len(self._buffer)} of {self._size} bytes", self._dropped + self._buffer)
        return None


def _refused(code: int, received: bytes) -> Refused:
    kind = _REFUSALS.get(code, Refusal.NEVER)
    return Refused(code, kind, f"exception {code}: {EXCEPTIONS.get(code, 'unknown')}", received)


class ModbusDriver:
    """Modbus bound to a framing ("rtu", also behind a transparent TCP gateway, or "tcp") and to the line's costs."""

    def __init__(self, *, framing: str = "rtu", cost: WireCost | None = None) -> None:
        self._framing = framing
        self._cost = cost or WireCost()

    def item(self, spec: Mapping[str, Any]) -> ModbusItem:
        """Checks table, register, type, order, bits, missing of a profile entry. Raises SpecError."""
        return modbus_item(spec)

    def plan(
        self, address: str, bundles: Sequence[Sequence[ModbusItem]], limits: Mapping[str, Any]
    ) -> tuple[ModbusAsk, ...]:
        """The cheapest reads that cover all bundles. Raises SpecError (address, or a bundle too wide for one read)."""
        unit = self._unit(address)
        limit = limits_of(limits)
        asks: list[ModbusAsk] = []
        for table in _TABLES:
            units = sorted(
                {tuple(dict.fromkeys(b)) for b in bundles if b[0].table == table},
                key=lambda u: (start_of(u), end_of(u)),
            )
            most = _MAX_BITS if table in BIT_TABLES else limit.max_registers
            gap = most if limit.max_gap is None else limit.max_gap
            for group in grouped(units, cost=self._cost, most=most, gap=gap):
                ask = _ask(self._framing, unit, tuple(group), even=limit.even)
                if ask.size > most or {item.table for item in ask.items} != {table}:
                    raise SpecError("sum", "spec.too-wide", value=str(ask.size), limit=str(most))
                asks.append(ask)
        return tuple(asks)

    def _unit(self, address: str) -> int:
        low, high = (1, _LAST_RTU_ADDRESS) if self._framing == "rtu" else (0, _LAST_TCP_UNIT)
        if not (address.isascii() and address.isdigit() and low <= int(address) <= high):
            raise SpecError("address", "spec.address", value=address, limit=f"{low}…{high}")
        return int(address)

    def request_size(self, head: bytes) -> int | None:
        """Meter's side: length of the request that begins with `head`; None while it cannot be known."""
        if self._framing == "rtu":
            size = request_pdu_size(head[1:])
            return None if size is None else size + 3
        return None if len(head) < MBAP_SIZE else MBAP_SIZE - 1 + int.from_bytes(head[4:6], "big")

    def answer(self, request: bytes, memory: Mapping[str, Any]) -> bytes:
        """Meter's side: the reply of the meter addressed in `memory`, b"" when none answers (also to a bad CRC)."""
        if self._framing == "rtu":
            image = memory.get(str(request[0])) if has_sound_crc(request) else None
            if image is None:
                return b""
            reply = request[:1] + answer_pdu(request[1:-2], image)
            return reply + crc16(reply)
        is_modbus = len(request) > MBAP_SIZE and request[2:4] == b"\0\0"  # TCP/IP 4.4.2.2: else it is discarded
        image = memory.get(str(request[6])) if is_modbus else None
        if image is None:
            return b""
        pdu = answer_pdu(request[MBAP_SIZE:], image)
        return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu

    def recall(self, request: bytes, reply: bytes) -> dict[str, Any]:
        """The memory that a recorded RTU exchange proves. Raises WireError."""
        return recalled(request, reply)
