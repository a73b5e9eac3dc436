"""What intakes owe their platforms: watched over stored rows, told before 95 % is lost, and across restarts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.clock import date_of
from agent.faults import FaultCode
from agent.intakes.settings import IntakeSettings, Obligation, StatusChange, Use
from agent.report.slots import Intervals
from agent.rules.upload import Forecast
from agent.store import cursors
from agent.store.outbox import Composed, NewReport
from agent.uploads import Centre, Uploads, stored_rates
from tests.agent.rules.plain import HOUR, METERED, D
from tests.agent.store.accounts import counting
from tests.agent.store.conftest import Site, fill, layout_of, round_of
from tests.fakes import START_MS, FakeClock, KeptFaults, QuietLog

FIRST_MS = START_MS + 200_000 - (START_MS + 200_000) % HOUR + HOUR  # the first full hour after the start
LOW = (FaultCode.UPLOAD_RATE_LOW, "uplink/cloud")
OTHER = layout_of("other")
OBLIGED = (FaultCode.ONLINE_OBLIGED, "intake/well-3")


class Watched:
    """A store with one intake, a platform that takes every round, and what watches over both."""

    def __init__(self, directory: Path, settings: IntakeSettings = METERED, uplinks: tuple[str, ...] = ("cloud",)):
        self.site = Site(directory)
        self.store = self.site.open()
        self.store.date_boot(START_MS, "host")
        self.store.keep_books((counting(),), fault_of=lambda rule, quantity: None)
        self.owed = self.store.begin_cursor("cloud")
        self.settings, self.uplinks = settings, uplinks
        self.faults = KeptFaults()
        self.uploads = self.watching()
        self.count = 0
        self.poll(FIRST_MS - 60_000)
        self.uploads.look()

    def watching(self, centres: dict[str, Centre] | None = None) -> Uploads:
        return Uploads(
            self.site.path,
            intakes={"well-3": self.settings},
            uplinks=self.uplinks,
            centres=centres or {},
            clock=self.site.clock,
            faults=self.faults,
            log=QuietLog(),
        )

    def poll(self, at_ms: int) -> None:
        self.count += 1
        self.site.clock.advance((at_ms - START_MS - self.site.clock.boot_ms()) / 1000)
        self.store.append(round_of(self.count, boot_ms=at_ms - START_MS))
        self.store.commit()

    def others(self, count: int) -> None:
        """So many rounds of a meter that is none of the intake's."""
        for number in range(count):
            self.store.append(round_of(number, layout=OTHER, boot_ms=self.site.clock.boot_ms()))
            if number % 500 == 0:
                self.store.commit()
        self.store.commit()

    def hours(self, count: int, *, delivered: bool) -> None:
        """So many hours with a poll after each, which the platform acknowledges at once, or not."""
        for _ in range(count):
            at_ms = START_MS + self.site.clock.boot_ms()
            self.poll(at_ms - at_ms % HOUR + HOUR + 30_000)
            if delivered:
                self.owed = self.store.keep_cursor("cloud", cursors.subtract(self.owed, 1, self.store.committed))
                self.store.append(round_of(999, boot_ms=self.site.clock.boot_ms()))  # cursors ride on a commit
                self.store.commit()
            self.uploads.look()

    def forecast(self, uplink: str = "cloud") -> Forecast | None:
        """Where the month stands by what is kept beside the database."""
        rates = stored_rates(self.site.path).get((uplink, "well-3"))
        now_ms = self.site.clock.boot_ms() + self.site.clock.offset_ms
        return None if rates is None else rates.forecast(now_ms, self.settings.zone)

    def steps_of_a_look(self) -> int:
        """How much SQLite does for it, in hundreds of its machine's steps."""
        done: list[None] = []
        self.uploads._reader.rounds._connection.set_progress_handler(lambda: done.append(None), 100)
        self.uploads.look()
        self.uploads._reader.rounds._connection.set_progress_handler(None, 0)
        return len(done)

    def close(self) -> None:
        self.site.close()


@pytest.fixture
def watched(tmp_path):
    found = Watched(tmp_path)
    yield found
    found.close()


