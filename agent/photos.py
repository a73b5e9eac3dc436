"""Photos as evidence: known by their content, kept once under their own hash, never renamed, never overwritten.

Strategy: the name of a file says nothing, its bytes do. The hash is the name it is kept by, so the same photo twice
is one file, and a file that is there is complete: it is written beside, brought to the disk and then renamed.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from agent.whole import sync

MOST_BYTES = 8_000_000
DIRECTORY = "photos"
"""Beside the database."""

_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK_HEAD = 8  # length and type
_CHUNK_FRAME = 12  # with the check sum
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG: SOF0 … SOF15 without DHT, JPG, DAC
_SCAN, _END = 0xDA, b"\xff\xd9"
_PHONE = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif")  # brands of ISO/IEC 23008-12 and AV1 pictures
_WEBP = (b"VP8 ", b"VP8L", b"VP8X")
_MODE = 0o640


class Photo(NamedTuple):
    """A photo that is kept; `file` is its path below the database's directory."""

    sha256: str
    bytes: int
    type: str
    file: str


class PhotoError(Exception):
    """Why a file is not taken as a photo: `code` names the sentence `photo.wrong.CODE`, `arguments` fill it."""

    def __init__(self, code: str, **arguments: object) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


def type_of(data: bytes) -> str | None:
    """`image/jpeg`, `image/png` or `image/webp`; None for anything else, and for one that was cut off."""
    if _is_jpeg(data):
        return "image/jpeg"
    if _is_png(data):
        return "image/png"
    return "image/webp" if _is_webp(data) else None


def _is_jpeg(data: bytes) -> bool:
    """Segments up to the scan, with a frame among them, and an end behind it (ITU-T T.81, B.1)."""
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    at, has_frame = 2, False
    while at + 4 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 - every marker begins so
        marker = data[at + 1]
        has_frame |= marker in _FRAMES
        if marker == _SCAN:
            return has_frame and _END in data[at:]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _is_png(data: bytes) -> bool:
    """Every chunk up to IEND sound, the first one IHDR (ISO/IEC 15948, 5.3)."""
    if not data.startswith(_PNG):
        return False
    at = len(_PNG)
    while at + _CHUNK_FRAME <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + _CHUNK_HEAD + size
        if end + 4 > len(data) or int.from_bytes(data[end : end + 4], "big") != zlib.crc32(data[at + 4 : end]):
            return False
        if at == len(_PNG) and kind != b"IHDR":
            return False
        if kind == b"IEND":
            return True
        at = end + 4
    return False


def _is_webp(data: bytes) -> bool:
    """A RIFF container of its whole length with a VP8 chunk first (RFC 9649, 2.3 to 2.5)."""
    if len(data) < 20 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":  # noqa: PLR2004 - RIFF head and a chunk's
        return False
    return data[12:16] in _WEBP and int.from_bytes(data[4:8], "little") + 8 <= len(data)


def keep(source: Path, store: Path, *, most_bytes: int = MOST_BYTES) -> Photo:
    """Takes the file `source` into the photos beside the database `store`.

    After it returns a kill or power cut does not lose the photo; before, nothing but a `.part` may be left, which the
    next try replaces. A full disk leaves nothing under the photo's name.
    Raises: PhotoError: not there, too big, none of the three types; or the directory cannot be written.
    """
    data = _content(source, most_bytes)
    kind = type_of(data)
    if kind is None:
        is_of_a_phone = data[4:8] == b"ftyp" and data[8:12] in _PHONE
        raise PhotoError("HEIC" if is_of_a_phone else "TYPE", path=source)
    digest = hashlib.sha256(data).hexdigest()
    name = f"{DIRECTORY}/{digest}.{_EXTENSIONS[kind]}"
    try:
        _write_once(store.parent / name, data)
    except OSError as error:
        raise PhotoError("STORE", path=store.parent / DIRECTORY, detail=error.strerror or str(error)) from error
    return Photo(digest, len(data), kind, name)


def _content(source: Path, most_bytes: int) -> bytes:
    try:
        size = source.stat().st_size
        if size > most_bytes:
            raise PhotoError("SIZE", path=source, bytes=size, most=most_bytes)
        return source.read_bytes()
    except OSError as error:
        raise PhotoError("FILE", path=source, detail=error.strerror or str(error)) from error


def _write_once(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    _hand_over(path.parent)
    if path.exists() and path.stat().st_size == len(data):
        return
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _hand_over(part)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    for directory in (path.parent, path.parent.parent):
        sync(directory)


def _hand_over(path: Path) -> None:
    """What root has made here belongs to whom the directory belongs to."""
    owner = path.parent.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(path, owner.st_uid, owner.st_gid)
