"""What an account has booked as a rollover ends the flag of the meter's fall; what it holds does not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agent.bookkeeping import intake_of
from agent.entries import Entry
from agent.faults import FaultCode
from agent.intakes.settings import IntakeSettings
from agent.model import Round
from agent.qualify import Judge
from agent.rules.faults import fault_of
from agent.store import books
from agent.store.store import Store
from tests.agent.intakes.rounds import START, STEP, metered
from tests.agent.store.conftest import Site, layout_of
from tests.fakes import BOOT_ID

LAYOUT = layout_of("main-flow", ("volume_forward", "volume_reverse"))
ENTRIES = (Entry(quantity="volume_forward"), Entry(quantity="volume_reverse"))
FELL = ("NEGATIVE_DELTA",)
UNCONFIRMED = ("UNCONFIRMED",)
WELL = metered()  # six digits, 6 m³ in a step at most

OF_ANOTHER_REGISTER = {"quantity": "volume_reverse", "old_final": "0", "new_initial": "0"}


class Station:
    """A store whose rounds are judged as a line's are. The meter is read every five minutes from `START` on."""

    def __init__(
        self, directory: Path, *intakes: IntakeSettings, is_dated: bool = True, doubts: frozenset[str] = frozenset()
    ) -> None:
        self.site = Site(directory)
        self.intakes = intakes
        self.doubts = doubts
        self.slot = 0
        self.is_dated = is_dated
        self.open()

    def open(self) -> None:
        self.store: Store = self.site.open()
        if self.is_dated:
            self.store.date_boot(START, "host")
        self.keep(*self.intakes)
        self.judge = Judge(faults=self.store.faults, baseline=self.store.last_values, begun=self.store.counters_begun)
        self.judge.knows("main-flow", LAYOUT.version, ENTRIES, doubts=self.doubts)

    def keep(self, *intakes: IntakeSettings) -> None:
        self.store.keep_books([intake_of(each) for each in intakes], fault_of=fault_of)

    def kill(self) -> None:
        self.site.kill()
        self.open()

    def boot(self, number: int, *, is_dated: bool) -> None:
        """The next start of the machine."""
        self.store.flush()
        self.site.close()
        self.site.clock.boot_id = BOOT_ID.replace("1", str(number))
        self.is_dated = is_dated
        self.open()

    def reads(self, forward: str, reverse: str = "0") -> tuple[str, ...]:
        """What is said of the total that the meter shows five minutes after the last one."""
        self.slot += 1
        found = self.judge(
            Round(
                layout=LAYOUT, boot_ms=self.slot * STEP, values=(Decimal(forward), Decimal(reverse)), quality={},
                raw=(b"",),
            )
        )  # fmt: skip
        self.store.append(found)
        return tuple(found.quality.get("volume_forward", ()))

    def settle(self) -> None:
        for _ in range(50):
            self.store.commit()
            if not self.store._is_due():
                return
        raise AssertionError("it does not come to an end")

    def shows(self, *texts: str) -> list[tuple[str, ...]]:
        """What is said of each, one commit after the other."""
        said = []
        for text in texts:
            said.append(self.reads(text))
            self.settle()
        return said

    @property
    def is_fault_open(self) -> bool:
        return any(each.code == FaultCode.METER_NEGATIVE_DELTA for each in self.store.faults.open())


def test_after_a_booked_rollover_the_new_register_is_the_measure_and_the_fault_ends(tmp_path: Path) -> None:
    station = Station(tmp_path, WELL)
    assert station.shows("999998", "999999", "3") == [(), (), FELL], "the round of the fall keeps its word"
    assert station.is_fault_open
    assert station.shows("4") == [()]
    assert not station.is_fault_open
    assert station.shows("3.5", "5") == [FELL, ()], "and is watched like the old one"


def test_rounds_between_the_fall_and_its_booking_are_held_against_what_was_booked(tmp_path: Path) -> None:
    station = Station(tmp_path, WELL)
    station.shows("999999")
    assert [station.reads(text) for text in ("1", "4", "6")] == [FELL] * 3, "one commit takes them all"
    station.settle()
    assert station.shows("5", "7") == [FELL, ()]


