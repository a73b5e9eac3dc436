"""What the quality rules hold against an intake now, and the Faults that say so.

Strategy: several findings may share a code and a place, so a Fault ends with the last of them. While an account repeats
what it heard before, findings are only followed; the Faults are brought up to them when it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.faults import FaultCode, FaultSink
from agent.intakes.outcome import Found
from agent.store.book_reader import BookReader

FaultOf = Callable[[str, str], FaultCode | None]
"""The code of a rule's findings about a quantity; None for a rule that raises no Fault."""

_Key = tuple[str, str, str]


class Findings:
    """The open findings of one intake; used by the thread that commits."""

    def __init__(self, intake: str, *, faults: FaultSink, fault_of: FaultOf) -> None:
        self._intake = intake
        self._faults = faults
        self._fault_of = fault_of
        self._open: dict[_Key, dict[str, str]] = {}
        self._news: set[_Key] = set()
        self._raised: set[tuple[FaultCode, str]] = set()

    def load(self, reader: BookReader, at_ms: int | None) -> None:
        """Takes up what was open at `at_ms` (UTC ms; None: before everything)."""
        held = [] if at_ms is None else [each for each in reader.events(self._intake, at_ms) if each.began_ms <= at_ms]
        self._open = {(each.rule, each.subject, each.quantity): each.body for each in held}
        told = reader.events(self._intake, open_only=True)
        faults = {self._fault((each.rule, each.subject, each.quantity)) for each in told}
        self._raised |= {fault for fault in faults if fault is not None}

    def follow(self, found: Iterable[Found], *, is_known: bool) -> None:
        """Notes what began, goes on or ended; `is_known`: it was told before."""
        for each in found:
            key = (each.rule, each.subject, each.quantity)
            if each.ended_ms is None:
                self._open[key] = dict(each.evidence)
                if not is_known:
                    self._news.add(key)
            else:
                self._open.pop(key, None)

    def tell(self) -> None:
        """Raises and clears the Faults."""
        held: set[tuple[FaultCode, str]] = set()
        for key, evidence in self._open.items():
            fault = self._fault(key)
            if fault is None:
                continue
            held.add(fault)
            if fault not in self._raised or key in self._news:
                rule, _, quantity = key
                code, place = fault
                self._faults.raised(code, place, **{**evidence, "rule": rule, "quantity": quantity})
        for code, place in self._raised - held:
            self._faults.cleared(code, place)
        self._raised = held
        self._news.clear()

    def drop(self) -> None:
        """Clears the Faults: nobody follows the findings any more."""
        self._open.clear()
        self.tell()

    def _fault(self, key: _Key) -> tuple[FaultCode, str] | None:
        code = self._fault_of(key[0], key[2])
        return None if code is None else (code, key[1])
