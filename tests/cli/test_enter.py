"""`qushui enter`: what a person says goes into the books once, with who said it; slips are asked, mistakes refused."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.control import ControlError
from agent.model import Round
from agent.store.store import Store
from tests.agent.store.conftest import layout_of
from tests.agent.test_photos import PNG
from tests.cli.desk import READING, REPLACEMENT, Say, days_ago, ledger, ms_of, round_at
from tests.fakes import QuietLog
from tests.system.processes import Daemon


def test_a_reading_by_hand_is_a_round_with_its_own_time_and_its_evidence(here: Path, say: Say) -> None:
    (here / "IMG 1").write_bytes(PNG)  # a name says nothing
    at = days_ago(3)
    status, out, err = say(*READING, "1234.50", "--at", at, "--photo", str(here / "IMG 1"), "--note", "wet", "--json")
    assert status == 0, err
    told = json.loads(out)
    (row,) = ledger(here)
    assert (row.kind, row.subject, row.at_ms, row.who) == ("reading", "old-well", ms_of(at), "Li")
    assert row.body["value"] == "1234.50"
    assert row.body["note"] == "wet"
    assert (here / "state" / row.body["photo"][0]["file"]).read_bytes() == PNG
    found = round_at(here, "old-well", ms_of(at))
    assert (found.at_ms, found.texts, found.layout.protocol) == (ms_of(at), ("1234.50",), "manual")
    assert told["round"] == row.body["round"] == found.id


def test_a_polled_meter_can_be_read_by_hand_too(here: Path, say: Say) -> None:
    assert say("enter", "reading", "main-flow", "volume_forward", "12.5", "--at", days_ago(1))[0] == 0
    assert round_at(here, "main-flow", ms_of(days_ago(1))).texts == ("12.5",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("enter", "reading", "old-wel", "volume_forward", "1"), "Did you mean old-well?"),
        (("enter", "reading", "old-well", "volume_forwrad", "1"), "volume_forward"),
        (("enter", "reading", "well-3", "volume_forward", "1"), "name its meter: main-flow"),
        (("enter", "reading", "old-well", "flow_rate", "1"), "does not tell flow_rate"),
        ((*READING, "12,5"), "12,5 is no number"),
        ((*READING, "-1"), "below 0"),
        ((*READING, "NaN"), "no number"),
        (("enter", "reading", "main-flow", "volume_forward", "1000000"), "6 digits"),
        ((*READING, "1.1234567"), "decimal places"),
    ],
)
def test_what_cannot_be_is_refused_and_named(here: Path, say: Say, words: tuple[str, ...], said: str) -> None:
    status, out, err = say(*words, "--at", days_ago(1))
    assert (status, out) == (2, "")
    assert said in err
    assert not (here / "state" / "qushui.db").exists()


def test_a_time_that_has_not_come_or_is_none_is_refused(say: Say) -> None:
    for at, said in ((days_ago(-2), "has not come"), ("yesterday", "is no time"), ("1999-01-01 08:00", "is no time")):
        status, _, err = say(*READING, "1", "--at", at)
        assert status == 2
        assert said in err


def test_a_slip_of_the_finger_is_asked_before_it_is_booked(here: Path, say: Say) -> None:
    assert say(*READING, "1000", "--at", days_ago(5))[0] == 0
    for value, at, said in (
        ("10000", days_ago(4), "far from"),
        ("999", days_ago(4), "below the last known"),
        ("1000", days_ago(6), "derived anew"),
    ):
        status, _, err = say(*READING, value, "--at", at)
        assert status == 1
        assert said in " ".join(err.split())
        assert "--yes" in err
    assert len(ledger(here)) == 1
    assert say(*READING, "10000", "--at", days_ago(4), "--yes")[0] == 0
    assert say(*READING, "10100", "--at", days_ago(3))[0] == 0
    assert [row.body["value"] for row in ledger(here)] == ["1000", "10000", "10100"]


def test_a_second_reading_of_one_moment_is_asked(here: Path, say: Say) -> None:
    at = days_ago(2)
    assert say(*READING, "1000", "--at", at)[0] == 0
    for value in ("1000", "1010"):
        status, _, err = say(*READING, value, "--at", at)
        assert status == 1
        assert "1000 at" in " ".join(err.split())
    assert len(ledger(here)) == 1
    assert say(*READING, "1010", "--at", at, "--yes")[0] == 0
    assert say(*READING, "1e4", "--at", days_ago(1))[2].startswith("10000 ")


def test_a_day_without_its_time_is_none_of_a_reading(say: Say) -> None:
    status, _, err = say(*READING, "1", "--at", days_ago(2)[:10])
    assert status == 2
    assert "08:00" in err


def test_a_photo_that_is_none_stops_the_entry(here: Path, say: Say) -> None:
    (here / "a.jpg").write_bytes(b"not a photo")
    status, _, err = say(*READING, "1", "--at", days_ago(1), "--photo", str(here / "a.jpg"))
    assert status == 2
    assert "a.jpg" in err
    (here / "b.png").write_bytes(PNG)
    status, _, err = say(*READING, "1", "--at", days_ago(1), "--photo", str(here / "b.png"), "--photo-max", "0.00001")
    assert status == 2
    assert "--photo-max" in err
    assert not (here / "state" / "qushui.db").exists()


def polled(here: Path, *shown: tuple[str, str | None]) -> None:
    """Rounds of main-flow at these times; None: it gave no answer."""
    clock = SystemClock("host")
    clock.refresh()
    store = Store(
        here / "state" / "qushui.db", clock=clock, log=QuietLog(), keep_s=1e9, max_bytes=1 << 32, free_bytes=0
    )
    store.open()
    store.date_boot(clock.offset_ms, "host")
    for at, value in shown:
        values = (None if value is None else Decimal(value),)
        quality = {"volume_forward": ("NO_REPLY",)} if value is None else {}
        layout = layout_of("main-flow", ("volume_forward",))
        store.append(Round(layout=layout, boot_ms=0, values=values, quality=quality, raw=(b"",)), at_ms=ms_of(at))
    store.close()


def test_what_a_meter_showed_before_it_fell_silent_is_still_known(here: Path, say: Say) -> None:
    """A meter that is replaced has mostly given no answer for a while: the rounds since then hold no value."""
    silence = [(days_ago(4, hour), None) for hour in range(10, 20)]
    polled(here, (days_ago(4), "5000"), *silence)
    words = ("enter", "replacement", "main-flow", "--quantity", "volume_forward", "--new-initial", "0")
    status, _, err = say(*words, "--old-final", "50", "--at", days_ago(3))
    assert status == 1
    assert "5000" in err
    assert say(*words, "--old-final", "5001", "--at", days_ago(3))[0] == 0
    polled(here, *((days_ago(2, hour), None) for hour in range(10, 20)))
    status, _, err = say(*words, "--old-final", "5001", "--at", days_ago(1))
    assert status == 1
    assert "enter withdrawal" in " ".join(err.split())


def test_only_a_counter_can_be_replaced_or_decided_on(say: Say) -> None:
    words = ("--quantity", "flow_rate", "--at", days_ago(1), "--new-initial", "0", "--yes")
    status, _, err = say("enter", "replacement", "main-flow", *words)
    assert status == 2
    assert "no counter" in err


def test_a_decision_says_how_often_or_that_nobody_knows(here: Path, say: Say) -> None:
    words = ("enter", "decision", "main-flow", "--quantity", "volume_forward", "--register", "12.3", "--reason", "gap")
    assert say(*words, "--wraps", "1", "--at", days_ago(2))[0] == 0
    assert say(*words, "--restart", "--at", days_ago(1), "--yes")[0] == 0
    assert say(*words)[0] == 2  # one of the two has to be said
    assert say(*words, "--wraps", "-1")[0] == 2
    assert [(row.kind, row.body["wraps"], row.body["register"]) for row in ledger(here)] == [
        ("decision", 1, "12.3"), ("decision", None, "12.3"),
    ]  # fmt: skip


def test_what_was_wrong_is_withdrawn_by_an_entry_of_its_own(here: Path, say: Say) -> None:
    at = days_ago(1)
    assert say(*READING, "1", "--at", days_ago(2))[0] == 0
    assert say(*REPLACEMENT, "--at", at, "--old-final", "1240.5", "--new-initial", "7")[0] == 0
    wrong = ledger(here)[-1]
    status, out, err = say("enter", "withdrawal", str(wrong.id), "--reason", "other meter", "--json")
    assert status == 0, err
    row = ledger(here)[-1]
    assert (row.kind, row.subject, row.at_ms, row.who) == ("withdrawal", "pump-kwh", ms_of(at), "Li")
    assert row.body == {"id": wrong.id, "kind": "replacement", "reason": "other meter"}
    assert json.loads(out)["id"] == row.id
    assert ledger(here)[-2] == wrong, "what was entered stays"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_only_what_stands_can_be_withdrawn_and_once(here: Path, say: Say, lang: str) -> None:
    words = ("--reason", "slip")
    assert say("enter", "withdrawal", "1", *words, lang=lang)[0] == 2
    assert say(*READING, "1", "--at", days_ago(2))[0] == 0
    assert say(*REPLACEMENT, "--at", days_ago(1), "--old-final", "5", "--new-initial", "0")[0] == 0
    status, _, err = say("enter", "withdrawal", "1", *words, lang=lang)  # the reading is a round and stays one
    assert status == 2
    assert {"en": "2 (meter replaced pump-kwh", "zh": "2（换表 pump-kwh"}[lang] in " ".join(err.split())
    assert say("enter", "withdrawal", "2", *words, lang=lang)[0] == 0
    status, _, err = say("enter", "withdrawal", "2", *words, lang=lang)
    assert status == 2
    assert "3" in err


def test_a_nameplate_is_kept_with_its_photos_and_needs_one(here: Path, say: Say) -> None:
    (here / "plate").write_bytes(PNG)
    assert say("enter", "nameplate", "pump-kwh")[0] == 2
    assert say("enter", "nameplate", "pump-kw", "--photo", str(here / "plate"))[0] == 2
    words = ("--photo", str(here / "plate"), "--at", days_ago(2), "--note", "new CT")
    assert say("enter", "nameplate", "pump-kwh", *words)[0] == 0
    (row,) = ledger(here)
    assert (row.kind, row.subject, row.at_ms, row.who) == ("nameplate", "pump-kwh", ms_of(days_ago(2)), "Li")
    assert row.body["note"] == "new CT"
    assert row.body["photo"][0]["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert (here / "state" / row.body["photo"][0]["file"]).read_bytes() == PNG


def test_what_can_no_longer_be_booked_is_refused_and_not_entered(here: Path, say: Say) -> None:
    assert say(*REPLACEMENT, "--at", days_ago(6), "--old-final", "5", "--new-initial", "0")[0] == 0
    with closing(sqlite3.connect(here / "state" / "qushui.db")) as database:
        rows = [("well-5", ms_of(days_ago(day, 0)), 1, 1000 - 100 * day, "{}", "{}") for day in (7, 5, 3, 1)]
        database.executemany("INSERT INTO closing VALUES (?, ?, ?, ?, ?, ?)", rows)
        database.execute("INSERT OR REPLACE INTO meta VALUES ('deleted', '[[1, 600]]')")  # up to four days ago
        database.commit()
    site = here / "agent.yaml"
    well = "  well-5: {code: '5', water: {electricity: pump-kwh, coefficient: W7, rated_kw: 15}}\n"
    site.write_text(site.read_text("utf-8") + well, encoding="utf-8")
    words = ("--old-final", "5", "--new-initial", "0", "--yes")
    status, _, err = say(*REPLACEMENT, "--at", days_ago(4), *words)
    assert status == 1
    assert "no longer stored" in err
    assert say("enter", "withdrawal", "1", "--reason", "slip")[0] == 1
    decision = (
        "enter",
        "decision",
        "pump-kwh",
        "--quantity",
        "energy_import",
        "--register",
        "5",
        "--restart",
        "--reason",
        "x",
    )
    assert say(*decision, "--at", days_ago(4), "--yes")[0] == 1
    assert len(ledger(here)) == 1
    assert say(*REPLACEMENT, "--at", days_ago(2), *words)[0] == 0


def test_only_what_is_open_can_be_acknowledged(here: Path, say: Say) -> None:
    words = ("enter", "acknowledge", "well-3", "r16", "--reason", "meant")
    assert say(*READING, "1", "--at", days_ago(1))[0] == 0  # makes the database
    status, _, err = say(*words)
    assert status == 1
    assert "Nothing of R16" in err
    assert say("enter", "acknowledge", "well-9", "R16", "--reason", "x")[0] == 2
    with closing(sqlite3.connect(here / "state" / "qushui.db")) as database:
        database.execute(
            "INSERT INTO event VALUES (1, 'well-3', 'R16', '1', 'meter/main-flow', 'ct', 1, NULL, 3, 1, 1, '{}')"
        )
        database.commit()
    assert say(*words)[0] == 0
    row = ledger(here)[-1]
    assert (row.kind, row.subject, row.body) == (
        "acknowledgement", "meter/main-flow", {"rule": "R16", "reason": "meant"},
    )  # fmt: skip


def test_while_nobody_knows_the_time_nothing_is_entered(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemClock, "synced", False)
    status, _, err = say(*READING, "1", "--at", days_ago(1))
    assert status == 1
    assert "clock set" in err


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_running_agent_takes_it_down_and_refuses_what_is_no_declaration(here: Path, say: Say, lang: str) -> None:
    daemon = Daemon(here, here / "agent.yaml", here / "state" / "qushui.db")
    try:
        daemon.ready()
        status, out, err = say(*READING, "1234.5", "--at", days_ago(3), lang=lang)
        assert status == 0, err
        assert "1234.5" in out
        assert say(*REPLACEMENT, "--at", days_ago(1), "--old-final", "5", "--new-initial", "0", lang=lang)[0] == 0
        assert [row.kind for row in ledger(here) if row.who == "Li"] == ["reading", "replacement"]
        found = round_at(here, "old-well", ms_of(days_ago(3)))
        assert (found.at_ms, Decimal(found.texts[0])) == (ms_of(days_ago(3)), Decimal("1234.5"))
        for arguments in ({}, {"kind": "key", "subject": "x", "at_ms": 1, "body": {}, "who": "Li"},
                          {"kind": "archive", "subject": "x", "at_ms": 1, "body": {}, "who": " "}):  # fmt: skip
            with pytest.raises(ControlError, match="BAD_DECLARATION"):
                daemon.ask("declare", **arguments)
        reading = {"meter": "x", "quantity": "volume_forward", "value": "1", "at_ms": 1, "who": "Li", "photo": []}
        with pytest.raises(ControlError, match="UNKNOWN_METER"):
            daemon.ask("enter-reading", **reading)
        for value in ("NaN", "-1", "x"):
            with pytest.raises(ControlError, match="BAD_READING"):
                daemon.ask("enter-reading", **{**reading, "meter": "old-well", "value": value})
    finally:
        assert daemon.stop() == 0
