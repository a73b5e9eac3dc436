"""The meter's side of Modbus: PDUs that answer reads from a register image. For simulators and tests. Pure.

Source: Modbus application protocol V1.1b3, 6.1–6.4 and 7.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers.contract import BadChecksum, Malformed, WrongAddress
from drivers.octets import has_sound_crc

_TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}  # function code: table
_BIT_FUNCTIONS = (1, 2)
_FIXED_FUNCTIONS = frozenset({1, 2, 3, 4, 5, 6})  # function, address, count or value
_WRITE_MULTIPLE = frozenset({15, 16})
_FIXED_SIZE = 5
_MOST = {1: 2000, 2: 2000, 3: 125, 4: 125}
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 1, 2, 3


def request_pdu_size(head: bytes) -> int | None:
    """Bytes of the request PDU that begins with `head`; None while unknown. Unknown functions count as five bytes."""
    if not head:
        return None
    if head[0] in _WRITE_MULTIPLE:
        return None if len(head) <= _FIXED_SIZE else _FIXED_SIZE + 1 + head[_FIXED_SIZE]
    return _FIXED_SIZE


def answer_pdu(pdu: bytes, image: Mapping[str, Mapping[int, int]]) -> bytes:
    """The reply PDU; an exception PDU for what this image does not have. `image` maps table to {address: word}."""
    function = pdu[0]
    if function not in _TABLES:
        return _exception(function, _ILLEGAL_FUNCTION)
    start, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    if len(pdu) != _FIXED_SIZE or not 1 <= count <= _MOST[function]:
        return _exception(function, _ILLEGAL_VALUE)
    words = image.get(_TABLES[function], {})
    try:
        values = [words[address] for address in range(start, start + count)]
    except KeyError:
        return _exception(function, _ILLEGAL_ADDRESS)
    if function in _BIT_FUNCTIONS:
        bits = sum(1 << at for at, value in enumerate(values) if value)
        data = bits.to_bytes((count + 7) // 8, "little")
    else:
        data = b"".join(value.to_bytes(2, "big") for value in values)
    return bytes([function, len(data)]) + data


def _exception(function: int, code: int) -> bytes:
    return bytes([function | 0x80, code])


def recalled(request: bytes, reply: bytes) -> dict[str, dict[str, dict[int, int]]]:
    """The memory of `answer` that a recorded RTU read and its reply prove. Raises WireError when they prove none."""
    for frame in (request, reply):
        if not has_sound_crc(frame):
            raise BadChecksum("the CRC of a recorded frame does not fit", frame)
    table = _TABLES.get(request[1])
    if table is None or len(request) != _FIXED_SIZE + 3:
        raise Malformed("the recorded request is no read", request)
    if reply[0] != request[0]:
        raise WrongAddress(f"address {reply[0]} answered, {request[0]} was asked", reply)
    start, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
    data, is_bits = reply[3:-2], request[1] in _BIT_FUNCTIONS
    size = (count + 7) // 8 if is_bits else 2 * count
    if reply[1:3] != bytes([request[1], size & 0xFF]) or len(data) != size:
        raise Malformed(f"the recorded reply has {len(data)} bytes of data, {size} were asked for", reply)
    if is_bits:
        words = {start + at: data[at // 8] >> at % 8 & 1 for at in range(count)}
    else:
        words = {start + at: int.from_bytes(data[2 * at : 2 * at + 2], "big") for at in range(count)}
    return {str(request[0]): {table: words}}
