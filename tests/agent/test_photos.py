"""Photos are known by their content, kept once, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.photos import PhotoError, keep, type_of


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"\0\0"))
    + chunk(b"IEND", b"")
)
JPEG = (
    b"\xff\xd8"
    b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    b"\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"
    b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x12\x34"
    b"\xff\xd9"
)
WEBP = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8L" + struct.pack("<I", 10) + b"\x2f" + bytes(9)
WHOLE = {"image/png": PNG, "image/jpeg": JPEG, "image/webp": WEBP}


@pytest.mark.parametrize("kind", list(WHOLE))
def test_a_photo_is_known_by_its_content_whatever_its_name(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "photo.txt"
    source.write_bytes(WHOLE[kind])
    photo = keep(source, tmp_path / "state.db")
    assert photo.type == kind
    assert photo.sha256 == hashlib.sha256(WHOLE[kind]).hexdigest()
    assert photo.bytes == len(WHOLE[kind])
    assert (tmp_path / photo.file).read_bytes() == WHOLE[kind]
    assert photo.file.startswith(f"photos/{photo.sha256}.")


@pytest.mark.parametrize("kind", list(WHOLE))
def test_a_photo_that_was_cut_off_is_none(kind: str) -> None:
    for size in range(len(WHOLE[kind])):
        assert type_of(WHOLE[kind][:size]) is None, size


def test_a_byte_that_changed_in_a_png_is_noticed() -> None:
    for at in range(len(PNG)):
        assert type_of(PNG[:at] + bytes([PNG[at] ^ 1]) + PNG[at + 1 :]) is None, at


@given(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF"]), st.binary(max_size=200))
def test_any_bytes_have_a_type_or_none(head: bytes, tail: bytes) -> None:
    assert type_of(head + tail) in {None, *WHOLE}


def test_the_same_photo_twice_is_one_file(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(PNG)
    first = keep(source, tmp_path / "state.db")
    at = (tmp_path / first.file).stat()
    assert keep(source, tmp_path / "state.db") == first
    assert (tmp_path / first.file).stat().st_mtime_ns == at.st_mtime_ns
    assert [each.name for each in (tmp_path / "photos").iterdir()] == [Path(first.file).name]


def test_what_is_too_large_missing_or_no_photo_is_named(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    for content, most, code in ((PNG, len(PNG) - 1, "SIZE"), (b"hello", 100, "TYPE"), (heic, 100, "HEIC")):
        source.write_bytes(content)
        with pytest.raises(PhotoError) as caught:
            keep(source, tmp_path / "state.db", most_bytes=most)
        assert caught.value.code == code
    with pytest.raises(PhotoError) as caught:
        keep(tmp_path / "nothing.png", tmp_path / "state.db")
    assert caught.value.code == "FILE"
    assert not (tmp_path / "photos").exists()


def test_a_disk_that_refuses_leaves_nothing_under_the_photos_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(PNG)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PhotoError) as caught:
        keep(source, tmp_path / "state.db")
    assert caught.value.code == "STORE"
    assert list((tmp_path / "photos").iterdir()) == []
    monkeypatch.undo()
    assert keep(source, tmp_path / "state.db").type == "image/png"
