"""How a bus is searched: the questions that every meter of a protocol answers, whatever its model. Pure.

A protocol without a search is simply not found by one; `drivers/registry.py` lists those that have it.
"""

from __future__ import annotations

from typing import Protocol

from drivers.contract import Ask


class Call(Protocol):
    """One question of a search. A reply to it, or the meter's own refusal, proves that a meter is there."""

    @property
    def ask(self) -> Ask:
        """The question."""
        ...

    @property
    def address(self) -> str:
        """Whom it calls, as a configuration writes addresses; a pattern where it calls several at once."""
        ...

    def heard(self, received: bytes) -> str | None:
        """The address of a meter that sent a sound frame among these bytes, whoever was asked; None when none did.

        A meter slower than it was waited for answers into the next question: so it is found all the same.
        """
        ...

    def narrower(self) -> tuple[Call, ...]:
        """What to ask instead when several meters answered at once; nothing where only one is called."""
        ...
