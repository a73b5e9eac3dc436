"""A meter's memory as `Driver.answer` reads it, written field by field; the items know where each has its place."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from drivers.contract import Item

Memory = dict[str, Any]
"""Modbus: {table: {register: word}}; protocols of data identifiers: {identifier: bytes}."""

UNMERGED = "unmerged"
"""Key of a memory that answers only for single identifiers, not for blocks of them."""


class GapTable(dict[int, int]):
    """A table in which registers between the lowest and the highest one hold 0 instead of being refused."""

    def __missing__(self, register: int) -> int:
        if min(self, default=register + 1) <= register <= max(self):
            return 0
        raise KeyError(register)


def with_gaps(memory: Memory) -> Memory:
    """The memory with tables of registers that hold 0 in their gaps."""
    return {name: GapTable(part) if isinstance(part, dict) else part for name, part in memory.items()}


def without_gaps(memory: Memory) -> Memory:
    """The memory of a meter that refuses to be asked for more than one thing at once."""
    return {name: dict(part) if isinstance(part, GapTable) else part for name, part in memory.items()} | {UNMERGED: {}}


def written(memory: Memory, data: Iterable[tuple[Item, bytes]]) -> Memory:
    """A copy with the items' wire bytes in place; of an item that is some bits of a register only those change."""
    return _patched(memory, data, whole=False)


def overwritten(memory: Memory, data: Iterable[tuple[Item, bytes]]) -> Memory:
    """A copy with the items' places filled with `data` from the first bit to the last."""
    return _patched(memory, data, whole=True)


def _patched(memory: Memory, data: Iterable[tuple[Item, bytes]], *, whole: bool) -> Memory:
    parts = {name: copy.copy(part) for name, part in memory.items()}
    for item, wire in data:
        item.put(parts, wire, whole=whole)
    return parts
