"""Which report goes next: what is live first, what is late behind it and not too fast. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agent.report.content import Kind
from agent.store.outbox import Waiting

_AT_ONCE = frozenset({Kind.ADDITIONAL.value, Kind.MANUAL.value, Kind.TEST.value})
_MINUTE_S = 60.0


class Pace:
    """Chooses among the waiting reports of one centre. Durations in ms, except where a name says seconds."""

    def __init__(self, *, every_ms: int, jitter_ms: int, backlog_per_min: int) -> None:
        """`jitter_ms`: this station's own delay behind a slot."""
        self._every_ms = every_ms
        self._jitter_ms = jitter_ms
        self._between_s = _MINUTE_S / backlog_per_min
        self._late_s = float("-inf")  # when a late report was last sent

    def choose(self, waiting: Iterable[Waiting], now_s: float, now_ms: int, sent: frozenset[int]) -> Waiting | None:
        """The report to send now, None where none may go; those in `sent` went on this connection already."""
        due = [each for each in waiting if each.tag not in sent and self._goes_ms(each) <= now_ms]
        live = [each for each in due if self._is_live(each, now_ms)]
        if live:
            return min(live, key=lambda each: (each.kind not in _AT_ONCE, each.slot_ms, each.tag))
        if not due or now_s < self._late_s + self._between_s:
            return None
        return min(due, key=lambda each: (each.slot_ms, each.tag))

    def sent(self, report: Waiting, now_s: float, now_ms: int) -> None:
        """A report went out."""
        if not self._is_live(report, now_ms):
            self._late_s = now_s

    def _goes_ms(self, report: Waiting) -> int:
        return report.slot_ms + (0 if report.kind in _AT_ONCE else self._jitter_ms)

    def _is_live(self, report: Waiting, now_ms: int) -> bool:
        return now_ms < report.slot_ms + self._jitter_ms + self._every_ms
