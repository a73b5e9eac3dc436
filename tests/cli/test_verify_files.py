"""`qushui verify` of files that are not what they should be: empty, cut off, prolonged, something else."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.cli.main import main
from tests.agent.store.conftest import Site, site
from tests.cli.test_verify import packed, said, signed

__all__ = ["site"]  # the fixture

ENTRY_BYTES, END_BYTES, HEADER_BYTES = 46, 22, 30  # APPNOTE 4.3.12, 4.3.16, 4.3.7, without names


@pytest.fixture
def package(site: Site) -> Path:
    signed(site, rounds=5)
    return packed(site, "whole.zip")[0]


def found(capsys: pytest.CaptureFixture[str], path: Path) -> list[tuple[str, str, int]]:
    """The breaks: code, member, bytes."""
    status, told = said(capsys, path)
    assert status == (1 if told["breaks"] else 0)
    return [(each["code"], each["table"], each["key"]) for each in told["breaks"]]


def refused(capsys: pytest.CaptureFixture[str], path: Path, lang: str) -> str:
    capsys.readouterr()
    assert main(["verify", str(path), "--lang", lang]) == 2
    return "".join(capsys.readouterr().err.split())


def test_an_empty_file_is_said_to_be_empty(tmp_path, capsys):
    path = tmp_path / "copy.db"
    path.touch()
    assert "空文件（0字节）" in refused(capsys, path, "zh")
    assert "isempty(0bytes)" in refused(capsys, path, "en")


def test_what_is_no_database_or_package_is_said_to_be_neither(tmp_path, capsys):
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("x", encoding="utf-8")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE photo (id INTEGER)")
    for path in (text, other):
        assert "既不是qushui的数据库，也不是导出包" in refused(capsys, path, "zh")
    assert "isadirectory" in refused(capsys, tmp_path, "en")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_database_copied_without_the_log_beside_it_is_said_to_be_just_that(site, tmp_path, capsys, lang):
    store = site.open()
    assert store.flush()
    shutil.copy(site.path, tmp_path / "copy.db")
    text = refused(capsys, tmp_path / "copy.db", lang)
    assert "copy.db-wal" in text
    assert "reportexport" in text


def test_a_zip_of_something_else_is_said_to_be_no_package(tmp_path, capsys):
    path = tmp_path / "photos.zip"
    for name in ("well.jpg", "manifest.json"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, "{}")
        assert "nopackageofqushui" in refused(capsys, path, "en")


def test_a_package_that_was_not_copied_whole_is_said_to_be_cut_off(package, capsys):
    data = package.read_bytes()
    for length in (40, len(data) // 2, len(data) - 1):
        package.write_bytes(data[:length])
        assert found(capsys, package) == [("CUT", "", length)]


def test_a_database_that_was_not_copied_whole_is_said_to_be_cut_off(site, capsys):
    signed(site)
    copy = site.path.with_name("copy.db")
    copy.write_bytes(site.path.read_bytes()[:20_000])
    assert found(capsys, copy) == [("UNREADABLE", "", 0)]


@pytest.mark.parametrize("count", [1, 22, 70_000])
def test_bytes_behind_a_package_are_found_and_counted(package, capsys, count):
    package.write_bytes(package.read_bytes() + b"x" * count)
    assert found(capsys, package) == [("BEHIND", "", count)]


def test_bytes_before_a_package_are_found_and_counted(package, site, capsys):
    data = package.read_bytes()
    package.write_bytes(b"#!/bin/sh\n" + data)
    assert found(capsys, package) == [("BEFORE", "epoch.jsonl", 10)]
    shutil.copy(site.path, package)  # a database and a package in one file
    size = package.stat().st_size
    with package.open("ab") as file:
        file.write(data)
    assert found(capsys, package) == [("BEFORE", "epoch.jsonl", size)]


def test_a_comment_of_the_zip_is_bytes_behind_it(package, capsys):
    with zipfile.ZipFile(package, "a") as archive:
        archive.comment = b"hidden"
    assert found(capsys, package) == [("BEHIND", "", 6)]


def inserted(data: bytes, at: int, hidden: bytes) -> bytearray:
    """The package with bytes put in at an offset, and every offset behind them corrected."""
    out = bytearray(data[:at] + hidden + data[at:])
    end = len(out) - END_BYTES
    (entry,) = struct.unpack_from("<L", out, end + 16)
    struct.pack_into("<L", out, end + 16, entry + len(hidden))
    entry += len(hidden)
    while entry < end:
        (offset,) = struct.unpack_from("<L", out, entry + 42)
        if offset >= at:
            struct.pack_into("<L", out, entry + 42, offset + len(hidden))
        entry += ENTRY_BYTES + sum(struct.unpack_from("<HHH", out, entry + 28))
    return out


def places(package: Path, name: str) -> tuple[int, int, int]:
    """Where a member's header begins, where its packed data end, where its entry in the table of contents begins."""
    data = package.read_bytes()
    with zipfile.ZipFile(package) as archive:
        info, entry = archive.getinfo(name), archive.start_dir
        for each in archive.namelist()[: archive.namelist().index(name)]:
            entry += ENTRY_BYTES + len(each)
    lengths = sum(struct.unpack_from("<HH", data, info.header_offset + 26))
    return info.header_offset, info.header_offset + HEADER_BYTES + lengths + info.compress_size, entry


