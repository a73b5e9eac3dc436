"""The account of an intake: it hears dated rounds and declarations, and says what water was withdrawn. Pure.

Strategy: an account hears the rounds of its meters in the order of their numbers, each once; a declaration counts
before the first round whose time is not before its own. So what it gives depends on the set of rounds and declarations
alone, never on when they were derived or entered. It raises nothing about what meters say.

How the store uses it:

    account = Account.begin(settings, software=…, rules=…)          # or Account.load(settings, text, …)
    for row in ledger: account.declare(row)                         # all rows, in any order, also after `load`
    for round in rounds: outcomes = account.hear(round)             # a number that it has heard gives nothing

* `declare` takes every row of the ledger; it ignores what does not concern it and what it has counted already (the
  state remembers their ids, not their content: coefficients come from the ledger). It raises `Late` when the row counts
  from a time that the account has heard already: load the state of an earlier local midnight, declare everything again
  (that may be `Late` again: go one midnight further back; with none left, begin) and hear the rounds from
  `account.number` on once more. It raises OutOfDomain when the row is not what it should be; the account is unchanged.
* A withdrawal is a row of its own that counts from the time of the row it names: that one then books nothing and is
  never shown to the rules. Both are remembered by their ids, so that a state says which of them it has met.
* `hear` gives, in this order, what the declarations before the round booked, what the round booked (`Derived`, after a
  `RolledOver` where a register passed its capacity), the closings that it settled (each a `Closed` and its `Derived`),
  and what the rules found (`Found`).
* `state_text` is everything it remembers (canonical JSON), to be stored with `number`. After any `load` it goes on as
  if it had never stopped.
* `Closed.state` is the state before the round that settled the closing, at local midnight; `Closed.number` its number.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, DecimalException

from agent.derive.coefficient import Coefficient
from agent.derive.exact import ONE, OutOfDomain
from agent.derive.records import coefficient_from
from agent.intakes.comparing import Proposal
from agent.intakes.memory import Memory, memory_of
from agent.intakes.outcome import Declared, Heard, Late, Outcome, Register
from agent.intakes.saying import reopened
from agent.intakes.scene import Scene
from agent.intakes.settings import IntakeSettings
from agent.intakes.sources import sources_of
from agent.intakes.track import event_of, next_midnight
from agent.intakes.turn import DECISION, REPLACEMENT, Turn
from agent.intakes.withdrawing import WITHDRAWAL, withdrawn_by
from agent.rules.contract import Rules

RulesFrom = Callable[[str | None], Rules]
"""Gives the rules of the intake as they were at `Rules.to_text`, or as they begin (None)."""

COEFFICIENT, ACKNOWLEDGEMENT, ARCHIVE = "coefficient", "acknowledgement", "archive"
KINDS = frozenset({COEFFICIENT, REPLACEMENT, DECISION, ACKNOWLEDGEMENT, ARCHIVE, WITHDRAWAL})


class Account:
    """What an intake remembers and says. Used by one thread."""

    def __init__(
        self, settings: IntakeSettings, *, software: str, rules: RulesFrom | None = None, memory: Memory | None = None
    ) -> None:
        """An account that has heard nothing, or that goes on from a memory. `software` is the version proofs name."""
        self.settings = settings
        self._memory = memory or Memory()
        self._records: list[Coefficient] = []
        self._seen: set[int] = set()
        self._withdrawn: set[int] = set()
        self._pending: list[tuple[int, int, Declared]] = []
        self._meters = settings.meters
        self._scene = Scene(settings, sources_of(settings, ()), {}, _rules(rules, self._memory.rules), software)
        self._memory = self._memory.kept([source.key for source in self._scene.sources])

    @classmethod
    def begin(cls, settings: IntakeSettings, *, software: str, rules: RulesFrom | None = None) -> Account:
        """An account that has heard nothing."""
        return cls(settings, software=software, rules=rules)

    @classmethod
    def load(
        cls, settings: IntakeSettings, state_text: str, *, software: str, rules: RulesFrom | None = None
    ) -> Account:
        """The account of a state text. Raises: OutOfDomain when it is of another form, or no state at all.

        Registers that the settings no longer name leave their water in the total; new ones begin with their next
        reading.
        """
        return cls(settings, software=software, rules=rules, memory=memory_of(state_text))

    @property
    def number(self) -> int:
        """The last round that it heard, 0 before the first one."""
        return self._memory.number

    @property
    def heard_ms(self) -> int | None:
        """The latest time that it heard, UTC ms."""
        return self._memory.heard_ms

    @property
    def closed_ms(self) -> int | None:
        """The last full hour that it closed, UTC ms."""
        hour = self._memory.closing.hour
        return None if hour is None else hour.at_ms

    @property
    def registers(self) -> dict[Register, Decimal]:
        """What each register showed when it was last booked."""
        found: dict[Register, Decimal] = {}
        for source in self._scene.sources:
            baseline = self._scene.track(self._memory, source).counter.baseline
            if baseline is not None:
                key = source.meter, source.quantity
                found[key] = max(baseline.register, found.get(key, baseline.register))
        return found

    def declare(self, declared: Declared) -> None:
        """Takes a declaration in. Raises: Late, OutOfDomain."""
        at_ms = declared.at_ms
        if declared.kind not in KINDS or at_ms is None or declared.id in self._seen:
            return
        record = _judged(declared, at_ms)
        counts_already = declared.id in self._memory.known
        is_past = self.heard_ms is not None and at_ms <= self.heard_ms
        if is_past and not counts_already and self._concerns(declared):
            raise Late(at_ms)
        if record is not None:
            self._fits(record)
        self._seen.add(declared.id)
        if declared.kind == WITHDRAWAL:
            self._withdrawn.add(withdrawn_by(declared).id)
        if not is_past and not counts_already:
            insort(self._pending, (at_ms, declared.id, declared), key=lambda each: each[:2])
            return
        self._memory = self._memory.knows(declared.id)
        if record is not None:
            self._use(record)

    def hear(self, heard: Heard) -> list[Outcome]:
        """What follows from a round; nothing where it was heard already, or is of no meter of the intake."""
        if heard.number <= self.number:
            return []
        if heard.meter not in self._meters:
            self._memory = replace(self._memory, number=heard.number)
            return []
        turn = Turn(self._memory, heard, rules=self._rules_text() if self._may_close_a_day(heard) else None)
        while self._pending and self._pending[0][0] <= heard.at_ms:
            at_ms, _, declared = self._pending.pop(0)
            if declared.kind == WITHDRAWAL or declared.id in self._withdrawn:
                turn.passes(declared)
                continue
            record = _judged(declared, at_ms)
            if record is not None:
                self._use(record)
            turn.declare(self._scene, declared, at_ms)
        turn.hear(self._scene)
        self._memory = turn.memory
        return turn.outcomes

    def reopened(self, at_ms: int, *, is_midnight: bool) -> list[Outcome]:
        """What says that a full hour was closed and, with what is declared now, is open again."""
        return list(reopened(self._scene, at_ms, self.number, is_midnight=is_midnight))

    def state_text(self) -> str:
        """Everything it remembers, as one line of JSON; the same account gives the same text."""
        return self._memory.with_rules(self._rules_text()).to_text()

    def proposal(self) -> Proposal | None:
        """The coefficient that the runs beside a flow meter propose, once there are enough; never used by itself."""
        return self._memory.comparison.proposal()

    def _rules_text(self) -> str | None:
        return None if self._scene.rules is None else self._scene.rules.to_text()

    def _may_close_a_day(self, heard: Heard) -> bool:
        next_ms = self._memory.closing.next_ms
        if next_ms is None or all(source.meter != heard.meter for source in self._scene.sources):
            return False
        return next_midnight(next_ms, self.settings.zone) <= max(heard.at_ms, self.heard_ms or 0)

    def _concerns(self, declared: Declared) -> bool:
        """Whether it changes what this account says."""
        energy = self.settings.energy
        match withdrawn_by(declared).kind if declared.kind == WITHDRAWAL else declared.kind:
            case "coefficient":
                ids = [] if energy is None else [each for pump in energy.pumps for each in pump.coefficients]
                return declared.subject in ids
            case "replacement" | "decision":
                return any(source.meter == declared.subject for source in self._scene.sources)
            case _:
                own = {self.settings.name, *self._meters}
                return declared.subject.removeprefix("intake/").removeprefix("meter/") in own

    def _fits(self, record: Coefficient) -> None:
        """Raises: OutOfDomain when the record does not go with the others."""
        waiting = [_judged(declared, at_ms) for at_ms, _, declared in self._pending]
        others = [each for each in (*self._records, *waiting) if each is not None]
        sources_of(self.settings, [*others, record])

    def _use(self, record: Coefficient) -> None:
        """From now on the coefficient counts."""
        self._records.append(record)
        records = {each.name: each for each in self._records}
        self._scene = self._scene._replace(sources=sources_of(self.settings, self._records), records=records)


def _rules(make: RulesFrom | None, text: str | None) -> Rules | None:
    """The rules as they were; as they begin, where an update no longer reads what they remembered."""
    if make is None:
        return None
    try:
        return make(text)
    except OutOfDomain:
        return make(None)


def _judged(declared: Declared, at_ms: int) -> Coefficient | None:
    """The coefficient of a declaration, None for another kind. Raises: OutOfDomain when its body is not right."""
    if declared.kind == COEFFICIENT:
        record = coefficient_from({key: value for key, value in declared.body.items() if key != "report"})
        if record.id != declared.subject:
            raise OutOfDomain("id", record.id, f"the coefficient declared, {declared.subject}")
        return record
    if declared.kind in (REPLACEMENT, DECISION):
        try:
            event_of(at_ms, "", declared.body, declared.kind, ONE)
        except (LookupError, ValueError, DecimalException) as error:
            raise OutOfDomain("body", declared.body, f"a {declared.kind}") from error
    if declared.kind == WITHDRAWAL:
        withdrawn_by(declared)
    return None
