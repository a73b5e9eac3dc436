"""Broken files: by hand, as a bad card would leave them."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from agent.faults import FaultCode
from agent.store import salvage
from agent.store.pages import Pages
from tests.agent.store.conftest import fill, layout_of, round_of
from tests.fakes import START_MS

PAGE = 1024


def filled(site, count: int = 3000) -> str:
    """A closed file with rounds, an uplink that has half of them, a fault; gives the epoch."""
    store = site.open()
    store.date_boot(START_MS, "host")
    store.begin_cursor("cloud")
    fill(store, count)
    store.park("cloud", 5, "packet too large")
    store.keep_cursor("cloud", ((count // 2 + 1, None),))
    store.faults.raised(FaultCode.METER_NO_REPLY, "meter/main-flow")
    store.close()
    epoch = site.reader().epoch
    site.close()
    return epoch


def spoil(path: Path, first: int, last: int, chance: random.Random | None = None) -> None:
    """Overwrites pages first…last (1 is the head of the file)."""
    with path.open("r+b") as file:
        file.seek((first - 1) * PAGE)
        size = (last - first + 1) * PAGE
        file.write(chance.randbytes(size) if chance else bytes(size))


def pages_of(path: Path) -> int:
    return path.stat().st_size // PAGE


def aside(site) -> list[Path]:
    return sorted(each for each in site.path.parent.iterdir() if ".damaged-" in each.name and each.name[-1].isdigit())


def expect_sound(rounds) -> None:
    """Whatever is read back is what was written."""
    for each in rounds:
        assert each.texts == (f"{each.number / 100:.2f}", "-1.5")
        assert each.at_ms == START_MS + 1000 * each.number


def test_a_hole_in_the_middle_costs_its_own_rounds_only(site):
    epoch = filled(site)
    before = site.path.read_bytes()
    middle = pages_of(site.path) // 2
    spoil(site.path, middle, middle + 2, random.Random(1))
    broken = site.path.read_bytes()
    store = site.open()
    store.suspect()
    fill(store, 1)
    rounds = site.rounds()
    expect_sound(rounds[:-1])
    assert 2850 <= len(rounds) - 1 < 3000
    assert {each.id.split("-")[0] for each in rounds[:-1]} == {epoch}
    assert rounds[-1].id.split("-")[0] != epoch
    assert rounds[-1].number == 3001
    (kept,) = aside(site)
    assert kept.read_bytes() == broken != before
    assert FaultCode.STORE_DAMAGED in {fault.code for fault in store.faults.open()}
    assert site.sql("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("damage", ["head", "no head at all", "cut in half", "garbage everywhere", "first pages"])
def test_the_agent_starts_whatever_happened_to_the_file(site, damage):
    epoch = filled(site)
    pages = pages_of(site.path)
    match damage:
        case "head":
            with site.path.open("r+b") as file:
                file.write(b"no database at all")
        case "no head at all":
            spoil(site.path, 1, 1, random.Random(2))
        case "cut in half":
            site.path.write_bytes(site.path.read_bytes()[: pages // 2 * PAGE])
        case "first pages":
            spoil(site.path, 1, 12)
        case "garbage everywhere":
            spoil(site.path, 1, pages, random.Random(3))
    store = site.open()
    store.date_boot(START_MS, "host")
    store.begin_cursor("cloud")
    fill(store, 10)
    rounds = site.rounds()
    assert len(aside(site)) == 1
    old = [each for each in rounds if each.id.startswith(epoch)]
    assert len(rounds) == len(old) + 10
    assert len(old) >= {"head": 3000, "no head at all": 3000, "cut in half": 800}.get(damage, 0)
    if old:
        expect_sound(old)
    assert FaultCode.STORE_DAMAGED in {fault.code for fault in store.faults.open()}
    store.close()
    store = site.open()
    assert store.committed == rounds[-1].number
    assert store.faults.open() == () or FaultCode.STORE_DAMAGED not in {fault.code for fault in store.faults.open()}


def test_what_a_platform_has_is_known_after_salvage(site):
    filled(site)
    spoil(site.path, pages_of(site.path) // 2, pages_of(site.path) // 2)
    store = site.open()
    store.suspect()
    store.commit()
    fill(store, 1)
    assert store.begin_cursor("cloud") == ((1501, None),)
    assert [each.number for each in site.reader().parked("cloud")] == [5]
    assert "METER-NO-REPLY" in {fault.code for fault in store.faults.open()}
    assert store.last_values("main-flow") == {"volume_forward": "30.01"}


def test_when_nobody_knows_who_had_what_everything_is_delivered_again_under_its_old_id(site):
    epoch = filled(site)
    with site.path.open("r+b") as file:
        file.write(bytes(100))
    store = site.open()
    assert store.begin_cursor("cloud") == ((1, None),)
    assert {each.id for each in site.rounds()} == {f"{epoch}-{number}" for number in range(1, 3001)}


def test_numbers_go_on_above_every_number_a_platform_has_seen(site):
    filled(site, 3000)
    last = pages_of(site.path)
    spoil(site.path, last - 30, last)  # the newest rounds
    store = site.open()
    store.suspect()
    number = store.append(round_of(1))
    store.commit()
    assert number == 3001
    assert store.committed == 3001
    counts = site.reader().counts()
    assert counts.rounds == len(site.rounds())


def test_damage_found_while_running_costs_no_round_that_comes_meanwhile(site):
    filled(site)
    store = site.open()
    reader = site.reader(on_damage=store.suspect)
    assert len(reader.rounds(1, 3000, limit=3000)) == 3000
    site.close()
    middle = pages_of(site.path) // 2
    spoil(site.path, middle, middle + 20, random.Random(4))
    store = site.open()
    reader = site.reader(on_damage=store.suspect)
    store.append(round_of(3001))
    with pytest.raises(sqlite3.DatabaseError):
        reader.rounds(1, 3000, limit=3000)
    store.append(round_of(3002))
    assert store.commit()
    rounds = reader.rounds(1, 9999, limit=9999)  # the same reader: it finds the new file by itself
    assert [each.number for each in rounds][-2:] == [3001, 3002]
    assert store.committed == 3002


def test_what_lies_in_the_log_is_salvaged_too(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 2000)
    site.kill()  # nothing was moved into the file yet
    assert site.path.with_name("qushui.db-wal").stat().st_size > 40_000
    site.path.write_bytes(b"no database at all" + site.path.read_bytes()[18:])
    store = site.open()
    assert store.committed == 2000
    fill(store, 1)
    assert site.numbers() == list(range(1, 2002))


def test_rows_deleted_long_ago_do_not_come_back(site):
    store = site.open(max_bytes=100_000)
    store.date_boot(START_MS, "host")
    fill(store, 5000)
    site.close()
    kept = site.numbers()
    site.close()
    pages = Pages(site.path.read_bytes(), b"", lambda: None)
    middle = kept[len(kept) // 2]
    (page,) = (n for n in range(2, pages.count + 1) if middle in {row[0] for row in pages._rows(pages.page(n), 0)})
    assert len({row[0] for row in pages.rows() if len(row) == 7}) > len(kept)  # free pages hold some still
    spoil(site.path, page, page)
    store = site.open()
    store.suspect()
    store.commit()
    fill(store, 1)
    assert aside(site)
    assert len(site.numbers()) > len(kept) / 2
    assert set(site.numbers()) <= {*kept, 5001}


@pytest.mark.parametrize("step", ["built", "log moved", "file moved"])
def test_a_kill_while_files_are_exchanged_loses_nothing(site, monkeypatch, step):
    filled(site)
    spoil(site.path, 1, 1)
    moves = iter({"built": [False], "log moved": [True, False], "file moved": [True, True, True, False]}[step])
    rename = Path.rename

    def killed(self, target):
        if ".salvaging" not in self.name and not next(moves):
            raise KeyboardInterrupt
        return rename(self, target)

    (site.path.parent / "qushui.db-wal").write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            site.open()
    store = site.open()
    assert store.committed == 3000
    fill(store, 1)
    assert site.numbers() == list(range(1, 3002))
    assert len(aside(site)) == 1


def test_a_salvage_that_was_interrupted_begins_again(site, monkeypatch):
    filled(site)
    spoil(site.path, 1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(salvage, "_copy_pages", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            site.open()
    assert not aside(site)
    assert site.open().committed == 3000


def test_bare_pages_give_every_row_long_ones_too(site):
    store = site.open()
    long = [replace(round_of(number), raw=(bytes([number % 256]) * number,)) for number in range(1, 3000, 7)]
    for each in long:
        store.append(each)
    store.commit()
    log = site.path.with_name("qushui.db-wal").read_bytes()
    pages = Pages(site.path.read_bytes(), log, lambda: None)
    found = {row[0]: row[-1] for row in pages.rows() if len(row) == 7 and isinstance(row[-1], bytes)}
    stored = dict(site.sql("SELECT number, raw FROM round"))
    assert found == stored
    assert len(found) == len(long)


def test_random_damage_never_stops_the_agent_and_never_changes_a_number(site):
    filled(site, 1000)
    sound = site.path.read_bytes()
    chance = random.Random(5)
    salvaged = 0
    for _ in range(25):
        site.close()
        for each in site.path.parent.iterdir():
            if each.is_file():
                each.unlink()
        site.path.write_bytes(sound)
        for _ in range(chance.randrange(1, 4)):
            first = chance.randrange(1, pages_of(site.path))
            spoil(site.path, first, first + chance.randrange(3), chance if chance.random() < 0.5 else None)
        store = site.open()
        store.suspect()
        number = store.append(round_of(1))
        assert store.commit()
        assert store.committed == number
        salvaged += number > 500
        for each in site.rounds()[:-1]:
            assert each.texts == (f"{each.number / 100:.2f}", "-1.5")
    assert salvaged > 20


def test_a_layout_known_to_the_process_is_not_lost_with_the_file(site):
    store = site.open()
    other = layout_of("pump-kwh", ("energy_import", "power"))
    fill(store, 100)
    fill(store, 1, layout=other)
    store._writer.close()
    spoil(site.path, 1, pages_of(site.path))
    site.path.with_name("qushui.db-wal").unlink(missing_ok=True)
    store.suspect()
    store.append(round_of(7, layout=other))
    assert store.commit()
    (only,) = site.rounds()
    assert only.layout == other
    assert only.number == 102


@pytest.mark.parametrize(
    ("layout", "raw"),
    [
        (layout_of(), b"\x05abc"),  # a reply that is cut short
        (layout_of(), b"\x80"),  # a length that never ends
        (replace(layout_of("well-3"), protocol="intake"), b"\x03\xff{}"),  # a proof that is none
    ],
)
def test_a_round_whose_replies_are_torn_is_not_salvaged(site, layout, raw):
    filled(site, 10)
    store = site.open()
    proof = (b"{}",) if layout.protocol == "intake" else (b"abcd",)
    number = store.append(replace(round_of(11, layout=layout), raw=proof))
    store.append(round_of(12))
    store.close()
    with sqlite3.connect(site.path) as connection:
        connection.execute("UPDATE round SET raw = ? WHERE number = ?", (raw, number))
    connection.close()
    salvage.replace(site.path, least=0, now=site.clock.now(), beat=lambda: None)
    assert site.numbers() == [*range(1, number), number + 1]
