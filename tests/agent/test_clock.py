"""The clock is doubted: only what the configuration trusts gives a date, and a step is noticed."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

from agent import clock as clocks
from agent.clock import SystemClock, date_of


def test_nobody_trusted_means_no_date(monkeypatch):
    monkeypatch.setattr(clocks, "kernel_is_synchronised", lambda: False)
    clock = SystemClock("ntp")
    assert (clock.synced, clock.source, clock.refresh()) == (False, "unset", False)
    monkeypatch.setattr(clocks, "kernel_is_synchronised", lambda: True)
    assert clock.refresh(), "a new era begins when the first trusted source speaks"
    assert (clock.synced, clock.source) == (True, "ntp")


def test_once_synced_it_stays_so_when_the_kernel_forgets(monkeypatch):
    monkeypatch.setattr(clocks, "kernel_is_synchronised", lambda: True)
    clock = SystemClock("ntp")
    clock.refresh()
    monkeypatch.setattr(clocks, "kernel_is_synchronised", lambda: False)
    clock.refresh()
    assert clock.synced


def test_the_offset_keeps_still_until_the_system_clock_steps(monkeypatch):
    clock = SystemClock("host")
    before = clock.offset_ms
    monkeypatch.setattr(clocks, "_system_offset_ms", lambda: before + 20)
    assert (clock.refresh(), clock.offset_ms) == (False, before)
    monkeypatch.setattr(clocks, "_system_offset_ms", lambda: before + 3_600_000)
    assert clock.offset_ms == before
    assert (clock.refresh(), clock.offset_ms) == (True, before + 3_600_000)


def test_a_date_set_by_hand_holds_against_the_system_clock(monkeypatch):
    monkeypatch.setattr(clocks, "kernel_is_synchronised", lambda: False)
    clock = SystemClock("ntp")
    at = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
    clock.set(at, "manual")
    assert (clock.synced, clock.source) == (True, "manual")
    assert abs((clock.now() - at).total_seconds()) < 5
    assert not clock.refresh()


def test_dates_beyond_2038_and_the_boot_time_are_exact():
    assert date_of(2**31 * 1000).isoformat() == "2038-01-19T03:14:08+00:00"
    clock = SystemClock("host")
    assert abs(clock.boot_ms(clock.monotonic() - 10) - (clock.boot_ms() - 10_000)) <= 20


def test_the_kernels_state_is_read_without_privilege_and_as_the_kernel_reports_it():
    """The same state by ntp_gettime through the C library in another process."""
    code = "import ctypes; b = ctypes.create_string_buffer(128); print(ctypes.CDLL(None).ntp_gettime(b))"
    state = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
    assert clocks.kernel_is_synchronised() == (state != 5)  # TIME_ERROR