def test_hours_that_arrive_are_all_on_time(watched):
    watched.hours(30, delivered=True)
    found = watched.forecast()
    assert (found.on_time, found.late, found.missing) == (30, 0, 0)
    assert watched.faults.open == {}


def test_the_alarm_comes_before_the_month_is_lost_and_ends_when_hours_arrive_again(watched):
    watched.hours(23, delivered=True)
    watched.hours(2, delivered=False)
    assert LOW not in watched.faults.open, "the last hour may still be on time"
    watched.hours(1, delivered=False)
    assert LOW in watched.faults.open
    told = watched.faults.open[LOW]
    assert told["intake"] == "well-3"
    assert int(told["may_miss"]) > 0
    watched.hours(60, delivered=True)
    assert LOW not in watched.faults.open
    found = watched.forecast()
    assert (found.late, found.missing) == (3, 0), "what came later counts in the end, not in time"


def test_a_restart_loses_no_month_and_without_the_file_counting_begins_anew(watched):
    watched.hours(5, delivered=True)
    before = watched.forecast()
    watched.uploads = watched.watching()
    watched.uploads.look()
    assert watched.forecast() == before
    for text in ("no JSON", json.dumps({"form": 99})):
        watched.uploads._file.write_text(text)
        watched.uploads = watched.watching()
        watched.uploads.look()
        assert watched.forecast() is None


def test_hours_that_close_long_after_their_time_arrive_late(watched):
    """A meter was silent while others went on: the readings of its hours lie thousands of rounds behind their date."""
    watched.hours(2, delivered=True)
    for _ in range(3):
        watched.site.clock.advance(HOUR / 1000)
        watched.others(2500)
        watched.uploads.look()
    watched.hours(1, delivered=True)
    found = watched.forecast()
    assert (found.on_time, found.late, found.missing) == (3, 3, 0)


def test_an_hour_that_has_not_closed_is_not_searched_for_in_all_that_is_stored(watched):
    """With one dead meter a look read the whole file for each hour of its silence, and starved the watchdog."""
    watched.hours(1, delivered=True)
    steps = []
    for _ in range(3):
        watched.site.clock.advance(24 * HOUR / 1000)
        watched.others(10_000)
        watched.uploads.look()
        steps.append(watched.steps_of_a_look())
    assert watched.forecast().missing > 48
    assert steps[-1] <= 2 * steps[0] + 10


def test_a_clock_that_was_far_ahead_ends_no_counting(watched):
    watched.hours(4, delivered=True)
    watched.site.clock.offset_ms += 400 * 24 * HOUR
    watched.uploads.look()
    watched.site.clock.offset_ms -= 400 * 24 * HOUR
    watched.uploads.look()
    watched.hours(4, delivered=True)
    found = watched.forecast()
    assert (found.on_time, found.missing) == (8, 0)


def test_a_sealed_intake_owes_nothing(tmp_path):
    watched = Watched(tmp_path, replace(METERED, statuses=(StatusChange(use=Use.SEALED),)))
    watched.hours(26, delivered=False)
    assert watched.forecast() is None
    assert watched.faults.open == {}
    watched.close()


def test_nothing_is_said_while_nobody_knows_the_time(watched):
    watched.site.clock.synced = False
    watched.hours(3, delivered=False)
    assert watched.forecast() is None


DUTIFUL = replace(
    METERED, obligation=Obligation(category="industry"), permit=replace(METERED.permit, annual_m3=D(60_000))
)


def test_who_has_to_report_online_and_has_no_platform_is_told(tmp_path):
    watched = Watched(tmp_path, DUTIFUL, ())
    assert watched.faults.open[OBLIGED] == {"why": "annual_m3", "amount": "60000", "threshold": "50000"}
    watched.close()


def test_a_day_without_a_word_from_the_platform_is_not_online(tmp_path):
    watched = Watched(tmp_path, DUTIFUL)
    watched.hours(5, delivered=True)
    watched.hours(23, delivered=False)
    assert OBLIGED not in watched.faults.open
    watched.hours(2, delivered=False)
    assert OBLIGED in watched.faults.open
    watched.hours(1, delivered=True)
    assert OBLIGED not in watched.faults.open
    watched.close()