@pytest.mark.parametrize("checks", [False, True])
def test_a_kill_does_not_bring_the_old_register_up_again(tmp_path: Path, checks: bool) -> None:
    (source,) = WELL.water
    by_hand = replace(source, meter="side-flow")
    well = replace(WELL, water=(by_hand,), check_meters=(source,)) if checks else WELL
    station = Station(tmp_path, well)
    station.shows("999999", "3")
    station.kill()
    assert station.store.last_values("main-flow")["volume_forward"] == "3"
    assert station.shows("4") == [()]
    assert not station.is_fault_open


def test_a_rollover_that_is_booked_late_ends_the_fault_late(tmp_path: Path) -> None:
    station = Station(tmp_path, WELL, is_dated=False)
    assert station.shows("999999", "3", "4") == [(), FELL, FELL], "without a date nothing is booked"
    station.store.date_boot(START, "host")
    station.settle()
    assert station.shows("5") == [()]


def test_without_an_intake_a_fall_stays_flagged(tmp_path: Path) -> None:
    station = Station(tmp_path)
    assert station.shows("999999", "3", "4") == [(), FELL, FELL]
    assert station.is_fault_open


def test_a_fall_that_the_account_holds_stays_flagged(tmp_path: Path) -> None:
    station = Station(tmp_path, WELL)
    assert station.shows("500000", "3", "4", "5") == [(), FELL, FELL, FELL], "it cannot have come so far"
    station.kill()
    assert station.shows("6") == [FELL]


@pytest.mark.parametrize("most_rounds", [books.MOST_ROUNDS, 2])
def test_a_fall_held_after_a_rollover_stays_flagged_when_both_are_caught_up_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_rounds: int
) -> None:
    monkeypatch.setattr(books, "MOST_ROUNDS", most_rounds)
    station = Station(tmp_path, WELL, is_dated=False)
    station.shows("999999", "3", "8", "12", "7", "7.5")
    station.store.date_boot(START, "host")
    station.settle()
    assert station.shows("8", "12.5") == [FELL, ()], "12 was booked last"


def test_going_back_over_a_rollover_explains_no_later_fall(tmp_path: Path) -> None:
    station = Station(tmp_path, WELL)
    station.shows("999998", "999999", "3", "8", "12")
    assert station.shows("7", "7.5") == [FELL, FELL]
    station.store.declare("replacement", "main-flow", START + STEP + 1, OF_ANOTHER_REGISTER, "Li")
    station.settle()
    assert "account.went_back" in {event for event, _ in station.site.log.events}
    assert station.shows("8", "12.5") == [FELL, ()]


def test_going_back_over_a_rollover_explains_no_fall_that_no_account_has_heard(tmp_path: Path) -> None:
    station = Station(tmp_path, WELL)
    station.shows("999998", "999999", "3", "4")
    station.boot(2, is_dated=False)
    assert station.shows("9") == [()], "a boot that never gets a date is not accounted for"
    station.boot(3, is_dated=True)
    assert station.shows("8") == [FELL]
    station.store.declare("replacement", "main-flow", START + STEP + 1, OF_ANOTHER_REGISTER, "Li")
    station.settle()
    assert "account.went_back" in {event for event, _ in station.site.log.events}
    assert station.shows("8.5", "9.5") == [FELL, ()]


def test_what_one_of_two_accounts_holds_stays_flagged(tmp_path: Path) -> None:
    (source,) = WELL.water
    other = replace(WELL, name="well-4", water=(replace(source, digits=8),))
    station = Station(tmp_path, WELL, other)
    assert station.shows("999999", "3", "4", "5") == [(), FELL, FELL, FELL]


def test_other_counters_of_an_unconfirmed_meter_keep_their_measure(tmp_path: Path) -> None:
    both = frozenset({"volume_forward", "volume_reverse"})
    station = Station(tmp_path, WELL, doubts=both)
    station.reads("999999", "50")
    assert station.reads("3", "7") == FELL + UNCONFIRMED
    station.settle()
    assert station.reads("4", "8") == UNCONFIRMED
    assert station.is_fault_open, "the other counter fell, too, and nothing explains it"
