"""What an intake's account is given and what it gives: rounds and declarations in, readings, closings, findings out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from agent.model import QualityMap, Value


class Heard(NamedTuple):
    """A stored round with a date, as an account hears it.

    `values` are its numbers by quantity, a status as the set of its flags; what is missing is not among them.
    `quality` names the reasons of whatever is not GOOD, values that are there included.
    """

    number: int
    id: str
    meter: str
    at_ms: int
    values: Mapping[str, Decimal | frozenset[str]]
    quality: QualityMap
    is_manual: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A row of the ledger: what somebody declared, and from when it counts (UTC ms; None: for no time)."""

    id: int
    kind: str
    subject: str
    at_ms: int | None
    body: Mapping[str, Any]
    who: str


OPEN = '{"form":1,"open":true}'
"""The body of an hour that was closed and, heard again with what was declared since, is not any more."""


class Derived(NamedTuple):
    """A reading of the intake itself, to be stored as a round of the meter that bears the intake's name.

    `quantities` and `values` run parallel. `period_ms` is how often such a reading comes. `proof` says what it rests
    on: canonical JSON, stored where a measured round has its raw replies.
    """

    at_ms: int
    period_ms: int
    quantities: tuple[str, ...]
    values: tuple[Value, ...]
    quality: QualityMap
    proof: str


class Closed(NamedTuple):
    """Where the intake stood at a full local hour. `state` is the account's at local midnight, before that round."""

    at_ms: int
    number: int
    body: str
    state: str | None


class Found(NamedTuple):
    """A rule's finding that begins (`ended_ms` None), goes on (same rule, subject, quantity and beginning) or ends.

    `level` is the QARTOD flag 3, 4 or 9, or 1 for a notice; `number` is the round that shows it.
    """

    rule: str
    version: str
    subject: str
    quantity: str
    began_ms: int
    ended_ms: int | None
    level: int
    number: int
    evidence: Mapping[str, str]


Register = tuple[str, str]
"""A meter and a quantity."""


class RolledOver(NamedTuple):
    """A register passed its capacity, and that is booked: its fall from `fell_from` is explained."""

    register: Register
    fell_from: Decimal


Outcome = Derived | Closed | Found | RolledOver


class Late(Exception):
    """A declaration counts from `at_ms` (UTC ms), which the account has heard already: it has to go back."""

    def __init__(self, at_ms: int) -> None:
        super().__init__(f"the account has heard {at_ms} already")
        self.at_ms = at_ms
