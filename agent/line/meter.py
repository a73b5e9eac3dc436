"""One meter as its line polls it: what is asked, what came back, and what that makes of it.

A sweep is one pass over all its requests. The meter keeps what it taught: its delay, which merged reads it refuses, its
live unit codes, its breaker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from agent import decode
from agent.clock import Clock, date_of
from agent.entries import Entry
from agent.faults import FaultCode, FaultSink
from agent.line.asked import Asked
from agent.line.line import Line, NoReplyError, Transaction
from agent.line.patience import Breaker, Delay
from agent.line.ports import WireSettings
from agent.model import Layout, Reason, Round, Value
from agent.quantities import QUANTITIES
from agent.schedule import Turn
from drivers.contract import (
    Ask,
    BadChecksum,
    Malformed,
    NoValue,
    RawValue,
    Refusal,
    Refused,
    WireError,
    WrongAddress,
)

_GARBLED_TRIES = 2  # a garbled answer is asked for again at once: it cannot come a second time
_LATER_TRIES = 3
_LATER_S = 0.3
_LEAST_DISTRUST_S = 1.0  # how long after an unanswered question an answer may still belong to it
_DISTRUST_TIMEOUTS = 2.0
_SILENT = frozenset({Reason.NO_REPLY, Reason.WRONG_ADDRESS, Reason.MALFORMED})
_FAULTS = {
    Reason.NO_REPLY: FaultCode.METER_NO_REPLY,
    Reason.BAD_CHECKSUM: FaultCode.METER_BAD_CHECKSUM,
    Reason.WRONG_ADDRESS: FaultCode.METER_WRONG_ADDRESS,
    Reason.MALFORMED: FaultCode.METER_MALFORMED,
    Reason.REFUSED: FaultCode.METER_REFUSED,
    Reason.BUSY: FaultCode.METER_BUSY,
}
_NOTHING: Mapping[str, object] = MappingProxyType({})
_OTHER_FAULTS = (
    FaultCode.METER_VALUE_MISSING,
    FaultCode.METER_TOTAL_COARSE,
    FaultCode.METER_SETTING_CHANGED,
    FaultCode.METER_READ_SPLIT,
)


@dataclass(slots=True)
class Sweep:
    """One pass over a meter's requests: what was asked, the raw value of each item, the values they make.

    Before `trusted_again_s` (monotonic) an answer may still belong to one of these questions.
    """

    done: list[Asked] = field(default_factory=list)
    trusted_again_s: float = 0.0
    raws: dict[Any, RawValue | Reason] = field(default_factory=dict)
    values: tuple[Value, ...] = ()
    quality: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Every request was answered."""
        return not self.reasons

    @property
    def reasons(self) -> set[Reason]:
        """Why requests gave no values."""
        return {asked.reason for asked in self.done if asked.reason is not None}

    @property
    def is_unanswered(self) -> bool:
        """The meter said nothing of its own, or fell silent on the way."""
        is_mute = all(asked.reason not in {None, Reason.REFUSED, Reason.BUSY} for asked in self.done)
        return is_mute or not self.reasons.isdisjoint(_SILENT)

    @property
    def is_later(self) -> bool:
        """The meter asked for time."""
        return Reason.BUSY in self.reasons

    @property
    def at_s(self) -> float:
        """When the meter fixed its first registers, monotonic; the first question's end where it never did."""
        answered = [asked.transaction for asked in self.done if asked.reason is None]
        return (answered or [asked.transaction for asked in self.done])[0].at_s