def test_bytes_between_members_are_found_and_counted(package, capsys):
    data = package.read_bytes()
    begin, _, _ = places(package, "seal.jsonl")
    package.write_bytes(inserted(data, begin, b"slack"))
    assert found(capsys, package) == [("BETWEEN", "seal.jsonl", 5)]
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("x", "")
    package.write_bytes(data)
    with zipfile.ZipFile(package) as archive:
        table = archive.start_dir
    package.write_bytes(inserted(data, table, b"slack"))
    assert found(capsys, package) == [("BETWEEN", "", 5)]


def test_bytes_behind_the_last_block_of_packed_data_are_found(package, capsys):
    begin, end, entry = places(package, "round.jsonl")
    out = inserted(package.read_bytes(), end, b"slack")
    entry += 5
    (packed_bytes,) = struct.unpack_from("<L", out, entry + 20)
    struct.pack_into("<L", out, entry + 20, packed_bytes + 5)
    struct.pack_into("<Q", out, begin + HEADER_BYTES + len("round.jsonl") + 12, packed_bytes + 5)  # its ZIP64 field
    package.write_bytes(out)
    with zipfile.ZipFile(package) as archive:
        assert archive.testzip() is None  # a usual reader sees nothing
    assert found(capsys, package) == [("PACKING", "round.jsonl", 0)]


def with_extra(archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes) -> None:
    info.extra = b"\xfe\xca\x04\x00hide"
    archive.writestr(info, data)


def with_comment(archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes) -> None:
    info.comment = b"hidden"
    archive.writestr(info, data)


def twice(archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(info.filename), b"another round")
    archive.writestr(info, data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("write", [with_extra, with_comment, twice])
def test_what_is_packed_along_with_a_member_is_found(
    package: Path, capsys, write: Callable[[zipfile.ZipFile, zipfile.ZipInfo, bytes], None]
):
    with zipfile.ZipFile(package) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(package, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            if name == "round.jsonl":
                write(archive, info, data)
            else:
                archive.writestr(info, data)
    assert ("PACKING", "round.jsonl", 0) in found(capsys, package)


def test_words_between_those_of_the_manifest_are_found(package, capsys):
    with zipfile.ZipFile(package) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["manifest.json"] = members["manifest.json"].replace(b"{", b'{"form": "hidden",', 1)
    with zipfile.ZipFile(package, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert found(capsys, package) == [("MEMBER", "manifest.json", 0)]


def test_a_package_that_another_program_packed_anew_is_still_whole(package, capsys):
    with zipfile.ZipFile(package) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert found(capsys, package) == []


def test_a_change_of_any_header_or_end_record_is_found(package, capsys):
    """Every byte outside the packed data; free is what a program that packs says of itself and of permissions."""
    data = package.read_bytes()
    with zipfile.ZipFile(package) as archive:
        table = archive.start_dir
        names = archive.namelist()
    headers = [places(package, name) for name in names]
    free = {entry + at for _, _, entry in headers for at in (4, 5, *range(36, 42))}
    outside = [at for begin, _, _ in headers for at in range(begin, begin + HEADER_BYTES)]
    outside += [at for at in range(table, len(data)) if at not in free]
    altered = package.with_name("altered.zip")
    for at in outside:
        altered.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        status = main(["verify", str(altered), "--json"])
        text = capsys.readouterr().out
        assert status in {1, 2}, at
        assert status == 2 or json.loads(text)["breaks"], at