def test_a_boot_that_nobody_dated_does_not_stand_for_a_platform_that_takes_all(tmp_path):
    watched = Watched(tmp_path, DUTIFUL)
    watched.owed = watched.store.keep_cursor("cloud", ((2, None),))
    watched.store.flush()
    watched.store.close()
    for synced in (False, True):
        clock = FakeClock(synced=synced, offset_ms=START_MS + 48 * HOUR)
        clock.boot_id = f"0000000{synced:d}-8a2e-4c1d-9b55-7f0e1d2c3b4a"
        watched.site.clock, watched.store = clock, watched.site.open(clock)
        if synced:
            watched.store.date_boot(clock.offset_ms, "host")
        fill(watched.store, 2)
        watched.store.keep_cursor("cloud", ((3, None),))  # all of the first boot was taken
        watched.store.flush()
        if not synced:
            watched.store.close()
    watched.site.clock.advance(25 * HOUR / 1000)
    watched.uploads = watched.watching()
    watched.uploads.look()
    assert OBLIGED in watched.faults.open
    watched.close()


def test_reports_of_a_centre_are_seen_however_many_others_came_since(tmp_path):
    watched = Watched(tmp_path, METERED, ())
    centres = {"ministry": Centre(lambda _: Intervals(HOUR), frozenset({"well-3"}))}
    watched.uploads = watched.watching(centres)
    watched.uploads.look()
    watched.hours(2, delivered=False)
    at_ms = START_MS + watched.site.clock.boot_ms()
    slot_ms = at_ms - at_ms % HOUR
    alarms = [NewReport("additional", at_ms + each, "+x", "{}") for each in range(1500)]
    watched.store.outbox.add("ministry", [NewReport("timed", slot_ms, "", "{}"), *alarms], Composed(1, slot_ms))
    watched.store.flush()
    for row in watched.store.outbox.waiting("ministry"):
        watched.store.outbox.accepted(row.tag, at_ms)
    watched.store.flush()
    watched.uploads.look()
    found = watched.forecast("ministry")
    assert (found.on_time, found.missing) == (1, 1)
    watched.close()


def test_a_centre_owes_for_its_own_intakes_and_slots_alone(tmp_path):
    watched = Watched(tmp_path, METERED, ())
    centres = {
        "ministry": Centre(lambda _: Intervals(4 * HOUR), frozenset({"well-3"})),
        "province": Centre(lambda _: Intervals(HOUR), frozenset({"well-9"})),
    }
    watched.uploads = watched.watching(centres)
    watched.uploads.look()
    watched.hours(9, delivered=False)
    assert watched.forecast("province") is None
    found = watched.forecast("ministry")
    assert found.on_time + found.late == 0
    assert found.missing in {2, 3}
    watched.close()


@pytest.mark.parametrize(("changes", "owed"), [((), 4), (((0, 3 * HOUR),), 8)])
def test_a_centre_is_owed_the_slots_of_the_local_clock_at_the_interval_in_force(tmp_path, changes, owed):
    """Slots of 6 h are at local 0, 6, 12 and 18 o'clock: none of them at a multiple of 6 h of UTC."""
    watched = Watched(tmp_path, METERED, ())
    intervals, zone = Intervals(6 * HOUR, changes), watched.uploads._intakes["well-3"].zone
    watched.uploads = watched.watching({"ministry": Centre(lambda _: intervals, frozenset({"well-3"}))})
    watched.uploads.look()
    watched.hours(24, delivered=False)
    (rates,) = watched.uploads._rates.values()
    hours = [date_of(hour_ms).astimezone(zone).hour for month in rates.months.values() for hour_ms in month.waiting]
    assert sorted(hours) == list(range(0, 24, 24 // owed))
    watched.close()


def test_a_database_that_cannot_be_read_is_asked_again_later(watched):
    watched.uploads._reader.close()
    watched.uploads._reader = type(watched.uploads._reader)(watched.site.path.with_name("none.db"))
    watched.uploads.look()
    assert watched.faults.open == {}
