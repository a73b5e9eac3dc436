"""`qushui verify` of what `qushui report quarter --out` wrote: each file as the gateway signed it, or which is not."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli import report as verb
from agent.cli.main import main
from agent.reports.package import manifest_text
from agent.signing import fingerprint, key_place, sign, with_signature
from tests.bookkept import Books, ms

AFTER = ms("2026-10-06T00:00")  # the five days for late data are over
STEM = "pumphouse-12-2026Q3-v1"
MANIFEST, VOUCHER, TABLE = f"{STEM}-manifest.json", f"{STEM}.en.html", f"{STEM}-rows.csv"


def reported(books: Books, out: Path, *words: str, lang: str = "en") -> Path:
    line = ["report", "quarter", "2026Q3", *words, "-c", str(books.config), "--out", str(out), "--lang", lang]
    assert main(line) == 0
    return out


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """One that has frozen the quarter."""
    made = Books(tmp_path_factory.mktemp("books"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verb, "time_of", lambda *_: AFTER)
        reported(made, made.path.parent / "voucher", "--freeze", "--who", "Li Wei")
    return made


@pytest.fixture
def package(station: Books, tmp_path: Path) -> Path:
    return shutil.copytree(station.path.parent / "voucher", tmp_path / "voucher")


def said(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> dict:
    capsys.readouterr()
    status = main(["verify", str(path), *words, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert status == (0 if told["whole"] else 1)
    return told


def found(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> list[tuple[str, str]]:
    return [(each["code"], each["table"]) for each in said(capsys, path, *words)["breaks"]]


def zipped(package: Path, folder: str = "") -> Path:
    path = package.with_name("voucher.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted(package.iterdir()):
            archive.write(each, folder + each.name)
    return path


def flipped(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def rewritten(package: Path, **changes: object) -> dict:
    manifest = json.loads((package / MANIFEST).read_bytes()) | changes
    (package / MANIFEST).write_bytes(manifest_text(manifest))
    return manifest


def test_a_frozen_quarters_package_is_whole_as_directory_and_as_zip(station: Books, package: Path, capsys) -> None:
    public = sign(key_place(station.path), b"").public
    for path in (package, zipped(package), zipped(package, "2026Q3/")):
        told = said(capsys, path)
        assert told["breaks"] == []
        (listed,) = told["packages"]
        assert (listed["period"], listed["version"], listed["files"]) == ("2026Q3", 1, 5)
        assert found(capsys, path, "--key", listed["key"]) == []
        assert found(capsys, path, "--key", public.hex()) == []
        assert f">{listed['key']}<" in (package / VOUCHER).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("lang", "trust"), [("zh", "别人手里的指纹"), ("en", "the fingerprint that somebody else holds")]
)
def test_a_whole_package_says_what_the_trust_in_its_key_rests_on(package: Path, capsys, lang: str, trust: str) -> None:
    assert main(["verify", str(package), "--lang", lang]) == 0
    assert trust.replace(" ", "") in "".join(capsys.readouterr().out.split())


def test_a_changed_byte_in_any_file_names_that_file(package: Path, capsys) -> None:
    for path in sorted(package.iterdir()):
        whole = path.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            flipped(path, at)
            assert path.name in {name for _, name in found(capsys, package)}, (path.name, at)
            assert path.name in {name for _, name in found(capsys, zipped(package))}, (path.name, at)
            path.write_bytes(whole)
    assert found(capsys, package) == []


def test_no_byte_of_the_manifest_changes_unnoticed(package: Path, capsys) -> None:
    path = package / MANIFEST
    for at in range(0, path.stat().st_size, 7):
        flipped(path, at)
        assert MANIFEST in {name for _, name in found(capsys, package)}, at
        flipped(path, at)
    path.write_bytes(path.read_bytes().replace(b"{", b'{"form":2,', 1))
    assert found(capsys, package) == [("LIST_DAMAGED", MANIFEST)]


def test_a_file_changed_together_with_the_list_is_found_by_the_signature(package: Path, capsys) -> None:
    (package / TABLE).write_bytes(b"well-3,1\r\n")
    files = json.loads((package / MANIFEST).read_bytes())["files"]
    rewritten(package, files=files | {TABLE: hashlib.sha256(b"well-3,1\r\n").hexdigest()})
    assert found(capsys, package) == [("LIST_SIGNATURE", MANIFEST)]


def test_a_missing_file_is_named_and_so_is_one_too_many(package: Path, capsys) -> None:
    (package / TABLE).unlink()
    (package / "note.txt").touch()
    (package / "more").mkdir()
    expected = [("MEMBER_MISSING", TABLE), ("MEMBER_ADDED", "more"), ("MEMBER_ADDED", "note.txt")]
    assert found(capsys, package) == expected
    (package / "more").rmdir()
    assert found(capsys, zipped(package, "q/")) == [expected[0], expected[2]]
    (package / MANIFEST).unlink()
    assert found(capsys, package) == [("LIST_MISSING", MANIFEST), ("MEMBER_ADDED", "note.txt")]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_in_a_zip_is_one_too_many(package: Path, capsys) -> None:
    path = zipped(package)
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(package / TABLE, TABLE)
    assert found(capsys, path) == [("MEMBER_ADDED", TABLE)]


def test_a_zip_that_was_not_copied_whole_is_said_to_be_cut_off(package: Path, capsys) -> None:
    path = zipped(package)
    path.write_bytes(path.read_bytes()[:-1])
    assert [code for code, _ in found(capsys, path)] == ["CUT"]


def test_a_foreign_key_is_found_whatever_else_was_made_anew(package: Path, tmp_path: Path, capsys) -> None:
    ours = json.loads((package / MANIFEST).read_bytes())["key"]
    place = tmp_path / "foreign.key"
    public = sign(place, b"").public

    def signed_by_another(manifest: dict) -> str:
        told = with_signature(manifest, place, {fingerprint(public)})
        (package / MANIFEST).write_bytes(manifest_text(told))
        return told["key"]

    theirs = signed_by_another({**rewritten(package), "public": public.hex()})
    assert found(capsys, package) == [("REPORT_SIGNATURE", MANIFEST), ("SHOWN_KEY", VOUCHER)]
    assert found(capsys, package, "--key", ours) == [("LIST_KEY", MANIFEST)]
    voucher = (package / VOUCHER).read_text(encoding="utf-8").replace(ours, theirs)
    (package / VOUCHER).write_text(voucher, encoding="utf-8")
    manifest = json.loads((package / MANIFEST).read_bytes())
    signed_by_another(manifest | {"files": manifest["files"] | {VOUCHER: hashlib.sha256(voucher.encode()).hexdigest()}})
    assert found(capsys, package) == [("REPORT_SIGNATURE", MANIFEST)]


@pytest.mark.parametrize(("lang", "words"), [("zh", "没有签名"), ("en", "not signed")])
def test_a_draft_is_said_to_bear_no_signature(station: Books, tmp_path: Path, capsys, lang: str, words: str) -> None:
    path = reported(station, tmp_path / "draft", "--draft")
    assert found(capsys, path) == [("UNSIGNED", "pumphouse-12-2026Q3-draft-manifest.json")]
    assert main(["verify", str(path), "--lang", lang]) == 1
    assert words.replace(" ", "") in "".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("lang", "words"), [("zh", "包内缺少"), ("en", "is missing")])
def test_the_file_is_named_in_both_languages(package: Path, capsys, lang: str, words: str) -> None:
    (package / TABLE).unlink()
    assert main(["verify", str(package), "--lang", lang]) == 1
    out = "".join(capsys.readouterr().out.split())
    assert words.replace(" ", "") in out
    assert TABLE in out


def test_where_the_key_of_the_freezing_is_not_the_list_is_drawn_unsigned_and_that_is_said(
    station: Books, tmp_path: Path, capsys
) -> None:
    key = key_place(station.path)
    held = key.rename(tmp_path / "held.key")
    try:
        for name in ("without", "with another"):
            capsys.readouterr()
            path = reported(station, tmp_path / name)
            assert "is not signed" in " ".join(capsys.readouterr().err.split())
            assert found(capsys, path) == [("UNSIGNED", MANIFEST)]
            assert key.exists() == (name != "without"), "a report makes no key"
            sign(key, b"")
    finally:
        held.replace(key)


def test_two_runs_make_the_same_bytes_and_a_second_language_is_signed_along(
    station: Books, package: Path, tmp_path: Path, capsys
) -> None:
    again = reported(station, tmp_path / "again")
    assert {each.name: each.read_bytes() for each in again.iterdir()} == {
        each.name: each.read_bytes() for each in package.iterdir()
    }
    reported(station, package, "--format", "html", lang="zh")
    told = said(capsys, package)
    assert (told["breaks"], told["packages"][0]["files"]) == ([], 6)


@pytest.mark.parametrize("forge", [lambda manifest: manifest, lambda manifest: manifest | {"signature": "00" * 64}])
def test_the_gateway_signs_nothing_that_somebody_else_put_into_the_directory(
    station: Books, package: Path, capsys, forge: Callable[[dict], dict]
) -> None:
    (package / TABLE).write_bytes(b"well-3,1\r\n")
    files = json.loads((package / MANIFEST).read_bytes())["files"]
    rewritten(package, **forge({"files": files | {TABLE: hashlib.sha256(b"well-3,1\r\n").hexdigest()}}))
    reported(station, package, "--format", "html", lang="zh")
    assert ("MEMBER_ADDED", TABLE) in found(capsys, package)


def test_versions_beside_each_other_are_each_verified(station: Books, package: Path, capsys) -> None:
    reported(station, package, "--draft")
    told = said(capsys, package)
    assert [each["status"] for each in told["packages"]] == ["draft", "frozen"]
    assert [each["code"] for each in told["breaks"]] == ["UNSIGNED"]


def test_a_manifest_stands_for_its_own_package_among_other_files(station: Books, package: Path, capsys) -> None:
    reported(station, package, "--draft")
    (package / "photos").mkdir()
    (package / "letter.pdf").touch()
    assert found(capsys, package / MANIFEST) == []
    (package / f"{STEM}.zh.html").touch()
    (package / TABLE).unlink()
    assert found(capsys, package / MANIFEST) == [("MEMBER_MISSING", TABLE), ("MEMBER_ADDED", f"{STEM}.zh.html")]


def test_a_directory_of_something_else_and_a_head_are_wrong_input(package: Path, tmp_path: Path, capsys) -> None:
    assert main(["verify", str(tmp_path), "--lang", "en"]) == 2
    assert "without a voucher package" in " ".join(capsys.readouterr().err.split())
    assert main(["verify", str(package), "--head", '{"seal": 1, "hash": ""}', "--lang", "en"]) == 2
    assert "holds no chain" in " ".join(capsys.readouterr().err.split())
