"""`qushui enter replacement`: both registers are kept, and what would book water that never flowed is asked."""

from __future__ import annotations

from pathlib import Path

from tests.cli.desk import READING, REPLACEMENT, Say, days_ago, ledger, ms_of


def test_a_replacement_keeps_both_registers_and_the_new_factor(here: Path, say: Say) -> None:
    words = ("--old-final", "1240.5", "--new-initial", "0.1", "--ct", "100/5", "--pt", "10", "--reason", "burnt",
             "--serial-old", "A1", "--serial-new", "B2", "--seal-new", "S9", "--tester", "Wang")  # fmt: skip
    assert say(*REPLACEMENT, "--at", days_ago(1), *words)[0] == 0
    (row,) = ledger(here)
    assert (row.kind, row.subject, row.at_ms) == ("replacement", "pump-kwh", ms_of(days_ago(1)))
    assert row.body == {
        "quantity": "energy_import", "old_final": "1240.5", "new_initial": "0.1", "multiplier": "200", "reset": False,
        "reason": "burnt", "serial_old": "A1", "serial_new": "B2", "seal_new": "S9", "tester": "Wang", "photo": [],
    }  # fmt: skip
    assert say("enter", "reading", "pump-kwh", "energy_import", "3.2", "--at", days_ago(0, 0))[0] == 0  # the new one's


def test_a_replacement_without_the_old_number_is_asked(here: Path, say: Say) -> None:
    status, _, err = say(*REPLACEMENT, "--at", days_ago(1), "--new-initial", "0")
    assert status == 1
    assert "lost" in err
    assert say(*REPLACEMENT, "--at", days_ago(1), "--new-initial", "0", "--yes")[0] == 0
    assert ledger(here)[0].body["old_final"] is None


def test_a_replacement_entered_once_more_is_asked_so_that_nothing_is_booked_twice(here: Path, say: Say) -> None:
    once = (*REPLACEMENT, "--at", days_ago(2), "--old-final", "1240.5", "--new-initial", "0.1")
    assert say(*READING[:2], "pump-kwh", "energy_import", "1240", "--at", days_ago(3))[0] == 0
    assert say(*once)[0] == 0
    (row,) = ledger(here)[-1:]
    corrected = (*REPLACEMENT, "--at", days_ago(1), "--old-final", "1241.5", "--new-initial", "0.1")
    for again in (once, corrected):
        status, _, err = say(*again)
        assert (status, f"qushui enter withdrawal {row.id}" in " ".join(err.split())) == (1, True)
    assert ledger(here)[-1] == row
    assert say("enter", "withdrawal", str(row.id), "--reason", "slip")[0] == 0
    assert say(*corrected)[0] == 0


def test_a_second_replacement_after_the_new_register_was_read_is_not_asked(say: Say) -> None:
    assert say(*REPLACEMENT, "--at", days_ago(4), "--old-final", "1240.5", "--new-initial", "0.1")[0] == 0
    assert say(*READING[:2], "pump-kwh", "energy_import", "7", "--at", days_ago(3))[0] == 0
    assert say(*REPLACEMENT, "--at", days_ago(2), "--old-final", "8", "--new-initial", "0")[0] == 0


def test_a_final_number_from_a_display_with_fewer_places_is_not_asked(here: Path, say: Say) -> None:
    assert say("enter", "reading", "pump-kwh", "energy_import", "1240.55", "--at", days_ago(3))[0] == 0
    words = ("--at", days_ago(2), "--new-initial", "0.1")
    status, _, err = say(*REPLACEMENT, *words, "--old-final", "1240.4")
    assert status == 1
    assert "1240.55" in err
    assert say(*REPLACEMENT, *words, "--old-final", "1240.5")[0] == 0
    assert ledger(here)[-1].body["old_final"] == "1240.5", "as it was read"


def test_a_number_that_was_withdrawn_is_no_longer_what_a_meter_showed(say: Say) -> None:
    words = ("--old-final", "1240.5", "--new-initial", "0.1")
    assert say("enter", "reading", "pump-kwh", "energy_import", "1240", "--at", days_ago(3))[0] == 0
    assert say(*REPLACEMENT, "--at", days_ago(2), *words)[0] == 0
    assert say("enter", "withdrawal", "2", "--reason", "slip")[0] == 0
    status, _, err = say("enter", "reading", "pump-kwh", "energy_import", "3.2", "--at", days_ago(1))
    assert status == 1
    assert "1240" in err


def test_a_replacement_before_the_old_register_was_last_read_is_asked(here: Path, say: Say) -> None:
    assert say("enter", "reading", "pump-kwh", "energy_import", "1240", "--at", days_ago(2))[0] == 0
    words = ("--old-final", "1240.5", "--new-initial", "0.1")
    status, _, err = say(*REPLACEMENT, "--at", days_ago(3), *words)
    assert status == 1
    assert "1240" in err
    assert "replaced later" in err
    assert say(*REPLACEMENT, "--at", days_ago(1), *words)[0] == 0
