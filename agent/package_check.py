"""Whether every byte of a package belongs to one of its members, so that nothing lies where a reader of ZIPs passes.

    strays(archive, file) -> what lies before, between and behind the members, or in their headers
    unopened(path) -> why a ZIP could not even be opened

Strategy: a reader goes from the end record to the table of contents and from there to the members; what is not on that
way it never sees. Here the file is walked from its first byte on. Each member's header must repeat what the table of
contents says and be followed by its packed data alone; then come the table, the end record, and nothing. Free are only
the table's own words on permissions and on the program that packed, which differ by program, and the bits that fill up
the last byte of packed data.
Source: PKWARE APPNOTE 6.3.10, 4.3.7 (header), 4.3.12 (table of contents), 4.3.14–4.3.16 (end records), 4.5.3 (ZIP64).
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct, pack
from struct import error as StructError  # noqa: N812 - a class
from typing import IO, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

BEGIN = b"PK\x03\x04"
"""How a package begins."""

_END, _END64 = b"PK\x05\x06", b"PK\x06\x06"
_END_BYTES, _END64_BYTES = 22, 56 + 20  # 4.3.16; 4.3.14 with its locator, 4.3.15
_LONGEST_COMMENT = 0xFFFF
_HEADER = Struct("<4s14sLLHH")  # what a header shares with the table of contents in one piece; sizes; lengths
_ENTRY = Struct("<4sH14sLLHHHHHLL")
_FLAGS = slice(2, 4)  # of that piece
_NAME_FLAGS = {b"\0\0", b"\0\x08"}  # none, or the name is UTF-8: 4.4.4; others bring bytes behind the data
_ELSEWHERE = 0xFFFFFFFF  # the size is in the ZIP64 field
_ZIP64 = 1
_TABLE = "ZIP"
_PIECE = 1 << 16
_INFLATED = 1 << 20


class Stray(NamedTuple):
    """Bytes of a package that belong to no member.

    `code`: BEFORE, BETWEEN or BEHIND the members with their `size`; PACKING where the headers or the packed data of
    `member` hold anything else ("ZIP": the table of contents); CUT where the file's end is missing.
    """

    code: str
    member: str
    size: int


class UnopenedError(Exception):
    """The file begins as a package and cannot be opened as one."""

    def __init__(self, stray: Stray) -> None:
        super().__init__(stray.code)
        self.stray = stray


class _Entry(NamedTuple):
    """A member as the table of contents has it."""

    info: ZipInfo
    name: bytes
    shared: bytes
    is_plain: bool


def strays(archive: ZipFile, file: IO[bytes]) -> list[Stray]:
    """All of them, in the order of the file. `file` is the archive's own, opened once more."""
    found, at = [], 0
    entries = list(_entries(archive, file))
    table_end = file.tell()
    seen: set[bytes] = set()
    for entry in sorted(entries, key=lambda each: each.info.header_offset):
        gap = entry.info.header_offset - at
        if gap > 0:
            found.append(Stray("BETWEEN" if at else "BEFORE", entry.info.filename, gap))
        try:
            is_exact, end = _member(file, entry)
        except (OSError, ValueError, StructError):  # the table of contents points beyond the file
            is_exact, end = False, at
        if gap < 0 or entry.name in seen or not is_exact:
            found.append(Stray("PACKING", entry.info.filename, 0))
        seen.add(entry.name)
        at = max(at, end)
    if archive.start_dir != at:
        found.append(Stray("BETWEEN", "", archive.start_dir - at))
    is_shifted = any(each.code == "BEFORE" for each in found)
    return found + list(_tail(archive, file, table_end, is_shifted=is_shifted))


def unopened(path: Path) -> Stray:
    """Why a file that begins as a package cannot be opened: it was cut off, or prolonged beyond what readers search."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        behind = len(data) - data.rfind(_END) - _END_BYTES
        if data.rfind(_END) < 0 or behind < 0:
            return Stray("CUT", "", len(data))
        return Stray("BEHIND", "", behind) if behind > _LONGEST_COMMENT else Stray("PACKING", _TABLE, 0)


def _entries(archive: ZipFile, file: IO[bytes]) -> Iterator[_Entry]:
    """The table of contents as it lies in the file, which is read up to its end."""
    file.seek(archive.start_dir)
    for info in archive.infolist():
        fields = _ENTRY.unpack(file.read(_ENTRY.size))
        _, _, shared, packed, size, name_bytes, extra_bytes, comment_bytes, disk, _, _, offset = fields
        name, extra = file.read(name_bytes), file.read(extra_bytes)
        file.read(comment_bytes)
        wide = 8 * [size, packed, offset].count(_ELSEWHERE)
        head = pack("<HH", _ZIP64, wide) if wide else b""
        is_plain = not comment_bytes and not disk and len(extra) == len(head) + wide and extra.startswith(head)
        yield _Entry(info, name, shared, is_plain)


def _member(file: IO[bytes], entry: _Entry) -> tuple[bool, int]:
    """Whether a member's header and packed data hold what the table of contents says and no more; where it ends."""
    info = entry.info
    file.seek(info.header_offset)
    begin, shared, packed, size, name_bytes, extra_bytes = _HEADER.unpack(file.read(_HEADER.size))
    name, extra = file.read(name_bytes), file.read(extra_bytes)
    end = file.tell() + info.compress_size
    is_short = (packed, size, extra) == (info.compress_size, info.file_size, b"")
    wide = pack("<HHQQ", _ZIP64, 16, info.file_size, info.compress_size)
    is_wide = (packed, size, extra) == (_ELSEWHERE, _ELSEWHERE, wide)
    is_header = (begin, shared, name) == (BEGIN, entry.shared, entry.name) and shared[_FLAGS] in _NAME_FLAGS
    return entry.is_plain and is_header and (is_short or is_wide) and _is_filled(file, info), end


def _is_filled(file: IO[bytes], info: ZipInfo) -> bool:
    """Whether the packed data are the member from their first to their last byte."""
    if info.compress_type != ZIP_DEFLATED:
        return info.compress_type == ZIP_STORED and info.compress_size == info.file_size
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    left, size = info.compress_size, 0
    try:
        while left and not inflating.eof and size <= info.file_size:
            piece = file.read(min(left, _PIECE))
            left -= len(piece)
            while piece and size <= info.file_size:
                size += len(inflating.decompress(piece, _INFLATED))
                piece = inflating.unconsumed_tail
    except zlib.error:
        return False
    return inflating.eof and not left and not inflating.unused_data and size == info.file_size


def _tail(archive: ZipFile, file: IO[bytes], table_end: int, *, is_shifted: bool) -> Iterator[Stray]:
    """What lies behind the table of contents beside the end record. `is_shifted`: its offset may be of before."""
    file.seek(table_end)
    rest = file.read(_END64_BYTES + _END_BYTES)
    count, begin = len(archive.infolist()), archive.start_dir
    size = table_end - begin
    end = pack("<4s4H2LH", _END, 0, 0, count, count, min(size, _ELSEWHERE), min(begin, _ELSEWHERE), 0)
    if rest.startswith(_END64):
        wide = pack("<4sQ2H2L4Q", _END64, 44, 45, 45, 0, 0, count, count, size, begin)
        end = wide + pack("<4sLQL", b"PK\x06\x07", 0, table_end, 1) + end
    behind = file.seek(0, 2) - table_end - len(end)
    if behind > 0:
        yield Stray("BEHIND", "", behind)
    elif rest != end and not is_shifted:
        yield Stray("PACKING", _TABLE, 0)
