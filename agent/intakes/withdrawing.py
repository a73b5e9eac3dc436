"""A declaration that turned out to be wrong: a row that names it says so, and it counts no longer. Pure.

Strategy: nothing is taken out of the ledger. A withdrawal has the subject and the time of the row that it names, so
that accounts go back to before both and derive again what follows. It is itself never withdrawn: what was right after
all is declared once more.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.derive.exact import OutOfDomain
from agent.intakes.outcome import Declared

WITHDRAWAL = "withdrawal"
WITHDRAWABLE = ("replacement", "decision", "acknowledgement")
"""Kinds that can be withdrawn. A coefficient is replaced by its next version, a reading stays as the round it is."""


class Withdrawn(NamedTuple):
    """The row that is withdrawn: its number in the ledger and its kind."""

    id: int
    kind: str


def withdrawn_by(declared: Declared) -> Withdrawn:
    """What a withdrawal withdraws. Raises: OutOfDomain when it does not say so."""
    match declared.body:
        case {"id": int(row), "kind": str(kind)} if kind in WITHDRAWABLE and row < declared.id:
            return Withdrawn(row, kind)
    raise OutOfDomain("body", declared.body, f"a {WITHDRAWAL}")
