"""The only source of time.

Strategy: every stored moment is boot time (CLOCK_BOOTTIME), which no one can set; the date is an offset to it that this
clock trusts or does not, and that keeps still between two looks at the system clock. The offset comes from the system
clock where the configuration trusts it (`host`; `rtc`; `ntp` once the kernel says it is synchronised), or from a person
or platform through `set`. Intervals use `monotonic`. The system clock itself is never moved.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP_MS = 50  # a change of wall minus boot time above this is a step; slewing moves both alike
_TIME_ERROR = 5  # adjtimex(2): return value while the clock is not synchronised
_STA_UNSYNC = 0x40  # adjtimex(2): status bit
_TIMEX_BYTES = 208  # struct timex on 64-bit kernels interfaces; 32-bit ones use 128 of it
_PR_SET_TIMERSLACK = 29  # prctl(2)
_LOOK_S, _BEAT_S = 60.0, 5.0


class Clock(Protocol):
    """Time as the rest of the agent may see it."""

    boot_id: str

    def monotonic(self) -> float:
        """Seconds for intervals; never steps."""
        ...

    def boot_ms(self, monotonic_s: float | None = None) -> int:
        """Boot time in ms, now or at a moment of `monotonic`; rounded."""
        ...

    def now(self) -> datetime:
        """The best date we have, aware, UTC; only worth reporting while `synced`."""
        ...

    @property
    def offset_ms(self) -> int:
        """UTC ms since 1970 minus boot time ms, the best we have."""
        ...

    @property
    def synced(self) -> bool:
        """A trusted source has set the date in this boot; stays true until the next boot."""
        ...

    @property
    def source(self) -> str:
        """Who said so: `host`, `rtc`, `ntp`, `manual`, a platform's name, or `unset`."""
        ...

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Waits at most `seconds`; true at once when `stop` is set."""
        ...

    def pause(self, seconds: float) -> None:
        """A short exact pause (at most 5 s) inside an exchange on a line."""
        ...


def date_of(ms: int) -> datetime:
    """The aware UTC date of `ms` since 1970 (safe beyond 2038 on 32-bit boards)."""
    return _EPOCH + timedelta(milliseconds=ms)


def look_each_minute(
    look: Callable[[], None], *, clock: Clock, stop: threading.Event, beat: Callable[[], None]
) -> None:
    """The body of a worker that looks now and once a minute until `stop`, and beats meanwhile."""
    due_s = clock.monotonic()
    while not stop.is_set():
        beat()
        if clock.monotonic() >= due_s:
            due_s = clock.monotonic() + _LOOK_S
            look()
        clock.wait(stop, _BEAT_S)


class SystemClock:
    """The clock of a real machine. `trust` is `ntp`, `rtc` or `host` (configuration key `clock.trust`)."""

    def __init__(self, trust: str) -> None:
        self.boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        self._trust = trust
        self._is_set_by_hand = False
        self._synced_by = trust if trust in {"host", "rtc"} else ""
        self._offset_ms = _system_offset_ms()

    def monotonic(self) -> float:
        """Seconds for intervals; never steps."""
        return time.monotonic()

    def boot_ms(self, monotonic_s: float | None = None) -> int:
        """Boot time in ms, now or at a moment of `monotonic`; rounded."""
        boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        if monotonic_s is not None:
            boot_s += monotonic_s - time.monotonic()
        return round(boot_s * 1000)

    def now(self) -> datetime:
        """The best date we have, aware, UTC."""
        return date_of(self.boot_ms() + self.offset_ms)

    @property
    def offset_ms(self) -> int:
        """UTC ms since 1970 minus boot time ms, the best we have; constant between two calls of `refresh`."""
        return self._offset_ms

    @property
    def synced(self) -> bool:
        """A trusted source has set the date in this boot; stays true until the next boot."""
        return bool(self._synced_by)

    def refresh(self) -> bool:
        """Looks at the system clock again; true when it was set or became trusted since, so that a new era begins."""
        offset_ms = _system_offset_ms()
        trusted_now = not self._synced_by and self._trust == "ntp" and kernel_is_synchronised()
        if trusted_now:
            self._synced_by = "ntp"
        if self._is_set_by_hand or (not trusted_now and abs(offset_ms - self._offset_ms) <= _STEP_MS):
            return False
        self._offset_ms = offset_ms
        return True

    @property
    def source(self) -> str:
        """Who said so."""
        return self._synced_by or "unset"

    def set(self, at: datetime, source: str) -> None:
        """Takes the date from a trusted person or platform; moves only this agent's offset."""
        self._offset_ms = round((at - _EPOCH) / timedelta(milliseconds=1)) - self.boot_ms()
        self._is_set_by_hand = True
        self._synced_by = source

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Waits at most `seconds`; true at once when `stop` is set."""
        return stop.wait(max(0.0, seconds))

    def pause(self, seconds: float) -> None:
        """A short exact pause inside an exchange on a line."""
        if seconds > 0:
            time.sleep(min(seconds, 5.0))


def _system_offset_ms() -> int:
    return round((time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) * 1000)


def kernel_is_synchronised() -> bool:
    """The kernel's NTP state, as any NTP daemon keeps it; needs no privilege. Source: adjtimex(2), modes = 0."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = int(libc.adjtimex(timex))
    long_bytes = ctypes.sizeof(ctypes.c_long)
    status = ctypes.c_int.from_buffer(timex, 5 * long_bytes)  # modes (padded), offset, freq, maxerror, esterror, status
    return state not in {-1, _TIME_ERROR} and not status.value & _STA_UNSYNC


def sharpen_timers() -> None:
    """Lets short waits end within a microsecond instead of 50; call before threads start (they inherit it)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_TIMERSLACK, 1000, 0, 0, 0)  # nanoseconds
