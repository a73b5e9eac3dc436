"""Rows out of the bare pages of a broken SQLite file, when SQLite itself cannot find its way. Pure.

Strategy: each table leaf says itself what lies in it, so neither the file's head nor its tree is needed. The log's
newest whole transactions go before the file's pages. Whoever calls tells the tables apart by the shape of their rows,
and drops what comes twice: freed pages hold old copies. Tables WITHOUT ROWID (the queues among them) are not found.
Source: sqlite.org/fileformat2.html, sections 1.6 (b-tree pages), 1.7 (overflow), 2.1 (records), 4.1 (log).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from agent.store.database import PAGE_BYTES

Row = tuple[Any, ...]

_FILE_HEAD = 100  # bytes before the b-tree of page 1
_TABLE_LEAF = 0x0D
_LEAF_HEAD = 8
_LARGEST_LOCAL = PAGE_BYTES - 35  # table leaves keep a row of up to this size whole
_SMALLEST_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23
_NEXT = 4  # an overflow page begins with the number of the next
_LOG_HEAD, _FRAME_HEAD = 32, 24
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)  # by serial type
_REAL, _ZERO, _ONE, _FIRST_BLOB = 7, 8, 9, 12
_LONGEST_VARINT = 9
_PAGES_A_BEAT = 1000


class Bytes(Protocol):
    """A file's content: bytes or a memory map."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class Pages:
    """The pages of a file and its log, by number, which begins at 1."""

    def __init__(self, file: Bytes, log: Bytes, beat: Callable[[], None]) -> None:
        """`beat` is called now and then by `rows`."""
        self._beat = beat
        self._file = file
        self._log = log
        self._frames = _frames(log)
        self.count = max(len(file) // PAGE_BYTES, *self._frames, 0)

    def page(self, number: int) -> bytes:
        """The newest content of a page; short or empty beyond the end."""
        at = self._frames.get(number)
        if at is not None:
            return self._log[at : at + PAGE_BYTES]
        return self._file[(number - 1) * PAGE_BYTES : number * PAGE_BYTES]

    def rows(self) -> Iterator[Row]:
        """The rows of all table leaves, the row's number first; what is not whole is left out."""
        for number in range(1, self.count + 1):
            if number % _PAGES_A_BEAT == 0:
                self._beat()
            yield from self._rows(self.page(number), _FILE_HEAD if number == 1 else 0)

    def _rows(self, page: bytes, head: int) -> Iterator[Row]:
        if len(page) < PAGE_BYTES or page[head] != _TABLE_LEAF:
            return
        (cells,) = struct.unpack_from(">H", page, head + 3)
        for index in range(min(cells, PAGE_BYTES // 4)):
            try:
                (at,) = struct.unpack_from(">H", page, head + _LEAF_HEAD + 2 * index)
                size, at = _varint(page, at)
                number, at = _varint(page, at)
                yield (number, *_record(self._payload(page, at, size)))
            except (IndexError, ValueError, struct.error):  # what a broken page says of itself need not be true
                continue

    def _payload(self, page: bytes, at: int, size: int) -> bytes:
        """A row's bytes, collected over its overflow pages. Raises ValueError when they are not all there."""
        local = size
        if size > _LARGEST_LOCAL:
            local = _SMALLEST_LOCAL + (size - _SMALLEST_LOCAL) % (PAGE_BYTES - _NEXT)
            local = local if local <= _LARGEST_LOCAL else _SMALLEST_LOCAL
        data = page[at : at + local]
        more = page[at + local : at + local + _NEXT] if size > local else b""
        while len(data) < size and 0 < int.from_bytes(more) <= self.count:
            following = self.page(int.from_bytes(more))
            part = following[_NEXT : _NEXT + size - len(data)]
            if not part:
                break
            data += part
            more = following[:_NEXT]
        if len(data) != size:
            raise ValueError("row is cut")
        return data


def _frames(log: Bytes) -> dict[int, int]:
    """Where the newest content of each page lies in the log, uncommitted frames left out."""
    salt = log[16:24]
    found: dict[int, int] = {}
    waiting: dict[int, int] = {}
    for at in range(_LOG_HEAD, len(log) - _FRAME_HEAD - PAGE_BYTES + 1, _FRAME_HEAD + PAGE_BYTES):
        number, commit = struct.unpack(">II", log[at : at + 8])
        if log[at + 8 : at + 16] != salt:
            break
        waiting[number] = at + _FRAME_HEAD
        if commit:
            found.update(waiting)
            waiting.clear()
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes, most significant first, and where it ends."""
    value = 0
    for index in range(_LONGEST_VARINT - 1):
        value = value << 7 | data[at + index] & 0x7F
        if not data[at + index] & 0x80:
            return value, at + index + 1
    return value << 8 | data[at + _LONGEST_VARINT - 1], at + _LONGEST_VARINT


def _record(data: bytes) -> Iterator[Any]:
    """The columns of a row."""
    end, at = _varint(data, 0)
    body = end
    while at < end:
        kind, at = _varint(data, at)
        size = _size(kind)
        part = data[body : body + size]
        if len(part) != size:
            raise ValueError("column is cut")
        yield _value(kind, part)
        body += size


def _size(kind: int) -> int:
    if kind >= _FIRST_BLOB:
        return (kind - _FIRST_BLOB) // 2
    if kind < _REAL:
        return _INTEGER_BYTES[kind]
    if kind in {_ZERO, _ONE}:
        return 0
    raise ValueError(f"serial type {kind} is not ours")


def _value(kind: int, part: bytes) -> int | str | bytes | None:
    if kind >= _FIRST_BLOB:
        return part.decode("utf-8") if kind % 2 else part
    if kind == 0:
        return None
    if kind < _REAL:
        return int.from_bytes(part, signed=True)
    return kind - _ZERO
