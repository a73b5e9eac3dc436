"""`qushui verify` as an inspector types it: a database, copies of it, packages, heads kept elsewhere."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent import heads
from agent.cli.main import main
from agent.export import Summary, export
from agent.signing import key_place, sign, signed_text
from tests.agent.store.conftest import Site, fill, site
from tests.fakes import START_MS

__all__ = ["site"]  # the fixture

NOW = datetime(2026, 9, 21, tzinfo=UTC)


def signed(site: Site, rounds: int = 2300, day: str = "2026-09-21") -> dict:
    """A closed file whose newest seal is signed; gives the head."""
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, rounds)
    store.seal_soon()
    store.commit()
    head = heads.sign_now(site.path, store, station="S1", day=day, now=NOW)
    site.close()
    return head


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict]:
    status = main(["verify", *map(str, words), "--json"])
    return status, json.loads(capsys.readouterr().out)


def change(path: Path, sql: str) -> Path:
    """A copy with one thing changed."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute(sql).rowcount
        connection.commit()
    return copy


def test_a_sound_database_is_whole_and_its_head_holds(site, capsys):
    head = signed(site)
    config = site.path.with_name("agent.yaml")
    config.write_text(f"store: {{path: {site.path}}}\n", encoding="utf-8")
    status, told = said(capsys, "-c", config, "--key", head["key"], "--head", json.dumps(head))
    assert status == 0
    assert told["whole"]
    assert told["rounds"] == {"first": 1, "last": 2300, "stored": 2300, "absent": 0, "unsealed": 0}
    assert [(each["day"], each["state"]) for each in told["heads"]] == [("2026-09-21", "GOOD")]
    assert told["held"] == "SAME"
    assert told["keys"] == [head["key"]]


def test_a_running_agents_database_is_verified_on_a_snapshot(site, capsys):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 1500)
    status, told = said(capsys, site.path)
    assert (status, told["rounds"]["unsealed"]) == (0, 500)


def test_the_first_break_is_named_with_round_date_meter_and_hashes(site, capsys):
    signed(site)
    copy = change(site.path, "UPDATE round SET body = x'42' WHERE number = 1234")
    status = main(["verify", str(copy), "--lang", "en"])
    text = " ".join(capsys.readouterr().out.split())
    assert status == 1
    assert "NOT as it was sealed" in text
    assert "Table round, row 1234: changed after it was sealed." in text
    assert "-1234" in text
    assert "2026-09-21 22:33:54" in text
    assert "main-flow" in text
    assert main(["verify", str(copy), "--lang", "zh"]) == 1
    assert "封存后被改动" in capsys.readouterr().out


def test_who_makes_the_chain_anew_is_found_by_a_head_that_others_hold(site, capsys, tmp_path):
    head = signed(site)
    forged = Site(tmp_path / "forged")
    forged.path.parent.mkdir()
    shutil.copy(key_place(site.path), key_place(forged.path))  # the owner has the key
    signed(forged, 2310)
    status, told = said(capsys, forged.path)
    assert (status, told["whole"]) == (0, True)
    status, told = said(capsys, forged.path, "--head", json.dumps(head))
    assert (status, told["held"]) == (1, "HEAD_HASH")
    assert told["breaks"][0]["expected"] == head["hash"]


def test_a_file_whose_end_was_cut_off_lacks_the_heads_seal(site, capsys):
    head = signed(site)
    with closing(sqlite3.connect(site.path)) as connection:
        for sql in ("seal WHERE id >= 3", "round WHERE number > 2000", "ledger", "epoch WHERE first > 2000"):
            connection.execute(f"DELETE FROM {sql}")
        connection.commit()
    assert said(capsys, site.path)[0] == 0  # what is left is sound in itself
    kept = site.path.with_name("head.json")
    kept.write_text(json.dumps(head), encoding="utf-8")
    status, told = said(capsys, site.path, "--head", kept)
    assert (status, told["held"]) == (1, "HEAD_SEAL")


def test_a_head_or_key_that_is_not_the_stations_is_refused(site, capsys):
    head = signed(site)
    status, told = said(capsys, site.path, "--key", "3f0a-91c2-77de-4b15")
    assert (status, told["breaks"][0]["code"]) == (1, "HEAD_KEY")
    other = {**head, "signature": sign(site.path.with_name("other.key"), signed_text(head)).signature.hex()}
    status, told = said(capsys, site.path, "--head", json.dumps(other))
    assert (status, told["held"]) == (1, "HEAD_SIGNATURE")
    moved = {**head, "day": "2026-09-22"}
    assert said(capsys, site.path, "--head", json.dumps(moved))[1]["held"] == "HEAD_SIGNATURE"


def test_every_head_of_a_longer_life_holds_and_a_changed_one_is_found(site, capsys):
    signed(site)
    signed(site, 10, "2026-09-22")
    assert [each["state"] for each in said(capsys, site.path)[1]["heads"]] == ["GOOD", "GOOD"]
    copy = change(site.path, "UPDATE ledger SET body = replace(body, '2026-09-22', '2026-09-23') WHERE kind = 'head'")
    told = said(capsys, copy)[1]
    assert {each["code"] for each in told["breaks"]} >= {"CHANGED", "HEAD_SIGNATURE"}


