"""A tiny account for the store's own tests: adds up what a register has gained, and closes each hour it passes."""

from __future__ import annotations

import json
from decimal import Decimal

from agent.intakes.outcome import Closed, Declared, Derived, Found, Heard, Late, Outcome
from agent.store.book import Intake

HOUR_MS = 3_600_000
ZONE_MS = 8 * HOUR_MS


class CountingAccount:
    """`factor` declarations (kind `coefficient`) multiply what follows; a value above 999 begins a finding of R3."""

    def __init__(self, text: str | None = None) -> None:
        kept = json.loads(text) if text else {}
        self.number: int = kept.get("number", 0)
        self.heard_ms: int | None = kept.get("heard_ms")
        self.total = Decimal(kept.get("total", "0"))
        self.last: str | None = kept.get("last")
        self.counted: list[int] = kept.get("counted", [])
        self.factor = Decimal(kept.get("factor", "1"))
        self.high_ms: int | None = kept.get("high_ms")
        self.closed_ms: int | None = kept.get("closed_ms")
        self.waiting: list[Declared] = []

    def state_text(self) -> str:
        kept = {
            "number": self.number,
            "heard_ms": self.heard_ms,
            "total": str(self.total),
            "last": self.last,
            "counted": self.counted,
            "factor": str(self.factor),
            "high_ms": self.high_ms,
            "closed_ms": self.closed_ms,
        }
        return json.dumps(kept)

    def declare(self, declared: Declared) -> None:
        if declared.id in self.counted or declared.at_ms is None or declared.kind != "coefficient":
            return
        if self.heard_ms is not None and declared.at_ms <= self.heard_ms:
            raise Late(declared.at_ms)
        self.waiting.append(declared)

    def reopened(self, at_ms: int, *, is_midnight: bool) -> list[Outcome]:
        raise AssertionError(f"every hour closes again, {at_ms} too ({is_midnight=})")

    def hear(self, heard: Heard) -> list[Outcome]:
        if heard.number <= self.number:
            return []
        value = heard.values.get("volume_forward")
        if value == Decimal("666.66"):
            raise ArithmeticError("the number of the beast")
        before, before_total, since_ms = self.state_text(), self.total, self.heard_ms
        before_number = self.number
        for each in sorted(self.waiting, key=lambda each: (each.at_ms, each.id)):
            if each.at_ms <= heard.at_ms:
                self.factor = Decimal(each.body["factor"])
                self.counted.append(each.id)
                self.waiting.remove(each)
        gained = None if self.last is None or value is None else (value - Decimal(self.last)) * self.factor
        if gained is not None:
            self.total += gained
        self.number, self.heard_ms = heard.number, heard.at_ms
        self.last = self.last if value is None else str(value)
        outcomes: list[Outcome] = []
        quality = {} if gained is not None else {"volume_withdrawn": ("HELD",)}
        proof = json.dumps({"form": 1, "to": heard.id}, sort_keys=True, separators=(",", ":"))
        outcomes.append(Derived(heard.at_ms, 60_000, ("volume_withdrawn",), (self.total,), quality, proof))
        if since_ms is not None:
            for hour_ms in range(since_ms // HOUR_MS * HOUR_MS + HOUR_MS, heard.at_ms + 1, HOUR_MS):
                is_midnight = (hour_ms + ZONE_MS) % (24 * HOUR_MS) == 0
                self.closed_ms = hour_ms
                body = json.dumps({"total": str(before_total)})
                outcomes.append(Closed(hour_ms, before_number, body, before if is_midnight else None))
                outcomes.append(Derived(hour_ms, HOUR_MS, ("volume_hour",), (before_total,), {}, proof))
        return outcomes + self._found(value, heard)

    def _found(self, value: Decimal | frozenset[str] | None, heard: Heard) -> list[Outcome]:
        is_high = isinstance(value, Decimal) and value > 999
        if is_high and self.high_ms is None:
            self.high_ms = heard.at_ms
            return [_finding(self.high_ms, None, heard.number)]
        if not is_high and self.high_ms is not None:
            began_ms, self.high_ms = self.high_ms, None
            return [_finding(began_ms, heard.at_ms, heard.number)]
        return []


def _finding(began_ms: int, ended_ms: int | None, number: int) -> Found:
    return Found("R3", "1", "meter/main-flow", "volume_forward", began_ms, ended_ms, 3, number, {"limit": "999"})


def counting(name: str = "well-3", *, version: str = "0a0b0c0d", meters: tuple[str, ...] = ("main-flow",)) -> Intake:
    return Intake(name=name, code="W-3", version=version, meters=frozenset(meters), open=CountingAccount)
