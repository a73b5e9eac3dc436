"""A meter's Modbus registers as its memory: {table: {register: word}}, written field by field."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from drivers.modbus_item import BIT_TABLES, ModbusItem

Memory = dict[str, dict[int, int]]

NOT_A_NUMBER = {"f32": bytes.fromhex("7fc00000"), "f64": bytes.fromhex("7ff8000000000000")}  # IEEE 754: a quiet NaN
_NOT_BCD_BYTE = 0xAB  # half-bytes above 9


class GapTable(dict[int, int]):
    """A table in which registers between the lowest and the highest one hold 0 instead of being refused."""

    def __missing__(self, register: int) -> int:
        if min(self, default=register + 1) <= register <= max(self):
            return 0
        raise KeyError(register)


def read(memory: Memory, item: ModbusItem) -> bytes | None:
    """The item's bytes as they would come on the wire; None when one of its registers is not there."""
    words = memory.get(item.table, {})
    if any(register not in words for register in range(item.register, item.end)):
        return None
    size = 1 if item.table in BIT_TABLES else 2
    return b"".join(words[register].to_bytes(size, "big") for register in range(item.register, item.end))


def written(memory: Memory, data: Iterable[tuple[ModbusItem, bytes]]) -> Memory:
    """A copy with the items' wire bytes in place; of an item that is some bits of a register only those change."""
    return _patched(memory, ((item, wire, _mask(item)) for item, wire in data))


def overwritten(memory: Memory, data: Iterable[tuple[ModbusItem, bytes]]) -> Memory:
    """A copy with the items' registers filled with `data` from the first bit to the last."""
    return _patched(memory, ((item, wire, b"\xff" * len(wire)) for item, wire in data))


def _patched(memory: Memory, data: Iterable[tuple[ModbusItem, bytes, bytes]]) -> Memory:
    tables = {table: type(words)(words) for table, words in memory.items()}
    for item, wire, mask in data:
        words = tables.setdefault(item.table, {})
        step = 1 if item.table in BIT_TABLES else 2
        for at in range(item.count):
            register = item.register + at
            kept = words.get(register, 0) & ~int.from_bytes(mask[at * step : (at + 1) * step], "big")
            words[register] = kept | int.from_bytes(wire[at * step : (at + 1) * step], "big")
    return tables


def _mask(item: ModbusItem) -> bytes:
    if item.bits is None:
        return b"\xff" * (2 * item.count)
    low, high = item.bits
    return item.encode(Decimal((1 << high - low + 1) - 1))


def not_a_number(item: ModbusItem) -> bytes | None:
    """Wire bytes that are no number; None for types that always are one."""
    plain = NOT_A_NUMBER.get(item.kind)
    if plain is None:
        return None
    wire = bytearray(len(plain))
    for place, index in enumerate(item.order):
        wire[index] = plain[place]
    return bytes(wire)


def all_ones(item: ModbusItem) -> bytes | None:
    """Wire bytes with every bit set; None for a single bit, where that is a value."""
    return None if item.kind == "bit" else b"\xff" * (2 * item.count)


def not_bcd(item: ModbusItem) -> bytes | None:
    """Wire bytes with half-bytes above 9; None for types that are not decimal-coded."""
    return bytes([_NOT_BCD_BYTE]) * (2 * item.count) if item.kind.startswith("bcd") else None