class PolledMeter:
    """A meter with its plan and all that is known of it. Belongs to its line's thread."""

    def __init__(
        self,
        *,
        name: str,
        profile: str,
        version: str,
        protocol: str,
        address: str,
        wire: WireSettings,
        serial: Mapping[str, str],
        period_ms: int,
        entries: Sequence[Entry],
        asks: Sequence[Ask],
    ) -> None:
        self.name = name
        self.profile = profile
        self.address = address
        self.period_ms = period_ms
        self.wire = wire
        self.serial = dict(serial)
        self.entries = tuple(entries)
        self.delay = Delay()
        self.breaker = Breaker()
        self.turn = Turn(period_ms=period_ms, due_ms=0)
        self.ready_at_s = 0.0
        self.probe_at_s = 0.0
        self.asked_at_s = 0.0
        self.is_unfinished = False
        self.rounds = 0
        self._version = version
        self._protocol = protocol
        self._asks = list(asks)
        self._layout = self._made_layout()
        self._later = 0
        self._codes: dict[Any, Decimal] = {}
        self._round_codes: dict[Any, Decimal] = {}
        self._has_codes = any(entry.factors for entry in self.entries)
        self._coarsening = decode.coarsening(self.entries)
        self._split: list[Ask] = []
        self._raised = {*_FAULTS.values(), *_OTHER_FAULTS}  # may be open since an earlier run: the first sweep tells
        self._late_slots = 0

    def _made_layout(self) -> Layout:
        return Layout(
            meter=self.name,
            profile=self.profile,
            version=self._version,
            protocol=self._protocol,
            address=self.address,
            quantities=tuple(entry.quantity for entry in self.entries),
            flags=decode.flag_names(self.entries),
            period_ms=self.period_ms,
            requests=tuple(ask.begin(0).request for ask in self._asks),
        )

    # --- asking

    def sweep(self, line: Line, *, timeout_s: float | None) -> Sweep:
        """Asks everything once. A merged read that the meter refuses is narrowed, here and from now on.

        Raises LineDownError.
        """
        sweep = Sweep()
        waiting = list(self._asks)
        while waiting:
            ask = waiting.pop(0)
            asked = self._ask(ask, line, timeout_s)
            error = asked.transaction.error
            if isinstance(error, Refused) and error.kind is Refusal.NARROWER and len(ask.parts()) > 1:
                parts = ask.parts()  # once: by these very objects the replies are told to the layout's requests
                self._narrow(ask, parts)
                waiting = [*parts, *waiting]
                continue
            sweep.done.append(asked)
            if asked.reason in _SILENT and not line.is_numbered and not isinstance(error, Refused):
                distrust_s = max(_LEAST_DISTRUST_S, _DISTRUST_TIMEOUTS * line.timeout_s)
                sweep.trusted_again_s = asked.transaction.asked_s + distrust_s
            if asked.reason not in {None, Reason.REFUSED, Reason.BUSY}:
                break  # the rest would fail alike, at the neighbours' cost
        sweep.raws = self._raws(sweep)
        sweep.values, sweep.quality = decode.values(self.entries, sweep.raws)
        return sweep

    def _ask(self, ask: Ask, line: Line, timeout_s: float | None) -> Asked:
        """Asks, and goes on asking while the answer continues in another frame; all of it counts as one transaction."""
        transaction, tries = self._transact(ask, line, timeout_s)
        while transaction.reply is not None and (follow := transaction.reply.follow) is not None:
            later, more = self._transact(follow, line, timeout_s)
            received = transaction.received + later.received
            timed = later if later.reply is None else transaction
            transaction = replace(later, asked_s=timed.asked_s, at_s=timed.at_s, received=received)
            tries = max(tries, more)
        return Asked(ask, transaction, tries, _reason(transaction.error))

    def _transact(self, ask: Ask, line: Line, timeout_s: float | None) -> tuple[Transaction, int]:
        """The last transaction of one request, and the tries it took."""
        tries = 1
        transaction = line.transact(ask.begin(line.next_number()), self.wire, self.delay, timeout_s=timeout_s)
        while isinstance(transaction.error, BadChecksum) and tries < _GARBLED_TRIES:
            tries += 1
            transaction = line.transact(ask.begin(line.next_number()), self.wire, self.delay, timeout_s=timeout_s)
        return transaction, tries

    def _narrow(self, ask: Ask, parts: Sequence[Ask]) -> None:
        if ask in self._asks:
            at = self._asks.index(ask)
            self._asks[at : at + 1] = parts
            self._split.append(ask)
            self._layout = self._made_layout()

    # --- turns

    def may_try_later(self) -> bool:
        """Whether a meter that asked for time gets some more in this slot."""
        self._later += 1
        return self._later <= _LATER_TRIES

    def postpone(self, now_s: float) -> None:
        """Gives it the time it asked for."""
        self.is_unfinished = True
        self.ready_at_s = now_s + _LATER_S

    def late(self, late_ms: int) -> None:
        """Takes note of how late its turn came."""
        self._late_slots = self._late_slots + 1 if late_ms >= self.period_ms else 0

    @property
    def is_late(self) -> bool:
        """Its last turn came a whole period late."""
        return self._late_slots > 0

    def is_overbooked(self, slots: int) -> bool:
        """Exactly at the `slots`-th turn in a row that came a whole period late."""
        return self._late_slots == slots

    # --- telling

    def round_of(self, sweep: Sweep, clock: Clock) -> Round:
        """The round this sweep makes."""
        self.rounds += 1
        self._later = 0
        before, codes = self._round_codes, decode.codes(self.entries, sweep.raws) if self._has_codes else {}
        self._round_codes = {**before, **codes}
        heard = {id(asked.ask): asked.transaction.received for asked in sweep.done}
        return Round(
            layout=self._layout,
            boot_ms=clock.boot_ms(sweep.at_s),
            values=sweep.values,
            quality=decode.with_changes(self.entries, sweep.quality, before, codes),
            raw=tuple(heard.get(id(ask), b"") for ask in self._asks),
        )

    def round_without_line(self, clock: Clock) -> Round:
        """The round of a slot in which the port was away."""
        self.rounds += 1
        return Round(
            layout=self._layout,
            boot_ms=clock.boot_ms(),
            values=(None,) * len(self.entries),
            quality={entry.quantity: (Reason.LINE_DOWN.value,) for entry in self.entries},
            raw=(b"",) * len(self._asks),
        )

    def _raws(self, sweep: Sweep) -> dict[Any, RawValue | Reason]:
        """Each item's raw value, or why its request gave none; what was not asked any more shares the last reason."""
        raws: dict[Any, RawValue | Reason] = {}
        if len(sweep.done) < len(self._asks):
            last = sweep.done[-1].reason or Reason.NO_REPLY
            raws = {item: last for ask in self._asks for item in ask.items}
        for asked in sweep.done:
            reply = asked.transaction.reply
            if reply is not None:
                raws.update(zip(asked.ask.items, reply.values, strict=True))
            else:
                raws.update(dict.fromkeys(asked.ask.items, asked.reason or Reason.NO_REPLY))
        return raws

    def report(self, sweep: Sweep, faults: FaultSink, *, around: Mapping[str, object] = _NOTHING) -> None:
        """Raises what this sweep proves and clears what it disproves; `around` is what silence should be seen with."""
        watched = self._has_codes or self._coarsening
        if sweep.is_clean and not (sweep.quality or self._raised or self._split or watched):
            return
        place = f"meter/{self.name}"
        found: dict[FaultCode, dict[str, object]] = {}
        for asked in sweep.done:
            if asked.reason is not None:
                more = around if asked.reason is Reason.NO_REPLY else _NOTHING
                found.setdefault(_FAULTS[asked.reason], {**self._evidence(asked), **more})
        self._report_codes(sweep, found)
        self._report_steps(sweep, found)
        words = {NoValue.NOT_A_NUMBER, NoValue.NOT_AVAILABLE, NoValue.NOT_BCD, Reason.UNKNOWN_CODE}
        for quantity, reasons in sweep.quality.items():
            if words.intersection(reasons):
                evidence = {"quantity": quantity, "reason": reasons[0], **self._evidence(sweep.done[0])}
                found.setdefault(FaultCode.METER_VALUE_MISSING, evidence)
        for ask in self._split:
            evidence = {"sent_hex": ask.begin(0).request.hex(" "), "parts": len(ask.parts())}
            faults.raised(FaultCode.METER_READ_SPLIT, place, **evidence)
            self._raised.discard(FaultCode.METER_READ_SPLIT)  # learned: it holds as long as the meter is polled
        self._split.clear()
        for code, evidence in found.items():
            faults.raised(code, place, **evidence)
        disproved = self._raised - set(found)
        if sweep.is_unanswered:
            disproved &= set(_FAULTS.values())  # silence says nothing about values
        for code in disproved:
            faults.cleared(code, place)
        self._raised = self._raised - disproved | set(found)

    def _report_codes(self, sweep: Sweep, found: dict[FaultCode, dict[str, object]]) -> None:
        codes = decode.codes(self.entries, sweep.raws)
        for item, code in codes.items():
            before = self._codes.get(item)
            if before is not None and before != code:
                found[FaultCode.METER_SETTING_CHANGED] = {"item": str(item), "before": before, "after": code}
        self._codes.update(codes)

    def _report_steps(self, sweep: Sweep, found: dict[FaultCode, dict[str, object]]) -> None:
        """A total in floating point whose next value is more than one of its display's last digits away."""
        for entry in self._coarsening:
            step = decode.step(entry, sweep.raws)
            if step is not None and decode.is_coarse(entry, step):
                evidence = {"quantity": entry.quantity, "step": f"{step.normalize():f}"}
                found[FaultCode.METER_TOTAL_COARSE] = {**evidence, "unit": QUANTITIES[entry.quantity].unit}

    def _evidence(self, asked: Asked) -> dict[str, object]:
        return {"address": self.address, **self.serial, **asked.evidence()}

    def told(self, sweep: Sweep, clock: Clock) -> dict[str, Any]:
        """The sweep as `qushui read` shows it."""
        return {
            "profile": self.profile,
            "address": self.address,
            "serial": self.serial,
            "at": date_of(clock.boot_ms(sweep.at_s) + clock.offset_ms).isoformat(timespec="milliseconds"),
            "exchanges": [asked.told() for asked in sweep.done],
            "values": {e.quantity: _told(value) for e, value in zip(self.entries, sweep.values, strict=True)},
            "quality": {quantity: list(reasons) for quantity, reasons in sweep.quality.items()},
        }

    def snapshot(self) -> dict[str, Any]:
        """The meter as `status` shows it."""
        if self.breaker.is_open:
            state = "probing"
        elif self.breaker.failures:
            state = "failing"
        else:
            state = "good" if self.rounds else "new"
        return {"state": state, "rounds": self.rounds, "skipped": self.turn.skipped, "profile": self.profile}


def _told(value: Value) -> str | list[str] | None:
    if isinstance(value, frozenset):
        return sorted(value)
    return None if value is None else format(value, "f")


_REASONS: dict[type[Exception], Reason] = {
    BadChecksum: Reason.BAD_CHECKSUM,
    WrongAddress: Reason.WRONG_ADDRESS,
    Malformed: Reason.MALFORMED,
    NoReplyError: Reason.NO_REPLY,
}
_REFUSALS = {Refusal.LATER: Reason.BUSY, Refusal.ABSENT: Reason.NO_REPLY}


def _reason(error: WireError | NoReplyError | None) -> Reason | None:
    if isinstance(error, Refused):
        return _REFUSALS.get(error.kind, Reason.REFUSED)
    return None if error is None else _REASONS[type(error)]