@pytest.mark.parametrize(
    "words",
    [("nowhere.db",), ("{text}",), ("{db}", "--key", "short"), ("{db}", "--head", "{{}}"), ("{db}", "--head", "none")],
)
def test_what_makes_no_sense_is_wrong_input(site, capsys, words):
    signed(site)
    text = site.path.with_name("text.db")
    text.write_text("no database at all\n" * 100, encoding="utf-8")
    assert main(["verify", *(word.format(db=site.path, text=text) for word in words)]) == 2
    assert capsys.readouterr().err


# --- packages


def packed(site: Site, name: str, from_ms: int | None = None, to_ms: int | None = None) -> tuple[Path, Summary]:
    out = site.path.with_name(name)
    return out, export(site.path, from_ms, to_ms, out, key_place(site.path))


def test_a_package_of_the_whole_and_of_a_period_is_verified_without_the_station(site, capsys):
    head = signed(site, 4300)
    whole, summary = packed(site, "whole.zip")
    assert (summary.rounds, summary.first, summary.last) == (4300, 1, 4300)
    assert summary.key == head["key"]
    assert said(capsys, whole, "--key", head["key"], "--head", json.dumps(head))[0] == 0
    part, summary = packed(site, "part.zip", None, START_MS + 100_000)
    assert summary.rounds == 3000  # whole seals, and what may have waited while the period ended
    status, told = said(capsys, part, "--key", head["key"])
    assert (status, told["rounds"]["absent"]) == (0, 1300)


def test_the_same_content_gives_the_same_package(site):
    signed(site)
    first, second = packed(site, "first.zip")[0], packed(site, "second.zip")[0]
    assert first.read_bytes() == second.read_bytes()


def repacked(package: Path, member: str, old: bytes, new: bytes) -> Path:
    copy = package.with_name("altered.zip")
    with zipfile.ZipFile(package) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == member:
                assert old in data
                data = data.replace(old, new, 1)
            target.writestr(name, data)
    return copy


def test_a_changed_package_is_found_by_its_manifest_and_by_the_chain(site, capsys):
    signed(site)
    package, _ = packed(site, "whole.zip")
    altered = repacked(package, "round.jsonl", b'"boot_ms":77000,', b'"boot_ms":77001,')
    status, told = said(capsys, altered)
    assert status == 1
    assert {(each["code"], each["key"]) for each in told["breaks"]} >= {("CHANGED", 77), ("MEMBER", 0)}
    renamed = repacked(package, "manifest.json", b'"last": 2300', b'"last": 2299')
    assert "HEAD_SIGNATURE" in {each["code"] for each in said(capsys, renamed)[1]["breaks"]}


@pytest.mark.parametrize(
    ("member", "old", "new"),
    [
        ("round.jsonl", b'"number":7,', b"'number':7,"),
        ("round.jsonl", b'"boot_ms":7000,', b'"boot_ms":"late",'),
        ("epoch.jsonl", b'"epoch"', b'"epocx"'),
        ("manifest.json", b'"first"', b"'first'"),
    ],
)
def test_a_byte_that_makes_a_member_unreadable_is_an_alteration_of_that_member(site, capsys, member, old, new):
    signed(site, rounds=50)
    package, _ = packed(site, "whole.zip")
    status, told = said(capsys, repacked(package, member, old, new))
    assert status == 1
    assert [(each["code"], each["table"]) for each in told["breaks"]] == [("MEMBER", member)]


def test_a_byte_changed_inside_the_packed_data_is_an_alteration_too(site, capsys):
    signed(site, rounds=50)
    package, _ = packed(site, "whole.zip")
    data = bytearray(package.read_bytes())
    at = data.index(b"round.jsonl") + 60
    data[at] ^= 1
    package.write_bytes(data)
    status, told = said(capsys, package)
    assert status == 1
    assert told["breaks"][0]["table"] == "round.jsonl"


def test_no_byte_of_a_members_packed_data_changes_unnoticed(site, capsys):
    """Some changes break the packing, some only a line of it, some both: each is an alteration of that member."""
    signed(site, rounds=50)
    package, _ = packed(site, "whole.zip")
    data = package.read_bytes()
    with zipfile.ZipFile(package) as archive:
        info = archive.getinfo("round.jsonl")
    name_length, extra_length = struct.unpack_from("<HH", data, info.header_offset + 26)
    begin = info.header_offset + 30 + name_length + extra_length  # the local header of APPNOTE 4.3.7
    altered = package.with_name("altered.zip")
    for at in range(begin, begin + info.compress_size, max(1, info.compress_size // 25)):
        altered.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        status, told = said(capsys, altered)
        assert (status, told["breaks"][0]["table"]) == (1, "round.jsonl"), at


def test_a_member_that_is_missing_or_that_nobody_named_is_an_alteration(site, capsys):
    signed(site, rounds=50)
    package, _ = packed(site, "whole.zip")
    other = package.with_name("other.zip")
    with zipfile.ZipFile(package) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    without = {name: data for name, data in members.items() if name != "ledger.jsonl"}
    for named, content in (("ledger.jsonl", without), ("extra.txt", {**members, "extra.txt": b"x"})):
        with zipfile.ZipFile(other, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        status, told = said(capsys, other)
        assert status == 1
        assert [(each["code"], each["table"]) for each in told["breaks"]] == [("MEMBER", named)]


def test_what_is_no_package_of_ours_is_wrong_input(site, capsys):
    signed(site)
    package, _ = packed(site, "whole.zip")
    assert main(["verify", str(repacked(package, "manifest.json", b'"form": 1', b'"form": 9'))]) == 2
    assert capsys.readouterr().err
