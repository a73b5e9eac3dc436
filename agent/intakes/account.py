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
* `hear` gives, in this order, what the declarations before the round booked, what the round booked (`Derived`), the
  closings that it settled (each a `Closed` and its `Derived`), and what the rules found (`Found`).
* `state_text` is everything it remembers (canonical JSON), to be stored with `number`. After any `load` it goes on as
  if it had never stopped.
* `Closed.state` is the state before the round that settled the closing, at local midnight; `Closed.number` its number.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.intakes.outcome import Declared, Heard, Outcome
from agent.intakes.settings import IntakeSettings
from agent.rules.contract import Rules

RulesFrom = Callable[[str | None], Rules]
"""Gives the rules of the intake as they were at `Rules.to_text`, or as they begin (None)."""


class Late(Exception):
    """A declaration counts from `at_ms` (UTC ms), which the account has heard already: it has to go back."""

    def __init__(self, at_ms: int) -> None:
        super().__init__(f"the account has heard {at_ms} already")
        self.at_ms = at_ms


class Account:
    """What an intake remembers and says. Used by one thread."""

    def __init__(self, settings: IntakeSettings, *, software: str, rules: RulesFrom | None) -> None:
        self.settings = settings
        self.number = 0
        self.heard_ms: int | None = None

    @classmethod
    def begin(cls, settings: IntakeSettings, *, software: str, rules: RulesFrom | None = None) -> Account:
        """An account that has heard nothing. `software` is the version that proofs name."""
        return cls(settings, software=software, rules=rules)

    @classmethod
    def load(
        cls, settings: IntakeSettings, state_text: str, *, software: str, rules: RulesFrom | None = None
    ) -> Account:
        """The account of a state text. Raises: OutOfDomain when it is of another form, or no state at all."""
        raise NotImplementedError

    def declare(self, declared: Declared) -> None:
        """Takes a declaration in. Raises: Late, OutOfDomain."""
        raise NotImplementedError

    def hear(self, heard: Heard) -> list[Outcome]:
        """What follows from a round."""
        raise NotImplementedError

    def state_text(self) -> str:
        """Everything it remembers, as one line of JSON; the same account gives the same text."""
        raise NotImplementedError
